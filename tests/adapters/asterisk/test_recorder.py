"""A source's way to the log: signals under the settings in force, open calls as they are folded, strangers kept for inspection."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.asterisk.recorder import LogRecorder
from adapters.postgres.pbx import PostgresClaims
from core import ami
from core.lifecycle import Phase
from core.ports import StreamId
from core.signals import Heard
from tests.adapters.asterisk.test_source import NOW_MS, recording
from tests.rig import ENTERPRISE, Rig, running


def heard_of(name: str, until: int | None = None) -> list[Heard]:
    """What is heard of the beginning of a recording."""
    pbx = ami.Pbx(name="lab", enterprise="0367", trunks=("trunk-alpha",))
    state, found = ami.Ami(), list[Heard]()
    for message in recording(name)[:until]:
        state, said = ami.hear(state, message, NOW_MS, pbx)
        found += said
    return found


def recorder_of(rig: Rig, claims: PostgresClaims) -> LogRecorder:
    service = rig.service
    return LogRecorder(service.ingest, service.store, service.settings, claims.open_calls)


@pytest.fixture
async def claims(database_url: str) -> AsyncIterator[PostgresClaims]:
    made = PostgresClaims(database_url)
    yield made
    await made.close()


async def test_what_was_heard_is_on_disk_once_under_the_settings_in_force(database_url: str, claims: PostgresClaims) -> None:
    async with running(database_url) as rig:
        rig.clock.now_ms = NOW_MS
        recorder, heard = recorder_of(rig, claims), heard_of("inbound_answered")
        await recorder.record(ENTERPRISE, heard, again=False)
        await recorder.record(ENTERPRISE, heard, again=True)
        streams = {each.stream for each in heard}
        kept = [event for name in streams for event in await rig.service.store.read(StreamId(enterprise=ENTERPRISE, name=name))]
        assert len(kept) == len(heard)
        assert {event.data["settings_revision"] for event in kept} == {1}
        await rig.settle()
        await rig.wait(60_000)
        (call,) = await rig.rows()
        assert (call["number"], call["extension"], call["open_cards"]) == ("+79161234567", "101", [])


async def test_open_calls_are_folded(database_url: str, claims: PostgresClaims) -> None:
    async with running(database_url) as rig:
        recorder = recorder_of(rig, claims)
        await recorder.record(ENTERPRISE, heard_of("inbound_answered", until=8), again=False)
        (call,) = await recorder.open_calls(ENTERPRISE, "ami/lab")
        assert (call.phase, call.number) == (Phase.ARRIVED, "+79161234567")
        await recorder.record(ENTERPRISE, heard_of("inbound_answered"), again=False)
        assert await recorder.open_calls(ENTERPRISE, "ami/lab") == []
        assert await recorder.country(ENTERPRISE) == "BY"


async def test_an_enterprise_that_nobody_knows(database_url: str, claims: PostgresClaims) -> None:
    """The file may be ahead of the database: what was heard is kept for inspection, and nothing stops."""
    async with running(database_url) as rig:
        recorder = recorder_of(rig, claims)
        assert await recorder.country("0999") is None
        await recorder.record("0999", heard_of("inbound_answered")[:2], again=False)
        rows = await rig.service.pool.fetch("SELECT endpoint, enterprise, field FROM rejected_input")
        assert [tuple(row) for row in rows] == [("ami", "0999", "enterprise_number")] * 2
