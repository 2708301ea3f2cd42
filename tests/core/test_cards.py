"""Which cards should stand on whose screen, and the card events that make it so (PRODUCT C2, C4)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from core.call import Call, fold
from core.cards import card_changes, employee_of, is_mixed, mixture_refused, shows_refused, wanted_cards
from core.decisions import Limits
from core.effects import CardAction, CardEvent, Effect, FindEmployees, RegisterCall, UpdateCall
from core.events import CallOverdue, CallSettled, CallWrittenOff, LegAbsorbed
from core.remote import Card, Remote
from core.settings import Settings, parse_settings
from tests.scenario import PickyModel, call_of, done, given, ms, refused, started
from tests.settings import MS_CONFIG, SETTINGS, employee_id, settings_with

LIMITS = Limits()
RING = "0 A start\n0.5 A dial 101 102\n"
TALK = RING + "5 A enter b1 customer\n5 A enter b1 101\n"
PARTED = TALK + "35 A leave b1 101\n35 A leave b1 customer\n35 A close b1\n"


def show(extension: str, sequence: int) -> CardEvent:
    return CardEvent(action=CardAction.SHOW, sequence=sequence, extension=extension)


def wanted(call: Call, at: float, settings: Settings = SETTINGS) -> dict[str, str]:
    return {extension: card.value for extension, card in wanted_cards(call, settings, ms(at), LIMITS).cards.items()}


def notes(call: Call, at: float, settings: Settings = SETTINGS) -> dict[str, str]:
    return {note.about: note.text for note in wanted_cards(call, settings, ms(at), LIMITS).notes}


# -- who should see a card ----------------------------------------------------------------------------------------


def test_nobody_sees_a_card_before_somebody_is_rung() -> None:
    assert wanted(call_of("0 A start"), 1) == {}


def test_everybody_who_is_rung_sees_it() -> None:
    assert wanted(call_of(RING), 1) == {"101": "shown", "102": "shown"}


def test_only_those_of_the_latest_step_see_it() -> None:
    assert wanted(call_of(RING + "9 A dial 103"), 9) == {"103": "shown"}
    assert wanted(call_of("9 A dial 103\n0.5 A dial 101"), 9) == {"103": "shown"}


def test_an_internal_step_inside_the_call_shows_nothing() -> None:
    assert wanted(call_of(RING + "9 A dial 103 internal"), 9) == {"101": "shown", "102": "shown"}


def test_those_a_card_was_asked_for_see_it_too() -> None:
    assert wanted(call_of(RING + "1 A card 103"), 1) == {"101": "shown", "102": "shown", "103": "shown"}
    assert wanted(call_of("0 A start\n1 A card 103"), 1) == {"103": "shown"}


def test_whom_a_card_was_asked_for_sees_it_no_more_once_somebody_answered() -> None:
    asked = "0.3 A card 103\n"
    assert wanted(call_of(TALK.replace("0.5 A", asked + "0.5 A")), 5) == {"101": "timing"}
    moved = PARTED.replace("0.5 A", asked + "0.5 A") + "35.2 A dial 102\n"
    assert wanted(call_of(moved), 36) == {"102": "shown"}
    assert wanted(call_of(moved + "35.4 A card 150"), 36) == {"102": "shown", "150": "shown"}


def test_only_who_talks_keeps_it_and_its_timer_runs() -> None:
    assert wanted(call_of(TALK), 5) == {"101": "timing"}


def test_of_an_outgoing_call_only_the_caller_sees_it() -> None:
    ringing = "0 A dial 101 out\n"
    assert wanted(call_of(ringing), 0) == {"101": "shown"}
    assert wanted(call_of(ringing + "2 A dial 101 out"), 2) == {"101": "shown"}
    assert wanted(call_of(ringing + "2 A dial 102 out"), 2) == {"101": "shown"}
    assert wanted(call_of(ringing + "2 A card 103"), 2) == {"101": "shown"}
    assert wanted(call_of("0 A dial out"), 0) == {}
    assert notes(call_of("0 A dial out"), 0) == {}
    talking = ringing + "5 A enter b1 101\n5 A enter b1 customer"
    assert wanted(call_of(talking), 5) == {"101": "timing"}


def test_on_hold_the_last_who_talked_keeps_it_for_a_grace() -> None:
    call = call_of(PARTED)
    assert wanted(call, 39.999) == {"101": "timing"}
    assert wanted(call, 40) == {}


def test_a_customer_who_waits_inside_a_bridge_stays_on_the_screen() -> None:
    assert wanted(call_of(TALK + "35 A leave b1 101"), 3_000) == {"101": "timing"}


def test_an_outgoing_calls_card_is_the_callers_only_also_when_it_is_handed_on() -> None:
    talked = "0 A dial 101 out\n5 A enter b1 101\n5 A enter b1 customer"
    assert wanted(call_of(talked), 6) == {"101": "timing"}
    assert wanted(call_of(talked + "\n9 A close b1\n9.2 A dial 103 out"), 9.2) == {}


def test_a_blind_transfers_dial_may_join_before_the_parting() -> None:
    talking = "0 A start\n0.5 A dial 101 102\n5 A enter b1 customer\n5 A enter b1 101"
    swapped = talking + "\n35.1 A dial 103\n35 A leave b1 101\n35 A leave b1 customer\n35 A close b1"
    call = call_of(swapped)
    assert (call.phase, wanted(call, 35.2)) == ("transferring", {"103": "shown"})


def test_a_ring_step_that_joins_late_is_no_transfer() -> None:
    late = "0 A start\n5 A enter b1 customer\n5 A enter b1 101\n6 A dial 101 102\n35.2 A leave b1 customer"
    assert call_of(late).phase == "on_hold"


def test_in_a_transfer_the_new_one_sees_it_and_the_old_one_no_longer() -> None:
    assert wanted(call_of(PARTED + "36 A dial 103"), 36) == {"103": "shown"}


@pytest.mark.parametrize(
    "call",
    [
        call_of(PARTED + "35.4 A hangup 101 answered"),
        call_of(PARTED + "35.4 A hangup 101 answered", CallSettled(at_ms=ms(36), reason="")),
        call_of(PARTED + "35.2 A card 103\n35.4 A hangup 101 answered"),
        call_of(TALK, CallOverdue(at_ms=ms(7_200))),
        call_of(TALK, CallOverdue(at_ms=ms(7_200)), CallWrittenOff(at_ms=ms(99_999))),
        call_of(TALK.replace("0 A start\n", "").replace("101 102", "101 102 internal"), LegAbsorbed(heard_ms=ms(6), into="B")),
        call_of("0 A dial 102 internal number=101"),
    ],
    ids=["ending", "settled", "asked for before the end", "overdue", "written off", "absorbed", "internal"],
)
def test_no_card_stands_once_the_call_is_over_or_is_none(call: Call) -> None:
    assert wanted_cards(call, SETTINGS, ms(36), LIMITS).cards == {}
    assert wanted_cards(call, SETTINGS, ms(36), LIMITS).notes == ()


# -- who does not see it, and why ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "incoming", "outgoing"),
    [
        (settings_with(notify="none"), False, False),
        (settings_with(notify_incoming=False), False, True),
        (settings_with(notify_outgoing=False), True, False),
        (SETTINGS, True, True),
    ],
)
def test_the_settings_decide_for_each_direction(settings: Settings, incoming: bool, outgoing: bool) -> None:
    coming, going = call_of(RING), call_of("0 A dial 101 out")
    assert bool(wanted(coming, 1, settings)) is incoming
    assert bool(wanted(going, 1, settings)) is outgoing
    assert ("the settings show no cards for incoming calls" in notes(coming, 1, settings).values()) is not incoming
    assert ("the settings show no cards for outgoing calls" in notes(going, 1, settings).values()) is not outgoing


def test_nothing_is_said_of_cards_before_anybody_could_see_one() -> None:
    assert notes(call_of("0 A start"), 1, settings_with(notify="none")) == {}


def test_somebody_whom_the_settings_do_not_know_is_looked_up_first() -> None:
    found = wanted_cards(call_of(RING), settings_with(mapped=("101",)), ms(1), LIMITS)
    assert dict(found.cards) == {"101": Card.SHOWN}
    assert found.unknown == ("102",)


def test_an_extension_nobody_has_gets_no_card_and_is_not_looked_up_again() -> None:
    effect = FindEmployees(extensions=("102",))
    call = call_of(RING, done(effect, 1, employees={"102": None}))
    found = wanted_cards(call, settings_with(mapped=("101",)), ms(1), LIMITS)
    assert (dict(found.cards), found.unknown) == ({"101": Card.SHOWN}, ())
    assert notes(call, 1, settings_with(mapped=("101",))) == {"card 102": "no employee has this extension"}


def test_an_employee_whom_the_directory_knows_gets_a_card() -> None:
    call = call_of(RING, done(FindEmployees(extensions=("102",)), 1, employees={"102": {"id": "e"}}))
    assert wanted(call, 1, settings_with(mapped=())) == {"102": "shown"}


def test_an_outside_number_has_no_screen() -> None:
    call = call_of("0 A dial 101 375290000009")
    found = wanted_cards(call, SETTINGS, ms(1), LIMITS)
    assert (dict(found.cards), found.unknown) == ({"101": Card.SHOWN}, ())
    assert notes(call, 1) == {"card 375290000009": "an outside number has no screen in MoySklad"}


SHOW_101 = RegisterCall(
    external_id="0367-A",
    number="+375290000001",
    incoming=True,
    start_ms=ms(0),
    cards=(CardEvent(action=CardAction.SHOW, sequence=1, extension="101"),),
)


def test_a_ring_of_long_ago_is_not_shown_any_more() -> None:
    call = call_of(RING)
    assert wanted(call, 120.5) == {"101": "shown", "102": "shown"}
    assert wanted(call, 120.501) == {}
    assert notes(call, 121)["card 101"] == "it has been ringing too long ago: a stale card is not shown"


def test_a_card_that_stands_is_not_taken_for_stale() -> None:
    call = call_of(RING, started(SHOW_101, 1), done(SHOW_101, 1, call="m"))
    assert wanted(call, 600) == {"101": "shown"}
    assert set(notes(call, 600)) == {"card 102"}


def test_a_new_ring_step_is_fresh_and_so_is_a_transfer() -> None:
    assert wanted(call_of(RING + "500 A dial 103"), 501) == {"103": "shown"}
    assert wanted(call_of(PARTED + "500 A dial 103"), 501) == {"103": "shown"}
    assert wanted(call_of(PARTED + "500 A dial 103"), 621) == {}


def test_a_ring_of_a_call_that_turned_out_to_be_incoming_is_nobodys() -> None:
    turned = "0 A dial 101 out\n0.2 A start\n"
    assert wanted(call_of(turned), 1) == {}
    asked_for = call_of(turned + "10 A card 103")
    assert wanted(asked_for, 130) == {"103": "shown"}
    assert wanted(asked_for, 130.001) == {}


def test_a_talk_is_never_stale() -> None:
    assert wanted(call_of(TALK), 3_000) == {"101": "timing"}


def test_a_card_asked_for_without_a_dial_goes_stale_too() -> None:
    assert wanted(call_of("0 A card 101"), 120) == {"101": "shown"}
    assert wanted(call_of("0 A card 101"), 121) == {}


# -- refusals -----------------------------------------------------------------------------------------------------


def test_after_a_refused_show_the_others_keep_their_cards() -> None:
    call = call_of(RING, started(SHOW_101, 1), refused(SHOW_101, 1, error="inactive"))
    assert wanted(call, 2) == {"102": "shown"}
    assert notes(call, 2) == {"card 101": "MoySklad refused card events: inactive"}


def test_after_so_many_refused_shows_the_call_goes_on_without_cards() -> None:
    ring = "0 A start\n0.5 A dial 101 102 103 104"
    alone = [UpdateCall(external_id="x", call="m", cards=(show(who, 1),)) for who in ("101", "102", "104")]
    call = call_of(ring, *(refused(effect, 1, error="inactive") for effect in alone[:2]))
    assert set(wanted(call, 2)) == {"103"}
    call = call_of(ring, *(refused(effect, 1, error="inactive") for effect in alone))
    assert wanted(call, 2) == {}
    assert notes(call, 2) == {"cards": "MoySklad refused card events: inactive"}


def test_cards_that_were_refused_together_are_shown_one_by_one() -> None:
    together = UpdateCall(external_id="x", call="m", cards=(show("101", 1), show("102", 2)))
    call = call_of(RING, refused(together, 1))
    assert wanted(call, 2) == {"101": "shown", "102": "shown"}
    changes = card_changes(call.remote, SETTINGS, wanted_cards(call, SETTINGS, ms(2), LIMITS).cards, over=False)
    assert [event.extension for event in changes] == ["101"]


@pytest.mark.parametrize("bad", ["101", "102", "103"])
def test_one_of_a_ring_group_who_cannot_log_in_costs_nobody_else_the_card(bad: str) -> None:
    """3045 says only that somebody is inactive, not who (CONTRACT-MOYSKLAD 1.5)."""

    def refuses_one(effect: Effect) -> str:
        shown = isinstance(effect, RegisterCall | UpdateCall) and any(card.extension == bad for card in effect.cards)
        return "inactive employee" if shown else ""

    scenario = given("0 A start\n0.5 A dial 101 102 103", moysklad=PickyModel(refuses=refuses_one))
    assert set(scenario.screens()) == {"101", "102", "103"} - {bad}
    assert scenario.notes()[f"card {bad}"] == "MoySklad refused card events: inactive employee"
    scenario = scenario.then("20 A hangup").finished()
    assert (scenario.screens(), scenario.row.end_ms is not None, scenario.planned().parked) == ({}, True, "")


@pytest.mark.parametrize("talker", ["101", "106"])
def test_many_of_a_ring_group_who_cannot_log_in_take_no_card_off_the_others(talker: str) -> None:
    bad = {"102", "103", "105"}

    def refuses_them(effect: Effect) -> str:
        shown = isinstance(effect, RegisterCall | UpdateCall) and any(card.extension in bad for card in effect.cards)
        return "inactive employee" if shown else ""

    mapping = {each: {"employee_id": employee_id(each)} for each in ("101", "102", "103", "104", "105", "106")}
    settings = parse_settings({**MS_CONFIG, "employee_mapping": mapping})
    ring = "0 A start\n0.5 A dial 101 102 103 104 105 106"
    scenario = given(ring, settings=settings, moysklad=PickyModel(refuses=refuses_them))
    assert set(scenario.screens()) == {"101", "104", "106"}
    scenario = scenario.then(f"5 A enter b1 customer\n5 A enter b1 {talker}")
    assert scenario.screens() == {talker: "timing"}
    assert scenario.then("20 A hangup").finished().screens() == {}


def test_somebody_who_cannot_log_in_is_not_asked_for_by_extension_alone_too() -> None:
    named = structs.replace(show("101", 1), employee=employee_id("101"))
    alone = UpdateCall(external_id="x", call="m", cards=(named,))
    assert wanted(call_of(RING, refused(alone, 1)), 2) == {"101": "shown", "102": "shown"}
    assert wanted(call_of(RING, refused(alone, 1, code=3045)), 2) == {"102": "shown"}


@pytest.mark.parametrize(
    ("action", "ends_cards"),
    [(CardAction.SHOW, True), (CardAction.STARTTIME, True), (CardAction.HIDE, False), (CardAction.HIDE_ALL, False)],
)
def test_only_a_refused_showing_ends_a_card(action: CardAction, ends_cards: bool) -> None:
    effect = UpdateCall(external_id="x", call="m", cards=(CardEvent(action=action, sequence=1, extension="101"),))
    call = call_of(RING, refused(effect, 1))
    assert ("101" not in wanted(call, 2)) is ends_cards
    assert shows_refused(call.remote) is None


def test_a_refusal_of_something_else_does_not() -> None:
    plain = RegisterCall(external_id="x", number="1", incoming=True, start_ms=0)
    assert shows_refused(call_of(RING, refused(plain, 1)).remote) is None
    assert shows_refused(call_of(RING, refused(FindEmployees(extensions=("102",)), 1)).remote) is None


# -- from the cards that stand to the wanted ones ------------------------------------------------------------------


def changes(standing: dict[str, Card], want: dict[str, Card], *, over: bool = False, sequence: int = 0) -> list[str]:
    remote = Remote(cards=tuple(standing.items()), sequence=sequence)
    found = card_changes(remote, SETTINGS, want, over=over)
    return [f"{event.action} {event.extension}".strip() + f" #{event.sequence}" for event in found]


S, T, H, U = Card.SHOWN, Card.TIMING, Card.HIDDEN, Card.UNSURE


@pytest.mark.parametrize(
    ("standing", "want", "expected"),
    [
        ({}, {}, []),
        ({}, {"101": S, "102": S}, ["SHOW 101 #1", "SHOW 102 #2"]),
        ({"101": S}, {"101": S}, []),
        ({"101": T}, {"101": T}, []),
        ({"101": T}, {"101": S}, []),
        ({"101": S}, {"101": T}, ["STARTTIME 101 #1"]),
        ({}, {"101": T}, ["SHOW 101 #1", "STARTTIME 101 #2"]),
        ({"101": H}, {"101": T}, ["SHOW 101 #1", "STARTTIME 101 #2"]),
        ({"101": U}, {"101": S}, ["SHOW 101 #1"]),
        ({"101": U}, {"101": T}, ["SHOW 101 #1", "STARTTIME 101 #2"]),
        ({"101": S, "102": S}, {"101": T}, ["STARTTIME 101 #1", "HIDE 102 #2"]),
        ({"101": S, "102": U}, {}, ["HIDE 101 #1", "HIDE 102 #2"]),
        ({"101": H}, {}, []),
        ({"101": T}, {"103": S}, ["SHOW 103 #1", "HIDE 101 #2"]),
    ],
)
def test_the_changes_while_the_call_goes_on(standing: dict[str, Card], want: dict[str, Card], expected: list[str]) -> None:
    assert changes(standing, want) == expected


@pytest.mark.parametrize(
    ("standing", "expected"),
    [({"101": T, "102": S}, ["HIDE_ALL #1"]), ({"101": U}, ["HIDE_ALL #1"]), ({"101": H}, []), ({}, [])],
)
def test_at_the_end_one_event_hides_the_cards_of_everybody(standing: dict[str, Card], expected: list[str]) -> None:
    assert changes(standing, {}, over=True) == expected


def test_of_an_employee_with_two_telephones_the_card_is_not_hidden_while_it_belongs_on_his_screen() -> None:
    """A screen is an employee's, not a telephone's (CONTRACT-MOYSKLAD: the employee takes precedence over the extension)."""
    mapping = {**MS_CONFIG["employee_mapping"], "201": {"employee_id": employee_id("101")}}
    settings = parse_settings({**MS_CONFIG, "employee_mapping": mapping})

    named = UpdateCall(external_id="x", call="m", cards=(structs.replace(show("103", 1), employee=employee_id("103")),))
    refusal = call_of(RING, refused(named, 1, code=3045)).remote.refusals

    def changed(standing: dict[str, Card], want: dict[str, Card]) -> list[str]:
        found = card_changes(Remote(cards=tuple(standing.items())), settings, want, over=False)
        beside = card_changes(Remote(cards=tuple(standing.items()), refusals=refusal), settings, want, over=False)
        assert [each.action for each in beside] == [each.action for each in found], "also where a colleague was refused"
        return [f"{event.action} {event.extension}" for event in found]

    assert changed({"101": S, "201": S, "102": S}, {"101": T}) == ["STARTTIME 101", "HIDE 102"]
    assert changed({"101": S}, {"201": S}) == ["SHOW 201"]
    assert changed({"101": T, "201": S}, {"102": S}) == ["SHOW 102", "HIDE 101", "HIDE 201"]


def test_events_are_numbered_after_all_earlier_ones() -> None:
    assert changes({"101": S, "102": S}, {"101": T}, sequence=7) == ["STARTTIME 101 #8", "HIDE 102 #9"]
    assert changes({"101": S}, {}, over=True, sequence=7) == ["HIDE_ALL #8"]


def test_each_event_names_the_employee_where_he_is_known_and_hide_all_nobody() -> None:
    settings = settings_with(mapped=("101",))
    remote = Remote(employees=(("102", "directory-102"), ("103", "")))
    (first, second, third) = card_changes(remote, settings, {"101": S, "102": S, "103": S}, over=False)
    assert [first.employee, second.employee, third.employee] == [employee_id("101"), "directory-102", ""]
    (hide,) = card_changes(Remote(cards=(("101", S),)), settings, {}, over=True)
    assert (hide.action, hide.extension, hide.employee) == (CardAction.HIDE_ALL, "", "")


def test_the_settings_mapping_comes_before_the_directory() -> None:
    remote = Remote(employees=(("101", "directory-101"),))
    assert employee_of(remote, SETTINGS, "101") == employee_id("101")
    assert employee_of(remote, settings_with(mapped=()), "101") == "directory-101"
    assert employee_of(remote, settings_with(mapped=()), "102") is None


HIDE_ALL = UpdateCall(external_id="x", call="m", cards=(CardEvent(action=CardAction.HIDE_ALL, sequence=2),))


def test_a_refused_hide_all_is_not_repeated() -> None:
    call = fold(call_of(RING, started(SHOW_101, 1), done(SHOW_101, 1, call="m")), [refused(HIDE_ALL, 9)])
    assert card_changes(call.remote, SETTINGS, {}, over=True) == ()


def test_a_refused_timer_does_not_keep_the_cards_open() -> None:
    timer = UpdateCall(external_id="x", call="m", cards=(CardEvent(action=CardAction.STARTTIME, sequence=2, extension="101"),))
    call = fold(call_of(RING, started(SHOW_101, 1), done(SHOW_101, 1, call="m")), [refused(timer, 5)])
    assert [event.action for event in card_changes(call.remote, SETTINGS, {}, over=True)] == [CardAction.HIDE_ALL]


def test_a_refused_update_without_cards_does_not_keep_the_cards_open() -> None:
    bare = UpdateCall(external_id="x", call="m", end_ms=5)
    call = fold(call_of(RING, started(SHOW_101, 1), done(SHOW_101, 1, call="m")), [refused(bare, 9)])
    assert [event.action for event in card_changes(call.remote, SETTINGS, {}, over=True)] == [CardAction.HIDE_ALL]


HIDDEN_101 = (CardEvent(action=CardAction.HIDE, sequence=2, extension="101"),)


@pytest.mark.parametrize(
    "field", [{"extension": "101"}, {"employee": "e"}, {"comment": "c"}, {"recordings": ("https://r/1",)}, {"end_ms": ms(9)}]
)
def test_an_update_is_mixed_that_carries_cards_and_anything_of_the_record(field: dict[str, Any]) -> None:
    mixed = UpdateCall(external_id="x", call="m", cards=HIDDEN_101, **field)
    assert is_mixed(mixed)
    assert mixture_refused(call_of(RING, refused(mixed, 9)).remote)
    assert not is_mixed(structs.replace(mixed, cards=()))


def test_cards_alone_are_no_mixture() -> None:
    assert not is_mixed(UpdateCall(external_id="x", call="m", cards=HIDDEN_101, start_ms=ms(0)))
    assert not is_mixed(SHOW_101)
