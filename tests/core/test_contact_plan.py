"""The customer of a call: one per number and enterprise, and why there may be none. What a call does with him: ``test_plan.py``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from core.call import Call, fold
from core.cards import Note
from core.contact_plan import (
    KNOWN,
    contact_deadline_ms,
    contact_steps,
    contact_sync_id,
    no_contact_because,
    nobodys_number,
    record_deadline_ms,
    waited_for_contact,
)
from core.contact_state import CONTACT_AGAIN_MS, CONTACT_ATTEMPTS
from core.decisions import Limits
from core.effects import CreateContact, Effect, FindContact, FindEmployees, RegisterCall
from core.events import CallOverdue, CallSettled, CallWrittenOff, Event
from core.plan import plan
from core.settings import Settings
from tests.scenario import NUMBER, call_of, deferred, done, failed, given, ms, refused, started
from tests.settings import SETTINGS, employee_id, settings_with
from tests.world import Fault

NO_NUMBER = "what was told is no telephone number: no client is made of it"


@pytest.mark.parametrize("length", [7, 15])
def test_a_client_is_made_of_any_telephone_number(length: int) -> None:
    (step,) = asked(call_of(f"0 A dial 101 number=+{'1' * length}", NOBODY))
    assert isinstance(step[0], CreateContact)


def test_a_number_is_one_client_of_one_enterprise() -> None:
    assert contact_sync_id("0367", NUMBER) == contact_sync_id("0367", NUMBER)
    assert len({contact_sync_id("0367", NUMBER), contact_sync_id("0368", NUMBER), contact_sync_id("0367", "+375290000002")}) == 3


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (NUMBER, ""),
        ("anonymous", "a hidden caller is nobody's contact"),
        ("777", "an extension is nobody's contact"),
        ("+151", "an extension is nobody's contact"),
    ],
)
def test_whose_number_can_be_somebodys(number: str, reason: str) -> None:
    call = call_of(f"0 A start {number}")
    assert nobodys_number(call) == reason
    assert no_contact_because(call, SETTINGS) == reason


def test_a_client_who_is_known_is_not_looked_for() -> None:
    assert no_contact_because(given("0 A dial 101").call(), SETTINGS) == KNOWN


def test_without_the_main_api_nobody_is_looked_for() -> None:
    call = call_of("0 A start")
    assert no_contact_because(call, settings_with(main_api=False)).startswith("no main API token")


# -- what is asked, and why ---------------------------------------------------------------------------------------

RING = "0 A start\n0.5 A dial 101\n3 A dial 102\n"
ENDED = RING + "9 A hangup\n"
LOOK_UP = FindContact(number=NUMBER)
NOBODY = done(LOOK_UP, 1, contact=None)
SYNC_ID = contact_sync_id("0367", NUMBER)
WHO = FindEmployees(extensions=("101",))
UNMAPPED = settings_with(mapped=())
MADE = "the number is in nobody's card, and the settings ask for a client"
LIMITS = Limits()


def asked(call: Call, settings: Settings = SETTINGS, deadline: float | None = None, now: float = 0) -> list[tuple[Any, str]]:
    """The step and why, or what is noted instead."""
    notes: list[Note] = []
    deadline_ms = None if deadline is None else ms(deadline)
    steps = [(step.effect, step.why) for step in contact_steps(call, settings, notes, deadline_ms=deadline_ms, now_ms=ms(now))]
    return [*steps, *((note.about, note.text) for note in notes)]


def test_a_client_is_looked_for_and_then_made_as_long_as_the_card_waits() -> None:
    look = (FindContact(number=NUMBER, deadline_ms=ms(2)), "MoySklad links a call to a contact only when the call is created")
    assert asked(call_of(RING), deadline=2, now=1.999) == [look]
    make = CreateContact(number=NUMBER, sync_id=SYNC_ID, deadline_ms=ms(2))
    assert asked(call_of(RING, NOBODY), deadline=2) == [(make, MADE)]


def test_whoever_calls_out_owns_the_client_that_is_made_for_it() -> None:
    (made,) = asked(call_of("0 A dial out 101", NOBODY))
    assert made[0] == CreateContact(number=NUMBER, sync_id=SYNC_ID, owner=employee_id("101"))
    look, made = asked(call_of("0 A dial out 101", NOBODY), UNMAPPED)
    assert look == (WHO, "the settings do not say who has them")
    assert made[0] == CreateContact(number=NUMBER, sync_id=SYNC_ID)


@pytest.mark.parametrize(
    "answer",
    [
        done(WHO, 2, employees={"101": None}),
        failed(FindEmployees(extensions=("101",), deadline_ms=ms(9)), 2),
        refused(WHO, 2),
    ],
)
def test_whoever_calls_out_is_looked_up_once_and_the_client_made_whatever_came_of_it(answer: Event) -> None:
    assert asked(call_of("0 A dial out 101", NOBODY, answer), UNMAPPED) == [(CreateContact(number=NUMBER, sync_id=SYNC_ID), MADE)]


@pytest.mark.parametrize("table", [RING, "0 A dial out 375290000009"])
def test_nobody_is_looked_up_for_a_client_whom_no_extension_called(table: str) -> None:
    assert asked(call_of(table, NOBODY), UNMAPPED) == [(CreateContact(number=NUMBER, sync_id=SYNC_ID), MADE)]


def test_a_card_waits_no_longer_than_its_deadline_and_the_record_goes_on_asking() -> None:
    waited = [("contact", "the card did not wait longer for it")]
    assert asked(call_of(RING), deadline=2, now=2) == waited
    too_late = failed(FindContact(number=NUMBER, deadline_ms=ms(2)), 2, error="deadline")
    assert asked(call_of(RING, too_late), deadline=2, now=1) == waited
    assert asked(call_of(ENDED), deadline=2, now=9)[0][0] == FindContact(number=NUMBER, deadline_ms=ms(2))
    assert asked(call_of(RING), now=9)[0][0] == LOOK_UP


@pytest.mark.parametrize(
    ("call", "settings", "said"),
    [
        (call_of(RING, done(LOOK_UP, 1, contact="ann")), SETTINGS, []),
        (
            call_of(RING),
            settings_with(main_api=False),
            ["no main API token in the settings: MoySklad matches the number by itself"],
        ),
        (
            call_of(RING),
            replace(settings_with(main_api=False), main_api_sealed=True),
            [
                "the main API token was stored under another MS_SECRET_KEY and cannot be read: "
                "MoySklad matches the number by itself"
            ],
        ),
        (call_of("0 selftest-1 dial 101", NOBODY, id="selftest-1"), SETTINGS, ["a test call makes no client"]),
        (
            call_of(RING, NOBODY),
            settings_with(create_incoming=False),
            ["not in MoySklad, and the settings do not create clients for this direction"],
        ),
        (
            call_of("0 A dial out 101", NOBODY),
            settings_with(create_outgoing=False),
            ["not in MoySklad, and the settings do not create clients for this direction"],
        ),
        (call_of(f"0 A dial 101 number=+{'1' * 6}"), SETTINGS, ["an extension is nobody's contact"]),
        (call_of("0 A dial 101 number=+1", NOBODY), SETTINGS, [NO_NUMBER]),
        (call_of(f"0 A dial 101 number=+{'1' * 16}", NOBODY), SETTINGS, [NO_NUMBER]),
    ],
)
def test_nobody_is_asked_for_and_why(call: Call, settings: Settings, said: list[str]) -> None:
    assert asked(call, settings) == [("contact", text) for text in said]


@pytest.mark.parametrize("effect", [LOOK_UP, CreateContact(number=NUMBER, sync_id=SYNC_ID)])
def test_what_was_refused_is_not_asked_again(effect: Effect) -> None:
    assert no_contact_because(call_of(RING, refused(effect, 1, error="no right")), SETTINGS) == (
        "MoySklad refused the contact: no right"
    )


@pytest.mark.parametrize(
    ("table", "creates", "of_a_registered_call"),
    [
        (RING, settings_with(), ""),
        (RING, settings_with(create_incoming=False), KNOWN),
        ("0 A dial out 101", settings_with(create_incoming=False), ""),
        ("0 A dial out 101", settings_with(create_outgoing=False), KNOWN),
    ],
)
def test_once_the_call_is_registered_only_a_client_to_be_made_is_looked_for(
    table: str, creates: Settings, of_a_registered_call: str
) -> None:
    """It is too late to link him."""
    registered = done(RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0)), 1, call="m")
    assert no_contact_because(call_of(table), creates) == ""
    assert no_contact_because(call_of(table, registered), creates) == of_a_registered_call


def test_a_record_does_not_wait_for_what_failed_too_often_unless_it_is_written_already() -> None:
    tries = [failed(LOOK_UP, at, error="down") for at in range(1, CONTACT_ATTEMPTS + 1)]
    assert no_contact_because(call_of(RING, *tries), SETTINGS) == "it failed too often for the record to wait: down"
    registered = done(RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0)), 20, call="m")
    assert no_contact_because(call_of(RING, *tries, registered), SETTINGS) == ""


def test_a_call_that_an_outage_of_all_of_moysklad_kept_waiting_is_registered_with_its_contact() -> None:
    silent = settings_with(notify="none")
    for tries in (1, 2):
        lost = (Fault.NOT_SENT,)
        troubled = {FindContact.type: lost * (CONTACT_ATTEMPTS + tries), RegisterCall.type: lost * (tries + 1)}
        scenario = given(RING + "9 A hangup 101", settings=silent, contacts={NUMBER: "ann"}, troubled=troubled).finished()
        assert [row.contact for row in scenario.world.moysklad.rows] == ["ann"], "it is linked only when it is created"


# -- how long is waited -------------------------------------------------------------------------------------------

SETTLED = CallSettled(at_ms=ms(20), reason="")


def test_a_record_that_could_not_be_sent_either_waits_for_its_contact_once_more_and_for_longer() -> None:
    registering = RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0))
    call = call_of(RING, SETTLED, failed(LOOK_UP, 21), started(registering, 31), failed(registering, 32, ambiguous=False))
    again = 32 + CONTACT_AGAIN_MS / 1_000
    assert record_deadline_ms(call, ms(33), Limits()) == record_deadline_ms(call, ms(again - 0.001), Limits()) == ms(again)
    late = record_deadline_ms(call, ms(again), Limits())
    assert late == ms(again) + Limits().record_wait_ms, "nobody has asked: once more, as for any other"
    put_off = fold(call, (deferred(FindContact(number=NUMBER, deadline_ms=late), again, until=again + 1),))
    assert [waited_for_contact(put_off, late + by_ms, Limits()) for by_ms in (-1, 0)] == [False, True]
    assert record_deadline_ms(call_of(RING, SETTLED), ms(33), Limits()) == ms(33) + Limits().record_wait_ms
    assert waited_for_contact(fold(call, (failed(LOOK_UP, 40),)), ms(50), Limits())


def test_a_call_deep_in_the_backlog_of_a_long_outage_is_registered_with_its_contact_too() -> None:
    """While all of MoySklad is away only the oldest calls are asked about now and then; this one has its turn when it is back."""
    registering = RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0))
    card = deferred(FindContact(number=NUMBER, deadline_ms=ms(2)), 0.5, until=4)  # too late for the card
    before = call_of(ENDED, card, deferred(registering, 0.6, until=4), SETTLED)
    asked_for = FindContact(number=NUMBER, deadline_ms=record_deadline_ms(before, ms(21), LIMITS))
    later = 21 + 3 * CONTACT_AGAIN_MS / 1_000
    in_vain: tuple[tuple[Event, ...], ...] = (
        (deferred(asked_for, 21, until=30),),
        (deferred(LOOK_UP, 21, until=30),),  # nothing of the account could be told
        (failed(asked_for, 21), deferred(LOOK_UP, 22, until=30)),
    )
    for last in in_vain:
        step = plan(fold(before, last), SETTINGS, ms(later), LIMITS).step
        assert step is not None
        assert step.effect == FindContact(number=NUMBER, deadline_ms=ms(later) + LIMITS.record_wait_ms)


@pytest.mark.parametrize(
    ("failed_at", "now", "waited"),
    [
        (None, 999, False),
        (19.999, 999, False),  # before it was settled: nobody has tried since, and whoever might is not held back any more
        (20, 29.999, False),
        (20, 30, True),
        (25, 34.999, False),
        (25, 35, True),
    ],
)
def test_a_record_waits_for_its_contact_from_when_it_was_tried(failed_at: float | None, now: float, waited: bool) -> None:
    if failed_at is None:
        assert waited_for_contact(call_of(ENDED, SETTLED), ms(now), LIMITS) is waited
        return
    deadline_ms = ms(failed_at) + (LIMITS.record_wait_ms if failed_at >= 20 else LIMITS.contact_wait_ms)
    for outcome in (failed, partial(deferred, until=failed_at + 1)):
        tried = outcome(FindContact(number=NUMBER, deadline_ms=deadline_ms), failed_at)
        assert waited_for_contact(call_of(ENDED, SETTLED, tried), ms(now), LIMITS) is waited


def test_it_is_not_asked_for_anew_with_another_ten_seconds_each_time() -> None:
    """While other calls find out whether the API is back, this one is told again and again that it is away for a little."""
    call = call_of(ENDED, SETTLED)
    for at in range(21, 30):
        asked_for = FindContact(number=NUMBER, deadline_ms=record_deadline_ms(call, ms(at), LIMITS))
        assert asked_for.deadline_ms == ms(31)
        call = fold(call, (deferred(asked_for, at, until=at + 0.5),))
    assert [waited_for_contact(call, ms(at), LIMITS) for at in (30.999, 31)] == [False, True]


def test_nor_is_his_owner_asked_for_anew_with_another_ten_seconds_each_time() -> None:
    for_a_card = FindEmployees(extensions=("101",), deadline_ms=SETTLED.at_ms)
    call = call_of("0 A dial out 101\n9 A hangup out 101", deferred(for_a_card, 0, until=1))
    call = fold(call, (SETTLED, done(LOOK_UP, 20, contact=None)))
    for at in range(21, 30):
        asked_for = asked(call, UNMAPPED, deadline=at + 10)[0][0]
        assert asked_for == FindEmployees(extensions=("101",), deadline_ms=ms(31))
        call = fold(call, (deferred(asked_for, at, until=at + 0.5),))
    assert asked(call, UNMAPPED)[0][0] == WHO, "once the call is registered nothing waits for it"


def test_a_record_is_not_held_by_what_was_answered_during_the_call() -> None:
    """A Retry-After of ten minutes, told while the caller was in the menu."""
    call = call_of(ENDED, failed(FindContact(number=NUMBER, deadline_ms=ms(9)), 5, retry=600), SETTLED)
    assert [waited_for_contact(call, ms(at), LIMITS) for at in (29.999, 30, 604.999)] == [False, True, True]
    assert record_deadline_ms(call, ms(21), LIMITS) == ms(30), "so that it is looked at then"
    assert not waited_for_contact(call, ms(605), LIMITS), "it may be asked for again, and nobody has since it ended"
    assert record_deadline_ms(call, ms(605), LIMITS) == ms(615)
    on_the_phone_api = call_of(ENDED, failed(RegisterCall(external_id="x", number="n", incoming=True, start_ms=0), 5, retry=600))
    assert not waited_for_contact(fold(on_the_phone_api, (SETTLED,)), ms(604), LIMITS), "nothing holds the look-up back"


def test_the_record_of_a_call_that_was_written_off_waits_for_its_contact_too() -> None:
    """It never settled, and a card waited for the contact long ago."""
    put_off = deferred(FindContact(number=NUMBER, deadline_ms=ms(2)), 1, until=1.5)
    call = call_of(RING, put_off, CallOverdue(at_ms=ms(7_200)), CallWrittenOff(at_ms=ms(90_000)))
    assert not waited_for_contact(call, ms(90_000), LIMITS)
    assert record_deadline_ms(call, ms(90_000), LIMITS) == ms(90_010)


def test_it_does_not_wait_for_what_was_given_up() -> None:
    gave_up = failed(FindContact(number=NUMBER, deadline_ms=ms(22)), 22, error="deadline")
    assert waited_for_contact(call_of(ENDED, SETTLED, gave_up), ms(22), LIMITS)


def test_a_card_waits_from_the_first_ring_or_else_from_what_was_heard_first() -> None:
    assert contact_deadline_ms(call_of(RING), LIMITS) == ms(0.5) + LIMITS.contact_wait_ms
    assert contact_deadline_ms(call_of("4 A start"), LIMITS) == ms(4) + LIMITS.contact_wait_ms
