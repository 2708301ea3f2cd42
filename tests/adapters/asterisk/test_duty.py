"""Which instance keeps which PBX's connection: one each, and the other when that one is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from adapters.asterisk import duty as module
from adapters.asterisk.duty import Duty
from core.call import Call
from tests.adapters.asterisk.peer import Manager, config_of, listening
from tests.adapters.asterisk.support import MemoryClaims
from tests.adapters.asterisk.test_source import Log, kinds, recording, translated
from tests.contracts.pbx_claims import ClaimsContract
from tests.eventually import until


class TestMemoryClaims(ClaimsContract):
    @pytest.fixture
    def claims(self) -> MemoryClaims:
        return MemoryClaims()

    @pytest.fixture
    def nodes(self, claims: MemoryClaims) -> MemoryClaims:
        return claims


@dataclass
class Member:
    node_id: str
    certain: bool = True


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLAIM_EVERY_S", 0.01)


@asynccontextmanager
async def on_duty(claims: MemoryClaims, member: Member, *managers: Manager, log: Log | None = None) -> AsyncIterator[Duty]:
    configs = [config_of(manager, name=f"pbx{number}") for number, manager in enumerate(managers)]
    made = Duty(configs, claims, log or AnyLog(), member, now_ms=lambda: round(time.monotonic() * 1_000))
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class AnyLog(Log):
    """Of whichever PBX."""

    async def open_calls(self, enterprise: str, wire: str) -> list[Call]:
        """See ``Recorder``."""
        return []


def connected(duty: Duty) -> list[str]:
    return sorted(state.name for state in duty.states() if state.state == "connected")


async def test_each_pbx_has_one_instance_and_another_when_that_is_gone() -> None:
    claims = MemoryClaims(living={"a", "b"})
    async with listening(Manager()) as one, listening(Manager()) as two, on_duty(claims, Member("a"), one, two) as first:
        await until(lambda: connected(first) == ["pbx0", "pbx1"])
        async with on_duty(claims, Member("b"), one, two) as second:
            await asyncio.sleep(0.05)
            assert second.states() == []
            claims.living.discard("a")
            await until(lambda: connected(second) == ["pbx0", "pbx1"])
            await until(lambda: first.states() == [])


async def test_an_orderly_end_gives_everything_back() -> None:
    claims = MemoryClaims(living={"a"})
    async with listening(Manager()) as one:
        async with on_duty(claims, Member("a"), one) as duty:
            await until(lambda: connected(duty) == ["pbx0"])
        assert claims.holders == {}


async def test_a_database_that_is_away_ends_no_connection() -> None:
    claims, member = MemoryClaims(living={"a"}), Member("a")
    async with listening(Manager()) as one, on_duty(claims, member, one) as duty:
        await until(lambda: connected(duty) == ["pbx0"])
        claims.away, member.certain = True, False
        await asyncio.sleep(0.05)
        assert connected(duty) == ["pbx0"]
        assert not duty.may_record(), "what is heard waits: another may have taken over"
        claims.away, member.certain, member.node_id = False, True, "a again"
        claims.living = {"a again"}
        await until(duty.may_record)
        assert [state.connections for state in duty.states()] == [1]


async def test_what_was_heard_before_another_took_it_is_recorded_and_nothing_else() -> None:
    claims, a, b, logs = MemoryClaims(living={"a", "b"}), Member("a"), Member("b"), (AnyLog(), AnyLog())
    async with listening(Manager()) as one, on_duty(claims, a, one, log=logs[0]) as first:
        await until(lambda: connected(first) == ["pbx0"])
        async with on_duty(claims, b, one, log=logs[1]) as second:
            claims.away, a.certain, b.certain = True, False, False
            await one.say(*recording("inbound_noanswer"))
            await until(lambda: first.states()[0].messages == len(recording("inbound_noanswer")))
            await asyncio.sleep(0.01)
            claims.away, claims.living, b.node_id, b.certain = False, {"b again"}, "b again", True
            await until(lambda: connected(second) == ["pbx0"])
            await one.say(*recording("ring_group"))
            await until(lambda: len(logs[1].heard) == len(translated("ring_group")))
            assert connected(first) == ["pbx0"], "it does not know yet that it is another's"
            assert logs[0].heard == []
            claims.living, a.node_id, a.certain = {"a again", "b again"}, "a again", True
            await until(lambda: first.states() == [])
            await until(lambda: kinds(logs[0].heard) == translated("inbound_noanswer"))
            await asyncio.sleep(0.05)
            assert kinds(logs[0].heard) == translated("inbound_noanswer"), "the ring group is told by whoever took it"


async def test_before_it_takes_part_it_keeps_nothing() -> None:
    claims, member = MemoryClaims(living={"a"}), Member("")
    async with listening(Manager()) as one, on_duty(claims, member, one) as duty:
        await asyncio.sleep(0.05)
        assert duty.states() == []
        member.node_id = "a"
        await until(lambda: connected(duty) == ["pbx0"])


async def test_without_a_file_there_is_nothing_to_do() -> None:
    await Duty([], MemoryClaims(), AnyLog(), Member("a"), now_ms=lambda: 0).run()
