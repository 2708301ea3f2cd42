"""One call for a click and one click for a call, in whatever form the exchange tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.click_joining import EARLY_MS, OWN_LEG_MS, Joining, KnownClick, extensions_told, join, known_click
from core.clicks import CALL_WITHIN_MS, OriginateStarted
from core.events import ArrivalObserved, BridgeOpened, ClickJoined, DialObserved, HangupObserved, Observation
from core.values import Direction

T0 = 1_795_436_000_000
OUT, IN, INTERNAL = Direction.OUTGOING, Direction.INCOMING, Direction.INTERNAL
NUMBER = "+375290000001"


def clicked(id_: str = "a", extension: str = "101", number: str = NUMBER, at_ms: int = T0) -> KnownClick:
    return KnownClick(id=id_, extension=extension, number=number, channel_id=f"click-{id_}", requested_ms=at_ms, started_ms=at_ms)


def dial(
    after_ms: int = 4_000, extension: str = "101", number: str = NUMBER, direction: Direction = OUT, trunk: str = "t"
) -> DialObserved:
    return DialObserved(
        heard_ms=T0 + after_ms, channel="1.1", direction=direction, number=number, extensions=(extension,), trunk=trunk
    )


def hangup(heard_ms: int, *, direction: Direction = OUT, received_ms: int | None = None, trunk: str = "t") -> HangupObserved:
    return HangupObserved(
        heard_ms=heard_ms,
        channel="1.1",
        direction=direction,
        number=NUMBER,
        extensions=("101",),
        received_ms=received_ms,
        trunk=trunk,
    )


def joined(clicks: Sequence[KnownClick], event: Observation, call: str = "1.1") -> Joining | None:
    return join({click.id: click for click in clicks}, call, event)


def test_an_outgoing_call_of_that_extension_to_that_number_is_the_click_s() -> None:
    found = joined([clicked()], dial())
    assert found == Joining(call="1.1", click=replace(clicked(), call="1.1"), own_leg=False)


@pytest.mark.parametrize("number", ["80290000001", "375290000001", "+375290000001"])
def test_however_the_exchange_spells_the_number(number: str) -> None:
    assert joined([clicked()], dial(number=number)) is not None


@pytest.mark.parametrize(
    "event",
    [
        dial(extension="102"),
        dial(number="+375290000002"),
        dial(after_ms=-EARLY_MS - 1),
        dial(after_ms=CALL_WITHIN_MS + 1),
        replace(dial(), extensions=()),
        replace(dial(), extensions=("101", "102")),
        ArrivalObserved(heard_ms=T0, channel="1.1", number=NUMBER),
        dial(direction=IN, trunk="t", after_ms=1_000),
    ],
)
def test_anything_else_is_not(event: Observation) -> None:
    assert joined([clicked()], event) is None


def test_a_hangup_alone_is_enough_however_late_it_comes() -> None:
    late = hangup(T0 + 3_600_000, received_ms=T0 + 5_000)
    assert joined([clicked()], late) is not None
    assert joined([clicked()], hangup(T0 + 3_600_000, received_ms=T0 + 600_000)) is None
    assert joined([clicked()], hangup(T0 + 20_000)) is not None


def test_the_id_that_was_chosen_proves_it_whatever_numbers_are_told() -> None:
    both = [clicked(), clicked("b", "102")]
    found = joined(both, dial(number="anonymous", extension="103", after_ms=900_000), "click-a")
    assert found is not None
    assert (found.click.id, found.click.call, found.own_leg) == ("a", "click-a", False)


def test_under_the_chosen_id_the_own_telephone_rings_first() -> None:
    event = dial(100, direction=INTERNAL, number="101", trunk="")
    found = joined([clicked()], event, "click-a")
    assert found is not None
    assert (found.click.own_leg, found.click.call, found.own_leg) == ("click-a", "", True)
    assert joined([found.click], event, "click-a") is None
    after = joined([found.click], dial(), "click-a")
    assert after is not None
    assert (after.click.call, after.own_leg) == ("click-a", False)


def test_one_call_for_a_click_and_one_click_for_a_call() -> None:
    taken = replace(clicked(), call="1.1")
    assert joined([taken], dial(), "1.2") is None
    assert joined([taken, clicked("b", at_ms=T0 + 1)], dial(), "1.1") is None
    found = joined([taken, clicked("b", at_ms=T0 + 1)], dial(), "1.2")
    assert found is not None
    assert found.click.id == "b"


def test_two_employees_who_click_the_same_number() -> None:
    both = [clicked(), clicked("b", "102")]
    assert [each.click.id for each in (joined(both, dial()), joined(both, dial(extension="102"))) if each] == ["a", "b"]


def test_one_employee_who_clicks_two_numbers() -> None:
    both = [clicked(), clicked("b", number="+375290000002", at_ms=T0 + 500)]
    assert [each.click.id for each in (joined(both, dial()), joined(both, dial(number="+375290000002"))) if each] == ["a", "b"]


def test_whoever_clicks_again_has_given_the_first_click_up() -> None:
    found = joined([clicked(), clicked("b", at_ms=T0 + 40_000)], dial(after_ms=44_000))
    assert found is not None
    assert found.click.id == "b"


# -- the employee's own telephone ----------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [IN, INTERNAL])
def test_the_own_telephone_rings_with_the_customer_s_number(direction: Direction) -> None:
    found = joined([clicked()], dial(1_000, direction=direction, trunk=""))
    assert found is not None
    assert found.own_leg
    assert (found.click.call, found.click.own_leg) == ("", "1.1")


def test_a_customer_who_calls_just_then_is_no_click() -> None:
    assert joined([clicked()], dial(1_000, direction=IN, trunk="0001001")) is None
    assert joined([clicked()], dial(OWN_LEG_MS + 1, direction=IN, trunk="")) is None
    assert joined([replace(clicked(), own_leg="1.0")], dial(1_000, direction=IN, trunk="")) is None
    assert joined([clicked()], dial(1_000, direction=IN, trunk="", number="+375290000002")) is None


def test_the_own_telephone_s_hangup_alone_is_known_too() -> None:
    found = joined([clicked()], hangup(T0 + 9_000, direction=IN, received_ms=T0 + 1_000, trunk=""))
    assert found is not None
    assert found.own_leg


def test_the_call_itself_may_come_under_the_same_id_or_another() -> None:
    own = replace(clicked(), own_leg="1.1")
    for call in ("1.1", "1.2"):
        found = joined([own], dial(), call)
        assert found is not None
        assert not found.own_leg


@given(
    st.permutations([("a", "101", NUMBER), ("b", "102", NUMBER), ("c", "101", "+375290000002")]),
    st.permutations([("1.1", "101", NUMBER), ("1.2", "102", NUMBER), ("1.3", "101", "+375290000002")]),
)
def test_in_whatever_order_they_come_each_finds_its_own(
    clicks: list[tuple[str, str, str]], calls: list[tuple[str, str, str]]
) -> None:
    known = {id_: clicked(id_, extension, number) for id_, extension, number in clicks}
    for call, extension, number in calls:
        found = join(known, call, dial(extension=extension, number=number))
        assert found is not None
        known[found.click.id] = found.click
    assert {id_: click.call for id_, click in known.items()} == {"a": "1.1", "b": "1.2", "c": "1.3"}


def test_the_facts_that_are_told() -> None:
    started = OriginateStarted(
        at_ms=T0, way="ami", channel_id="click-a", extension="101", number=NUMBER, uid="i@demo", requested_ms=T0 - 5
    )
    known = known_click("a", started)
    found = joined([known], dial())
    assert found is not None
    assert found.event(T0 + 9) == ClickJoined(
        heard_ms=T0 + 9, wire="switchboard", click="a", extension="101", number=NUMBER, uid="i@demo", clicked_ms=T0 - 5
    )


def test_what_observations_may_be_about() -> None:
    assert extensions_told(dial()) == ("101",)
    assert extensions_told(dial(direction=IN, trunk="")) == ("101",)
    assert extensions_told(dial(direction=IN)) == ()
    assert extensions_told(replace(dial(), extensions=("101", "102"))) == ()
    assert extensions_told(BridgeOpened(heard_ms=T0, bridge="b")) == ()
