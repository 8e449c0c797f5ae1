"""Ids are random, of the length that was asked for, and never the same twice: also where a process is forked."""

from __future__ import annotations

import os
import re

import pytest

from usechat.ids import generate_id


@pytest.mark.parametrize("size", [1, 16, 24, 32, 33, 100])
def test_id_has_its_prefix_and_size(size: int):
    assert re.fullmatch(rf"msg-[A-Za-z0-9]{{{size}}}", generate_id("msg", size))
    assert re.fullmatch(rf"[A-Za-z0-9]{{{size}}}", generate_id(size=size))


def test_ids_differ():
    assert len({generate_id() for _ in range(10_000)}) == 10_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_forked_process_has_ids_of_its_own():
    generate_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, generate_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 24).decode() != generate_id()
    os.close(reading)
    os.close(writing)
