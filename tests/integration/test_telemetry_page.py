"""The program of docs/telemetry.md, in a process of its own: providers are set once in a process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[2] / "docs/telemetry.md").read_text()

AFTER = """
import asyncio
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from usechat import stream_text
from usechat.testing.models import ScriptedModel, saying

exporter = InMemorySpanExporter()
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))

async def main():
    await stream_text(ScriptedModel(saying("Hi")), prompt="Hello").text

asyncio.run(main())
print(*sorted(span.name for span in exporter.get_finished_spans()), sep="|")
"""
WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
import usechat.telemetry
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_program_of_the_page_traces_answers():
    [program] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    done = run(program + AFTER)
    assert done.stdout.strip() == "chat scripted|invoke_agent|step 0", done.stderr


def test_without_its_package_the_extra_is_named():
    done = run(WITHOUT)
    assert done.returncode != 0
    assert "pip install 'usechat[telemetry]'" in done.stderr
