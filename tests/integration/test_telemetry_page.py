"""The programs of docs/telemetry.md, each in a process of its own: providers are set once in a process."""

from __future__ import annotations

import subprocess
import sys

from tests.integration.test_readme import programs

SERVING, TESTING = programs("docs/telemetry.md")

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
AFTER_TEST = """
import asyncio

made = []

class Kept(InMemorySpanExporter):
    def __init__(self):
        super().__init__()
        made.append(self)

InMemorySpanExporter = Kept

async def main():
    await test_answer_is_traced()
    await stream_text(ScriptedModel(saying("Again")), prompt="Hello").text

asyncio.run(main())
[exporter] = made
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
    done = run(SERVING + AFTER)
    assert done.stdout.strip() == "chat scripted|invoke_agent|step 0", done.stderr


def test_test_of_the_page_traces_its_own_answer_only():
    done = run(TESTING + AFTER_TEST)
    assert done.stdout.strip() == "chat scripted|invoke_agent|step 0", done.stderr


def test_without_its_package_the_extra_is_named():
    done = run(WITHOUT)
    assert done.returncode != 0
    assert "pip install 'usechat[telemetry]'" in done.stderr
