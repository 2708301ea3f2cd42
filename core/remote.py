"""What MoySklad has of one call, as far as the recorded outcomes tell. ``core.plan`` compares it with what should be there.

A request whose answer never came (a crash, a timeout) leaves its effect *in doubt*: it may have taken effect or not.
Nothing is guessed: a POST in doubt is resolved by asking for the external id, recordings in doubt by reading the call,
card events in doubt are repeated under the same sequence numbers or overtaken by newer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, cast

from msgspec import Struct
from msgspec.structs import astuple, replace

from core import contact_state, follow_up
from core.attempts import Attempt
from core.contact_state import Contact, is_too_late, once_more, rested
from core.effects import (
    FOLLOW_UPS,
    CardAction,
    CardEvent,
    ConfirmCall,
    CreateContact,
    CreateOrder,
    Effect,
    FindContact,
    FindEmployees,
    FollowUp,
    InspectCall,
    RegisterCall,
    UpdateCall,
    effect_of,
    is_write,
)
from core.events import AnyOutcome, EffectDeferred, EffectDone, EffectFailed, EffectRefused, EffectStarted
from core.follow_up import After
from core.values import plainly

ACCOUNT_CODES: Final = frozenset({1056, 1061, 55008})
"""What MoySklad says when it refuses the credential, not the request (CONTRACT-MOYSKLAD 1.8, 2.3)."""

NOT_FOUND: Final = 1021
"""What MoySklad says of an object that is not there (CONTRACT-MOYSKLAD 2.3)."""


@plainly
class Card(StrEnum):
    """How a call's card stands on one employee's screen. ``UNSURE``: an event about it is in doubt."""

    SHOWN = "shown"
    TIMING = "timing"
    HIDDEN = "hidden"
    UNSURE = "unsure"


class Written(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Fields of the MoySklad call that hold a value: what is there is never overwritten (CONTRACT-MOYSKLAD 1.4)."""

    extension: str = ""
    employee: str = ""
    end_ms: int | None = None
    comment: str = ""
    recordings: tuple[str, ...] = ()


class Refusal(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Something MoySklad refused for good. ``code``: MoySklad's own number for the reason, where it gave one.

    ``proves`` False: MoySklad refuses everything of this account (the request may not even have been sent), which says nothing
    about this effect.
    """

    effect: Effect
    error: str
    remedy: str
    at_ms: int
    code: int | None = None
    proves: bool = True


class LatePost(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A registration that was not there when it was last looked for (``looked_ms``), and may still be carried out until
    ``until_ms``.

    ``effect`` is the last one of this kind, with the cards and recordings of all of them: whichever arrives may have brought its
    own.
    """

    effect: RegisterCall
    until_ms: int
    looked_ms: int


class _Told(Struct, gc=False, omit_defaults=True):
    """MoySklad's side of one call, folded from outcomes.

    ``linked``: whom MoySklad took the number for, and ``linked_owner`` his responsible employee. ``employees_until_ms``: until when
    a card waits for the directory, as was said when it was last asked in vain. ``absent_ms``: when it was asked
    for a call in doubt, and did not have it; ``late_post``: what may arrive all the same. ``deferred``: why it was not asked
    lately, where nothing else happened since. ``late``: recordings that were sent, were not there when we looked, and may still
    arrive until ``late_until_ms``. ``after``: the order and the task that come after the record.
    """

    call: str | None = None
    start_ms: int | None = None
    linked: str | None = None
    linked_owner: str = ""
    written: Written = Written()
    cards: tuple[tuple[str, Card], ...] = ()
    contact: Contact = Contact()
    employees: tuple[tuple[str, str | None], ...] = ()
    employees_until_ms: int | None = None
    attempt: Attempt | None = None
    absent_ms: int | None = None
    late_post: LatePost | None = None
    started: int = 0
    sequence: int = 0
    failures: int = 0
    retry_ms: int | None = None
    retry_of: str = ""
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
        return _unsure(self.cards_by_extension, self.attempt.effect)

    @property
    def open_cards(self) -> tuple[str, ...]:
        """Extensions on whose screen the card stands, or may stand."""
        return tuple(extension for extension, card in self.cards if card is not Card.HIDDEN)

    def refused(self, kind: type[Effect], *, with_cards: bool | None = None) -> Refusal | None:
        """The last refusal of this kind of effect, None without one.

        ``with_cards`` False: only one after which nothing smaller is left to try, so that a person is needed: the effect
        carried neither cards nor an employee, or the whole account was refused.
        """
        for refusal in reversed(self.refusals):
            if isinstance(refusal.effect, kind) and with_cards in (None, refusal.proves and _is_laden(refusal.effect)):
                return refusal
        return None

    @property
    def may_be_there(self) -> bool:
        """Whether MoySklad has the call, or may have it."""
        return self.call is not None or self.attempt is not None or self.late_post is not None

    def failures_of(self, effect: Effect) -> int:
        """How often in a row an effect of this kind, or what came before it, has failed."""
        return self.contact.failures if type(effect) in _CONTACT else self.failures

    @property
    def recordings_in_doubt(self) -> tuple[str, ...]:
        """Recordings that were sent and may have arrived, or may still."""
        sent = _recordings_of(self.attempt.effect) if self.attempt is not None and self.attempt.in_doubt else ()
        return (*self.late, *sent)

    @property
    def cannot_look(self) -> Refusal | None:
        """Why recordings in doubt cannot be looked for just now: the whole account is refused, which says nothing of them."""
        refusal = self.refused(InspectCall) if self.recordings_in_doubt else None
        return refusal if refusal is not None and not refusal.proves else None

    @property
    def is_turned_away(self) -> bool:
        """Whether the account is refused altogether, so that another request for this call is of no use."""
        return any(not refusal.proves and isinstance(refusal.effect, RegisterCall | UpdateCall) for refusal in self.refusals)

    @property
    def employees_refused(self) -> bool:
        """Whether something that named an employee was refused: he may be gone, so the extension alone must do."""
        return any(refusal.proves and names_employee(refusal.effect) for refusal in self.refusals)


class Remote(_Told, frozen=True, gc=False, omit_defaults=True):  # type: ignore[misc]
    """MoySklad's side of one call as everybody else sees it: a value. Its fields, and a draft's, are :class:`_Told`'s in the
    same order."""


class RemoteDraft(_Told, gc=False, omit_defaults=True):
    """MoySklad's side of one call while it is being folded; nobody but the fold ever holds it."""


def draft_of(remote: Remote) -> RemoteDraft:
    """A copy that may be changed."""
    return RemoteDraft(*astuple(remote))


def value_of(draft: RemoteDraft) -> Remote:
    """What a draft has come to."""
    return Remote(*astuple(draft))


def names_employee(effect: Effect) -> bool:
    """Whether an effect refers to an employee by uuid."""
    return isinstance(effect, RegisterCall | UpdateCall) and (bool(effect.employee) or any(card.employee for card in effect.cards))


def _is_laden(effect: Effect) -> bool:
    return bool(card_events(effect)) or names_employee(effect)


def apply_outcome(remote: Remote, event: AnyOutcome) -> Remote:
    """MoySklad's side after one outcome."""
    draft = draft_of(remote)
    tell(draft, event)
    return value_of(draft)


def tell(remote: RemoteDraft, event: AnyOutcome) -> None:
    """Fold one outcome. Total: an effect this code cannot read changes nothing."""
    effect = effect_of(event)
    if effect is None:
        return
    if isinstance(event, EffectDeferred):
        _deferred(remote, event, effect)
        return
    remote.deferred = ""
    if type(effect) in FOLLOW_UPS:
        remote.after = follow_up.apply(remote.after, event, cast(FollowUp, effect))
    _TOLD[type(event)](remote, event, effect)


def is_news(remote: Remote, event: EffectDeferred) -> bool:
    """Whether a deferral changes what is known. One that does not is not recorded, or a long outage would fill the history."""
    return apply_outcome(remote, event) != remote


def forgive(remote: RemoteDraft) -> None:
    """What MoySklad refused may be asked again: whatever is in doubt stays so, and no wait is left.

    Forgotten as well is what was assumed for want of an answer: that a contact cannot be had, that an extension has no
    employee. So is the customer, if an order was refused because something was not there: he may have been deleted meanwhile.
    """
    if any(isinstance(refusal.effect, CreateOrder) and refusal.code == NOT_FOUND for refusal in remote.refusals):
        remote.contact, remote.linked = Contact(), None
    remote.refusals = ()
    remote.failures, remote.retry_ms = 0, None
    remote.deferred = ""
    remote.contact = rested(remote.contact, gave_up="", exhausted="", failed_ms=None)
    remote.employees = tuple((extension, employee) for extension, employee in remote.employees if employee)
    remote.employees_until_ms = None
    remote.after = follow_up.forgiven(remote.after)


def _deferred(remote: RemoteDraft, event: EffectDeferred, effect: Effect) -> None:
    """Not asked yet."""
    remote.deferred = remote.deferred or event.reason or "deferred"
    match effect:
        case FindContact() | CreateContact():
            remote.contact = contact_state.deferred(remote.contact, event, effect.deadline_ms, remote.deferred)
        case FindEmployees() if is_too_late(effect.deadline_ms, event.until_ms):
            remote.employees, remote.employees_until_ms = _by_extension_alone(remote, effect), None
        case FindEmployees() if effect.deadline_ms is not None:
            remote.employees_until_ms = effect.deadline_ms
        case RegisterCall():
            remote.contact = once_more(remote.contact, event.at_ms, put_off=True)
        case _:
            pass


def _started(remote: RemoteDraft, event: EffectStarted, effect: Effect) -> None:
    remote.started += 1
    if type(effect) in FOLLOW_UPS:
        return
    earlier, doubted = remote.attempt, False
    if earlier is not None and earlier.key == event.key:
        doubted = earlier.may_have_worked
    elif earlier is not None and earlier.in_doubt:
        # A new write replaces one in doubt: whatever card events that one carried may or may not have been delivered.
        remote.cards = tuple(_unsure(remote.cards_by_extension, earlier.effect).items())
        if _recordings_of(earlier.effect):
            _may_come_late(remote, earlier, sent_anew=_recordings_of(effect))
    remote.attempt = Attempt(key=event.key, effect=effect, at_ms=event.at_ms, doubted=doubted)
    remote.absent_ms = None
    for card in card_events(effect):
        if card.sequence > remote.sequence:
            remote.sequence = card.sequence


def _done(remote: RemoteDraft, event: EffectDone, effect: Effect) -> None:
    failures, kind = remote.failures, type(effect)
    if kind not in _CONTACT:
        remote.failures, remote.retry_ms = 0, None
    did = _DONE.get(kind)
    if did is not None:
        did(remote, event, effect)
    if kind in _LOOKS and remote.attempt is not None:
        remote.failures = failures  # the look was answered; what it was about has still failed so often


def _updated(remote: RemoteDraft, _: EffectDone, effect: UpdateCall) -> None:
    remote.attempt = None
    _wrote(remote, effect)


def _found_contact(remote: RemoteDraft, event: EffectDone, _: FindContact) -> None:
    found = event.result.get
    remote.contact = Contact(id=found("contact"), name=found("name") or "", owner=found("owner") or "", searched=True)


def _found_employees(remote: RemoteDraft, event: EffectDone, effect: FindEmployees) -> None:
    known = dict(remote.employees)
    found = event.result.get("employees")
    if isinstance(found, Mapping):
        for extension, employee in found.items():
            id_ = str(employee.get("id", "")) if isinstance(employee, Mapping) else None
            # Whoever is named without a uuid has a card, by the extension, and nothing that needs the uuid: no use in asking on.
            known[str(extension)] = id_ if effect.deadline_ms is not None else id_ or None
    remote.employees, remote.employees_until_ms = tuple(known.items()), None


def _created_contact(remote: RemoteDraft, event: EffectDone, _: CreateContact) -> None:
    remote.contact = rested(remote.contact, id=event.result.get("contact"), searched=True)
    remote.attempt = None


def _registered(remote: RemoteDraft, event: EffectDone, effect: RegisterCall) -> None:
    _is_there(remote, event.at_ms, effect, event.result)


def _is_there(remote: RemoteDraft, at_ms: int, effect: RegisterCall, result: Mapping[str, Any]) -> None:
    remote.call = result.get("call")
    remote.start_ms = effect.start_ms
    remote.linked = result.get("contact") or effect.contact or None
    remote.linked_owner = result.get("owner") or ""
    remote.attempt = None
    late, remote.late_post = remote.late_post, None
    if not result.get("existed"):
        _wrote(remote, effect)
        return
    # Some attempt made this row, perhaps an earlier and shorter one: what it holds is not known. Fields may be sent
    # again, for what is there stays; recordings would be listed twice, so they are in doubt until looked at.
    effect = _with_what_came_of(late, effect)
    remote.cards = tuple(_unsure(remote.cards_by_extension, effect).items())
    if effect.recordings:
        told = UpdateCall(external_id=effect.external_id, call=remote.call or "", recordings=effect.recordings)
        remote.attempt = Attempt(key="existed", effect=told, at_ms=at_ms)


def _with_what_came_of(late: LatePost | None, effect: RegisterCall) -> RegisterCall:
    """A registration with the cards and recordings that an earlier one may have brought."""
    if late is None:
        return effect
    cards = {card.extension: card for card in (*late.effect.cards, *effect.cards)}
    recordings = dict.fromkeys((*late.effect.recordings, *effect.recordings))
    return replace(effect, cards=tuple(cards.values()), recordings=tuple(recordings))


def _looked_ms(event: EffectDone) -> int:
    """When MoySklad may have looked for what it answers, at the earliest: when it was asked. An instance that was stopped in
    between reads the answer long after, and a slow MoySklad may have carried a write out in the meantime."""
    return event.at_ms - sum(exchange.duration_ms for exchange in event.exchanges)


def _confirmed(remote: RemoteDraft, event: EffectDone, _: ConfirmCall) -> None:
    result = event.result
    attempt, late = remote.attempt, remote.late_post
    sought = attempt.effect if attempt is not None and isinstance(attempt.effect, RegisterCall) else None
    if result.get("call"):
        effect = sought or (late.effect if late is not None else None)
        if effect is not None:
            # The row exists, so the one POST in doubt was carried out as a whole, its card events included. Where there are
            # several, it is not known which of them it was.
            _is_there(remote, event.at_ms, effect, result if late is None else {**result, "existed": True})
        return
    looked_ms = _looked_ms(event)
    if late is not None:
        late = remote.late_post = replace(late, looked_ms=looked_ms) if looked_ms < late.until_ms else None
    if attempt is None or sought is None:
        return
    until_ms = attempt.at_ms + attempt.guard_ms(hurried=False)
    if attempt.in_doubt and looked_ms < until_ms:
        until_ms = max(until_ms, late.until_ms if late is not None else until_ms)
        remote.late_post = LatePost(effect=_with_what_came_of(late, sought), until_ms=until_ms, looked_ms=looked_ms)
    remote.attempt = replace(attempt, in_doubt=False, doubted=False)
    remote.absent_ms = looked_ms


def _inspected(remote: RemoteDraft, event: EffectDone, _: InspectCall) -> None:
    looked_ms = _looked_ms(event)
    there = tuple(str(url) for url in event.result.get("recordings") or ())
    remote.written = replace(remote.written, recordings=there)
    attempt = remote.attempt
    if attempt is not None and isinstance(attempt.effect, UpdateCall) and attempt.effect.recordings:
        if set(attempt.effect.recordings) <= set(there):
            remote.attempt = None
            _wrote(remote, attempt.effect)
        elif attempt.in_doubt:
            _may_come_late(remote, attempt)
            remote.attempt = replace(attempt, in_doubt=False, doubted=False)
    over = remote.late_until_ms is None or looked_ms >= remote.late_until_ms
    remote.late = () if over else tuple(url for url in remote.late if url not in there)
    remote.late_until_ms = remote.late_until_ms if remote.late else None


def _may_come_late(remote: RemoteDraft, attempt: Attempt, *, sent_anew: tuple[str, ...] = ()) -> None:
    """The recordings of an update in doubt may arrive as long as it may be carried out, whatever else is asked meanwhile."""
    late = dict.fromkeys((*remote.late, *_recordings_of(attempt.effect)))
    remote.late = tuple(url for url in late if url not in sent_anew)
    until_ms = max(remote.late_until_ms or 0, attempt.at_ms + attempt.guard_ms(hurried=False))
    remote.late_until_ms = until_ms if remote.late else None


def _failed(remote: RemoteDraft, event: EffectFailed, effect: Effect) -> None:
    if isinstance(effect, FindContact | CreateContact):
        _contact_failed(remote, event, effect)
        return
    remote.failures += 1
    remote.retry_ms, remote.retry_of = event.retry_ms, effect.type
    match effect:
        case FindEmployees() if effect.deadline_ms is not None:
            # A card does not wait; an order or a task, which need the employee, ask again.
            remote.employees, remote.employees_until_ms = _by_extension_alone(remote, effect), None
            remote.failures, remote.retry_ms = 0, None
        case RegisterCall() | UpdateCall() if remote.attempt is not None:
            remote.attempt = _ended(remote.attempt, event)
            if isinstance(effect, RegisterCall):
                retry_ms = event.retry_ms if effect.end_ms is not None else None  # of a record: no card waits for it
                remote.contact = once_more(remote.contact, event.at_ms, retry_ms=retry_ms)
        case _:
            pass


def _ended(attempt: Attempt, event: EffectFailed) -> Attempt:
    return replace(attempt, in_doubt=event.ambiguous or attempt.doubted, ended_ms=event.at_ms)


def _contact_failed(remote: RemoteDraft, event: EffectFailed, effect: FindContact | CreateContact) -> None:
    remote.contact = contact_state.failed(remote.contact, event, effect.deadline_ms, registered=remote.call is not None)
    if remote.attempt is None or not isinstance(remote.attempt.effect, CreateContact):
        return
    if remote.contact.retry_ms is None:
        remote.attempt = None  # the contact is given up
    elif isinstance(effect, CreateContact):
        remote.attempt = _ended(remote.attempt, event)


def _refused(remote: RemoteDraft, event: EffectRefused, effect: Effect) -> None:
    refusal = Refusal(
        effect=effect,
        error=event.error,
        remedy=event.remedy,
        at_ms=event.at_ms,
        code=event.code,
        proves=not is_account_wide(event),
    )
    remote.refusals = (*remote.refusals, refusal)
    if type(effect) not in _CONTACT:
        remote.failures, remote.retry_ms = 0, None
    remote.attempt = _left_of(remote.attempt, event, effect)
    match effect:
        case FindContact() | CreateContact():
            remote.contact = rested(remote.contact, gave_up=event.error)
        case FindEmployees():
            remote.employees, remote.employees_until_ms = _by_extension_alone(remote, effect), None
        case _:
            pass


def is_account_wide(event: EffectRefused) -> bool:
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
    if attempt is None or not is_write(effect) or type(effect) in FOLLOW_UPS:
        return attempt
    in_doubt = attempt.doubted or (attempt.in_doubt and not event.exchanges)
    return attempt if in_doubt and not isinstance(attempt.effect, CreateContact) else None


def _by_extension_alone(remote: RemoteDraft, effect: FindEmployees) -> tuple[tuple[str, str | None], ...]:
    """The extensions as known without a uuid: the directory did not answer, and MoySklad finds the employee by the extension
    alone."""
    return tuple({**dict.fromkeys(effect.extensions, ""), **dict(remote.employees)}.items())


def _recordings_of(effect: Effect) -> tuple[str, ...]:
    return effect.recordings if isinstance(effect, UpdateCall) else ()


def card_events(effect: Effect) -> tuple[CardEvent, ...]:
    """The card events inside an effect; empty for those that carry none."""
    return effect.cards if type(effect) is RegisterCall or type(effect) is UpdateCall else ()


def _wrote(remote: RemoteDraft, effect: RegisterCall | UpdateCall) -> None:
    if effect.cards:
        cards = remote.cards_by_extension
        for event in effect.cards:
            if event.action is CardAction.HIDE_ALL:
                cards = dict.fromkeys(cards, Card.HIDDEN)
            else:
                cards[event.extension] = _LEAVES[event.action]
        remote.cards = tuple(cards.items())
    if effect.recordings or effect.comment or effect.extension or effect.employee or effect.end_ms is not None:
        was = remote.written
        remote.written = Written(
            extension=was.extension or effect.extension,
            employee=was.employee or effect.employee,
            end_ms=was.end_ms if was.end_ms is not None else effect.end_ms,
            comment=effect.comment or was.comment,
            recordings=(*was.recordings, *(url for url in effect.recordings if url not in was.recordings)),
        )


_LEAVES: Final[Mapping[CardAction, Card]] = {
    CardAction.SHOW: Card.SHOWN,
    CardAction.STARTTIME: Card.TIMING,
    CardAction.HIDE: Card.HIDDEN,
}
"""How a card event leaves the one card it is about."""


def _unsure(cards: dict[str, Card], effect: Effect) -> dict[str, Card]:
    """The cards after an effect that may or may not have been carried out."""
    for event in card_events(effect):
        if event.action is CardAction.HIDE_ALL:
            cards = {name: Card.UNSURE if card is not Card.HIDDEN else card for name, card in cards.items()}
        else:
            cards[event.extension] = Card.UNSURE
    return cards


Told = Callable[[RemoteDraft, Any, Any], None]

_TOLD: Final[Mapping[type[AnyOutcome], Told]] = {
    EffectStarted: _started,
    EffectDone: _done,
    EffectFailed: _failed,
    EffectRefused: _refused,
}
"""What each outcome does, deferrals aside. Looked up, because ``isinstance`` of a msgspec class asks its metaclass, and calls are
folded by the million."""

_CONTACT: Final[frozenset[type[Effect]]] = frozenset((FindContact, CreateContact))
"""Whose failures are the contact's."""

_LOOKS: Final[frozenset[type[Effect]]] = frozenset((ConfirmCall, InspectCall))
"""What asks after a write in doubt."""

_DONE: Final[Mapping[type[Effect], Told]] = {
    FindContact: _found_contact,
    FindEmployees: _found_employees,
    CreateContact: _created_contact,
    RegisterCall: _registered,
    UpdateCall: _updated,
    ConfirmCall: _confirmed,
    InspectCall: _inspected,
}
"""What each effect that was done leaves here. What comes after the record is folded beside it."""
