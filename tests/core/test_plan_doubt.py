"""What is planned when an answer never came, came late, or was no: nothing is guessed, nothing is done twice."""

from __future__ import annotations

import pytest

from core.attempts import LOOK_EVERY_MS, REPOST_GUARD_MS, SLOW_GUARD, UNHURRIED_GUARD_MS
from core.call import fold
from core.contact_plan import contact_sync_id
from core.effects import (
    CardAction,
    ConfirmCall,
    CreateContact,
    Effect,
    FindContact,
    FindEmployees,
    InspectCall,
    RegisterCall,
    UpdateCall,
    decode_effect,
)
from core.events import CallSettled, EffectStarted, Event, LegAbsorbed
from core.plan import Parked, parked, parked_reason
from core.settings import Settings
from tests.moysklad_model import MoySkladModel, Repeated
from tests.scenario import (
    NUMBER,
    PickyModel,
    Scenario,
    call_of,
    deferred,
    describe,
    done,
    events,
    failed,
    given,
    look,
    ms,
    refused,
    retry,
    started,
    step_of,
)
from tests.settings import SETTINGS, settings_with
from tests.world import Fault

KNOWN = {NUMBER: "ann"}
FIND = f"find contact {NUMBER}"
RING = "0 A start\n0.5 A dial 101 102\n"
TALK = RING + "5 A enter b1 customer\n5 A enter b1 101\n"
PARTED = TALK + "35 A leave b1 101\n35 A leave b1 customer\n35 A close b1\n"
ANSWERED = PARTED + "35.4 A hangup 101 answered\n"
SHOWN = "register SHOW 101 #1 SHOW 102 #2"
SINGLY = ["register SHOW 101 #5", "register SHOW 102 #6"]


def known(table: str, faults: dict[int, Fault] | None = None, *, repeated: Repeated = Repeated.REFUSED) -> Scenario:
    return given(table, faults=faults, moysklad=MoySkladModel(repeated=repeated), contacts=KNOWN)


def picky(table: str, refuses: object, settings: Settings = SETTINGS) -> Scenario:
    return given(table, settings=settings, moysklad=PickyModel(refuses=refuses), contacts=KNOWN)  # type: ignore[arg-type]


# -- a POST in doubt ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("repeated", list(Repeated))
@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.CRASH_AFTER])
def test_a_registration_whose_answer_was_lost_is_looked_for_and_not_repeated(fault: Fault, repeated: Repeated) -> None:
    scenario = known(TALK, {0: fault}, repeated=repeated)
    assert scenario.asked() == [FIND, SHOWN, "confirm", "update STARTTIME 101 #3 HIDE 102 #4"]
    assert len(scenario.rows) == 1
    assert scenario.screens() == {"101": "timing"}


@pytest.mark.parametrize("repeated", list(Repeated))
@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.CRASH_BEFORE])
def test_a_registration_that_is_not_there_is_looked_for_again_before_it_is_repeated(fault: Fault, repeated: Repeated) -> None:
    scenario = known(TALK, {0: fault}, repeated=repeated)
    looks = ("1.5", "2.5") if fault is Fault.LOST_BEFORE else ("0.5", "6.5", "12.5", "18.5", "24.5", "25.5")  # nobody saw its end
    again = SHOWN if fault is Fault.LOST_BEFORE else "register SHOW 101 #3 STARTTIME 101 #4"
    asked = [f"0.0 {FIND}", f"0.5 {SHOWN}", *(f"{look} confirm" for look in looks), f"{looks[-1]} {again}"]
    moved = ["5.0 update STARTTIME 101 #3 HIDE 102 #4"] if fault is Fault.LOST_BEFORE else []
    assert scenario.at(28).asked(timed=True) == [*asked, *moved]
    assert len(scenario.rows) == 1
    assert scenario.screens() == {"101": "timing"}


def test_what_certainly_was_not_sent_is_repeated_without_looking() -> None:
    scenario = known(TALK, {0: Fault.NOT_SENT})
    assert scenario.asked(timed=True)[1:3] == [f"0.5 {SHOWN}", f"1.5 {SHOWN}"]


REGISTER = RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0), contact="ann")
FOUND = done(FindContact(number=NUMBER), 0.5, contact="ann")


@pytest.mark.parametrize(
    ("given_up", "guard"),
    [(1.1, REPOST_GUARD_MS), (1.5, REPOST_GUARD_MS), (16.0, SLOW_GUARD * 15_000), (None, UNHURRIED_GUARD_MS)],
    ids=["the connection broke at once", "it broke after a while", "no answer in time", "nobody saw it end"],
)
def test_the_guard_before_a_repetition_counts_from_when_it_was_sent(given_up: float | None, guard: int) -> None:
    seen = [] if given_up is None else [failed(REGISTER, given_up, "r")]
    looked = given_up or 1.2
    absent = call_of(RING, FOUND, started(REGISTER, 1, "r"), *seen, done(ConfirmCall(external_id="0367-A"), looked, call=None))
    waiting = look(absent, looked)
    over = 1 + guard / 1000
    again = min(over, looked + LOOK_EVERY_MS / 1000)  # its card may come at any moment
    assert (step_of(waiting), waiting.wake_ms) == ("confirm", ms(again))
    assert waiting.step is not None
    assert waiting.step.not_before_ms == ms(again)
    early = fold(absent, [done(ConfirmCall(external_id="0367-A"), over - 0.001, call=None)])
    assert step_of(look(early, over - 0.001)) == "confirm"
    late = fold(absent, [done(ConfirmCall(external_id="0367-A"), over, call=None)])
    assert step_of(look(late, over)).startswith("register ")


def test_a_doubt_comes_before_everything_else() -> None:
    doubtful = call_of(TALK + "9 A dial 107", FOUND, started(REGISTER, 1, "r"))
    assert step_of(look(doubtful, 10)) == "confirm"
    ended = call_of(ANSWERED, FOUND, started(REGISTER, 1, "r"), CallSettled(at_ms=ms(36), reason=""))
    assert step_of(look(ended, 36)) == "confirm"


def test_a_call_that_ended_while_its_registration_was_in_doubt_is_registered_complete() -> None:
    scenario = known(RING + "0.9 A hangup 101 answered", {0: Fault.LOST_BEFORE}).finished()
    looks = ["confirm"] * 5  # its card would stand on a screen until somebody finds it
    assert scenario.asked()[1:] == [SHOWN, *looks, "register ext=101 end=0.9"]
    found = known(RING + "0.9 A hangup 101 answered", {0: Fault.LOST_AFTER}).finished()
    assert found.asked()[1:] == [SHOWN, "confirm", "update HIDE_ALL #3", "update ext=101 end=0.9"]


def test_a_repeated_registration_keeps_its_key_and_its_sequence_numbers() -> None:
    attempt = started(REGISTER_WITH_CARDS, 1, "register_call-7")
    call = call_of(RING, FOUND, attempt, failed(REGISTER_WITH_CARDS, 1.1, "register_call-7", ambiguous=False, retry=0.5))
    again = look(call, 2).step
    assert again is not None
    assert (again.effect, again.key) == (REGISTER_WITH_CARDS, "register_call-7")
    assert again.why.startswith("again: ")


REGISTER_WITH_CARDS: RegisterCall = look(call_of(RING, FOUND), 1).step.effect  # type: ignore[union-attr,assignment]


def test_a_different_write_gets_a_key_and_numbers_of_its_own() -> None:
    call = call_of(
        RING + "3 A dial 103", FOUND, started(REGISTER_WITH_CARDS, 1, "r"), failed(REGISTER_WITH_CARDS, 1.1, "r", ambiguous=False)
    )
    other = look(call, 3).step
    assert other is not None
    assert (describe(other.effect), other.key) == ("register SHOW 103 #3", "register_call-2")


def test_a_row_that_an_earlier_registration_made_after_all_still_gets_its_end() -> None:
    absent = done(ConfirmCall(external_id="0367-A"), 26, call=None)
    late = call_of(
        ANSWERED, FOUND, started(REGISTER, 1, "r1"), failed(REGISTER, 1.1, "r1"), absent, CallSettled(at_ms=ms(36), reason="")
    )
    complete = look(late, 36).step
    assert complete is not None
    assert describe(complete.effect) == "register ext=101 end=35.0"
    # the first POST, which had no end, arrived between the look and this one: MoySklad answers with its row
    existed = fold(
        late, [started(complete.effect, 36, complete.key), done(complete.effect, 36.1, complete.key, call="m", existed=True)]
    )
    assert step_of(look(existed, 37)) == "update ext=101 end=35.0"


def test_a_confirmation_that_failed_is_tried_again_later() -> None:
    confirm = ConfirmCall(external_id="0367-A")
    call = call_of(RING, FOUND, started(REGISTER, 1, "r"), failed(confirm, 2, ambiguous=False, retry=4))
    waiting = look(call, 3)
    assert step_of(waiting) == "confirm"
    assert waiting.step is not None
    assert waiting.step.not_before_ms == ms(6)


def test_when_it_cannot_be_found_out_whether_the_call_is_there_a_person_is_needed() -> None:
    call = call_of(RING, FOUND, started(REGISTER, 1, "r"), refused(ConfirmCall(external_id="0367-A"), 2, error="key revoked"))
    planned = look(call, 3)
    assert step_of(planned) == "nothing"
    assert planned.parked == "whether MoySklad has the call cannot be found out: key revoked"
    assert [note.text for note in planned.notes if note.about == "call"] == [planned.parked]
    answered = fold(call, [done(REGISTER, 4, "r", call="m")])  # the answer came after all
    assert look(answered, 4).parked == ""
    updating = fold(answered, [started(UpdateCall(external_id="0367-A", call="m", comment="c"), 5)])
    assert look(updating, 5).parked == ""
    not_sent = fold(call, [failed(REGISTER, 4, "r", ambiguous=False)])  # it never left the machine after all
    assert (look(not_sent, 6).parked, step_of(look(not_sent, 6))) == ("", SHOWN)


@pytest.mark.parametrize("sent", [True, False], ids=["refused", "refused unasked"])
def test_a_second_look_that_is_refused_needs_a_person_and_is_not_repeated(sent: bool) -> None:
    confirm = ConfirmCall(external_id="0367-A")
    absent = call_of(RING, FOUND, started(REGISTER, 1, "r"), failed(REGISTER, 1.1, "r"), done(confirm, 1.5, call=None))
    call = fold(absent, [refused(confirm, 3, error="key revoked", sent=sent)])
    planned = look(call, 3)
    assert (step_of(planned), planned.parked) == ("nothing", "whether MoySklad has the call cannot be found out: key revoked")
    again = fold(call, [retry(10)])
    assert (step_of(look(again, 10)), look(again, 10).parked) == ("confirm", "")
    late = fold(absent, [done(confirm, 3, call=None), refused(confirm, 3.1)])
    assert (step_of(look(late, 4)), look(late, 4).parked) == (SHOWN, "")


def test_a_registration_in_doubt_is_resolved_even_when_the_call_turned_out_to_be_a_leg() -> None:
    call = call_of(RING, FOUND, started(REGISTER, 1, "r"), LegAbsorbed(heard_ms=ms(2), into="B"))
    assert step_of(look(call, 2)) == "confirm"


CREATE = CreateContact(number=NUMBER, sync_id=contact_sync_id("0367", NUMBER), deadline_ms=ms(2))
MISSING = done(FindContact(number=NUMBER), 0.5, contact=None)


def test_a_contact_in_doubt_is_created_again_under_its_own_key() -> None:
    call = call_of(RING, MISSING, started(CREATE, 0.6, "c"), failed(CREATE, 0.7, "c", retry=0.5))
    again = look(call, 1.3).step
    assert again is not None
    assert (again.effect, again.key) == (CREATE, "c")


def test_a_contact_that_is_created_after_the_card_has_no_stale_deadline() -> None:
    shown = given(RING, faults={0: Fault.LOST_BEFORE, 1: Fault.LOST_BEFORE}).at(60)
    assert (len(shown.rows), shown.world.moysklad.by_sync_id) == (1, {})
    assert shown.planned().wake_ms == ms(7_200)
    ended = shown.then("61 A hangup").finished()
    assert ended.world.moysklad.by_sync_id == {contact_sync_id("0367", NUMBER): "contact-1"}


def test_trouble_with_contacts_holds_no_card_back_and_trouble_with_calls_no_contact() -> None:
    slow = failed(FindContact(number=NUMBER), 1, ambiguous=False, retry=60)
    shown = look(call_of(RING, slow), 2.1).step
    assert shown is not None
    assert (describe(shown.effect), shown.not_before_ms) == (SHOWN, None)
    ringing = call_of(RING, FOUND, started(REGISTER_WITH_CARDS, 1, "r"), done(REGISTER_WITH_CARDS, 1, "r", call="m"))
    talking = fold(ringing, [*events("5 A enter b1 customer\n5 A enter b1 101"), slow])
    moved = look(talking, 5).step
    assert moved is not None
    assert (describe(moved.effect), moved.not_before_ms) == ("update STARTTIME 101 #3 HIDE 102 #4", None)
    held = look(fold(talking, [failed(moved.effect, 5, ambiguous=False, retry=9)]), 6).step
    assert held is not None
    assert held.not_before_ms == ms(14)


# -- an update in doubt -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", list(Fault))
def test_card_events_in_doubt_are_repeated_under_their_own_numbers(fault: Fault) -> None:
    scenario = known(TALK, {1: fault}).at(30)
    assert scenario.asked()[2:] == ["update STARTTIME 101 #3 HIDE 102 #4"] * 2
    assert scenario.screens() == {"101": "timing"}


def test_card_events_in_doubt_that_are_overtaken_are_put_right_under_new_numbers() -> None:
    scenario = known(TALK + "5.4 A leave b1 101\n5.4 A leave b1 customer\n5.5 A dial 102", {1: Fault.LOST_BEFORE}).at(6.5)
    assert scenario.asked()[2:] == ["update STARTTIME 101 #3 HIDE 102 #4", "update SHOW 102 #5 HIDE 101 #6"]
    assert scenario.screens() == {"102": "shown"}


def test_every_sequence_number_is_above_all_earlier_ones_and_a_repetition_has_its_own() -> None:
    scenario = known(ANSWERED, {0: Fault.LOST_AFTER, 1: Fault.LOST_AFTER, 3: Fault.CRASH_AFTER}).finished()
    assert [event.sequence for event in scenario.row.events] == [1, 2, 3, 4, 3, 4, 5, 5]
    assert scenario.asked().count("update HIDE_ALL #5 ext=101 end=35.0") == 2


def test_a_card_whose_show_is_in_doubt_is_hidden_at_the_hangup() -> None:
    table = PARTED + "41 A dial 103\n41.5 A hangup 103 internal"
    scenario = known(table, {3: Fault.LOST_AFTER}).at(42.5)
    assert scenario.asked()[3:5] == ["update HIDE 101 #5", "update SHOW 103 #6"]
    assert scenario.screens() == {}


RECORDED = ANSWERED.replace("answered", "answered rec=https://r/1")
FINAL = "update HIDE_ALL #5 ext=101 end=35.0 rec=1"


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.CRASH_AFTER])
def test_recordings_in_doubt_that_arrived_are_not_sent_again(fault: Fault) -> None:
    scenario = known(RECORDED, {2: fault}).finished()
    assert scenario.asked()[3:] == [FINAL, "inspect"]
    assert scenario.row.recordings == ["https://r/1"]


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.CRASH_BEFORE])
def test_recordings_in_doubt_that_did_not_arrive_are_sent_again(fault: Fault) -> None:
    """Not before their request cannot arrive any more; everything else is written meanwhile."""
    scenario = known(RECORDED, {2: fault})
    rest = "update HIDE_ALL #6 ext=101 end=35.0"
    assert scenario.at(36.5).asked()[3:] == [FINAL, "inspect", rest]
    assert scenario.notes()["recording"] == "its request may still arrive, and a recording sent twice is listed twice"
    assert scenario.finished().asked()[3:] == [FINAL, "inspect", rest, "inspect", "update rec=1"]
    assert scenario.row.recordings == ["https://r/1"]


def test_a_recording_that_arrives_late_is_not_sent_again() -> None:
    """MoySklad acted long after we had given it up, and after we had looked."""
    history = [*known(RECORDED, {2: Fault.NOT_SENT}).at(36).world.streams["call/A"]]
    sent = next(event for event in history if isinstance(event, EffectStarted) and event.effect.get("recordings"))
    effect = decode_effect(sent.effect)
    tried: list[Event] = [started(effect, 36, "w"), failed(effect, 51, "w")]
    tried.append(done(InspectCall(call="call-1"), 52, recordings=[]))
    call = call_of("", *history[: history.index(sent)], *tried)
    assert step_of(look(call, 52)) == "update HIDE_ALL #6 ext=101 end=35.0"
    written = look(call, 52).step
    assert written is not None
    call = fold(call, [started(written.effect, 52, "x"), done(written.effect, 52, "x")])
    waiting = look(call, 53)
    assert (step_of(waiting), waiting.wake_ms) == ("inspect", ms(36 + SLOW_GUARD * 15))
    early = fold(call, [done(InspectCall(call="call-1"), 60, recordings=[])])
    assert step_of(look(early, 60)) == "inspect"
    arrived = fold(call, [done(InspectCall(call="call-1"), 96, recordings=["https://r/1"])])
    assert step_of(look(arrived, 96)) == "nothing"
    absent = fold(call, [done(InspectCall(call="call-1"), 96, recordings=[])])
    assert step_of(look(absent, 96)) == "update rec=1"
    at_once = call_of("", *history[: history.index(sent)], *tried, done(InspectCall(call="call-1"), 96, recordings=[]))
    assert "rec=1" in step_of(look(at_once, 96)), "also where nothing else was written meanwhile"
    unseen = fold(call, [refused(InspectCall(call="call-1"), 96)])
    assert step_of(look(unseen, 96)) == "update rec=1"


def test_recordings_that_certainly_were_not_sent_are_not_looked_for() -> None:
    assert known(RECORDED, {2: Fault.NOT_SENT}).finished().asked()[3:] == [FINAL, FINAL]


def test_when_the_recordings_cannot_be_looked_at_they_are_sent_rather_than_lost() -> None:
    from_world = known(RECORDED, {2: Fault.LOST_BEFORE})
    history = from_world.world.streams["call/A"]
    call = call_of("", *history, refused(InspectCall(call="call-1"), 37))
    assert step_of(look(call, 40)) == FINAL


# -- refusals -----------------------------------------------------------------------------------------------------


def has(*actions: CardAction) -> object:
    """Refuses what carries such a card event."""
    return lambda effect: (
        "inactive employee"
        if isinstance(effect, RegisterCall | UpdateCall) and any(card.action in actions for card in effect.cards)
        else ""
    )


def test_a_registration_that_is_refused_with_its_cards_goes_on_without_them() -> None:
    scenario = picky(ANSWERED, has(CardAction.SHOW)).finished()
    unnamed = SHOWN.replace("#1", "#3").replace("#2", "#4")  # the employee may be gone: by extension alone first
    assert scenario.asked() == [FIND, SHOWN, unnamed, *SINGLY, "register ext=101 end=35.0"]
    assert (scenario.row.events, scenario.planned().parked) == ([], "")
    assert picky(RING, has(CardAction.SHOW)).notes()["card 102"] == "MoySklad refused card events: inactive employee"


def test_an_update_that_is_refused_with_its_cards_goes_on_without_them() -> None:
    scenario = picky(ANSWERED, has(CardAction.STARTTIME)).finished()
    assert scenario.asked()[2:] == [
        "update STARTTIME 101 #3 HIDE 102 #4",
        "update STARTTIME 101 #5 HIDE 102 #6",
        "update HIDE 101 #7 HIDE 102 #8",
        "update ext=101 end=35.0",
    ]
    assert scenario.screens() == {}


def test_a_hide_all_that_is_refused_does_not_hold_the_record_up() -> None:
    scenario = picky(ANSWERED, has(CardAction.HIDE_ALL)).finished()
    assert scenario.asked()[3:] == ["update HIDE_ALL #5 ext=101 end=35.0", "update HIDE_ALL #6", "update ext=101 end=35.0"]


def test_a_record_that_is_refused_does_not_leave_a_card_open() -> None:
    """Refused together: it may have been the employee of the record, who cannot log in, and not the hiding."""
    scenario = picky(ANSWERED, lambda effect: "inactive" if getattr(effect, "employee", "") else "").finished()
    assert scenario.asked()[3:] == ["update HIDE_ALL #5 ext=101 end=35.0", "update HIDE_ALL #6", "update ext=101 end=35.0"]
    assert (scenario.screens(), scenario.row.extension, scenario.row.end_ms) == ({}, "101", ms(35))
    assert scenario.row.extension == "101"


def test_a_hide_that_is_refused_is_not_repeated_for_ever() -> None:
    scenario = picky(PARTED, has(CardAction.HIDE)).at(45)
    assert len(scenario.asked()) <= 6


def refuses(kind: type[Effect], *, extension: bool | None = None) -> object:
    """Refuses this kind of effect (with or without somebody named in it)."""
    return lambda effect: "no" if isinstance(effect, kind) and extension in (None, bool(getattr(effect, "extension", ""))) else ""


def test_a_registration_that_is_refused_for_good_needs_a_person_and_is_not_repeated() -> None:
    scenario = picky(ANSWERED, refuses(RegisterCall)).finished()
    unnamed = SHOWN.replace("#1", "#3").replace("#2", "#4")
    assert scenario.asked() == [FIND, SHOWN, unnamed, *SINGLY, "register ext=101 end=35.0"]
    assert scenario.planned().parked == "no"
    assert scenario.notes()["call"] == "MoySklad refused to register it: no"


def test_the_remedy_is_told_with_the_reason() -> None:
    call = call_of(RING, refused(REGISTER, 1, error="no", remedy="do this"))
    assert look(call, 2).parked == "no do this"


def test_an_extension_that_is_refused_is_left_out_and_the_rest_is_written() -> None:
    scenario = picky(RING + "9 A hangup 101 answered rec=https://r/1", refuses(UpdateCall, extension=True)).finished()
    assert scenario.asked()[2:] == [
        "update HIDE_ALL #3",
        "update ext=101 end=9.0 rec=1",  # with the employee
        "update ext=101 end=9.0 rec=1",  # by the extension alone
        "update end=9.0 rec=1",
    ]
    assert (scenario.row.extension, scenario.row.recordings) == ("", ["https://r/1"])
    assert scenario.notes()["extension"] == "MoySklad refused it: no"
    assert scenario.planned().parked == ""


def test_an_update_that_is_refused_without_anybody_named_needs_a_person() -> None:
    bare = PickyModel(refuses=lambda effect: "no" if isinstance(effect, UpdateCall) and not effect.cards else "")
    scenario = given(RING + "9 A hangup", moysklad=bare, contacts=KNOWN).finished()
    assert scenario.asked()[2:] == ["update HIDE_ALL #3", "update end=9.0 comment"]
    assert scenario.planned().parked == "no"
    assert scenario.notes()["call"] == "MoySklad refused the update: no"


def test_a_contact_that_is_refused_does_not_hold_the_call_up() -> None:
    scenario = picky(RING, refuses(FindContact))
    assert scenario.asked() == [FIND, SHOWN]
    assert look(call_of(RING, refused(FindContact(number=NUMBER), 0, error="no right")), 0.6).notes[0].text == (
        "MoySklad refused the contact: no right"
    )


def test_a_directory_that_is_refused_leaves_the_extension_alone_to_do() -> None:
    scenario = picky(RING, refuses(FindEmployees), settings=settings_with(mapped=()))
    assert scenario.asked() == [FIND, "find employees 101 102", SHOWN]
    assert [event.employee for event in scenario.row.events] == ["", ""]


@pytest.mark.parametrize(("again_at", "until"), [(0.7, 1.5), (3.5, 5.0)])
def test_a_card_waits_for_the_directory_as_long_as_was_said_first_after_the_last_ring(again_at: float, until: float) -> None:
    """102 rings at 3 s."""
    hurried = FindEmployees(extensions=("101",), deadline_ms=ms(1.5))
    call = call_of("0 A dial 101\n3 A dial 102" if again_at > 3 else "0 A dial 101", deferred(hurried, 0.5, until=0.7))
    planned = look(call, again_at, settings=settings_with(mapped=()))
    assert planned.step is not None
    assert isinstance(planned.step.effect, FindEmployees)
    assert planned.step.effect.deadline_ms == ms(until)


def test_a_wait_for_the_directory_is_over_with_its_answer() -> None:
    """Whoever picks up without having been rung is asked about anew, with all the time that a card has."""
    hurried = FindEmployees(extensions=("101",), deadline_ms=ms(1.5))
    put_off = deferred(hurried, 0.5, until=0.7)
    nobody = done(hurried, 1, employees={"101": None})
    for answer in (nobody, failed(hurried, 1), refused(hurried, 1), deferred(hurried, 1, until=2)):
        call = call_of("0 A dial 101", put_off, answer)
        assert call.remote.employees_until_ms is None
    assert call_of("0 A dial 101", put_off, retry(9)).remote.employees_until_ms is None


# -- parked, and asked again ----------------------------------------------------------------------------------------

BARE = RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0))
ENDED = CallSettled(at_ms=ms(36), reason="")


def test_parked_says_what_was_said_since_when_and_what_helps() -> None:
    call = call_of(ANSWERED, FOUND, ENDED, refused(BARE, 40, error="key revoked", remedy="enter it again", code=1056))
    assert parked(call) == Parked(reason="key revoked", remedy="enter it again", since_ms=ms(40), code=1056)
    assert parked_reason(call) == "key revoked enter it again"
    assert parked(call_of(ANSWERED, FOUND, ENDED)) is None
    update = fold(
        call_of(ANSWERED, ENDED, done(BARE, 37, call="m")),
        [refused(UpdateCall(external_id="x", call="m", comment="c"), 41, error="gone", code=1021)],
    )
    assert parked(update) == Parked(reason="gone", remedy="", since_ms=ms(41), code=1021)
    doubt = call_of(RING, started(REGISTER, 1), refused(ConfirmCall(external_id="x"), 2, error="no", remedy="mend it", code=5))
    assert parked(doubt) == Parked(
        reason="whether MoySklad has the call cannot be found out: no", remedy="mend it", since_ms=ms(2), code=5
    )


def test_a_refused_registration_is_no_matter_once_the_call_is_there() -> None:
    assert parked(call_of(ANSWERED, ENDED, refused(BARE, 40), done(BARE, 41, call="m"))) is None


def test_nobody_is_needed_for_a_call_that_is_not_to_be_sent() -> None:
    refusal = refused(BARE, 10, sent=False)
    assert parked(call_of("0 A dial 102 internal number=101\n9 A hangup 102 internal number=101", refusal)) is None
    assert parked(call_of("0 A dial 101\n9 A hangup 101", refusal)) is not None
    assert parked(call_of("9 A hangup 101 internal", refusal, LegAbsorbed(heard_ms=ms(11), into="B"))) is None


def test_a_directory_that_refuses_is_not_asked_again_for_the_order() -> None:
    scenario = picky(ANSWERED, refuses(FindEmployees), settings=settings_with(mapped=(), order="always")).finished()
    assert [order.owner for order in scenario.world.moysklad.orders] == [""]
    assert len([text for text in scenario.asked() if text.startswith("find employees")]) == 1


def test_a_call_that_moysklad_refuses_altogether_is_asked_for_once_and_parked_also_while_it_goes_on() -> None:
    ringing = call_of(RING, FOUND, refused(REGISTER_WITH_CARDS, 1, error="key revoked", sent=False))
    assert (step_of(look(ringing, 2)), look(ringing, 2).parked) == ("nothing", "key revoked")
    ended = fold(ringing, [*events("9 A hangup"), ENDED])
    assert (step_of(look(ended, 40)), look(ended, 40).parked) == ("nothing", "key revoked")
    registered = call_of(TALK, FOUND, started(REGISTER_WITH_CARDS, 1), done(REGISTER_WITH_CARDS, 1, call="m"))
    moving = look(registered, 5).step
    assert moving is not None
    turned_away = fold(registered, [refused(moving.effect, 5, error="key revoked", sent=False)])
    planned = look(turned_away, 6)
    assert planned.step is not None
    assert (planned.parked, planned.step.not_before_ms, planned.wake_ms) == ("key revoked", ms(20), ms(20)), "a card stands"
    assert [note.text for note in planned.notes if note.about == "call"] == ["MoySklad refused the update: key revoked"]


def test_a_card_is_hidden_although_the_key_was_refused_when_it_ended() -> None:
    """Refused with the credential, which may be mended without anybody telling us: asked again, ever more rarely."""
    shown = call_of(RING, FOUND, started(REGISTER_WITH_CARDS, 1), done(REGISTER_WITH_CARDS, 1, call="m"), *events("9 A hangup"))
    hiding = look(shown, 9).step
    assert hiding is not None
    assert describe(hiding.effect) == "update HIDE_ALL #3"
    call, at, waits = shown, 9.0, list[float]()
    for _ in range(6):
        tried = look(call, at).step
        assert tried is not None
        call = fold(call, [started(tried.effect, at, tried.key), refused(tried.effect, at, tried.key, code=1056)])
        again = look(call, at).step
        assert again is not None
        assert again.not_before_ms is not None
        waits.append((again.not_before_ms - ms(at)) / 1000)
        at += waits[-1]
    assert waits == [15, 60, 300, 1_800, 1_800, 1_800]
    assert not call.remote.employees_refused, "it says nothing about the employee"
    hidden = fold(call, [done(hiding.effect, at), ENDED])
    assert step_of(look(hidden, at)) == "nothing", "the rest is parked until somebody mends the key"
    assert step_of(look(fold(hidden, [retry(at + 1)]), at + 1)) == "update end=9.0 comment"


@pytest.mark.parametrize("hurried", [True, False])
def test_where_nobody_waits_a_repetition_waits_longer(hurried: bool) -> None:
    end = [] if hurried else [*events("9 A hangup 101 answered"), CallSettled(at_ms=ms(10), reason="")]
    absent = done(ConfirmCall(external_id="0367-A"), 12, call=None)
    call = call_of(RING, FOUND, started(REGISTER, 1, "r"), failed(REGISTER, 1.5, "r"), *end, absent)
    assert step_of(look(call, 12)) == ("register SHOW 101 #1 SHOW 102 #2" if hurried else "confirm")
    assert hurried or look(call, 12).wake_ms == ms(1) + UNHURRIED_GUARD_MS


@pytest.mark.parametrize("is_over", [False, True])
def test_what_nobody_saw_the_end_of_is_not_repeated_before_even_a_slow_moysklad_has_acted(is_over: bool) -> None:
    """Not for a card either: that it comes late is better than that the call stands there twice. Until then it is looked for."""
    end = [*events("9 A hangup 101 answered"), CallSettled(at_ms=ms(10), reason="")] if is_over else []
    call = call_of(RING, FOUND, started(REGISTER, 1, "r"), *end, done(ConfirmCall(external_id="0367-A"), 12, call=None))
    assert step_of(look(call, 12)) == "confirm"
    assert look(call, 12).wake_ms == (ms(1) + UNHURRIED_GUARD_MS if is_over else ms(12) + LOOK_EVERY_MS)
    gone = fold(call, [done(ConfirmCall(external_id="0367-A"), 26, call=None)])
    assert step_of(look(gone, 26)).startswith("register ")


def test_a_call_that_goes_on_gets_its_card_when_it_may_be_asked_again() -> None:
    ringing = call_of(RING, FOUND, refused(REGISTER_WITH_CARDS, 1, error="key revoked", sent=False), retry(3))
    assert (step_of(look(ringing, 3)), look(ringing, 3).parked) == (SHOWN, "")


def test_a_retry_asks_for_what_was_refused_and_comes_to_rest_again() -> None:
    scenario = picky(ANSWERED, refuses(RegisterCall)).finished()
    asked = len(scenario.asked())
    assert scenario.planned().parked == "no"
    assert scenario.world.retry("A")
    assert scenario.finished().asked()[asked:] == ["register ext=101 end=35.0"] * 2  # named first, by extension alone then
    assert scenario.planned().parked == "no"
    assert isinstance(scenario.world.moysklad, PickyModel)
    scenario.world.moysklad.refuses = lambda effect: ""
    assert scenario.world.retry("A")
    assert (scenario.finished().row.extension, scenario.planned().parked) == ("101", "")
    assert not scenario.world.retry("A")


def test_after_a_retry_the_record_waits_for_its_contact_once_more() -> None:
    call = call_of(ANSWERED, refused(FindContact(number=NUMBER), 1, error="no right"), ENDED, refused(BARE, 40))
    assert step_of(look(call, 100)) == "nothing"
    again = fold(call, [retry(200)])
    assert step_of(look(again, 230)) == FIND, "nobody has tried it since"
    tried = fold(again, [failed(FindContact(number=NUMBER, deadline_ms=ms(240)), 240, error="deadline")])
    assert step_of(look(tried, 240)) == "register ext=101 end=35.0"


def test_an_update_in_doubt_that_was_then_refused_unasked_is_put_right_after_the_retry() -> None:
    registered = call_of(TALK, FOUND, started(REGISTER_WITH_CARDS, 1), done(REGISTER_WITH_CARDS, 1, call="m"))
    moving = look(registered, 5).step
    assert moving is not None
    lost = fold(registered, [started(moving.effect, 5, moving.key), failed(moving.effect, 5.1, moving.key)])
    refused_since = fold(lost, [refused(moving.effect, 7, moving.key, sent=False), retry(8)])
    assert step_of(look(refused_since, 8)) == "update STARTTIME 101 #3 HIDE 102 #4"
    ended = fold(refused_since, [*events("9 A hangup 101")])
    assert step_of(look(ended, 9)) == "update HIDE_ALL #5"


def test_a_card_does_not_wait_for_a_contact_that_is_known_to_be_away() -> None:
    call = call_of(RING)
    assert step_of(look(call, 0.6)) == FIND
    waiting = fold(call, [deferred(FindContact(number=NUMBER, deadline_ms=ms(2)), 0.6, until=1.9)])
    assert step_of(look(waiting, 0.7)) == FIND
    away = fold(call, [deferred(FindContact(number=NUMBER, deadline_ms=ms(2)), 0.6, until=30)])
    assert step_of(look(away, 0.7)) == SHOWN
