"""Turns telemetry on and off."""

from __future__ import annotations

from functools import partial

from usechat.answers.observing import observe_answers
from usechat.extras import needing

with needing("telemetry"):
    from opentelemetry.metrics import MeterProvider, get_meter
    from opentelemetry.trace import TracerProvider, get_tracer

from usechat.telemetry.observer import Instruments, TracedAnswer

__all__ = ["instrument", "uninstrument"]

TOKEN_BUCKETS = [4**power for power in range(14)]
SECONDS_BUCKETS = [0.01 * 2**power for power in range(14)]


def instrument(
    *,
    capture_content: bool = False,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Have all later answers of this process traced and measured. A second call replaces the first.

    Args:
        capture_content: Whether spans hold messages, instructions, and the inputs, outputs and error texts of tools and
            models. They may be personal or secret.
        tracer_provider: Takes the spans; the application's global one by default.
        meter_provider: Takes the metrics; the application's global one by default.

    Raises:
        ConfigurationError: The extra ``telemetry`` is not installed (when the module is imported).
    """
    meter = get_meter("usechat", meter_provider=meter_provider)
    instruments = Instruments(
        tracer=get_tracer("usechat", tracer_provider=tracer_provider),
        duration=meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="Seconds of an answer, a model call or a tool.",
            explicit_bucket_boundaries_advisory=SECONDS_BUCKETS,
        ),
        tokens=meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Tokens of a model call.",
            explicit_bucket_boundaries_advisory=TOKEN_BUCKETS,
        ),
        captures_content=capture_content,
    )
    observe_answers(partial(TracedAnswer, instruments))


def uninstrument() -> None:
    """Have later answers neither traced nor measured. Answers that have begun go on as they began."""
    observe_answers(None)
