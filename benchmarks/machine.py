"""What the kernel says of processes: their CPU time and memory; and on which cores they run. Linux only."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = [
    "busy_seconds",
    "cpu_seconds",
    "describe",
    "free_port",
    "held_to",
    "is_split",
    "on_load_core",
    "on_server_core",
    "proportional_bytes",
    "resident_bytes",
]

_CORES = sorted(os.sched_getaffinity(0))
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_PERIOD_US: Final = 10_000
_GROUPS: Final = (
    (Path("/sys/fs/cgroup/cpu"), {"cpu.cfs_period_us": "{period}", "cpu.cfs_quota_us": "{quota}"}),
    (Path("/sys/fs/cgroup"), {"cpu.max": "{quota} {period}"}),
)
"""Where version 1 and 2 of the kernel's control groups hold processes to a share of a core, and by which files."""


def is_split() -> bool:
    """Whether the server has a core of its own, apart from the load's."""
    return len(_CORES) > 1


@contextmanager
def on_server_core() -> Generator[None]:
    """Processes started within run on the first core."""
    with _on_core(_CORES[0]):
        yield


@contextmanager
def on_load_core() -> Generator[None]:
    """Processes started within run on the last core."""
    with _on_core(_CORES[-1]):
        yield


@contextmanager
def _on_core(core: int) -> Generator[None]:
    # A child inherits what its parent has at that moment: nothing of it ever runs elsewhere.
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, _CORES)


@contextmanager
def held_to(cores: float, pid: int) -> Generator[None]:
    """Hold a process and its children together to some cores, or a part of one.

    Raises:
        OSError: The kernel does not let us: it takes root, and control groups with the `cpu` controller.
    """
    parent, files = next(found for found in _GROUPS if found[0].is_dir())
    group = parent / f"usechat-{pid}"
    group.mkdir()
    try:
        for name, value in files.items():
            (group / name).write_text(value.format(period=_PERIOD_US, quota=round(cores * _PERIOD_US)))
        for each in _with_children(pid):
            (group / "cgroup.procs").write_text(str(each))
        yield
    finally:
        for each in (group / "cgroup.procs").read_text().split():
            (parent / "cgroup.procs").write_text(each)
        group.rmdir()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children so far, with threads and children that have ended."""
    return sum(_clock_of(each) + _ended_children_of(each) for each in _with_children(pid))


def _clock_of(pid: int) -> float:
    # The number of a process's CPU clock, as clock_getcpuclockid(3) makes it; it counts nanoseconds.
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def _ended_children_of(pid: int) -> float:
    # The sixteenth and seventeenth field of proc(5), of which the second may hold spaces.
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[13]) + int(fields[14])) / _TICKS


def busy_seconds() -> float:
    """CPU time that the whole machine has spent so far."""
    # user, nice, system, idle, iowait, irq, softirq (proc(5)); what a hypervisor took is nobody's here.
    ticks = [int(field) for field in Path("/proc/stat").read_text().split(maxsplit=8)[1:8]]
    return (sum(ticks) - ticks[3] - ticks[4]) / _TICKS


def resident_bytes(pid: int) -> int:
    """Physical memory of a process and its children."""
    pages = 0
    for each in _with_children(pid):
        try:
            pages += int(Path(f"/proc/{each}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * _PAGE_BYTES


def proportional_bytes(pid: int) -> int:
    """Physical memory of a process and its children, in which what several share is counted once."""
    found = 0
    for each in _with_children(pid):
        try:
            rollup = Path(f"/proc/{each}/smaps_rollup").read_text()
        except OSError:
            continue
        found += sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    return found


def _with_children(pid: int) -> list[int]:
    found: list[int] = []
    pending = [pid]
    while pending:
        each = pending.pop()
        found.append(each)
        for listing in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                pending += map(int, listing.read_text().split())
            except OSError:
                continue
    return found


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def describe() -> dict[str, str]:
    """What a reader must know to place the figures."""
    names = [line.partition(":")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "processor": names[0].strip() if names else platform.machine(),
        "cores": str(len(_CORES)),
        "system": platform.system() + " " + platform.release(),
        "python": platform.python_version(),
        "pinning": "server and load on a core each" if is_split() else "one core for everything",
    }
