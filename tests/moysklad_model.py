"""MoySklad as far as effects can see it: a small pure model, so that thousands of histories run in a second.

It follows CONTRACT-MOYSKLAD 1.4, 1.5, 1.9 and 2.5. ``tests/adapters/test_model_agrees.py`` runs the same effects
against this model and against the sandbox through the real gateway, and compares what each of them then holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

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
    Performed,
    Refused,
    RegisterCall,
    UpdateCall,
)


class Repeated(StrEnum):
    """What a second POST with a known externalId does: not established (CONTRACT-MOYSKLAD 1.9)."""

    REFUSED = "reject-3006"
    RETURNED = "return-existing"
    DOUBLED = "create-duplicate"


@dataclass(slots=True)
class Row:
    """One call in MoySklad's list of calls."""

    id: str
    external_id: str
    number: str
    incoming: bool
    start_ms: int
    contact: str
    extension: str = ""
    employee: str = ""
    end_ms: int | None = None
    comment: str = ""
    recordings: list[str] = field(default_factory=list)
    events: list[CardEvent] = field(default_factory=list)

    def screens(self) -> dict[str, str]:
        """Extension -> ``shown`` or ``timing``, from the card events in the order they arrived."""
        cards: dict[str, str] = {}
        for event in self.events:
            match event.action:
                case CardAction.SHOW:
                    cards.setdefault(event.extension, "shown")
                case CardAction.STARTTIME:
                    if event.extension in cards:
                        cards[event.extension] = "timing"
                case CardAction.HIDE:
                    cards.pop(event.extension, None)
                case CardAction.HIDE_ALL:
                    cards.clear()
        return cards


@dataclass(slots=True)
class Order:
    """One customer order. ``open``: nobody has ended it yet."""

    id: str
    sync_id: str
    contact: str
    owner: str = ""
    state: str = ""
    source: str = ""
    open: bool = True


@dataclass(slots=True)
class Task:
    """One task."""

    id: str
    mark: str
    number: str
    contact: str
    assignee: str
    due_ms: int
    done: bool = False


NO_CRM: Final = 1043


@dataclass(slots=True)
class MoySkladModel:
    """The account: its calls, its contacts, who has which extension; its orders and tasks.

    ``order_refusal``, ``task_refusal``: (words, code) with which every new one is refused. ``fallback``: who gets the tasks that
    nobody is named for.
    """

    repeated: Repeated = Repeated.REFUSED
    employees: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    contacts: dict[str, str] = field(default_factory=dict)
    by_sync_id: dict[str, str] = field(default_factory=dict)
    requests: list[Effect] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    order_refusal: tuple[str, int] | None = None
    task_refusal: tuple[str, int] | None = None
    fallback: str = "fallback"

    def perform(self, effect: Effect) -> Performed:
        """Carry the effect out. Raises Refused where MoySklad would say no for good."""
        self.requests.append(effect)
        match effect:
            case FindContact():
                return Performed(result={"contact": self.contacts.get(effect.number), "name": "", "matches": 0})
            case FindEmployees():
                found = {
                    extension: {"id": self.employees[extension]} if extension in self.employees else None
                    for extension in effect.extensions
                }
                return Performed(result={"employees": found})
            case CreateContact():
                contact = self.by_sync_id.setdefault(effect.sync_id, f"contact-{len(self.by_sync_id) + 1}")
                self.contacts.setdefault(effect.number, contact)
                return Performed(result={"contact": contact})
            case RegisterCall():
                return self._register(effect)
            case UpdateCall():
                return self._update(effect)
            case ConfirmCall():
                row = self._by_external_id(effect.external_id)
                result = {"call": row.id, "contact": row.contact or None} if row else {"call": None}
                return Performed(result=result)
            case InspectCall():
                return Performed(result={"recordings": list(self._by_id(effect.call).recordings)})
            case CreateOrder():
                return Performed(result=self._order(effect))
            case CreateTask():
                return Performed(result=self._task(effect))
            case CompleteTask():
                for task in self.tasks:
                    task.done = task.done or task.id == effect.task
                return Performed(result={"gone": all(task.id != effect.task for task in self.tasks)})
            case InspectTask():
                return Performed(result={"open": any(task.id == effect.task and not task.done for task in self.tasks)})
            case ClaimCallback() | KeepTask() | HoldTasks() | CloseCallback():
                raise TypeError(f"{effect.type} is asked of the house")

    def _order(self, effect: CreateOrder) -> dict[str, object]:
        if self.order_refusal is not None:
            raise Refused(self.order_refusal[0], code=self.order_refusal[1])
        standing = next((order for order in self.orders if order.contact == effect.contact and order.open), None)
        if effect.unless_open and standing is not None and standing.sync_id != effect.sync_id:
            return {"order": None, "name": "", "open": standing.id}
        known = next((order for order in self.orders if order.sync_id == effect.sync_id), None)
        if known is None:
            known = Order(
                id=f"order-{len(self.orders) + 1}",
                sync_id=effect.sync_id,
                contact=effect.contact,
                owner=effect.owner,
                state=effect.state,
                source=effect.source,
            )
            self.orders.append(known)
        return {"order": known.id, "name": known.id, "open": None}

    def _task(self, effect: CreateTask) -> dict[str, object]:
        if effect.look and (known := next((task for task in self.tasks if task.mark == effect.mark), None)):
            return {"task": known.id, "existed": True, "assignee": known.assignee}
        if self.task_refusal is not None:
            raise Refused(self.task_refusal[0], code=self.task_refusal[1])
        assignee = effect.assignee or self.fallback
        if not assignee:
            raise Refused("nobody can be named for the task")
        task = Task(
            id=f"task-{len(self.tasks) + 1}",
            mark=effect.mark,
            number=effect.number,
            contact=effect.contact,
            assignee=assignee,
            due_ms=effect.due_ms,
        )
        self.tasks.append(task)
        return {"task": task.id, "existed": False, "assignee": assignee}

    def _register(self, effect: RegisterCall) -> Performed:
        known = self._by_external_id(effect.external_id)
        if known is not None and self.repeated is not Repeated.DOUBLED:
            return Performed(result={"call": known.id, "contact": known.contact or None, "existed": True})
        row = Row(
            id=f"call-{len(self.rows) + 1}",
            external_id=effect.external_id,
            number=effect.number,
            incoming=effect.incoming,
            start_ms=effect.start_ms,
            contact=effect.contact,
        )
        self.rows.append(row)
        _fill(row, effect)
        return Performed(result={"call": row.id, "contact": row.contact or None})

    def _update(self, effect: UpdateCall) -> Performed:
        _fill(self._by_id(effect.call), effect)
        return Performed(result={})

    def _by_external_id(self, external_id: str) -> Row | None:
        return next((row for row in self.rows if row.external_id == external_id), None)

    def _by_id(self, call: str) -> Row:
        for row in self.rows:
            if row.id == call:
                return row
        raise Refused("Объект с типом 'call' не найден", code=1021)


def _fill(row: Row, effect: RegisterCall | UpdateCall) -> None:
    row.events.extend(effect.cards)
    row.extension = row.extension or effect.extension
    row.employee = row.employee or effect.employee
    row.end_ms = row.end_ms if row.end_ms is not None else effect.end_ms
    row.comment = effect.comment or row.comment
    row.recordings.extend(effect.recordings)
