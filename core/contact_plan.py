"""The customer, found or created (PRODUCT C5): before the call where a card or a record can wait so long, else after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from uuid import UUID, uuid5

from core.call import Call
from core.cards import Note, employee_of
from core.contact_state import CONTACT_AGAIN_MS
from core.decisions import Limits
from core.effects import CreateContact, FindContact, FindEmployees, Way
from core.phone import digits, looks_like_extension
from core.self_test import is_test
from core.settings import Settings
from core.steps import Step, held_until_ms, look, write
from core.values import ANONYMOUS

KNOWN: Final = "known"
"""No contact is looked for, and there is nothing to say about it."""

LEAST_DIGITS: Final = 7
MOST_DIGITS: Final = 15
"""Digits of a telephone number with its area (E.164 ends at fifteen): a client that is named by fewer, or more, is nobody's."""

_CONTACT_NAMESPACE: Final = UUID("6f0c4c5e-6f0a-4d8e-9a57-6a2b8a3d9c11")


def contact_sync_id(enterprise: str, number: str) -> str:
    """The ``syncId`` under which one number of one enterprise becomes one client, however often it is asked for."""
    return str(uuid5(_CONTACT_NAMESPACE, f"{enterprise}:{number}"))

def contact_steps(
    call: Call, settings: Settings, notes: list[Note], *, deadline_ms: int | None = None, now_ms: int = 0
) -> Iterator[Step]:
    """Find the customer, or create him where the settings say so. A card waits only until ``deadline_ms``."""
    remote = call.remote
    if reason := no_contact_because(call, settings):
        if reason != KNOWN:
            notes.append(Note(about="contact", text=reason))
        return
    if deadline_ms is not None and call.is_live and (now_ms >= deadline_ms or remote.contact.gave_up):
        notes.append(Note(about="contact", text="the card did not wait longer for it"))
        return
    if not remote.contact.searched:
        yield look(
            call,
            FindContact(number=call.number, deadline_ms=deadline_ms),
            "MoySklad links a call to a contact only when the call is created",
        )
    elif is_test(call.id):
        notes.append(Note(about="contact", text="a test call makes no client"))
    elif not settings.create_client(call.direction):
        notes.append(Note(about="contact", text="not in MoySklad, and the settings do not create clients for this direction"))
    elif not LEAST_DIGITS <= len(digits(call.number)) <= MOST_DIGITS:
        notes.append(Note(about="contact", text="what was told is no telephone number: no client is made of it"))
    else:
        if caller := _unknown_caller(call, settings):
            effect = FindEmployees(extensions=(caller,), deadline_ms=_directory_deadline_ms(call, deadline_ms))
            yield look(call, effect, "the settings do not say who has them")
        yield create_contact(call, settings, "the number is in nobody's card, and the settings ask for a client", deadline_ms)


def _unknown_caller(call: Call, settings: Settings) -> str:
    """Whoever called out, if nobody has said yet which employee he is: the client is to be his. Empty otherwise.

    A card asks as well, but outgoing calls show none unless the settings say so.
    """
    caller = call.caller
    asked = settings.employee_for(caller) is not None or caller in dict(call.remote.employees)
    return caller if looks_like_extension(caller) and not asked else ""


def _directory_deadline_ms(call: Call, deadline_ms: int | None) -> int | None:
    """Until when the client waits for his owner: of a call that is over as was said when it was first asked for in vain."""
    until_ms = call.remote.employees_until_ms
    again = deadline_ms is not None and until_ms is not None and until_ms > _over_ms(call)
    return until_ms if again else deadline_ms


def create_contact(call: Call, settings: Settings, why: str, deadline_ms: int | None = None, purpose: str = "") -> Step:
    """Make the customer: the same one, however often and by whichever call it is asked for."""
    effect = CreateContact(
        number=call.number,
        sync_id=contact_sync_id(call.enterprise, call.number),
        owner=employee_of(call.remote, settings, call.caller) or "",
        deadline_ms=deadline_ms,
        purpose=purpose,
    )
    return write(call, effect, why)


def nobodys_number(call: Call) -> str:
    """Why there can be no customer behind the call's number; empty when there can."""
    if call.number == ANONYMOUS:
        return "a hidden caller is nobody's contact"
    return "an extension is nobody's contact" if looks_like_extension(call.number.lstrip("+")) else ""


def no_contact_because(call: Call, settings: Settings) -> str:
    """Why no contact is looked for: in words, or :data:`KNOWN`; empty when one is."""
    remote = call.remote
    if remote.contact.id is not None or remote.linked is not None:
        return KNOWN
    if call.number == ANONYMOUS:
        return nobodys_number(call)
    if settings.main_api_sealed:
        return "the main API token was stored under another MS_SECRET_KEY and cannot be read: MoySklad matches the number by itself"
    if not settings.has_main_api:
        return "no main API token in the settings: MoySklad matches the number by itself"
    if reason := nobodys_number(call):
        return reason
    if refusal := remote.refused(FindContact) or remote.refused(CreateContact):
        return f"MoySklad refused the contact: {refusal.error}"
    if call.remote.call is not None and not settings.create_client(call.direction):
        return KNOWN  # too late to link, and nobody asked for a client
    if remote.contact.exhausted and remote.call is None:
        return f"it failed too often for the record to wait: {remote.contact.exhausted}"
    return ""


def waited_for_contact(call: Call, now_ms: int, limits: Limits) -> bool:
    """Whether a record that waits for nothing else has waited for its contact, and in vain, for as long as it may."""
    contact = call.remote.contact
    deadline_ms = record_deadline_ms(call, now_ms, limits)
    if contact.failed_ms is not None and contact.failed_ms >= _over_ms(call):
        if contact.gave_up:
            return True
        if contact.again_ms is not None:  # it was asked for once more, in vain: the hour is for an API that is away
            deadline_ms = min(deadline_ms, contact.failed_ms + limits.record_wait_ms)
    return now_ms >= deadline_ms


def _over_ms(call: Call) -> int:
    """Since when no card waits for the contact; a call that was written off never settled."""
    return call.settled_ms or call.overdue_ms or 0


def record_deadline_ms(call: Call, now_ms: int, limits: Limits) -> int:
    """Until when a record waits for its contact.

    It counts from when the contact was first asked for, in vain, since the call was over: after an outage nobody has asked yet.
    Where it may not even be asked for, because of what was answered during the call, it counts from the end. Where the record
    could not be sent either, the contact is tried once more, for longer. Once that is over it is asked for as any other: deep in a
    backlog a call has its turn hours later, and nobody may have asked meanwhile.
    """
    contact, over_ms = call.remote.contact, _over_ms(call) + limits.record_wait_ms
    if contact.again_ms is not None:
        again_until_ms = contact.again_ms + CONTACT_AGAIN_MS
        if now_ms < again_until_ms:
            return again_until_ms
        over_ms = max(over_ms, again_until_ms + 1)  # until when it waited within that hour says nothing of now
    if contact.waits_until_ms is not None and contact.waits_until_ms >= over_ms:  # else it was a card that waited
        return contact.waits_until_ms
    return over_ms if held_until_ms(call.remote, Way.JSON) > now_ms else now_ms + limits.record_wait_ms


def contact_deadline_ms(call: Call, limits: Limits) -> int:
    """Until when a card waits for the contact."""
    rung = min((step.heard_ms for step in call.steps), default=None)
    return (rung if rung is not None else call.first_heard_ms or 0) + limits.contact_wait_ms
