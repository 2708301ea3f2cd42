"""What MoySklad is told, when, and why not: the ordinary life of calls. Doubt and refusals: ``test_plan_doubt.py``."""

from __future__ import annotations

import pytest
from msgspec import structs

from core.call import fold, initial
from core.decisions import Limits
from core.effects import CardAction, CardEvent, FindContact, RegisterCall, encode_effect
from core.events import CallSettled, EffectDeferred, LegAbsorbed
from core.plan import ENDED_FRESH_MS, Plan, plan, urgency
from core.settings import Settings
from core.values import Urgency
from tests.moysklad_model import MoySkladModel
from tests.scenario import NUMBER, Scenario, call_of, done, failed, given, look, ms, seconds, started, step_of
from tests.settings import SETTINGS, employee_id, settings_with

KNOWN = {NUMBER: "ann"}
QUIET = settings_with(notify="none")
FIND = f"find contact {NUMBER}"
CREATE = f"create contact {NUMBER}"
RING = "0 A start\n0.5 A dial 101 102\n"
TALK = RING + "5 A enter b1 customer\n5 A enter b1 101\n"
PARTED = TALK + "35 A leave b1 101\n35 A leave b1 customer\n35 A close b1\n"
ANSWERED = PARTED + "35.4 A hangup 101 answered\n"
MISSED = RING + "9 A hangup\n"
OUTGOING = "0 A dial 101 out\n"


def known(table: str, settings: Settings = SETTINGS) -> Scenario:
    """The table with a customer whom MoySklad has."""
    return given(table, settings=settings, contacts=KNOWN)


def about(planned: Plan, what: str) -> str:
    return next((note.text for note in planned.notes if note.about == what), "")


# -- an answered call ---------------------------------------------------------------------------------------------


def test_an_answered_call_of_a_known_customer_costs_three_phone_requests() -> None:
    scenario = known(ANSWERED)
    assert scenario.asked(timed=True) == [
        f"0.0 {FIND}",
        "0.5 register SHOW 101 #1 SHOW 102 #2",
        "5.0 update STARTTIME 101 #3 HIDE 102 #4",
        "35.4 update HIDE_ALL #5 ext=101 end=35.0",
    ]
    row = scenario.row
    assert (row.external_id, row.number, row.incoming, row.start_ms) == ("0367-A", NUMBER, True, ms(0))
    assert (row.contact, row.extension, row.employee, row.end_ms, row.comment) == ("ann", "101", employee_id("101"), ms(35), "")
    assert scenario.planned() == Plan(notes=scenario.planned().notes)
    assert scenario.notes() == {"attribution": "101: talked with the customer last"}


def test_nothing_is_registered_before_a_card_is_wanted_but_the_customer_is_looked_up_at_once() -> None:
    scenario = known("0 A start")
    assert scenario.asked() == [FIND]
    assert scenario.notes()["call"] == "no card is wanted now: it is registered with the first card, or complete at its end"


def test_the_extension_and_the_end_are_not_told_while_the_call_goes_on() -> None:
    row = known(PARTED).row
    assert (row.extension, row.employee, row.end_ms, row.comment) == ("", "", None, "")
    assert known(PARTED).notes() == {}


def test_a_second_ring_step_moves_the_cards_and_the_same_one_asks_nothing() -> None:
    assert known(RING + "3 A dial 102 103").asked()[2:] == ["update SHOW 103 #3 HIDE 101 #4"]
    assert known(RING + "3 A dial 101 102").asked()[2:] == []


def test_a_missed_call_hides_its_cards_at_once_and_is_recorded_after_the_grace() -> None:
    scenario = known(MISSED)
    assert scenario.asked()[2:] == ["update HIDE_ALL #3"]
    assert "straggler" in scenario.notes()["end"]
    assert scenario.at(20).asked(timed=True)[2:] == ["9.0 update HIDE_ALL #3", "14.0 update end=9.0 comment"]
    assert (scenario.row.extension, scenario.row.comment) == ("", "Пропущенный вызов (звонили: 101, 102)")


def test_every_step_says_why() -> None:
    whys = [event.why for event in known(ANSWERED).world.streams["call/A"] if event.type == "effect_started"]  # type: ignore[union-attr]
    assert whys == [
        "the card belongs on a screen: SHOW 101, SHOW 102",
        "cards: STARTTIME 101, HIDE 102",
        "cards: HIDE_ALL; the end is known; 101 talked with the customer last",
    ]


def test_a_recording_that_comes_later_is_added_once() -> None:
    late = (
        ANSWERED
        + "60 A hangup 101 answered downloaded end=35 rec=https://r/1\n61 A hangup 101 answered downloaded end=35 rec=https://r/1"
    )
    assert known(late).finished().asked()[4:] == ["update rec=1"]
    assert known(late).finished().row.recordings == ["https://r/1"]


# -- calls of which little was heard ------------------------------------------------------------------------------


def test_a_downloaded_hangup_alone_is_recorded_complete_in_one_request_without_cards() -> None:
    scenario = known("9000 A hangup 101 answered downloaded received=3 end=33 rec=https://r/1").finished()
    assert scenario.asked(timed=True) == [f"9005.0 {FIND}", "9005.0 register ext=101 end=33.0 rec=1"]
    assert (scenario.row.start_ms, scenario.row.contact, scenario.row.events) == (ms(3), "ann", [])
    assert (scenario.row.extension, scenario.row.employee) == ("101", employee_id("101"))


def test_a_rewritten_hangup_whose_dial_was_lost_is_a_customers_call() -> None:
    scenario = known("0 A start\n50.4 A hangup 103 internal answered end=50").finished()
    assert scenario.asked() == [FIND, "register ext=103 end=50.4"]
    alone = known("50.4 A hangup 103 internal answered received=20 start=0 end=50").finished()
    assert (alone.row.start_ms, alone.row.extension) == (ms(0), "103")
    unanswered = known("0 A start\n50.4 A hangup 103 internal").finished()
    assert (unanswered.row.extension, unanswered.row.comment) == ("", "")


def test_a_call_that_began_and_ended_within_an_outage_needs_one_request_and_no_card() -> None:
    settled = CallSettled(at_ms=ms(36), reason="")
    call = call_of(ANSWERED, settled, done(FindContact(number=NUMBER), 600, contact="ann"))
    planned = look(call, 600)
    assert step_of(planned) == "register ext=101 end=35.0"
    assert planned.step is not None
    assert planned.step.why == "the call is over (settled) and MoySklad does not have it: register it complete"
    over = look(fold(call, [done(planned.step.effect, 601, call="m")]), 601)
    assert step_of(over) == "nothing"


def test_a_stale_ring_is_not_shown_after_an_outage_and_a_talk_is() -> None:
    ringing = look(call_of(RING, done(FindContact(number=NUMBER), 1, contact="ann")), 121)
    assert step_of(ringing) == "nothing"
    assert "stale" in about(ringing, "card 101")
    talking = look(call_of(TALK, done(FindContact(number=NUMBER), 1, contact="ann")), 600)
    assert step_of(talking) == "register SHOW 101 #1 STARTTIME 101 #2"


# -- hidden, internal, unmapped, switched off ---------------------------------------------------------------------


def test_a_hidden_caller_is_recorded_shown_and_never_looked_up() -> None:
    scenario = given("0 A start anonymous\n0.5 A dial 101 number=anonymous\n9 A hangup number=anonymous")
    assert scenario.notes()["contact"] == "a hidden caller is nobody's contact"
    assert scenario.finished().asked() == ["register SHOW 101 #1", "update HIDE_ALL #2", "update ext=101 end=9.0 comment"]
    assert (scenario.row.number, scenario.row.contact) == ("anonymous", "")


def test_an_internal_call_is_kept_and_not_sent() -> None:
    scenario = given("0 A dial 102 internal number=101\n9 A hangup 102 internal answered number=101").finished()
    assert scenario.asked() == []
    assert scenario.notes() == {"call": "an internal call is kept in the history and not sent"}
    assert given("0 A dial 102 internal number=101").asked() == []


def test_a_leg_and_an_unheard_call_are_not_sent() -> None:
    leg = call_of("0 A dial 102 internal", LegAbsorbed(heard_ms=ms(1), into="B"))
    assert look(leg, 2) == Plan(notes=look(leg, 2).notes)
    assert about(look(leg, 2), "call") == "it is a leg of call B, which is recorded instead"
    assert about(look(initial("0367", "A"), 0), "call") == "nothing was heard yet that says what this is"


def test_a_leg_that_was_registered_before_it_was_known_to_be_one_loses_its_cards_and_its_contact() -> None:
    register = RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0))
    shown = structs.replace(register, cards=(CardEvent(action=CardAction.SHOW, sequence=2, extension="101"),))
    absorbed = LegAbsorbed(heard_ms=ms(2), into="B")
    call = call_of("0 A dial 101 internal", started(shown, 1), done(shown, 1, call="m"), absorbed)
    assert step_of(look(call, 2)) == "update HIDE_ALL #3"
    bare = call_of("0 A dial 101 internal", done(register, 1, call="m"), absorbed)
    assert step_of(look(bare, 2)) == "nothing"


def test_extensions_nobody_has_are_looked_up_once_and_the_call_is_recorded_at_its_end() -> None:
    scenario = given(MISSED, settings=settings_with(mapped=()), contacts=KNOWN).finished()
    assert scenario.asked() == [FIND, "find employees 101 102", "register end=9.0 comment"]


def test_the_directory_is_asked_before_the_card_is_shown_and_not_for_long() -> None:
    settings = settings_with(mapped=("101",))
    scenario = given("0 A dial 101 107", settings=settings, contacts=KNOWN)
    scenario.world.moysklad.employees["107"] = "e107"
    assert scenario.requests() == ["find employees 107", FIND, "register SHOW 101 #1"]
    asked = look(call_of("0 A dial 101 107"), 3, settings=settings)
    assert asked.step is not None
    assert asked.step.effect.deadline_ms == ms(4.5)  # type: ignore[union-attr]


def test_with_notifications_off_the_call_is_recorded_complete_at_its_end() -> None:
    scenario = known(ANSWERED, QUIET)
    assert scenario.asked(timed=True) == [f"35.4 {FIND}", "35.4 register ext=101 end=35.0"]
    assert (scenario.row.contact, scenario.row.events) == ("ann", [])
    assert known(TALK, QUIET).notes()["cards"] == "the settings show no cards for incoming calls"
    ended = known(MISSED, QUIET)
    assert ended.asked() == []
    assert ended.notes()["call"] == "it is registered complete, in one request, once its record is settled"


def test_a_disabled_integration_asks_nothing() -> None:
    scenario = known(ANSWERED, settings_with(enabled=False)).finished()
    assert scenario.requests() == []
    assert scenario.notes() == {"call": "the integration is switched off"}
    ringing = look(call_of(RING), 1, settings=settings_with(enabled=False))
    assert ringing.wake_ms == ms(7_200)  # time goes on all the same


# -- the customer -------------------------------------------------------------------------------------------------


def test_an_unknown_customer_is_created_before_the_call_and_linked() -> None:
    scenario = given(RING)
    assert scenario.asked() == [FIND, CREATE, "register SHOW 101 #1 SHOW 102 #2"]
    assert scenario.row.contact == "contact-1"


@pytest.mark.parametrize(
    ("settings", "table", "creates"),
    [
        (settings_with(create_incoming=False), RING, False),
        (settings_with(create_outgoing=False), RING, True),
        (settings_with(create_incoming=False), OUTGOING, True),
        (settings_with(create_outgoing=False), OUTGOING, False),
    ],
)
def test_the_settings_decide_for_each_direction_whether_clients_are_created(settings: Settings, table: str, creates: bool) -> None:
    scenario = given(table, settings=settings)
    assert any(asked.startswith(CREATE) for asked in scenario.asked()) is creates
    if not creates:
        before = look(call_of(table, done(FindContact(number=NUMBER), 0, contact=None)), 0.6, settings=settings)
        assert "do not create clients" in about(before, "contact")
    assert len(scenario.rows) == 1


def test_the_client_of_an_outgoing_call_is_the_callers() -> None:
    assert given(OUTGOING).asked()[1] == f"{CREATE} owner={employee_id('101')}"
    assert given(RING).asked()[1] == CREATE
    assert given("0 A dial 107 out").asked()[0:2] == ["find employees 107", FIND]
    assert CREATE in given("0 A dial 107 out").asked()


def test_the_client_of_an_outgoing_call_is_the_callers_also_where_no_card_asked_who_he_is() -> None:
    settings = settings_with(mapped=(), notify_outgoing=False)
    moysklad = MoySkladModel(employees={"101": employee_id("101")})
    scenario = given(OUTGOING + "9 A hangup 101 out answered", settings=settings, moysklad=moysklad).finished()
    assert scenario.asked()[:3] == [FIND, "find employees 101", f"{CREATE} owner={employee_id('101')}"]


def test_two_calls_at_once_from_one_unknown_number_make_one_client() -> None:
    scenario = given("0 A dial 101\n0 B dial 102")
    assert [row.contact for row in scenario.rows] == ["contact-1", "contact-1"]


def test_without_a_main_api_token_moysklad_matches_the_number_by_itself() -> None:
    scenario = given(RING, settings=settings_with(main_api=False))
    assert scenario.asked() == ["register SHOW 101 #1 SHOW 102 #2"]
    assert scenario.notes()["contact"] == "no main API token in the settings: MoySklad matches the number by itself"


def test_an_extension_is_nobodys_contact() -> None:
    assert about(look(call_of("0 A dial 101 number=+151"), 0), "contact") == "an extension is nobody's contact"


def test_the_contact_is_asked_for_until_a_second_and_a_half_after_the_first_ring() -> None:
    before = look(call_of("0 A start\n10 A dial 101\n14 A dial 102"), 11.499)
    assert before.step is not None
    assert before.step.effect == FindContact(number=NUMBER, deadline_ms=ms(11.5))
    assert step_of(look(call_of("0 A start\n10 A dial 101"), 11.5)) == "register SHOW 101 #1"
    assert about(look(call_of("0 A start\n10 A dial 101"), 11.5), "contact") == "the card did not wait longer for it"
    menu = look(call_of("3 A start"), 4)
    assert menu.step is not None
    assert menu.step.effect == FindContact(number=NUMBER, deadline_ms=ms(4.5))


def test_a_card_that_gave_the_contact_up_is_shown_at_once() -> None:
    find = FindContact(number=NUMBER, deadline_ms=ms(2))
    assert step_of(look(call_of(RING, failed(find, 2, error="deadline")), 2)) == "register SHOW 101 #1 SHOW 102 #2"


def test_the_client_that_the_card_did_not_wait_for_is_created_at_the_end() -> None:
    cards = (
        CardEvent(action=CardAction.SHOW, sequence=1, extension="101"),
        CardEvent(action=CardAction.STARTTIME, sequence=2, extension="101"),
    )
    register = RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0), cards=cards)
    live = call_of(TALK, done(register, 6, call="m"))
    assert step_of(look(live, 6)) == "nothing"  # a slow look-up would hold up the hiding
    lived = given(ANSWERED, settings=settings_with(main_api=False)).finished().world.streams["call/A"]
    call = call_of("", *lived)
    planned = look(call, 50)
    assert planned.step is not None
    assert planned.step.effect == FindContact(number=NUMBER)  # no deadline: nobody waits for it any more
    assert step_of(look(call, 50, settings=settings_with(create_incoming=False))) == "nothing"
    missing = fold(call, [done(FindContact(number=NUMBER), 51, contact=None)])
    assert step_of(look(missing, 51)) == CREATE


def test_a_record_waits_for_its_contact_only_so_often() -> None:
    find = FindContact(number=NUMBER, deadline_ms=ms(25))
    tries = [failed(find, 15 + number, error="down", retry=1) for number in range(4)]
    settled = given(MISSED, settings=QUIET, contacts=KNOWN).at(14).world.streams["call/A"]
    history = [event for event in settled if not event.type.startswith("effect_")]
    waiting = look(call_of("", *history, *tries[:3]), 20)
    assert (step_of(waiting), waiting.step is not None and waiting.step.not_before_ms) == (FIND, None)
    assert step_of(look(call_of("", *history, *tries[:1]), 30)) == "register end=9.0 comment"  # nor for longer than 10 s
    tired = look(call_of("", *history, *tries), 20)
    assert step_of(tired) == "register end=9.0 comment"
    assert "failed too often" in about(tired, "contact")


def test_after_an_outage_a_record_looks_for_its_contact_first() -> None:
    settled = given(MISSED, settings=QUIET, contacts=KNOWN).at(14).world.streams["call/A"]
    history = [event for event in settled if not event.type.startswith("effect_")]
    find = FindContact(number=NUMBER)
    put_off = EffectDeferred(at_ms=ms(15), effect=encode_effect(find), reason="away", until_ms=ms(3_600))
    planned = look(call_of("", *history, put_off), 3_600)
    assert planned.step is not None
    assert planned.step.effect == FindContact(number=NUMBER, deadline_ms=ms(3_610)), "nobody has tried it yet"
    hurried = encode_effect(FindContact(number=NUMBER, deadline_ms=ms(25)))
    given_up = EffectDeferred(at_ms=ms(15), effect=hurried, reason="away", until_ms=ms(60))
    assert step_of(look(call_of("", *history, given_up), 15)) == "register end=9.0 comment"


# -- whose turn it is ---------------------------------------------------------------------------------------------


def test_screens_come_before_records_and_records_before_the_backlog() -> None:
    shown = done(
        RegisterCall(
            external_id="0367-A",
            number=NUMBER,
            incoming=True,
            start_ms=ms(0),
            cards=(CardEvent(action=CardAction.SHOW, sequence=1, extension="101"),),
        ),
        1,
        call="m",
    )
    assert ENDED_FRESH_MS == 60_000
    assert urgency(call_of(RING), ms(1)) is Urgency.LIVE
    assert urgency(call_of(MISSED, shown), ms(600)) is Urgency.LIVE, "its card is still to be hidden"
    assert urgency(call_of(MISSED), ms(9 + ENDED_FRESH_MS / 1000 - 0.001)) is Urgency.ENDED
    assert urgency(call_of(MISSED), ms(9 + ENDED_FRESH_MS / 1000)) is Urgency.BACKLOG
    assert urgency(call_of("9 A hangup 101 answered downloaded"), ms(9)) is Urgency.BACKLOG


# -- hold and transfers -------------------------------------------------------------------------------------------


def test_on_hold_the_old_card_is_hidden_after_the_grace() -> None:
    scenario = known(PARTED)
    assert scenario.at(39.999).screens() == {"101": "timing"}
    assert scenario.at(40).asked(timed=True)[3:] == ["40.0 update HIDE 101 #5"]
    assert scenario.screens() == {}


def test_who_comes_back_within_the_grace_keeps_his_card() -> None:
    scenario = known(PARTED + "37 A enter b2 customer\n37 A enter b2 101")
    assert scenario.at(300).asked()[3:] == []


def test_a_blind_transfer_moves_the_card_and_the_call() -> None:
    table = (
        PARTED
        + """
        36    A  dial   103
        40    A  enter  b2 customer
        40    A  enter  b2 103
        50    A  leave  b2 103
        50    A  leave  b2 customer
        50.4  A  hangup 103 answered internal end=50
    """
    )
    scenario = known(table)
    assert scenario.asked()[3:] == [
        "update SHOW 103 #5 HIDE 101 #6",
        "update STARTTIME 103 #7",
        "update HIDE_ALL #8 ext=103 end=50.0",
    ]


def test_a_blind_transfer_that_nobody_answered_is_whose_the_customer_talked_with() -> None:
    scenario = known(PARTED + "36 A dial 103\n50.4 A hangup 103 internal end=50").finished()
    assert (scenario.row.extension, scenario.row.comment) == ("101", "")


@pytest.mark.parametrize("told", ["", "out", "internal"])
def test_an_outgoing_call_that_is_sent_on_stays_one_call_whatever_the_customer_s_channel_says_it_is(told: str) -> None:
    table = f"""
        0     A  dial   101 out
        5     A  enter  b1 101
        5     A  enter  b1 customer channel=T
        20    A  leave  b1 customer channel=T
        20    A  leave  b1 101
        20.1  T  dial   102 {told}
        20.4  A  hangup 101 out answered
        23    A  enter  b2 102
        23    A  enter  b2 customer channel=T
        60    A  leave  b2 customer channel=T
        60.4  T  hangup 102 {told} answered received=20 rec=https://rec.example.invalid/2
    """
    scenario = known(table).finished()
    assert scenario.asked("T") == []
    (row,) = scenario.rows
    assert (row.external_id, row.incoming, row.extension, row.end_ms) == ("0367-A", False, "102", ms(60))
    assert row.recordings == ["https://rec.example.invalid/2"]
    assert scenario.screens() == {}


def test_an_outgoing_call_whose_customer_is_left_to_another_customer_ends_when_he_leaves() -> None:
    table = """
        0     B  start
        0     B  dial   101
        2     B  enter  b1 customer number=+375290000002
        2     B  enter  b1 101
        10    A  dial   101 out
        12    A  enter  b2 101
        12    A  enter  b2 customer
        20    B  leave  b1 customer number=+375290000002
        20    A  leave  b2 101
        20    B  enter  b2 customer number=+375290000002
        20    B  leave  b1 101
        20.4  A  hangup 101 out answered
        60    A  leave  b2 customer
        60    B  leave  b2 customer number=+375290000002
        60.4  B  hangup 101 answered number=+375290000002
    """
    scenario = known(table).finished()
    ends = {row.external_id: (row.extension, seconds(row.end_ms or 0)) for row in scenario.rows}
    assert ends == {"0367-A": ("101", 60.0), "0367-B": ("101", 60.0)}


def test_an_attended_transfer_moves_the_card_and_the_call_and_the_consultation_is_not_sent() -> None:
    table = (
        TALK
        + """
        20    L  dial   103 internal number=101
        22    L  enter  c1 103
        22    L  enter  c1 101 channel=L
        25    A  leave  b1 101
        25    A  leave  b1 customer
        25    A  enter  c1 customer
        25    L  leave  c1 101 channel=L
        25.4  L  hangup 103 internal answered
        40    A  leave  c1 customer
        40    L  leave  c1 103
        40.4  A  hangup 101 answered
    """
    )
    scenario = known(table)
    assert scenario.screens() == {}
    assert scenario.row.extension == "103"
    assert scenario.asked("L") == []
    assert scenario.phase("L") == "absorbed"
    assert scenario.asked()[-1] == "update HIDE_ALL #8 ext=103 end=40.0"


def test_a_parasitic_hangup_tells_who_took_over_where_bridges_do_not() -> None:
    table = "0 A dial 101\n50 L hangup 103 internal answered\n60 A hangup 101 answered"
    assert given(table, contacts=KNOWN).finished().row.extension == "103"


def test_a_parasitic_hangup_with_two_candidate_owners_is_nobodys_evidence_and_no_call() -> None:
    table = "0 A dial 101\n1 B dial 102\n50 L hangup 103 internal answered\n60 A hangup 101 answered\n60 B hangup 102 answered"
    scenario = given(table, contacts=KNOWN).finished()
    assert {row.external_id: row.extension for row in scenario.rows} == {"0367-A": "101", "0367-B": "102"}


# -- no hangup ----------------------------------------------------------------------------------------------------


def test_an_overdue_call_loses_its_cards_and_keeps_its_end_open_for_a_late_hangup() -> None:
    scenario = known(PARTED + "36 A dial 103").at(7_200)
    assert scenario.asked(timed=True)[4:] == ["7200.0 update HIDE_ALL #7"]
    assert (scenario.screens(), scenario.row.end_ms) == ({}, None)
    late = scenario.then("9000 A hangup 101 answered end=60").finished()
    assert late.asked(timed=True)[5:] == ["9005.0 update ext=101 end=60.9"]


def test_a_call_that_never_ends_is_written_off_with_what_is_known() -> None:
    scenario = known(PARTED).finished()
    assert seconds(scenario.row.end_ms or 0) == 35
    assert scenario.row.extension == "101"
    lost = known("0 A start\n7 A dial 101", QUIET).finished()
    assert (lost.row.comment, lost.row.end_ms, lost.row.events) == ("Сведений об окончании звонка нет", ms(7), [])


def test_an_end_is_never_overwritten() -> None:
    scenario = known(PARTED).at(100_000).then("190000 A hangup 101 answered end=60").finished()
    assert scenario.row.end_ms == ms(35)
    assert scenario.asked()[-1] == "update ext=101 end=35.0"
    assert scenario.notes()["end"] == "a different end was heard later; MoySklad never overwrites an end"


def test_an_extension_is_never_overwritten() -> None:
    scenario = known(ANSWERED).then("41 A enter b2 customer\n42 A enter b2 103").finished()
    assert (scenario.row.extension, scenario.notes()["extension"]) == ("101", "MoySklad never overwrites an extension that is set")


def test_a_late_hangup_corrects_the_comment() -> None:
    scenario = known("0 A start\n1 A dial 101").at(100_000)
    assert scenario.row.comment == "Сведений об окончании звонка нет"
    scenario.then("190000 A hangup 101 answered downloaded end=60 received=0").finished()
    assert scenario.row.comment != "Сведений об окончании звонка нет"


# -- names and waking ---------------------------------------------------------------------------------------------


def test_a_step_that_is_not_due_yet_is_woken_for() -> None:
    register = RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0))
    call = call_of(RING, started(register, 2), failed(register, 2, ambiguous=False, retry=3))
    waiting = look(call, 3)
    assert waiting.step is not None
    assert (waiting.step.not_before_ms, waiting.wake_ms) == (ms(5), ms(5))
    due = look(call, 5)
    assert due.step is not None
    assert (due.step.not_before_ms, due.wake_ms) == (None, ms(7_200))


def test_the_sooner_of_a_retry_and_a_deadline_wakes() -> None:
    register = RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0))
    call = call_of(RING, started(register, 2), failed(register, 2, ambiguous=False, retry=9_000))
    assert look(call, 3).wake_ms == ms(7_200)


def test_a_card_does_not_wait_for_the_retry_of_a_contact_that_failed() -> None:
    find = FindContact(number=NUMBER, deadline_ms=ms(2))
    call = call_of(RING, failed(find, 0.7, ambiguous=False, retry=10))
    assert look(call, 0.7).wake_ms == ms(2)
    shown = look(call, 2)
    assert step_of(shown) == "register SHOW 101 #1 SHOW 102 #2"
    assert shown.step is not None
    assert shown.step.not_before_ms is None


def test_planning_is_pure() -> None:
    call = call_of(RING)
    assert plan(call, SETTINGS, ms(1), Limits()) == plan(call, SETTINGS, ms(1), Limits())
