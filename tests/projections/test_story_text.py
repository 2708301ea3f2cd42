"""The story as a person reads it in a terminal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone

from core.effects import FindContact
from core.events import EffectDone, Event, Exchange
from projections.story_text import LEGEND, MARKS, render
from tests.projections.test_story import ANSWERED, REGISTER, RING, lived, story
from tests.scenario import NUMBER, deferred, done, events, failed, given, ms, refused, retry

MINSK = timezone(timedelta(hours=3))


def lived_events(table: str) -> list[Event]:
    """The whole stream of a call that MoySklad was told of."""
    return given(table, contacts={NUMBER: "ann"}).finished().world.streams["call/A"]


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_the_head_of_an_answered_call() -> None:
    head = lines(render(lived(ANSWERED), MINSK))[:10]
    assert head == [
        "Call A of enterprise 0367",
        f"  incoming from {NUMBER}; answered (settled)",
        "  2026-11-23  15:30:00.000 - 15:30:35.000, 35.0 s",
        "  rang 101, 102; talked 101",
        "  whose call: 101 (talked with the customer last)",
        "  its legs: A-101",
        "  at MoySklad: call call-1, contact ann, extension 101, 1 recording, open cards: none",
        "",
        f"  {LEGEND}",
        "",
    ]


def test_each_step_has_its_time_its_mark_its_phase_and_its_cards() -> None:
    body = lines(render(lived(ANSWERED), MINSK))[10:]
    assert body[0] == f"15:30:00.000  « incoming call from {NUMBER} on t"
    assert f"{'':14}  unheard → arrived" in body
    at = body.index("15:30:05.000  » update the call (cards STARTTIME 101, HIDE 102)")
    assert body[at + 1 : at + 5] == [
        f"{'':14}  because cards: STARTTIME 101, HIDE 102",
        "15:30:05.000  = update the call (cards STARTTIME 101, HIDE 102): done",
        f"{'':14}  cards now: 101 timing",
        "15:30:35.000  « PJSIP/101 left bridge b1",
    ]
    assert f"{'':14}  cards now: none" in body
    assert f"{'':14}  attribution: 101: talked with the customer last" in body


def test_a_leg_says_how_to_look_at_its_call() -> None:
    leg = replace(lived(ANSWERED), leg_of="B", legs=())
    assert "  a leg of call B: ./ms.sh replay 0367 B" in lines(render(leg, MINSK))


def test_times_are_in_the_zone_that_is_asked_for() -> None:
    text = render(lived(ANSWERED), timezone(timedelta(hours=-11)))
    assert "  2026-11-23  01:30:00.000 - 01:30:35.000, 35.0 s" in lines(text)


def test_a_call_that_goes_on() -> None:
    head = lines(render(story(given(RING, contacts={NUMBER: "ann"}).world.streams["call/A"]), MINSK))[:5]
    assert head[1] == f"  incoming from {NUMBER}; going on (ringing)"
    assert head[2] == "  2026-11-23  15:30:00.000 - ?"
    assert head[3] == "  rang 101, 102; talked nobody"
    assert head[4] == "  at MoySklad: call call-1, contact ann, open cards: 101, 102"


def test_outgoing_internal_missed_and_empty() -> None:
    assert lines(render(story(events("0 A dial 101 out")), MINSK))[1] == f"  outgoing to {NUMBER}; going on (ringing)"
    inner = render(story(events("0 A dial 102 internal number=101")), MINSK)
    assert lines(inner)[1] == "  internal, 101; internal (internal)"
    assert "ringing 102 for 101 (internal)" in inner
    unnamed = render(story(events("0 A dial 102 internal number=anonymous")), MINSK)
    assert lines(unnamed)[1] == "  internal; internal (internal)"
    assert "ringing 102 (internal)" in unnamed
    assert "anonymous" not in inner + unnamed
    missed = lines(render(lived(RING + "9 A hangup"), MINSK))
    assert "  whose call: nobody (several were rung and nobody answered)" in missed
    assert "  at MoySklad: call call-1, contact ann, «Пропущенный вызов (звонили: 101, 102)», open cards: none" in missed
    empty = lines(render(story([]), MINSK))
    assert empty[:3] == ["Call A of enterprise 0367", "  incoming from anonymous; going on (unheard)", "  at MoySklad: nothing"]


def test_who_hung_up_is_in_the_head_where_it_is_known() -> None:
    rings = "0 A start\n1 A dial 101\n"
    assert "  hung up by 101 (cause 17)" in lines(render(lived(rings + "2 A hangup verdict=busy by=101 cause=17"), MINSK))
    assert "  hung up by the other side" in lines(render(lived(rings + "2 A hangup verdict=abandoned by=external"), MINSK))
    assert "hung up by" not in render(lived(rings + "2 A hangup"), MINSK)


def test_what_needs_a_person_stands_out() -> None:
    text = render(story([*events(RING), refused(REGISTER, 1, error="no", remedy="ask")]), MINSK)
    assert "  NEEDS A PERSON: no ask" in lines(text)
    assert "15:30:01.000  x MoySklad refused: register the call: no" in lines(text)
    assert "NEEDS A PERSON" not in render(lived(ANSWERED), MINSK)


def test_the_head_names_the_client_where_his_name_was_heard() -> None:
    found = done(FindContact(number=NUMBER), 1, contact="c-1", name="ООО «Радуга»")
    text = render(story([*events(RING), found, done(REGISTER, 2, call="m", contact="c-1")]), MINSK)
    assert "  at MoySklad: call m, contact ООО «Радуга», open cards: none" in lines(text)


def test_what_was_put_off_says_until_when_and_an_order_says_whose() -> None:
    away = deferred(REGISTER, 36, until=96, reason="MoySklad is away (503)")
    text = lines(render(story([*events(RING), away, retry(97, by="anna"), deferred(REGISTER, 98, until=99, reason="")]), MINSK))
    at = text.index("15:30:36.000  ~ not asked yet: register the call")
    assert text[at + 1] == f"{'':14}  because MoySklad is away (503), tried again at 15:31:36.000"
    assert "15:31:37.000  ^ asked again by anna" in text
    assert f"{'':14}  because the key was mended" in text


def test_bodies_are_shown_only_when_everything_is_asked_for() -> None:
    heard = replace(events("0 A start")[0], raw={"Phone": "день"})
    exchange = Exchange(method="POST", path="/call", request={"a": 1}, status=200, response=None, duration_ms=12)
    told = story([heard, EffectDone(key="k", at_ms=ms(1), effect={"type": "odd"}, exchanges=(exchange,))])
    short, full = lines(render(told, MINSK)), lines(render(told, MINSK, full=True))
    assert f"{'':14}  POST /call → 200 in 12 ms" in short
    assert [line for line in full if line not in short] == [f'{"":16}raw: {{"Phone": "день"}}', f'{"":16}sent: {{"a": 1}}']


def test_every_kind_of_entry_has_a_mark_that_the_legend_explains() -> None:
    history = [*lived_events(ANSWERED), failed(REGISTER, 36), refused(REGISTER, 37), deferred(REGISTER, 38, until=39), retry(40)]
    assert {entry.kind for entry in story(history).entries} == set(MARKS)
    assert len(set(MARKS.values())) == len(MARKS)
    assert all(mark in LEGEND for mark in MARKS.values())


def test_an_answered_call_without_bridges_says_that_the_talk_was_not_heard() -> None:
    told = render(lived("0 A dial 101\n9 A hangup 101 answered"), MINSK)
    assert "rang 101; talked not heard (no bridge events came)" in told
    assert "rang 101; talked nobody" in render(lived("0 A dial 101\n9 A hangup"), MINSK)
