"""Who talked with the customer, read from bridges in whatever order they were heard."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from core import talk
from core.events import BridgeClosed, BridgeEntered, BridgeLeft, Observation
from core.talk import OVERLAP_SLACK_MS, Bridges, Parties, Stay, Talk
from core.values import ANONYMOUS, Direction
from tests.scenario import NUMBER, call_of, events, ms, seconds
from tests.thorough import examples

INCOMING = Parties(anchor="A", direction=Direction.INCOMING, number=NUMBER, dialled=("101", "102"))
OUTGOING = Parties(anchor="A", direction=Direction.OUTGOING, number=NUMBER, dialled=("101",), caller="101")


def bridges_of(heard: tuple[Observation, ...]) -> Bridges:
    state = Bridges()
    for event in heard:
        match event:
            case BridgeEntered():
                state = talk.enter(state, event)
            case BridgeLeft():
                state = talk.leave(state, event)
            case BridgeClosed():
                state = talk.close(state, event)
            case _:
                pass
    return state


def talked(table: str, parties: Parties = INCOMING) -> list[tuple[str, float, float | None]]:
    """``(extension, from, to)`` in seconds."""
    found = talk.talks(bridges_of(events(table)), parties)
    return [(each.extension, seconds(each.start_ms), None if each.end_ms is None else seconds(each.end_ms)) for each in found]


def stays(table: str) -> list[tuple[str, float | None, float | None]]:
    """``(channel, entered, left)`` in seconds."""
    return [
        (
            stay.channel,
            None if stay.entered_ms is None else seconds(stay.entered_ms),
            None if stay.left_ms is None else seconds(stay.left_ms),
        )
        for stay in bridges_of(events(table)).stays
    ]


@pytest.mark.parametrize("parties", [INCOMING, OUTGOING])
@pytest.mark.parametrize("room", ["600", "sales"])
def test_a_conferences_announcer_talks_with_nobody(room: str, parties: Parties) -> None:
    """It is no employee, however its room is called, and no customer."""
    name = f"CBAnn/{room}-00000001;2"
    said = events(f"5 A enter b1 {'customer' if parties is INCOMING else '101 channel=A'}")
    helper = (
        BridgeEntered(heard_ms=ms(5), bridge="b1", channel="H", channel_name=name),
        BridgeLeft(heard_ms=ms(9), bridge="b1", channel="H", channel_name=name),
    )
    assert bridges_of((*said, *helper)) == bridges_of(said)
    assert talk.talks(bridges_of((*said, *helper)), parties) == ()


# -- stays --------------------------------------------------------------------------------------------------------


def test_a_channel_stays_from_its_enter_to_its_leave() -> None:
    assert stays("5 A enter b1 101\n9 A leave b1 101") == [("A-101", 5, 9)]


def test_a_repeated_enter_changes_nothing_but_the_names() -> None:
    state = bridges_of(events("5 A enter b1 101\n6 A enter b1 101 connected=+375290000002"))
    assert [(stay.entered_ms, stay.connected) for stay in state.stays] == [(ms(5), "+375290000002")]


def test_an_enter_says_whose_channel_it_is() -> None:
    said = BridgeEntered(heard_ms=ms(5), bridge="b1", channel="B", channel_name="SIP/101-1", caller_id="101", connected="102")
    (stay,) = talk.enter(Bridges(), said).stays
    assert stay == Stay(
        bridge="b1", channel="B", channel_name="SIP/101-1", caller_id="101", connected="102", entered_ms=ms(5), left_ms=None
    )


def test_a_leave_that_overtook_its_enter_is_kept_and_filled() -> None:
    assert stays("5 A leave b1 101") == [("A-101", None, 5)]
    assert stays("5 A leave b1 101\n5.8 A enter b1 101") == [("A-101", 5, 5)]


def test_a_second_leave_does_not_move_the_first() -> None:
    assert stays("5 A enter b1 101\n9 A leave b1 101\n11 A leave b1 101") == [("A-101", 5, 9)]


def test_coming_back_into_a_bridge_is_a_second_stay() -> None:
    table = "5 A enter b1 101\n9 A leave b1 101\n12 A enter b1 101"
    assert stays(table) == [("A-101", 5, 9), ("A-101", 12, None)]


def test_a_leave_ends_the_latest_stay_only() -> None:
    table = "5 A enter b1 101\n9 A leave b1 101\n12 A enter b1 101\n15 A leave b1 101"
    assert stays(table) == [("A-101", 5, 9), ("A-101", 12, 15)]


def test_who_enters_another_bridge_has_left_the_one_before() -> None:
    assert stays("3 A enter b1 101\n3 A enter b1 customer\n21 A enter b2 customer") == [
        ("A-101", 3.0, None),
        ("A", 3.0, 21.0),
        ("A", 21.0, None),
    ]
    assert stays("3 A enter b1 customer\n21 A enter b2 customer\n22 A leave b1 customer")[0] == ("A", 3.0, 21.0)


def test_also_when_the_later_bridge_is_told_of_first() -> None:
    later, earlier = events("21 A enter b2 customer\n3 A enter b1 customer")
    found = bridges_of((later, earlier)).stays
    assert [seconds(stay.left_ms) if stay.left_ms is not None else None for stay in found] == [None, 21.0]


def test_an_enter_that_was_overtaken_ends_no_stay() -> None:
    """Deliveries overtake each other by seconds: the later one may be the earlier bridge's (quirk 4)."""
    assert stays("9 A enter b2 customer\n15.9 A enter b1 customer")[0] == ("A", 9.0, None)
    assert stays("9 A enter b2 customer\n17.1 A enter b1 customer")[0] == ("A", 9.0, 17.1)


def test_a_closed_bridge_has_let_everybody_go() -> None:
    table = "5 A enter b1 101\n5 A enter b1 customer\n5 A enter b2 102\n8 A leave b1 101\n9 A close b1"
    assert stays(table) == [("A-101", 5, 8), ("A", 5, 9), ("A-102", 5, None)]


def test_whoever_was_not_heard_to_leave_before_the_bridge_closed_is_remembered() -> None:
    table = "5 A enter b1 101\n5 A enter b1 customer\n8 A leave b1 101\n9 A close b1"
    for late in ("", "\n9.5 A leave b1 customer"):
        found = bridges_of(events(table + late)).stays
        assert [(stay.channel, stay.left_ms, stay.unparted) for stay in found] == [("A-101", ms(8), False), ("A", ms(9), True)]


def test_an_enter_that_comes_after_its_bridge_closed_is_over_at_once() -> None:
    assert stays("9 A close b1\n9.4 A enter b1 101") == [("A-101", 9, 9)]


def test_a_bridge_closes_once() -> None:
    state = bridges_of(events("5 A enter b1 101\n9 A close b1\n11 A close b1"))
    assert state.closed == (("b1", ms(9)),)
    assert state.stays[0].left_ms == ms(9)


# -- talks --------------------------------------------------------------------------------------------------------

ANSWERED = """
    5.0   A  enter  b1 customer
    5.2   A  enter  b1 101
    35.0  A  leave  b1 101
    35.1  A  leave  b1 customer
"""


def test_two_in_one_bridge_talk_from_the_later_enter_to_the_earlier_leave() -> None:
    assert talked(ANSWERED) == [("101", 5.2, 35)]


def test_a_talk_ends_with_whoever_leaves_first() -> None:
    assert talked("5 A enter b1 customer\n5 A enter b1 101\n35 A leave b1 customer\n35.1 A leave b1 101") == [("101", 5, 35)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_order_of_hearing_does_not_change_who_talked(order: tuple[int, ...]) -> None:
    lines = ["5 A enter b1 customer", "5 A enter b1 101", "6 A leave b1 101", "6 A leave b1 customer"]
    found = talked("\n".join(lines[index] for index in order))
    assert [extension for extension, _, _ in found] == ["101"]


def test_somebody_in_another_bridge_does_not_talk_with_the_customer() -> None:
    assert talked("5 A enter b1 customer\n5 A enter b2 101") == []


def test_employees_alone_in_a_bridge_do_not_talk_with_the_customer() -> None:
    assert talked("5 A enter b1 101\n5 A enter b1 102") == []


def test_a_talk_goes_on_while_nobody_left() -> None:
    assert talked("5 A enter b1 customer\n5 A enter b1 101") == [("101", 5, None)]


def test_a_stay_whose_enter_was_never_heard_is_proved_by_its_leave() -> None:
    assert talked("5 A leave b1 101\n5 A enter b1 customer") == [("101", 5, 5)]
    assert talked("5 A enter b1 101\n9 A leave b1 customer") == [("101", 5, 9)]
    assert talked("8 A leave b1 101\n9 A leave b1 customer") == [("101", 8, 8)]


def test_a_connected_line_is_believed_only_of_a_stay_that_was_heard_to_begin() -> None:
    assert talked("9 A leave b1 customer connected=102") == []
    assert talked(f"9 A leave b1 101 channel=A connected={NUMBER}", OUTGOING) == []


def test_who_left_before_the_other_came_did_not_talk_whether_the_enter_was_heard_or_not() -> None:
    assert talked("5 A leave b1 101\n9 A enter b1 customer") == []


def test_a_transfer_of_which_one_enter_was_lost_still_shows_who_talked_last() -> None:
    first = "5 A enter b1 101\n5 A enter b1 customer\n9 A leave b1 customer\n9 A leave b1 101\n"
    halves = "9 A enter b2 customer connected=101\n", "7 A enter b2 102\n"
    left = "20 A leave b2 customer\n20 A leave b2 102"
    for half in halves:
        last = talk.last_talk(talk.talks(bridges_of(events(first + half + left)), INCOMING))
        assert last is not None
        assert last.extension == "102"


@pytest.mark.parametrize(("gap_ms", "meets"), [(OVERLAP_SLACK_MS, True), (OVERLAP_SLACK_MS + 1, False)])
@pytest.mark.parametrize("who_left", ["customer", "101"])
def test_stays_that_miss_each_other_by_jitter_still_met(who_left: str, gap_ms: int, meets: bool) -> None:
    other = "101" if who_left == "customer" else "customer"
    table = f"5 A enter b1 {who_left}\n9 A leave b1 {who_left}\n{9 + gap_ms / 1000} A enter b1 {other}"
    assert bool(talked(table)) is meets


@pytest.mark.parametrize(("left", "remaining"), [("customer", 1), ("102", 1), ("102", 0), ("103", 1)])
def test_who_left_with_the_other_still_there_met_him_however_late_he_is_heard_to_come(left: str, remaining: int) -> None:
    first = "5 A enter b1 customer\n5 A enter b1 101\n7 A leave b1 101\n7 A leave b1 customer\n"
    late = "8 A enter b2 {}\n9 A leave b2 {}{}\n13 A enter b2 {}\n13.1 A leave b2 {}"
    other = "customer" if left != "customer" else "102"
    table = first + late.format(left, left, f" remaining={remaining}", other, other)
    last = talk.last_talk(talk.talks(bridges_of(events(table)), INCOMING))
    assert last is not None
    assert last.extension == ("101" if not remaining else left if left != "customer" else "102")


def test_in_a_bridge_where_three_were_it_may_have_been_the_third() -> None:
    table = "5 A enter b1 customer\n9 A leave b1 customer remaining=1\n5 A enter b1 103\n13 A enter b1 102"
    assert [extension for extension, _, _ in talked(table)] == ["103"]


def test_how_far_deliveries_jitter() -> None:
    assert OVERLAP_SLACK_MS == 2_000


def test_without_the_employees_half_the_connected_line_names_the_partner() -> None:
    assert talked("5 A enter b1 customer connected=101\n9 A leave b1 customer") == [("101", 5, 9)]
    assert talked(f"5 A enter b1 customer connected={NUMBER}") == []


def test_the_employees_half_supersedes_the_connected_line() -> None:
    assert talked("5 A enter b1 customer connected=101\n5 A enter b1 102") == [("102", 5, None)]


def test_talks_are_told_in_the_order_in_which_they_began() -> None:
    table = """
        20  A  enter  b2 customer
        20  A  enter  b2 102
        5   A  enter  b1 customer
        5   A  enter  b1 101
        19  A  close  b1
    """
    assert [extension for extension, _, _ in talked(table)] == ["101", "102"]


# -- who is who ---------------------------------------------------------------------------------------------------


def stay(channel: str, name: str = "", caller: str = "", connected: str = "") -> Stay:
    return Stay(bridge="b", channel=channel, channel_name=name, caller_id=caller, connected=connected, entered_ms=1)


def test_the_customer_of_an_incoming_call_is_its_own_channel() -> None:
    assert INCOMING.is_customer(stay("A", "PJSIP/101-00000001", "101"))
    assert not INCOMING.is_customer(stay("B", "PJSIP/trunk-00000001", NUMBER))


def test_the_customer_of_an_outgoing_call_is_on_the_trunk() -> None:
    assert not OUTGOING.is_customer(stay("A", "PJSIP/101-00000001", NUMBER))
    assert not OUTGOING.is_customer(stay("A", "PJSIP/somebody-00000001", "80291112233"))
    assert OUTGOING.is_customer(stay("A", "PJSIP/trunk-00000001", NUMBER)), "a click-to-call may call the customer first"
    assert OUTGOING.is_customer(stay("B", "PJSIP/trunk-00000001", "80290000001"))
    assert OUTGOING.is_customer(stay("B", "PJSIP/trunk-00000001", "someline"))
    assert not OUTGOING.is_customer(stay("B", "PJSIP/102-00000001", "102"))
    assert not OUTGOING.is_customer(stay("B", "Local/mobile@ctx-0001;2", "101"))


def test_a_hidden_number_makes_nobody_the_customer() -> None:
    hidden = Parties(anchor="A", direction=Direction.OUTGOING, number=ANONYMOUS, caller="101")
    assert not hidden.is_customer(stay("B", "PJSIP/102-00000001", ANONYMOUS))


@pytest.mark.parametrize(
    ("known", "extension"),
    [
        (stay("B", "PJSIP/150-0000001c", NUMBER), "150"),
        (stay("B", "SIP/trunk-0000001c", "151"), "151"),
        (stay("B", "PJSIP/trunk-0000001c", "+375 29 000-00-09"), "375290000009"),
        (stay("B", "PJSIP/trunk-0000001c", "80290000009"), "375290000009"),
        (stay("B", "PJSIP/trunk-0000001c", "80290000008"), ""),
        (stay("B", "PJSIP/trunk-0000001c", ""), ""),
    ],
)
def test_the_extension_behind_a_channel(known: Stay, extension: str) -> None:
    parties = Parties(anchor="A", direction=Direction.INCOMING, number=NUMBER, dialled=("150", "375290000009", ""))
    assert parties.extension(known) == extension


def test_the_callers_own_channel_is_the_callers() -> None:
    assert OUTGOING.extension(stay("A", "PJSIP/999-0001", "999")) == "101"
    assert INCOMING.extension(stay("A", "PJSIP/999-0001", "999")) == "999"


def test_of_an_outgoing_call_the_callers_half_alone_is_enough() -> None:
    half = Bridges(stays=(stay("A", "PJSIP/101-0001", "101", connected="80290000001"),))
    assert [each.extension for each in talk.talks(half, OUTGOING)] == ["101"]
    over = Bridges(stays=tuple(structs.replace(each, left_ms=ms(9)) for each in half.stays))
    assert [each.end_ms for each in talk.talks(over, OUTGOING)] == [ms(9)]
    other = Bridges(stays=(stay("A", "PJSIP/101-0001", "101", connected="80290000002"),))
    assert talk.talks(other, OUTGOING) == ()
    nobody = Parties(anchor="A", direction=Direction.OUTGOING, number=NUMBER)
    assert talk.talks(half, nobody) == ()
    assert talk.talks(half, INCOMING) == ()


def test_of_an_outgoing_call_somebody_elses_half_is_not() -> None:
    half = Bridges(stays=(stay("B", "PJSIP/102-0001", "102", connected=NUMBER),))
    assert talk.talks(half, OUTGOING) == ()


def test_the_customer_of_an_outgoing_call_is_followed_to_whom_he_is_transferred() -> None:
    table = """
        0   A  dial   101 out
        5   A  enter  b1 101
        5   A  enter  b1 customer
        20  A  leave  b1 101
        20  A  leave  b1 customer
        20  A  enter  b2 customer
        20  A  enter  b2 102
    """
    assert [each.extension for each in call_of(table).talks] == ["101", "102"]


# -- last of all --------------------------------------------------------------------------------------------------


def spoke(extension: str, start: float, end: float | None) -> Talk:
    return Talk(extension=extension, start_ms=ms(start), end_ms=None if end is None else ms(end))


def test_of_talks_that_began_together_the_one_that_goes_on_is_told_last() -> None:
    together = "5 A enter b1 customer\n5 A enter b1 101\n5 A enter b1 102\n"
    for gone, there in (("101", "102"), ("102", "101")):
        assert talked(f"{together}9 A leave b1 {gone}") == [(gone, 5, 9), (there, 5, None)]
        assert talked(f"{together}9 A leave b1 {gone}\n12 A leave b1 {there}") == [(gone, 5, 9), (there, 5, 12)]


@pytest.mark.parametrize(
    ("found", "last"),
    [
        ([], None),
        ([spoke("101", 0, 9), spoke("102", 5, None), spoke("103", 6, 8)], "102"),
        ([spoke("101", 0, 9), spoke("102", 5, 8)], "101"),
        ([spoke("101", 0, 9), spoke("102", 5, 9)], "102"),
        ([spoke("102", 5, 9), spoke("101", 0, 9)], "102"),
    ],
)
def test_who_talked_last(found: list[Talk], last: str | None) -> None:
    picked = talk.last_talk(found)
    assert (picked.extension if picked else None) == last


TAKEN_OVER_MEANWHILE = """
    7.0   A  enter  b2 101 channel=K
    7.0   A  enter  b2 102
    9.0   A  enter  b2 customer
"""


def last_of_all(table: str, **hung_up: float) -> str:
    found = talk.talks(bridges_of(events(table)), INCOMING)
    last = talk.last_of_all(found, {channel: ms(at) for channel, at in hung_up.items()})
    return last.extension if last is not None else ""


@pytest.mark.parametrize("closed", ["", "11.9 A close b2\n"])
@pytest.mark.parametrize("k_left", ["12.0 A leave b2 101 channel=K remaining=1", "15.0 A leave b2 101 channel=K remaining=1", ""])
def test_whoever_left_a_bridge_empty_had_the_customer_last_though_another_one_is_heard_to_leave_later(
    k_left: str, closed: str
) -> None:
    left = "14.0 A leave b2 customer remaining=1\n13.0 A leave b2 102 remaining=0"
    in_order = "\n".join(sorted(filter(None, [k_left, *left.splitlines()]), key=lambda line: float(line.split()[0])))
    assert last_of_all(TAKEN_OVER_MEANWHILE + closed + in_order) == "102"


def test_also_when_the_leave_is_heard_before_the_enter() -> None:
    late = "13 A leave b2 102 remaining=0\n13.1 A enter b2 102\n15 A leave b2 101 remaining=1"
    assert last_of_all(f"9 A enter b2 customer\n9 A enter b2 101\n{late}") == "102"


def test_whoever_left_two_others_behind_did_not_have_the_customer_last() -> None:
    together = "5 A enter b1 customer\n5 A enter b1 101\n6 A enter b1 102\n"
    assert last_of_all(together + "9 A leave b1 101 remaining=1\n12 A leave b1 102 remaining=2") == "101"
    assert last_of_all(together + "9 A leave b1 101 remaining=2\n12 A leave b1 102 remaining=1") == "102"
    assert last_of_all(together + "9 A leave b1 101 remaining=1\n12 A leave b1 102") == "102", "not said: whoever is heard last"
    assert last_of_all(together + "9 A leave b1 101 remaining=1\n12 A leave b1 102 remaining=1") == "102"


def test_how_many_are_left_tells_nothing_of_another_bridge() -> None:
    table = "5 A enter b1 customer\n5 A enter b1 101\n9 A leave b1 101 remaining=0\n9 A enter b2 customer\n9 A enter b2 102\n"
    assert last_of_all(table + "20 A leave b2 102 remaining=1\n20 A leave b2 customer remaining=0") == "102"


def test_whose_own_channel_hung_up_talked_no_more() -> None:
    """The consultation channel is heard to leave late, and the customer left the bridge last: only its hangup tells."""
    table = TAKEN_OVER_MEANWHILE + "13 A leave b2 102 remaining=1\n13.2 A leave b2 101 channel=K remaining=1"
    assert last_of_all(table) == "101"
    assert last_of_all(table, K=8.0) == "102"
    assert last_of_all(table, K=60.0) == "101", "a hangup that is told late, of a talk that was heard to end, tells nothing"
    assert last_of_all(TAKEN_OVER_MEANWHILE + "13 A leave b2 102 remaining=1", K=8.0) == "102"
    assert last_of_all("", K=8.0) == ""
    together = TAKEN_OVER_MEANWHILE + "12 A leave b2 customer\n13 A leave b2 102\n13.2 A leave b2 101 channel=K"
    assert last_of_all(together) == "101"
    assert last_of_all(together, K=14.0) == "102", "both talked until the customer was heard to leave"


def test_the_customers_stays_are_also_those_that_were_only_heard_to_end() -> None:
    state = bridges_of(events("5 A enter b1 customer\n5 A enter b1 101\n6 A leave b2 customer"))
    assert [each.bridge for each in talk.customer_stays(state, INCOMING)] == ["b1", "b2"]


def test_a_flapping_pbx_does_not_make_folding_slow() -> None:
    bridges = Bridges()
    for number in range(3 * talk.MAX_STAYS):
        bridges = talk.enter(bridges, BridgeEntered(heard_ms=number, bridge=f"b{number}", channel="A"))
        bridges = talk.leave(bridges, BridgeLeft(heard_ms=number, bridge=f"x{number}", channel="A"))
        bridges = talk.close(bridges, BridgeClosed(heard_ms=number, bridge=f"b{number}"))
    assert (len(bridges.stays), len(bridges.closed)) == (talk.MAX_STAYS, talk.MAX_STAYS) == (200, 200)


# -- whether anybody talks now ---------------------------------------------------------------------------------------

MOMENTS = st.sampled_from([0, 1_000, 2_500, 9_000])
NUMBERS = st.sampled_from(["101", "102", NUMBER, "trunk", ""])
STAYS = st.builds(
    Stay,
    bridge=st.sampled_from(["b1", "b2"]),
    channel=st.sampled_from(["A", "B", "C"]),
    channel_name=st.sampled_from(["PJSIP/101-00000001", "PJSIP/trunk-00000002", f"Local/{NUMBER}@out-00000001;1", ""]),
    caller_id=NUMBERS,
    connected=NUMBERS,
    entered_ms=st.none() | MOMENTS,
    left_ms=st.none() | MOMENTS,
)
PARTIES = st.builds(
    Parties,
    anchor=st.just("A"),
    direction=st.sampled_from(Direction),
    number=st.sampled_from([NUMBER, ANONYMOUS]),
    dialled=st.sampled_from([(), ("101",), ("101", NUMBER)]),
    caller=st.sampled_from(["", "101"]),
    clicked=st.booleans(),
)


CUSTOMER_FIRST = Stay(
    bridge="b1", channel="A", channel_name="PJSIP/trunk-00000002", caller_id=NUMBER, connected=NUMBER, entered_ms=0
)


@given(st.lists(STAYS, max_size=4), PARTIES)
@example([CUSTOMER_FIRST], OUTGOING)
@settings(max_examples=examples(400))
def test_somebody_talks_now_where_one_of_the_talks_has_no_end(heard: list[Stay], parties: Parties) -> None:
    bridges = Bridges(stays=tuple(heard))
    assert talk.is_talking(bridges, parties) is any(each.end_ms is None for each in talk.talks(bridges, parties))
