"""Recorded calls are read from the database as they are to be run again; reading changes nothing."""

from __future__ import annotations

import asyncpg
import pytest

from adapters import histories as module
from adapters.histories import Histories
from core.decisions import Limits
from core.history_file import HERE, HistoryFile
from core.other_settings import LATEST
from tests.playback import as_call_event, recording
from tests.rig import ENTERPRISE, Rig, running

PLAYED = ("ring_group", "inbound_answered", "internal")


def reader(rig: Rig) -> Histories:
    return Histories(rig.service.pool, rig.service.options.vault, limits=Limits(), now_ms=rig.clock)


async def play(rig: Rig) -> None:
    lines = sorted((line for name in PLAYED for line in recording(name)), key=lambda line: line.at_ms)
    rig.clock.now_ms = lines[0].at_ms - 1_000
    for line in lines:
        await rig.wait(max(0, line.at_ms - rig.clock.now_ms))
        await rig.post(*as_call_event(line))
        await rig.settle()
    await rig.wait(60_000)
    await rig.service.runner.catch_up()


async def test_one_a_day_and_everything(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    async with running(database_url) as rig:
        await play(rig)
        found = reader(rig)
        everything = [each async for each in found.everything()]
        assert len(everything) == len({each.call for each in everything}) == await found.count_all() == 3
        calls = {each.call for each in everything}
        first = min(each.folded.first_heard_ms or 0 for each in everything)
        last = max(each.folded.first_heard_ms or 0 for each in everything)
        day = [each async for each in found.day(ENTERPRISE, first, last + 1)]
        assert {each.call for each in day} == calls
        assert [each.folded.first_heard_ms for each in day] == sorted(each.folded.first_heard_ms or 0 for each in day)
        assert await found.count_day(ENTERPRISE, first, last) == 2
        assert [each async for each in found.day("0999", first, last + 1)] == []
        one = await found.one(ENTERPRISE, day[0].call)
        assert one is not None
        assert one.stored == day[0].stored
        assert (one.until_ms, one.enterprise) == (rig.clock.now_ms, ENTERPRISE)
        assert await found.one(ENTERPRISE, "nobody") is None


async def test_settings_come_along_without_their_secrets(database_url: str) -> None:
    async with running(database_url) as rig:
        await play(rig)
        await rig.service.settings.save(ENTERPRISE, {"enabled": False}, by="test", reason="later")
        found = reader(rig)
        one: HistoryFile = await anext(found.everything())
        assert one.settings.enabled
        assert one.settings.has_main_api
        assert one.settings.has_phone_api
        assert (one.config["api_token"], one.config["integration_code"]) == (HERE, HERE)
        assert "webhook_url" not in one.config
        latest = await found.config(ENTERPRISE, LATEST)
        assert latest is not None
        assert latest["enabled"] is False
        assert await found.config(ENTERPRISE, 99) is None
        assert await found.config("0999", LATEST) is None


async def test_nothing_can_be_written_while_it_reads(database_url: str) -> None:
    async with running(database_url) as rig, reader(rig)._reading() as connection:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("DELETE FROM events")


async def test_a_secret_of_another_key_counts_as_none(database_url: str) -> None:
    async with running(database_url) as rig:
        await rig.service.pool.execute(
            "UPDATE settings_revisions SET settings = jsonb_set(settings::jsonb, '{api_token}', '\"fernet:lost\"')::json"
        )
        found = await reader(rig).config(ENTERPRISE, LATEST)
        assert found is not None
        assert found["integration_code"] == HERE
