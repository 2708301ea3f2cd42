"""Performs ``core.effects`` at MoySklad, right under every behaviour its contract leaves open (CONTRACT-MOYSKLAD 6).

One effect is a few requests at most. Nothing is retried here except where a refusal itself proves that nothing happened
and a smaller request can still do the job (a customer deleted meanwhile must not cost the call).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, assert_never

from msgspec import structs

from adapters.moysklad.contacts import Contacts, Memory, NoMemory, as_result
from adapters.moysklad.directory import Directory
from adapters.moysklad.errors import ApiRefusal, ApiUnavailable
from adapters.moysklad.json_api import JsonApi
from adapters.moysklad.limits import Clock, wall_ms
from adapters.moysklad.moments import from_moscow
from adapters.moysklad.numbers import number_key
from adapters.moysklad.orders import Orders
from adapters.moysklad.phone_api import NOTHING_TO_CHANGE, PhoneApi, RemoteCall, update_body
from adapters.moysklad.tasks import Tasks
from adapters.moysklad.transport import Trail, Transport
from core.contacts import Owner
from core.effects import (
    Account,
    Admission,
    ClaimCallback,
    CloseCallback,
    CompleteTask,
    ConfirmCall,
    CreateContact,
    CreateOrder,
    CreateTask,
    Deferred,
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
    Turn,
    Unavailable,
    UpdateCall,
    is_write,
)

Result = dict[str, Any]

EXISTS: Final = 3006

QUARTER_MS: Final = 900_000
"""By whole quarters of an hour two time zones differ."""
ROUNDED_MS: Final = 1_000
"""An answer may tell whole seconds, cut or rounded."""


class _Admitted:
    """An :class:`core.effects.Admission`: the account, and the trail that holds the place."""

    def __init__(self, gateway: MoySkladGateway, account: Account, trail: Trail) -> None:
        self._gateway = gateway
        self._account = account
        self._trail = trail

    async def perform(self, effect: Effect) -> Performed:
        """See :class:`core.effects.Admission`."""
        return await self._gateway.carry_out(effect, self._account, self._trail)


class MoySkladGateway:
    """The port of :class:`core.effects.Gateway` to the two APIs."""

    def __init__(self, phone: PhoneApi, json: JsonApi, *, now_ms: Clock = wall_ms, memory: Memory | None = None) -> None:
        """``memory``: what the rest of the telephony asked lately; calls use it and teach it."""
        self._phone = phone
        self._json = json
        self._now_ms = now_ms
        self._memory: Memory = NoMemory() if memory is None else memory
        self.contacts = Contacts(json)
        self.directory = Directory(phone, json, now_ms=now_ms)
        self._orders = Orders(json, zone=phone.zone, now_ms=now_ms)
        self._tasks = Tasks(json, self.directory, zone=phone.zone)

    def is_away(self, effect: Effect, account: Account) -> bool:
        """See :class:`core.effects.Gateway`."""
        way = self._first_request(effect, account)
        return way is not None and way[0].is_away(way[1])

    @asynccontextmanager
    async def admitted(self, effect: Effect, account: Account, turn: Turn) -> AsyncIterator[Admission]:
        """Wait for room for the effect's first request: see :class:`core.effects.Gateway`.

        An effect that needs no request (the directory knows the answer, there is no number to search by) waits for none,
        and one whose ``deadline_ms`` comes does not wait beyond it.
        """
        trail = Trail(turn=turn, enterprise=account.enterprise)
        if (way := self._first_request(effect, account)) is not None:
            transport, credential = way
            await transport.take_place(credential, trail, most_ms=self._left_ms(effect), entity=_put(effect))
        try:
            yield _Admitted(self, account, trail)
        finally:
            trail.give_back()

    def forget(self, account: Account) -> None:
        """Believe nothing of this account any more: its settings changed, or a person asks to try it again."""
        self.directory.forget(account)
        self._orders.terms.forget(account)
        self._phone.transport.forget(account.phone_key)
        self._json.transport.forget(account.api_token)

    async def perform(self, effect: Effect, account: Account, turn: Turn | None = None) -> Performed:
        """Be admitted and perform, for whoever records nothing in between."""
        async with self.admitted(effect, account, turn or Turn()) as admission:
            return await admission.perform(effect)

    def _first_request(self, effect: Effect, account: Account) -> tuple[Transport, str] | None:
        """Whom the effect asks first, and with which credential; None when it asks nobody, or finds out that it cannot."""
        left_ms = self._left_ms(effect)
        match effect:
            case _ if left_ms is not None and left_ms <= 0:
                return None
            case FindContact() if self._memory.for_call(account, effect.number) is not None:
                return None
            case FindContact() | CreateContact():
                return (self._json.transport, account.api_token) if account.api_token and number_key(effect.number) else None
            case FindEmployees() if self.directory.knows(account, effect.extensions):
                return None
            case UpdateCall() if not update_body(effect, self._phone.zone):
                return None
            case CreateOrder() | CreateTask() | CompleteTask() | InspectTask():
                return (self._json.transport, account.api_token) if account.api_token else None
            case ClaimCallback() | KeepTask() | HoldTasks() | CloseCallback():
                return None
            case RegisterCall() | UpdateCall() | ConfirmCall() | InspectCall() | FindEmployees():
                return self._phone.transport, account.phone_key
            case _ as never:
                assert_never(never)

    async def carry_out(self, effect: Effect, account: Account, trail: Trail) -> Performed:
        """Do it and return the result named in the effect's docstring, with all requests it took.

        Raises Refused, or Unavailable whose ``ambiguous`` says whether MoySklad may have acted. A ``deadline_ms`` that
        passes is Unavailable("deadline"): ambiguous only if a write had gone out.
        """
        left_ms = self._left_ms(effect)
        try:
            async with asyncio.timeout(None if left_ms is None else max(0, left_ms) / 1000):
                result = await self._perform(effect, account, trail)
        except TimeoutError:
            failure = Unavailable("deadline", ambiguous=is_write(effect) and trail.wrote)
            failure.exchanges = tuple(trail.exchanges)
            raise failure from None
        except Deferred as failure:
            # Admitted, and then a further request of it found no room: from outside that is an attempt that failed.
            raise Unavailable(
                failure.error, ambiguous=False, retry_after_ms=failure.retry_after_ms, exchanges=tuple(trail.exchanges)
            ) from failure
        except (Refused, Unavailable) as failure:
            failure.exchanges = tuple(trail.exchanges)
            raise
        return Performed(result=result, exchanges=tuple(trail.exchanges))

    def _left_ms(self, effect: Effect) -> int | None:
        match effect:
            case FindContact() | FindEmployees() | CreateContact() if effect.deadline_ms is not None:
                return effect.deadline_ms - self._now_ms()
            case _:
                return None

    async def _perform(self, effect: Effect, account: Account, trail: Trail) -> Result:
        match effect:
            case FindContact():
                return await self._find_contact(effect, account, trail)
            case FindEmployees():
                return {"employees": await self.directory.find(account, effect.extensions, trail)}
            case CreateContact():
                return {"contact": await self._create_contact(effect, account, trail)}
            case RegisterCall():
                return await self._register(effect, account, trail)
            case UpdateCall():
                body = update_body(effect, self._phone.zone)
                if body:
                    await self._phone.update(effect.call, effect.external_id, body, account.phone_key, trail)
                return {}
            case ConfirmCall():
                found = await self._by_external_id(effect.external_id, account, trail)
                if found is None:
                    return {"call": None, "contact": None, "recordings": []}
                return {**_told(found), "recordings": list(found.recordings)}
            case CreateOrder():
                return await self._create_order(effect, account, trail)
            case CreateTask():
                return await self._tasks.create(effect, account, trail)
            case CompleteTask():
                return await self._tasks.complete(effect, account, trail)
            case InspectTask():
                return await self._tasks.inspect(effect, account, trail)
            case ClaimCallback() | KeepTask() | HoldTasks() | CloseCallback():
                raise TypeError(f"{effect.type} is asked of the house, not of MoySklad")
            case InspectCall():
                call = await self._phone.read(effect.call, account.phone_key, trail)
                return {"recordings": list(call.recordings)}
            case _ as never:
                assert_never(never)

    # -- calls -----------------------------------------------------------------------------------------------

    async def _register(self, effect: RegisterCall, account: Account, trail: Trail) -> Result:
        """POST /call. ``existed`` in the result: the row was there before, so the card events inside were not delivered."""
        try:
            call = await self._post(effect, account, trail)
        except ApiRefusal as refusal:
            if EXISTS not in refusal.codes:
                raise
            existing = await self._by_external_id(effect.external_id, account, trail)
            if existing is None:
                raise ApiUnavailable(
                    "MoySklad says that the external id is taken, and does not find the call by it", ambiguous=True
                ) from refusal
            return {**_told(existing), "existed": True}
        if call.contact:
            owner = Owner(id=call.owner, extension=call.owner_extension, extension_ms=self._now_ms()) if call.owner else None
            self._memory.registered(account, effect.number, call.contact, owner)
        result: Result = _told(call)
        # A server that returns the existing row instead of refusing gives itself away when that row began at another time.
        if _began_otherwise(from_moscow(call.start, self._phone.zone), effect.start_ms):
            result["existed"] = True
        return result

    async def _post(self, effect: RegisterCall, account: Account, trail: Trail) -> RemoteCall:
        try:
            return await self._phone.register(effect, account.phone_key, trail)
        except ApiRefusal as refusal:
            if not effect.contact or not refusal.is_about("counterparty"):
                raise
        # The customer was deleted since we found it: the call is worth more than the link.
        self._memory.gone(account, effect.contact)
        return await self._phone.register(structs.replace(effect, contact=""), account.phone_key, trail)

    async def _by_external_id(self, external_id: str, account: Account, trail: Trail) -> RemoteCall | None:
        """The call under this external id, found by a PUT that changes nothing (1.9); None when there is none."""
        try:
            return await self._phone.update_by_external_id(external_id, NOTHING_TO_CHANGE, account.phone_key, trail)
        except ApiRefusal as refusal:
            if refusal.not_found:
                return None
            raise
        except Unavailable as failure:
            failure.ambiguous = False  # a PUT that changes nothing leaves nothing in doubt
            raise

    # -- customers -------------------------------------------------------------------------------------------

    async def _find_contact(self, effect: FindContact, account: Account, trail: Trail) -> Result:
        if (remembered := self._memory.for_call(account, effect.number)) is not None:
            return {**as_result(remembered), "asked_ms": remembered.asked_ms}
        looked = await self.contacts.look_up(effect.number, account, trail, now_ms=self._now_ms())
        self._memory.learn(account, looked.known)
        return as_result(looked.known)

    async def _create_order(self, effect: CreateOrder, account: Account, trail: Trail) -> Result:
        try:
            return await self._orders.create(effect, account, trail)
        except ApiRefusal as refusal:
            if refusal.is_about("agent"):
                self._memory.gone(account, effect.contact)  # so that who asks again finds whoever has the number now
            raise

    async def _create_contact(self, effect: CreateContact, account: Account, trail: Trail) -> str:
        if number_key(effect.number) is None:
            raise Refused("a hidden number cannot become a customer")
        if not account.api_token:
            raise Refused("no main API token", remedy="enter the main API token in the integration's settings")
        owner = effect.owner
        try:
            contact = await self._json.create_counterparty(effect.number, effect.sync_id, account.api_token, trail, owner=owner)
        except ApiRefusal as refusal:
            if not owner or not refusal.is_about("owner"):
                raise
            # The employee is gone or may not own customers: a customer without this owner is better than none.
            owner = ""
            contact = await self._json.create_counterparty(effect.number, effect.sync_id, account.api_token, trail)
        self._memory.created(account, effect.number, contact, owner)
        return contact


def _told(call: RemoteCall) -> Result:
    """A call, whom MoySklad linked, and who is responsible for him, where it says so."""
    return {"call": call.id, "contact": call.contact} | ({"owner": call.owner} if call.owner else {})


def _began_otherwise(told_ms: int | None, sent_ms: int) -> bool:
    """Whether a start in an answer is not the one that was sent. In which zone it is told, and how exactly, is not established
    (1.7)."""
    if told_ms is None:
        return False
    off_ms = (told_ms - sent_ms) % QUARTER_MS
    return min(off_ms, QUARTER_MS - off_ms) > ROUNDED_MS


def _put(effect: Effect) -> str:
    """What an effect PUTs, as the guard counts it."""
    match effect:
        case UpdateCall() | ConfirmCall():
            return effect.external_id
        case CompleteTask():
            return effect.task
        case _:
            return ""
