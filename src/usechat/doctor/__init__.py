"""Examine a backend of the AI SDK's protocols from outside, in whatever language it is written.

    report = await examine(Target.make("http://127.0.0.1:8000/api/chat"))
    for result in report.results:
        print(result.check.name, result.findings)

It needs the extra ``doctor``. docs/doctor.md names each check.
"""

from usechat.doctor.check import Check, Unseen, Verdict
from usechat.doctor.checks import CHECKS
from usechat.doctor.report import Report, Result
from usechat.doctor.run import examine
from usechat.doctor.target import Target

__all__ = ["CHECKS", "Check", "Report", "Result", "Target", "Unseen", "Verdict", "examine"]
