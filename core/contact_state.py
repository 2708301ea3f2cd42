"""The customer of one call, as MoySklad's answers tell of him, and what makes whoever waits for him wait (PRODUCT C5).

His failures are counted apart from the call's: where both APIs fail, neither's waits begin anew with the other's.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from core.events import EffectDeferred, EffectFailed

CONTACT_ATTEMPTS: Final = 4
"""How often a contact that a finished call waits for may fail before the call is recorded without it."""

CONTACT_AGAIN_MS: Final = 3_600_000
"""A record that could not be sent either waits so long for its contact once more: the JSON API may be away for longer."""


class Contact(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The customer in MoySklad. ``id`` None with ``searched`` set: looked for and not there. ``owner``: the responsible employee.

    ``gave_up``: whoever waited for it, a card or the record, waits no longer; ``exhausted``: it failed so often that the record
    does not wait either; ``failures``: how often in a row; ``failed_ms``: when it last did; ``retry_ms``: not asked before.
    ``waits_until_ms``: until when whoever waits for it does, as was said when it was last asked for in vain. ``again_ms``: since
    when the registration, which was to go without it, could not be sent either: it is tried once more before that.
    """

    id: str | None = None
    name: str = ""
    owner: str = ""
    searched: bool = False
    gave_up: str = ""
    exhausted: str = ""
    failures: int = 0
    failed_ms: int | None = None
    retry_ms: int | None = None
    waits_until_ms: int | None = None
    again_ms: int | None = None


def rested(contact: Contact, **changes: Any) -> Contact:
    """The contact with nothing left that makes it wait."""
    return replace(contact, failures=0, retry_ms=None, waits_until_ms=None, **changes)


def failed(contact: Contact, event: EffectFailed, deadline_ms: int | None, *, registered: bool) -> Contact:
    """After a look-up or a creation that failed: it is tried again, or given up (then ``retry_ms`` is None).

    ``deadline_ms``: until when it was waited for; ``registered``: the call is written already, and waits for nothing.
    """
    contact = replace(contact, failures=contact.failures + 1, failed_ms=event.at_ms)
    if is_too_late(deadline_ms, event.at_ms):
        return rested(contact, gave_up=event.error or "deadline")
    if not registered and contact.failures >= CONTACT_ATTEMPTS:
        return rested(contact, exhausted=event.error or "unavailable")
    return replace(contact, gave_up="", retry_ms=event.retry_ms, waits_until_ms=deadline_ms)


def deferred(contact: Contact, event: EffectDeferred, deadline_ms: int | None, reason: str) -> Contact:
    """Not asked yet. Without a deadline nothing of the account can be told: then nothing waits for the contact either, and when it
    failed last does not count."""
    if is_too_late(deadline_ms, event.until_ms):
        # It will not come in time: whoever waits for it is told now, not at the deadline.
        return rested(contact, gave_up=contact.gave_up or reason, failed_ms=event.at_ms)
    if deadline_ms is None:
        return replace(contact, gave_up="", waits_until_ms=None, failed_ms=None)
    return replace(contact, gave_up="", waits_until_ms=deadline_ms)


def once_more(contact: Contact, at_ms: int, *, put_off: bool = False, retry_ms: int | None = None) -> Contact:
    """The contact once its call could not be registered: what it failed by was no trouble of the look-up alone, and MoySklad links
    a call only when it is created (PRODUCT C5). ``put_off``: the call was not even sent, as MoySklad is known to be away; then a
    contact that was put off, too, counts as one that failed. ``retry_ms``: when the record is sent again; the contact is asked for
    right before that, not minutes earlier, while both are still away."""
    failed = contact.exhausted or contact.failed_ms is not None or (put_off and contact.waits_until_ms is not None)
    waited = contact.again_ms is not None and at_ms >= contact.again_ms + CONTACT_AGAIN_MS
    if contact.id is not None or not (failed or waited):
        return contact
    return replace(rested(contact, exhausted="", failed_ms=None, again_ms=at_ms), retry_ms=retry_ms)


def is_too_late(deadline_ms: int | None, at_ms: int) -> bool:
    """Whether whoever waited until then (None: for as long as it takes) waits no longer."""
    return deadline_ms is not None and at_ms >= deadline_ms
