"""Clicks through real processes: delivered to several instances at once, and while those are killed. A telephone rings once."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from core.clicks import FRESH_MS, LOST_MS
from tests.exchange import SECRET, FakeApi, provider
from tests.faults.postgres import Postgres, own_postgres
from tests.faults.report import seeded
from tests.faults.stage import Instance, Stage, staged

ENTERPRISE = "0367"


class Clicks:
    """MoySklad's part: where it posts, and what it was answered."""

    def __init__(self, stage: Stage, database: Postgres, path: str) -> None:
        self.stage = stage
        self.database = database
        self.path = path
        self.answers: Counter[int] = Counter()
        self.sent_ms: dict[str, int] = {}

    async def send(self, instance: Instance, number: str, extension: str = "101") -> int:
        """One delivery; 0 when no answer came."""
        body = {"srcNumber": extension, "destNumber": number, "uid": "ivanov@demo"}
        self.sent_ms.setdefault(number, time.time_ns() // 1_000_000)
        try:
            async with asyncio.timeout(5.0), self.stage.http.post(f"{instance.url}{self.path}", json=body) as answer:
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            status = 0
        self.answers[status] += 1
        return status

    async def stages(self) -> Counter[str]:
        """How far the clicks have come, by their streams: the last fact of each that is no repeat."""
        types = await self.database.ask(
            "SELECT coalesce(array_agg(type), '{}') FROM (SELECT DISTINCT ON (stream) type FROM ms.events"
            " WHERE stream LIKE 'click/%' AND type <> 'click_repeated' ORDER BY stream, version DESC) AS t"
        )
        return Counter(map(str, types))

    async def until_decided(self, within_s: float) -> Counter[str]:
        """Once every click is beyond waiting and ordering."""
        async with asyncio.timeout(within_s):
            while True:
                found = await self.stages()
                if not found["click_requested"] and not found["originate_started"]:
                    return found
                await asyncio.sleep(0.2)


async def opened(stage: Stage, database: Postgres) -> Clicks:
    """The enterprise has its secret, and MoySklad its address."""
    await database.ask(f"UPDATE public.enterprises SET secret = '{SECRET}' WHERE number = '{ENTERPRISE}' RETURNING 1")
    async with stage.http.get(f"{stage.instances[0].url}/ms-admin/api/config/{ENTERPRISE}") as answer:
        uuid = (await answer.json())["ms"]["webhook_uuid"]
    return Clicks(stage, database, f"/ms/webhook/{uuid}")


def numbers(count: int, start: int = 0) -> list[str]:
    return [f"+37529{1_000_000 + start + each}" for each in range(count)]


def rung(api: FakeApi) -> Counter[str]:
    return Counter(number for _, number in api.orders)


@pytest.mark.slow
async def test_delivered_to_two_instances_at_once_it_rings_once(tmp_path: Path) -> None:
    async with own_postgres() as database, provider() as api:
        await database.start(fsync="off")
        async with staged(tmp_path, instances=2, database=[database.port], variables=api.variables) as stage:
            clicks = await opened(stage, database)
            wanted = [(number, str(101 + index)) for index, number in enumerate(numbers(12))]
            deliveries = [
                clicks.send(instance, number, extension)
                for number, extension in wanted
                for instance in stage.instances * 3
            ]
            await asyncio.gather(*deliveries)
            await clicks.until_decided(20)
            assert clicks.answers == {200: len(deliveries)}
            assert rung(api) == dict.fromkeys((number for number, _ in wanted), 1)


@pytest.mark.slow
async def test_killed_while_the_exchange_is_asked_it_does_not_ring_again(tmp_path: Path) -> None:
    """Started, and no outcome: whoever comes after does not repeat it, and says that nobody knows."""
    async with own_postgres() as database, provider() as api:
        await database.start(fsync="off")
        async with staged(tmp_path, instances=2, database=[database.port], variables=api.variables) as stage:
            clicks = await opened(stage, database)
            api.silent = True
            (number,) = numbers(1)
            assert await clicks.send(stage.instances[0], number) == 200
            async with asyncio.timeout(10):
                await api.ordered.wait()
            for instance in stage.instances:
                await instance.kill()
            api.silent = False
            for instance in stage.instances:
                await instance.start()
            found = await clicks.until_decided(LOST_MS / 1_000 + 30)
            assert found == {"originate_failed": 1}
            assert rung(api) == {number: 1}


@pytest.mark.slow
async def test_clicks_while_instances_are_killed(tmp_path: Path) -> None:
    """Whatever dies when: a click rings once at most, never late, and every one is decided in the end."""
    chance = random.Random(seeded())
    async with own_postgres() as database, provider() as api:
        await database.start(fsync="off")
        async with staged(tmp_path, instances=2, database=[database.port], variables=api.variables) as stage:
            clicks = await opened(stage, database)
            ringing_ms: dict[str, int] = {}
            late: list[str] = []
            watching = asyncio.create_task(watch(api, clicks, ringing_ms, late))
            sent: list[str] = []
            taken: list[str] = []
            for round_ in range(6):
                victim = stage.instances[round_ % 2]
                killing = asyncio.create_task(kill_after(victim, chance.random() * 1.5))
                for number in numbers(8, start=8 * round_):
                    sent.append(number)
                    statuses = await asyncio.gather(*(clicks.send(each, number, f"{101 + len(sent)}") for each in stage.instances))
                    if 200 in statuses:
                        taken.append(number)
                    await asyncio.sleep(chance.random() * 0.3)
                await killing
                await victim.start()
            found = await clicks.until_decided(LOST_MS / 1_000 + 30)
            watching.cancel()
            assert max(rung(api).values()) == 1
            assert late == []
            assert set(rung(api)) <= set(sent)
            done, failed = found["originate_done"] + found["click_unmatched"], found["originate_failed"] + found["click_expired"]
            assert done + failed >= len(taken)
            assert len(set(taken) & set(rung(api))) >= len(taken) * 2 // 3, found


async def kill_after(instance: Instance, seconds: float) -> None:
    """SIGKILL, some time from now."""
    await asyncio.sleep(seconds)
    await instance.kill()


async def watch(api: FakeApi, clicks: Clicks, ringing_ms: dict[str, int], late: list[str]) -> None:
    """Notice every order that comes later after its click than it may."""
    while True:
        for _, number in api.orders[len(ringing_ms) :]:
            now_ms = time.time_ns() // 1_000_000
            ringing_ms[number] = now_ms
            if now_ms - clicks.sent_ms[number] > FRESH_MS + 1_500:
                late.append(number)
        await asyncio.sleep(0.02)
