"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long an example takes says more of the machine than of what is tested: other tests run at the same time.
settings.register_profile("usechat", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("usechat")
