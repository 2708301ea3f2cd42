"""A call that came of a click: what rings before the customer is dialled changes nothing of what is said of it in the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.call import Call, attribution, end_ms, fold, initial, is_answered, outcome
from core.decisions import Limits
from core.events import ArrivalObserved, BridgeEntered, ClickJoined, DialObserved, Event, HangupObserved
from core.lifecycle import Phase
from core.plan import plan
from core.talk import Parties, Stay
from core.values import ANONYMOUS, Direction, Outcome
from tests.settings import SETTINGS
from tests.strategies import EPOCH_MS, History, outgoing

NUMBER = "+375290000001"
CLICK = ClickJoined(heard_ms=EPOCH_MS, click="a", extension="101", number=NUMBER, uid="i@demo", clicked_ms=EPOCH_MS - 500)
OWN = replace(CLICK, own_leg=True)
OUT, IN, INTERNAL = Direction.OUTGOING, Direction.INCOMING, Direction.INTERNAL


def dial(direction: Direction, after_ms: int = 0, **changed: Any) -> DialObserved:
    known: dict[str, Any] = {"number": NUMBER, "extensions": ("101",), "trunk": "t" if direction is OUT else ""}
    return DialObserved(heard_ms=EPOCH_MS + after_ms, channel="1.1", direction=direction, **{**known, **changed})


def hangup(direction: Direction, after_ms: int = 20_000, *, answered: bool = False, **changed: Any) -> HangupObserved:
    known: dict[str, Any] = {"number": NUMBER, "extensions": ("101",), "status": "2" if answered else "0"}
    at_ms = EPOCH_MS + after_ms
    return HangupObserved(
        heard_ms=at_ms, channel="1.1", direction=direction, answered=answered, ended_ms=at_ms, **{**known, **changed}
    )


def call(*events: Event) -> Call:
    return fold(initial("0367", "1.1"), events)


def sent(state: Call) -> bool:
    """Whether MoySklad is told anything of it."""
    return plan(state, SETTINGS, (state.last_heard_ms or 0) + 100_000, Limits()).step is not None


# -- the employee's own telephone ----------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [IN, INTERNAL])
def test_while_only_the_own_telephone_rings_nothing_is_said_to_moysklad(direction: Direction) -> None:
    for events in (
        (dial(direction), OWN),
        (dial(direction), OWN, dial(direction, 200)),
        (dial(direction), OWN, hangup(direction)),
        (dial(direction), hangup(direction), OWN),
        (hangup(direction, answered=True), OWN),
    ):
        state = call(*events)
        assert state.direction is INTERNAL
        assert not state.is_live
        assert not sent(state), events
    notes = plan(call(dial(direction), OWN), SETTINGS, EPOCH_MS, Limits()).notes
    assert [note.text for note in notes] == ["only the telephone of whoever clicked rings: the customer has not been dialled"]


@pytest.mark.parametrize("direction", [IN, INTERNAL])
def test_then_the_customer_is_dialled(direction: Direction) -> None:
    state = call(dial(direction), OWN, dial(OUT, 4_000), CLICK)
    assert (state.phase, state.direction, state.caller, state.number) == (Phase.RINGING, OUT, "101", NUMBER)
    assert state.ringing == ("101",)
    assert sent(state)


def test_a_call_that_came_in_by_a_trunk_is_no_click_s_leg() -> None:
    arrival = ArrivalObserved(heard_ms=EPOCH_MS, channel="1.1", number=NUMBER, trunk="t")
    state = call(arrival, dial(IN, 100), OWN)
    assert (state.direction, state.phase, state.click) == (IN, Phase.RINGING, None)
    assert call(dial(OUT), OWN).click is None


def test_the_own_picking_up_is_no_answer() -> None:
    own, real = hangup(IN, 5_000, answered=True), hangup(OUT, 20_000)
    for events in (
        (dial(IN), own, OWN, dial(OUT, 6_000), CLICK, real),
        (dial(IN), OWN, own, dial(OUT, 6_000), CLICK, real),
        (dial(OUT, 6_000), CLICK, own, real),
        (dial(OUT, 6_000), own, CLICK, real),
    ):
        state = call(*events)
        assert outcome(state) is Outcome.UNANSWERED, events
        assert not is_answered(state)


def test_a_transfer_still_proves_an_answer() -> None:
    assert is_answered(call(dial(OUT), CLICK, hangup(INTERNAL, extensions=("102",))))
    assert not is_answered(call(dial(OUT), CLICK, hangup(INTERNAL)))


def test_the_click_says_who_and_whom_where_the_exchange_does_not() -> None:
    state = call(dial(OUT, number=ANONYMOUS, extensions=()), CLICK)
    assert (state.caller, state.number) == ("101", NUMBER)
    assert attribution(state, SETTINGS) == ("101", "is the one who called")


def test_the_exchange_s_local_channel_is_not_the_customer() -> None:
    def enter(channel: str, name: str, caller_id: str) -> BridgeEntered:
        return BridgeEntered(heard_ms=EPOCH_MS + 100, bridge="b", channel=channel, channel_name=name, caller_id=caller_id)

    bridge = (enter("1.1", "PJSIP/101-1a2b", "101"), enter("2.2", "Local/375290000001@out-1a2b;1", "375290000001"))
    for events in ((dial(OUT), *bridge, CLICK), (dial(OUT), CLICK, *bridge)):
        state = call(*events)
        assert (state.talks, state.phase) == ((), Phase.RINGING)
    assert call(dial(OUT), *bridge).phase is Phase.TALKING  # of a call that nobody clicked it is all that is known


def test_a_customer_who_is_bridged_with_the_exchange_talks_with_whoever_clicked() -> None:
    parties = Parties(anchor="1.1", direction=OUT, number=NUMBER, caller="101", clicked=True)
    local = Stay(bridge="b", channel="2.3", channel_name="Local/375290000001@out-1a2b;2", caller_id="375290000001", entered_ms=1)
    assert not parties.is_customer(local)
    assert parties.extension(local) == "101"


# -- any outgoing call ---------------------------------------------------------------------------------------------


def told(state: Call) -> tuple[Any, ...]:
    return outcome(state), attribution(state, SETTINGS)[0], end_ms(state), state.number, state.talks, state.phase


@given(outgoing(), st.data())
def test_that_it_came_of_a_click_changes_nothing_of_an_ordinary_call(history: History, data: st.DataObject) -> None:
    events: list[Event] = [event for _, event in history.heard]
    first = events[0]
    assert isinstance(first, DialObserved)
    joined = replace(CLICK, extension=first.extensions[0], number=first.number)
    at = data.draw(st.integers(1, len(events)))
    straight, clicked = call(*events), call(*events[:at], joined, *events[at:])
    assert told(clicked) == told(straight)


@given(outgoing(), st.sampled_from([IN, INTERNAL]), st.booleans(), st.booleans())
def test_neither_does_what_rang_before(history: History, direction: Direction, answered: bool, is_told_late: bool) -> None:
    events: list[Event] = [event for _, event in history.heard]
    first = events[0]
    assert isinstance(first, DialObserved)
    extension, number = first.extensions[0], first.number
    joined = replace(CLICK, extension=extension, number=number)
    own = replace(joined, own_leg=True)
    rang = replace(dial(direction, -3_000), channel=first.channel, number=number, extensions=(extension,))
    ended = replace(hangup(direction, -500, answered=answered), channel=first.channel, number=number, extensions=(extension,))
    before: list[Event] = [rang, ended, own] if is_told_late else [rang, own, ended]
    straight, clicked = call(*events), call(*before, first, joined, *events[1:])
    assert told(clicked)[:5] == told(straight)[:5]
    assert clicked.phase is straight.phase


ANYTHING = (CLICK, OWN, dial(IN), dial(OUT), dial(INTERNAL), hangup(IN), hangup(INTERNAL), hangup(OUT, answered=True))


@given(st.lists(st.sampled_from(ANYTHING), max_size=7))
def test_whatever_the_order_nothing_fails(events: list[Event]) -> None:
    state = call(*events)
    assert state.version == len(events)
    plan(state, SETTINGS, EPOCH_MS + 100_000, Limits())
