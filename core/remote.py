"""What MoySklad has of one call, as far as the recorded outcomes tell. ``core.plan`` compares it with what should be there.

A request whose answer never came (a crash, a timeout) leaves its effect *in doubt*: it may have taken effect or not.
Nothing is guessed: a POST in doubt is resolved by asking for the external id, recordings in doubt by reading the call,
card events in doubt are repeated under the same sequence numbers or overtaken by newer ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace as replaced
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from core import follow_up
from core.attempts import Attempt
from core.effects import (
    CardAction,
    CardEvent,
    ConfirmCall,
    CreateContact,
    CreateOrder,
    Effect,
    FindContact,
    FindEmployees,
    InspectCall,
    RegisterCall,
    UpdateCall,
    decode_effect,
    is_write,
)
from core.events import AnyOutcome, EffectDeferred, EffectDone, EffectFailed, EffectRefused, EffectStarted
from core.follow_up import FOLLOW_UPS, After

ACCOUNT_CODES: Final = frozenset({1056, 1061, 55008})
"""What MoySklad says when it refuses the credential, not the request (CONTRACT-MOYSKLAD 1.8, 2.3)."""

CONTACT_ATTEMPTS: Final = 4
"""How often a contact that a finished call waits for may fail before the call is recorded without it."""


NOT_FOUND: Final = 1021
"""What MoySklad says of an object that is not there (CONTRACT-MOYSKLAD 2.3)."""


class Card(StrEnum):
    """How a call's card stands on one employee's screen. ``UNSURE``: an event about it is in doubt."""

    SHOWN = "shown"
    TIMING = "timing"
    HIDDEN = "hidden"
    UNSURE = "unsure"


class Written(Struct, frozen=True, kw_only=True, gc=False):
    """Fields of the MoySklad call that hold a value: what is there is never overwritten (CONTRACT-MOYSKLAD 1.4)."""

    extension: str = ""
    employee: str = ""
    end_ms: int | None = None
    comment: str = ""
    recordings: tuple[str, ...] = ()


class Refusal(Struct, frozen=True, kw_only=True, gc=False):
    """Something MoySklad refused for good. ``code``: MoySklad's own number for the reason, where it gave one.

    ``proves`` False: it refuses everything of this account (and may not even have been asked again), which proves nothing against
    this effect.
    """

    effect: Effect
    error: str
    remedy: str
    at_ms: int
    code: int | None = None
    proves: bool = True


class Contact(Struct, frozen=True, kw_only=True, gc=False):
    """The customer in MoySklad. ``id`` None with ``searched`` set: looked for and not there. ``owner``: the responsible employee.

    ``gave_up``: a card could not wait for it; ``exhausted``: it failed so often that the record does not wait either;
    ``failed_ms``: when it last did.
    """

    id: str | None = None
    name: str = ""
    owner: str = ""
    searched: bool = False
    gave_up: str = ""
    exhausted: str = ""
    failed_ms: int | None = None


class Remote(Struct, frozen=True, kw_only=True, gc=False):
    """MoySklad's side of one call, folded from outcomes.

    ``linked``: whom MoySklad took the number for, and ``linked_owner`` his responsible employee. ``deferred``: why it was not
    asked lately, where nothing else happened since. ``late``: recordings that were sent, were not there when we looked, and
    may still arrive until ``late_until_ms``. ``after``: the order and the task that come after the record.
    """

    call: str | None = None
    registered_ms: int | None = None
    start_ms: int | None = None
    linked: str | None = None
    linked_owner: str = ""
    written: Written = Written()
    cards: tuple[tuple[str, Card], ...] = ()
    contact: Contact = Contact()
    employees: tuple[tuple[str, str | None], ...] = ()
    attempt: Attempt | None = None
    absent_ms: int | None = None
    started: int = 0
    sequence: int = 0
    failures: int = 0
    retry_ms: int | None = None
    retry_of: str = ""
    last_error: str = ""
    deferred: str = ""
    late: tuple[str, ...] = ()
    late_until_ms: int | None = None
    refusals: tuple[Refusal, ...] = ()
    after: After = follow_up.NOTHING_YET

    @property
    def cards_by_extension(self) -> dict[str, Card]:
        """Extension -> how its card stands."""
        return dict(self.cards)

    @property
    def doubtful_cards(self) -> dict[str, Card]:
        """The same, counting what an update in doubt may have done."""
        if self.attempt is None or not self.attempt.in_doubt:
            return self.cards_by_extension
        return _unsure(self, self.attempt.effect).cards_by_extension

    @property
    def open_cards(self) -> tuple[str, ...]:
        """Extensions on whose screen the card stands, or may stand."""
        return tuple(extension for extension, card in self.cards if card is not Card.HIDDEN)

    def refused(self, kind: type[Effect], *, with_cards: bool | None = None) -> Refusal | None:
        """The last refusal of this kind of effect. ``with_cards`` False: of one that carried neither cards nor an employee,
        or of everything.

        Then there is nothing less that could be asked, and a person is needed.
        """
        for refusal in reversed(self.refusals):
            if isinstance(refusal.effect, kind) and with_cards in (None, refusal.proves and _is_laden(refusal.effect)):
                return refusal
        return None

    @property
    def is_turned_away(self) -> bool:
        """Whether the account is refused altogether, so that another request for this call is of no use."""
        return any(not refusal.proves and isinstance(refusal.effect, RegisterCall | UpdateCall) for refusal in self.refusals)

    @property
    def employees_refused(self) -> bool:
        """Whether something that named an employee was refused: he may be gone, so the extension alone must do."""
        return any(refusal.proves and names_employee(refusal.effect) for refusal in self.refusals)


def names_employee(effect: Effect) -> bool:
    """Whether an effect refers to an employee by uuid."""
    return isinstance(effect, RegisterCall | UpdateCall) and (bool(effect.employee) or any(card.employee for card in effect.cards))


def _is_laden(effect: Effect) -> bool:
    return bool(card_events(effect)) or names_employee(effect)


def apply_outcome(remote: Remote, event: AnyOutcome) -> Remote:
    """Fold one outcome. Total: an effect this code cannot read changes nothing but the counters."""
    try:
        effect = decode_effect(event.effect)
    except (KeyError, ValueError, TypeError):
        return remote
    if isinstance(event, EffectDeferred):
        return _deferred(remote, event, effect)
    remote = replace(remote, deferred="")
    if isinstance(effect, FOLLOW_UPS):
        remote = replace(remote, after=follow_up.apply(remote.after, event, effect))
    match event:
        case EffectStarted():
            return _started(remote, event, effect)
        case EffectDone():
            cleared = replace(remote, failures=0, retry_ms=None, last_error="")
            return _done(cleared, event, effect)
        case EffectFailed():
            return _failed(remote, event, effect)
        case EffectRefused():
            return _refused(remote, event, effect)


def is_news(remote: Remote, event: EffectDeferred) -> bool:
    """Whether a deferral says anything that the history does not say already: only then is it recorded."""
    return apply_outcome(remote, event) != remote


def forgiven(remote: Remote) -> Remote:
    """MoySklad's side once what it refused may be asked again: whatever is in doubt stays so, and no wait is left.

    What stood in for an answer while there was none goes as well: a contact given up, extensions without their employees; and
    a customer who may be the one that an order could not be made for, because he was deleted meanwhile.
    """
    if any(isinstance(refusal.effect, CreateOrder) and refusal.code == NOT_FOUND for refusal in remote.refusals):
        remote = replace(remote, contact=Contact(), linked=None)
    return replace(
        remote,
        refusals=(),
        failures=0,
        retry_ms=None,
        last_error="",
        deferred="",
        contact=replace(remote.contact, gave_up="", exhausted="", failed_ms=None),
        employees=tuple((extension, employee) for extension, employee in remote.employees if employee),
        after=follow_up.forgiven(remote.after),
    )


def _deferred(remote: Remote, event: EffectDeferred, effect: Effect) -> Remote:
    """Not asked yet."""
    remote = replace(remote, deferred=remote.deferred or event.reason or "deferred")
    match effect:
        case FindContact() | CreateContact() if _is_too_late(effect, event.until_ms):
            # It will not come in time: whoever waits for it is told now, not at the deadline.
            contact = replace(remote.contact, gave_up=remote.contact.gave_up or remote.deferred, failed_ms=event.at_ms)
            return replace(remote, contact=contact, failures=0, retry_ms=None)
        case FindEmployees() if _is_too_late(effect, event.until_ms):
            return replace(remote, employees=_by_extension_alone(remote, effect))
        case _:
            return remote


def _is_too_late(effect: FindContact | CreateContact | FindEmployees, at_ms: int) -> bool:
    return effect.deadline_ms is not None and at_ms >= effect.deadline_ms


def _started(remote: Remote, event: EffectStarted, effect: Effect) -> Remote:
    if isinstance(effect, FOLLOW_UPS):
        return replace(remote, started=remote.started + 1)
    earlier = remote.attempt
    again = earlier is not None and earlier.key == event.key
    if not again:
        remote = _overtake(remote)
    doubted = again and earlier is not None and earlier.may_have_worked
    return replace(
        remote,
        attempt=Attempt(key=event.key, effect=effect, at_ms=event.at_ms, doubted=doubted),
        absent_ms=None,
        started=remote.started + 1,
        sequence=max([remote.sequence, *(card.sequence for card in card_events(effect))]),
    )


def _overtake(remote: Remote) -> Remote:
    """A new write replaces one in doubt: whatever card events that one carried may or may not have been delivered."""
    if remote.attempt is None or not remote.attempt.in_doubt:
        return remote
    return _unsure(replace(remote, attempt=None), remote.attempt.effect)


def _done(remote: Remote, event: EffectDone, effect: Effect) -> Remote:
    result = event.result
    match effect:
        case FindContact():
            owner = result.get("owner") or ""
            contact = Contact(id=result.get("contact"), name=result.get("name") or "", owner=owner, searched=True)
            return replace(remote, contact=contact)
        case FindEmployees():
            return replace(remote, employees=_employees(remote, result.get("employees")))
        case CreateContact():
            return replace(remote, contact=replace(remote.contact, id=result.get("contact"), searched=True), attempt=None)
        case RegisterCall():
            return _registered(remote, event.at_ms, effect, result)
        case UpdateCall():
            return _wrote(replace(remote, attempt=None), effect)
        case ConfirmCall():
            return _confirmed(remote, event.at_ms, result)
        case InspectCall():
            return _inspected(remote, event.at_ms, result)
        case _:
            return remote  # what comes after the record is folded beside it


def _employees(remote: Remote, found: Any) -> tuple[tuple[str, str | None], ...]:
    known = dict(remote.employees)
    if isinstance(found, Mapping):
        for extension, employee in found.items():
            known[str(extension)] = str(employee.get("id", "")) if isinstance(employee, Mapping) else None
    return tuple(known.items())


def _registered(remote: Remote, at_ms: int, effect: RegisterCall, result: Mapping[str, Any]) -> Remote:
    remote = replace(
        remote,
        call=result.get("call"),
        registered_ms=at_ms,
        start_ms=effect.start_ms,
        linked=result.get("contact") or effect.contact or None,
        linked_owner=result.get("owner") or "",
        attempt=None,
    )
    if result.get("existed"):
        # Some attempt made this row, perhaps an earlier and shorter one: what it holds is not known. Fields may be sent
        # again, for what is there stays; recordings would be listed twice, so they are in doubt until looked at.
        remote = _unsure(remote, effect)
        if effect.recordings:
            told = UpdateCall(external_id=effect.external_id, call=remote.call or "", recordings=effect.recordings)
            remote = replace(remote, attempt=Attempt(key="existed", effect=told, at_ms=at_ms))
        return remote
    return _wrote(remote, effect)


def _confirmed(remote: Remote, at_ms: int, result: Mapping[str, Any]) -> Remote:
    attempt = remote.attempt
    if attempt is None or not isinstance(attempt.effect, RegisterCall):
        return remote
    if result.get("call"):
        # The row exists, so the one POST in doubt was carried out as a whole, its card events included.
        return _registered(remote, at_ms, attempt.effect, {**result, "existed": False})
    return replace(remote, attempt=replace(attempt, in_doubt=False, doubted=False), absent_ms=at_ms)


def _inspected(remote: Remote, at_ms: int, result: Mapping[str, Any]) -> Remote:
    recordings = tuple(str(url) for url in result.get("recordings") or ())
    remote = replace(remote, written=replace(remote.written, recordings=recordings))
    attempt = remote.attempt
    if attempt is None or not isinstance(attempt.effect, UpdateCall):
        over = remote.late_until_ms is None or at_ms >= remote.late_until_ms
        late = () if over else tuple(url for url in remote.late if url not in recordings)
        return replace(remote, late=late, late_until_ms=remote.late_until_ms if late else None)
    missing = tuple(url for url in attempt.effect.recordings if url not in recordings)
    if not missing:
        return _wrote(replace(remote, attempt=None), replaced(attempt.effect, recordings=()))
    until_ms = attempt.at_ms + attempt.guard_ms(hurried=False)
    late = missing if at_ms < until_ms else ()
    attempt = replace(attempt, in_doubt=False, doubted=False)
    return replace(remote, attempt=attempt, late=late, late_until_ms=until_ms if late else None)


def _failed(remote: Remote, event: EffectFailed, effect: Effect) -> Remote:
    remote = replace(remote, failures=remote.failures + 1, retry_ms=event.retry_ms, retry_of=effect.type, last_error=event.error)
    match effect:
        case FindContact() | CreateContact() if _is_too_late(effect, event.at_ms):
            contact = replace(remote.contact, gave_up=event.error or "deadline", failed_ms=event.at_ms)
            return replace(remote, contact=contact, attempt=None, failures=0, retry_ms=None)
        case FindContact() | CreateContact() if remote.call is None and remote.failures >= CONTACT_ATTEMPTS:
            contact = replace(remote.contact, exhausted=event.error or "unavailable", failed_ms=event.at_ms)
            return replace(remote, contact=contact, attempt=None, failures=0, retry_ms=None)
        case FindContact():
            return replace(remote, contact=replace(remote.contact, failed_ms=event.at_ms))
        case FindEmployees():
            return replace(remote, employees=_by_extension_alone(remote, effect), failures=0, retry_ms=None)
        case RegisterCall() | UpdateCall() | CreateContact() if remote.attempt is not None:
            attempt = replace(remote.attempt, in_doubt=event.ambiguous or remote.attempt.doubted, ended_ms=event.at_ms)
            if isinstance(effect, CreateContact):
                remote = replace(remote, contact=replace(remote.contact, failed_ms=event.at_ms))
            return replace(remote, attempt=attempt)
        case _:
            return remote


def _refused(remote: Remote, event: EffectRefused, effect: Effect) -> Remote:
    refusal = Refusal(
        effect=effect,
        error=event.error,
        remedy=event.remedy,
        at_ms=event.at_ms,
        code=event.code,
        proves=not _is_account_wide(event),
    )
    remote = replace(
        remote,
        refusals=(*remote.refusals, refusal),
        failures=0,
        retry_ms=None,
        last_error=event.error,
        attempt=_left_of(remote.attempt, event, effect),
    )
    match effect:
        case FindContact() | CreateContact():
            return replace(remote, contact=replace(remote.contact, gave_up=event.error))
        case FindEmployees():
            return replace(remote, employees=_by_extension_alone(remote, effect))
        case _:
            return remote


def _is_account_wide(event: EffectRefused) -> bool:
    """Whether everything of the account is refused: nothing was sent any more, or the credential itself was refused."""
    if not event.exchanges:
        return True
    return event.code in ACCOUNT_CODES or (event.code is None and event.exchanges[-1].status == 401)


def _left_of(attempt: Attempt | None, event: EffectRefused, effect: Effect) -> Attempt | None:
    """What a refusal leaves of a write that was started.

    A refused look-up settles nothing, and neither does a refusal that came before anything was sent (a key that is known
    to be revoked): a write that may have taken effect stays in doubt. A client in doubt is no matter: his ``syncId``
    makes a repeat harmless.
    """
    if attempt is None or not is_write(effect) or isinstance(effect, FOLLOW_UPS):
        return attempt
    in_doubt = attempt.doubted or (attempt.in_doubt and not event.exchanges)
    return replace(attempt, in_doubt=True) if in_doubt and not isinstance(attempt.effect, CreateContact) else None


def _by_extension_alone(remote: Remote, effect: FindEmployees) -> tuple[tuple[str, str | None], ...]:
    """Without a directory the extension alone must do: MoySklad knows whose it is."""
    return tuple({**dict.fromkeys(effect.extensions, ""), **dict(remote.employees)}.items())


def card_events(effect: Effect) -> tuple[CardEvent, ...]:
    """The card events inside an effect; empty for those that carry none."""
    return effect.cards if isinstance(effect, RegisterCall | UpdateCall) else ()


def _wrote(remote: Remote, effect: RegisterCall | UpdateCall) -> Remote:
    cards = remote.cards_by_extension
    for event in effect.cards:
        match event.action:
            case CardAction.SHOW:
                cards[event.extension] = Card.SHOWN
            case CardAction.STARTTIME:
                cards[event.extension] = Card.TIMING
            case CardAction.HIDE:
                cards[event.extension] = Card.HIDDEN
            case CardAction.HIDE_ALL:
                cards = dict.fromkeys(cards, Card.HIDDEN)
    return _wrote_fields(replace(remote, cards=tuple(cards.items())), effect)


def _wrote_fields(remote: Remote, effect: RegisterCall | UpdateCall) -> Remote:
    was = remote.written
    written = Written(
        extension=was.extension or effect.extension,
        employee=was.employee or effect.employee,
        end_ms=was.end_ms if was.end_ms is not None else effect.end_ms,
        comment=effect.comment or was.comment,
        recordings=(*was.recordings, *(url for url in effect.recordings if url not in was.recordings)),
    )
    return replace(remote, written=written)


def _unsure(remote: Remote, effect: Effect) -> Remote:
    cards = remote.cards_by_extension
    for event in card_events(effect):
        if event.action is CardAction.HIDE_ALL:
            cards = {name: Card.UNSURE if card is not Card.HIDDEN else card for name, card in cards.items()}
        else:
            cards[event.extension] = Card.UNSURE
    return replace(remote, cards=tuple(cards.items()))
