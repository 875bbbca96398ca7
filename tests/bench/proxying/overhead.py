"""What the proxy adds to a request, what one worker takes, and how it holds out; beside what others do."""

from __future__ import annotations

import asyncio
import time
from statistics import median

from tests.bench.measure import QUICK, show
from tests.bench.proxying.soak import soak
from tests.bench.proxying.targets import INSERTING, Target, body_of, open_targets
from tests.bench.soak import SECONDS as SOAK_S

SIZES = {"1 KB": 1_000, "200 KB": 200_000, "800 KB": 800_000}
ROUNDS = 30 if QUICK else 400
"""Requests of each target, size and kind; one of each in turn, so that all meet the same machine."""
SECONDS = 2.0 if QUICK else 8.0
LOADS = ((32, False), (32, True), (200, True))
"""Connections at once, and whether they ask for streams."""
WARM_UP = 10
A_TURN = 10
"""Requests with the same human turn: a new one is decided about, and stored, once."""
SETTLED_S = 1.0
"""What is recorded behind a request's back counts as its processor time."""


def proxies() -> None:
    """Prints what each target adds at each size, its throughput, and a soak if BENCH_SOAK_S says so."""
    asyncio.run(_proxies())


async def _proxies() -> None:
    async with open_targets() as targets:
        added: list[list[str]] = []
        for stream in (False, True):
            for label, size in SIZES.items():
                added += await _added(targets, f"{label}{', stream' if stream else ''}", size, stream=stream)
        columns = (
            "request", "target", "p50 ms", "p99 ms", "added p50", "added p99", "added TTFB p50", "CPU ms",
        )  # fmt: skip
        show(f"POST /v1/messages, {ROUNDS} each, one at a time, in turn", columns, added)
        rows = [
            await _throughput(target, many, stream=stream) for many, stream in LOADS for target in targets
        ]
        loaded = ("target", "request", "at once", "requests/s", "p50 ms", "p99 ms", "CPU ms each")
        show(f"Connections that ask again, {SECONDS:g} s each, 1 KB", loaded, rows)
        if SOAK_S:
            await soak(next(target for target in targets if target.name == INSERTING))


async def _added(targets: list[Target], label: str, size: int, *, stream: bool) -> list[list[str]]:
    times: dict[str, list[tuple[float, float]]] = {target.name: [] for target in targets}
    cpu: dict[str, float] = {}
    for target in targets:
        await target.connect()
    for number in range(-WARM_UP, ROUNDS):
        body = body_of(size, stream=stream, number=number // A_TURN)
        for target in targets:
            if number == 0:
                cpu[target.name] = -target.cpu_ms()
            taken = await target.ask(body)
            if number >= 0:
                times[target.name].append(taken)
    await asyncio.sleep(SETTLED_S)
    for target in targets:
        cpu[target.name] += target.cpu_ms()
        target.writer.close()
    direct = times[targets[0].name]
    rows = []
    for target in targets:
        first, whole = ([taken[n] for taken in times[target.name]] for n in (0, 1))
        base_first, base = ([taken[n] for taken in direct] for n in (0, 1))
        rows.append([
            label, target.name, f"{median(whole):.2f}", f"{_p99(whole):.2f}",
            f"{median(whole) - median(base):.2f}", f"{_p99(whole) - _p99(base):.2f}",
            f"{median(first) - median(base_first):.2f}", f"{cpu[target.name] / ROUNDS:.2f}",
        ])  # fmt: skip
    return rows


async def _throughput(target: Target, connections: int, *, stream: bool) -> list[str]:
    walls, until = list[float](), time.perf_counter() + SECONDS
    numbers = iter(range(10**9))

    async def ask_again() -> None:
        connection = Target(target.name, target.port)
        await connection.connect()
        while time.perf_counter() < until:
            body = body_of(1_000, stream=stream, number=next(numbers) // A_TURN)
            walls.append((await connection.ask(body))[1])
        connection.writer.close()

    before = target.cpu_ms()
    await asyncio.gather(*(ask_again() for _ in range(connections)))
    await asyncio.sleep(SETTLED_S)
    return [
        target.name, "stream" if stream else "whole", str(connections), f"{len(walls) / SECONDS:.0f}",
        f"{median(walls):.1f}", f"{_p99(walls):.1f}", f"{(target.cpu_ms() - before) / len(walls):.2f}",
    ]  # fmt: skip


def _p99(values: list[float]) -> float:
    return sorted(values)[round(0.99 * (len(values) - 1))]
