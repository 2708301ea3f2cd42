"""The service killed by SIGKILL while calls are under way, started again, and held to what really happened.

Events are re-sent until acknowledged, as the dispatcher does. Each run prints its seed and one line of figures.
``MS_TEST_SEED`` repeats a run's moments.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.attendant import UNHURRIED_MS
from tests.faults.report import seeded, told
from tests.faults.stage import Stage, staged
from tests.faults.traffic import Load

FEW = ("ring_group", "attended_transfer", "two_simultaneous_same_caller", "internal")
SWITCHES = ("reject-3006", "return-existing", "create-duplicate")
A_FIFTH: list[dict[str, Any]] = [
    {"api": "any", "nth": nth, "action": "drop_after" if nth % 10 == 0 else "drop_before"} for nth in range(5, 2_001, 5)
]
"""Every fifth request loses its connection: by turns after and before MoySklad acted."""

ORDER_S = 1.5 * UNHURRIED_MS / 1000 + 90.0
"""An order that met an API that was away is asked for again after up to a jittered ``UNHURRIED_MS``: it is late, not lost."""


async def killed(
    stage: Stage,
    load: Load,
    rng: random.Random,
    *,
    kills: int,
    calls: int,
    per_s: float,
    pause_s: float,
    names: Sequence[str] = (),
) -> None:
    """Begin so many calls at a steady rate, and kill and start the service meanwhile, so often at least."""
    (instance,) = stage.instances
    async with load.going_on(per_s, names=names, at_most=calls):
        while stage.kills < kills or len(load.copies) < calls:
            # The moment is the point here, not a wait for something.
            await asyncio.sleep(rng.uniform(0.05, pause_s))
            await instance.kill()
            await instance.start()


async def test_two_kills_change_nothing(tmp_path: Path) -> None:
    seed, began = seeded(), time.monotonic()
    async with staged(tmp_path, enterprises=4, ordering=True) as stage:
        rng = random.Random(seed)
        load = Load(stage.offices, [stage.posts()], rng)
        await killed(stage, load, rng, kills=2, calls=2 * len(FEW), per_s=4.0, pause_s=0.6, names=FEW)
        verdict = await stage.judged(load.copies, patience_s=60, quiet_s=0.5)
        told("two kills", seed, stage, load, verdict, began)


@pytest.mark.slow
@pytest.mark.parametrize("faults", [False, True], ids=["a good network", "a fifth of the requests lost"])
@pytest.mark.parametrize("repeated", SWITCHES)
async def test_many_kills_change_nothing(tmp_path: Path, repeated: str, faults: bool) -> None:
    seed, began = seeded(), time.monotonic()
    async with staged(tmp_path, enterprises=6, ordering=True) as stage:
        await stage.order("PUT", "/sandbox/switches", {"repeated_external_id": repeated})
        if faults:
            await stage.order("POST", "/sandbox/faults", {"rules": A_FIFTH})
        rng = random.Random(seed)
        load = Load(stage.offices, [stage.posts()], rng)
        await killed(stage, load, rng, kills=12, calls=72, per_s=3.0, pause_s=1.5)
        verdict = await stage.judged(load.copies, patience_s=ORDER_S, quiet_s=8)
        told(f"{repeated}, {'faults' if faults else 'no faults'}", seed, stage, load, verdict, began)


@pytest.mark.slow
async def test_fifty_kills_in_five_hundred_calls(tmp_path: Path) -> None:
    seed, began = seeded(), time.monotonic()
    async with staged(tmp_path, enterprises=12, ordering=True) as stage:
        rng = random.Random(seed)
        load = Load(stage.offices, [stage.posts()], rng)
        await killed(stage, load, rng, kills=50, calls=500, per_s=5.0, pause_s=2.5)
        verdict = await stage.judged(load.copies, patience_s=300, quiet_s=8)
        told("fifty kills", seed, stage, load, verdict, began)
