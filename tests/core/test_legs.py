"""Which signals belong to the same call: the switchboard's five rules, each with what it must not do."""

from __future__ import annotations

import itertools

import pytest

from core.decisions import Limits
from core.events import BridgeEntered, BridgeOpened, CallSettled, CardRequested, HangupObserved
from core.legs import (
    HELD_UP_MS,
    PARASITE_WINDOW_MS,
    UNENDED_MS,
    Absorb,
    Finding,
    Kind,
    Legs,
    Link,
    customer_digits,
    evidence_in,
    hear,
    is_trunk,
)
from core.values import ANONYMOUS, Direction
from tests.scenario import NUMBER, heard

OTHER = "+375290000002"
EMPTY = Legs()


def listen(table: str, legs: Legs = EMPTY) -> tuple[Legs, list[str]]:
    """The switchboard after a table and what it found, e.g. ``bridge/b1 -> A`` and ``L => A with proof``."""
    found: list[str] = []
    for stream, event in heard(table):
        legs, findings = hear(legs, stream, event)
        for finding in findings:
            match finding:
                case Link():
                    found.append(f"{finding.leg} -> {finding.call}")
                case Absorb():
                    found.append(f"{finding.leg} => {finding.into}" + (" with proof" if finding.hangup else ""))
    return legs, found


def found(table: str) -> list[str]:
    return listen(table)[1]


def links(table: str) -> dict[str, set[str]]:
    """Every leg and the calls it belongs to."""
    return {leg: set(calls) for leg, calls in listen(table)[0].links.items() if calls}


def kind(table: str, call: str = "A") -> Kind:
    return listen(table)[0].calls[call].kind


INCOMING = "0 A start\n0 A dial 101 102\n"
OUTGOING = "0 A dial 101 out\n"

# -- rule 1: a bridge that holds the anchor -----------------------------------------------------------------------


def test_a_bridge_that_holds_the_calls_own_channel_belongs_to_it() -> None:
    assert found(INCOMING + "5 A enter b1 101") == []
    assert found(INCOMING + "5 A enter b1 101\n5 A enter b1 customer") == ["bridge/b1 -> A"]


def test_it_does_so_in_either_order_of_hearing() -> None:
    assert found("5 A enter b1 customer\n5.5 A dial 101") == ["bridge/b1 -> A"]


def test_a_leave_alone_proves_the_bridge_too() -> None:
    assert found(INCOMING + "9 A leave b1 customer") == ["bridge/b1 -> A"]


def test_every_bridge_of_the_customer_belongs_to_the_call() -> None:
    assert found(INCOMING + "5 A enter b1 customer\n9 A enter b2 customer") == ["bridge/b1 -> A", "bridge/b2 -> A"]


def test_hearing_it_again_proves_nothing_new() -> None:
    table = INCOMING + "5 A enter b1 customer\n5 A enter b1 101\n"
    assert found(table + table) == found(table)


def test_two_calls_keep_their_bridges_apart() -> None:
    table = "0 A start\n0 B start\n5 A enter b1 customer\n5 A enter b1 101\n5 B enter b2 customer\n5 B enter b2 102"
    assert links(table) == {"bridge/b1": {"A"}, "bridge/b2": {"B"}}


def test_a_caller_id_of_the_calls_own_channel_belongs_to_it() -> None:
    assert found("0 - callerid A\n1 A dial 101 out") == ["channel/A -> A"]
    assert found("1 A dial 101 out\n2 - callerid A") == ["channel/A -> A"]
    assert found("0 - callerid X\n1 A dial 101 out") == []
    assert found("0 - callerid A\n1 A dial 101 out\n2 - callerid A") == ["channel/A -> A"]


# -- rules 2 and 3: the customer's leg ----------------------------------------------------------------------------


def test_the_trunks_channel_of_an_outgoing_call_is_the_customers_leg_and_takes_its_next_bridges_along() -> None:
    table = OUTGOING + "5 A enter b1 101\n5 A enter b1 customer\n20 A enter b2 customer\n20 A enter b2 102"
    assert links(table) == {"bridge/b1": {"A"}, "channel/A-trunk": {"A"}, "bridge/b2": {"A"}}


def test_an_employees_channel_takes_no_bridge_along() -> None:
    table = INCOMING + "5 A enter b1 customer\n5 A enter b1 101\n20 A enter b2 101\n20 A enter b2 150"
    assert links(table) == {"bridge/b1": {"A"}}


def test_a_trunks_channel_that_anchors_a_call_is_not_another_calls_leg() -> None:
    table = "0 A start\n0 B start number=+375290000002\n5 A enter b1 customer\n5 B enter b1 customer\n9 B enter b2 customer"
    assert links(table) == {"bridge/b1": {"A", "B"}, "bridge/b2": {"B"}}


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_order_of_hearing_does_not_change_what_belongs_together(order: tuple[int, ...]) -> None:
    lines = ["0 A dial 101 out", "5 A enter b1 101 channel=A", "5 A enter b1 customer channel=T", "9 A enter b2 customer channel=T"]
    assert links("\n".join(lines[index] for index in order)) == {"bridge/b1": {"A"}, "channel/T": {"A"}, "bridge/b2": {"A"}}


def test_a_trunks_channel_that_dials_inside_is_the_customers_leg_all_the_same() -> None:
    table = OUTGOING + "5 A enter b1 101\n20 T dial 102 internal\n"
    table += "21 A enter b1 customer channel=T\n25 A enter b2 customer channel=T\n"
    assert links(table)["bridge/b2"] >= {"A"}
    assert links(table.replace("internal", f"number={OTHER}"))["bridge/b2"] == {"T"}, "a call of its own"
    assert links("19 T start\n" + table.replace("internal", ""))["bridge/b2"] == {"T"}, "a call of its own"


CALLED = OUTGOING + "5 A enter b1 101\n5 A enter b1 customer channel=T\n"
HANDED_ON = "20 T dial 102 {}\n25 A enter b2 customer channel=T\n25 A enter b2 102\n60 T hangup 102 {} answered"


def absorbed(table: str) -> set[str]:
    return {each for each in found(table) if "=>" in each}


@pytest.mark.parametrize("told", ["", "out", "internal"])
def test_what_the_customer_dials_who_was_sent_on_is_no_call_whatever_its_call_type(told: str) -> None:
    table = CALLED + HANDED_ON.format(told, told)
    assert absorbed(table) == {"T => A", "T => A with proof"}
    assert links(table)["bridge/b2"] >= {"A"}
    assert absorbed(CALLED + HANDED_ON.format(told, "internal")) == {"T => A", "T => A with proof"}
    assert absorbed(CALLED + HANDED_ON.format("internal", told)) == {"T => A", "T => A with proof"}


def test_it_may_be_sent_on_to_a_number_outside() -> None:
    assert absorbed(CALLED + f"20 T dial 101 out number={OTHER}\n60 T hangup 101 out number={OTHER}") == {
        "T => A",
        "T => A with proof",
    }


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_order_of_hearing_does_not_change_that_it_is_no_call(order: tuple[int, ...]) -> None:
    lines = ["5 A enter b1 101 channel=A", "5 A enter b1 customer channel=T", "20 T dial 102", "60 T hangup 102 answered"]
    legs, _ = listen("\n".join([OUTGOING.strip(), *(lines[index] for index in order)]))
    assert legs.calls["T"].absorbed


def test_who_came_in_and_was_brought_together_with_the_customer_has_a_call_of_his_own() -> None:
    conference = "20 B enter b1 customer channel=T"
    assert absorbed(OUTGOING + "5 A enter b1 101\n10 T start\n" + conference + "\n21 T dial 103\n30 T hangup 103 answered") == set()
    late = OUTGOING + "5 A enter b1 101\n" + conference + f"\n21 T dial 103 number={OTHER}\n30 T hangup 103 answered number={OTHER}"
    assert absorbed(late) == set(), "his arrival was lost"
    hidden = late.replace(OTHER, ANONYMOUS)
    assert absorbed(hidden) == set()


def test_it_came_in_after_all_when_that_is_heard_later() -> None:
    legs, _ = listen(CALLED + "20 T dial 102\n21 T start\n22 T dial 103\n30 T hangup 103 answered")
    assert (legs.calls["T"].kind, legs.calls["T"].absorbed) == (Kind.ARRIVED, False)


def test_two_calls_of_a_customer_in_one_conference_are_two() -> None:
    two = "0 A start\n0 A dial 101\n2 B start\n2 B dial 102\n5 A enter b1 customer\n6 B enter b1 customer\n"
    assert absorbed(two + "60 A hangup 101 answered\n60 B hangup 102 answered") == set()


def test_a_leg_that_dials_is_no_customer_s_call_for_other_legs() -> None:
    table = CALLED + "20 T dial 102\n25 A enter b2 customer channel=T\n25 A enter b2 102\n"
    consulted = "30 L dial 103 internal number=102\n32 L enter b3 102 channel=L\n35 A enter b3 customer channel=T\n"
    assert absorbed(table + consulted) == {"T => A", "L => A"}
    assert absorbed(table + PARASITE) == {"T => A", "L => A with proof"}


def test_all_hangups_of_a_certain_leg_are_evidence_but_what_went_out_names_who_dialled() -> None:
    history = [event for _, event in heard("50 T hangup 102 answered\n51 T hangup 101 out answered")]
    assert [each.extensions for each in evidence_in(history, certain=True)] == [("102",), ()]


@pytest.mark.parametrize(
    ("name", "caller_id", "trunk"),
    [
        ("PJSIP/trunk-00000001", NUMBER, True),
        ("SIP/0001001-00000001", "anonymous", True),
        ("PJSIP/101-00000001", NUMBER, False),
        ("PJSIP/trunk-00000001", "101", False),
        ("CBAnn/room-00000001;2", "", False),
    ],
)
def test_which_channels_come_from_a_trunk(name: str, caller_id: str, trunk: bool) -> None:
    assert is_trunk(BridgeEntered(heard_ms=1, bridge="b", channel="c", channel_name=name, caller_id=caller_id)) is trunk


# -- rule 4: consultations ----------------------------------------------------------------------------------------

CONSULTATION = """
    0     A  start
    0     A  dial   101
    5     A  enter  b1 customer
    5     A  enter  b1 101
    20    L  dial   102 internal number=101
    22    L  enter  c1 102
    22    L  enter  c1 101 channel=L
"""


def test_a_consultation_that_the_customer_joins_is_absorbed_by_his_call() -> None:
    joined = CONSULTATION + "25 A enter c1 customer"
    assert found(CONSULTATION)[-1] == "bridge/c1 -> L"
    assert found(joined)[-2:] == ["bridge/c1 -> A", "L => A"]
    assert listen(joined)[0].calls["L"].absorbed


def test_a_consultation_that_the_customer_does_not_join_stays_an_internal_call() -> None:
    assert [each for each in found(CONSULTATION) if "=>" in each] == []


def test_it_is_absorbed_once() -> None:
    table = CONSULTATION + "25 A enter c1 customer\n26 L leave c1 101 channel=L\n27 A leave c1 customer\n28 A enter c1 customer"
    assert [each for each in found(table) if "=>" in each] == ["L => A"]


def test_whose_consultation_a_conference_of_two_customers_was_cannot_be_told() -> None:
    table = "0 B start\n" + CONSULTATION + "24 B enter c1 customer\n24 A enter c1 customer"
    # the first customer who joined has it; had both been heard before the leg's nature was, nobody would
    assert [each for each in found(table) if "=>" in each] == ["L => B"]
    late = "0 A start\n0 B start\n1 A enter c1 customer\n1 B enter c1 customer\n2 L enter c1 101 channel=L\n3 L dial 102 internal"
    assert [each for each in found(late) if "=>" in each] == []


def test_a_customers_call_is_never_absorbed_as_a_consultation() -> None:
    table = "0 A start\n0 B start\n5 A enter b1 customer\n5 B enter b1 customer"
    assert [each for each in found(table) if "=>" in each] == []


# -- rule 5: parasitic hangups ------------------------------------------------------------------------------------

PARASITE = f"50 L hangup 102 internal answered number={NUMBER}"


def test_a_hangup_that_names_a_customer_with_a_call_of_his_own_is_that_calls_leg_and_its_evidence() -> None:
    assert found(INCOMING + PARASITE) == ["L => A with proof"]


def test_the_number_may_be_written_differently() -> None:
    assert found(INCOMING + "50 L hangup 102 internal answered number=375290000001") == ["L => A with proof"]


def test_with_two_candidate_owners_it_is_the_latest_ones_leg_but_nobodys_evidence() -> None:
    assert found("0 A start\n3 B start\n" + PARASITE) == ["L => B"]
    assert found("3 B start\n0 A start\n" + PARASITE) == ["L => B"]


CONSULTED = "20 L dial 102 internal number=101\n22 L enter b2 101 channel=L\n22 L enter b2 102\n30 A enter b2 customer\n"


def test_of_two_calls_of_a_customer_it_is_the_ones_whose_bridge_it_was_in() -> None:
    joined = [each for each in found("0 A start\n3 B start\n" + CONSULTED + PARASITE) if "=>" in each]
    assert joined == ["L => A", "L => A with proof"], "first as a consultation, then by its hangup"


def test_a_leg_is_known_by_its_bridge_long_after_who_called_has_hung_up() -> None:
    called = OUTGOING + "5 A enter b1 101\n5 A enter b1 customer channel=T\n10 A hangup 101 out answered\n"
    called += "11 A enter b2 customer channel=T\n"
    second = "40 L dial 102 internal number=101\n41 L enter b3 101 channel=L\n45 A enter b3 customer channel=T\n"
    leg = f"50 L hangup 102 internal answered received=40 number={NUMBER}"
    assert found(called + second + leg)[-1] == "L => A with proof"
    assert "L => A with proof" not in found(called + leg)


def test_a_call_is_up_as_long_as_its_bridges_are_told() -> None:
    called = OUTGOING + "5 A enter b1 101\n5 A enter b1 customer channel=T\n10 A hangup 101 out answered\n"
    leg = f"50 L hangup 102 internal answered received=40 number={NUMBER}"
    talks_on = called + "11 A enter b2 customer channel=T\n30 A enter b2 103\n"
    assert found(talks_on + leg)[-1] == "L => A with proof"
    assert found(called + "35 B start\n" + leg)[-1] == "L => B with proof"
    assert found(talks_on + "35 B start\n" + leg)[-1] == "L => B", "it may be either one's"


def test_a_hidden_customers_leg_is_known_by_its_bridge_alone() -> None:
    hidden = f"number={ANONYMOUS}"
    both = f"0 A start {hidden}\n3 B start {hidden}\n"
    leg = f"50 L hangup 102 internal answered {hidden}"
    assert [each for each in found(both + CONSULTED + leg) if "=>" in each] == ["L => A", "L => A with proof"]
    assert found(both + leg) == []


def test_a_hangup_that_names_nobodys_customer_is_a_call_of_its_own() -> None:
    assert found(INCOMING + f"50 L hangup 102 internal answered number={OTHER}") == []
    assert kind(INCOMING + f"50 L hangup 102 internal answered number={OTHER}", "L") is Kind.DOUBTFUL


def test_a_hangup_of_a_hidden_caller_or_an_extension_joins_nothing() -> None:
    hidden = f"0 A start number={ANONYMOUS}\n50 L hangup 102 internal answered number={ANONYMOUS}"
    assert found(hidden) == []
    assert found(INCOMING + "50 L hangup 102 internal answered number=101") == []


def test_a_rewritten_hangup_of_the_customers_own_call_is_not_parasitic() -> None:
    assert found(INCOMING + f"0 B start\n50 A hangup 102 internal answered number={NUMBER}") == []


def test_a_hangup_that_is_not_of_call_type_2_is_a_call_of_its_own() -> None:
    assert found(INCOMING + "50 L hangup 102 answered") == []


WINDOW_S, UNENDED_S = PARASITE_WINDOW_MS / 1000, UNENDED_MS / 1000
HELD_UP_S = HELD_UP_MS // 1000


def test_how_far_a_parasite_and_its_calls_end_are_apart() -> None:
    assert PARASITE_WINDOW_MS == 15_000


@pytest.mark.parametrize(("gap_s", "joined"), [(WINDOW_S, True), (WINDOW_S + 0.001, False)])
def test_the_customers_call_must_have_been_up(gap_s: float, joined: bool) -> None:
    ended_before = INCOMING + f"{50 - gap_s} A hangup 101 answered\n" + PARASITE
    assert (found(ended_before) == ["L => A with proof"]) is joined
    began_after = PARASITE + f"\n{50 + gap_s} A start"
    assert (found(began_after) == ["L => A"]) is joined


def test_how_long_a_call_without_an_end_counts_as_up() -> None:
    assert Limits().call_max_ms == UNENDED_MS


@pytest.mark.parametrize(("later_s", "joined"), [(UNENDED_S + WINDOW_S, True), (UNENDED_S + WINDOW_S + 0.001, False)])
def test_a_call_whose_hangup_was_lost_is_not_up_for_ever(later_s: float, joined: bool) -> None:
    leg = f"{later_s} L hangup 102 internal answered received={later_s} number={NUMBER}"
    assert (found(INCOMING + leg) == ["L => A with proof"]) is joined


@pytest.mark.parametrize(("later_s", "joined"), [(14_400 + WINDOW_S, True), (14_400 + WINDOW_S + 0.001, False)])
def test_a_call_without_an_end_is_up_as_long_as_calls_may_last_here(later_s: float, joined: bool) -> None:
    leg = f"{later_s} L hangup 102 internal answered received={later_s} number={NUMBER}"
    assert (listen(INCOMING + leg, Legs(unended_ms=14_400_000))[1] == ["L => A with proof"]) is joined


def test_yesterday_s_lost_hangup_takes_no_evidence_from_today_s_call() -> None:
    today = f"72000 B start\n72000 B dial 101\n72060 L hangup 102 internal answered received=72030 number={NUMBER}"
    assert found(INCOMING + today) == ["L => B with proof"]


def test_the_parasite_may_come_first_and_then_it_proves_less() -> None:
    assert found(PARASITE + "\n51 A dial 101") == ["L => A"]
    assert found(PARASITE + "\n51 A hangup 101 answered") == ["L => A"]


def test_a_parasite_that_came_first_is_left_alone_when_it_cannot_be_told_whose_it_is() -> None:
    both = f"0 A start number={OTHER}\n1 B start number={OTHER}\n" + PARASITE
    assert found(both + f"\n51 C start number={NUMBER}") == ["L => C"]
    assert found(PARASITE + f"\n51 C start number={OTHER}") == []


LATE_PARASITE = f"10800 L hangup 102 internal answered downloaded received=12 end=20 number={NUMBER}"


def test_a_parasite_that_is_downloaded_hours_later_is_the_leg_of_the_call_that_was_up_at_its_time() -> None:
    ended = INCOMING + "40 A hangup 101 answered\n"
    assert found(ended + LATE_PARASITE) == ["L => A with proof"]
    assert found(ended + "10790 B start\n" + LATE_PARASITE) == ["L => A with proof"]  # not of the one that is up by now
    assert found("10790 B start\n" + LATE_PARASITE) == []


def test_both_may_be_downloaded_in_either_order_and_hours_apart() -> None:
    own = "3600 A hangup 101 answered downloaded received=0 end=40\n"
    assert found(own + LATE_PARASITE) == ["L => A with proof"]
    assert found(LATE_PARASITE + "\n" + own.replace("3600", "14400")) == ["L => A"]


def test_a_downloaded_duplicate_does_not_make_a_call_longer() -> None:
    own = INCOMING + "40 A hangup 101 answered\n7200 A hangup 101 answered downloaded received=0 end=40\n"
    assert found(own + f"7210 L hangup 102 internal answered received=7205 number={NUMBER}") == []


def test_a_parasite_that_outlives_its_call_began_while_it_was_up() -> None:
    caller_is_gone = OUTGOING + "20 A hangup 101 out answered\n"
    assert found(caller_is_gone + f"80 L hangup 102 internal answered received=20 number={NUMBER}") == ["L => A with proof"]
    assert found(caller_is_gone + f"80 L hangup 102 internal answered received=60 number={NUMBER}") == []


@pytest.mark.parametrize(("late_s", "joined"), [(0, True), (8, True), (30, True), (HELD_UP_S, True), (HELD_UP_S + 1, False)])
def test_a_parasite_that_waited_out_an_outage_was_up_when_the_pbx_says_so(late_s: int, joined: bool) -> None:
    caller_is_gone = OUTGOING + "25 A hangup 101 out answered\n"
    leg = f"{50 + late_s} L hangup 102 internal answered received=30 end=50 number={NUMBER}\n"
    assert (found(caller_is_gone + leg) == ["L => A with proof"]) is joined


def test_a_parasite_of_either_time_is_nobodys_evidence_where_each_has_its_own_call() -> None:
    late = f"80 L hangup 102 internal answered received=30 end=50 number={NUMBER}"
    assert found(OUTGOING + "25 A hangup 101 out answered\n76 B start\n" + late) == ["L => B"]


def test_an_absorbed_leg_is_not_absorbed_again() -> None:
    assert found(PARASITE + "\n51 A dial 101\n52 A dial 102") == ["L => A"]


def test_an_internal_leg_that_hangs_up_with_the_customers_number_is_one() -> None:
    leg = "20 L dial 102 internal number=101\n"
    assert found(INCOMING + leg + PARASITE) == ["L => A with proof"]
    assert kind(INCOMING + leg + PARASITE, "L") is Kind.INTERNAL


# -- what is known of a call --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("0 A start", Kind.ARRIVED),
        ("0 A start\n0 A dial 101", Kind.ARRIVED),
        ("0 A dial 101 internal\n1 A start", Kind.ARRIVED),
        ("0 A card 101", Kind.CUSTOMER),
        ("0 A dial 101", Kind.CUSTOMER),
        ("0 A dial 101 out", Kind.CUSTOMER),
        ("0 A dial 101 internal", Kind.INTERNAL),
        ("9 A hangup 101 answered", Kind.CUSTOMER),
        ("9 A hangup 101 internal number=102", Kind.INTERNAL),
        ("9 A hangup 101 internal", Kind.DOUBTFUL),
        ("9 A hangup 101 internal\n9 A dial 101 internal", Kind.INTERNAL),
        ("9 A hangup 101 internal\n9 A dial 101", Kind.CUSTOMER),
        ("0 A dial 101 internal\n9 A hangup 101 internal", Kind.INTERNAL),
        ("0 A dial 101\n9 A hangup 101 internal", Kind.CUSTOMER),
        ("0 A dial 101\n9 A dial 102 internal", Kind.CUSTOMER),
    ],
)
def test_what_proves_a_customers_call_outweighs_what_makes_it_look_internal(table: str, expected: Kind) -> None:
    assert kind(table) is expected


def test_a_card_that_is_asked_for_within_the_house_makes_no_customers_call() -> None:
    asked = CardRequested(heard_ms=0, extensions=("152",), direction=Direction.INTERNAL, number="151")
    assert hear(Legs(), "call/A", asked)[0].calls["A"].kind is Kind.INTERNAL


def test_the_number_of_a_call_is_the_first_that_was_said_and_its_times_the_extremes() -> None:
    legs, _ = listen(f"3 A dial 101 number={OTHER}\n1 A start {NUMBER}\n9 A hangup 101")
    call = legs.calls["A"]
    assert call.number == customer_digits(OTHER)
    assert call.first_ms == heard("1 A start")[0][1].heard_ms
    assert call.ended_ms == heard("9 A hangup")[0][1].heard_ms


@pytest.mark.parametrize("table", ["0 A dial 102 internal number=101", "0 A hangup 102 internal number=101"])
def test_an_internal_call_has_no_customers_number(table: str) -> None:
    assert (kind(table), listen(table)[0].calls["A"].number) == (Kind.INTERNAL, "")


@pytest.mark.parametrize(
    ("number", "expected"),
    [(NUMBER, "375290000001"), ("+375 (29) 000-00-01", "375290000001"), ("+151", ""), ("151", ""), (ANONYMOUS, "")],
)
def test_what_of_a_number_is_compared(number: str, expected: str) -> None:
    assert customer_digits(number) == expected


def test_what_is_no_observation_is_not_heard() -> None:
    legs = Legs()
    assert hear(legs, "call/A", CallSettled(at_ms=1, reason="")) == (legs, ())


def test_what_says_nothing_of_a_call_makes_none() -> None:
    legs = Legs()
    assert hear(legs, "call/A", BridgeOpened(heard_ms=1, bridge="b")) == (legs, ())


@pytest.mark.parametrize(
    ("table", "told_before"),
    [
        (PARASITE + "\n51 A dial 101", True),
        (PARASITE + "\n50 L dial 102 internal\n50 L enter b 102 channel=L\n50 A enter b customer\n51 A hangup 101 answered", True),
        (CONSULTATION + "25 A enter c1 customer", False),
        (CONSULTATION + "24 L hangup 102 internal answered number=101\n25 A enter c1 customer", False),
    ],
)
def test_whether_a_legs_evidence_was_told_before_its_call_was_heard(table: str, told_before: bool) -> None:
    legs, absorbed = Legs(), list[Absorb]()
    for stream, event in heard(table):
        legs, findings = hear(legs, stream, event)
        absorbed += [each for each in findings if isinstance(each, Absorb)]
    assert [each.told_before for each in absorbed] == [told_before]


def test_what_a_leg_told_is_its_hangups_that_name_a_customer() -> None:
    (hangup,) = [event for _, event in heard(PARASITE)]
    others = [event for _, event in heard("50 A hangup 101 answered\n50 L hangup 102 internal number=101")]
    assert evidence_in([*others, None, hangup]) == [hangup]


def test_the_evidence_of_a_parasite_is_its_hangup() -> None:
    legs = Legs()
    findings: tuple[Finding, ...] = ()
    for stream, event in heard(INCOMING + PARASITE):
        legs, findings = hear(legs, stream, event)
    (absorb,) = findings
    assert isinstance(absorb, Absorb)
    assert isinstance(absorb.hangup, HangupObserved)
    assert absorb.hangup.extensions == ("102",)


def test_a_customers_own_call_is_nobodys_leg_whatever_it_was_taken_for() -> None:
    legs = listen(INCOMING + PARASITE + "\n50.2 L start")[0]
    assert (legs.calls["L"].kind, legs.calls["L"].absorbed) == (Kind.ARRIVED, False)
