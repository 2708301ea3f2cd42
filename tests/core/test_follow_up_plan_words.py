"""What is asked for a call's order and its task, field by field, and why, word for word: the story tells both to a person."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from core.call import Call
from core.effects import (
    ClaimCallback,
    CloseCallback,
    CompleteTask,
    CreateContact,
    CreateOrder,
    CreateTask,
    Effect,
    FindContact,
    FindEmployees,
    HoldTasks,
    InspectTask,
    KeepTask,
    RegisterCall,
)
from core.events import Event
from core.follow_up_plan import MINUTE_MS, follow_up, order_sync_id, refused_for_good, task_mark
from core.settings import Settings, parse_settings
from core.steps import Step
from tests.moysklad_model import NO_CRM
from tests.scenario import NUMBER, call_of, done, events, failed, ms, refused, started
from tests.settings import MS_CONFIG, employee_id, settings_with

TALK = "0 A start\n0.5 A dial 101 102\n5 A enter b1 customer\n5 A enter b1 101\n35.4 A hangup 101 answered\n"
CALLED = "0 A dial out 101\n5 A enter b1 customer\n5 A enter b1 101\n35 A hangup out 101 answered\n"
MISSED = "0 A start\n0.2 A dial 101 102\n20 A hangup -\n"
MISSED_BY_ONE = "0 A start\n0.2 A dial 101\n20 A hangup -\n"
ORDERS, TASKS = settings_with(order="always"), settings_with(task="on_missed")

LOOK_UP = FindContact(number=NUMBER)
REGISTER = RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0))
FOUND = done(LOOK_UP, 1, contact="ann", name="ООО «Радуга»")
CLAIM = ClaimCallback(call="A", number=NUMBER, missed_ms=ms(0), contact="ann")
ORDER = CreateOrder(sync_id="s", contact="ann", number=NUMBER, incoming=True, start_ms=ms(0))
TASK = CreateTask(mark="m", number=NUMBER, missed_ms=ms(20), due_ms=ms(99))


def settings_of(**incoming: Any) -> Settings:
    """Orders and tasks of incoming calls only."""
    return parse_settings({**MS_CONFIG, "incoming_call_actions": {"create_client": True, **incoming}})


def planned(call: Call, settings: Settings) -> tuple[Step | None, list[tuple[str, str]]]:
    notes: list[Any] = []
    step = follow_up(call, settings, notes)
    return step, [(note.about, note.text) for note in notes]


def step_of(table: str, settings: Settings, *outcomes: Event, id: str = "A") -> Step:
    step, _ = planned(call_of(table, *outcomes, id=id), settings)
    assert step is not None
    return step


def asked(table: str, settings: Settings, *outcomes: Event) -> tuple[Effect, str]:
    step = step_of(table, settings, *outcomes)
    return step.effect, step.why


def told(table: str, settings: Settings, *outcomes: Event, id: str = "A") -> list[tuple[str, str]]:
    return planned(call_of(table, *outcomes, id=id), settings)[1]


# -- the order ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("unless", "also"), [("always", ""), ("unless_open", ", unless one is open")])
def test_an_order_is_asked_for_with_all_that_is_known_and_says_why(unless: str, also: str) -> None:
    settings = settings_of(create_order=unless, order_state="Новый", order_source="Звонок")
    effect, why = asked(TALK, settings, FOUND)
    assert effect == CreateOrder(
        sync_id=order_sync_id(call_of(TALK)),
        contact="ann",
        number=NUMBER,
        incoming=True,
        start_ms=ms(0),
        owner=employee_id("101"),
        state="Новый",
        source="Звонок",
        unless_open=unless == "unless_open",
    )
    assert why == f"the settings ask for an order for such a call{also}"


def test_of_an_outgoing_call_the_order_says_so() -> None:
    effect, _ = asked(CALLED, ORDERS, FOUND)
    assert isinstance(effect, CreateOrder)
    assert (effect.incoming, effect.source) == (False, "Исходящий звонок")


def test_each_direction_goes_by_its_own_settings() -> None:
    incoming = settings_of(create_order="always", order_unanswered=True)
    assert planned(call_of(CALLED, FOUND), incoming) == (None, [])
    assert isinstance(asked(MISSED, incoming, FOUND)[0], CreateOrder)
    both = {"create_order": "always"}
    outgoing = parse_settings({
        **MS_CONFIG, "incoming_call_actions": both, "outgoing_call_actions": {**both, "order_unanswered": True},
    })  # fmt: skip
    assert planned(call_of(MISSED, FOUND), outgoing)[0] is None
    assert isinstance(asked("0 A dial out 101\n20 A hangup out 101", outgoing, FOUND)[0], CreateOrder)


def test_an_order_that_is_asked_for_again_keeps_its_key() -> None:
    tried = (started(ORDER, 40, "first"), failed(ORDER, 41, "first"))
    step = step_of(TALK, ORDERS, FOUND, *tried)
    assert (step.key, step.why) == ("first", "again: the settings ask for an order for such a call")


def test_who_talked_is_looked_up_for_the_order() -> None:
    unmapped = settings_with(order="always", mapped=())
    assert asked(TALK, unmapped, FOUND) == (FindEmployees(extensions=("101",)), "the order belongs to whoever talked")
    known = done(FindEmployees(extensions=("101",)), 36, employees={"101": {"id": "uuid-101"}})
    effect, _ = asked(TALK, unmapped, FOUND, known)
    assert isinstance(effect, CreateOrder)
    assert effect.owner == "uuid-101"


def test_nobody_is_looked_up_whose_number_is_no_extension() -> None:
    mobile = "0 A start\n0.5 A dial 375290000009\n35 A hangup 375290000009 answered\n"
    assert isinstance(asked(mobile, settings_with(order="always", mapped=()), FOUND)[0], CreateOrder)


@pytest.mark.parametrize("creates", [True, False])
def test_an_order_s_client_is_found_or_made_for_the_order(creates: bool) -> None:
    """Whose client is made against the settings, is told so: the order asks for it."""
    settings = parse_settings({
        **MS_CONFIG,
        "incoming_call_actions": {"create_client": creates, "create_order": "always"},
        "outgoing_call_actions": {"create_client": not creates},
    })  # fmt: skip
    registered = done(REGISTER, 1, call="m")
    needs = "an order needs a contact"
    assert asked(TALK, settings, registered) == (FindContact(number=NUMBER, purpose="order"), needs)
    nobody = done(FindContact(number=NUMBER, purpose="order"), 37, contact=None)
    effect, why = asked(TALK, settings, registered, nobody)
    assert isinstance(effect, CreateContact)
    assert (effect.purpose, why) == ("order", needs)
    against = "the client is created all the same: the settings ask for an order, and that needs one"
    assert told(TALK, settings, registered, nobody) == ([] if creates else [("contact", against)])


def test_whether_a_client_is_made_against_the_settings_goes_by_those_of_the_direction() -> None:
    settings = settings_with(order="always", create_outgoing=False)
    nobody = done(FindContact(number=NUMBER, purpose="order"), 37, contact=None)
    against = "the client is created all the same: the settings ask for an order, and that needs one"
    assert told(CALLED, settings, done(REGISTER, 1, call="m"), nobody) == [("contact", against)]


def test_whoever_called_is_looked_up_for_the_client_that_an_order_needs() -> None:
    settings = settings_with(order="always", create_outgoing=False, mapped=())
    nobody = (done(REGISTER, 1, call="m"), done(FindContact(number=NUMBER, purpose="order"), 37, contact=None))
    who = FindEmployees(extensions=("101",))
    assert asked(CALLED, settings, *nobody) == (who, "the order belongs to whoever talked")
    effect, _ = asked(CALLED, settings, *nobody, done(who, 38, employees={"101": {"id": "uuid-101"}}))
    assert isinstance(effect, CreateContact)
    assert effect.owner == "uuid-101"


@pytest.mark.parametrize("known", [FOUND, done(REGISTER, 50, call="m", contact="ann")])
def test_a_client_who_could_not_be_found_for_the_order_and_is_known_now_has_it(known: Event) -> None:
    no_right = refused(FindContact(number=NUMBER, purpose="order"), 40, error="no right")
    assert told(TALK, ORDERS, no_right) == [("order", "no order without a contact, and MoySklad refused it: no right")]
    assert isinstance(asked(TALK, ORDERS, no_right, known)[0], CreateOrder)


# -- the task -----------------------------------------------------------------------------------------------------


def test_whose_task_it_is_is_looked_for_first_and_not_where_that_is_refused() -> None:
    whose = FindContact(number=NUMBER, purpose="task")
    assert asked(MISSED, TASKS) == (whose, "the task is for whoever is responsible for the client")
    for answer in (refused(whose, 22, error="no right"), done(whose, 22, contact=None)):
        assert asked(MISSED, TASKS, answer)[0] == ClaimCallback(call="A", number=NUMBER, missed_ms=ms(0))


def test_the_house_is_asked_about_the_client_and_told_which() -> None:
    assert asked(MISSED, TASKS, FOUND) == (CLAIM, "a client who was missed has one task, until somebody talks with him")
    closes = CloseCallback(call="A", number=NUMBER, talked_ms=ms(35.4), contact="ann")
    assert asked(TALK, TASKS, FOUND) == (closes, "somebody talked with the client: he need not be called back")


GRANTED = (FOUND, done(CLAIM, 25, granted=True))


def test_before_a_client_is_said_to_wait_already_his_task_is_looked_at() -> None:
    waits = (FOUND, done(CLAIM, 25, granted=False, by="B", task="t-1"))
    inspect = InspectTask(task="t-1")
    assert asked(MISSED, TASKS, *waits) == (inspect, "whoever called back from a telephone of his own ended it in MoySklad")
    said = [("task", "the client waits already: the task of call B is his")]
    for answer in (done(inspect, 26, open=True), refused(inspect, 26, error="no right")):
        assert told(MISSED, TASKS, *waits, answer) == said
    assert told(MISSED, TASKS, FOUND, done(CLAIM, 25, granted=False, by="B")) == said, "it is not made yet"
    over = structs.replace(CLAIM, over="t-1")
    assert asked(MISSED, TASKS, *waits, done(inspect, 26, open=False))[0] == over
    since = structs.replace(CLAIM, over="t-1", over_ms=ms(24))
    assert asked(MISSED, TASKS, *waits, done(inspect, 26, open=False, ended_ms=ms(24)))[0] == since
    another = done(over, 27, granted=False, by="C", task="t-2")
    assert asked(MISSED, TASKS, *waits, done(inspect, 26, open=False), another)[0] == InspectTask(task="t-2")


def test_an_order_does_not_wait_for_whether_anothers_task_is_still_to_be_done() -> None:
    both = settings_with(task="on_missed", order="always", order_unanswered=True)
    waits = (FOUND, done(CLAIM, 25, granted=False, by="B", task="t-1"))
    assert isinstance(asked(MISSED, both, *waits)[0], CreateOrder)


def test_a_task_is_asked_for_with_all_that_is_known_and_says_why() -> None:
    effect, why = asked(MISSED_BY_ONE, TASKS, *GRANTED)
    assert effect == CreateTask(
        mark=task_mark(call_of(MISSED_BY_ONE)),
        number=NUMBER,
        missed_ms=ms(20),
        due_ms=ms(20) + TASKS.incoming.task_minutes * MINUTE_MS,
        name="ООО «Радуга»",
        contact="ann",
        assignee=employee_id("101"),
        rang=("101",),
    )
    assert why == "a client could not get through, and the settings ask for a task"


@pytest.mark.parametrize(
    ("table", "unrecognized", "owner", "rule"),
    [
        (MISSED_BY_ONE, "", "uuid-owner", "is responsible for the client"),
        (MISSED_BY_ONE, "", "", "is the only one who was rung"),
        (MISSED_BY_ONE.replace("dial 101", "dial 101 375290000009"), "", "", "has the only extension that was rung"),
        (MISSED, "103", "", "takes the calls nobody can be named for"),
    ],
)
def test_a_task_says_by_which_rule_it_is_whose(table: str, unrecognized: str, owner: str, rule: str) -> None:
    found = done(LOOK_UP, 1, contact="ann", owner=owner)
    notes = told(table, settings_with(task="on_missed", unrecognized=unrecognized), found, done(CLAIM, 25, granted=True))
    assert notes == [("task", f"it goes to the one who {rule}")]


def test_whoever_moysklad_linked_has_an_owner_unless_it_is_somebody_else_s_client() -> None:
    linked = done(REGISTER, 2, call="m", contact="bob", owner="uuid-bobs")
    granted = done(CLAIM, 25, granted=True)
    for outcomes, assignee in (((linked, granted), "uuid-bobs"), ((FOUND, linked, granted), "")):
        effect, _ = asked(MISSED, TASKS, *outcomes)
        assert isinstance(effect, CreateTask)
        assert effect.assignee == assignee


def test_who_was_rung_is_looked_up_for_the_task() -> None:
    unmapped = settings_with(task="on_missed", mapped=())
    who = FindEmployees(extensions=("101",))
    assert asked(MISSED_BY_ONE, unmapped, *GRANTED) == (who, "the task is for whoever the phone rang for")
    effect, _ = asked(MISSED_BY_ONE, unmapped, *GRANTED, done(who, 26, employees={"101": {"id": "uuid-101"}}))
    assert isinstance(effect, CreateTask)
    assert effect.assignee == "uuid-101"


@pytest.mark.parametrize(("ambiguous", "not_before_ms"), [(True, ms(30) + 25_000), (False, None)])
def test_a_task_that_is_asked_for_again_keeps_its_key_and_waits_only_while_it_is_in_doubt(
    ambiguous: bool, not_before_ms: int | None
) -> None:
    tried = (started(TASK, 30, "first"), failed(TASK, 31, "first", ambiguous=ambiguous))
    step = step_of(MISSED, TASKS, *GRANTED, *tried)
    assert isinstance(step.effect, CreateTask)
    assert (step.key, step.not_before_ms, step.effect.look) == ("first", not_before_ms, ambiguous)
    assert step.why == "again: a client could not get through, and the settings ask for a task"


def test_a_call_that_was_answered_after_all_first_finds_out_whether_it_has_a_task() -> None:
    tried = (started(TASK, 30), failed(TASK, 31))
    step = step_of(MISSED, TASKS, *GRANTED, *tried, *events("40 A hangup 101 answered end=19"))
    assert isinstance(step.effect, CreateTask)
    assert step.effect.look


MADE = (*GRANTED, done(TASK, 30, task="t-1"))


def test_a_task_is_remembered_and_ended_and_each_says_why() -> None:
    keep = KeepTask(call="A", task="t-1")
    assert asked(MISSED, TASKS, *MADE) == (keep, "whoever talks with the client next ends it")
    ended = done(keep, 31, open=False)
    complete = CompleteTask(task="t-1")
    assert asked(MISSED, TASKS, *MADE, ended) == (complete, "the client was talked with: there is nothing left to do")
    no_right = refused(complete, 32, error="no right")
    step, notes = planned(call_of(MISSED, *MADE, ended, no_right), TASKS)
    assert (step, notes) == (None, [("task", "MoySklad refused to mark it as done: no right")])


def test_a_refused_task_says_so_and_whoever_waits_for_another_call_s_says_for_which() -> None:
    assert told(MISSED, TASKS, *GRANTED, refused(TASK, 30, error="no")) == [("task", "MoySklad refused the task: no")]
    no_crm = refused(TASK, 30, error="Тариф", code=NO_CRM)
    hold = HoldTasks(call="A")
    why = "the account takes no tasks: a person is told once, not with each missed call"
    assert asked(MISSED, TASKS, *GRANTED, no_crm) == (hold, why)
    notes = told(MISSED, TASKS, *GRANTED, no_crm, done(hold, 31, told_by="B"))
    assert notes == [
        ("task", "MoySklad refused the task: Тариф"),
        ("task", "the account takes no tasks, as call B was told: it waits until it does"),
    ]


@pytest.mark.parametrize(("code", "held"), [(1043, True), (1070, True), (1045, False), (None, False)])
def test_only_an_account_that_takes_no_tasks_at_all_is_remembered_as_such(code: int | None, held: bool) -> None:
    step, _ = planned(call_of(MISSED, *GRANTED, refused(TASK, 30, error="no", code=code)), TASKS)
    assert (step is not None) is held


def test_a_test_call_makes_no_task_and_says_so() -> None:
    notes = told(MISSED.replace(" A ", " selftest-1 "), TASKS, FOUND, id="selftest-1")
    assert notes == [("task", "a test call makes no task")]


def test_a_refused_task_needs_nobody_once_it_is_there_or_not_needed() -> None:
    no = refused(TASK, 30, error="no")
    assert refused_for_good(call_of(MISSED, *GRANTED, no)) is not None
    assert refused_for_good(call_of(MISSED, *GRANTED, no, done(TASK, 60, task="t-1"))) is None
    assert refused_for_good(call_of(MISSED, *GRANTED, no, *events("40 A hangup 101 answered end=19"))) is None
