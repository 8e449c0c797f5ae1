from __future__ import annotations

import json
from xml.etree import ElementTree as ET

from usechat.doctor.check import Check, Verdict
from usechat.doctor.report import Report, Result


async def never(backend: object) -> Verdict:
    raise AssertionError


CHECK = Check("mine", never, "Do better.")


def report(*verdicts: Verdict | None) -> Report:
    return Report("http://chat.example/", [Result(CHECK, verdict, "it is dark") for verdict in verdicts])


def test_exit_status_counts_findings_and_stays_below_that_of_signals() -> None:
    assert report(Verdict(["a", "b"]), Verdict(), None, Verdict(["c"])).exit_status == 3
    assert report(Verdict(["a"] * 300)).exit_status == 100


def test_each_finding_stands_with_its_cure() -> None:
    made = report(Verdict(["It is cold."], "in winter"), Verdict(note="all is well"), None)
    assert made.text().splitlines() == [
        "http://chat.example/",
        "",
        "FOUND   mine  in winter",
        "        It is cold.",
        "        Cure: Do better.",
        "ok      mine  all is well",
        "unseen  mine  it is dark",
        "",
        "1 finding",
    ]
    assert json.loads(made.json())["checks"][0]["findings"] == [{"text": "It is cold.", "cure": "Do better."}]


def test_junit_has_a_case_for_each_check() -> None:
    suite = ET.fromstring(report(Verdict(["It is cold."]), Verdict(), None).junit())
    assert [[child.tag for child in case] for case in suite] == [["failure"], [], ["skipped"]]
    assert [suite.get(name) for name in ("tests", "failures", "skipped")] == ["3", "1", "1"]


def test_texts_of_a_backend_neither_steer_a_terminal_nor_break_a_file() -> None:
    made = report(Verdict(["a\x1b[2J\x00\ud800\ufffe\n" + "b" * 10_000]))
    assert made.results[0].findings == ["a\\x1b[2J\\x00\\ud800\\ufffe\\n" + "b" * 591 + "…"]
    ET.fromstring(made.junit())
    assert "\x1b" not in made.text()
