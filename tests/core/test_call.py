"""A call as folded: direction, phase, times, outcome, whose it was. The tables are what the wire said."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from core.call import (
    CLOCK_SKEW_MS,
    Call,
    attribution,
    best_known_end_ms,
    end_ms,
    evolve,
    fold,
    initial,
    is_external_number,
    outcome,
    start_ms,
)
from core.decisions import Limits, next_deadline
from core.events import (
    BridgeOpened,
    CallOverdue,
    CallSettled,
    CallWrittenOff,
    ConsultationObserved,
    DialObserved,
    EffectDeferred,
    HangupObserved,
    LegAbsorbed,
    RetryRequested,
)
from core.lifecycle import Phase
from core.values import ANONYMOUS, Direction, Outcome
from tests.scenario import NUMBER, call_of, events, ms, seconds
from tests.settings import SETTINGS, settings_with

RING = """
    0.0   A  start  +375290000001
    0.5   A  dial   101 102
"""
TALK = (
    RING
    + """
    5.0   A  enter  b1 customer
    5.0   A  enter  b1 101
"""
)
PARTED = (
    TALK
    + """
    35.2  A  leave  b1 101
    35.2  A  leave  b1 customer
    35.2  A  close  b1
"""
)
ANSWERED = PARTED + "35.6 A hangup 101 answered"


def phases(table: str) -> list[str]:
    """The phases that a table's lines lead through, repeats left out."""

    def walk() -> Iterator[str]:
        state = initial("0367", "A")
        for event in events(table):
            state = evolve(state, event)
            yield state.phase.value

    return [phase for phase, _ in itertools.groupby(walk())]


def whose(call: Call, unrecognized: str = "") -> str:
    return attribution(call, settings_with(unrecognized=unrecognized))[0]


def began(call: Call) -> float:
    return seconds(start_ms(call))


def ended(call: Call) -> float | None:
    at = end_ms(call)
    return None if at is None else seconds(at)


# -- phases -------------------------------------------------------------------------------------------------------


def test_an_answered_call_goes_through_its_life() -> None:
    assert phases(ANSWERED) == ["arrived", "ringing", "talking", "on_hold", "ending"]


def test_a_blind_transfer() -> None:
    table = (
        PARTED
        + """
        36  A  dial   103
        40  A  enter  b2 customer
        40  A  enter  b2 103
        50  A  leave  b2 103
        50  A  leave  b2 customer
        50.4  A  hangup 103 answered internal
    """
    )
    assert phases(table) == ["arrived", "ringing", "talking", "on_hold", "transferring", "talking", "on_hold", "ending"]


def test_a_service_leg_with_call_type_2_does_not_make_the_call_internal() -> None:
    table = RING + "2 A dial 103 internal\n3 A dial 103"
    call = call_of(table)
    assert call.direction is Direction.INCOMING
    assert call.phase is Phase.RINGING
    assert call.rung == ("101", "102", "103")
    assert [step.extensions for step in call.steps] == [("101", "102"), ("103",)]
    assert call_of(RING + "2 A dial 104 internal number=103").number == NUMBER


def test_a_pick_up_whose_dial_was_lost_is_a_talk() -> None:
    assert phases("0 A start\n5 A enter b1 customer\n5 A enter b1 103") == ["arrived", "talking"]


def test_a_talk_whose_both_halves_were_overtaken_by_their_end_leaves_the_customer_on_hold() -> None:
    table = RING + "5 A leave b1 customer\n5 A leave b1 101\n5.2 A enter b1 customer\n5.2 A enter b1 101"
    assert phases(table) == ["arrived", "ringing", "on_hold"]


def test_such_a_talk_counts_also_for_a_call_that_turned_out_to_be_incoming() -> None:
    turned = "0 A dial 101 out\n0.2 A start\n"
    table = turned + "5 A leave b1 customer channel=A\n5 A leave b1 102\n5.2 A enter b1 customer channel=A\n5.2 A enter b1 102"
    assert call_of(table).phase is Phase.ON_HOLD


def test_ringing_again_after_such_a_talk_is_ringing() -> None:
    table = RING + "5 A leave b1 customer\n5 A leave b1 101\n5.2 A enter b1 customer\n20 A dial 103\n20.1 A enter b1 101"
    assert call_of(table).phase is Phase.RINGING


def test_a_bridge_that_is_heard_after_the_end_changes_no_phase_but_counts() -> None:
    call = call_of(RING + "9 A hangup 101 answered\n9.5 A enter b1 customer\n9.5 A enter b1 101")
    assert call.phase is Phase.ENDING
    assert [talk.extension for talk in call.talks] == ["101"]


def test_bridges_heard_before_the_dial_count_once_the_dial_comes() -> None:
    call = call_of("5 A enter b1 101\n5 A enter b1 customer\n5.4 A dial 101")
    assert call.phase is Phase.TALKING


def test_an_internal_call_is_internal_until_the_wire_says_otherwise() -> None:
    table = "0 A dial 102 internal number=101"
    assert phases(table) == ["internal"]
    assert phases(table + "\n1 A hangup 102 internal answered number=101") == ["internal", "internal_ended"]
    assert phases(table + "\n1 A start +375290000001") == ["internal", "arrived"]
    assert phases(table + "\n1 A dial 102") == ["internal", "ringing"]
    assert call_of(table + "\n1 A enter b1 customer\n1 A enter b1 102").talks == ()


def test_a_hangup_alone_ends_a_call_or_an_internal_call() -> None:
    assert phases("9 A hangup 101 answered") == ["ending"]
    assert phases("9 A hangup 102 internal number=101") == ["internal_ended"]


def test_a_lone_call_type_2_hangup_with_a_customers_number_is_a_customers_call() -> None:
    call = call_of("9 A hangup 102 internal answered")
    assert (call.phase, call.direction, call.number) == (Phase.ENDING, Direction.INCOMING, NUMBER)
    assert call.is_rewritten


def test_time_facts_move_the_phase_and_are_remembered() -> None:
    overdue = call_of(RING, CallOverdue(at_ms=ms(7_200)))
    assert (overdue.phase, overdue.overdue_ms) == (Phase.OVERDUE, ms(7_200))
    assert fold(overdue, [CallWrittenOff(at_ms=ms(9_999))]).phase is Phase.WRITTEN_OFF
    settled = call_of(ANSWERED, CallSettled(at_ms=ms(41), reason=""))
    assert (settled.phase, settled.settled_ms) == (Phase.SETTLED, ms(41))


def test_a_call_that_was_taken_for_a_leg_is_a_customers_own_once_it_is_heard_to_arrive() -> None:
    lone = call_of("9 A hangup 102 internal", LegAbsorbed(heard_ms=ms(9), into="B"))
    assert lone.phase is Phase.ABSORBED
    for table in ("9.1 A start", "9.1 A dial 101"):
        own = fold(lone, events(table))
        assert (own.phase, own.absorbed_into) == (Phase.ENDING, ""), "its end is known already"
        late = call_of("9 A hangup 102 internal\n" + table, LegAbsorbed(heard_ms=ms(9.2), into="B"))
        assert (late.phase, late.absorbed_into) == (Phase.ENDING, ""), "whichever was recorded first"
    ringing = fold(call_of("0 A dial 102 internal", LegAbsorbed(heard_ms=ms(1), into="B")), events("2 A dial 101"))
    assert ringing.phase is Phase.RINGING


@pytest.mark.parametrize("late", ["9.1 A start number=anonymous", "9.1 A dial 101 number=anonymous"])
def test_a_hidden_callers_transfer_whose_rewritten_hangup_came_first_is_his_call(late: str) -> None:
    first = call_of("9 A hangup 102 internal number=anonymous")
    assert first.phase is Phase.INTERNAL_ENDED
    own = fold(first, events(late))
    assert (own.phase, own.is_rewritten, own.direction) == (Phase.ENDING, True, Direction.INCOMING)


def test_a_leg_is_absorbed_while_it_can_be() -> None:
    absorbed = call_of("0 A dial 102 internal", LegAbsorbed(heard_ms=ms(1), into="B"))
    assert (absorbed.phase, absorbed.absorbed_into) == (Phase.ABSORBED, "B")
    settled = call_of(ANSWERED, CallSettled(at_ms=ms(41), reason=""), LegAbsorbed(heard_ms=ms(42), into="B"))
    assert (settled.phase, settled.absorbed_into) == (Phase.SETTLED, "")


def test_every_event_counts_for_the_version_and_unsaid_ones_change_nothing_else() -> None:
    call = call_of(RING)
    after = evolve(call, BridgeOpened(heard_ms=ms(1), bridge="b9"))
    assert after.version == call.version + 1
    assert (after.phase, after.bridges, after.dials) == (call.phase, call.bridges, call.dials)


def test_the_settings_revision_is_that_of_the_first_signal() -> None:
    first = DialObserved(heard_ms=1, channel="A", direction=Direction.INCOMING, settings_revision=3)
    second = DialObserved(heard_ms=2, channel="A", direction=Direction.INCOMING, settings_revision=4)
    assert fold(initial("0367", "A"), [first, second]).settings_revision == 3


# -- what is known ------------------------------------------------------------------------------------------------


def test_a_card_request_alone_begins_a_call_that_rings() -> None:
    call = call_of("0 A card 101 102")
    assert (call.phase, call.rung, call.number) == (Phase.RINGING, ("101", "102"), NUMBER)


def test_a_card_request_within_a_call_adds_who_was_asked_for_and_nothing_else() -> None:
    call = call_of(RING + "1 A card 103 101\n2 A card 103")
    assert call.requested == ("103", "101")
    assert call.rung == ("101", "102", "103")
    assert len(call.dials) == 1


def test_the_number_is_the_first_one_that_is_not_hidden() -> None:
    call = call_of("0 A start anonymous\n1 A dial 101 number=+375290000002\n2 A dial 101 number=+375290000003")
    assert call.number == "+375290000002"


@pytest.mark.parametrize(
    ("number", "external"),
    [(NUMBER, True), ("+151", False), ("151", False), (ANONYMOUS, False), ("0001001", True)],
)
def test_which_numbers_are_customers(number: str, external: bool) -> None:
    assert is_external_number(number) is external


def test_an_extension_in_a_hangup_is_not_taken_for_the_customers_number() -> None:
    assert call_of("0 A start anonymous\n9 A hangup 101 number=151").number == ANONYMOUS
    assert call_of("0 A start anonymous\n9 A hangup 101").number == NUMBER


def test_the_direction_is_named_by_the_strongest_evidence() -> None:
    assert call_of("0 A dial 101 out").direction is Direction.OUTGOING
    assert call_of("0 A dial 101 out\n0.2 A start").direction is Direction.INCOMING
    assert call_of("0 A dial 102 internal\n1 A hangup 101 out").direction is Direction.OUTGOING
    assert call_of("9 A hangup 101 out answered").direction is Direction.OUTGOING
    assert call_of("9 A hangup 101 internal number=102").direction is Direction.INTERNAL
    assert initial("0367", "A").direction is Direction.INCOMING


def test_the_caller_is_named_by_the_first_outgoing_dial_and_else_by_the_hangup() -> None:
    assert call_of("0 A dial 101 out\n1 A dial 102 out").caller == "101"
    assert call_of("9 A hangup 103 out answered").caller == "103"
    assert call_of("0 A dial out\n9 A hangup out").caller == ""
    assert call_of(RING).caller == ""
    assert call_of("0 A dial 101 out\n1 A dial 102 out").rung == ("101",)


def test_the_trunk_is_the_first_that_was_said() -> None:
    assert [call_of(line).trunk for line in ("0 A start", "0 A dial 101", "9 A hangup", "9 A hangup internal")] == [
        "t",
        "t",
        "t",
        "",
    ]


def test_recordings_are_kept_once_each_in_order() -> None:
    table = ANSWERED + "\n36 A hangup 101 answered rec=https://r/1\n37 A hangup 101 answered rec=https://r/1 downloaded"
    assert call_of(table + "\n38 A hangup 101 rec=https://r/2").recordings == ("https://r/1", "https://r/2")


def test_of_several_hangups_the_one_that_proves_more_is_kept_and_the_first_hearing_counts() -> None:
    call = call_of(RING + "9 A hangup\n12 A hangup 101 answered\n15 A hangup 102")
    assert call.hangup is not None
    assert (call.hangup.answered, call.hangup.extensions, call.hangup_ms) == (True, ("101",), ms(9))


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ("hangup 102", "hangup answered end=none"),
        ("hangup answered", "hangup 101 answered end=none"),
        ("hangup 101 answered end=none", "hangup 101 answered end=1"),
        ("hangup 101 answered end=1", "hangup 101 answered end=2"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_what_makes_a_hangup_prove_more(less: str, more: str, turned: bool) -> None:
    first, second = (more, less) if turned else (less, more)
    call = call_of(f"9 A {first}\n9 A {second}")
    assert isinstance(events(f"9 A {more}")[0], HangupObserved)
    assert call.hangup == events(f"9 A {more}")[0]


# -- start --------------------------------------------------------------------------------------------------------


def test_a_live_call_begins_when_it_was_first_heard() -> None:
    assert began(call_of(ANSWERED)) == 0
    assert began(call_of("0.7 A dial 101\n0.3 A start\n9 A hangup 101")) == 0.3


def test_the_pbxs_own_time_counts_when_only_the_hangup_tells() -> None:
    assert began(call_of("50 A hangup 101 answered received=3")) == 3
    assert began(call_of("50 A hangup 101 answered received=none start=5")) == 5
    assert began(call_of("50 A hangup 101 answered received=none end=7")) == 7
    assert began(call_of("50 A hangup 101 answered received=none end=none")) == 50
    assert began(call_of("50 A hangup 101 answered received=60")) == 50


def test_of_a_rewritten_hangup_alone_the_start_is_the_calls_and_the_reception_the_transfers() -> None:
    assert began(call_of("90 A hangup 103 internal answered received=40 start=5")) == 5
    assert began(call_of("90 A hangup 103 internal answered received=4 start=50")) == 4
    assert began(call_of("90 A hangup 103 internal answered received=none start=5")) == 5
    assert began(call_of("90 A hangup 103 answered received=40 start=5")) == 40


def test_a_hangup_that_is_downloaded_does_not_move_a_live_calls_start() -> None:
    assert began(call_of(ANSWERED + "\n9000 A hangup 101 answered downloaded received=-20")) == 0


def test_a_call_of_which_nothing_was_live_begins_by_the_downloaded_hangup() -> None:
    call = call_of("9000 A hangup 101 answered downloaded received=3 end=33")
    assert (began(call), ended(call)) == (3, 33)


# -- end ----------------------------------------------------------------------------------------------------------


def test_there_is_no_end_before_a_hangup() -> None:
    assert ended(call_of(PARTED)) is None


def test_a_parting_heard_near_the_pbxs_second_is_the_end() -> None:
    assert ended(call_of(PARTED + "35.6 A hangup 101 answered end=35")) == 35.2
    assert ended(call_of(PARTED + "35.6 A hangup 101 answered end=34")) == 35.2
    assert ended(call_of(PARTED + "35.6 A hangup 101 answered end=33")) == 33.9
    assert ended(call_of(PARTED + "36 A hangup 101 answered end=36")) == 36


def test_without_one_the_call_ends_late_within_that_second_and_not_after_it_was_heard() -> None:
    assert ended(call_of(RING + "9.7 A hangup end=9")) == 9.7
    assert ended(call_of(RING + "10.4 A hangup end=9")) == 9.9
    assert ended(call_of(RING + "15 A hangup end=9")) == 9.9


def test_a_hangup_without_an_end_ended_when_it_was_heard() -> None:
    assert ended(call_of(RING + "9.7 A hangup end=none")) == 9.7
    assert ended(call_of("9 A hangup downloaded end=none received=3")) == 3


@pytest.mark.parametrize(
    ("told_s", "believed"),
    [
        (-CLOCK_SKEW_MS / 1000, True),
        (-CLOCK_SKEW_MS / 1000 - 1, False),
        (9 + CLOCK_SKEW_MS / 1000, True),
        (9 + CLOCK_SKEW_MS / 1000 + 1, False),
        (9 - 3_600, False),
    ],
)
def test_a_clock_that_contradicts_the_hearing_is_not_believed(told_s: float, believed: bool) -> None:
    call = call_of(RING + f"9 A hangup end={told_s}")
    assert ended(call) == (min(9, max(0, told_s + 0.9)) if believed else 9)


def test_how_far_clocks_may_differ() -> None:
    assert CLOCK_SKEW_MS == 2_000


def test_a_downloaded_hangups_end_is_believed_whenever_it_comes() -> None:
    assert ended(call_of(RING + "9000 A hangup 101 answered downloaded end=35")) == 35.9
    assert ended(call_of("9000 A hangup 101 answered downloaded received=5 end=35")) == 35


def test_of_a_downloaded_hangup_whose_clock_is_wrong_the_length_is_believed() -> None:
    assert ended(call_of(RING + "100 A hangup 101 answered downloaded received=-3600 end=-3565")) == 35
    assert ended(call_of(RING + "100 A hangup 101 answered downloaded received=3600 end=3635")) == 35
    assert ended(call_of(RING + "100 A hangup 101 answered downloaded received=none end=-3565")) == 0


def test_a_call_never_ends_before_it_began() -> None:
    assert ended(call_of("50 A hangup 101 answered received=10 end=4")) == 10


def test_of_a_call_without_a_hangup_the_last_sign_of_life_is_the_end() -> None:
    assert seconds(best_known_end_ms(call_of(PARTED))) == 35.2
    assert seconds(best_known_end_ms(call_of(PARTED + "50 A hangup 101 answered end=35"))) == 35.2
    assert seconds(best_known_end_ms(call_of("7 A start"))) == 7


# -- outcome ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (RING, None),
        (TALK, None),
        (ANSWERED, Outcome.ANSWERED),
        (RING + "9 A hangup 101 answered", Outcome.ANSWERED),
        (RING + "9 A hangup 103 internal", Outcome.ANSWERED),  # a transfer proves a talk
        (PARTED + "36 A hangup 101", Outcome.ANSWERED),  # so does a bridge, whatever the status
        (RING + "9 A hangup 101", Outcome.MISSED),
        (RING + "9 A hangup status=1", Outcome.MISSED),
        ("0 A start\n9 A hangup status=1", Outcome.ABANDONED),
        ("0 A start\n9 A hangup status=0", Outcome.MISSED),
        ("0 A dial 101 out\n9 A hangup 101", Outcome.UNANSWERED),
        ("0 A dial 101 out\n9 A hangup 101 answered", Outcome.ANSWERED),
        ("0 A dial 102 internal number=101", Outcome.INTERNAL),
        ("0 A dial 102 internal number=101\n9 A hangup 102 internal number=101", Outcome.INTERNAL),
    ],
)
def test_how_a_call_ended(table: str, expected: Outcome | None) -> None:
    assert outcome(call_of(table)) is expected


def test_a_call_without_a_hangup_is_lost_unless_somebody_talked() -> None:
    assert outcome(call_of(RING, CallOverdue(at_ms=ms(7_200)))) is Outcome.LOST
    assert outcome(call_of(PARTED, CallOverdue(at_ms=ms(7_200)))) is Outcome.ANSWERED


def test_a_leg_has_no_outcome_of_its_own_and_an_unheard_call_none_yet() -> None:
    assert outcome(call_of("9 A hangup 103 internal answered", LegAbsorbed(heard_ms=ms(9), into="B"))) is Outcome.INTERNAL
    assert outcome(initial("0367", "A")) is None


# -- whose call it was --------------------------------------------------------------------------------------------


def consulted(extension: str, end: float | None, *, answered: bool = True, heard: float = 60) -> ConsultationObserved:
    return ConsultationObserved(
        heard_ms=ms(heard),
        leg="L",
        extensions=(extension,) if extension else (),
        answered=answered,
        ended_ms=None if end is None else ms(end),
    )


def test_whoever_talked_last_has_the_call_whatever_the_hangup_names() -> None:
    table = (
        PARTED
        + """
        35.2  A  enter  b2 customer
        35.2  A  enter  b2 103
        50    A  leave  b2 103
        50    A  leave  b2 customer
        50.4  A  hangup 101 answered
    """
    )
    assert attribution(call_of(table), SETTINGS) == ("103", "talked with the customer last")
    assert whose(call_of(table, consulted("102", 60))) == "103"


def test_an_outgoing_call_is_the_callers_answered_or_not() -> None:
    assert whose(call_of("0 A dial 101 out\n9 A hangup 102")) == "101"
    assert whose(call_of("0 A dial 101 out\n9 A hangup 101 answered")) == "101"


def test_who_took_over_in_an_attended_transfer_has_the_call() -> None:
    call = call_of(RING + "50 A hangup 101 answered", consulted("102", 40), consulted("103", 50), consulted("151", 45))
    assert whose(call) == "103"
    assert whose(call_of(RING + "50 A hangup 101 answered", consulted("102", 50), consulted("103", None, heard=70))) == "102"
    assert whose(call_of(RING + "50 A hangup 101 answered", consulted("102", 50), consulted("103", 50, heard=70))) == "103"


def test_a_consultation_that_nobody_answered_or_that_names_nobody_proves_nothing() -> None:
    call = call_of(RING + "50 A hangup 101 answered", consulted("102", 50, answered=False), consulted("", 60))
    assert whose(call) == "101"


def test_an_answered_hangup_names_the_answerer_or_nobody() -> None:
    assert whose(call_of(RING + "9 A hangup 102 answered")) == "102"
    assert whose(call_of(RING + "9 A hangup 101 102 answered")) == ""
    assert whose(call_of("9 A hangup answered"), unrecognized="150") == ""


def test_after_a_rewritten_hangup_nobody_is_better_than_the_wrong_one() -> None:
    assert whose(call_of("0 A dial 101\n9 A hangup 103 internal"), unrecognized="150") == ""
    assert whose(call_of("0 A dial 101\n9 A hangup 103 internal answered")) == "103"


def test_a_missed_call_is_the_only_one_who_was_rungs() -> None:
    assert whose(call_of("0 A start\n1 A dial 101\n9 A hangup")) == "101"
    assert whose(call_of("0 A start\n9 A hangup 101")) == "101"
    assert whose(call_of(RING + "9 A hangup 101"), unrecognized="150") == ""
    assert whose(call_of("1 A dial 101\n5 A dial 102\n9 A hangup 102")) == ""
    assert whose(call_of("1 A dial 101\n5 A dial 101\n9 A hangup")) == "101"


def test_calls_that_nobody_can_be_named_for_go_where_the_settings_say() -> None:
    assert whose(call_of("0 A start\n9 A hangup"), unrecognized="150") == "150"
    assert whose(call_of("0 A start"), unrecognized="150") == "150"
    assert attribution(call_of("0 A start\n9 A hangup"), SETTINGS) == ("", "nobody is known to have been rung")


def test_what_the_switchboard_concludes_makes_no_downloaded_call_live() -> None:
    call = call_of("9000 A hangup 101 answered downloaded received=3 end=33", consulted("102", 20, heard=9001))
    assert (began(call), ended(call), whose(call)) == (3, 33, "102")


def test_a_consultation_proves_who_took_an_outgoing_call_over() -> None:
    assert whose(call_of("0 A dial 101 out\n50 A hangup 101 out answered", consulted("102", 40))) == "102"


def test_a_lone_hangup_that_may_be_a_leg_waits_longer() -> None:
    lone = call_of("50 A hangup 102 internal answered")
    assert lone.is_doubtful
    assert next_deadline(lone, ms(50), Limits()) == ms(65)
    known = call_of("0 A start\n50 A hangup 102 internal answered")
    assert not known.is_doubtful
    assert next_deadline(known, ms(50), Limits()) == ms(55)


# -- what a person orders, and what was not asked yet --------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        RetryRequested(at_ms=ms(900), by="anna"),
        EffectDeferred(at_ms=ms(900), effect={"type": "confirm_call", "external_id": "x"}, reason="away", until_ms=ms(960)),
    ],
    ids=["retry", "deferral"],
)
def test_an_order_and_a_deferral_say_nothing_of_the_call_itself(event: RetryRequested | EffectDeferred) -> None:
    for table in ("", "0 A start", RING, RING + "9 A hangup 101 answered"):
        before = call_of(table)
        after = evolve(before, event)
        assert replace(after, remote=before.remote, version=before.version) == before
        assert after.version == before.version + 1
    assert after.remote == (replace(before.remote, deferred="away") if event.type == "effect_deferred" else before.remote)
