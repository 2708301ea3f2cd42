"""How a call ended, from what Asterisk says of its legs: two tables a person can read.

The first gives each leg that did not get through a word (:func:`leg_end`); the first row that fits counts:

| DialStatus | hangup cause | SIP answer | else | word |
|---|---|---|---|---|
| BUSY | 17 user busy | | | ``busy`` |
| | 21 call rejected | 603, 600 | | ``declined`` |
| | 21 call rejected | 401, 403, 407 | | ``rejected`` |
| | 21 call rejected | not told | a telephone, or it had been ringing | ``declined`` |
| | 21 call rejected | not told | a trunk that never rang | ``rejected`` |
| CONGESTION, CHANUNAVAIL, INVALIDARGS | | | | ``failed`` |
| | 1-6, 20-30 but 26, 34-111: no such number, no route, not registered, no circuit | | | ``failed`` |
| | 18, 19, by the device itself (408, 480) | | it had not been ringing | ``failed`` |
| CANCEL | | | | ``cancelled`` |
| NOANSWER, DONTCALL, TORTURE, other | 0, 16, 18, 19, 26, 31, 127 | | | ``unanswered`` |

The second makes the call's verdict of them, the first row that fits again (:func:`verdict`):

| call | what happened | verdict |
|---|---|---|
| any | the customer (internal: the callee) was put through to somebody | ``answered`` |
| in, internal | the caller hung up while a telephone rang, in a queue, or before any telephone rang | ``abandoned`` |
| in | the PBX turned the caller away (``Congestion``, ``Busy``) and no telephone had rung | ``rejected`` |
| in, internal | some telephone rang until it stopped by itself | ``missed`` |
| in, internal | else: somebody pressed reject | ``declined`` |
| in, internal | else: somebody was busy | ``busy`` |
| in, internal | else: no telephone could be reached | ``failed`` |
| in, internal | else: the PBX ended the call without ringing anybody | ``missed`` |
| out | the employee hung up while the customer was being called | ``cancelled`` |
| out | else: the word of the last trunk that was tried | ``busy`` ``declined`` ``rejected`` ``failed`` ``unanswered`` |

``cancelled`` legs count for nothing: they were taken back by whoever called. The SIP answer (``TechCause``) is told by new
versions of Asterisk only; causes are ITU-T Q.850's as Asterisk numbers them (``causes.h``). How a SIP answer becomes a cause, and
a cause a DialStatus, is Asterisk's doing: 603 and 403 both become 21 and ``NOANSWER``, which is why the status alone is not enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.ami_peers import Side
from core.values import Direction, Outcome

BUSY, REJECTED = 17, 21
_SILENT: Final = frozenset({18, 19})
_FAILED_STATUSES: Final = frozenset({"CONGESTION", "CHANUNAVAIL", "INVALIDARGS"})
_FAILED_CAUSES: Final = (frozenset(range(1, 7)) | frozenset(range(20, 31)) | frozenset(range(34, 112))) - {REJECTED, 26}
_DECLINED_ANSWERS: Final = frozenset({600, 603})
_REFUSED_ANSWERS: Final = frozenset({401, 403, 407})

ANSWERED: Final = "ANSWER"
CANCELLED: Final = "CANCEL"
GONE: Final = "GONE"
"""Not Asterisk's: the channel is gone and no DialEnd came (a colleague picked the call up)."""

RANG_BEFORE: Final = "RANG BEFORE"
"""Not Asterisk's: it rang and stopped before this connection began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One telephone or trunk that was dialled. ``channel`` is its own, ``by`` the one that dialled it; ``who``: the extension, or
    the number that ``trunk`` was asked for; ``own``: it does not ring for the other side of the call: the first leg of a
    click-to-call, which calls and is not called, or of a colleague who is only asked.

    ``status`` is DialStatus, empty while it goes on; ``sip`` the SIP answer; ``asked``: its side asked to hang up.
    """

    channel: str
    who: str
    side: Side
    by: str = ""
    trunk: str = ""
    own: bool = False
    rang: bool = False
    status: str = ""
    cause: int | None = None
    sip: int | None = None
    asked: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it is still being called."""
        return not self.status

    @property
    def is_reached(self) -> bool:
        """Whether somebody outside answered."""
        return self.side is Side.OUTSIDE and self.status == ANSWERED


def leg_end(leg: Leg) -> Outcome:
    """The first table: why this leg did not get through."""
    if leg.status == "BUSY" or leg.cause == BUSY:
        return Outcome.BUSY
    if leg.cause == REJECTED:
        if leg.sip in _DECLINED_ANSWERS:
            return Outcome.DECLINED
        if leg.sip in _REFUSED_ANSWERS:
            return Outcome.REJECTED
        return Outcome.DECLINED if leg.side is Side.PHONE or leg.rang else Outcome.REJECTED
    silent = leg.cause in _SILENT and leg.asked and not leg.rang
    if leg.status in _FAILED_STATUSES or leg.cause in _FAILED_CAUSES or silent:
        return Outcome.FAILED
    return Outcome.CANCELLED if leg.status in (CANCELLED, GONE) else Outcome.UNANSWERED


def verdict(
    direction: Direction, legs: Sequence[Leg], *, answered: bool, gave_up: bool, turned_away: bool, cause: int | None
) -> Outcome:
    """The second table. ``gave_up``: who was calling hung up while it was being tried; ``cause``: of the caller's channel."""
    if answered:
        return Outcome.ANSWERED
    ends = [leg_end(leg) for leg in legs if leg.status != ANSWERED and not leg.own and leg.side is not Side.LOCAL]
    told = [end for end in ends if end != Outcome.CANCELLED]
    if direction is Direction.OUTGOING:
        if gave_up:
            return Outcome.CANCELLED
        if told:
            return told[-1]
        return Outcome.FAILED if cause in _FAILED_CAUSES else Outcome.UNANSWERED
    if gave_up:
        return Outcome.ABANDONED
    if turned_away and not ends:
        return Outcome.REJECTED
    for end, word in _INCOMING:
        if end in told:
            return word
    return Outcome.FAILED if cause in _FAILED_CAUSES and not ends else Outcome.MISSED


_INCOMING: Final = (
    (Outcome.UNANSWERED, Outcome.MISSED),
    (Outcome.DECLINED, Outcome.DECLINED),
    (Outcome.REJECTED, Outcome.DECLINED),
    (Outcome.BUSY, Outcome.BUSY),
    (Outcome.FAILED, Outcome.FAILED),
)
