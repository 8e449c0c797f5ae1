"""The results of all checks, for people, as JSON and as JUnit's XML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET

from usechat.doctor.check import Check, Verdict

__all__ = ["Report", "Result"]

MAX_COUNT = 100
"""The exit status counts as far as this: higher ones mean signals."""
MAX_LENGTH = 600
"""Most characters of a text that are shown: backends can write long ones."""
LABELS = {"ok": "ok", "found": "FOUND", "unseen": "unseen"}


@dataclass(frozen=True)
class Result:
    """The result of one check."""

    check: Check
    verdict: Verdict | None
    """None if it could not see what it looked for."""
    reason: str = ""
    """Why it could not."""

    @property
    def findings(self) -> list[str]:
        """What is wrong. Texts of the backend's are in it, without characters that steer a terminal."""
        return [] if self.verdict is None else [plain(finding) for finding in self.verdict.findings]

    @property
    def note(self) -> str:
        """What people want to know besides, or why the check could not see."""
        return plain(self.reason if self.verdict is None else self.verdict.note)

    @property
    def status(self) -> Literal["ok", "found", "unseen"]:
        """``unseen`` is neither good nor bad."""
        return "unseen" if self.verdict is None else "found" if self.verdict.findings else "ok"


@dataclass(frozen=True)
class Report:
    """The results of all checks of a backend."""

    url: str
    results: Sequence[Result]

    @property
    def count(self) -> int:
        """The number of findings."""
        return sum(len(result.findings) for result in self.results)

    @property
    def exit_status(self) -> int:
        """The number of findings, at most 100."""
        return min(self.count, MAX_COUNT)

    def text(self) -> str:
        """Return the report for people."""
        width = max((len(result.check.name) for result in self.results), default=0)
        lines = [self.url, ""]
        for result in self.results:
            lines.append(f"{LABELS[result.status]:6}  {result.check.name:{width}}  {result.note}".rstrip())
            lines += [f"        {finding}" for finding in result.findings]
            lines += [f"        Cure: {result.check.cure}"] if result.findings else []
        return "\n".join([*lines, "", "1 finding" if self.count == 1 else f"{self.count} findings"])

    def json(self) -> str:
        """Return the report as JSON."""
        checks = [
            {
                "name": result.check.name,
                "status": result.status,
                "note": result.note,
                "findings": [{"text": finding, "cure": result.check.cure} for finding in result.findings],
            }
            for result in self.results
        ]
        return json.dumps({"url": self.url, "findings": self.count, "checks": checks}, indent=2, ensure_ascii=False)

    def junit(self) -> bytes:
        """Return the report as JUnit's XML: a test case for each check."""
        found = sum(result.status == "found" for result in self.results)
        unseen = sum(result.status == "unseen" for result in self.results)
        counts = {"tests": len(self.results), "failures": found, "errors": 0, "skipped": unseen}
        suite = ET.Element("testsuite", {"name": self.url, **{key: str(count) for key, count in counts.items()}})
        for result in self.results:
            case = ET.SubElement(suite, "testcase", {"classname": "usechat.doctor", "name": result.check.name})
            if result.status == "unseen":
                ET.SubElement(case, "skipped", {"message": result.note})
            elif result.findings:
                failure = ET.SubElement(case, "failure", {"message": result.findings[0]})
                failure.text = "\n".join([*result.findings, f"Cure: {result.check.cure}"])
        return ET.tostring(suite, encoding="utf-8", xml_declaration=True)


def plain(text: str) -> str:
    """Return a text without characters that steer a terminal or that XML has not."""
    shown = text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…"
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown)
