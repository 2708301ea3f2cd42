"""The same words a second time: a repeat of what was delivered before, or the telephones ring again (CONTRACT-ASTERISK, quirk 3).

A dial says whom the PBX rings, and not when: a queue that rings 101, 102 and 101 again says the same of the first and the third.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from core.events import BridgeEntered, DialObserved, Event, HangupObserved
from core.phone import looks_like_extension, strip_technology
from core.signals import content_digest

AGAIN_MS: Final = 15_000
"""Nobody who is rung in turn is rung again sooner; whoever repeats what he thinks was lost mostly does so sooner."""


def digest_of_ringing_again(stream: str, history: Iterable[Event], dial: DialObserved) -> bytes | None:
    """What tells this dial, whose words were recorded before, from the earlier ones; None where it is a repeat of the last one.

    It is another one if somebody else was rung or answered in between, and some time went by: the customer may
    be sent back to where he was rung first. A sender that repeats what was not acknowledged does so in order: it repeats a dial
    before it tells what followed.
    """
    words = content_digest(dial, stream)
    said, last, between = 0, None, False
    for event in history:
        if isinstance(event, HangupObserved):
            return None  # the call is over: nobody rings any more
        if isinstance(event, BridgeEntered) and _is_somebody_else(event, dial):
            between = True  # that they parted may not have been joined yet
        if not isinstance(event, DialObserved):
            continue
        if content_digest(event, stream) == words:
            said, last, between = said + 1, event, False
        else:
            between = True
    if last is None or not between or dial.heard_ms - last.heard_ms < AGAIN_MS:
        return None
    return hashlib.sha256(words + str(said).encode()).digest()


def _is_somebody_else(event: BridgeEntered, dial: DialObserved) -> bool:
    """Whether an employee whom the dial does not name enters a bridge."""
    names = {name for name in (strip_technology(event.channel_name), event.caller_id) if looks_like_extension(name)}
    return bool(names) and names.isdisjoint(dial.extensions)
