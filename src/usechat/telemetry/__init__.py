"""Telemetry by OpenTelemetry's conventions for generative AI: a span for each answer, step, model call and tool.

    from usechat.telemetry import instrument

    instrument()      # once, beside the SDK's set-up

Needs the extra ``telemetry`` (the OpenTelemetry API); spans go where the application's SDK sends them.
docs/telemetry.md lists the spans, their attributes and the metrics.
"""

from usechat.telemetry.switch import instrument, uninstrument

__all__ = ["instrument", "uninstrument"]
