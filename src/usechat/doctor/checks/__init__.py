"""All checks, in the order in which they run. A new one is a function that returns a verdict, and a row here."""

from __future__ import annotations

from usechat.doctor.check import Check
from usechat.doctor.checks import answer, arrival, cors, refusal, resume, silence

__all__ = ["CHECKS"]

CHECKS: tuple[Check, ...] = (
    Check(
        "answer",
        answer.check_answer,
        "Answer the POST with 200 and a stream of the AI SDK; give what the backend needs by --header or --body.",
    ),
    Check(
        "frames",
        answer.check_frames,
        "Send only what every release of your frontend reads, or name its version with --sdk.",
    ),
    Check(
        "ending",
        answer.check_ending,
        "End each answer with a finish, abort or error and the terminator, whatever happens.",
    ),
    Check("content-type", answer.check_content_type, "Set the content type of the protocol."),
    Check("protocol-header", answer.check_protocol_header, "Set the protocol's header with the value v1."),
    Check("cache-control", answer.check_cache_control, "Set cache-control: no-cache."),
    Check(
        "arrival",
        arrival.check_arrival,
        "Write each chunk when it is made, and turn buffering off on its way (X-Accel-Buffering: no).",
    ),
    Check(
        "compression",
        arrival.check_compression,
        "Take text/event-stream out of the compression, or flush the compressor after each chunk.",
    ),
    Check(
        "silence",
        silence.check_silence,
        "Send a heartbeat (a comment of the event stream) every 15 s, or let each proxy on the way wait longer.",
    ),
    Check(
        "unreadable-body",
        refusal.check_unreadable_body,
        "Answer it with 400 or 422 and a short text or JSON, which is the message of the error that useChat has.",
    ),
    Check(
        "resume",
        resume.check_resume,
        "Answer GET URL/ID/stream with 204 while nothing runs, and with the running answer from its first frame.",
    ),
    Check("leaving", resume.check_leaving, "Close the model's stream when its last reader has left."),
    Check(
        "cors-preflight",
        cors.check_preflight,
        "Answer OPTIONS with 2xx, access-control-allow-origin and the headers that the page sends.",
    ),
    Check("cors-answer", cors.check_answer, "Send access-control-allow-origin with the answer itself, too."),
    Check(
        "cors-strangers", cors.check_strangers, "Allow credentials to a list of origins, not to whichever origin asks."
    ),
)
