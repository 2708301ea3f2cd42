"""``./ms.sh replay --against``: what is asked, how it is told, and what the exit status says."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import pytest
from click.testing import CliRunner

from adapters.histories import Histories
from adapters.replay_command import Asked, Words, _Progress, answered, asked, day_ms
from core.decisions import Limits
from projections.difference_text import Tally, as_json, render
from tests.adapters.test_histories import play
from tests.rig import ENTERPRISE, running

FOLDER = Path(__file__).parents[1] / "histories"
MINSK = ZoneInfo("Europe/Minsk")
SILENT = ("notifications.call_notify_mode=none",)


class Told:
    """What was said, and to whom."""

    def __init__(self, *, json_: bool = False) -> None:
        self.answer: list[str] = []
        self.beside: list[str] = []
        self.words = Words(
            render=render,
            as_json=as_json,
            tally=Tally,
            echo=self.answer.append,
            complain=self.beside.append,
            zone=MINSK,
            json=json_,
        )


@asynccontextmanager
async def no_database() -> AsyncIterator[tuple[Any, Histories]]:
    raise AssertionError("a corpus needs no database")
    yield  # pragma: no cover


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Some histories in a folder of their own."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in ("ring_group", "no-cards", "internal"):
        shutil.copy(FOLDER / "0.1.0" / f"{name}.jsonl", folder)
    return folder


async def test_a_corpus_in_which_nothing_differs_passes(few: Path) -> None:
    told = Told()
    assert await answered(Asked(corpus=few), told.words, no_database) == 0
    assert told.answer == ["0 of 3 calls differ"]


async def test_a_difference_that_nobody_approved_fails_until_it_is(few: Path) -> None:
    told, approved = Told(), few.parent / "approved.json"
    question = Asked(corpus=few, against=SILENT)
    assert await answered(question, told.words, no_database) == 1
    assert any(line.startswith("ring_group.jsonl: card 101 would be otherwise, and nobody approved it") for line in told.beside)
    assert await answered(replace(question, approved=approved, approve=True), told.words, no_database) == 0
    assert await answered(replace(question, approved=approved), told.words, no_database) == 0
    # And when it does not happen any more, the approval is out of date.
    told.beside.clear()
    assert await answered(Asked(corpus=few, approved=approved), told.words, no_database) == 1
    assert told.beside
    assert all("approved, and not so any more" in line for line in told.beside)
    assert await answered(Asked(corpus=few, approved=approved, approve=True), told.words, no_database) == 0
    assert json.loads(approved.read_text()) == {"histories": {}}


async def test_a_corpus_as_json_is_a_line_for_each_difference_and_the_sum(few: Path) -> None:
    told = Told(json_=True)
    assert await answered(Asked(corpus=few, against=SILENT), told.words, no_database) == 1
    *lines, last = map(json.loads, told.answer)
    assert [line["file"] for line in lines] == ["ring_group.jsonl"]
    assert last["sum"]["calls"] == 3
    assert last["sum"]["differing"] == 1


async def test_a_call_a_day_and_everything_from_the_database(database_url: str) -> None:
    async with running(database_url) as rig:
        await play(rig)

        @asynccontextmanager
        async def opened() -> AsyncIterator[tuple[Any, Histories]]:
            yield rig.service.pool, Histories(rig.service.pool, rig.service.options.vault, limits=Limits(), now_ms=rig.clock)

        before = await rig.service.store.head(), len(await rig.requests()), len(await rig.requests("remap"))
        call = str(await rig.service.pool.fetchval("SELECT call FROM calls WHERE outcome = 'answered' ORDER BY call LIMIT 1"))
        told = Told()
        assert await answered(Asked(enterprise=ENTERPRISE, name=call, against=SILENT), told.words, opened) == 0
        assert "the card would not be shown to" in told.answer[0]
        assert await answered(Asked(enterprise=ENTERPRISE, name=call, against=("code",)), told.words, opened) == 0
        assert told.answer[1].endswith("nothing would be otherwise")
        told.answer.clear()
        assert await answered(Asked(enterprise=ENTERPRISE, day="2026-11-23", against=SILENT), told.words, opened) == 0
        assert told.answer[0] == "2 of 3 calls differ"
        told.answer.clear()
        assert await answered(Asked(everything=True), told.words, opened) == 0
        assert told.answer == ["0 of 3 calls differ"]
        assert await answered(Asked(enterprise=ENTERPRISE, name=call, against=("revision:99",)), told.words, opened) == 2
        with pytest.raises(ValueError, match="has no call"):
            await answered(Asked(enterprise=ENTERPRISE, name="nobody", against=SILENT), told.words, opened)
        assert before == (await rig.service.store.head(), len(await rig.requests()), len(await rig.requests("remap")))
        await rig.service.settings.save(ENTERPRISE, {"timezone": "Pacific/Kiritimati"}, by="test", reason="")
        for day, calls in (("2026-11-23", 0), ("2026-11-24", 3)):
            told.answer.clear()
            assert await answered(Asked(enterprise=ENTERPRISE, day=day), told.words, opened) == 0
            assert told.answer[0] == f"0 of {calls} calls differ", "the PBX's own day"
        told.answer.clear()
        assert await answered(Asked(enterprise=ENTERPRISE, name=call, against=SILENT), told.words, opened) == 0
        assert ", 2026-11-24 02:28:32, from " in told.answer[0], "and its own time"


@pytest.mark.parametrize(
    "question",
    [
        Asked(against=SILENT),
        Asked(enterprise="0367", against=SILENT),
        Asked(enterprise="0367", name="A", day="2026-11-23"),
        Asked(enterprise="0367", everything=True),
        Asked(day="2026-11-23"),
        Asked(everything=True, approve=True),
        Asked(corpus=FOLDER, approve=True),
    ],
)
async def test_what_makes_no_sense_is_said(question: Asked) -> None:
    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[Any, Any]]:
        yield None, None

    with pytest.raises(ValueError, match=r"name ENTERPRISE CALL|--approve"):
        await answered(question, Told().words, opened)


def test_a_day_of_the_pbx() -> None:
    from_ms, to_ms = day_ms("2026-11-23", MINSK)
    assert (to_ms - from_ms, from_ms) == (86_400_000, 1_795_381_200_000)
    with pytest.raises(ValueError, match="day"):
        day_ms("soon", MINSK)


def test_options_become_a_question() -> None:
    found: list[Asked] = []

    @click.command()
    @asked
    @click.option("--full", is_flag=True)
    def command(question: Asked, full: bool) -> None:
        assert full
        found.append(question)

    result = CliRunner().invoke(command, ["0367", "A", "--against", "code", "--against", "a=b", "--json", "--full"])
    assert result.exit_code == 0, result.output
    assert found == [Asked(enterprise="0367", name="A", against=("code", "a=b"), as_json=True)]
    assert found[0].is_what_if
    assert not Asked(enterprise="0367", name="A").is_what_if


def test_progress_is_told_now_and_then() -> None:
    said: list[str] = []
    now = iter((0.4, 1.2, 1.2, 1.5, 2.4, 2.4))
    progress = _Progress(said.append, 2_000, clock=lambda: next(now), told_s=0.0)
    for count in (10, 1_500, 1_600, 1_700):
        progress(count)
    assert said == ["1,500 of 2,000 calls", "1,700 of 2,000 calls"]

