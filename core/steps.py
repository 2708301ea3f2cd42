"""One thing to do next, under which key, and why: what ``core.plan`` and its parts hand out."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from core.attempts import Attempt
from core.call import Call
from core.effects import (
    CreateContact,
    CreateOrder,
    CreateTask,
    Effect,
    FindEmployees,
    IdempotencyKey,
    RegisterCall,
    UpdateCall,
    Way,
    way_of,
    way_of_type,
)
from core.remote import Remote


class Step(Struct, frozen=True, kw_only=True, gc=False):
    """One effect to perform, under which key, why, and not before when (None: now)."""

    effect: Effect
    key: IdempotencyKey
    why: str
    not_before_ms: int | None = None


def look(call: Call, effect: Effect, why: str) -> Step:
    """A step that changes nothing at MoySklad, so it may be repeated freely: each time under a new key."""
    return Step(effect=effect, key=IdempotencyKey(f"{effect.type}-{call.version}"), why=why)


def write(call: Call, effect: RegisterCall | UpdateCall | CreateContact, why: str) -> Step:
    """A step that writes. If the same write was attempted before, it is that attempt again: same key, same sequence numbers."""
    attempt = call.remote.attempt
    if attempt is not None and content(attempt.effect) == content(effect):
        again = effect if isinstance(effect, CreateContact) else attempt.effect  # its deadline moves on
        return Step(effect=again, key=IdempotencyKey(attempt.key), why=f"again: {why}")
    return Step(effect=effect, key=IdempotencyKey(f"{effect.type}-{call.remote.started + 1}"), why=why)


def write_after(call: Call, effect: CreateOrder | CreateTask, attempt: Attempt | None, why: str) -> Step:
    """A write that comes after the call's record (order, task). Its attempt is remembered apart from the call's own, in
    ``core.follow_up``."""
    if attempt is not None:
        return Step(effect=effect, key=IdempotencyKey(attempt.key), why=f"again: {why}")
    return Step(effect=effect, key=IdempotencyKey(f"{effect.type}-{call.remote.started + 1}"), why=why)


def as_admitted(step: Step, admitted: Step | None) -> Step:
    """The step that was planned again when there was room: a card that has waited for room does not wait for the directory anew."""
    match step.effect, admitted and admitted.effect:
        case FindEmployees(deadline_ms=int()) as effect, FindEmployees(deadline_ms=int(until_ms)):
            return replace(step, effect=replace(effect, deadline_ms=min(effect.deadline_ms or until_ms, until_ms)))
        case _:
            return step


def content(effect: Effect) -> Effect:
    """The effect without what differs from one try to the next: two tries of the same thing compare equal."""
    if isinstance(effect, RegisterCall | UpdateCall):
        return replace(effect, cards=tuple(replace(card, sequence=0) for card in effect.cards))
    if isinstance(effect, CreateContact):
        return replace(effect, deadline_ms=None)
    return effect


def due_ms(call: Call, step: Step) -> int:
    """When the step may be done. After a failure only steps that ask the same API wait: trouble with contacts never holds a
    card back."""
    return max(step.not_before_ms or 0, held_until_ms(call.remote, way_of(step.effect)))


def held_until_ms(remote: Remote, way: Way) -> int:
    """Until when one API is not asked for the call, because of its last failure; 0: it may be."""
    failed = remote.retry_ms is not None and way is way_of_type(remote.retry_of)
    return max(remote.retry_ms or 0 if failed else 0, remote.contact.retry_ms or 0 if way is Way.JSON else 0)
