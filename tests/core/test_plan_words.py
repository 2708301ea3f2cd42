"""What a plan says of itself, word for word: a support engineer reads it in the call's story, and the Russian table goes by it.

And what it sends that no list of requests shows: which start, which call, after which wait.
"""

from __future__ import annotations

import pytest

from core.call import Call, fold
from core.effects import CardAction, CardEvent, ConfirmCall, CreateOrder, FindContact, InspectCall, RegisterCall, UpdateCall
from core.events import CallSettled, ClickJoined, EffectRefused, EffectStarted
from core.plan import Plan, parked
from core.self_test import COMMENT
from core.settings import Settings
from tests.moysklad_model import MoySkladModel
from tests.scenario import (
    NUMBER,
    PickyModel,
    Scenario,
    call_of,
    done,
    events,
    failed,
    given,
    look,
    ms,
    refused,
    started,
    step_of,
)
from tests.settings import settings_with

RING = "0 A start\n0.5 A dial 101 102\n"
TALK = RING + "5 A enter b1 customer\n5 A enter b1 101\n"
PARTED = TALK + "35 A leave b1 101\n35 A leave b1 customer\n35 A close b1\n"
ANSWERED = PARTED + "35.4 A hangup 101 answered\n"
MISSED = RING + "9 A hangup\n"
FOUND = done(FindContact(number=NUMBER), 0.5, contact="ann")
REGISTER = RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0), contact="ann")
SHOWN = RegisterCall(
    external_id="0367-A",
    number=NUMBER,
    incoming=True,
    start_ms=ms(0),
    cards=(CardEvent(action=CardAction.SHOW, sequence=1, extension="101", employee="e"),),
)
SETTLED = CallSettled(at_ms=ms(36), reason="")


def known(table: str, model: MoySkladModel | None = None) -> Scenario:
    return given(table, contacts={NUMBER: "ann"}, moysklad=model)


def whys(scenario: Scenario) -> list[str]:
    """The reason of each request that was started."""
    return [event.why for event in scenario.world.streams["call/A"] if isinstance(event, EffectStarted)]


def said(planned: Plan) -> dict[str, str]:
    return {note.about: note.text for note in planned.notes}


def why_of(planned: Plan) -> str:
    assert planned.step is not None
    return planned.step.why


def registration_of(planned: Plan) -> RegisterCall:
    assert planned.step is not None
    assert isinstance(planned.step.effect, RegisterCall)
    return planned.step.effect


def update_of(planned: Plan) -> UpdateCall:
    assert planned.step is not None
    assert isinstance(planned.step.effect, UpdateCall)
    return planned.step.effect


# -- reasons ------------------------------------------------------------------------------------------------------


def test_a_missed_call_says_why_it_is_written_in_two_steps() -> None:
    scenario = known(MISSED).at(20)
    assert whys(scenario)[1:] == ["cards: HIDE_ALL", "the end is known; the comment says how it ended"]
    assert scenario.notes()["attribution"].startswith("nobody: "), "and by which rule"


def test_a_recording_that_came_later_is_why_it_is_written_again() -> None:
    late = ANSWERED + "60 A hangup 101 answered downloaded end=35 rec=https://r/1"
    assert whys(known(late).finished())[-1] == "the recording is there"


def test_an_ending_call_says_why_its_end_waits() -> None:
    assert known(MISSED).notes()["end"] == "a straggler could still change it, and MoySklad never overwrites an end"


def test_what_was_refused_together_goes_apart_and_says_so() -> None:
    picky = PickyModel(refuses=lambda effect: "inactive" if getattr(effect, "employee", "") else "")
    stream = known(ANSWERED, picky).finished().world.streams["call/A"]
    first = next(index for index, event in enumerate(stream) if isinstance(event, EffectRefused))
    planned = look(call_of("", *stream[: first + 1]), 36)
    assert step_of(planned) == "update HIDE_ALL #6"
    assert said(planned)["end"] == "cards and record were refused together: the cards go first, alone"


def test_while_the_account_is_refused_it_says_what_the_account_was_told() -> None:
    """Not what a request was refused for that MoySklad did look at."""
    refusals = (
        refused(UpdateCall(external_id="0367-A", call="m", cards=SHOWN.cards), 6, error="key revoked", sent=False),
        refused(UpdateCall(external_id="0367-A", call="m", cards=SHOWN.cards), 22, error="inactive employee"),
    )
    planned = look(call_of(RING, FOUND, done(SHOWN, 1, call="m"), *refusals, *events("30 A hangup")), 30)
    assert step_of(planned).startswith("update HIDE_ALL")
    assert said(planned)["call"] == "MoySklad refused the update: key revoked"


def test_a_look_that_resolves_a_doubt_says_which() -> None:
    sent = call_of(RING, FOUND, started(SHOWN, 1, "r"))
    assert why_of(look(sent, 2)) == "the answer to the registration never came: MoySklad may have the call"
    absent = fold(sent, [done(ConfirmCall(external_id="0367-A"), 2, call=None)])
    assert why_of(look(absent, 2)) == "an earlier registration may still be under way: look once more before repeating it"
    told = UpdateCall(external_id="0367-A", call="m", recordings=("https://r/1",))
    recorded = call_of(ANSWERED, FOUND, done(REGISTER, 1, call="m"), SETTLED, started(told, 36, "w"))
    assert why_of(look(recorded, 37)) == "a recording sent twice would be listed twice: see whether it arrived"


def test_a_look_into_the_directory_says_why() -> None:
    planned = look(call_of("0 A dial 107", FOUND), 1)
    assert (step_of(planned), why_of(planned)) == ("find employees 107", "the settings do not say who has them")


def test_of_a_click_only_the_telephone_of_whoever_clicked_is_no_call_yet() -> None:
    click = ClickJoined(heard_ms=ms(0), click="a", extension="101", number=NUMBER, uid="i@demo")
    own = look(call_of("0 A dial 101", click), 1)
    assert (step_of(own), said(own)) == (
        "nothing", {"call": "only the telephone of whoever clicked rings: the customer has not been dialled"},
    )  # fmt: skip
    dialled = look(call_of("0 A dial 101\n3 A dial 101 out", click, FOUND), 4)
    assert step_of(dialled) == "register SHOW 101 #1"


def test_a_record_that_did_not_wait_for_its_contact_says_so_and_who_it_is_attributed_to() -> None:
    tried = failed(FindContact(number=NUMBER, deadline_ms=ms(47)), 37, error="down", retry=1)
    planned = look(call_of(ANSWERED, SETTLED, tried), 60)
    assert step_of(planned) == "register ext=101 end=35.0"
    assert said(planned) == {
        "contact": "the record did not wait longer for it",
        "attribution": "101: talked with the customer last",
    }


def test_nothing_is_said_of_a_contact_that_may_still_be_looked_for() -> None:
    assert said(look(call_of(TALK, done(SHOWN, 1, call="m")), 6)) == {}


def test_a_call_that_was_made_up_says_so_from_its_first_request() -> None:
    made_up = call_of("0 selftest-1 dial 101", id="selftest-1")
    assert registration_of(look(made_up, 3)).comment == COMMENT
    assert registration_of(look(call_of("0 A dial 101", FOUND), 3)).comment == ""


# -- a person is needed -------------------------------------------------------------------------------------------


def test_nobody_is_needed_while_less_can_be_asked() -> None:
    """A request that carried cards, or named somebody, may have been refused for that."""
    assert parked(call_of(RING, refused(SHOWN, 1))) is None
    laden = UpdateCall(external_id="0367-A", call="m", extension="101", employee="e", cards=SHOWN.cards)
    assert parked(call_of(RING, done(SHOWN, 1, call="m"), refused(laden, 2))) is None


def test_cards_that_are_refused_need_nobody_while_the_record_may_still_be_taken() -> None:
    hide = UpdateCall(
        external_id="0367-A", call="m", cards=(CardEvent(action=CardAction.HIDE, sequence=2, extension="101", employee=""),)
    )
    assert parked(call_of(RING, done(SHOWN, 1, call="m"), refused(hide, 2))) is None


def test_a_live_call_that_wants_nothing_says_nothing() -> None:
    ringing = look(call_of("0 A start\n0.5 A dial 101", done(SHOWN, 1, call="m")), 3)
    assert (ringing.step, ringing.notes) == (None, ())


def test_an_order_that_is_refused_needs_a_person() -> None:
    order = CreateOrder(sync_id="s", contact="ann", number=NUMBER, incoming=True, start_ms=ms(0))
    found = parked(call_of(ANSWERED, FOUND, SETTLED, done(REGISTER, 1, call="m"), refused(order, 40, error="no state")))
    assert found is not None
    assert (found.reason, found.since_ms) == ("no state", ms(40))


# -- who is named -------------------------------------------------------------------------------------------------


def complete(table: str, extension: str) -> Call:
    """A settled call whose record stands at MoySklad as this extension's."""
    record = RegisterCall(
        external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0), contact="ann", extension=extension, end_ms=ms(9)
    )
    return call_of(table, FOUND, SETTLED, done(record, 37, call="m"))


def test_a_record_that_names_nobody_today_does_not_complain_of_the_one_it_named() -> None:
    assert "extension" not in said(look(complete(MISSED, "101"), 50))
    named = look(complete(RING + "9 A hangup 102 answered", "101"), 50)
    assert said(named)["extension"] == "MoySklad never overwrites an extension that is set"


# -- what an update carries ---------------------------------------------------------------------------------------


def test_an_update_repeats_the_start_that_moysklad_was_told_whatever_was_heard_since() -> None:
    later = RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(2), cards=SHOWN.cards)
    update = update_of(look(call_of(RING, FOUND, done(later, 3, call="m"), *events("9 A hangup")), 9))
    assert (update.call, update.external_id, update.start_ms) == ("m", "0367-A", ms(2))


def test_of_a_call_that_was_found_the_start_is_the_one_that_is_known() -> None:
    lost = (started(SHOWN, 1, "r"), failed(SHOWN, 1.5, "r"), done(ConfirmCall(external_id="0367-A"), 2, call="m"))
    update = update_of(look(call_of(RING, FOUND, *lost, *events("9 A hangup")), 9))
    assert (update.call, update.start_ms) == ("m", ms(0))


@pytest.mark.parametrize(
    ("settings", "table"),
    [(settings_with(notify_incoming=False), RING), (settings_with(notify_outgoing=False), "0 A dial 101 out\n")],
)
def test_whose_card_is_not_wanted_is_not_looked_up_while_the_call_goes_on(settings: Settings, table: str) -> None:
    assert step_of(look(call_of(table), 1, settings=settings)) == "nothing"


# -- a recording that may still arrive ----------------------------------------------------------------------------


def waiting_for_its_recording() -> Call:
    """All is written but a recording, whose request was given up: it was not there when we looked, and may still come."""
    sent = UpdateCall(external_id="0367-A", call="m", recordings=("https://r/1",), end_ms=ms(35), extension="101")
    rest = UpdateCall(external_id="0367-A", call="m", end_ms=ms(35), extension="101")
    table = ANSWERED.replace("answered", "answered rec=https://r/1")
    return call_of(
        table, FOUND, done(REGISTER, 1, call="m"), SETTLED, started(sent, 36, "w"), failed(sent, 51, "w"),
        done(InspectCall(call="m"), 52, recordings=[]), started(rest, 52, "x"), done(rest, 52, "x"),
    )  # fmt: skip


def test_a_recording_that_may_still_arrive_is_looked_for_at_its_call_and_says_why() -> None:
    planned = look(waiting_for_its_recording(), 53)
    assert planned.step is not None
    assert planned.step.effect == InspectCall(call="m")
    assert planned.step.why == "see once more whether the recording arrived"
    assert said(planned)["recording"] == "its request may still arrive, and a recording sent twice is listed twice"


def test_when_it_may_not_be_looked_for_nothing_is_said_of_looking() -> None:
    planned = look(fold(waiting_for_its_recording(), [refused(InspectCall(call="m"), 60, error="no right")]), 61)
    assert step_of(planned) == "update rec=1"
    assert "recording" not in said(planned)


def test_meanwhile_what_can_be_done_is_done() -> None:
    planned = look(waiting_for_its_recording(), 53, settings=settings_with(order="always"))
    assert step_of(planned).startswith("create order ann")


def test_another_refusal_does_not_keep_it_from_being_looked_for() -> None:
    other = refused(UpdateCall(external_id="0367-A", call="m", extension="101", employee="e"), 53)
    assert step_of(look(fold(waiting_for_its_recording(), [other]), 54)) == "inspect"


# -- waits --------------------------------------------------------------------------------------------------------


def test_how_long_a_hiding_waits_counts_only_hidings_that_the_account_was_refused() -> None:
    shown = call_of(RING, done(SHOWN, 1, call="m"), *events("9 A hangup"))
    hide = UpdateCall(external_id="0367-A", call="m", cards=(CardEvent(action=CardAction.HIDE, sequence=2, extension="101"),))
    others = (
        refused(FindContact(number=NUMBER), 2, error="key revoked", sent=False),
        refused(hide, 10, error="inactive employee"),
    )
    planned = look(fold(shown, [*others, refused(hide, 12, error="key revoked", sent=False)]), 12)
    assert planned.step is not None
    assert planned.step.not_before_ms == ms(12 + 15)


def test_a_call_that_is_not_sent_is_looked_at_again_when_time_decides_about_it() -> None:
    assert look(call_of("0 A dial 102 internal number=101"), 1).wake_ms == ms(7_200)


def test_a_look_up_that_can_be_made_now_wakes_nobody_at_its_deadline() -> None:
    planned = look(call_of(RING), 0.6)
    assert step_of(planned) == f"find contact {NUMBER}"
    assert planned.wake_ms == ms(7_200)
