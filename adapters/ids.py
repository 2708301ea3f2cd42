"""Names for events: unique for ever, and the later the greater."""

from __future__ import annotations

import os
import time
from typing import Final
from uuid import UUID

_VERSION: Final = 7 << 76
_VARIANT: Final = 2 << 62
_CHANCE: Final = (1 << 62) - 1


def event_id() -> UUID:
    """A UUID of version 7 (RFC 9562): milliseconds, then twelve and sixty-two bits of chance.

    So the index of ids grows at its end. Wholly random ids would each dirty another page of the index, which was the largest
    part of what writing an event cost.
    """
    chance = int.from_bytes(os.urandom(10), "big")
    return UUID(int=(time.time_ns() // 1_000_000) << 80 | _VERSION | (chance >> 62 & 0xFFF) << 64 | _VARIANT | chance & _CHANCE)
