"""Small values that the whole house speaks: ids, directions, outcomes.

Everything here is a value: frozen, comparable, free of behaviour that needs a clock or a socket.
"""

from __future__ import annotations

from enum import Enum, IntEnum, StrEnum
from typing import Final, NewType, TypeVar

E = TypeVar("E", bound=Enum)


def plainly(kind: type[E]) -> type[E]:
    """Keep the members as plain attributes of their class, as Python 3.12 does: on 3.11 naming one costs more than calling a
    function, and calls are folded by the million."""
    for name, member in kind.__members__.items():
        type.__setattr__(kind, name, member)
    return kind


Enterprise = NewType("Enterprise", str)
"""The company's number at the telephony provider, e.g. ``0367``. Every key begins with it."""

CallId = NewType("CallId", str)
"""What names a call within one enterprise: the PBX's UniqueId of the channel that placed it (opaque)."""

ANONYMOUS = "anonymous"
"""How a hidden caller's number is written, whatever the PBX wrote (``<unknown>``, ``Restricted``, empty)."""


LATEST_MS: Final = 8_000
"""Later than this nothing is delivered: it lags by seven seconds at most (CONTRACT-ASTERISK, quirk 4). What seems to lag more is
told by a clock that is behind."""


@plainly
class Direction(StrEnum):
    """Which way a call goes, seen from the enterprise (CONTRACT-ASTERISK: CallType 0, 1, 2)."""

    INCOMING = "in"
    OUTGOING = "out"
    INTERNAL = "internal"


INCOMING: Final = Direction.INCOMING
OUTGOING: Final = Direction.OUTGOING
INTERNAL: Final = Direction.INTERNAL
"""The same, where calls are folded by the million."""


class Outcome(StrEnum):
    """How a call ended (PRODUCT B5).

    The PBX's script tells answered from missed and unanswered. Only AMI tells who gave up (``ABANDONED`` the customer,
    ``CANCELLED`` the employee who was calling), and ``BUSY``, ``DECLINED`` (reject was pressed), ``REJECTED`` (the way out,
    or the PBX itself, refused the call) and ``FAILED`` (it could not be put through) from the rest.
    """

    ANSWERED = "answered"
    MISSED = "missed"
    ABANDONED = "abandoned"
    BUSY = "busy"
    DECLINED = "declined"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    FAILED = "failed"
    UNANSWERED = "unanswered"
    INTERNAL = "internal"
    LOST = "lost"


MISSED_CALLS: Final = frozenset(
    {Outcome.MISSED, Outcome.ABANDONED, Outcome.BUSY, Outcome.DECLINED, Outcome.REJECTED, Outcome.FAILED}
)
"""Ends of an incoming call whose customer wanted somebody and got nobody: to be called back (PRODUCT F9, C11)."""


class Urgency(IntEnum):
    """Whose turn it is when not everybody can be served at once: the lower goes first (PRODUCT C8, C10).

    ``LIVE``: a card that is to be shown, moved or hidden now, or something that was just heard. ``ENDED``: the record of a
    call that has just ended. ``BACKLOG``: what an outage left behind.
    """

    LIVE = 0
    ENDED = 1
    BACKLOG = 2
