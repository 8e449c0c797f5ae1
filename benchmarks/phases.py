"""What is measured, phase by phase. Each takes the bench and files its figures under its own name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from benchmarks.bench import Bench, text_case
from benchmarks.bodies import body_file, long_body_file
from benchmarks.burden import GROWING, largest_bodies, measure_burden
from benchmarks.cold_start import measure_cold_start
from benchmarks.machine import is_split, resident_bytes
from benchmarks.measure import Case, Figure, Sample, take_sample
from benchmarks.programs import BenchmarkError, LoadPlan, redis_server, run_load
from benchmarks.safety import measure_safety
from benchmarks.saving import measure_saving
from benchmarks.servers import Server
from benchmarks.targets import OURS, TOOLS

__all__ = ["PHASES", "Phase"]

_LARGEST_GAP_US = 40_000
_LEVELS = (20, 40, 60, 80, 100, 150, 200, 300, 400, 500, 600, 700, 850, 1000)
_OPEN_STREAMS = 300
_MANY_ANSWERS = 100_000
_US = "µs/delta"


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A question to the servers."""

    name: str
    title: str
    run: Callable[[Bench], None]
    is_quick: bool = False
    """Whether the short run has it as well."""


def _us_per_delta(sample: Sample) -> float:
    return sample.us_per_delta


def _burst(bench: Bench) -> None:
    plan = LoadPlan(answer="bench:500:0", streams=16, requests=20_000)
    bench.compare("burst", [text_case(server, plan, _us_per_delta, _US) for server in bench.started()])


def _paced(bench: Bench) -> None:
    plan = LoadPlan(answer="bench:100:20000", streams=40, requests=40, ramp_ms=20)
    cases = [text_case(server, plan, _us_per_delta, _US) for server in bench.started()]
    bench.compare("paced", cases, rounds=max(2, bench.effort.rounds - 2))


def _formats(bench: Bench) -> None:
    """Our server alone: what else it streams, and to whom."""
    server = bench.server(OURS)
    if server is None:
        bench.results.add("formats", {}, bench.missing)
        return
    answers = {"UI message stream": "t", "thinking": "r", "tool input": "j"}
    plan = LoadPlan(answer="", streams=16, requests=20_000)
    cases = [
        text_case(server, replace(plan, answer=f"bench:500:0:{kind}"), _us_per_delta, _US, row=row)
        for row, kind in answers.items()
    ]
    v4 = replace(cases[0], row="AI SDK 4's data stream", body=body_file("v4", cases[0].plan.answer))
    bench.compare("formats", [*cases, v4])


def _growth(bench: Bench) -> None:
    """Our server alone: answers of 500, 5,000 and 50,000 deltas; tool inputs of up to 2 MB."""
    server = bench.server(OURS)
    if server is None:
        bench.results.add("growth", {}, bench.missing)
        return
    cases: list[Case] = []
    for row, kind, width in (("text", "t", 1), ("thinking", "r", 1), ("tool input", "j", 11)):
        for deltas in (500, 5_000, 50_000):
            plan = LoadPlan(answer=f"bench:{deltas}:0:{kind}:{width}", streams=4, requests=200_000 // deltas)
            cases.append(text_case(server, plan, _us_per_delta, _US, row=f"{row}, {deltas}"))
    bench.compare("growth", cases, rounds=max(2, bench.effort.rounds - 2))


def _held(bench: Bench) -> None:
    figures: dict[str, Figure] = {}
    for server in bench.started():
        held = 0
        for level in _LEVELS:
            bench.announce(f"{server.name}: {level} streams")
            # Once more when it fails: a neighbour on the machine can lower the figure, none can raise it.
            if not (_holds(server, level) or _holds(server, level)):
                break
            held = level
        figures[server.name] = Figure("streams", [held])
    bench.results.add("held", figures, bench.missing)


def _holds(server: Server, streams: int) -> bool:
    plan = LoadPlan(answer="bench:150:20000", streams=streams, requests=streams, ramp_ms=1000, timeout_s=30)
    load = run_load(server.port, server.path, body_file(server.target.client, plan.answer), plan)
    return load.whole == load.requests and load.gap_us["p99"] < _LARGEST_GAP_US


def _memory(bench: Bench) -> None:
    """Each server alone and fresh: what an open stream takes."""
    figures: dict[str, Figure] = {}
    problems: dict[str, str] = {}
    plan = LoadPlan(answer="bench:40:100000", streams=_OPEN_STREAMS, requests=_OPEN_STREAMS, ramp_ms=1500)
    for target in bench.targets:
        bench.announce(target.name)
        try:
            with bench.fresh(target) as server:
                figures[target.name] = Figure("KiB/stream", [_kib_per_stream(server, plan)])
        except BenchmarkError as error:
            problems[target.name] = str(error)
    bench.results.add("memory", figures, problems)


def _kib_per_stream(server: Server, plan: LoadPlan) -> float:
    client = server.target.client
    few = LoadPlan(answer="bench:50:0", streams=8, requests=100)
    take_sample(server, body_file(client, few.answer), few)
    before = resident_bytes(server.pid)
    peak = before

    def watch() -> None:
        nonlocal peak
        peak = max(peak, resident_bytes(server.pid))

    load = run_load(server.port, server.path, body_file(client, plan.answer), plan, watch=watch)
    if load.whole != load.requests:
        raise BenchmarkError(f"{load.whole} of {load.requests} answers arrived whole: {load.first_error}")
    return (peak - before) / 1024 / plan.streams


def _soak(bench: Bench) -> None:
    """Our server alone: what a hundred thousand answers leave behind."""
    plan = LoadPlan(answer="bench:5:0", streams=16, requests=_MANY_ANSWERS // 10, timeout_s=600)
    body = body_file("ui", plan.answer)
    try:
        with bench.fresh(OURS) as server:
            after: list[float] = []
            for tenth in range(10):
                bench.announce(f"{tenth * plan.requests} answers")
                take_sample(server, body, plan)
                after.append(resident_bytes(server.pid) / 2**20)
    except BenchmarkError as error:
        bench.results.skip("soak", str(error))
        return
    rows = {"after 10,000 answers": after[0], "after 50,000 answers": after[4], "after 100,000 answers": after[-1]}
    bench.results.add("soak", {row: Figure("MiB", [value]) for row, value in rows.items()})


def _first_chunk(bench: Bench) -> None:
    """From the upstream's sending of its first delta to the reader's having it."""
    figures: dict[str, Figure] = {}
    problems: dict[str, str] = {}
    for streams, deltas, requests, quantile in ((1, 3, 60, "p50"), (100, 100, 300, "p99")):
        # The hundred begin at random, as visitors do: the ramp spreads them over the length of an answer.
        answer = f"bench:{deltas}:20000:s"
        plan = LoadPlan(answer=answer, streams=streams, requests=requests, ramp_ms=deltas * 20)
        for server in bench.started():
            if not server.target.answers_upstream:
                continue
            row = f"{server.name}, {streams}"
            bench.announce(row)
            try:
                sample = take_sample(server, body_file(server.target.client, plan.answer), plan)
            except BenchmarkError as error:
                problems[row] = str(error)
                continue
            figures[row] = Figure(f"ms {quantile}", [sample.load.delay_us[quantile] / 1e3])
    bench.results.add("first chunk", figures, problems)


def _request(bench: Bench) -> None:
    """What a request costs besides its deltas: one delta after a conversation of 50 messages, and after one."""
    plan = LoadPlan(answer="bench:1:0", streams=4, requests=20_000)
    cases: list[Case] = []
    for target in (*bench.targets, TOOLS):
        if target.kind == "limit" or target.client != "ui":
            continue
        server = bench.server(target)
        if server is None:
            continue
        short = text_case(server, plan, lambda sample: sample.ms_per_request, "ms/request", row=f"{target.name}, 1")
        cases.append(short)
        if target.kind == "ours":
            cases.append(replace(short, row=f"{target.name}, 50", body=long_body_file(plan.answer)))
    bench.compare("request", cases)


def _workers(bench: Bench) -> None:
    """Answers a second of one worker and of two, on all cores."""
    if not is_split():
        bench.results.skip("workers", "there is one core only")
        return
    plan = LoadPlan(answer="bench:500:0", streams=32, requests=1500)
    figures = {f"{workers} workers": Figure("answers/s") for workers in (1, 2)}
    try:
        for _ in range(bench.effort.rounds):
            for workers, figure in zip((1, 2), figures.values(), strict=True):
                bench.announce(f"{workers} workers")
                with bench.fresh(OURS, "--workers", str(workers), is_pinned=False) as server:
                    _wait_for_workers(server, plan)
                    load = take_sample(server, body_file("ui", plan.answer), plan).load
                figure.values.append(load.whole / load.wall_s)
    except BenchmarkError as error:
        bench.results.skip("workers", str(error))
        return
    bench.results.add("workers", figures)


def _wait_for_workers(server: Server, plan: LoadPlan) -> None:
    take_sample(server, body_file("ui", plan.answer), replace(plan, requests=200))


def _durability(bench: Bench) -> None:
    """Our server alone: where running answers and saved chats are kept."""
    plan = LoadPlan(answer="bench:500:0", streams=16, requests=20_000)
    try:
        with redis_server() as redis_url, ExitStack() as stack:
            kept = {
                "memory": {},
                "redis": {"USECHAT_REDIS_URL": redis_url},
                "memory, chats not saved": {"USECHAT_DATABASE_URL": "off"},
            }
            servers = {
                row: stack.enter_context(
                    bench.fresh(replace(OURS, name=row, variables={**OURS.variables, **variables}))
                )
                for row, variables in kept.items()
            }
            cases = [text_case(server, plan, _us_per_delta, _US, row=row) for row, server in servers.items()]
            bench.compare("durability", cases)
    except BenchmarkError as error:
        bench.results.skip("durability", str(error))


def _saving(bench: Bench) -> None:
    figures, problems = measure_saving(bench.effort.rounds, bench.announce)
    bench.results.add("saving", figures, problems)


def _burden(bench: Bench) -> None:
    """Our server alone: how long others wait for the largest bodies, and how a body's cost grows with its size."""
    figures: dict[str, Figure] = {}
    with bench.fresh(OURS) as server:
        for name, make in largest_bodies().items():
            bench.announce(name)
            burden = measure_burden(server, "/api/chat", make())
            figures[f"wait, {name}"] = Figure("ms", [burden.longest_wait * 1000])
        for name, (sizes, make) in GROWING.items():
            for size in sizes:
                bench.announce(f"{name}, {size:,}")
                cpu = min(measure_burden(server, "/api/chat", make(size)).cpu for _ in range(bench.effort.rounds))
                figures[f"cost, {name}, {size:,}"] = Figure("ms", [cpu * 1000])
    bench.results.add("burden", figures)


def _cold_start(bench: Bench) -> None:
    figures, problems = measure_cold_start(bench.effort.rounds, bench.announce)
    bench.results.add("cold start", figures, problems)


PHASES = (
    Phase(name="burst", title="Bursts: 500 deltas at once, 16 answers at a time", run=_burst, is_quick=True),
    Phase(name="formats", title="Formats: AI SDK 4, thinking, tool input", run=_formats),
    Phase(name="paced", title="Paced: a delta every 20 ms, 40 answers at a time", run=_paced, is_quick=True),
    Phase(name="request", title="Requests: what one costs besides its deltas", run=_request),
    Phase(name="first chunk", title="First chunk: how long after the upstream's", run=_first_chunk),
    Phase(name="growth", title="Growth: 500, 5,000 and 50,000 deltas", run=_growth),
    Phase(name="held", title="Held: streams of 50 deltas a second on one core", run=_held),
    Phase(name="memory", title="Memory: 300 open streams", run=_memory),
    Phase(name="soak", title="Memory: 100,000 answers", run=_soak),
    Phase(name="workers", title="Workers: one and two", run=_workers),
    Phase(name="durability", title="Durability: memory and Redis run logs", run=_durability),
    Phase(name="saving", title="Saving: a turn of a chat of 50 messages", run=_saving),
    Phase(name="burden", title="Burden: the largest bodies, and who waits for them", run=_burden),
    Phase(name="safety", title="Safety: keys, limits and metrics, beside a server with none", run=measure_safety),
    Phase(name="cold start", title="Cold start: what imports take", run=_cold_start),
)
