"""PostgreSQL killed, restarted, frozen, slow, full, and replaced by its standby, while calls go on.

The sender behaves as the dispatcher does: it waits three seconds, and never sends anything twice. So every post has to be answered
200, which means that it is on disk: in the log, or in the spool until that can be written. Afterwards nothing is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.postgres import Postgres, fill, own_postgres, small_disk
from tests.faults.report import answers, seeded, told
from tests.faults.stage import Stage, staged
from tests.faults.traffic import Load, Posts

pytestmark = pytest.mark.slow

ENTERPRISES = 4
PER_S = 4.0
PATIENCE_S = 240
QUIET_S = 8
DISK_MB = 320


def nothing_had_to_be_sent_twice(posts: Posts) -> None:
    """The dispatcher waits three seconds and forgets what is not answered 200 within them."""
    assert set(posts.answers) == {"200"}, answers(posts)


async def test_the_postmaster_killed(tmp_path: Path) -> None:
    seed, began = seeded(), time.monotonic()
    async with own_postgres() as database:
        await database.start()
        async with staged(tmp_path, enterprises=ENTERPRISES, database=[database.port]) as stage:
            rng, posts = random.Random(seed), stage.posts()
            load = Load(stage.offices, [posts], rng)
            async with load.going_on(PER_S):
                for _ in range(6):
                    await asyncio.sleep(rng.uniform(1.0, 4.0))
                    await database.kill()
                    await asyncio.sleep(rng.uniform(0.0, 2.0))
                    await database.start()
                await asyncio.sleep(2.0)
            verdict = await stage.judged(load.copies, patience_s=PATIENCE_S, quiet_s=QUIET_S)
            told("postmaster killed 6 times", seed, stage, load, verdict, began, answers(posts))
            nothing_had_to_be_sent_twice(posts)


async def test_restarts_and_terminated_back_ends(tmp_path: Path) -> None:
    seed, began = seeded(), time.monotonic()
    async with own_postgres() as database:
        await database.start()
        async with staged(tmp_path, enterprises=ENTERPRISES, database=[database.port]) as stage:
            rng, posts = random.Random(seed), stage.posts()
            load, ended = Load(stage.offices, [posts], rng), 0
            async with load.going_on(PER_S):
                for _ in range(2):
                    await asyncio.sleep(rng.uniform(1.0, 3.0))
                    await database.stop()
                    await asyncio.sleep(rng.uniform(0.0, 5.0))
                    await database.start()
                for _ in range(30):
                    await asyncio.sleep(rng.uniform(0.05, 0.8))
                    ended += await database.terminate_back_ends()
                await asyncio.sleep(1.0)
            verdict = await stage.judged(load.copies, patience_s=PATIENCE_S, quiet_s=QUIET_S)
            what = f"2 restarts, {ended} back ends terminated"
            told(what, seed, stage, load, verdict, began, answers(posts))
            nothing_had_to_be_sent_twice(posts)


async def test_a_frozen_server(tmp_path: Path) -> None:
    """SIGSTOP for ten seconds: connections stay open, nothing answers; a kernel that swaps looks like this."""
    seed, began = seeded(), time.monotonic()
    async with own_postgres() as database:
        await database.start()
        async with staged(tmp_path, enterprises=ENTERPRISES, database=[database.port]) as stage:
            rng, posts = random.Random(seed), stage.posts()
            load = Load(stage.offices, [posts], rng)
            async with load.going_on(PER_S):
                for _ in range(2):
                    await asyncio.sleep(rng.uniform(2.0, 4.0))
                    database.freeze()
                    await asyncio.sleep(10.0)
                    database.thaw()
                await asyncio.sleep(3.0)
            verdict = await stage.judged(load.copies, patience_s=PATIENCE_S, quiet_s=QUIET_S)
            told("frozen twice for 10 s", seed, stage, load, verdict, began, answers(posts))
            nothing_had_to_be_sent_twice(posts)


async def test_the_service_killed_while_the_database_is_away(tmp_path: Path) -> None:
    """What its spool holds is taken in after its next start, and so is what comes while that waits for the database."""
    seed, began = seeded(), time.monotonic()
    async with own_postgres() as database:
        await database.start()
        async with staged(tmp_path, enterprises=ENTERPRISES, database=[database.port]) as stage:
            rng, posts, service = random.Random(seed), stage.posts(), stage.instances[0]
            load = Load(stage.offices, [posts], rng)
            async with load.going_on(PER_S):
                for _ in range(2):
                    await asyncio.sleep(rng.uniform(2.0, 4.0))
                    await database.kill()
                    await asyncio.sleep(rng.uniform(2.0, 4.0))
                    await service.kill()
                    starting = asyncio.create_task(service.start())
                    await asyncio.sleep(rng.uniform(4.0, 6.0))
                    assert not await service.is_well(), "it waits for its database"
                    await database.start()
                    await starting
                await asyncio.sleep(2.0)
            verdict = await stage.judged(load.copies, patience_s=PATIENCE_S, quiet_s=QUIET_S)
            told("killed twice without a database", seed, stage, load, verdict, began, answers(posts))
            assert set(posts.answers) <= {"200", "lost"}, "lost: while it was down"


async def test_slow_commits(tmp_path: Path) -> None:
    """Every commit waits for a standby that is stopped four fifths of the time: reading is fast, being on disk is slow."""
    seed, began = seeded(), time.monotonic()
    async with with_standby() as (database, standby), _stage(tmp_path, [database]) as stage:
        rng, posts = random.Random(seed), stage.posts()
        load = Load(stage.offices, [posts], rng)
        async with load.going_on(PER_S):
            for _ in range(15):
                standby.freeze()
                await asyncio.sleep(rng.uniform(0.5, 2.0))
                standby.thaw()
                await asyncio.sleep(0.2)
        verdict = await stage.judged(load.copies, patience_s=PATIENCE_S, quiet_s=QUIET_S)
        told("slow commits for 20 s", seed, stage, load, verdict, began, answers(posts))
        nothing_had_to_be_sent_twice(posts)


@pytest.mark.parametrize("behind", [False, True], ids=["in step", "behind"])
async def test_fail_over_to_the_standby(tmp_path: Path, behind: bool) -> None:
    """The primary is killed and never comes back. ``behind``: the standby hung before, so nothing may count as recorded then."""
    seed, began = seeded(), time.monotonic()
    async with with_standby() as (database, standby), _stage(tmp_path, [database, standby]) as stage:
        rng, posts = random.Random(seed), stage.posts()
        load = Load(stage.offices, [posts], rng)
        async with load.going_on(PER_S):
            await asyncio.sleep(rng.uniform(4.0, 6.0))
            kept = 0.0
            if behind:
                standby.freeze()
                await asyncio.sleep(8.0)
                kept = await stage.instances[0].figure('ms_signals_total{result="spooled"}')
            await database.kill()
            if behind:
                standby.thaw()
            await asyncio.sleep(rng.uniform(0.0, 1.0))
            promoted = time.monotonic()
            await standby.promote()
            await stage.instances[0].until_well()
            back_s = time.monotonic() - promoted
            await asyncio.sleep(4.0)
        verdict = await stage.judged(load.copies, patience_s=PATIENCE_S, quiet_s=QUIET_S)
        what = f"fail-over to a standby that was {'behind' if behind else 'in step'}"
        told(what, seed, stage, load, verdict, began, answers(posts), f"well again {back_s:.1f} s after the promotion")
        assert (kept > 0) is behind, "the standby did not have it yet"
        nothing_had_to_be_sent_twice(posts)


async def test_a_full_disk(tmp_path: Path) -> None:
    """PostgreSQL's disk fills up to the last page, log segments included, for twenty seconds; its supervisor restarts it."""
    seed, began = seeded(), time.monotonic()
    async with small_disk(DISK_MB) as disk, own_postgres(disk / "server") as database:
        await database.start()
        async with database.supervised(), staged(tmp_path, enterprises=ENTERPRISES, database=[database.port]) as stage:
            rng, posts = random.Random(seed), stage.posts()
            load = Load(stage.offices, [posts], rng)
            async with load.going_on(PER_S):
                await asyncio.sleep(3.0)
                filler = await asyncio.to_thread(fill, disk)
                for _ in range(8):  # use up the log segments made in advance
                    with contextlib.suppress(Exception):
                        await database.ask("SELECT pg_switch_wal()")
                await asyncio.sleep(20.0)
                kept = await stage.instances[0].figure('ms_signals_total{result="spooled"}')
                filler.unlink()
                freed = time.monotonic()
                await database.until_ready()
                await stage.instances[0].until_well()
                back_s = time.monotonic() - freed
                await asyncio.sleep(4.0)
            verdict = await stage.judged(load.copies, patience_s=PATIENCE_S, quiet_s=QUIET_S)
            how = f"PostgreSQL started {database.starts} times, well again {back_s:.1f} s after there was room"
            told("full disk for 20 s", seed, stage, load, verdict, began, answers(posts), how)
            assert kept > 0, "the disk was not full enough to matter"
            nothing_had_to_be_sent_twice(posts)


@contextlib.asynccontextmanager
async def with_standby() -> AsyncIterator[tuple[Postgres, Postgres]]:
    """A primary and its synchronous standby: what is acknowledged is on both disks."""
    async with own_postgres() as primary, own_postgres() as standby:
        await primary.start()
        await standby.follow(primary)
        await primary.wait_for_standby()
        yield primary, standby


@contextlib.asynccontextmanager
async def _stage(folder: Path, servers: list[Postgres]) -> AsyncIterator[Stage]:
    async with staged(folder, enterprises=ENTERPRISES, database=[server.port for server in servers]) as stage:
        yield stage
