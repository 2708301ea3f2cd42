"""A registration that was looked for too soon: what it may still do, and how long a call that is over waits for it."""

from __future__ import annotations

import pytest

from core.attempts import LOOK_EVERY_MS, UNHURRIED_GUARD_MS
from core.call import Call, fold
from core.effects import ConfirmCall, CreateContact, FindContact, RegisterCall
from core.events import AnyOutcome, CallSettled, EffectDone, Event, LegAbsorbed
from core.plan import parked_reason
from core.remote import LatePost, Remote
from tests.core.test_remote import after, cards, hide, show, timer
from tests.scenario import NUMBER, call_of, done, events, failed, look, ms, refused, started, step_of

CONFIRM = ConfirmCall(external_id="0367-A")
FOUND = done(FindContact(number=NUMBER), 0.5, contact="ann")
RING = "0 A start\n0.5 A dial 101 102\n"
OVER: list[Event] = [*events("9 A hangup 101 answered"), CallSettled(at_ms=ms(10), reason="")]
SURE = 1 + UNHURRIED_GUARD_MS / 1000


def register(*extensions: str, sequence: int = 1, recordings: tuple[str, ...] = ()) -> RegisterCall:
    shown = tuple(show(extension, number) for number, extension in enumerate(extensions, sequence))
    return RegisterCall(
        external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0), contact="ann", cards=shown, recordings=recordings
    )


FIRST, SECOND = register("101", "102"), register("101", sequence=3)
ORPHANED: list[AnyOutcome] = [FOUND, started(FIRST, 1, "r1"), done(CONFIRM, 7, call=None)]
"""Sent at 1 s, nobody saw its answer; looked for at 7 s, when a card waited."""
REPEATED: list[AnyOutcome] = [*ORPHANED, started(SECOND, 7, "r2"), failed(SECOND, 7.1, "r2", ambiguous=False)]
"""Repeated for the card, which MoySklad did not take (429): that one is certainly not there, the first may still come."""


def step_at(call: Call, at: float) -> tuple[str, int | None]:
    planned = look(call, at)
    return step_of(planned), planned.step.not_before_ms if planned.step is not None else None


def absent(at: float) -> EffectDone:
    return done(CONFIRM, at, call=None)


def test_a_card_is_asked_for_again_while_an_earlier_registration_may_still_arrive() -> None:
    call = call_of(RING, *REPEATED)
    assert step_of(look(call, 9)).startswith("register SHOW 101")
    assert call.remote.late_post == LatePost(effect=FIRST, until_ms=ms(SURE), looked_ms=ms(7))


def test_a_record_waits_until_an_earlier_registration_cannot_arrive_any_more() -> None:
    call = call_of(RING, *REPEATED, *OVER)
    assert step_at(fold(call, [absent(SURE - 0.001)]), SURE - 0.001) == ("confirm", ms(SURE))
    sure = fold(call, [absent(SURE)])
    assert sure.remote.late_post is None
    assert step_of(look(sure, SURE)).startswith("register ext=101 end=9.0")


def test_meanwhile_it_is_looked_for_now_and_then_for_nobody_else_would_hide_its_card() -> None:
    call = call_of(RING, *REPEATED, *OVER)
    looks = []
    while call.remote.late_post is not None:
        step, at_ms = step_at(call, 10)
        assert step == "confirm"
        assert at_ms is not None
        looks.append((at_ms - ms(0)) / 1000)
        call = fold(call, [absent(looks[-1])])
    assert looks == [13, 19, 25, SURE]


def test_what_would_show_no_card_is_looked_for_once() -> None:
    plain = register()
    call = call_of(RING, FOUND, started(plain, 1, "r1"), *OVER, absent(12))
    assert step_at(call, 12) == ("confirm", ms(SURE))


def test_what_has_arrived_meanwhile_is_not_registered_again() -> None:
    call = fold(call_of(RING, *REPEATED, *OVER), [done(CONFIRM, SURE, call="m")])
    assert (call.remote.call, call.remote.attempt, call.remote.late_post) == ("m", None, None)
    assert cards(call.remote) == {"101": "unsure", "102": "unsure"}, "102 was in the first one only"
    assert step_of(look(call, SURE)).startswith("update HIDE_ALL #4 ext=101 end=9.0")


def test_it_is_found_where_no_registration_was_sent_since() -> None:
    """The repetition was refused, or a client was asked for: neither says anything about the first one."""
    create = CreateContact(number=NUMBER, sync_id="s")
    ways: list[list[AnyOutcome]] = [[refused(SECOND, 7.1, "r2")], [started(create, 8, "c"), done(create, 8, contact="ann")]]
    for since in ways:
        call = call_of(RING, *REPEATED[:-1], *since, *OVER)
        assert call.remote.attempt is None
        assert step_at(call, 12) == ("confirm", ms(13))
        found = fold(call, [done(CONFIRM, SURE, call="m", contact="bob")])
        assert (found.remote.call, found.remote.linked, found.remote.start_ms) == ("m", "bob", ms(0))
        assert cards(found.remote) == {"101": "unsure", "102": "unsure"}


def test_a_look_that_was_late_enough_leaves_nothing_to_wait_for() -> None:
    assert after(started(FIRST, 1), absent(SURE)).late_post is None
    early = after(started(FIRST, 1), absent(SURE - 0.001))
    assert early.late_post == LatePost(effect=FIRST, until_ms=ms(SURE), looked_ms=ms(SURE) - 1)


def test_what_was_certainly_not_carried_out_is_not_waited_for() -> None:
    assert after(started(FIRST, 1), failed(FIRST, 2, ambiguous=False), absent(2.5)).late_post is None


def test_nothing_is_waited_for_where_no_registration_was_sent() -> None:
    asked = after(started(CreateContact(number=NUMBER, sync_id="s"), 1), absent(2))
    assert (asked.late_post, asked.absent_ms) == (None, None)
    assert asked.attempt is not None
    assert asked.attempt.in_doubt


def test_several_are_waited_for_together() -> None:
    """Each a new instance that died: the last one sent decides how long, and any of them may have brought its cards."""
    second = register("103", sequence=3, recordings=("https://r/1",))
    both = after(started(FIRST, 1, "r1"), absent(7), started(second, 8, "r2"), absent(14))
    assert both.late_post is not None
    assert both.late_post.until_ms == ms(8) + UNHURRIED_GUARD_MS
    found = after(done(CONFIRM, 40, call="m"), remote=both)
    assert cards(found) == {"101": "unsure", "102": "unsure", "103": "unsure"}
    assert found.attempt is not None
    assert found.attempt.effect.recordings == ("https://r/1",), "it would be listed twice"  # type: ignore[union-attr]
    assert found.attempt.at_ms == ms(40), "from now on they are looked for"
    later = after(started(FIRST, 15, "r3"), done(CONFIRM, 40, call="m"), remote=both)
    assert later.attempt is not None
    assert later.attempt.effect.recordings == ("https://r/1",), "also where the last one sent none"  # type: ignore[union-attr]


def test_one_that_was_given_up_after_long_is_waited_for_longest() -> None:
    """MoySklad was slow then, and a later one that broke at once says nothing of it."""
    slow = after(started(FIRST, 1, "r1"), failed(FIRST, 16, "r1"), absent(17))
    assert slow.late_post is not None
    assert slow.late_post.until_ms == ms(61)
    again = after(started(SECOND, 18, "r2"), failed(SECOND, 18.1, "r2"), absent(19), remote=slow)
    assert again.late_post == LatePost(effect=SECOND_AND_FIRST, until_ms=ms(61), looked_ms=ms(19))


SECOND_AND_FIRST = RegisterCall(
    external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0), contact="ann", cards=(show("101", 3), show("102", 2))
)


def test_a_registration_that_existed_may_be_the_earlier_one() -> None:
    existed = after(started(SECOND, 8, "r2"), done(SECOND, 8, "r2", call="m", existed=True), remote=after(*ORPHANED[1:]))
    assert cards(existed) == {"101": "unsure", "102": "unsure"}
    assert existed.late_post is None
    new = after(started(SECOND, 8, "r2"), done(SECOND, 8, "r2", call="m"), remote=after(*ORPHANED[1:]))
    assert (cards(new), new.late_post) == ({"101": "shown"}, None)


def test_the_newest_card_event_of_an_extension_is_kept() -> None:
    """However often it is repeated, it takes no more room than there are extensions."""
    remote = Remote()
    for turn in range(20):
        at = 1 + 7.0 * turn
        posted = RegisterCall(external_id="x", number="n", incoming=True, start_ms=0, cards=(timer("101", turn), hide("102", turn)))
        remote = after(started(posted, at, f"r{turn}"), done(CONFIRM, at + LOOK_EVERY_MS / 1000, call=None), remote=remote)
    assert remote.late_post is not None
    assert remote.late_post.effect.cards == (timer("101", 19), hide("102", 19))


def test_a_leg_of_another_call_is_still_looked_for() -> None:
    """It is not registered itself, but a card that an earlier registration has shown would stand for good."""
    turned_away = refused(SECOND, 7.1, "r2")
    call = call_of("0 A dial 102 internal", *ORPHANED, turned_away, LegAbsorbed(heard_ms=ms(8), into="B"))
    assert call.remote.attempt is None
    assert step_at(call, 9) == ("confirm", ms(13))
    assert step_of(look(fold(call, [absent(SURE)]), SURE)) == "nothing"
    assert step_of(look(fold(call, [done(CONFIRM, SURE, call="m")]), SURE)).startswith("update HIDE_ALL")


@pytest.mark.parametrize("over", [True, False])
def test_where_the_look_is_refused_a_person_is_needed_only_if_the_record_waits_for_it(*, over: bool) -> None:
    call = call_of(RING, *REPEATED, *(OVER if over else []), refused(CONFIRM, 12, error="forbidden"))
    assert ("cannot be found out" in parked_reason(call)) is over
    assert (step_of(look(call, 12)) == "nothing") is over
