"""A call as folded: direction, phase, times, outcome, whose it was. The tables are what the wire said."""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.call import STEPS, Call, evolve, fold, initial, pack, unpack
from core.decisions import Limits, decide, next_deadline
from core.effects import RegisterCall
from core.events import (
    EVENT_TYPES,
    BridgeOpened,
    CallOverdue,
    CallSettled,
    CallWrittenOff,
    CardRequested,
    ConsultationObserved,
    DialObserved,
    EffectDeferred,
    Event,
    LegAbsorbed,
    RetryRequested,
)
from core.history_file import load
from core.lifecycle import Phase
from core.phone import is_external_number
from core.values import ANONYMOUS, Direction
from tests.scenario import NUMBER, call_of, done, events, ms

HISTORIES = Path(__file__).parents[1] / "histories"
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


HANDED_ON = """
    0     A  dial   101 out
    5     A  enter  b1 101
    5     A  enter  b1 customer
    12    A  enter  b2 102
    20    A  leave  b1 customer
    20    A  enter  b2 customer
    20    A  leave  b1 101
"""
"""An outgoing call's customer is handed on to 102: the caller's own channel ends soon after."""


@pytest.mark.parametrize("last", ["leave b2 customer", "close b2"])
def test_an_outgoing_call_that_was_handed_on_goes_on_until_the_customer_leaves(last: str) -> None:
    handed_on = HANDED_ON + "20.6 A hangup 101 out answered\n"
    assert phases(handed_on) == ["ringing", "talking", "on_hold", "talking"]
    assert phases(handed_on + f"200 A {last}") == ["ringing", "talking", "on_hold", "talking", "ending"]
    overtaken = HANDED_ON.replace("20    A  enter  b2 customer\n", "") + "20.6 A hangup 101 out answered\n21 A enter b2 customer\n"
    assert phases(overtaken) == ["ringing", "talking", "on_hold", "ending", "talking"]
    assert phases(overtaken + f"200 A {last}") == ["ringing", "talking", "on_hold", "ending", "talking", "ending"]


def test_a_customer_who_was_handed_on_and_waits_in_the_bridge_has_not_gone() -> None:
    asked = HANDED_ON + "20.6 A hangup 101 out answered\n30 A leave b2 102\n"
    assert call_of(asked).is_live
    assert call_of(asked + "40 A enter b2 102 connected=103\n50 A leave b2 customer").phase is Phase.ENDING


def test_an_outgoing_calls_customer_whom_the_caller_takes_back_by_another_telephone_goes_on() -> None:
    handed_on = HANDED_ON + "20.6 A hangup 101 out answered\n"
    back = handed_on + "30 A leave b2 customer\n30 A leave b2 102\n31 A enter b3 101 channel=B\n31 A enter b3 customer\n"
    assert phases(back)[-2:] == ["ending", "talking"]
    assert call_of(back + "60 A leave b3 101 channel=B\n60 A leave b3 customer\n").phase is Phase.ENDING


def test_an_outgoing_calls_customer_whom_the_caller_parked_waits() -> None:
    talking = "0 A dial 101 out\n5 A enter b1 101\n5 A enter b1 customer\n"
    parked = talking + "20 A leave b1 customer\n20 A leave b1 101\n20 A enter b2 customer\n20.6 A hangup 101 out answered\n"
    assert call_of(parked).is_live
    assert call_of(parked + "60 A leave b2 customer").phase is Phase.ENDING
    overtaken = talking + "20.6 A hangup 101 out answered\n"
    assert call_of(overtaken).phase is Phase.ENDING, "that he has left is still under way"


@pytest.mark.parametrize(
    "hangup",
    [
        "20.6 A hangup 101 out verdict=answered",  # over AMI it is the whole call's
        "9000 A hangup 101 out answered end=20 downloaded",
    ],
)
def test_a_hangup_that_is_the_whole_calls_ends_it_whoever_seems_to_talk(hangup: str) -> None:
    assert phases(HANDED_ON + hangup) == ["ringing", "talking", "on_hold", "talking", "ending"]


def test_a_customer_who_was_not_handed_on_is_not_waited_for() -> None:
    talking = "0 A dial 101 out\n5 A enter b1 101\n5 A enter b1 customer\n"
    assert phases(talking + "20.6 A hangup 101 out answered") == ["ringing", "talking", "ending"]
    called_first = talking.replace("b1 customer", "b1 customer channel=A").replace("b1 101", "b1 102")
    assert phases(called_first + "20.6 A hangup 101 out answered") == ["ringing", "talking", "ending"]
    incoming = TALK + "5 A enter b1 102\n20.6 A hangup 101 answered"
    assert phases(incoming) == ["arrived", "ringing", "talking", "ending"]


def test_a_call_that_was_handed_on_and_never_heard_to_end_runs_over_its_maximum() -> None:
    call = call_of(HANDED_ON + "20.6 A hangup 101 out answered")
    assert next_deadline(call, ms(21), Limits()) == ms(7_200)
    (fact,) = decide(call, ms(7_200), Limits())
    overdue = fold(call, (fact,))
    assert overdue.phase is Phase.OVERDUE
    assert fold(overdue, events(HANDED_ON + "9000 A leave b2 customer")[-1:]).phase is Phase.ENDING


def test_what_was_settled_when_handing_on_was_not_understood_stays_settled() -> None:
    call = call_of(HANDED_ON + "20.6 A hangup 101 out answered", CallSettled(at_ms=ms(21), reason=""))
    assert call.phase is Phase.SETTLED


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
    table = RING + "5 A leave b1 customer\n20 A dial 103\n20.1 A leave b1 101"
    assert call_of(table).phase is Phase.RINGING


def test_of_dials_that_are_heard_at_one_moment_the_last_rings_now() -> None:
    """What a stream brings in one go after an outage is heard in one millisecond."""
    assert call_of("0 A start\n20 A dial 101\n20 A dial 102").ringing == ("102",)


@pytest.mark.parametrize(
    ("dials", "phase"),
    [
        ("9 A dial 101 102", Phase.ON_HOLD),
        ("9 A dial 102", Phase.RINGING),
        ("9 A dial 101\n12 A dial 101 102", Phase.TRANSFERRING),
    ],
)
def test_a_talk_that_overtook_the_only_dial_there_was_is_over(dials: str, phase: Phase) -> None:
    """Whom another dial names, who did not talk, is rung now."""
    talked = "5 A enter b1 customer\n5 A enter b1 101\n7 A leave b1 customer\n7 A leave b1 101\n7 A close b1\n"
    assert call_of(f"{talked}8.9 A start\n{dials}").phase is phase


@pytest.mark.parametrize("begins", ["0 A start\n", "8.9 A start\n"])
def test_nor_does_it_ring_where_the_call_was_known_before(begins: str) -> None:
    """A dial after a talk is a transfer, unless it is the one that led to the talk."""
    talked = "5 A enter b1 customer\n5 A enter b1 101\n7 A leave b1 customer\n7 A leave b1 101\n"
    in_order = begins + talked if begins < talked else talked + begins
    assert call_of(f"{in_order}9 A dial 101 102").phase is Phase.ON_HOLD
    assert call_of(f"{in_order}9 A dial 102").phase is (Phase.TRANSFERRING if begins < talked else Phase.RINGING)
    assert call_of(f"0 A start\n4 A dial 101\n{talked}9 A dial 101").phase is Phase.TRANSFERRING
    assert call_of(f"4 A dial 101\n{talked}").phase is Phase.ON_HOLD


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


def test_no_dial_makes_a_certain_leg_a_call_and_only_its_arrival_does() -> None:
    proved = LegAbsorbed(heard_ms=ms(1), into="B", certain=True)
    for table in ("0 A dial 102", "0 A dial 102 out", "0 A hangup 102"):
        leg = fold(call_of(table, proved), events("2 A dial 103\n9 A hangup 103 answered\n9 A hangup 103 answered downloaded"))
        assert (leg.phase, leg.absorbed_into) == (Phase.ABSORBED, "B")
        assert fold(leg, events("10 A start")).phase is Phase.ENDING
    arrived = call_of("0 A start\n0 A dial 102", proved)
    assert (arrived.phase, arrived.absorbed_into) == (Phase.RINGING, "")
    own = fold(call_of("0 A dial 102", proved), events("2 A start\n3 A dial 103"))
    assert (own.phase, own.absorbed_into) == (Phase.RINGING, "")


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


def test_every_event_has_its_steps_and_a_call_is_a_value() -> None:
    assert set(STEPS) == set(EVENT_TYPES.values())
    call = call_of(RING)
    assert type(call) is Call
    with pytest.raises(AttributeError, match="immutable"):
        call.phase = Phase.SETTLED  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(call)) == copy.deepcopy(call) == call


@cache
def every_stored_event() -> tuple[Event, ...]:
    """All that was ever recorded in the corpus: each type of event, and of the effects inside."""
    return tuple(event for path in sorted(HISTORIES.rglob("*.jsonl")) for event in load(path.read_bytes()).events)


@given(st.deferred(lambda: st.lists(st.sampled_from(every_stored_event()), max_size=30)), st.data())
def test_folding_at_once_is_folding_one_by_one_and_the_same_each_time(history: list[Event], data: st.DataObject) -> None:
    """Whatever the order, and however it is cut: a live call is folded further and further from what was kept of it."""
    start = state = initial("0367", "1.1")
    for event in history:
        before, shown = state, repr(state)
        state = evolve(state, event)
        assert repr(before) == shown, "folding on changes nothing of what was there"
    cut = data.draw(st.integers(0, len(history)))
    assert fold(start, history) == fold(start, history) == state
    assert fold(fold(start, history[:cut]), history[cut:]) == state
    assert start == initial("0367", "1.1")
    assert unpack(pack(state)) == state


# -- what is known ------------------------------------------------------------------------------------------------


def test_a_card_request_alone_begins_a_call_that_rings() -> None:
    call = call_of("0 A card 101 102")
    assert (call.phase, call.rung, call.number) == (Phase.RINGING, ("101", "102"), NUMBER)


def test_a_card_request_within_a_call_adds_who_was_asked_for_and_nothing_else() -> None:
    call = call_of(RING + "1 A card 103 101\n2 A card 103")
    assert call.requested == ("103", "101")
    assert call.rung == ("101", "102"), "he is shown a card, and does not ring"
    assert len(call.dials) == 1


def test_who_is_to_be_shown_a_card_counts_as_rung_where_no_dial_was_heard() -> None:
    assert call_of("0 A start\n1 A card 103").rung == ("103",)


def test_who_was_asked_for_before_a_dial_was_heard_does_not_ring_either() -> None:
    call = call_of("0 A card 103\n0.2 A dial 101\n0.4 A start")
    assert (call.rung, call.ringing) == (("101",), ("101", "103"))
    assert call_of("0 A card 103\n0.2 A dial 101 internal").rung == ("103",), "a service leg rings nobody"
    assert call_of("0 A card 103\n0.2 A dial 101 out").caller == "101"


def test_a_card_that_is_asked_for_within_the_house_makes_no_customers_call() -> None:
    asked = CardRequested(heard_ms=ms(0), extensions=("152",), direction=Direction.INTERNAL, number="151")
    call = fold(initial("0367", "A"), [asked])
    assert (call.phase, call.inner, call.number) == (Phase.INTERNAL, "151", ANONYMOUS)
    ended = fold(call, events("9 A hangup 152 internal answered number=151"))
    assert ended.phase is Phase.INTERNAL_ENDED
    outside = fold(call, events("1 A dial 101"))
    assert (outside.phase, outside.number, outside.rung) == (Phase.RINGING, NUMBER, ("101",))


@pytest.mark.parametrize("end", ["9 A hangup 101 answered number=7788", "9 A hangup 101 out answered number=7788"])
def test_a_card_that_was_asked_for_as_within_the_house_loses_no_customers_call(end: str) -> None:
    """A short number that calls in by a trunk, which the request for a card does not name, looks like a colleague's."""
    asked = CardRequested(heard_ms=ms(0), extensions=("101",), direction=Direction.INTERNAL, number="7788")
    call = fold(initial("0367", "A"), [asked, *events(end)])
    assert (call.phase, call.number, call.rung) == (Phase.ENDING, "7788", ("101",))
    heard_to_ring = fold(initial("0367", "A"), [asked, *events("1 A dial 101 internal\n" + end)])
    assert heard_to_ring.phase is Phase.INTERNAL_ENDED


def test_a_short_number_is_the_customers_where_only_the_hangup_tells_it() -> None:
    assert call_of("9 A hangup 101 out answered number=7788").number == "7788"
    assert call_of("9 A hangup 101 answered number=7788").number == "7788"
    assert call_of("0 A dial 101 number=anonymous\n9 A hangup 101 answered number=7788").number == ANONYMOUS


def test_a_card_request_after_the_end_names_nobody() -> None:
    call = call_of("0 A start\n9 A hangup status=0\n9.5 A card 103")
    assert (call.requested, call.rung) == ((), ())


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


def test_a_recording_of_a_leg_is_the_calls_too() -> None:
    one, two = "https://rec.example.invalid/1", "https://rec.example.invalid/9"
    leg = ConsultationObserved(heard_ms=ms(20), leg="L", extensions=("102",), answered=True, record_url=two)
    none = ConsultationObserved(heard_ms=ms(20), leg="L", extensions=("102",), answered=True)
    assert call_of(f"9 A hangup 101 rec={one}", none, leg, leg).recordings == (one, two)
    assert call_of(f"9 A hangup 101 rec={two}", leg).recordings == (two,)


def test_of_several_hangups_the_one_that_proves_more_is_kept_and_the_first_hearing_counts() -> None:
    call = call_of(RING + "9 A hangup\n12 A hangup 101 answered\n15 A hangup 102")
    assert call.hangup is not None
    assert (call.hangup.answered, call.hangup.extensions, call.hangup_ms) == (True, ("101",), ms(9))


def test_a_lone_hangup_that_may_be_a_leg_waits_longer() -> None:
    lone = call_of("50 A hangup 102 internal answered")
    assert lone.is_doubtful
    assert next_deadline(lone, ms(50), Limits()) == ms(65)
    bridge = "40 A enter b1 customer\n40 A enter b1 102\n49 A leave b1 customer\n49 A leave b1 102"
    talked = f"{bridge}\n50 A hangup 102 internal answered end=49"
    assert decide(call_of(talked), ms(51), Limits()) == ()
    (settled,) = decide(call_of(f"0 A start\n{talked}"), ms(51), Limits())
    assert settled.type == "call_settled"
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


def test_a_call_that_moysklad_has_already_is_no_leg_any_more() -> None:
    """It was listed before anything told whose leg it was: what is there gets its end."""
    registering = RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0))
    certain = LegAbsorbed(heard_ms=ms(9), into="B", certain=True)
    assert call_of("0 A dial 101", certain).phase is Phase.ABSORBED
    assert call_of("0 A dial 101", done(registering, 1, call="m"), certain).phase is Phase.RINGING
