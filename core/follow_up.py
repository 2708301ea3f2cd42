"""What is known of a call's order and of its task, as far as the recorded outcomes tell (PRODUCT C6, C11).

``core.follow_up_plan`` compares it with what the settings ask for. An order in doubt may simply be asked for again: its
``syncId`` makes that harmless. A task has none, so the next try looks for its mark, and not before the first one can no
longer arrive. Whose the task of a customer is, and that he was talked with, is the house's own memory
(:class:`core.ports.Callbacks`); its answers are kept here like MoySklad's, so that a replay needs neither.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from core.attempts import Attempt
from core.effects import (
    ClaimCallback,
    CloseCallback,
    CompleteTask,
    CreateOrder,
    CreateTask,
    FollowUp,
    HoldTasks,
    InspectTask,
    KeepTask,
)
from core.events import EffectDone, EffectFailed, EffectRefused, EffectStarted


class Order(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The call's order. ``done`` without ``id``: none was needed, because ``open`` (its name) was there already.

    ``without``: what it had to do without, in words.
    """

    done: bool = False
    id: str = ""
    name: str = ""
    open: str = ""
    without: str = ""
    attempt: Attempt | None = None


class Task(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The call's task, and what the call means for the tasks of others.

    ``asked``: our own database (:class:`core.ports.Callbacks`) was asked which call gets the customer's task; ``granted``: this
    one; ``by``: that other call, and ``others`` its task; ``talked``: none is needed, somebody talked with the customer since.

    ``looked``: MoySklad was asked whether that other task is still to be done, and it is; ``over``: the one that is not, since
    ``over_ms`` where that is known.

    ``held_by``: another call found out that the account takes no tasks; ``told_by``: this call found out itself, by a refusal,
    and the call named here is the one that tells a person.

    ``kept``: our database knows the task's ``id``. ``closed``: this call was a talk, and the database was told that nobody
    needs to call the customer back; ``ended``: the tasks that became pointless by that, ``completed``: those of them that were
    marked as done in MoySklad.
    """

    asked: bool = False
    granted: bool = False
    by: str = ""
    others: str = ""
    looked: bool = False
    over: str = ""
    over_ms: int | None = None
    talked: bool = False
    held_by: str = ""
    told_by: str = ""
    id: str = ""
    attempt: Attempt | None = None
    kept: bool = False
    closed: bool = False
    ended: tuple[str, ...] = ()
    completed: tuple[str, ...] = ()


class After(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What comes after the record: the order and the task."""

    order: Order = Order()
    task: Task = Task()


NOTHING_YET: Final = After()


def apply(after: After, event: EffectStarted | EffectDone | EffectFailed | EffectRefused, effect: FollowUp) -> After:
    """Fold one outcome of a follow-up. Total."""
    match event:
        case EffectDone():
            return _done(after, effect, event.result)
        case EffectStarted():
            return _attempted(after, effect, lambda earlier: _started(earlier, event, effect))
        case EffectFailed():
            return _attempted(after, effect, lambda attempt: _failed(attempt, event))
        case EffectRefused():
            return _attempted(after, effect, lambda attempt: _refused(attempt, event))


def forgiven(after: After) -> After:
    """The state once what was refused may be asked again.

    Our database is asked anew whether the task is still needed. A task that exists, or may exist, stays this call's in any
    case.
    """
    task = after.task
    if task.id or (task.attempt is not None and task.attempt.may_have_worked):
        return replace(after, task=replace(task, held_by="", told_by=""))
    return replace(after, task=Task(kept=task.kept, closed=task.closed, ended=task.ended, completed=task.completed))


def _attempted(after: After, effect: FollowUp, change: Any) -> After:
    match effect:
        case CreateOrder():
            return replace(after, order=replace(after.order, attempt=change(after.order.attempt)))
        case CreateTask():
            return replace(after, task=replace(after.task, attempt=change(after.task.attempt)))
        case _:
            return after  # asking the house, or ending a task, may be repeated at will


def _started(earlier: Attempt | None, event: EffectStarted, effect: FollowUp) -> Attempt:
    doubted = earlier is not None and earlier.may_have_worked
    return Attempt(key=event.key, effect=effect, at_ms=event.at_ms, doubted=doubted)


def _failed(attempt: Attempt | None, event: EffectFailed) -> Attempt | None:
    return None if attempt is None else replace(attempt, in_doubt=event.ambiguous, ended_ms=event.at_ms)


def _refused(attempt: Attempt | None, event: EffectRefused) -> Attempt | None:
    """What a refusal leaves of an attempt. One that was certain before anything was sent says nothing about an earlier try,
    which may have been carried out."""
    if attempt is None:
        return None
    in_doubt = attempt.in_doubt and not event.started and not event.exchanges
    return replace(attempt, in_doubt=in_doubt, ended_ms=event.at_ms) if in_doubt or attempt.doubted else None


def _done(after: After, effect: FollowUp, result: dict[str, Any]) -> After:
    order, task = after.order, after.task
    match effect:
        case CreateOrder():
            order = Order(
                done=True,
                id=str(result.get("order") or ""),
                name=str(result.get("name") or ""),
                open=str(result.get("open") or ""),
                without=str(result.get("without") or ""),
            )
        case ClaimCallback():
            task = replace(
                task,
                asked=True,
                granted=bool(result.get("granted")),
                by=str(result.get("by") or ""),
                others=str(result.get("task") or ""),
                looked=False,
                talked=result.get("talked_ms") is not None,
                held_by=str(result.get("held_by") or ""),
            )
        case CreateTask():
            task = replace(task, id=str(result.get("task") or ""), attempt=None)
        case KeepTask():
            ended = task.ended if result.get("open", True) else _with(task.ended, effect.task)
            task = replace(task, kept=True, ended=ended)
        case HoldTasks():
            task = replace(task, told_by=str(result.get("told_by") or ""))
        case CloseCallback():
            task = replace(task, closed=True, ended=_with(task.ended, *(str(each) for each in result.get("tasks") or ())))
        case InspectTask() if result.get("open", True):
            task = replace(task, looked=True)
        case InspectTask():
            ended_ms = result.get("ended_ms")
            task = replace(task, asked=False, over=effect.task, over_ms=ended_ms if isinstance(ended_ms, int) else None)
        case CompleteTask():
            task = replace(task, completed=_with(task.completed, effect.task))
    return After(order=order, task=task)


def _with(known: tuple[str, ...], *more: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *more)))
