"""SIGKILL in the middle of many live calls: how soon the next event is on disk again; and starting with years behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

from bench import history
from bench.cards import calm
from bench.figures import Figure, number, spread
from bench.ground import ROOT, Ground, child, resident_bytes
from bench.load import blanks
from bench.parts import wall_ms
from bench.sizes import Size
from bench.stage import NOT_OURS, Instance, configure_enterprises, instance, running
from bench.wire import connected

AGAIN_S: Final = 1.5
READY_S: Final = 2.0
RETRY_S: Final = 0.002
LIVE_SPAN_MS: Final = 60_000
SETTLE_S: Final = 3.0
"""After the start a service looks at its live calls; its memory is looked at after that."""

SAME: Final = 1.15


async def until_durable(made: Instance, mark: str, nth: int) -> None:
    """Send one event again and again until it is acknowledged."""
    request = blanks(mark, "missed", time.time())[0].filled(nth, 1, 1, nth)
    while True:
        with contextlib.suppress(OSError):
            asker = await connected(made.port)
            head, _ = await asker.ask(request)
            if asker.transport is not None:
                asker.transport.close()
            if b" 200 " in head[:20]:
                return
        made.check()
        await asyncio.sleep(RETRY_S)


async def live_calls(place: Ground, dsn: str, calls: int, enterprises: int) -> int:
    """Calls that are being talked right now, as the log and the read models have them; how many."""
    made, first = 0, 90_000_001
    while made < calls:
        done = await history.make(
            place,
            dsn,
            (calls - made) * 6,
            enterprises=enterprises,
            kinds=("live",),
            ends_ms=wall_ms(),
            span_ms=LIVE_SPAN_MS,
            first=first + made,
        )
        made += done.calls
    return made


async def measure(place: Ground, size: Size) -> list[Figure]:
    """Kill, start again, send, several times."""
    took: list[float] = []
    async with place.database() as dsn, child(place, "local_api") as api:
        await configure_enterprises(dsn, size.enterprises)
        calls = await live_calls(place, dsn, size.restart_calls, size.enterprises)
        port = (await api.ask("port"))["port"]
        async with running(place, dsn, port) as (made,):
            for nth in range(size.restarts):
                await until_durable(made, "z", nth * 2)
                await calm(dsn, patience_s=30.0)
                began = time.perf_counter()
                await made.kill()
                await made.spawn()
                await until_durable(made, "z", nth * 2 + 1)
                took.append(time.perf_counter() - began)
    return [
        Figure(
            row="restart",
            what=f"SIGKILL → an event is on disk again, {calls} live calls, PostgreSQL up all the while",
            value=spread(took),
            unit="s",
            target=AGAIN_S,
            at_most=True,
            limit=f"Python alone {number(imported_s(''))} s; with the service's modules {number(imported_s('import server'))} s",
        )
    ]


def imported_s(code: str) -> float:
    """How long a new Python takes to do that and end: the best of three."""
    took, kept = [], {key: value for key, value in os.environ.items() if key not in NOT_OURS}
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=kept)
        took.append(time.perf_counter() - began)
    return min(took)


async def start(place: Ground, size: Size) -> list[Figure]:
    """Start on the large history with live calls, and on the small one: time to ready, and memory after that."""
    seconds: dict[str, list[float]] = {}
    resident: dict[str, list[float]] = {}
    async with child(place, "local_api") as api:
        port = (await api.ask("port"))["port"]
        sides = {
            "large": await history.kept(place, size.history, size),
            "small": await history.kept(place, size.history_small, size),
        }
        for kept in sides.values():
            await live_calls(place, kept.dsn, size.live_calls, size.enterprises)
        for _ in range(size.restarts):
            for name, kept in sides.items():
                made = instance(place, kept.dsn, port)
                try:
                    await made.start()
                    seconds.setdefault(name, []).append(made.started_s)
                    await asyncio.sleep(min(SETTLE_S, size.side_s * 4))
                    resident.setdefault(name, []).append(resident_bytes(made.pid) / 2**20)
                finally:
                    await made.stop()
    what = f"{size.history} events and {size.live_calls} live calls"
    return [
        Figure(
            row="start",
            what=f"start to ready with {what}",
            value=spread(seconds["large"]),
            unit="s",
            target=READY_S,
            at_most=True,
            beside={f"with {size.history_small} events": f"{number(spread(seconds['small']).median)} s"},
            limit=f"the service's modules alone take {number(imported_s('import server'))} s to load",
        ),
        Figure(
            row="start",
            what=f"memory after that: {size.history} events / {size.history_small}",
            value=spread([large / small for large, small in zip(resident["large"], resident["small"], strict=True)]),
            unit="×",
            target=SAME,
            at_most=True,
            beside={name: _megabytes(each) for name, each in resident.items()},
        ),
    ]


def _megabytes(values: Sequence[float]) -> str:
    return f"{number(spread(values).median)} MB resident"
