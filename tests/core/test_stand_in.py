"""What MoySklad would say, going by what it said."""

from __future__ import annotations

from typing import Any

import pytest

from core.effects import (
    CardAction,
    CardEvent,
    ClaimCallback,
    CloseCallback,
    CompleteTask,
    ConfirmCall,
    CreateContact,
    CreateOrder,
    CreateTask,
    Effect,
    FindContact,
    FindEmployees,
    HoldTasks,
    InspectCall,
    InspectTask,
    KeepTask,
    RegisterCall,
    UpdateCall,
)
from core.events import EffectRefused
from core.stand_in import Answer, contains, content, effect_of, learned
from tests.scenario import NUMBER, done, failed, refused

OTHER = "+375290000009"


def register(*cards: str, **changed: Any) -> RegisterCall:
    events = tuple(
        CardEvent(action=CardAction.SHOW, sequence=nth, extension=each, employee=f"e-{each}") for nth, each in enumerate(cards)
    )
    fields: dict[str, Any] = {"external_id": "0367-A", "number": NUMBER, "incoming": True, "start_ms": 5, "cards": events}
    return RegisterCall(**{**fields, **changed})


KNOWN = learned(
    [
        done(FindContact(number=NUMBER), 1, contact="c-1", name="Анна"),
        done(FindEmployees(extensions=("101", "102")), 1, employees={"101": {"id": "e-101"}, "102": None}),
        failed(register("101"), 2),
        done(register("101"), 3, call="m-1", contact="c-1"),
        done(UpdateCall(external_id="0367-A", call="m-1", recordings=("r",)), 4),
    ]
)


@pytest.mark.parametrize(
    ("effect", "result", "assumed"),
    [
        (FindContact(number="80290000001"), {"contact": "c-1", "name": "Анна", "matches": 1}, False),
        (FindContact(number=OTHER), {"contact": "c-1", "name": "", "matches": 1}, False),
        (FindEmployees(extensions=("101", "102")), {"employees": {"101": {"id": "e-101"}, "102": None}}, False),
        (FindEmployees(extensions=("103",)), {"employees": {"103": None}}, True),
        (CreateContact(number=NUMBER, sync_id="s"), {"contact": "c-1"}, False),
        (CreateContact(number=OTHER, sync_id="s"), {"contact": "imagined-contact"}, False),
        (register("103"), {"call": "m-1", "contact": "c-1"}, False),
        (register(contact="c-2"), {"call": "m-1", "contact": "c-2"}, False),
        (UpdateCall(external_id="0367-A", call="m-1"), {}, False),
        (ConfirmCall(external_id="0367-A"), {"call": "m-1", "contact": "c-1", "recordings": []}, False),
        (InspectCall(call="m-1"), {"recordings": ["r"]}, False),
        (CreateOrder(sync_id="s", contact="c-1", number=NUMBER, incoming=True, start_ms=1),
         {"order": "imagined-order", "name": "", "open": None}, False),
        (CreateTask(mark="m", number=NUMBER, missed_ms=1, due_ms=2, assignee="e-1"),
         {"task": "imagined-task", "existed": False, "assignee": "e-1"}, False),
        (ClaimCallback(call="A", number=NUMBER, missed_ms=1), {"granted": True}, True),
        (KeepTask(call="A", task="t"), {"open": True}, False),
        (HoldTasks(call="A"), {"told_by": "A"}, False),
        (CloseCallback(call="A", number=NUMBER, talked_ms=1), {"tasks": []}, False),
        (CompleteTask(task="t"), {"gone": False}, False),
        (InspectTask(task="t"), {"open": True}, False),
    ],
)
def test_what_it_would_answer(effect: Effect, result: dict[str, Any], assumed: bool) -> None:
    answer = KNOWN.answer(effect)
    assert (answer.result, answer.refusal, bool(answer.assumed)) == (result, None, assumed)


def test_of_an_empty_record_nothing_is_known_and_that_is_said() -> None:
    nothing = learned([])
    assert nothing.answer(FindContact(number=NUMBER)) == Answer(
        result={"contact": None, "name": "", "matches": 0},
        assumed="the record does not say whose number it is: taken as nobody's",
    )
    assert nothing.answer(register("101")).result == {"call": "imagined-0367-A", "contact": None}
    assert nothing.answer(ConfirmCall(external_id="0367-A")).result["call"] is None


def test_a_client_who_was_made_since_is_not_whom_moysklad_would_have_linked() -> None:
    record = [done(FindContact(number=NUMBER), 1, contact=None), done(CreateContact(number=NUMBER, sync_id="s"), 2, contact="c-9")]
    assert learned(record).answer(register()).result["contact"] is None
    assert learned(record).answer(FindContact(number=NUMBER)).result["contact"] is None
    assert learned(record).answer(CreateContact(number=NUMBER, sync_id="s")).result == {"contact": "c-9"}


@pytest.mark.parametrize(
    ("asked", "is_refused"),
    [
        (register("103"), True),
        (register("101", "103"), True),
        (register("101"), False),
        (register("103", number=OTHER), False),
        (UpdateCall(external_id="0367-A", call="m-1"), False),
    ],
)
def test_whoever_asks_for_all_that_was_refused_is_refused_too(asked: Effect, is_refused: bool) -> None:
    refusal = refused(register("103"), 1, error="no such employee")
    answer = learned([refusal]).answer(asked)
    assert (answer.refusal == refusal) is is_refused


def test_a_refusal_of_the_account_holds_for_everything_and_is_no_fact_about_the_request() -> None:
    wide: EffectRefused = refused(register("101"), 1, sent=False)
    assert learned([wide]).refusals == ()
    adapted = learned([wide]).adapted(register("102"), wide)
    assert adapted is not None
    assert adapted.refusal == wide
    own = refused(register("101"), 1)
    assert learned([own]).adapted(register("102"), own) is None


def test_a_recorded_answer_is_adapted_to_what_is_asked_now() -> None:
    recorded = done(register("101"), 1, call="m-1", contact=None, existed=True)
    for asked, contact in ((register("101"), None), (register("102"), "c-1"), (register("102", contact="c-2"), "c-2")):
        adapted = KNOWN.adapted(asked, recorded)
        assert adapted is not None
        assert adapted.result == {"call": "m-1", "contact": contact, "existed": True}
    people = done(FindEmployees(extensions=("101",)), 1, employees={"101": {"id": "e-101"}})
    adapted = KNOWN.adapted(FindEmployees(extensions=("101", "103")), people)
    assert adapted is not None
    assert adapted.result == {"employees": {"101": {"id": "e-101"}, "103": None}}
    assert KNOWN.adapted(register("101"), failed(register("101"), 1)) is None


def test_tries_of_one_thing_are_the_same_content() -> None:
    one, other = done(register("101"), 1).effect, done(register("101"), 2).effect
    other["cards"][0]["sequence"] = 9
    assert content(one) == content(other)
    assert content({**one, "deadline_ms": 1}) == content(one)
    assert content(done(register("102"), 1).effect) != content(one)
    assert contains(register("101"), one)


def test_an_effect_this_code_does_not_know_is_nothing() -> None:
    odd = done(register("101"), 1)
    odd.effect["type"] = "from_the_future"
    assert effect_of(odd) is None
    assert learned([odd]).call == ""
