"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long an example takes says more of the machine than of what is tested: other tests run at the same time.
_FOR_ALL = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Each run draws other examples. `make unit ARGS=--hypothesis-profile=thorough` draws many in one run.
settings.register_profile("usechat", _FOR_ALL, max_examples=30)
settings.register_profile("thorough", _FOR_ALL, max_examples=500)
settings.load_profile("usechat")
