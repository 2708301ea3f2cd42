"""What follows from a call: when it began and ended, how it ended, whose it was. The tables are what the wire said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.call import Call, fold, initial
from core.conclusions import CLOCK_SKEW_MS, attribution, best_known_end_ms, end_ms, outcome, start_ms
from core.events import (
    CallerIdObserved,
    CallOverdue,
    ConsultationObserved,
    HangupObserved,
    LegAbsorbed,
)
from core.values import LATEST_MS, Outcome
from tests.core.test_call import ANSWERED, HANDED_ON, PARTED, RING, TALK
from tests.scenario import call_of, events, ms, seconds
from tests.settings import SETTINGS, settings_with
from tests.told import lived


def whose(call: Call, unrecognized: str = "") -> str:
    return attribution(call, settings_with(unrecognized=unrecognized))[0]


def began(call: Call) -> float:
    return seconds(start_ms(call))


def ended(call: Call) -> float | None:
    at = end_ms(call)
    return None if at is None else seconds(at)


# -- start --------------------------------------------------------------------------------------------------------


def test_a_live_call_begins_when_it_was_first_heard() -> None:
    assert began(call_of(ANSWERED)) == 0
    assert began(call_of("0.7 A dial 101\n0.3 A start\n9 A hangup 101")) == 0.3


def test_a_call_that_is_heard_of_after_its_downloaded_record_begins_when_it_was_heard() -> None:
    assert began(call_of("5 A hangup 101 answered downloaded received=3 end=4\n9 A start")) == 9


def test_a_call_of_which_nothing_was_heard_has_no_time() -> None:
    assert start_ms(initial("0367", "A")) == 0


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
    assert ended(call_of(PARTED.replace("35.2", "35") + "35.6 A hangup 101 answered end=33")) == 33.9
    assert ended(call_of(PARTED + "36 A hangup 101 answered end=36")) == 36
    assert ended(call_of(PARTED + "36 A hangup 101 answered end=38")) == 36


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


def test_where_the_clock_is_not_believed_a_parting_just_before_the_hangup_is_the_end() -> None:
    assert ended(call_of(PARTED + "36 A hangup 101 answered end=-3600")) == 35.2
    assert ended(call_of(PARTED + "39.2 A hangup 101 answered end=-3600")) == 35.2
    assert ended(call_of(PARTED + "39.3 A hangup 101 answered end=-3600")) == 39.3
    assert ended(call_of(TALK + "36 A hangup 101 answered end=-3600")) == 36


def test_a_clock_that_is_behind_by_more_than_anything_lags_is_not_believed() -> None:
    """A call of 35 s is no call of 5 s because the PBX's clock is half a minute behind."""
    assert ended(call_of(PARTED + "36 A hangup 101 answered received=-30 end=5")) == 35.2
    assert ended(call_of(RING + "36 A hangup received=-30 end=6")) == 36
    assert ended(call_of("0 A dial 101 out\n36 A hangup 101 out answered received=-30 end=6")) == 36


@pytest.mark.parametrize(
    ("hangup", "end_s"),
    [
        ("36 A hangup received=-30 end=28", 28.9),  # it had been in a menu before the first dial was told
        ("66 A hangup received=0 end=35", 35.9),  # the hangup was held up
        ("36 A hangup received=-8 end=28", 28.9),  # deliveries lag
        ("36 A hangup received=none end=6", 6.9),
        ("36 A hangup 102 internal answered received=-30 end=6", 6.9),  # a transfer's beginning is not the call's
    ],
)
def test_one_late_delivery_does_not_make_a_clock_wrong(hangup: str, end_s: float) -> None:
    assert ended(call_of("0 A dial 101\n" + hangup)) == end_s


def test_how_far_clocks_may_differ() -> None:
    assert (CLOCK_SKEW_MS, LATEST_MS) == (2_000, 8_000)


def test_a_downloaded_hangups_end_is_believed_whenever_it_comes() -> None:
    assert ended(call_of(RING + "9000 A hangup 101 answered downloaded end=35")) == 35.9
    assert ended(call_of("9000 A hangup 101 answered downloaded received=5 end=35")) == 35


def test_of_a_downloaded_hangup_whose_clock_is_wrong_the_length_is_believed() -> None:
    assert ended(call_of(RING + "100 A hangup 101 answered downloaded received=-3600 end=-3565")) == 35
    assert ended(call_of(RING + "100 A hangup 101 answered downloaded received=3600 end=3635")) == 35
    assert ended(call_of(RING + "100 A hangup 101 answered downloaded received=none end=-3565")) == 0


@pytest.mark.parametrize("how", ["", " downloaded"])
def test_of_a_hangup_alone_whose_clock_is_ahead_the_length_is_believed(how: str) -> None:
    """A PBX two hours further east than the settings say makes no call of a minute one of two hours."""
    call = call_of(f"100 A hangup 101 answered received=7240 end=7300{how}")
    assert (began(call), ended(call)) == (40, 100)


def test_an_outgoing_call_that_was_handed_on_ends_with_the_customer_not_with_the_caller() -> None:
    handed_on = HANDED_ON + "20.6 A hangup 101 out answered\n"
    assert ended(call_of(handed_on + "200 A leave b2 customer\n200.1 A leave b2 102")) == 200
    assert ended(call_of(handed_on + "200.1 A leave b2 102")) == 200.1, "when he left was not heard"
    assert ended(call_of(handed_on)) == 20, "nothing was heard of him since"
    assert ended(call_of(HANDED_ON + "200.6 A hangup 101 out verdict=answered\n203 A leave b2 customer")) == 200.6, "exact over AMI"
    back = handed_on + "30 A leave b2 customer\n31 A enter b3 101 channel=B\n31 A enter b3 customer\n60 A leave b3 customer"
    assert ended(call_of(back)) == 60, "who called took him back by another telephone"
    alone = "0 A dial 101 out\n5 A enter b1 101\n5 A enter b1 customer\n23 A leave b1 customer\n20.6 A hangup 101 out answered"
    assert ended(call_of(alone)) == 20.6, "a parting that lags is no later end"


def test_a_call_whose_hangup_never_came_ends_when_the_customer_left_whatever_is_downloaded_later() -> None:
    taken_over = ConsultationObserved(heard_ms=ms(9_000), leg="L", extensions=("102",), answered=True, ended_ms=ms(30))
    assert best_known_end_ms(call_of(PARTED, taken_over)) == ms(35.2)
    assert best_known_end_ms(call_of(PARTED + "36 A dial 103")) == ms(36)
    assert best_known_end_ms(call_of(TALK + "50 A dial 103")) == ms(50), "he was not heard to leave"


def test_a_live_hangup_that_a_downloaded_copy_overtook_is_still_all_there_is() -> None:
    copies = "3600 A hangup 101 answered downloaded received=0 end=40\n3600.1 A hangup 101 answered received=0 end=40"
    call = call_of(copies)
    assert (seconds(start_ms(call)), ended(call)) == (0, 40)


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


@pytest.mark.parametrize("verdict", [Outcome.ANSWERED, Outcome.INTERNAL, Outcome.LOST])
def test_a_verdict_only_tells_how_a_call_ended_that_nobody_answered(verdict: Outcome) -> None:
    (hangup,) = events("9 A hangup verdict=missed")
    assert isinstance(hangup, HangupObserved)
    assert outcome(call_of(RING, replace(hangup, verdict=verdict.value))) is Outcome.MISSED


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


@pytest.mark.parametrize(
    ("rest", "owner"),
    [
        ("35.1 A dial 102\n50.4 A hangup 102 internal answered", "102"),
        # his first bridge was not heard to be left either
        ("35.1 A dial 102\n36 A enter b2 102\n50 A leave b2 102\n50.4 A hangup 102 internal answered", "102"),
        ("35.1 A dial 102\n50.4 A hangup 102 internal", "101"),
        ("35.1 A dial 102 103\n50.4 A hangup 102 103 internal answered", "101"),
        ("50.4 A hangup 102 internal answered", "101"),
        ("35.1 A dial 102\n50.4 A hangup 102 answered", "101"),
    ],
)
def test_whoever_answered_a_blind_transfer_has_the_call_though_no_bridge_tells_of_him(rest: str, owner: str) -> None:
    """``CallStatus`` of a rewritten hangup is the last leg's (quirk 1)."""
    began = "0 A start\n0.5 A dial 101\n5 A enter b1 customer\n5 A enter b1 101\n"
    assert whose(call_of(began + "35 A leave b1 101\n35 A leave b1 customer\n35 A close b1\n" + rest)) == owner
    assert whose(call_of(began + rest)) == owner


def test_who_talked_after_the_transfer_has_the_call_whatever_its_hangup_names() -> None:
    table = "0 A start\n0.5 A dial 101\n5 A enter b1 customer\n5 A enter b1 101\n35 A close b1\n35.1 A dial 102\n"
    fetched = table + "38 A enter b2 customer\n38 A enter b2 103\n50 A close b2\n50.4 A hangup 102 internal answered"
    assert whose(call_of(fetched)) == "103"


def test_an_outgoing_call_is_the_callers_answered_or_not() -> None:
    assert whose(call_of("0 A dial 101 out\n9 A hangup 102")) == "101"
    assert whose(call_of("0 A dial 101 out\n9 A hangup 101 answered")) == "101"


def test_who_called_in_vain_is_known_by_his_channel_where_the_dial_was_lost() -> None:
    def named(channel: str, id_: str = "A") -> CallerIdObserved:
        return CallerIdObserved(heard_ms=ms(0), channel=id_, channel_name=channel, caller_id="74951110001")

    for table, more in (("9 A hangup out", named("PJSIP/101-0000004d")), ("", named("PJSIP/101-0000004d"))):
        call = fold(call_of(table, more), events("9 A hangup out"))
        assert (whose(call), call.rung) == ("101", ("101",))
    for channel in ("PJSIP/trunk-alpha-0000004e", "Local/102@dialexecute-00000002;2", "CBAnn/600-00000002;2", ""):
        assert whose(call_of("9 A hangup out", named(channel))) == "", channel
    assert whose(call_of("9 A hangup out", named("PJSIP/101-0000004d", "A-trunk"))) == "", "another channel"
    assert whose(call_of("0 A dial 102 out\n9 A hangup out", named("PJSIP/101-0000004d"))) == "102"
    assert whose(call_of("9 A hangup", named("PJSIP/101-0000004d"))) == "", "it came in"


@pytest.mark.parametrize("name", ["outbound_unanswered_cancel", "outbound_busy"])
def test_so_it_is_in_the_recordings(name: str) -> None:
    (row,) = lived(name, but="dial").moysklad.rows
    assert (row.incoming, row.extension, row.comment) == (False, "101", "Клиент не ответил")


def test_who_took_over_in_an_attended_transfer_has_the_call() -> None:
    call = call_of(RING + "50 A hangup 101 answered", consulted("102", 40), consulted("103", 50), consulted("151", 45))
    assert whose(call) == "103"
    assert whose(call_of(RING + "50 A hangup 101 answered", consulted("102", 50), consulted("103", None, heard=70))) == "102"
    assert whose(call_of(RING + "50 A hangup 101 answered", consulted("102", 50), consulted("103", 50, heard=70))) == "103"


def test_a_leg_that_hung_up_before_does_not_have_the_call_though_it_is_heard_to_leave_last() -> None:
    """Deliveries of bridges lag behind the hangup of the consultation (quirk 4); a copy of it may be downloaded later."""
    table = """
        0   A  dial   101
        3   A  enter  b1 customer
        3   A  enter  b1 101
        11  A  enter  b2 101 channel=L
        11  A  enter  b2 102
        12  A  enter  b2 customer
        14  A  leave  b2 102
        15  A  leave  b2 101 channel=L
        16  A  hangup 101 answered
    """
    legs = consulted("102", 9, heard=9.5), consulted("102", 9, heard=90)
    assert whose(call_of(table)) == "101"
    assert whose(call_of(table, *legs)) == "102"


def test_who_was_handed_the_call_after_the_attended_transfer_has_it() -> None:
    def handed_on(received: float, how: str = "answered") -> str:
        return whose(call_of(RING + f"60 A hangup 103 internal {how} received={received}", consulted("102", 20)))

    assert handed_on(40) == "103", "a blind transfer after it: the rewritten hangup names who answered last (quirk 1)"
    assert handed_on(10) == "102", "a blind transfer before it"
    assert handed_on(40, "") == "102", "whom nobody answered the customer did not talk with"


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
    not_answered = call_of("0 A dial 101 out\n50 A hangup 101 out", consulted("102", 90))
    assert whose(not_answered) == "101", "whom nobody reached nobody handed on: that is another call of the same customer's"


def test_what_names_the_customer_of_a_call_that_nobody_answered_is_of_another_call_of_his() -> None:
    assert whose(call_of(RING + "9 A hangup status=0", consulted("103", 9))) == ""
    assert whose(call_of("0 A dial 101\n9 A hangup status=0", consulted("103", 9))) == "101"
    by_queue = call_of("0 A dial 101\n50 A hangup status=1", consulted("103", 40))
    assert whose(by_queue) == "103", "who talked through a queue has no status of a Dial"


def test_what_ends_long_after_the_customer_has_hung_up_is_of_another_call_of_his() -> None:
    for table, end, extension in (
        (RING + "50 A hangup 101 answered end=50", 54, "103"),
        (RING + "50 A hangup 101 answered end=50", 60, "101"),
        ("0 A dial 101 out\n50 A hangup 101 out answered end=50", 90, "103"),
    ):
        assert whose(call_of(table, consulted("103", end, heard=91))) == extension


@pytest.mark.parametrize(
    ("call", "whose_and_why"),
    [
        (
            call_of(RING + "50 A hangup 101 answered", consulted("102", 40)),
            ("102", "took the call over in an attended transfer"),
        ),
        (call_of("0 A dial 101 out\n9 A hangup 102"), ("101", "is the one who called")),
        (call_of(RING + "9 A hangup 102 answered"), ("102", "is named by the answered hangup")),
        (call_of(RING + "9 A hangup 101 102 answered"), ("", "the answered hangup does not say who answered")),
        (
            call_of("0 A dial 101\n9 A hangup 103 internal"),
            ("", "a transfer rewrote the hangup: who talked is not known, and nobody is better than the wrong one"),
        ),
        (call_of("0 A start\n1 A dial 101\n9 A hangup"), ("101", "is the only one who was rung")),
        (call_of("0 A dial 101 375290000009\n9 A hangup"), ("101", "has the only extension that was rung")),
        (call_of("0 A dial 375290000008 375290000009\n9 A hangup"), ("", "several were rung and nobody answered")),
        (call_of(RING + "9 A hangup"), ("", "several were rung and nobody answered")),
        (call_of("0 A start"), ("150", "takes the calls nobody can be named for, by the settings")),
    ],
)
def test_the_rule_by_which_it_is_somebodys_is_told(call: Call, whose_and_why: tuple[str, str]) -> None:
    assert attribution(call, settings_with(unrecognized="150")) == whose_and_why
