"""The order and the task of a call: given, when, then; does it, refuses it, stays quiet."""

from __future__ import annotations

from typing import Any

import pytest

from core.effects import CreateOrder, CreateTask, Effect, FindEmployees, Refused
from core.events import EffectDone
from core.follow_up_plan import MINUTE_MS, order_sync_id, refused_for_good, task_mark, waits_for_tasks
from core.plan import parked_reason
from core.settings import Settings
from tests.moysklad_model import NO_CRM, MoySkladModel, Task
from tests.scenario import NUMBER, Scenario, given, heard, ms
from tests.settings import employee_id, settings_with
from tests.world import Fault, World

TALK = """
0.0   A  start
0.2   A  dial    101 102
5.0   A  enter   b1 customer
5.0   A  enter   b1 101
35.0  A  leave   b1 customer
35.0  A  leave   b1 101
35.4  A  hangup  101 answered
"""
MISSED = "0 A start\n0.2 A dial 101 102\n20 A hangup -\n"
ORDERS = settings_with(order="always")
TASKS = settings_with(task="on_missed", unrecognized="101")


def known(table: str, settings: Settings, **options: Any) -> Scenario:
    """A table played to its end, with a MoySklad that knows the customer."""
    model = options.pop("moysklad", None) or MoySkladModel(contacts={NUMBER: "ann"})
    return given(table, settings=settings, moysklad=model, **options).finished()


def after(scenario: Scenario, call: str = "A") -> list[str]:
    """What was asked once the record was there: writes at MoySklad."""
    return [text for text in scenario.asked(call) if text.startswith(("create order", "create task", "complete"))]


def told(scenario: Scenario, type_: str, call: str = "A") -> list[dict[str, Any]]:
    """The answers to effects of this type."""
    return [
        event.result
        for event in scenario.world.streams[f"call/{call}"]
        if isinstance(event, EffectDone) and event.effect["type"] == type_
    ]


@pytest.mark.parametrize("times", [1, 3])
def test_a_directory_that_did_not_answer_for_the_card_is_asked_again_for_the_order_and_the_task(times: int) -> None:
    def asked(table: str, **how: Any) -> list[str]:
        model = MoySkladModel(contacts={NUMBER: "ann"}, employees={"101": "uuid-101"})
        troubled = {FindEmployees.type: (Fault.NOT_SENT,) * times}
        return after(known(table, settings_with(mapped=(), **how), moysklad=model, troubled=troubled))

    assert asked(TALK, order="always") == ["create order ann owner=uuid-101"]
    missed = asked("0 A start\n0.2 A dial 101\n20 A hangup -\n", task="on_missed")
    assert missed == [f"create task {NUMBER} for uuid-101 contact=ann due=1820.0"]


# -- orders ----------------------------------------------------------------------------------------------------------


def test_an_answered_call_has_an_order_of_whoever_talked_after_its_record() -> None:
    scenario = known(TALK, ORDERS)
    assert after(scenario) == [f"create order ann owner={employee_id('101')}"]
    assert scenario.asked()[-1] == after(scenario)[0]
    assert [order.source for order in scenario.world.moysklad.orders] == ["Телефонный звонок"]
    assert scenario.call().remote.after.order.id == "order-1"


def test_an_outgoing_call_has_its_own_source() -> None:
    scenario = known("0 A dial out 101\n5 A enter b1 customer\n5 A enter b1 101\n35 A hangup out 101 answered", ORDERS)
    assert [order.source for order in scenario.world.moysklad.orders] == ["Исходящий звонок"]
    assert [order.owner for order in scenario.world.moysklad.orders] == [employee_id("101")]


@pytest.mark.parametrize(
    ("table", "settings", "note"),
    [
        (MISSED, ORDERS, "nobody talked with the client, and the settings ask for orders of answered calls only"),
        (TALK.replace("start", "start anonymous").replace("101 102", "101 102 number=anonymous"), ORDERS,
         "no order without a contact: a hidden caller is nobody's contact"),
        (TALK, settings_with(order="always", main_api=False), "no order without a main API token in the settings"),
        (TALK, settings_with(), None),
    ],
)  # fmt: skip
def test_no_order_and_why(table: str, settings: Settings, note: str | None) -> None:
    scenario = known(table.replace("hangup  101", "hangup  101 number=anonymous") if "anonymous" in table else table, settings)
    assert scenario.world.moysklad.orders == []
    assert scenario.notes().get("order") == note


def test_an_internal_call_and_a_test_call_have_none() -> None:
    assert known("0 A dial internal 102 number=101\n5 A hangup internal 102 answered number=101", ORDERS).requests() == []
    scenario = known(TALK.replace(" A ", " selftest-1 "), ORDERS)
    assert scenario.world.moysklad.orders == []
    assert scenario.notes("selftest-1")["order"] == "a test call makes no order"


def test_a_call_whose_end_is_not_known_has_none() -> None:
    scenario = known("0 A start\n0.2 A dial 101\n", settings_with(order="always", order_unanswered=True))
    assert scenario.notes()["order"] == "how the call ended is not known: no order"


def test_the_settings_may_ask_for_an_order_of_a_missed_call_too() -> None:
    assert after(known(MISSED, settings_with(order="always", order_unanswered=True))) == ["create order ann"]


def test_an_order_needs_a_client_whatever_the_settings_say_of_clients() -> None:
    scenario = known(TALK, settings_with(order="always", create_incoming=False), moysklad=MoySkladModel())
    assert scenario.asked()[-2:] == [f"create contact {NUMBER}", f"create order contact-1 owner={employee_id('101')}"]
    assert scenario.row.contact == ""  # too late to link


def test_the_directory_is_asked_whose_the_order_is() -> None:
    scenario = known(TALK, settings_with(order="always", mapped=()), moysklad=MoySkladModel(
        contacts={NUMBER: "ann"}, employees={"101": "uuid-101", "102": "uuid-102"}))  # fmt: skip
    assert after(scenario) == ["create order ann owner=uuid-101"]


def test_only_if_the_client_has_no_open_order() -> None:
    scenario = known(TALK + TALK.replace(" A ", " B ").replace("b1", "b2"), settings_with(order="unless_open"))
    assert len(scenario.world.moysklad.orders) == 1
    assert sorted(told(scenario, "create_order", call)[0]["order"] or "" for call in "AB") == ["", "order-1"]
    (other,) = [call for call in "AB" if not told(scenario, "create_order", call)[0]["order"]]
    assert scenario.notes(other)["order"] == "the client has an open order, order-1: no second one"


@pytest.mark.parametrize("fault", list(Fault))
def test_whatever_happens_to_the_request_there_is_one_order(fault: Fault) -> None:
    straight = known(TALK, ORDERS)
    scenario = known(TALK, ORDERS, troubled={CreateOrder.type: (fault,)})
    assert after(scenario) == after(straight) * 2
    assert len(scenario.world.moysklad.orders) == 1
    assert scenario.world.moysklad.orders[0].sync_id == order_sync_id(scenario.call())


def test_an_order_that_is_refused_parks_the_call_until_somebody_asks_again() -> None:
    scenario = known(TALK, ORDERS, moysklad=MoySkladModel(contacts={NUMBER: "ann"}, order_refusal=("Нет прав", 1045)))
    assert scenario.row.end_ms is not None
    assert parked_reason(scenario.call()) == "Нет прав"
    assert scenario.notes()["order"] == "MoySklad refused the order: Нет прав"
    assert scenario.planned().step is None

    scenario.world.moysklad.order_refusal = None
    assert scenario.world.retry("A")
    assert len(scenario.world.moysklad.orders) == 1
    assert parked_reason(scenario.call()) == ""


def test_an_order_for_a_client_who_was_deleted_is_made_for_the_one_who_has_the_number_now() -> None:
    model = MoySkladModel(contacts={NUMBER: "ann"}, order_refusal=("Объект не найден", 1021))
    scenario = known(TALK, ORDERS, moysklad=model)
    assert parked_reason(scenario.call()) == "Объект не найден"
    model.order_refusal, model.contacts[NUMBER] = None, "bob"
    assert scenario.world.retry("A")
    assert [order.contact for order in model.orders] == ["bob"]
    assert scenario.world.refold() == scenario.world.calls


def test_a_client_who_cannot_be_made_parks_the_order() -> None:
    class NoClients(MoySkladModel):
        def perform(self, effect: Effect) -> Any:
            if effect.type == "create_contact" and self.refusing:
                raise Refused("Нет прав на контрагентов", code=1045)
            return MoySkladModel.perform(self, effect)

        refusing = True

    model = NoClients()
    scenario = known(TALK, settings_with(order="always", create_incoming=False), moysklad=model)
    assert parked_reason(scenario.call()) == "Нет прав на контрагентов"
    assert scenario.notes()["order"].startswith("no order without a contact, and MoySklad refused it: ")
    model.refusing = False
    assert scenario.world.retry("A")
    assert len(model.orders) == 1


def test_a_call_that_cannot_be_registered_has_its_order_all_the_same() -> None:
    class NoPhone(MoySkladModel):
        def perform(self, effect: Effect) -> Any:
            if effect.type == "register_call":
                raise Refused("ключ отозван", code=55008)
            return MoySkladModel.perform(self, effect)

    scenario = known(TALK, ORDERS, moysklad=NoPhone(contacts={NUMBER: "ann"}))
    assert len(scenario.world.moysklad.orders) == 1
    assert parked_reason(scenario.call()) == "ключ отозван"


# -- tasks -----------------------------------------------------------------------------------------------------------


def test_a_missed_call_has_a_task_that_is_due_in_time() -> None:
    scenario = known(MISSED, TASKS)
    assert after(scenario) == [f"create task {NUMBER} for {employee_id('101')} contact=ann due={20.0 + 30 * 60}"]
    (task,) = scenario.world.moysklad.tasks
    assert (task.mark, task.number, task.due_ms) == (task_mark(scenario.call()), NUMBER, ms(20.0) + 30 * MINUTE_MS)
    assert scenario.call().remote.after.task.kept


@pytest.mark.parametrize(
    ("rung", "owner", "unrecognized", "who"),
    [
        ("101 102", "uuid-owner", "103", "uuid-owner"),
        ("101", "", "103", employee_id("101")),
        ("101 102", "", "103", employee_id("103")),
        ("375290000009", "", "103", employee_id("103")),
        ("101 102", "", "", "fallback"),
    ],
)
def test_whose_the_task_is(rung: str, owner: str, unrecognized: str, who: str) -> None:
    class Owned(MoySkladModel):
        def perform(self, effect: Effect) -> Any:
            performed = MoySkladModel.perform(self, effect)
            return performed if effect.type != "find_contact" else type(performed)(result={**performed.result, "owner": owner})

    settings = settings_with(task="on_missed", unrecognized=unrecognized)
    scenario = known(f"0 A start\n0.2 A dial {rung}\n20 A hangup -", settings, moysklad=Owned(contacts={NUMBER: "ann"}))
    assert [task.assignee for task in scenario.world.moysklad.tasks] == [who]


@pytest.mark.parametrize(
    ("table", "settings", "note"),
    [
        (MISSED, settings_with(), None),
        (MISSED, settings_with(task="on_missed", main_api=False), "no task without a main API token in the settings"),
        (MISSED.replace("start", "start anonymous").replace("102", "102 number=anonymous").replace("-\n", "- number=anonymous\n"),
         TASKS, "nobody to call back: a hidden caller is nobody's contact"),
        ("0 A dial out 101\n20 A hangup out 101", TASKS, None),
        ("0 A start\n0.2 A dial 101\n", TASKS, None),
    ],
)  # fmt: skip
def test_no_task_and_why(table: str, settings: Settings, note: str | None) -> None:
    scenario = known(table, settings)
    assert scenario.world.moysklad.tasks == []
    assert scenario.notes().get("task") == note


def test_a_client_who_is_missed_twice_has_one_task() -> None:
    scenario = known(MISSED + MISSED.replace(" A ", " B "), TASKS)
    (task,) = scenario.world.moysklad.tasks
    first = "A" if task.mark == task_mark(scenario.call("A")) else "B"
    other = "AB".replace(first, "")
    assert scenario.notes(other)["task"] == f"the client waits already: the task of call {first} is his"


def later(table: str, call: str, by: float) -> str:
    """The same as another call, so many seconds later."""
    lines = [line.split(maxsplit=2) for line in table.strip().splitlines()]
    return "\n".join(f"{float(at) + by} {call} {what}" for at, _, what in lines)


@pytest.mark.parametrize("how", ["done", "deleted"])
def test_a_task_that_was_ended_in_moysklad_itself_is_over_and_the_next_missed_call_begins_anew(how: str) -> None:
    """Somebody called back from a mobile of his own and ticked it off. Until then there is one task."""
    world = World(settings=TASKS, moysklad=MoySkladModel(contacts={NUMBER: "ann"}))

    def miss(call: str, at: float) -> list[str]:
        for stream, event in heard(later(MISSED, call, at)):
            world.hear(stream, event)
        world.advance(world.now_ms + 600_000)
        return [task.id for task in world.moysklad.tasks if not task.done]

    assert miss("A", 0) == miss("B", 3_600) == ["task-1"]
    if how == "done":
        world.moysklad.tasks[0].done = True
    else:
        del world.moysklad.tasks[0]
        world.moysklad.tasks.append(Task(id="x", mark="m", number="", contact="", assignee="", due_ms=0, done=True))
    (again,) = miss("C", 7_200)
    assert again == "task-2"
    assert miss("D", 10_800) == [again], "it is his now"


@pytest.mark.parametrize("way", ["in", "out"])
def test_a_talk_ends_it_and_the_next_missed_call_begins_anew(way: str) -> None:
    answered = {
        "in": "300 B start\n301 B dial 103\n310 B enter b2 customer\n310 B enter b2 103\n340 B hangup 103 answered\n",
        "out": "300 B dial out 103\n310 B enter b2 customer\n310 B enter b2 103\n340 B hangup out 103 answered\n",
    }[way]
    scenario = given(MISSED + answered, settings=TASKS, moysklad=MoySkladModel(contacts={NUMBER: "ann"})).finished()
    assert [task.done for task in scenario.world.moysklad.tasks] == [True]
    assert after(scenario, "B") == ["complete task-1"]

    later = given(
        MISSED + answered + "500 C start\n501 C dial 101\n520 C hangup -\n",
        settings=TASKS,
        moysklad=MoySkladModel(contacts={NUMBER: "ann"}),
    ).finished()
    assert [task.done for task in later.world.moysklad.tasks] == [True, False]


def test_a_missed_call_that_is_heard_of_after_the_talk_needs_no_task() -> None:
    table = TALK + "36 B hangup - number=+375290000001 start=1 received=1 end=20 downloaded\n"
    scenario = known(table, TASKS)
    assert scenario.world.moysklad.tasks == []
    assert scenario.notes("B")["task"] == "somebody has talked with the client since"


def test_a_call_that_turns_out_to_have_been_answered_ends_its_own_task() -> None:
    scenario = known(MISSED, TASKS).then("400 A hangup 101 answered end=19\n").finished()
    assert [task.done for task in scenario.world.moysklad.tasks] == [True]


@pytest.mark.parametrize("fault", list(Fault))
def test_whatever_happens_to_the_request_there_is_one_task(fault: Fault) -> None:
    scenario = known(MISSED, TASKS, troubled={CreateTask.type: (fault, fault)})
    assert len(scenario.world.moysklad.tasks) == 1
    looked = [text.endswith("look") for text in after(scenario)]
    assert looked == ([False, False, False] if fault is Fault.NOT_SENT else [False, True, True])


def test_a_task_in_doubt_is_not_repeated_before_the_first_can_no_longer_arrive() -> None:
    model = MoySkladModel(contacts={NUMBER: "ann"})
    scenario = given(MISSED, settings=TASKS, moysklad=model, troubled={CreateTask.type: (Fault.LOST_AFTER,)}).at(40)
    step = scenario.planned().step
    assert step is not None
    assert isinstance(step.effect, CreateTask)
    assert step.effect.look
    assert step.not_before_ms == ms(25) + 25_000


def test_a_talk_while_the_task_is_in_doubt_finds_out_and_ends_it() -> None:
    answered = "30 B start\n30.1 B dial 103\n31 B enter b2 customer\n31 B enter b2 103\n35 B hangup 103 answered\n"
    for fault in (Fault.LOST_AFTER, Fault.CRASH_AFTER, Fault.LOST_BEFORE):
        scenario = known(MISSED + answered, TASKS, troubled={CreateTask.type: (fault,)})
        assert [task.done for task in scenario.world.moysklad.tasks] == [True], fault


def test_an_account_without_the_option_is_told_once() -> None:
    model = MoySkladModel(contacts={NUMBER: "ann"}, task_refusal=("Тариф", NO_CRM))
    second = MISSED.replace(" A ", " B ").replace("start", "start +375290000002").replace("102\n", "102 number=+375290000002\n")
    second = second.replace("-\n", "- number=+375290000002\n")
    scenario = known(MISSED + second.replace("0 B start", "60 B start").replace("0.2 B", "61 B").replace("20 B", "80 B"), TASKS,
                     moysklad=model)  # fmt: skip
    assert [parked_reason(scenario.call(each)) for each in "AB"] == ["Тариф", ""]
    assert not waits_for_tasks(scenario.call("A"))
    assert waits_for_tasks(scenario.call("B"))
    assert scenario.notes("B")["task"] == "the account takes no tasks, as call A was told: it waits until it does"
    assert len([effect for effect in model.requests if isinstance(effect, CreateTask)]) == 1

    model.task_refusal = None
    assert scenario.world.retry("A")
    scenario.world.ask_again()
    assert sorted(task.number for task in model.tasks) == ["+375290000001", "+375290000002"]
    assert [parked_reason(scenario.call(each)) for each in "AB"] == ["", ""]
    assert not waits_for_tasks(scenario.call("B"))


def test_a_talk_while_the_account_takes_no_tasks_leaves_nothing_to_do() -> None:
    model = MoySkladModel(contacts={NUMBER: "ann"}, task_refusal=("Тариф", NO_CRM))
    answered = "300 B start\n301 B dial 103\n310 B enter b2 customer\n310 B enter b2 103\n340 B hangup 103 answered\n"
    scenario = known(MISSED + answered, TASKS, moysklad=model)
    model.task_refusal = None
    assert scenario.world.retry("A")
    assert model.tasks == []
    assert parked_reason(scenario.call()) == ""


def test_any_other_refusal_of_a_task_parks_each_call() -> None:
    model = MoySkladModel(contacts={NUMBER: "ann"}, fallback="")
    scenario = known(MISSED, settings_with(task="on_missed"), moysklad=model)
    assert parked_reason(scenario.call()) == "nobody can be named for the task"
    assert refused_for_good(scenario.call()) is not None
    model.fallback = "somebody"
    assert scenario.world.retry("A")
    assert [task.assignee for task in model.tasks] == ["somebody"]


def test_an_order_and_a_task_do_not_wait_for_each_other() -> None:
    model = MoySkladModel(contacts={NUMBER: "ann"}, order_refusal=("Нет прав", 1045))
    scenario = known(MISSED, settings_with(task="on_missed", unrecognized="101", order="always", order_unanswered=True),
                     moysklad=model)  # fmt: skip
    assert len(model.tasks) == 1
    assert parked_reason(scenario.call()) == "Нет прав"
    assert [type(effect) for effect in model.requests if isinstance(effect, CreateOrder)] == [CreateOrder]
