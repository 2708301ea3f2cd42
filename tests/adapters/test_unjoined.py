"""What is not joined yet, by enterprise: who is not concerned does not wait, and what is not known is not said."""

from __future__ import annotations

import pytest

from adapters import unjoined as module
from adapters.attendant import new_event
from adapters.click_joiner import new_click_event
from adapters.memory_store import MemoryEventStore
from adapters.unjoined import CLICKED_MS, EARLIER_MS, LOOK_MS, Unjoined, may_join
from core.clicks import OriginateStarted
from core.events import CallSettled
from core.ports import Append, NewEvent, StreamId
from tests.scenario import heard, ms

TALK = """
    0.0   A  start
    0.2   A  dial    101
    5.0   A  enter   b1 customer
    5.0   A  enter   b1 101
    35.0  A  leave   b1 customer
    35.4  A  hangup  101 answered
"""


class At:
    """Somebody's commits, and a clock."""

    def __init__(self) -> None:
        self.store = MemoryEventStore()
        self.now_ms = 1_000_000
        self.unjoined = Unjoined(self.store.tail, lambda: self.now_ms)
        self.clicks: dict[str, int] = {}
        self.asked: list[int] = []

    async def record(self, enterprise: str, name: str, event: NewEvent) -> int:
        done = await self.store.append(Append(stream=StreamId(enterprise=enterprise, name=name), events=(event,)))
        return done.position

    async def hear(self, table: str, enterprise: str = "0367") -> list[int]:
        return [await self.record(enterprise, name, new_event(event)) for name, event in heard(table)]

    async def clicked(self, since_ms: int) -> dict[str, int]:
        self.asked.append(since_ms)
        return self.clicks


async def test_a_hangup_waits_for_what_was_heard_before_it_and_for_nothing_else() -> None:
    at = At()
    *_, leave, hangup = await at.hear(TALK)
    assert at.unjoined.joined_until("0367", leave - 1) == leave - 1
    assert at.unjoined.joined_until("0367", leave) == hangup, "the hangup itself proves nothing of a leg"


async def test_another_enterprise_s_legs_are_not_waited_for() -> None:
    at = At()
    await at.hear(TALK)
    (last,) = await at.hear("0 B start", enterprise="0999")
    assert at.unjoined.joined_until("0998", 0) == last
    assert at.unjoined.joined_until("0999", 0) == last - 1
    assert at.unjoined.joined_until("0999", last) == last


async def test_what_became_of_effects_is_not_waited_for() -> None:
    at = At()
    await at.record("0367", "call/A", new_event(CallSettled(at_ms=1, reason="over")))
    assert at.unjoined.joined_until("0367", 0) == 1
    assert not any(map(may_join, await at.store.read_log(0, 10)))


async def test_the_only_signal_of_a_call_may_join_what_waits_for_it() -> None:
    at = At()
    (hangup,) = await at.hear("35.4 A hangup 101 answered")
    assert at.unjoined.joined_until("0367", 0) == hangup - 1


async def test_an_internal_hangup_may_be_another_call_s_leg() -> None:
    at = At()
    start, hangup = await at.hear("0 C dial 102 internal\n9 C hangup 102 internal answered")
    assert at.unjoined.joined_until("0367", start) == hangup - 1


async def test_before_what_others_recorded_is_joined_only_the_switchboard_s_place_is_certain() -> None:
    at = At()
    await at.hear("0 A start")
    at.store.tail.passed(4)
    assert at.unjoined.joined_until("0999", 3) == 3
    assert at.unjoined.joined_until("0999", 4) == 4
    assert Unjoined(MemoryEventStore().tail, lambda: 0).joined_until("0367", 0) == 0


async def test_a_switchboard_that_stands_still_costs_no_memory_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    at = At()
    *_, hangup = await at.hear(TALK)
    assert at.unjoined.joined_until("0999", 0) == 0, "more than it keeps: not known"
    assert at.unjoined.joined_until("0999", hangup) == hangup


async def test_a_channel_that_was_in_a_bridge_may_be_a_leg(monkeypatch: pytest.MonkeyPatch) -> None:
    at = At()
    await at.hear("0 A dial 101 out\n5 A enter b1 101\n5 A enter b1 customer channel=T")
    known = [at.unjoined.may_be_leg(*each) for each in (("0367", "T"), ("0367", "A"), ("0367", "B"), ("0999", "T"))]
    assert known == [True, True, False, False]
    monkeypatch.setattr(module, "MOST_CHANNELS", 2)
    await at.hear("9 B enter b2 101 channel=E")
    assert [at.unjoined.may_be_leg("0367", channel) for channel in ("A", "T", "E")] == [False, True, True]


async def test_a_call_whose_channel_was_heard_of_well_before_began_then(monkeypatch: pytest.MonkeyPatch) -> None:
    at = At()
    await at.hear("0 A callerid A\n1.1 A callerid A\n1.1 A dial 101 out")
    began = [at.unjoined.began_before("0367", "A", ms(first)) for first in (1.1, EARLIER_MS / 1_000, 0)]
    assert began == [True, False, False]
    assert not at.unjoined.began_before("0367", "B", ms(1.1))
    assert not at.unjoined.began_before("0999", "A", ms(1.1))
    monkeypatch.setattr(module, "MOST_CHANNELS", 1)
    await at.hear("2 B callerid B")
    assert not at.unjoined.began_before("0367", "A", ms(1.1)), "so many channels are remembered"


async def test_clicks_of_others_are_asked_for_once_all_they_recorded_is_joined() -> None:
    at = At()
    await at.hear("0 A start")
    at.store.tail.passed(7)
    assert at.unjoined.may_be_clicks("0367"), "not known yet"
    assert not at.unjoined.asks_for_clicks(6)
    assert at.unjoined.asks_for_clicks(7)
    at.clicks = {"0367": at.now_ms - 1_000}
    await at.unjoined.learn_clicks(at.clicked)
    assert at.asked == [at.now_ms - CLICKED_MS]
    assert not at.unjoined.asks_for_clicks(7)
    assert (at.unjoined.may_be_clicks("0367"), at.unjoined.may_be_clicks("0999")) == (True, False)
    at.now_ms += CLICKED_MS - 1_000
    assert not at.unjoined.may_be_clicks("0367")
    at.store.tail.passed(9)
    assert at.unjoined.may_be_clicks("0999"), "somebody else recorded something: it may have been a click"


async def test_they_are_not_asked_for_with_every_commit_of_others() -> None:
    at = At()
    at.store.tail.passed(7)
    await at.unjoined.learn_clicks(at.clicked)
    at.store.tail.passed(8)
    assert not at.unjoined.asks_for_clicks(8)
    at.now_ms += LOOK_MS
    assert at.unjoined.asks_for_clicks(8)


async def test_our_own_clicks_are_known_at_once() -> None:
    at = At()
    await at.hear("0 A start")
    await at.unjoined.learn_clicks(at.clicked)
    assert not at.unjoined.may_be_clicks("0367")
    started = OriginateStarted(at_ms=0, way="http", channel_id="click-a", extension="101", number="+375290000001", uid="i@demo")
    await at.record("0367", "click/a", new_click_event(started))
    assert at.unjoined.may_be_clicks("0367")
    assert any(map(may_join, await at.store.read_log(1, 10)))
