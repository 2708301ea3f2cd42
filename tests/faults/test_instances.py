"""Several instances on one PostgreSQL: killed, stopped, cut off, restarted in turn. Their calls go over within ten seconds.

How a hand-over is measured: in every enterprise a call rings. The fault happens to the instance that attends to some of
them; at once the rest is told that the calls were answered. The time is from the fault until MoySklad hears of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.faults.postgres import own_postgres
from tests.faults.report import answers, seeded, told
from tests.faults.stage import Instance, Stage, staged
from tests.faults.traffic import Copy, Load, play
from tests.faults.verdict import quantiles

HAND_OVER_S = 10.0
STOPPED_S = 60.0
CUT_S = 30.0
RINGING, ANSWERED = 2, 5
"""The lines of ``ring_group``: two until three phones ring, three more until one has answered."""

Ask = Callable[..., Awaitable[object]]
Fault = Callable[[Instance], Awaitable[None]]

_OWNED = "SELECT coalesce(array_agg(o.enterprise), '{}') FROM ms.owners o JOIN ms.nodes n ON n.id = o.node WHERE n.pid = $1"


async def owned(ask: Ask, instance: Instance) -> set[str]:
    """The enterprises that an instance attends to now."""
    assert instance.process is not None
    found = await ask(_OWNED, instance.process.pid)
    assert isinstance(found, list)
    return set(found)


async def handed_over(stage: Stage, ask: Ask, load: Load, fault: Fault) -> tuple[Instance, list[float]]:
    """Let calls ring everywhere, let the fault befall the instance that attends to most of them, and answer them.

    Which one it was, and how many seconds each of its calls took.
    """
    copies = [load.copy("ring_group", office) for office in stage.offices]
    async with asyncio.TaskGroup() as group:
        for copy in copies:
            group.create_task(play(copy, stage.posts(), last=RINGING))
    for copy in copies:
        await _card_event(stage, copy, after_ms=0, patience_s=30.0)
    whose = {instance.name: await owned(ask, instance) for instance in stage.instances}
    victim = max(stage.instances, key=lambda instance: len(whose[instance.name]))
    sender = stage.posts(*(instance for instance in stage.instances if instance is not victim))
    at_ms = time.time_ns() // 1_000_000
    await fault(victim)
    async with asyncio.TaskGroup() as group:
        for copy in copies:
            group.create_task(play(copy, sender, first=RINGING, last=ANSWERED))
    took = {copy.office.number: await _card_event(stage, copy, after_ms=at_ms, patience_s=60.0) - at_ms for copy in copies}
    async with asyncio.TaskGroup() as group:
        for copy in copies:
            group.create_task(play(copy, sender, first=ANSWERED))
    return victim, [took[enterprise] / 1000 for enterprise in sorted(whose[victim.name] & took.keys())]


async def _card_event(stage: Stage, copy: Copy, *, after_ms: int, patience_s: float) -> int:
    """When MoySklad first heard of the call's cards after that moment (unix ms)."""
    (call,) = copy.expected
    async with asyncio.timeout(patience_s):
        while True:
            for row in (await stage.look(f"/sandbox/calls?external_id={call}"))["calls"]:
                for event in row["events"]:
                    if event["arrived_ms"] > after_ms:
                        return int(event["arrived_ms"])
            await asyncio.sleep(0.05)


async def kill(instance: Instance) -> None:
    """SIGKILL."""
    await instance.kill()


async def freeze(instance: Instance) -> None:
    """SIGSTOP."""
    instance.freeze()


async def cut(instance: Instance) -> None:
    """Neither its database nor MoySklad hears of it any more."""
    instance.cut()


async def cut_from_database(instance: Instance) -> None:
    """It could still speak to MoySklad, and must not: others do."""
    instance.cut(database_only=True)


@pytest.mark.slow
async def test_one_of_two_killed(tmp_path: Path) -> None:
    seed, began = seeded(), time.monotonic()
    async with own_postgres() as database:
        await database.start(fsync="off")
        async with staged(tmp_path, instances=2, enterprises=4, database=[database.port]) as stage:
            load = Load(stage.offices, [stage.posts()], random.Random(seed))
            _, took = await handed_over(stage, database.ask, load, kill)
            verdict = await stage.judged(load.copies, patience_s=60, quiet_s=0.5)
            told("one of two killed", seed, stage, load, verdict, began, f"{len(took)} handed over: {quantiles(took)}")
            assert max(took) <= HAND_OVER_S


@pytest.mark.slow
async def test_hand_overs(tmp_path: Path) -> None:
    """Three instances under load: one killed (three times), one stopped for a minute, one cut off for half a minute, one cut off
    from the database alone."""
    seed, began = seeded(), time.monotonic()
    async with own_postgres() as database:
        await database.start()
        async with staged(tmp_path, instances=3, enterprises=12, database=[database.port], cuttable=True) as stage:
            rng = random.Random(seed)
            load = Load(stage.offices, [stage.posts()], rng)
            took: dict[str, list[float]] = {}

            async def befall(what: str, fault: Fault, lasting_s: float, over: Callable[[Instance], None]) -> None:
                until = time.monotonic() + lasting_s
                victim, took[what] = await handed_over(stage, database.ask, load, fault)
                await asyncio.sleep(max(0.0, until - time.monotonic()))
                over(victim)
                await asyncio.sleep(rng.uniform(6.0, 8.0))  # enterprises go back to it

            async with load.going_on(2.0):
                await asyncio.sleep(2.0)
                took["killed"] = []
                for _ in range(3):
                    victim, times = await handed_over(stage, database.ask, load, kill)
                    took["killed"] += times
                    await victim.start()
                    await asyncio.sleep(rng.uniform(6.0, 8.0))
                await befall("stopped", freeze, STOPPED_S, Instance.thaw)
                await befall("cut off", cut, CUT_S, Instance.heal)
                await befall("cut from the database", cut_from_database, CUT_S / 2, Instance.heal)
            verdict = await stage.judged(load.copies, patience_s=240, quiet_s=8)
            each = [f"{what}: {len(times)} handed over, {quantiles(times)}" for what, times in took.items()]
            everything = list(itertools.chain.from_iterable(took.values()))
            told("hand-overs", seed, stage, load, verdict, began, *each, f"all {len(everything)}: {quantiles(everything)}")
            assert len(everything) >= 10
            assert max(everything) <= HAND_OVER_S


@pytest.mark.slow
async def test_a_rolling_restart_refuses_nothing(tmp_path: Path) -> None:
    """Each of three instances is stopped and started, twice, behind a plain TCP balancer; one attempt must do for each post."""
    seed, began = seeded(), time.monotonic()
    async with own_postgres() as database, contextlib.AsyncExitStack() as stack:
        await database.start()
        stage = await stack.enter_async_context(staged(tmp_path, instances=3, enterprises=6, database=[database.port]))
        one_shot = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
        kept_alive = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=8))
        posts = [stage.balanced(await stack.enter_async_context(http)) for http in (one_shot, kept_alive)]
        stream = await stack.enter_async_context(stage.stream())
        rng = random.Random(seed)
        load = Load(stage.offices, [*posts, stream], rng)
        restarts = 0
        async with load.going_on(6.0):
            await asyncio.sleep(2.0)
            for instance in stage.instances * 2:
                await instance.stop()
                await asyncio.sleep(rng.uniform(0.0, 1.0))
                await instance.start()
                restarts += 1
                await asyncio.sleep(rng.uniform(0.5, 2.0))
        verdict = await stage.judged(load.copies, patience_s=240, quiet_s=8)
        how = [f"{name}: {answers(each)}" for name, each in zip(("one-shot", "kept alive"), posts, strict=True)]
        how.append(f"stream: {stream.acknowledged} acknowledged over {stream.connections} connections")
        told(f"{restarts} restarts in turn", seed, stage, load, verdict, began, *how)
        for each in posts:
            assert set(each.answers) == {"200"}, how
