"""One PBX as a source: what was heard is recorded in order and once, whatever befalls the connection and the database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.asterisk import connection as connection_module
from adapters.asterisk.source import FIRST_WAIT_S, LONGEST_WAIT_S, REFUSED_WAIT_S, Source, State
from core import ami
from core.call import Call, fold, initial
from core.errors import StoreUnavailable
from core.events import Event, HangupObserved
from core.signals import Heard
from tests.adapters.asterisk.peer import Manager, config_of, listening
from tests.ami_lab import core_show_channels
from tests.eventually import until
from tests.playback import FOLDER

NOW_MS = 1_795_860_000_000


def recording(name: str) -> list[dict[str, str]]:
    """What Asterisk said in a recorded run."""
    return [json.loads(line)["event"] for line in (FOLDER / "ami" / f"{name}.jsonl").read_text().splitlines()]


@dataclass
class Log:
    """A recorder in memory. ``away``: so many times from now on the database is away."""

    heard: list[Heard] = field(default_factory=list)
    again: list[bool] = field(default_factory=list)
    away: int = 0
    open: list[Call] = field(default_factory=list)
    looks: int = 0

    async def record(self, enterprise: str, heard: Sequence[Heard], *, again: bool) -> None:
        """See ``Recorder``."""
        assert enterprise == "0367"
        if self.away:
            self.away -= 1
            raise StoreUnavailable("away")
        self.again.append(again)
        self.heard += heard

    async def open_calls(self, enterprise: str, wire: str) -> list[Call]:
        """See ``Recorder``."""
        assert (enterprise, wire) == ("0367", "ami/lab")
        self.looks += 1
        return self.open

    async def country(self, enterprise: str) -> str | None:
        """See ``Recorder``."""
        return "RU"


@dataclass
class Waits:
    """A sleep that lasts no time and remembers how long it should have."""

    asked: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        await asyncio.sleep(0.001)


@dataclass
class Stage:
    """A manager, a source connected to it, and its recorder."""

    manager: Manager
    source: Source
    log: Log
    waits: Waits
    task: asyncio.Task[None]

    async def until_connected(self) -> None:
        """Return once it listens."""
        await until(lambda: self.source.state.state == "connected")

    def taken(self) -> int:
        """How many messages were read, recorded or not."""
        return self.source.state.messages + self.source.state.waiting

    async def play(self, messages: Sequence[dict[str, str]]) -> None:
        """Let Asterisk say it, and wait until it was taken."""
        before = self.source.state.messages
        await self.manager.say(*messages)
        await until(lambda: self.source.state.messages >= before + len(messages))


@asynccontextmanager
async def staged(manager: Manager | None = None, log: Log | None = None, **options: Any) -> AsyncIterator[Stage]:
    async with listening(manager or Manager()) as peer:
        log, waits = log or Log(), Waits()
        given: dict[str, Any] = {"now_ms": lambda: NOW_MS, "sleep": waits, "chance": lambda: 1.0} | options
        source = Source(config_of(peer), log, **given)
        task = asyncio.create_task(source.run())
        try:
            yield Stage(peer, source, log, waits, task)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def kinds(heard: Sequence[Heard]) -> list[tuple[str, str]]:
    return [(each.stream, each.event.type) for each in heard]


def translated(name: str) -> list[tuple[str, str]]:
    """What the translation alone makes of a recording."""
    state, found = ami.Ami(), list[Heard]()
    pbx = ami.Pbx(name="lab", enterprise="0367", trunks=("trunk-alpha", "trunk-beta"), country="RU")
    for message in recording(name):
        state, said = ami.hear(state, message, NOW_MS, pbx)
        found += said
    _, said = ami.tick(state, state.due_ms or NOW_MS, pbx)
    return kinds([*found, *said])


@pytest.mark.parametrize("name", ["inbound_answered", "ring_group", "attended_transfer", "click_to_call"])
async def test_what_asterisk_says_is_recorded_in_order(name: str) -> None:
    async with staged() as stage:
        await stage.until_connected()
        await stage.play(recording(name))
        expected = translated(name)
        await until(lambda: len(stage.log.heard) >= len(expected))
        assert kinds(stage.log.heard) == expected
        assert {each.event.wire for each in stage.log.heard} == {"ami/lab"}


async def test_while_the_database_is_away_it_waits_and_says_so_to_whoever_records() -> None:
    async with staged() as stage:
        await stage.until_connected()
        stage.log.away = 3
        await stage.play(recording("inbound_answered"))
        expected = translated("inbound_answered")
        await until(lambda: len(stage.log.heard) >= len(expected))
        assert kinds(stage.log.heard) == expected
        assert stage.log.again[0], "an earlier attempt may have been recorded"


async def test_what_cannot_be_recorded_for_long_ends_the_connection_and_a_resync_tells_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "MAX_WAITING", 10)
    async with staged() as stage:
        await stage.until_connected()
        stage.log.away = 1_000_000
        await stage.manager.say(*recording("inbound_answered"), *recording("ring_group"))
        await until(lambda: stage.log.away < 999_990)
        heard, looks = len(stage.log.heard), stage.log.looks
        stage.log.away = 0
        await until(lambda: stage.log.looks > looks)
        assert len(stage.log.heard) > heard, "what was heard before is recorded first"
        assert kinds(stage.log.heard)[0] == translated("inbound_answered")[0]


async def test_messages_that_come_while_the_channels_are_listed_are_heard_after_it() -> None:
    said = recording("inbound_answered")
    async with staged(Manager(while_listing=said)) as stage:
        await until(lambda: len(stage.log.heard) >= len(translated("inbound_answered")))
        assert kinds(stage.log.heard) == translated("inbound_answered")


async def test_a_call_that_ended_while_nobody_listened_is_closed_also_by_another_process() -> None:
    log = Log()
    async with staged(log=log) as stage:
        await stage.until_connected()
        await stage.play(recording("inbound_answered")[:9])
    events: list[Event] = [each.event for each in log.heard if each.stream.startswith("call/")]
    assert events
    call = next(each.stream for each in log.heard if each.stream.startswith("call/")).removeprefix("call/")
    later = Log(open=[fold(initial("0367", call), events)])
    async with staged(log=later) as stage:
        await stage.until_connected()
        ends = [each for each in later.heard if isinstance(each.event, HangupObserved)]
        assert [each.stream for each in ends] == [f"call/{call}"]
        assert stage.source.state.closed == 1


async def test_the_channels_are_of_when_they_were_listed_however_long_the_database_takes() -> None:
    clock = [NOW_MS]

    class Slow(Log):
        async def country(self, enterprise: str) -> str | None:
            clock[0] += 60_000
            return "RU"

    channels = core_show_channels([(NOW_MS, message) for message in recording("inbound_answered")[:7]])
    async with staged(Manager(channels=channels), Slow(), now_ms=lambda: clock[0]) as stage:
        await until(lambda: kinds(stage.log.heard) == translated("inbound_answered")[:2])
        assert {each.event.heard_ms for each in stage.log.heard} == {NOW_MS}


@pytest.mark.parametrize("held_back", ["dial_observed", "hangup_observed"])
async def test_what_is_held_back_is_said_when_the_connection_ends(held_back: str) -> None:
    said = recording("inbound_answered")
    if held_back == "dial_observed":
        said = said[:5]  # another telephone may begin to ring beside it
    else:
        said = [each for each in said if not (each["Event"] == "Hangup" and "/101-" in each["Channel"])]
    async with staged() as stage:
        await stage.until_connected()
        await stage.play(said)
        assert held_back not in {each.event.type for each in stage.log.heard}
        await stage.manager.stop_listening()
        await until(lambda: stage.source.state.state == "waiting")
        assert kinds(stage.log.heard)[-1][1] == held_back


async def test_it_connects_again_and_waits_longer_each_time() -> None:
    async with staged() as stage:
        await stage.until_connected()
        await stage.manager.stop_listening()
        await until(lambda: len(stage.waits.asked) >= 8)
        assert stage.waits.asked[:3] == [FIRST_WAIT_S, FIRST_WAIT_S * 2, FIRST_WAIT_S * 4]
        assert stage.waits.asked[7] == LONGEST_WAIT_S
        state = stage.source.state
        assert state.state in ("waiting", "connecting")
        assert (state.reason, state.remedy) == (
            f"nobody listens at {state.where}",
            "is Asterisk running, and its manager enabled there?",
        )
        async with listening(stage.manager):
            await until(lambda: stage.source.state.connections == 2)
            assert stage.source.state.reason == ""


async def test_a_refused_login_is_not_repeated_soon() -> None:
    async with staged(Manager(lets_in=False)) as stage:
        await until(lambda: stage.waits.asked)
        assert stage.waits.asked[0] == REFUSED_WAIT_S
        assert "refuses the login" in stage.source.state.reason


async def test_a_user_who_may_not_see_channels_is_told_what_to_add() -> None:
    async with staged(Manager(lists_channels=False)) as stage:
        await until(lambda: stage.waits.asked)
        assert stage.waits.asked[0] == REFUSED_WAIT_S
        assert "does not show its channels" in stage.source.state.reason
        assert "reporting" in stage.source.state.remedy


async def test_what_may_be_another_s_is_not_recorded() -> None:
    allowed = [True]
    async with staged(may_record=lambda: allowed[0]) as stage:
        await stage.until_connected()
        allowed[0] = False
        await stage.manager.say(*recording("inbound_answered"))
        await until(lambda: len(stage.waits.asked) > 5)
        assert stage.log.heard == []
        allowed[0] = True
        await until(lambda: len(stage.log.heard) >= len(translated("inbound_answered")))


async def test_let_go_it_records_what_it_heard_before_and_ends() -> None:
    allowed, clock, before, after = [True], [NOW_MS], recording("inbound_noanswer"), recording("ring_group")
    async with staged(may_record=lambda: allowed[0], now_ms=lambda: clock[0]) as stage:
        await stage.until_connected()
        allowed[0] = False
        await stage.manager.say(*before)
        await until(lambda: stage.taken() == len(before))
        clock[0] += 1_000
        await stage.manager.say(*after)
        await until(lambda: stage.taken() == len(before) + len(after))
        assert stage.source.let_go(NOW_MS + 500)
        allowed[0] = True
        await stage.task
        assert kinds(stage.log.heard) == translated("inbound_noanswer")


async def test_let_go_before_it_compared_the_channels_it_records_nothing() -> None:
    async with staged(may_record=lambda: False) as stage:
        await until(lambda: stage.waits.asked)
        assert not stage.source.let_go(NOW_MS), "the other one has recorded calls that are younger than the list"


def test_a_state_is_told_whole() -> None:
    told = State(name="lab", enterprise="0367", where="127.0.0.1:5038").as_json()
    assert (told["name"], told["state"], told["heard_ms"], told["closed"]) == ("lab", "connecting", None, 0)
