"""`usechat doctor` against backends that are right, or wrong in one way each, and through a real nginx."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.integration.running_server import run, serving
from tests.support.cutting_proxy import CuttingProxy
from tests.support.programs import REFUSING_PORT, nginx
from tests.support.scripted_backend import CHUNKS, EVENT_HEADERS, Answer, Behaviour, ScriptedBackend, frame
from usechat.doctor import CHECKS, Report, Target, examine
from usechat.errors import ConfigurationError

RIGHT = Behaviour()
STREAM = [*map(frame, CHUNKS), b"data: [DONE]\n\n"]
LINES = [
    b'0:"Wave "\n',
    *(b'0:"%d. "\n' % number for number in range(6)),
    b'd:{"finishReason":"stop","usage":{"promptTokens":1,"completionTokens":6}}\n',
]


def flushed(pieces: Sequence[bytes]) -> Iterator[bytes]:
    """The pieces as gzip, each of them readable when it has arrived."""
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    for piece in pieces:
        yield compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH)
    yield compressor.flush()


def look(behaviour: Behaviour, **options: Any) -> Report:
    async def ask() -> Report:
        async with ScriptedBackend(behaviour) as backend:
            return await examine(Target.make(backend.url, **options))

    return asyncio.run(ask())


def found(report: Report) -> dict[str, list[str]]:
    return {result.check.name: result.findings for result in report.results if result.findings}


def notes(report: Report) -> dict[str, str]:
    return {result.check.name: result.note for result in report.results}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("server"), "--model", "demo") as running:
        yield str(running.client.base_url).rstrip("/")


@pytest.mark.parametrize("sdk", [("--sdk", "7.0.173"), ("--sdk", "4")])
def test_own_server_has_no_findings(server: str, tmp_path: Path, sdk: tuple[str, ...]) -> None:
    done = run(tmp_path, ["doctor", f"{server}/api/chat", "--json", *sdk])
    report = json.loads(done.stdout)
    assert [check["findings"] for check in report["checks"] if check["findings"]] == []
    assert (done.returncode, report["findings"]) == (0, 0)


def test_own_server_is_seen_to_resume_and_to_stream(server: str) -> None:
    report = asyncio.run(examine(Target.make(f"{server}/api/chat")))
    seen = {result.check.name: result for result in report.results}
    assert found(report) == {}
    assert [seen[name].status for name in ("arrival", "resume", "leaving")] == ["ok"] * 3
    assert seen["resume"].note == "from the first frame"
    assert "UI message stream" in seen["answer"].note
    assert seen["frames"].note == "read by AI SDK 5, AI SDK 6, AI SDK 7"


def test_own_server_lets_the_named_origin_alone_ask(tmp_path: Path) -> None:
    with serving(tmp_path, "--model", "demo", USECHAT_CORS_ORIGINS="https://chat.example") as running:
        url = f"{str(running.client.base_url).rstrip('/')}/api/chat"
        allowed = asyncio.run(examine(Target.make(url, origin="https://chat.example")))
        refused = asyncio.run(examine(Target.make(url, origin="https://other.example")))
    assert found(allowed) == {}
    assert {result.check.name: result.status for result in allowed.results}["cors-answer"] == "ok"
    assert "cors-preflight" in found(refused)


def test_right_backend_has_no_findings() -> None:
    report = look(RIGHT)
    assert found(report) == {}
    assert notes(report)["resume"] == "not offered (status 404)"
    assert report.exit_status == 0


def test_right_data_stream_has_no_findings_for_its_version() -> None:
    headers = {"content-type": "text/plain; charset=utf-8", "x-vercel-ai-data-stream": "v1"}
    report = look(RIGHT.answering(headers=headers, pieces=LINES), sdk="4.3.19")
    assert found(report) == {}
    assert notes(report)["frames"] == "read by AI SDK 4.3.19"


def test_compression_that_is_flushed_is_no_finding() -> None:
    headers = {**EVENT_HEADERS, "content-encoding": "gzip"}
    report = look(RIGHT.answering(headers=headers, pieces=list(flushed(STREAM))))
    assert found(report) == {}
    assert notes(report)["compression"].startswith("6 deltas in ")


WITHOUT_END = [each for each in STREAM if b'finish"' not in each and b"DONE" not in each]
PAGE = {"content-type": "text/html"}
MINE = "https://chat.example"
WRONG: Mapping[str, tuple[Behaviour, dict[str, list[str]]]] = {
    "wrong chunk": (
        RIGHT.with_chunks({"type": "start"}, {"type": "text", "text": "Hello"}, {"type": "finish"}),
        {"frames": ["Frame 2: text is unknown. It breaks AI SDK 5, AI SDK 6, AI SDK 7 (first: 5.0.0)."]},
    ),
    "key of a later release": (
        RIGHT.with_chunks({"type": "start"}, {"type": "finish", "finishReason": "stop"}),
        {"frames": ["Frame 2: finish.finishReason is unknown. It breaks AI SDK 5 before 5.0.92 (first: 5.0.0)."]},
    ),
    "chunk of AI SDK 7": (
        RIGHT.with_chunks({"type": "start"}, {"type": "custom", "kind": "a.b"}, {"type": "finish"}),
        {"frames": ["Frame 2: custom is unknown. It breaks AI SDK 5, AI SDK 6 (first: 5.0.0)."]},
    ),
    "headers missing": (
        RIGHT.answering(headers={}),
        {
            "content-type": ["The content type is missing, not text/event-stream."],
            "protocol-header": ["The header x-vercel-ai-ui-message-stream: v1 is missing."],
            "cache-control": ["The header cache-control is missing, and caches may keep the answer."],
        },
    ),
    "no end": (
        RIGHT.answering(pieces=WITHOUT_END),
        {
            "ending": [
                "The stream stops without a finish, abort or error.",
                "data: [DONE] does not stand once, at the end.",
            ]
        },
    ),
    "error page for a body that is no JSON": (
        Behaviour(unreadable=Answer("500 Internal Server Error", PAGE, [b"<h1>Error</h1>"])),
        {
            "unreadable-body": [
                "A body that is no JSON gets status 500.",
                "The error is a page, whose source useChat shows: <h1>Error</h1>",
            ]
        },
    ),
    "error without a text": (
        Behaviour(unreadable=Answer("400 Bad Request")),
        {"unreadable-body": ["The error has no text, and useChat shows an empty message."]},
    ),
    "error as the answer": (
        RIGHT.with_chunks({"type": "start"}, {"type": "error", "errorText": "No\u001b[2J model"}),
        {"answer": ['The answer is an error: {"type": "error", "errorText": "No\\u001b[2J model"}']},
    ),
    "page for every GET": (
        Behaviour(stream=Answer("200 OK", PAGE, [b"<html></html>"])),
        {"resume": ["GET URL/ID/stream of a chat where nothing runs gets status 200, text/html, not 204."]},
    ),
    "every origin with credentials": (
        Behaviour(
            options=Answer(
                "204 No Content",
                {
                    "access-control-allow-origin": "https://stranger.invalid",
                    "access-control-allow-credentials": "true",
                },
            )
        ),
        {"cors-strangers": ["Every page may ask with its visitor's cookies and read the answer."]},
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_backend_has_exactly_its_findings(fault: str) -> None:
    behaviour, expected = WRONG[fault]
    report = look(behaviour)
    assert found(report) == expected
    assert report.exit_status == sum(map(len, expected.values()))


def test_named_version_is_the_only_one_that_counts() -> None:
    behaviour, _ = WRONG["key of a later release"]
    assert found(look(behaviour, sdk="7")) == {}
    assert list(found(look(behaviour, sdk="5.0.91"))) == ["frames"]
    assert found(look(behaviour, sdk="4"))["frames"] == ["AI SDK 4 does not read a UI message stream."]


@pytest.mark.parametrize(
    ("headers", "pieces", "check"),
    [
        (EVENT_HEADERS, [b"".join(STREAM)], "arrival"),
        ({**EVENT_HEADERS, "content-encoding": "gzip"}, [gzip.compress(b"".join(STREAM))], "compression"),
    ],
)
def test_answer_that_arrives_at_once_is_found(headers: Mapping[str, str], pieces: list[bytes], check: str) -> None:
    [(name, [finding])] = found(look(RIGHT.answering(headers=headers, pieces=pieces, pause=0.6))).items()
    assert name == check
    assert "arrive all at once" in finding
    assert "6 of them" in finding


def test_answer_with_a_length_is_found() -> None:
    assert list(found(look(RIGHT.answering(is_whole=True, pause=0)))) == ["arrival"]


def test_buffer_that_cuts_frames_is_found() -> None:
    body = b"".join(STREAM)
    pieces = [body[start : start + 130] for start in range(0, len(body), 130)]
    [(name, [finding])] = found(look(RIGHT.answering(pieces=pieces, pause=0.4))).items()
    assert name == "arrival"
    assert "in blocks" in finding


def test_stream_that_breaks_off_is_found() -> None:
    assert list(found(look(RIGHT.answering(pieces=STREAM[:6], is_cut=True)))) == ["ending"]


@pytest.mark.parametrize(
    "answer",
    [
        Answer("200 OK", {"content-type": "application/json"}, [b'{"text": "Hello"}']),
        Answer("200 OK", {"content-type": "text/plain"}, [b"Hello"]),
        Answer("200 OK", {"content-encoding": "gzip"}, [b"no gzip at all"]),
        Answer("500 Internal Server Error", {}, [b"\xff\x00"]),
        Answer("200 OK"),
    ],
)
def test_answer_without_frames_is_one_finding(answer: Answer) -> None:
    assert list(found(look(Behaviour(answer=answer)))) == ["answer"]


def test_endless_answer_ends_with_the_time() -> None:
    report = look(RIGHT.answering(pieces=[STREAM[0], *[b": wait\n\n"] * 1000]), seconds=1)
    assert found(report)["ending"] == ["The stream broke off: its time was over."]


def look_through_proxy(behaviour: Behaviour, *, cut: float, idle: float) -> Report:
    async def ask() -> Report:
        async with ScriptedBackend(behaviour) as backend, CuttingProxy(backend.url, seconds=cut) as proxy:
            return await examine(Target.make(proxy.url, idle=idle))

    return asyncio.run(ask())


def test_proxy_that_cuts_a_silent_answer_is_found() -> None:
    report = look_through_proxy(RIGHT.answering(pieces=STREAM[:6], pause=0, is_held=True), cut=2, idle=1)
    [(name, [finding])] = found(report).items()
    assert name == "silence"
    assert re.fullmatch(r"The stream breaks off after \d+ s in which nothing came\.", finding)
    assert notes(report)["ending"] == "the stream breaks off: see silence"


@pytest.mark.parametrize(("is_whole", "what"), [(True, "No response: "), (False, "The body is empty: ")])
def test_proxy_that_cuts_before_the_first_byte_is_found(is_whole: bool, what: str) -> None:
    silent = RIGHT.answering(is_whole=is_whole, pause=60)
    [(name, [finding])] = found(look_through_proxy(silent, cut=1, idle=1)).items()
    assert name == "answer"
    assert finding.startswith(what)


def test_heartbeats_through_a_proxy_that_cuts_silence_are_no_finding() -> None:
    pieces = [*STREAM[:6], *[b": wait\n\n"] * 10, *STREAM[6:]]
    report = look_through_proxy(RIGHT.answering(pieces=pieces, pause=0.1), cut=20, idle=0.8)
    assert found(report) == {}
    assert re.fullmatch(r"\d+ s without a chunk, \d+ s without a byte", notes(report)["silence"])


def test_answer_that_was_never_silent_says_nothing_of_silence() -> None:
    report = look(RIGHT)
    assert {result.check.name: result.status for result in report.results}["silence"] == "unseen"
    assert notes(report)["silence"].endswith("let --message ask for 30 s, as of a slow tool")


def test_nobody_there_is_one_finding() -> None:
    report = asyncio.run(examine(Target.make(f"http://127.0.0.1:{REFUSING_PORT}/api/chat")))
    assert list(found(report)) == ["answer"]


def test_connection_that_is_closed_after_an_error_is_no_finding() -> None:
    assert found(look(Behaviour(unreadable=Answer("400 Bad Request", {}, [b"No JSON."], is_kept=True)))) == {}


@pytest.mark.parametrize("again", [Answer("200 OK", EVENT_HEADERS, [frame({"type": "text-end", "id": "t"})])])
def test_resumed_answer_without_its_beginning_is_found(again: Answer) -> None:
    class Resuming(Behaviour):
        """Nothing runs at the first question, and an answer at the second."""

        asked = 0

        def choose(self, method: str, body: bytes) -> Answer:
            if method != "GET":
                return super().choose(method, body)
            Resuming.asked += 1
            return Answer("204 No Content") if Resuming.asked == 1 else again

    assert found(look(Resuming())) == {
        "resume": ["The resumed answer does not begin with the first frame of the answer."]
    }


PREFLIGHT = {"access-control-allow-origin": MINE, "access-control-allow-headers": "content-type"}


@pytest.mark.parametrize(
    ("options", "answer", "expected"),
    [
        (PREFLIGHT, PREFLIGHT, {}),
        ({**PREFLIGHT, "access-control-allow-origin": "*"}, PREFLIGHT, {}),
        ({**PREFLIGHT, "access-control-allow-headers": "*"}, PREFLIGHT, {}),
        ({}, PREFLIGHT, {"cors-preflight": 2}),
        (PREFLIGHT, {}, {"cors-answer": 1}),
    ],
)
def test_page_of_another_origin_may_ask(
    options: Mapping[str, str], answer: Mapping[str, str], expected: Mapping[str, int]
) -> None:
    behaviour = Behaviour(options=Answer("204 No Content", options)).answering(headers={**EVENT_HEADERS, **answer})
    counts = {name: len(findings) for name, findings in found(look(behaviour, origin=MINE)).items()}
    assert counts == expected


def test_wildcard_does_not_allow_the_key() -> None:
    options = {"access-control-allow-origin": "*", "access-control-allow-headers": "*, content-type"}
    behaviour = Behaviour(options=Answer("204 No Content", options)).answering(headers={**EVENT_HEADERS, **options})
    findings = found(look(behaviour, origin=MINE, headers=["Authorization: Bearer key"]))
    assert findings == {"cors-preflight": ["OPTIONS does not allow the header authorization."]}


@pytest.mark.parametrize(
    ("http_version", "headers", "encoding", "finding"),
    [
        ("1.0", {}, "identity", "arrival"),
        ("1.0", {}, "gzip", "compression"),
        # With chunks, nginx sees where each piece ends and hands it on; its compression holds it back.
        ("1.1", {}, "identity", None),
        ("1.1", {}, "gzip", "compression"),
        ("1.0", {"x-accel-buffering": "no"}, "identity", None),
        ("1.0", {"x-accel-buffering": "no"}, "gzip", None),
    ],
)
def test_nginx_that_holds_deltas_back_is_found(
    tmp_path: Path, http_version: str, headers: Mapping[str, str], encoding: str, finding: str | None
) -> None:
    async def ask() -> tuple[Report, Report]:
        async with ScriptedBackend(RIGHT.answering(headers={**EVENT_HEADERS, **headers}, pause=0.1)) as backend:
            with nginx(backend.origin, folder=tmp_path, http_version=http_version) as proxy:
                target = Target.make(f"{proxy.url}/api/chat", headers=[f"accept-encoding: {encoding}"])
                return await examine(Target.make(backend.url)), await examine(target)

    direct, proxied = asyncio.run(ask())
    assert found(direct) == {}
    assert list(found(proxied)) == ([finding] if finding else [])


def test_nginx_that_is_told_not_to_buffer_is_no_finding(server: str, tmp_path: Path) -> None:
    with nginx(server, folder=tmp_path) as proxy:
        assert found(asyncio.run(examine(Target.make(f"{proxy.url}/api/chat")))) == {}


def test_body_of_a_file_is_posted_with_the_headers(tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"id": "mine", "question": "When is high water?"}')

    async def ask() -> list[tuple[str, str, dict[str, str], bytes]]:
        async with ScriptedBackend(RIGHT) as backend:
            await examine(Target.make(backend.url, headers=["X-Tenant: ada"], body=body))
            return backend.requests

    method, path, headers, posted = asyncio.run(ask())[0]
    assert (method, path, json.loads(posted)) == ("POST", "/api/chat", json.loads(body.read_text()))
    assert headers["x-tenant"] == "ada"


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("chat.example", {}),
        ("ftp://chat.example/", {}),
        ("http://[::1", {}),
        ("http://chat.example:99999/", {}),
        ("http://chat.example/\n", {}),
        ("http://chat.example/", {"sdk": "2"}),
        ("http://chat.example/", {"sdk": "eight"}),
        ("http://chat.example/", {"seconds": 0}),
        ("http://chat.example/", {"idle": -1}),
        ("http://chat.example/", {"headers": ["no colon"]}),
        ("http://chat.example/", {"headers": ["a: b\r\nc: d"]}),
        ("http://chat.example/", {"body": Path("/nowhere/at/all.json")}),
    ],
)
def test_wrong_call_is_told(url: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Target.make(url, **options)


def test_exit_status_counts_and_each_finding_has_its_cure(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{REFUSING_PORT}/api/chat"
    done = run(tmp_path, ["doctor", address, "--junit", "report.xml"])
    assert done.returncode == 1
    assert "FOUND   answer" in done.stdout
    assert "Cure: Answer the POST with 200" in done.stdout
    assert done.stdout.endswith("1 finding\n")
    suite = ET.parse(tmp_path / "report.xml").getroot()
    assert {name: suite.get(name) for name in ("name", "tests", "failures")} == {
        "name": address,
        "tests": str(len(CHECKS)),
        "failures": "1",
    }
    assert [case.get("name") for case in suite.findall("testcase[failure]")] == ["answer"]


def test_wrong_call_of_the_command_prints_no_report(tmp_path: Path) -> None:
    done = run(tmp_path, ["doctor", "chat.example"])
    assert (done.returncode, done.stdout) == (2, "")
    assert "URL must be an address" in done.stderr
    unwritable = ["doctor", f"http://127.0.0.1:{REFUSING_PORT}/", "--junit", "no/such/folder.xml"]
    assert run(tmp_path, unwritable).returncode == 2
