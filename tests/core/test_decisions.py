"""What passing time decides: settled, overdue, written off, and when to look again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.call import Call, fold, initial
from core.conclusions import PART_TO_HANGUP_MS
from core.decisions import ARRIVAL_LAGS_MS, ENDS_ALONE, PARTED_BEFORE_MS, Limits, complete, decide, hold_ends_ms, next_deadline
from core.events import CallOverdue, CallSettled, CallWrittenOff, ConsultationObserved, TimeFact
from core.lifecycle import Phase
from core.self_test import MAX_MS
from tests.scenario import call_of, events, ms, seconds

LIMITS = Limits()
RING = "0 A start\n0.5 A dial 101 102\n"
TALK = RING + "5 A enter b1 customer\n5 A enter b1 101\n"
PARTED = TALK + "35 A leave b1 101\n35 A leave b1 customer\n35 A close b1\n"
ANSWERED = PARTED + "35.4 A hangup 101 answered\n"
HALF = "0 A dial 101 out\n5 A enter b1 101 connected=+375290000001\n"
MISSED = RING + "9 A hangup\n"


def decided(call: Call, at: float) -> list[type[TimeFact]]:
    return [type(fact) for fact in decide(call, ms(at), LIMITS)]


def deadline(call: Call, at: float) -> float | None:
    found = next_deadline(call, ms(at), LIMITS)
    return None if found is None else seconds(found)


# -- settling -----------------------------------------------------------------------------------------------------


def test_a_complete_call_settles_at_once() -> None:
    (fact,) = decide(call_of(ANSWERED), ms(35.4), LIMITS)
    assert isinstance(fact, CallSettled)
    assert fact.at_ms == ms(35.4)
    assert fact.reason == "every bridge was heard to its end and the hangup confirms who talked"


def test_a_call_that_a_straggler_could_change_waits_for_the_grace_after_the_last_hearing() -> None:
    call = call_of(MISSED)
    assert decided(call, 13.999) == []
    assert deadline(call, 9) == 14
    (fact,) = decide(call, ms(14), LIMITS)
    assert isinstance(fact, CallSettled)
    assert (fact.at_ms, fact.reason) == (ms(14), "no straggler came within the grace")
    straggled = call_of(MISSED + "12 A dial 101")
    assert decided(straggled, 14) == []
    assert decided(straggled, 17) == [CallSettled]


def test_a_lone_hangup_that_may_be_anothers_leg_waits_longer() -> None:
    lone = call_of("9 A hangup 103 internal answered received=0")
    assert decided(lone, 23.999) == []
    assert decided(lone, 24) == [CallSettled]
    assert deadline(lone, 9) == 24


@pytest.mark.parametrize("table", [RING, TALK, PARTED, "0 A dial 102 internal"])
def test_a_call_that_goes_on_does_not_settle(table: str) -> None:
    assert decided(call_of(table), 100) == []


@pytest.mark.parametrize(
    "table",
    [
        RING + "9 A hangup 101 verdict=busy",
        "0 A start\n9 A hangup verdict=abandoned",
        PARTED + "35.4 A hangup 101 verdict=answered",
        PARTED + "39.5 A hangup 103 verdict=answered",  # whom it names and how much later does not matter: it knows
    ],
)
def test_what_the_pbx_itself_says_needs_no_straggler(table: str) -> None:
    call = call_of(table)
    assert complete(call) == "the PBX itself said how it ended"
    assert decided(call, 36) == [CallSettled]


def test_a_hangup_over_ami_without_its_verdict_waits_for_the_one_who_knows() -> None:
    heard = events(PARTED + "35.4 A hangup 101 answered")
    over_ami = [replace(event, wire="ami/t") for event in heard]
    assert complete(fold(initial("0367", "A"), heard)) != ""
    assert complete(fold(initial("0367", "A"), over_ami)) == ""


def test_deciding_again_after_evolving_decides_nothing() -> None:
    call = call_of(ANSWERED)
    settled = fold(call, decide(call, ms(36), LIMITS))
    assert settled.phase is Phase.SETTLED
    assert decide(settled, ms(1_000_000), LIMITS) == ()
    assert next_deadline(settled, ms(36), LIMITS) is None


@pytest.mark.parametrize(
    ("why", "table"),
    [
        ("no hangup", PARTED),
        ("not answered", PARTED + "35.4 A hangup 101"),
        ("nobody talked", RING + "35.4 A hangup 101 answered"),
        ("still in the bridge", TALK + "35 A leave b1 101\n35.4 A hangup 101 answered"),
        ("the talk has no end", TALK + "35.4 A hangup 101 answered"),
        ("the hangup names somebody else", PARTED + "35.4 A hangup 102 answered"),
        ("the hangup names nobody", PARTED + "35.4 A hangup answered"),
        (
            "he left before the end: the bridges of a transfer lag more than the hangup does",
            PARTED + "37.4 A hangup 101 answered end=36",
        ),
        ("a rewritten hangup does not tell when the call began", PARTED + "37.4 A hangup 101 internal answered received=20 end=36"),
        ("the parting was too long ago", PARTED + f"{35.001 + PART_TO_HANGUP_MS / 1000} A hangup 101 answered"),
        ("an internal call", "0 A dial 101 internal\n9 A hangup 101 internal answered number=102"),
        ("an internal call, whoever says so", "0 A dial 101 internal\n9 A hangup 101 internal verdict=busy number=102"),
        ("a rewritten hangup that names not the last", PARTED + "35.4 A hangup 103 internal answered"),
        (
            "a rewritten hangup that names more",
            PARTED + "35.4 A hangup 101 103 internal answered",
        ),
        ("only the caller's half was heard", HALF + "9 A close b1\n9.4 A hangup 101 out answered"),
        ("the customer was in a bridge with nobody", "5 A enter b1 customer\n9 A close b1\n9.4 A hangup 103 internal answered"),
        (
            "the customer is in another bridge",
            PARTED + "35 A enter b2 customer\n35.4 A hangup 101 answered",
        ),
        (
            "he was parked: whoever fetched him may be told in a moment",
            PARTED + "35 A enter b2 customer\n37 A close b2\n37.4 A hangup 101 answered end=37",
        ),
        (
            "the end of his bridge overtook his leaving it, and may have overtaken what he entered next",
            TALK + "35 A leave b1 101\n35 A close b1\n35.4 A hangup 101 answered\n35.9 A leave b1 customer",
        ),
        ("what is told of bridges lags behind the hangup", TALK + "34 A hangup 101 answered end=33\n35 A close b1"),
    ],
)
def test_what_leaves_a_call_incomplete(why: str, table: str) -> None:
    assert complete(call_of(table)) == "", why


@pytest.mark.parametrize(
    "table",
    [
        ANSWERED,
        PARTED + f"{35 + PART_TO_HANGUP_MS / 1000} A hangup 101 answered end=35",
        PARTED.replace("35 A", f"{36 - PARTED_BEFORE_MS / 1000} A") + "37.4 A hangup 101 answered end=36",
        PARTED + "35.4 A hangup 101 answered received=300 end=335",  # the PBX's clock is ahead of ours
        PARTED + "37.4 A hangup 101 answered end=none",
        PARTED + "35.4 A hangup 101 102 answered",
        PARTED + "35.4 A hangup 101 internal answered",
        # an attended transfer: the final hangup names the first answerer
        PARTED + "35 A enter b2 customer\n35 A enter b2 103\n50 A leave b2 customer\n50 A close b2\n50.4 A hangup 101 answered",
    ],
)
def test_what_makes_a_call_complete(table: str) -> None:
    assert complete(call_of(table)) != ""


def test_whom_a_transfers_leg_names_is_waited_for_until_a_bridge_tells_of_him() -> None:
    def leg(extension: str, *, answered: bool = True) -> ConsultationObserved:
        return ConsultationObserved(heard_ms=ms(20), leg="L", extensions=(extension,), answered=answered, ended_ms=ms(20))

    assert complete(call_of(ANSWERED, leg("102"))) == ""
    assert complete(call_of(ANSWERED, leg("101")))
    assert complete(call_of(ANSWERED, leg("102", answered=False)))


def test_an_outgoing_call_waits_whether_its_customer_was_handed_on() -> None:
    talked = "0 A dial 101 out\n5 A enter b1 101\n5 A enter b1 customer\n20 A close b1\n20.4 A hangup 101 out answered\n"
    ended = call_of(talked)
    assert (ended.phase, decided(ended, 25.3), decided(ended, 25.4)) == (Phase.ENDING, [], [CallSettled])
    handed_on = call_of(talked + "24 A enter b2 102\n24 A enter b2 customer\n")
    assert (handed_on.phase, decided(handed_on, 7_199)) == (Phase.TALKING, [])
    left = call_of(talked + "24 A enter b2 102\n24 A enter b2 customer\n80 A close b2")
    assert (left.phase, decided(left, 84.9), decided(left, 85)) == (Phase.ENDING, [], [CallSettled])
    assert complete(call_of(talked.replace("answered", "verdict=answered"))) != "", "over AMI the hangup is the whole call's"


BARE = "0 A dial 101 102\n"
"""All that is heard of a call's beginning where an exchange tells dials and hangups only."""


def test_where_only_ends_are_told_an_answered_hangup_settles_at_once() -> None:
    (fact,) = decide(call_of(BARE + "35 A hangup 101 answered"), ms(35), LIMITS)
    assert isinstance(fact, CallSettled)
    assert fact.reason == ENDS_ALONE
    assert complete(call_of(BARE + f"{ARRIVAL_LAGS_MS / 1000} A hangup 101 answered")) == ENDS_ALONE, "by then it had come"


@pytest.mark.parametrize(
    ("why", "table"),
    [
        ("nobody answered: it may yet turn out that somebody did", BARE + "35 A hangup 101"),
        ("it names nobody", BARE + "35 A hangup answered"),
        ("it names several", BARE + "35 A hangup 101 102 answered"),
        ("it names somebody who was not rung: picked up from elsewhere", BARE + "35 A hangup 103 answered"),
        ("the dial was lost", "35 A hangup 101 answered"),
        ("a transfer rewrote it", BARE + "35 A hangup 101 internal answered"),
        ("arrivals are told, so bridges are told", "0 A start\n0.5 A dial 101\n35 A hangup 101 answered"),
        ("a card was asked for: more is told than ends", BARE + "1 A card 103\n35 A hangup 101 answered"),
        ("a bridge was heard of", BARE + "5 A enter b1 101\n35 A hangup 101 answered"),
        ("the end of a bridge was heard of", BARE + "34 A close b1\n35 A hangup 101 answered"),
        ("an arrival may still be on its way", BARE + f"{ARRIVAL_LAGS_MS / 1000 - 0.001} A hangup 101 answered"),
        ("the dial came late", "34 A dial 101\n35 A hangup 101 answered"),
        ("outgoing calls have no arrival that would be missed", "0 A dial 101 out\n35 A hangup 101 out answered"),
    ],
)
def test_where_more_may_be_told_it_waits(why: str, table: str) -> None:
    assert complete(call_of(table)) == "", why


# -- the maximum --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["0 A start", RING, TALK, PARTED, PARTED + "36 A dial 103", "0 A dial 102 internal"])
def test_a_call_without_a_hangup_runs_over_its_maximum(table: str) -> None:
    call = call_of(table)
    assert decided(call, 7_199.999) == []
    assert decide(call, ms(7_200), LIMITS) == (CallOverdue(at_ms=ms(7_200)),)
    assert deadline(call, 100) == 7_200
    assert decided(fold(call, decide(call, ms(7_200), LIMITS)), 7_200) == []


def test_the_maximum_counts_from_the_first_hearing() -> None:
    assert decided(call_of("3 A start\n100 A dial 101"), 7_202.9) == []
    assert decided(call_of("3 A start\n100 A dial 101"), 7_203) == [CallOverdue]


def test_a_test_call_whose_service_did_not_hang_up_is_over_sooner() -> None:
    trial = call_of("0 selftest-1 dial 101", id="selftest-1")
    over = MAX_MS / 1_000
    assert (decided(trial, over - 0.001), decided(trial, over)) == ([], [CallOverdue])
    assert decide(trial, ms(60), replace(LIMITS, call_max_ms=60_000)) == (CallOverdue(at_ms=ms(60)),)


def test_an_overdue_call_is_written_off_after_the_long_grace() -> None:
    call = call_of(RING, CallOverdue(at_ms=ms(7_300)))
    assert decided(call, 7_300 + 86_399.999) == []
    assert deadline(call, 7_300) == 7_300 + 86_400
    assert decide(call, ms(7_300 + 86_400), LIMITS) == (CallWrittenOff(at_ms=ms(7_300 + 86_400)),)
    assert decided(fold(call, [CallWrittenOff(at_ms=ms(99_999))]), 999_999) == []


def test_a_late_hangup_settles_an_overdue_or_written_off_call_after_the_grace() -> None:
    overdue, written_off = CallOverdue(at_ms=ms(7_200)), CallWrittenOff(at_ms=ms(93_600))
    for call in (call_of(RING, overdue), call_of(RING, overdue, written_off)):
        late = fold(call, events("100000 A hangup 101 answered end=40"))
        assert late.phase is Phase.ENDING
        assert decided(late, 100_004) == []
        assert decided(late, 100_005) == [CallSettled]


def test_an_internal_call_that_expired_is_over() -> None:
    call = call_of("0 A dial 102 internal")
    assert fold(call, decide(call, ms(7_200), LIMITS)).phase is Phase.INTERNAL_ENDED


# -- looking again ------------------------------------------------------------------------------------------------


def test_a_customer_on_hold_outside_every_bridge_is_looked_at_when_his_card_goes() -> None:
    call = call_of(PARTED)
    assert hold_ends_ms(call, LIMITS) == ms(40)
    assert deadline(call, 35) == 40
    assert deadline(call, 40) == 7_200


def test_a_customer_who_waits_inside_a_bridge_keeps_the_card() -> None:
    call = call_of(TALK + "35 A leave b1 101")
    assert call.phase is Phase.ON_HOLD
    assert hold_ends_ms(call, LIMITS) is None
    assert deadline(call, 35) == 7_200


def test_a_hold_of_which_only_the_callers_half_was_heard_has_no_end() -> None:
    call = call_of(HALF + "9 A leave b1 101")
    assert call.phase is Phase.ON_HOLD
    assert hold_ends_ms(call, LIMITS) is None
    assert deadline(call, 9) == 7_200


def test_the_hold_ends_after_the_last_of_several_bridges() -> None:
    call = call_of(PARTED + "36 A enter b2 customer\n36 A enter b2 102\n50 A close b2")
    assert hold_ends_ms(call, LIMITS) == ms(55)


@pytest.mark.parametrize("table", ["1 A callerid A", "0 A dial 101 internal\n9 A hangup 101 internal number=102"])
def test_some_calls_need_no_looking_at(table: str) -> None:
    assert deadline(call_of(table), 10) is None


def test_an_unheard_call_decides_nothing() -> None:
    assert decide(initial("0367", "A"), ms(0), LIMITS) == ()
    assert next_deadline(initial("0367", "A"), ms(0), LIMITS) is None


def test_how_long_things_take() -> None:
    assert (PART_TO_HANGUP_MS, ARRIVAL_LAGS_MS) == (4_000, 8_000)
    assert Limits() == Limits(
        call_max_ms=7_200_000,
        settle_grace_ms=5_000,
        doubtful_grace_ms=15_000,
        hold_grace_ms=5_000,
        write_off_ms=86_400_000,
        contact_wait_ms=1_500,
        record_wait_ms=10_000,
        ring_stale_ms=120_000,
    )
