"""Who is next: urgency first, enterprises in turn, and a flood takes its own places only."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from adapters.agenda import PACE_MS, PACED_MS, Agenda, Places
from core.ports import StreamId
from core.values import Urgency

FEW = {
    Urgency.LIVE: Places(all=6, each=3, queue=50),
    Urgency.ENDED: Places(all=4, each=2, queue=50),
    Urgency.BACKLOG: Places(all=2, each=1, queue=5),
}


def call(enterprise: str, number: object) -> StreamId:
    return StreamId(enterprise=enterprise, name=f"call/{number}")


def filled(*waiting: tuple[StreamId, Urgency]) -> Agenda:
    agenda = Agenda(FEW)
    for stream, urgency in waiting:
        assert agenda.add(stream, urgency)
    return agenda


def taken(agenda: Agenda, now_ms: int = 0) -> list[str]:
    """Everything that may go now, as ``enterprise:call``."""
    found: list[str] = []
    while (each := agenda.take(now_ms)) is not None:
        found.append(f"{each[0].enterprise}:{each[0].name.removeprefix('call/')}")
    return found


def test_the_most_urgent_go_first_whenever_they_came() -> None:
    agenda = filled(
        (call("a", "old"), Urgency.BACKLOG), (call("a", "ended"), Urgency.ENDED), (call("a", "live"), Urgency.LIVE)
    )
    assert taken(agenda) == ["a:live", "a:ended", "a:old"]


def test_enterprises_take_turns_and_each_keeps_its_own_order() -> None:
    agenda = filled(*((call(who, n), Urgency.LIVE) for who in "ab" for n in range(3)))
    assert taken(agenda) == ["a:0", "b:0", "a:1", "b:1", "a:2", "b:2"]


def test_a_flood_takes_its_own_places_and_nobody_elses() -> None:
    agenda = filled(*((call("flood", n), Urgency.LIVE) for n in range(40)))
    assert taken(agenda) == ["flood:0", "flood:1", "flood:2"]
    agenda.add(call("b", 0), Urgency.LIVE)
    assert taken(agenda) == ["b:0"]
    agenda.done(call("flood", 1))
    assert taken(agenda) == ["flood:3"]


def test_what_is_less_urgent_takes_no_place_of_what_is_more_so() -> None:
    agenda = filled(*((call("a", n), Urgency.BACKLOG) for n in range(5)), *((call(f"e{n}", n), Urgency.ENDED) for n in range(9)))
    assert len(taken(agenda)) == 4 + 1
    agenda.add(call("a", "live"), Urgency.LIVE)
    assert taken(agenda) == ["a:live"]


def test_a_backlog_keeps_a_pace_while_cards_are_wanted() -> None:
    agenda = Agenda({**FEW, Urgency.BACKLOG: Places(all=20, each=1, queue=5)})
    for enterprise in "abcdefghij":
        agenda.add(call(enterprise, "old"), Urgency.BACKLOG)
    agenda.add(call("z", "live"), Urgency.LIVE)
    assert taken(agenda) == ["z:live", "a:old"]
    assert agenda.again_ms(0) == PACE_MS
    assert taken(agenda, PACE_MS - 1) == []
    assert taken(agenda, PACE_MS) == ["b:old"]
    agenda.done(call("z", "live"))
    assert taken(agenda, PACE_MS + 1) == [], "somebody else will want a card soon"
    assert len(taken(agenda, PACED_MS)) == 8, "nobody does"


def test_only_its_pace_is_a_reason_to_ask_again() -> None:
    agenda = Agenda({**FEW, Urgency.BACKLOG: Places(all=1, each=1, queue=5)})
    agenda.add(call("z", "live"), Urgency.LIVE)
    agenda.add(call("a", "old"), Urgency.BACKLOG)
    assert taken(agenda) == ["z:live", "a:old"]
    assert agenda.again_ms(0) is None, "nobody waits"
    agenda.add(call("b", "old"), Urgency.BACKLOG)
    assert agenda.again_ms(0) is None, "there is no place: whoever leaves asks"
    agenda.done(call("a", "old"))
    assert agenda.again_ms(5) == PACE_MS - 5
    assert agenda.again_ms(-3_600_000) is None, "a clock that was set back keeps nobody waiting"


def test_a_stream_waits_once_and_moves_to_where_it_is_more_urgent() -> None:
    agenda = filled((call("a", 0), Urgency.LIVE), (call("a", 1), Urgency.ENDED))
    agenda.add(call("a", 1), Urgency.BACKLOG)
    agenda.add(call("a", 1), Urgency.LIVE)
    agenda.add(call("a", 0), Urgency.LIVE)
    assert len(agenda) == 2
    assert taken(agenda) == ["a:0", "a:1"]


def test_what_finds_no_room_is_left_out_and_loses_nothing_that_has_some() -> None:
    agenda = filled(*((call("a", n), Urgency.BACKLOG) for n in range(5)))
    assert not agenda.add(call("a", 5), Urgency.BACKLOG)
    assert agenda.add(call("b", 0), Urgency.BACKLOG), "another enterprise has room of its own"
    assert agenda.add(call("a", 4), Urgency.LIVE)
    assert agenda.add(call("a", 5), Urgency.BACKLOG)


def test_a_stream_that_cannot_move_up_stays_where_it_is() -> None:
    agenda = Agenda({**FEW, Urgency.LIVE: Places(all=1, each=1, queue=1)})
    agenda.add(call("a", 0), Urgency.LIVE)
    agenda.add(call("a", 1), Urgency.ENDED)
    assert agenda.add(call("a", 1), Urgency.LIVE)
    assert taken(agenda) == ["a:0", "a:1"]


def test_while_an_enterprise_is_held_only_what_is_live_goes() -> None:
    agenda = filled((call("a", 0), Urgency.BACKLOG), (call("a", 1), Urgency.LIVE), (call("b", 0), Urgency.BACKLOG))
    agenda.hold("a", 5_000)
    assert taken(agenda, 4_999) == ["a:1", "b:0"]
    agenda.done(call("b", 0))
    assert taken(agenda, 5_000 + PACE_MS) == ["a:0"]


def test_who_has_enough_waiting_of_an_urgency_is_known() -> None:
    agenda = filled(
        *((call("a", nth), Urgency.BACKLOG) for nth in range(3)),
        *((call("b", nth), Urgency.BACKLOG) for nth in range(2)),
        *((call("c", nth), Urgency.LIVE) for nth in range(5)),
    )
    assert agenda.sated(Urgency.BACKLOG, 3) == {"a"}
    assert agenda.sated(Urgency.BACKLOG, 2) == {"a", "b"}
    taken(agenda)
    assert agenda.sated(Urgency.BACKLOG, 3) == frozenset(), "those that are attended to do not wait"


def test_an_enterprise_that_is_another_ones_waits_no_more() -> None:
    agenda = filled((call("a", 0), Urgency.LIVE), (call("a", 1), Urgency.BACKLOG), (call("b", 0), Urgency.LIVE))
    running = agenda.take(0)
    assert running is not None
    agenda.forget("a")
    assert taken(agenda) == ["b:0"]
    assert agenda.is_busy("a")
    agenda.done(running[0])
    assert not agenda.is_busy("a")


STREAMS = [call(who, n) for who in "abc" for n in range(4)]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.sampled_from(STREAMS), st.sampled_from(list(Urgency))),
            st.tuples(st.just("take"), st.none(), st.none()),
            st.tuples(st.just("done"), st.integers(0, 20), st.none()),
            st.tuples(st.just("forget"), st.sampled_from("abc"), st.none()),
            st.tuples(st.just("hold"), st.sampled_from("abc"), st.none()),
        ),
        max_size=120,
    )
)
def test_nobody_is_forgotten_and_no_limit_is_exceeded(orders: Iterable[tuple[str, object, object]]) -> None:
    agenda, waiting, running, now_ms = Agenda(FEW), dict[StreamId, Urgency](), dict[StreamId, Urgency](), 0
    for order, what, urgency in orders:
        now_ms += 10
        if order == "add" and isinstance(what, StreamId) and isinstance(urgency, Urgency):
            if what not in running and agenda.add(what, urgency):
                waiting[what] = min(urgency, waiting.get(what, urgency))
        elif order == "take" and (found := agenda.take(now_ms)) is not None:
            assert waiting.pop(found[0]) == found[1]
            running[found[0]] = found[1]
        elif order == "done" and running:
            stream = list(running)[int(str(what)) % len(running)]
            running.pop(stream)
            agenda.done(stream)
        elif order == "forget":
            agenda.forget(str(what))
            waiting = {stream: urgency for stream, urgency in waiting.items() if stream.enterprise != what}
        elif order == "hold":
            agenda.hold(str(what), now_ms + 30)
        assert len(agenda) == len(waiting)
        assert agenda.running == len(running)
        for each in Urgency:
            those = [stream.enterprise for stream, urgency in running.items() if urgency is each]
            assert len(those) <= FEW[each].all
            assert all(those.count(who) <= FEW[each].each for who in those)
    for stream in list(running):
        agenda.done(stream)
    for _ in range(len(waiting)):
        now_ms += 1_000  # nobody is held any more, and a backlog's next one is in its time
        found = agenda.take(now_ms)
        assert found is not None, "whoever waits gets a turn once there is a place"
        waiting.pop(found[0])
        agenda.done(found[0])
    assert agenda.take(now_ms + 1_000) is None
