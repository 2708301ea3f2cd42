"""The order of a call and the task to call a customer back: what is left to do once the call itself is recorded (PRODUCT C6, C11).

Neither ever holds up a card or a record, and what keeps one of them away is said in words: in the plan's notes where the
settings or the call are the reason, as a parked reason where MoySklad is (docs/decisions/0015).
"""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

from msgspec.structs import replace

from core import conclusions
from core.call import Call
from core.cards import Note
from core.contact_plan import create_contact, nobodys_number
from core.effects import (
    ClaimCallback,
    CloseCallback,
    CompleteTask,
    CreateContact,
    CreateOrder,
    CreateTask,
    FindContact,
    FindEmployees,
    HoldTasks,
    InspectTask,
    KeepTask,
)
from core.follow_up import Task
from core.naming import external_id
from core.phone import looks_like_extension
from core.record import final_record
from core.remote import Refusal, Remote
from core.self_test import is_test
from core.settings import Settings
from core.steps import Step, due_ms, look, write_after
from core.values import MISSED_CALLS, Direction, Outcome

NO_CRM: Final = frozenset({1043, 1070})
"""What MoySklad says to whoever may make no tasks at all (CONTRACT-MOYSKLAD 2.3): one call tells a person, the others wait."""

MINUTE_MS: Final = 60_000

SOURCES: Final = {Direction.INCOMING: "Телефонный звонок", Direction.OUTGOING: "Исходящий звонок"}
"""What an order's source is called where the settings give it no name (CONTRACT-ASTERISK)."""

_ORDER_NAMESPACE: Final = UUID("2d5c8f0a-0d7e-4b51-8f3e-51b7a3c0e6d2")


def follow_up(call: Call, settings: Settings, notes: list[Note]) -> Step | None:
    """What to do next of both; the one that can be done first."""
    steps = [step for step in (_task(call, settings, notes), _order(call, settings, notes)) if step is not None]
    return min(steps, key=lambda step: (due_ms(call, step), isinstance(step.effect, InspectTask)), default=None)


def order_sync_id(call: Call) -> str:
    """The ``syncId`` under which a call has one order, however often it is asked for."""
    return str(uuid5(_ORDER_NAMESPACE, f"{call.enterprise}:{call.id}"))


def task_mark(call: Call) -> str:
    """What stands in the description of a call's task and in no other, so that it can be looked for."""
    return f"(звонок {external_id(call)})"


def refused_for_good(call: Call) -> Refusal | None:
    """The refusal because of which a person is needed for the call's order or its task. Goes by the history alone."""
    remote = call.remote
    if not remote.after.order.done and (refusal := remote.refused(CreateOrder) or _contact_refused(remote, "order")):
        return refusal
    if remote.after.task.id or conclusions.is_answered(call) or waits_for_tasks(call):
        return None
    return remote.refused(CreateTask)


def waits_for_tasks(call: Call) -> bool:
    """Whether the call's task waits until the account takes tasks again. Another call has told a person about it; one message
    is enough."""
    task = call.remote.after.task
    return not task.id and any(teller not in ("", call.id) for teller in (task.held_by, task.told_by))


# -- the order ----------------------------------------------------------------------------------------------------


def _order(call: Call, settings: Settings, notes: list[Note]) -> Step | None:
    actions, order = settings.actions(call.direction), call.remote.after.order
    if actions.create_order == "none" or (order.done and not order.open):
        return None
    if reason := _no_order_because(call, settings):
        notes.append(Note(about="order", text=reason))
        return None
    if not _customer(call):
        return _customer_for_order(call, settings, notes)
    extension = final_record(call, settings).extension
    if step := _look_up(call, settings, extension, "the order belongs to whoever talked"):
        return step
    effect = CreateOrder(
        sync_id=order_sync_id(call),
        contact=_customer(call),
        number=call.number,
        incoming=call.direction is not Direction.OUTGOING,
        start_ms=conclusions.start_ms(call),
        owner=_employee(call, settings, extension),
        state=actions.order_state,
        source=actions.order_source or SOURCES[call.direction],
        unless_open=actions.create_order == "unless_open",
    )
    unless = ", unless one is open" if effect.unless_open else ""
    return write_after(call, effect, order.attempt, f"the settings ask for an order for such a call{unless}")


def _no_order_because(call: Call, settings: Settings) -> str:
    remote, outcome = call.remote, conclusions.outcome(call)
    if remote.after.order.open:
        return f"the client has an open order, {remote.after.order.open}: no second one"
    if is_test(call.id):
        return "a test call makes no order"
    if outcome in (None, Outcome.INTERNAL, Outcome.LOST):
        return "how the call ended is not known: no order"
    if outcome is not Outcome.ANSWERED and not settings.actions(call.direction).order_unanswered:
        return "nobody talked with the client, and the settings ask for orders of answered calls only"
    if reason := nobodys_number(call):
        return f"no order without a contact: {reason}"
    if not settings.has_main_api:
        return "no order without a main API token in the settings"
    if refusal := remote.refused(CreateOrder):
        return f"MoySklad refused the order: {refusal.error}"
    if refusal := _contact_refused(remote, "order"):
        return f"no order without a contact, and MoySklad refused it: {refusal.error}"
    return ""


def _customer_for_order(call: Call, settings: Settings, notes: list[Note]) -> Step:
    if not call.remote.contact.searched:
        return look(call, FindContact(number=call.number, purpose="order"), "an order needs a contact")
    if not settings.create_client(call.direction):
        text = "the client is created all the same: the settings ask for an order, and that needs one"
        notes.append(Note(about="contact", text=text))
    if step := _look_up(call, settings, call.caller, "the order belongs to whoever talked"):
        return step
    return create_contact(call, settings, "an order needs a contact", purpose="order")


def _contact_refused(remote: Remote, purpose: str) -> Refusal | None:
    for refusal in reversed(remote.refusals):
        if isinstance(refusal.effect, FindContact | CreateContact) and refusal.effect.purpose == purpose:
            return refusal if remote.contact.id is None and remote.linked is None else None
    return None


# -- the task -----------------------------------------------------------------------------------------------------


def _task(call: Call, settings: Settings, notes: list[Note]) -> Step | None:
    if settings.incoming.create_task != "on_missed":
        return None
    task, outcome = call.remote.after.task, conclusions.outcome(call)
    if outcome in (None, Outcome.INTERNAL):
        return None
    missed = call.direction is Direction.INCOMING and outcome in MISSED_CALLS
    if reason := _no_task_because(call, settings):
        if missed:
            notes.append(Note(about="task", text=reason))
        return None
    if step := _end(call, task, notes):
        return step
    if task.id and not task.kept:
        return look(call, KeepTask(call=call.id, task=task.id), "whoever talks with the client next ends it")
    refusal = call.remote.refused(CreateTask)
    if not task.id and refusal is not None:
        if missed:
            return _refused_task(call, task, refusal, notes)
    elif not task.id and _in_doubt(task):
        return _create(call, settings, task, notes)
    if outcome is Outcome.ANSWERED:
        effect = CloseCallback(
            call=call.id, number=call.number, talked_ms=conclusions.best_known_end_ms(call), contact=_customer(call)
        )
        return None if task.closed else look(call, effect, "somebody talked with the client: he need not be called back")
    if not missed or task.id:
        return None
    return _missed(call, settings, task, notes)


def _no_task_because(call: Call, settings: Settings) -> str:
    if is_test(call.id):
        return "a test call makes no task"
    if reason := nobodys_number(call):
        return f"nobody to call back: {reason}"
    return "" if settings.has_main_api else "no task without a main API token in the settings"


def _end(call: Call, task: Task, notes: list[Note]) -> Step | None:
    """Mark the tasks that a talk has made pointless as done, one step each."""
    refused = {each.effect.task: each for each in call.remote.refusals if isinstance(each.effect, CompleteTask)}
    for each in task.ended:
        if each in refused:
            notes.append(Note(about="task", text=f"MoySklad refused to mark it as done: {refused[each].error}"))
        elif each not in task.completed:
            return look(call, CompleteTask(task=each), "the client was talked with: there is nothing left to do")
    return None


def _missed(call: Call, settings: Settings, task: Task, notes: list[Note]) -> Step | None:
    remote = call.remote
    if not _customer(call) and not remote.contact.searched and remote.refused(FindContact) is None:
        return look(call, FindContact(number=call.number, purpose="task"), "the task is for whoever is responsible for the client")
    if not task.asked:
        effect = ClaimCallback(
            call=call.id,
            number=call.number,
            missed_ms=conclusions.start_ms(call),
            contact=_customer(call),
            over=task.over,
            over_ms=task.over_ms,
        )
        return look(call, effect, "a client who was missed has one task, until somebody talks with him")
    if task.talked:
        notes.append(Note(about="task", text="somebody has talked with the client since"))
    elif not task.granted:
        if task.others and not task.looked and remote.refused(InspectTask) is None:
            return look(call, InspectTask(task=task.others), "whoever called back from a telephone of his own ended it in MoySklad")
        notes.append(Note(about="task", text=f"the client waits already: the task of call {task.by} is his"))
    elif task.held_by:
        notes.append(Note(about="task", text=_waits(task.held_by)))
    else:
        return _create(call, settings, task, notes)
    return None


def _refused_task(call: Call, task: Task, refusal: Refusal, notes: list[Note]) -> Step | None:
    notes.append(Note(about="task", text=f"MoySklad refused the task: {refusal.error}"))
    if refusal.code in NO_CRM and not task.told_by:
        return look(call, HoldTasks(call=call.id), "the account takes no tasks: a person is told once, not with each missed call")
    if waits_for_tasks(call):
        notes.append(Note(about="task", text=_waits(task.told_by)))
    return None


def _waits(teller: str) -> str:
    return f"the account takes no tasks, as call {teller} was told: it waits until it does"


def _create(call: Call, settings: Settings, task: Task, notes: list[Note]) -> Step:
    assignee = ""
    for extension, rule in _who(call, settings):
        if extension and (step := _look_up(call, settings, extension, "the task is for whoever the phone rang for")):
            return step
        assignee = _employee(call, settings, extension) if extension else _owner(call.remote)
        if assignee:
            notes.append(Note(about="task", text=f"it goes to the one who {rule}"))
            break
    attempt = task.attempt
    effect = CreateTask(
        mark=task_mark(call),
        number=call.number,
        missed_ms=conclusions.best_known_end_ms(call),
        due_ms=conclusions.best_known_end_ms(call) + settings.incoming.task_minutes * MINUTE_MS,
        name=call.remote.contact.name,
        contact=_customer(call),
        assignee=assignee,
        rang=call.rung,
        look=_in_doubt(task),
    )
    step = write_after(call, effect, attempt, "a client could not get through, and the settings ask for a task")
    if attempt is None or not effect.look:
        return step
    # The first may still be under way, and nothing at MoySklad tells two tasks apart but its mark.
    return replace(step, not_before_ms=attempt.at_ms + attempt.guard_ms(hurried=False))


def _in_doubt(task: Task) -> bool:
    return task.attempt is not None and task.attempt.may_have_worked


def _who(call: Call, settings: Settings) -> list[tuple[str, str]]:
    """Who may get the task, the best choice first: an extension (empty: the client's responsible employee, if there is one),
    and the reason.
    """
    found = [("", "is responsible for the client")]
    if extension := conclusions.only_extension(call.rung):
        alone = len(call.rung) == 1
        found.append((extension, "is the only one who was rung" if alone else "has the only extension that was rung"))
    if settings.unrecognized_extension:
        found.append((settings.unrecognized_extension, "takes the calls nobody can be named for"))
    return found


# -- whom it concerns ----------------------------------------------------------------------------------------------


def _customer(call: Call) -> str:
    return call.remote.contact.id or call.remote.linked or ""


def _owner(remote: Remote) -> str:
    return remote.contact.owner or ("" if remote.contact.id else remote.linked_owner)


def _employee(call: Call, settings: Settings, extension: str) -> str:
    """The employee's uuid, empty where it is not known. It is used even if MoySklad refused a card for it: he may still own an
    order, and the gateway makes the order without an owner if not."""
    mapped = settings.employee_for(extension)
    return mapped.id if mapped is not None else dict(call.remote.employees).get(extension) or ""


def _look_up(call: Call, settings: Settings, extension: str, why: str) -> Step | None:
    """Ask who has this extension, where nobody has said so yet: what a card could not wait for (``""``) is asked again."""
    told = dict(call.remote.employees).get(extension, "") != "" or call.remote.refused(FindEmployees) is not None
    if not extension or told or settings.employee_for(extension) is not None or not looks_like_extension(extension):
        return None
    return look(call, FindEmployees(extensions=(extension,)), why)
