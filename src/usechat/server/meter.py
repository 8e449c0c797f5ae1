"""The server's counters, and their form for Prometheus.

Nothing here locks or allocates for a delta: the counters belong to the event loop's thread.
"""

from __future__ import annotations

import importlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from usechat.errors import ProviderError
from usechat.extras import needing

__all__ = ["Histogram", "Meter", "Metered", "need_prometheus", "write_metrics"]

FIRST_BOUNDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
GAP_BOUNDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0)
"""Upper bounds in seconds."""
MAX_KINDS: Final = 50
"""Error kinds that are told apart; the provider names them."""


class Histogram:
    """Counts of values by size.

    Args:
        bounds: The upper bound of each class but the last, which has none.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> Iterator[tuple[str, float]]:
        """Yield each bound with the number of values up to it."""
        number = 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            number += count
            yield str(bound), number


class Meter:
    """The counters of one process."""

    def __init__(self) -> None:
        self.readers = 0
        """Responses that are being streamed."""
        self.first_chunk = Histogram(FIRST_BOUNDS)
        self.gaps = Histogram(GAP_BOUNDS)
        self.requests: Counter[int] = Counter()
        """Answered requests by status."""
        self.tokens: Counter[str] = Counter()
        self.upstream_errors: Counter[str] = Counter()
        self.limits_hit: Counter[str] = Counter()
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        """Help and value of what others count, by name."""

    def note_error(self, error: BaseException) -> None:
        """Count an error of the provider by its kind."""
        if isinstance(error, ProviderError):
            kind = error.code or (f"status_{error.status}" if error.status else type(error).__name__)
            is_known = kind in self.upstream_errors or len(self.upstream_errors) < MAX_KINDS
            self.upstream_errors[kind if is_known else "other"] += 1


class Metered:
    """Measure the responses of an application.

    Args:
        app: What is measured.
        meter: Where it is counted.
    """

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self.app = app
        self.meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        watch = Watch(self.meter, send)
        try:
            await self.app(scope, receive, watch.send)
        finally:
            watch.end()


class Watch:
    """One response as it is sent."""

    __slots__ = ("is_first", "is_streamed", "last", "meter", "pass_on")

    def __init__(self, meter: Meter, send: Send) -> None:
        self.meter = meter
        self.pass_on = send
        self.is_streamed = False
        self.is_first = True
        self.last = perf_counter()

    def send(self, message: Message) -> Any:
        """Note a message, and return what sends it. No coroutine is made for that."""
        if self.is_streamed:
            self.note_chunk()
        elif message["type"] == "http.response.start":
            self.begin(message)
        return self.pass_on(message)

    def note_chunk(self) -> None:
        """Note a piece of a stream."""
        now = perf_counter()
        if self.is_first:
            self.is_first = False
            self.meter.first_chunk.add(now - self.last)
        else:
            self.meter.gaps.add(now - self.last)
        self.last = now

    def begin(self, message: Message) -> None:
        """Note the head."""
        self.meter.requests[message["status"]] += 1
        if not any(name == b"content-length" for name, _ in message["headers"]) and message["status"] == 200:
            self.is_streamed = True
            self.meter.readers += 1

    def end(self) -> None:
        """Note that nothing more is sent."""
        if self.is_streamed:
            self.is_streamed = False
            self.meter.readers -= 1


def need_prometheus() -> None:
    """See that the package that writes metrics is installed.

    Raises:
        ConfigurationError: It is not.
    """
    with needing("metrics"):
        importlib.import_module("prometheus_client")


def write_metrics(meter: Meter) -> tuple[bytes, str]:
    """Return the numbers as Prometheus reads them, and their content type."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    registry: Any = CollectorRegistry()
    registry.register(_Collector(meter))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collector:
    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def collect(self) -> Iterable[Any]:
        """Yield all families."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        meter = self.meter
        yield GaugeMetricFamily("usechat_readers", "Responses that are being streamed", value=meter.readers)
        for name, (text, value) in meter.gauges.items():
            yield GaugeMetricFamily(f"usechat_{name}", text, value=value())
        for name, text, histogram in (
            ("first_chunk_seconds", "From a request to the first bytes of its stream", meter.first_chunk),
            ("chunk_gap_seconds", "Between two pieces of a stream", meter.gaps),
        ):
            yield HistogramMetricFamily(
                f"usechat_{name}", text, buckets=list(histogram.buckets()), sum_value=histogram.total
            )
        for name, text, label, counter in (
            ("requests", "Requests by status", "status", meter.requests),
            ("tokens", "Tokens of the model", "kind", meter.tokens),
            ("upstream_errors", "Errors of the provider by kind", "kind", meter.upstream_errors),
            ("limits_hit", "Refused requests by limit", "limit", meter.limits_hit),
        ):
            family = CounterMetricFamily(f"usechat_{name}", text, labels=[label])
            for value, number in counter.items():
                family.add_metric([str(value)], number)
            yield family
