"""The service killed by SIGKILL while recordings are played, started again, and held to what really happened.

Events are re-sent until acknowledged, as the dispatcher does. Each run prints its seed and one line of figures.
``MS_TEST_SEED`` repeats a run's moments.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.stage import Copy, Stage, Verdict, play, staged, until_settled
from tests.playback import NAMES

FEW = ("ring_group", "attended_transfer", "two_simultaneous_same_caller", "internal")
SWITCHES = ("reject-3006", "return-existing", "create-duplicate")
A_FIFTH: list[dict[str, Any]] = [
    {"api": "any", "nth": nth, "action": "drop_after" if nth % 10 == 0 else "drop_before"} for nth in range(5, 2_001, 5)
]
"""Every fifth request loses its connection: by turns after and before MoySklad acted."""


async def playing(stage: Stage, names: tuple[str, ...], first: int, speed: float) -> list[Copy]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(play(stage, name, first + n, speed)) for n, name in enumerate(names)]
    return [task.result() for task in tasks]


async def killed_while_playing(
    stage: Stage, names: tuple[str, ...], kills: int, rng: random.Random, speed: float, pause_s: float = 1.5
) -> list[Copy]:
    """Play everything at once, again and again, until the service was killed often enough."""
    copies: list[Copy] = []
    before = stage.kills
    while stage.kills - before < kills:
        under_way = asyncio.create_task(playing(stage, names, 1_000 + len(copies), speed))
        try:
            while not under_way.done() and stage.kills - before < kills:
                # The moment is the point here, not a wait for something.
                await asyncio.sleep(rng.uniform(0.05, pause_s))
                await stage.kill()
                await stage.start()
            copies += await under_way
        finally:
            under_way.cancel()
    return copies


def told(title: str, seed: int, stage: Stage, verdict: Verdict, copies: list[Copy], took_s: float) -> str:
    slowest = max(stage.down_s, default=0.0)
    return (
        f"\n{title}: seed {seed}, {stage.kills} kills (up again within {slowest:.1f} s), "
        f"{sum(copy.sent for copy in copies)} signals, {sum(copy.resent for copy in copies)} re-sent; calls sent {verdict.sent}, "
        f"recorded {verdict.recorded}, doubled {verdict.doubled}, lost {verdict.lost}, uncalled for {verdict.uncalled_for}, "
        f"cards left open {verdict.cards_open}, out of order {verdict.out_of_order}, wrong {len(verdict.wrong)}; {took_s:.0f} s"
    )


def seeded() -> int:
    return int(os.environ.get("MS_TEST_SEED") or time.time_ns() % 1_000_000)


async def test_three_kills_change_nothing(tmp_path: Path) -> None:
    seed, began = seeded(), time.monotonic()
    async with staged(tmp_path) as stage:
        copies = await killed_while_playing(stage, FEW, 3, random.Random(seed), speed=4.0, pause_s=0.6)
        verdict = await until_settled(stage, copies, patience_s=30, quiet_s=0.5)
        line = told("three kills", seed, stage, verdict, copies, time.monotonic() - began)
        print(line)  # noqa: T201
        assert verdict.good, f"{line}\n{verdict}\n{stage.tail()}"


@pytest.mark.slow
@pytest.mark.parametrize("faults", [False, True], ids=["a good network", "a fifth of the requests lost"])
@pytest.mark.parametrize("repeated", SWITCHES)
async def test_many_kills_change_nothing(tmp_path: Path, repeated: str, faults: bool) -> None:
    seed, began = seeded(), time.monotonic()
    async with staged(tmp_path) as stage:
        await stage.order("PUT", "/sandbox/switches", {"repeated_external_id": repeated})
        if faults:
            await stage.order("POST", "/sandbox/faults", {"rules": A_FIFTH})
        copies = await killed_while_playing(stage, tuple(NAMES), 30, random.Random(seed), speed=2.0)
        verdict = await until_settled(stage, copies, patience_s=240, quiet_s=8)
        line = told(f"{repeated}, {'faults' if faults else 'no faults'}", seed, stage, verdict, copies, time.monotonic() - began)
        print(line)  # noqa: T201
        assert verdict.good, f"{line}\n{verdict}\n{stage.tail()}"
