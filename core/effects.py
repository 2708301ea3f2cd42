"""What MoySklad may be asked to do, as values. ``core.plan`` decides them, a gateway performs them, the call's stream records them.

An effect is stored inside ``effect_started`` and its outcome, so names and fields here are part of the storage format too.
Hrefs are built by the gateway: effects carry bare uuids. Times are ``*_ms`` UTC; the gateway turns them into Moscow time
(CONTRACT-MOYSKLAD 1.7).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Final, NewType, Protocol

import msgspec
from msgspec import Struct

from core.events import AnyOutcome, Exchange
from core.values import Urgency, plainly

IdempotencyKey = NewType("IdempotencyKey", str)
"""Names one effect of one call; a retry of the same effect keeps it."""


@plainly
class CardAction(StrEnum):
    """The four card events of the Phone API (CONTRACT-MOYSKLAD 1.5); there are no others."""

    SHOW = "SHOW"
    STARTTIME = "STARTTIME"
    HIDE = "HIDE"
    HIDE_ALL = "HIDE_ALL"


class CardEvent(Struct, frozen=True, kw_only=True, gc=False):
    """One card event inside a POST or PUT. ``sequence`` grows strictly within a call and stays the same for a retry.

    ``extension`` is empty for HIDE_ALL only; ``employee`` is a uuid or empty.
    """

    action: CardAction
    sequence: int
    extension: str = ""
    employee: str = ""


class _Effect(Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """What every effect is: a value that is stored as its fields and its ``type``."""


class FindContact(_Effect, frozen=True, kw_only=True, gc=False, tag="find_contact"):
    """Look the customer up in the JSON API by number (PRODUCT C5). Result: ``contact`` (uuid or None), ``name``, ``rule``,
    ``owner`` (the responsible employee's uuid or None).

    ``deadline_ms``: when to give up because a card must not wait longer (None: no hurry). ``purpose``: what cannot be made
    without the customer (``order``, ``task``); empty for the call itself.
    """

    type: ClassVar[str] = "find_contact"
    number: str
    deadline_ms: int | None = None
    purpose: str = ""


class FindEmployees(_Effect, frozen=True, kw_only=True, gc=False, tag="find_employees"):
    """Who has these extensions, where the settings' own mapping does not say (PRODUCT C7).

    Result: ``employees``: extension -> ``{"id": uuid, "name": text}``, or None for an extension nobody has.
    """

    type: ClassVar[str] = "find_employees"
    extensions: tuple[str, ...]
    deadline_ms: int | None = None


class CreateContact(_Effect, frozen=True, kw_only=True, gc=False, tag="create_contact"):
    """Create the customer: name = the number, phone, tag; ``sync_id`` makes a repeat harmless (CONTRACT-MOYSKLAD 2.5).

    Result: ``contact`` (uuid).
    """

    type: ClassVar[str] = "create_contact"
    number: str
    sync_id: str
    owner: str = ""
    deadline_ms: int | None = None
    purpose: str = ""


class RegisterCall(_Effect, frozen=True, kw_only=True, gc=False, tag="register_call"):
    """POST /call (CONTRACT-MOYSKLAD 1.3): the call with its first cards, or complete once it is over.

    ``number`` is E.164, digits or ANONYMOUS; ``contact`` and ``employee`` are uuids; empty and None are left out of the request.
    Result: ``call`` (uuid), ``contact`` (uuid or None: whom MoySklad linked), ``owner`` (his responsible employee, where it says
    so), ``existed`` (the external id was there already).
    """

    type: ClassVar[str] = "register_call"
    external_id: str
    number: str
    incoming: bool
    start_ms: int
    contact: str = ""
    cards: tuple[CardEvent, ...] = ()
    extension: str = ""
    employee: str = ""
    end_ms: int | None = None
    comment: str = ""
    recordings: tuple[str, ...] = ()


class UpdateCall(_Effect, frozen=True, kw_only=True, gc=False, tag="update_call"):
    """PUT /call/{id}: only what is set here is sent (fill-only-empty, CONTRACT-MOYSKLAD 1.4). Result: empty.

    ``start_ms`` is the registered start: with ``end_ms`` it gives the ``duration`` in the request. ``recordings`` are appended by
    MoySklad, so each is sent once.
    """

    type: ClassVar[str] = "update_call"
    external_id: str
    call: str
    cards: tuple[CardEvent, ...] = ()
    extension: str = ""
    employee: str = ""
    start_ms: int = 0
    end_ms: int | None = None
    comment: str = ""
    recordings: tuple[str, ...] = ()


class ConfirmCall(_Effect, frozen=True, kw_only=True, gc=False, tag="confirm_call"):
    """Find out whether a POST /call of unknown fate took effect: PUT /call/extid with nothing to change (CONTRACT-MOYSKLAD 1.9).

    Result: ``call`` (uuid, or None when MoySklad does not know the external id), ``contact``, ``owner``,
    ``recordings``.
    """

    type: ClassVar[str] = "confirm_call"
    external_id: str


class InspectCall(_Effect, frozen=True, kw_only=True, gc=False, tag="inspect_call"):
    """Read the call back: which recordings it has, because a repeated ``recordUrl`` would be appended twice.

    Result: ``recordings`` (list of URLs).
    """

    type: ClassVar[str] = "inspect_call"
    call: str


class AfterRecord(_Effect, frozen=True, kw_only=True, gc=False):
    """What comes after a call's record: the order and the task."""


class CreateOrder(AfterRecord, frozen=True, kw_only=True, gc=False, tag="create_order"):
    """POST /entity/customerorder for one call (PRODUCT C6, CONTRACT-MOYSKLAD 2.7); ``sync_id`` makes a repeat harmless.

    ``contact`` and ``owner`` (the employee who talked; may be empty) are uuids. ``state``: a state's name or id, empty for the
    account's own first one. ``source``: a sales channel's name, found or made, and the first words of the description.
    ``unless_open``: not while the customer has an order that is neither successful nor lost. Whose legal entity it is for, the
    account says.

    Result: ``order`` (uuid, or None), ``name``, ``open`` (the name of the open order that was there instead, or None),
    ``organization``, ``state``, ``channel`` (names), ``without`` (what the order had to do without, in words).
    """

    type: ClassVar[str] = "create_order"
    sync_id: str
    contact: str
    number: str
    incoming: bool
    start_ms: int
    owner: str = ""
    state: str = ""
    source: str = ""
    unless_open: bool = False


class CreateTask(AfterRecord, frozen=True, kw_only=True, gc=False, tag="create_task"):
    """POST /entity/task: call this customer back (PRODUCT C11). Tasks have no ``syncId``: ``mark`` stands in the description.

    ``contact`` may be empty. ``assignee``: an employee's uuid; empty: whoever the account names. ``rang``: whose phones rang.
    ``look``: an earlier try may have made it, so look for the mark first.

    Result: ``task`` (uuid), ``existed`` (the mark was found), ``assignee`` (uuid).
    """

    type: ClassVar[str] = "create_task"
    mark: str
    number: str
    missed_ms: int
    due_ms: int
    name: str = ""
    contact: str = ""
    assignee: str = ""
    rang: tuple[str, ...] = ()
    look: bool = False


class CompleteTask(AfterRecord, frozen=True, kw_only=True, gc=False, tag="complete_task"):
    """PUT /entity/task/{id}: the customer has been talked with. Result: ``gone`` (somebody deleted the task)."""

    type: ClassVar[str] = "complete_task"
    task: str


class InspectTask(AfterRecord, frozen=True, kw_only=True, gc=False, tag="inspect_task"):
    """GET /entity/task/{id}: is it still to be done? Whoever called back from a telephone of his own ends it in MoySklad itself.

    Result: ``open``: False when it is done or was deleted; ``ended_ms``: since when it is done, where MoySklad says so.
    """

    type: ClassVar[str] = "inspect_task"
    task: str


class ClaimCallback(AfterRecord, frozen=True, kw_only=True, gc=False, tag="claim_callback"):
    """May this missed call have the task? Asked of the house's own memory of who is to be called back, not of MoySklad.

    ``missed_ms``: when the call began. ``over``: a task that was found ended in MoySklad itself, so that nobody waits for it;
    ``over_ms``: since when, so that whoever was missed before has been called back.
    Result: ``granted``; else ``by`` (the call whose task it is) with ``task`` (its uuid, empty while there is none), or
    ``talked_ms`` (somebody talked with the customer until then). ``held_by``: granted, but the account takes no tasks, as that
    call was told.
    """

    type: ClassVar[str] = "claim_callback"
    call: str
    number: str
    missed_ms: int
    contact: str = ""
    over: str = ""
    over_ms: int | None = None


class KeepTask(AfterRecord, frozen=True, kw_only=True, gc=False, tag="keep_task"):
    """Remember the claimed call's task. Result: ``open``: False when the customer was talked with meanwhile."""

    type: ClassVar[str] = "keep_task"
    call: str
    task: str


class HoldTasks(AfterRecord, frozen=True, kw_only=True, gc=False, tag="hold_tasks"):
    """Remember that the account takes no tasks. Result: ``told_by``: the call that was first to find out, and tells a person."""

    type: ClassVar[str] = "hold_tasks"
    call: str


class CloseCallback(AfterRecord, frozen=True, kw_only=True, gc=False, tag="close_callback"):
    """Somebody talked with this customer until ``talked_ms``. Result: ``tasks`` (uuids): those that are not needed any more."""

    type: ClassVar[str] = "close_callback"
    call: str
    number: str
    talked_ms: int
    contact: str = ""


FollowUp = CreateOrder | CreateTask | CompleteTask | InspectTask | ClaimCallback | KeepTask | HoldTasks | CloseCallback
"""What comes after a call's record: the order and the task."""

Effect = FindContact | FindEmployees | CreateContact | RegisterCall | UpdateCall | ConfirmCall | InspectCall | FollowUp

EFFECT_TYPES: Final[Mapping[str, type[Effect]]] = {
    kind.type: kind
    for kind in (
        FindContact,
        FindEmployees,
        CreateContact,
        RegisterCall,
        UpdateCall,
        ConfirmCall,
        InspectCall,
        CreateOrder,
        CreateTask,
        CompleteTask,
        InspectTask,
        ClaimCallback,
        KeepTask,
        HoldTasks,
        CloseCallback,
    )
}


FOLLOW_UPS: Final = frozenset(kind for kind in EFFECT_TYPES.values() if issubclass(kind, AfterRecord))
"""What comes after the record, as classes."""


def encode_effect(effect: Effect) -> dict[str, Any]:
    """The effect as it is kept in events: its fields and its ``type``."""
    data: dict[str, Any] = msgspec.to_builtins(effect)
    return data


def decode_effect(data: Mapping[str, Any]) -> Effect:
    """Read an effect back. Raises msgspec.ValidationError, a ValueError, for what this code does not know."""
    kind = EFFECT_TYPES.get(data.get("type", ""))
    if kind is None:
        raise msgspec.ValidationError(f"this service knows no effect {data.get('type')!r}")
    effect: Effect = msgspec.convert(data, kind)
    return effect


def effect_of(event: AnyOutcome) -> Effect | None:
    """The effect that an outcome is about; None where this code does not know it. Read once: whoever asks again gets the same."""
    try:
        known: Effect | None = event._read
    except AttributeError:
        try:
            known = decode_effect(event.effect)
        except msgspec.ValidationError:
            known = None
        object.__setattr__(event, "_read", known)
    return known


class Way(StrEnum):
    """Who is asked: the two APIs have limits and troubles of their own, and the house has its own database."""

    PHONE = "phone"
    JSON = "json"
    HOUSE = "house"


_WAYS: Final[Mapping[str, Way]] = {
    **dict.fromkeys(
        (kind.type for kind in (FindContact, CreateContact, CreateOrder, CreateTask, CompleteTask, InspectTask)), Way.JSON
    ),
    **dict.fromkeys((kind.type for kind in (ClaimCallback, KeepTask, HoldTasks, CloseCallback)), Way.HOUSE),
}


def way_of(effect: Effect) -> Way:
    """Who is asked by an effect."""
    return way_of_type(effect.type)


def way_of_type(type_: str) -> Way:
    """The same by the effect's type name, which is all that is remembered of a failed one."""
    return _WAYS.get(type_, Way.PHONE)


def is_write(effect: Effect) -> bool:
    """Whether MoySklad changes by it: such an effect is recorded as started before it is attempted."""
    return isinstance(effect, CreateContact | RegisterCall | UpdateCall | CreateOrder | CreateTask | CompleteTask)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose MoySklad it is: the credentials in force now. Never printed, logged or stored with an event.

    What is chosen there belongs to it too, so that what was refused for want of a choice can be done once it is made:
    ``organization`` (id or name: for whom orders are made, where the account has several legal entities) and ``assignee``
    (an employee's uuid or an extension: who gets the tasks that are nobody's else).

    ``ends_only``: the integration was deleted. What MoySklad has of a call is ended with the key it began with: a card that stands
    would stand for good. Nothing else is made with it.
    """

    enterprise: str
    phone_key: str = field(repr=False, default="")
    api_token: str = field(repr=False, default="")
    organization: str = ""
    assignee: str = ""
    ends_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """What came of an effect: the ``result`` named in the effect's docstring and the requests it took."""

    result: dict[str, Any]
    exchanges: tuple[Exchange, ...] = ()


class Refused(Exception):
    """MoySklad refuses for good (validation, revoked key, missing right): the same request can never succeed.

    ``error`` is MoySklad's own words without secrets, ``remedy`` what a person can do about it.
    """

    def __init__(self, error: str, *, remedy: str = "", code: int | None = None, exchanges: tuple[Exchange, ...] = ()) -> None:
        super().__init__(error)
        self.error = error
        self.remedy = remedy
        self.code = code
        self.exchanges = exchanges


class Unavailable(Exception):
    """The request may succeed later. ``ambiguous``: it may have taken effect although no good answer came."""

    def __init__(
        self,
        error: str,
        *,
        ambiguous: bool,
        retry_after_ms: int | None = None,
        exchanges: tuple[Exchange, ...] = (),
    ) -> None:
        super().__init__(error)
        self.error = error
        self.ambiguous = ambiguous
        self.retry_after_ms = retry_after_ms
        self.exchanges = exchanges


class Deferred(Unavailable):
    """Nothing was sent: the account's limits are used up, or its API is known to be away. ``retry_after_ms`` is always set."""

    def __init__(self, reason: str, *, retry_after_ms: int) -> None:
        super().__init__(reason, ambiguous=False, retry_after_ms=retry_after_ms)


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """How a request takes its place among those of the same account.

    ``quiet_ms``: how long ago, at least, another instance may last have asked under this account (None: never); while that
    is less than the limit's period, only the part of the limit is used that owners leave free (docs/decisions/0010).
    ``permit``: asked once more right before the first byte leaves; False: this instance may not act any more, send nothing.
    """

    urgency: Urgency = Urgency.LIVE
    quiet_ms: int | None = None
    permit: Callable[[], bool] = _always


class Admission(Protocol):
    """Room for one effect, held until it is performed or given back."""

    async def perform(self, effect: Effect) -> Performed:
        """Do it. Raises :class:`Refused` or :class:`Unavailable`. The effect speaks to the same API as the one admitted."""
        ...


class Gateway(Protocol):
    """The port to MoySklad: admits an effect when the account has room for it, and performs it."""

    def admitted(self, effect: Effect, account: Account, turn: Turn) -> AbstractAsyncContextManager[Admission]:
        """Wait for room for the effect's first request; whoever is more urgent goes first.

        Raises :class:`Deferred` when there is none for a while, and :class:`Refused` when MoySklad is known to refuse
        everything of this account (a revoked key): nothing was sent then. The effect is performed inside the block, so
        that what is recorded as started is really under way; it may be another one of the same API by then.
        """
        ...

    def is_away(self, effect: Effect, account: Account) -> bool:
        """Whether the API that the effect speaks to is known to be away just now, so that it would be deferred."""
        ...
