"""Steps: a question has a key of its own each time, a write keeps its key, and a failure delays only those who ask the same."""

from __future__ import annotations

import pytest
from msgspec import structs

from core.attempts import Attempt
from core.call import Call, initial
from core.contact_state import Contact
from core.effects import (
    ClaimCallback,
    ConfirmCall,
    CreateContact,
    CreateTask,
    Effect,
    FindContact,
    FindEmployees,
    RegisterCall,
    way_of,
)
from core.steps import Step, as_admitted, content, due_ms, held_until_ms, look, write, write_after
from tests.scenario import NUMBER

CALL = initial("0367", "A")
CREATE = CreateContact(number=NUMBER, sync_id="s", deadline_ms=5)
TASK = CreateTask(mark="m", number=NUMBER, missed_ms=1, due_ms=2)
REGISTER = RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=1)


def attempted(effect: Effect) -> Call:
    attempt = Attempt(key="first", effect=effect, at_ms=1)
    return structs.replace(CALL, remote=structs.replace(CALL.remote, attempt=attempt, started=4))


def test_a_question_is_asked_anew() -> None:
    assert look(structs.replace(CALL, version=7), ConfirmCall(external_id="x"), "why").key == "confirm_call-7"


def test_a_write_keeps_its_key_while_it_asks_for_the_same() -> None:
    assert write(CALL, CREATE, "why").key == "create_contact-1"
    again = write(attempted(CREATE), structs.replace(CREATE, deadline_ms=9), "why")
    assert (again.key, again.why, again.effect) == ("first", "again: why", structs.replace(CREATE, deadline_ms=9))
    assert write(attempted(CREATE), structs.replace(CREATE, owner="o"), "why").key == "create_contact-5"


def test_what_comes_after_the_record_has_its_own_attempt() -> None:
    first = write_after(attempted(REGISTER), TASK, None, "why")
    assert (first.key, first.why) == ("create_task-5", "why")
    again = write_after(CALL, structs.replace(TASK, look=True), Attempt(key="first", effect=TASK, at_ms=1), "why")
    assert (again.key, again.why, again.effect) == ("first", "again: why", structs.replace(TASK, look=True))


def test_what_is_asked_for_does_not_depend_on_the_hurry() -> None:
    assert content(CREATE) == content(structs.replace(CREATE, deadline_ms=None))
    assert content(TASK) is TASK


@pytest.mark.parametrize(
    ("planned", "admitted", "until"),
    [
        (FindEmployees(extensions=("1",), deadline_ms=9), FindEmployees(extensions=("1",), deadline_ms=5), 5),
        (FindEmployees(extensions=("1", "2"), deadline_ms=5), FindEmployees(extensions=("1",), deadline_ms=9), 5),
        (FindEmployees(extensions=("1",)), FindEmployees(extensions=("1",), deadline_ms=5), None),
        (FindEmployees(extensions=("1",), deadline_ms=9), FindEmployees(extensions=("1",)), 9),
        (FindEmployees(extensions=("1",), deadline_ms=9), None, 9),
        (FindContact(number=NUMBER, deadline_ms=9), FindEmployees(extensions=("1",), deadline_ms=5), 9),
        (FindContact(number=NUMBER, deadline_ms=9), FindContact(number=NUMBER, deadline_ms=5), 9),
    ],
)
def test_only_a_card_that_has_waited_for_room_waits_no_longer_for_the_directory(
    planned: FindEmployees | FindContact, admitted: Effect | None, until: int | None
) -> None:
    """A contact that a card waited for may be the record's by now, which waits longer."""
    had_room = None if admitted is None else look(CALL, admitted, "why")
    step = as_admitted(look(CALL, planned, "why"), had_room)
    assert step == look(CALL, structs.replace(planned, deadline_ms=until), "why")


@pytest.mark.parametrize(
    ("effect", "due"),
    [(FindContact(number=NUMBER), 9_000), (TASK, 9_000), (REGISTER, 0), (ClaimCallback(call="A", number=NUMBER, missed_ms=1), 0)],
)
def test_a_failure_delays_whoever_asks_the_same_api(effect: Effect, due: int) -> None:
    step = Step(effect=effect, key=look(CALL, effect, "").key, why="")
    of_the_contact = structs.replace(CALL.remote, contact=Contact(retry_ms=9_000))
    of_something_else = structs.replace(CALL.remote, retry_ms=9_000, retry_of="create_task")
    for remote in (of_the_contact, of_something_else):
        failed = structs.replace(CALL, remote=remote)
        assert due_ms(failed, step) == due
        assert due_ms(failed, structs.replace(step, not_before_ms=10_000)) == 10_000
    assert due_ms(CALL, step) == 0
    assert held_until_ms(structs.replace(of_the_contact, retry_ms=9_500, retry_of="create_task"), way_of(TASK)) == 9_500
