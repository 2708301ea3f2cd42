"""What passing time decides about a call: when it is settled, overdue, written off. Pure: ``now_ms`` comes in, deadlines go out.

Signals need no decision: what was said is recorded as it was said. Time does, because the same history means something
else an hour later, and a replay must see when that was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from core import self_test, talk
from core.call import Call
from core.conclusions import PART_TO_HANGUP_MS
from core.events import CallOverdue, CallSettled, CallWrittenOff, HangupObserved, TimeFact
from core.lifecycle import LIVE, Phase
from core.talk import Bridges, Talk
from core.values import LATEST_MS, Direction

ARRIVAL_LAGS_MS: Final = LATEST_MS
"""Whatever is told of a call's beginning has been heard by then (quirk 4)."""

PARTED_BEFORE_MS: Final = 500
"""A parting heard longer than this before the second that EndTime names came before the end: the hangup script takes less."""

ENDS_ALONE: Final = "only the ends of this call are ever told and the hangup names who answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long things may take. All but the first are this service's own choices.

    * ``call_max_ms`` (MS_CALL_MAX_S): a call without a hangup is overdue this long after it was first heard.
    * ``settle_grace_ms``: an ended call waits this long after its last signal for stragglers (CONTRACT-ASTERISK, quirk 4).
    * ``doubtful_grace_ms``: the same where a lone CallType 2 hangup may be another call's leg (quirk 2).
    * ``hold_grace_ms``: the card of a customer who left every bridge stays this long.
    * ``write_off_ms``: an overdue call waits this long for a late hangup (PRODUCT B3).
    * ``contact_wait_ms``: a card waits this long for the contact (PRODUCT C5).
    * ``record_wait_ms``: the record of a finished call waits this long for it; MoySklad may still match the number itself.
    * ``ring_stale_ms``: a card is not shown this long after the ringing it tells of (PRODUCT C10).
    """

    call_max_ms: int = 7_200_000
    settle_grace_ms: int = 5_000
    doubtful_grace_ms: int = 15_000
    hold_grace_ms: int = 5_000
    write_off_ms: int = 86_400_000
    contact_wait_ms: int = 1_500
    record_wait_ms: int = 10_000
    ring_stale_ms: int = 120_000


def decide(call: Call, now_ms: int, limits: Limits) -> tuple[TimeFact, ...]:
    """The time facts that are due; empty when nothing is. Deciding again after evolving decides nothing."""
    if call.phase is Phase.ENDING:
        if reason := complete(call):
            return (CallSettled(at_ms=now_ms, reason=reason),)
        if now_ms >= _settle_due_ms(call, limits):
            return (CallSettled(at_ms=now_ms, reason="no straggler came within the grace"),)
    elif (call.phase in LIVE or call.phase is Phase.INTERNAL) and now_ms >= _expiry_ms(call, limits):
        return (CallOverdue(at_ms=now_ms),)
    elif call.phase is Phase.OVERDUE and now_ms >= (call.overdue_ms or 0) + limits.write_off_ms:
        return (CallWrittenOff(at_ms=now_ms),)
    return ()


def next_deadline(call: Call, now_ms: int, limits: Limits) -> int | None:
    """When time will next decide something about this call, or change what is planned for it; None: never by itself."""
    match call.phase:
        case Phase.ENDING:
            return _settle_due_ms(call, limits)
        case Phase.OVERDUE:
            return (call.overdue_ms or 0) + limits.write_off_ms
        case Phase.ON_HOLD:
            parted = hold_ends_ms(call, limits)
            return parted if parted is not None and parted > now_ms else _expiry_ms(call, limits)
        case Phase.ARRIVED | Phase.RINGING | Phase.TALKING | Phase.TRANSFERRING | Phase.INTERNAL:
            return _expiry_ms(call, limits)
        case Phase.UNHEARD | Phase.SETTLED | Phase.WRITTEN_OFF | Phase.INTERNAL_ENDED | Phase.ABSORBED:
            return None
        case _:
            assert_never(call.phase)


def complete(call: Call) -> str:
    """Why nothing that is still under way can change an ended call's record; empty when something could.

    Only an incoming call's talk whose every stay was heard to its end, and which the hangup confirms, is complete, or a call of
    which nothing but its ends is ever told: any other end may still be corrected by a straggler (CONTRACT-ASTERISK, quirk 4).
    Over AMI there are no stragglers. What may be another call's leg (quirk 2) is not complete, whatever was heard of it.
    """
    hangup = call.hangup
    if hangup is None or call.hangup_ms is None or call.direction is Direction.INTERNAL:
        return ""
    if call.is_doubtful:
        return ""  # whose leg it is, is told by the customer's own call, which may be on its way (quirk 2)
    if hangup.verdict and not hangup.answered:
        return "the PBX itself said how it ended"
    if not hangup.answered or (call.over_ami and not hangup.verdict):
        return ""  # of two ways to hear of a call the better one is still to come
    if call.direction is Direction.OUTGOING and not hangup.verdict:
        return ""  # the caller's channel ended; whoever he called may have been handed on, and be answered in a moment
    found = call.talks
    last = talk.last_talk(found)
    if last is None:
        return ENDS_ALONE if _is_told_by_its_ends_alone(call, hangup, call.hangup_ms) else ""
    if last.end_ms is None:
        return ""
    parted_ms = _parted_ms(call)
    if parted_ms is None:
        return ""
    if hangup.verdict:
        return "the PBX itself said how it ended"
    named = hangup.extensions
    confirmed = named == (last.extension,) if call.is_rewritten else any(each.extension in named for each in found)
    if not confirmed or _is_taken_over_unseen(call, found):
        return ""
    if call.hangup_ms - parted_ms > PART_TO_HANGUP_MS:
        return ""
    if parted_ms > call.hangup_ms:
        return ""  # what is told of bridges lags behind: where he was handed on to may be told in a moment
    if any(stay.unparted for stay in talk.customer_stays(call.bridges, call.parties)):
        return ""  # the end of his bridge overtook his leaving it, and perhaps whatever he entered next (quirk 4)
    if talk.was_set_aside(call.bridges, call.parties):
        return ""  # who took the customer back, or was given him, may be told in a moment
    if _is_parted_before_end(call, hangup, parted_ms):
        return ""  # where he was since may be told by bridges that are still under way
    return "every bridge was heard to its end and the hangup confirms who talked"


def _is_taken_over_unseen(call: Call, found: Sequence[Talk]) -> bool:
    """Whether a transfer's leg names who took the call over, and no bridge told of it yet (quirk 2)."""
    talked = {each.extension for each in found}
    return any(each.answered and each.extensions and each.extensions[-1] not in talked for each in call.consultations)


def _is_parted_before_end(call: Call, hangup: HangupObserved, parted_ms: int) -> bool:
    """Whether the customer was heard to leave before the call ended, by the PBX's clock: he was handed on (quirk 2).

    A clock that says that the call began after we heard of it is ahead of ours by that much, and by the second it is cut to.
    """
    if hangup.ended_ms is None:
        return False
    began_ms = hangup.received_ms if hangup.received_ms is not None and not call.is_rewritten else 0
    ahead_ms = began_ms - (call.first_heard_ms or 0)
    return hangup.ended_ms - (ahead_ms + 1_000 if ahead_ms > 0 else 0) - parted_ms > PARTED_BEFORE_MS


def _is_told_by_its_ends_alone(call: Call, hangup: HangupObserved, ended_ms: int) -> bool:
    """Whether the exchange tells dials and hangups only, and this hangup has said all that it ever will (decision 0025).

    One that tells bridges tells the arrival first: where that was not heard by the time that it must have come, no bridge will
    be. An answered hangup with one name then names the answerer (PRODUCT C3). Only the hangup of an attended transfer's leg that
    this one overtook could add to it: it is not waited for, because it could follow any call.
    """
    if call.direction is not Direction.INCOMING or call.is_rewritten or call.arrival_ms is not None or call.click is not None:
        return False
    if call.bridges != Bridges() or call.consultations or call.requested:
        return False
    lasted_ms = ended_ms - (call.first_heard_ms or 0)
    return len(hangup.extensions) == 1 and hangup.extensions[0] in call.rung and lasted_ms >= ARRIVAL_LAGS_MS


def hold_ends_ms(call: Call, limits: Limits) -> int | None:
    """When the card of a customer who left every bridge goes; None while the customer waits inside a bridge."""
    parted_ms = _parted_ms(call)
    return None if parted_ms is None else parted_ms + limits.hold_grace_ms


def _parted_ms(call: Call) -> int | None:
    """When the customer left the last of his bridges; None while he is inside one, and when he was in none."""
    stays = talk.customer_stays(call.bridges, call.parties)
    left = [stay.left_ms for stay in stays if stay.left_ms is not None]
    return max(left) if left and len(left) == len(stays) else None


def _settle_due_ms(call: Call, limits: Limits) -> int:
    grace_ms = limits.doubtful_grace_ms if call.is_doubtful else limits.settle_grace_ms
    return (call.last_heard_ms or 0) + grace_ms


def _expiry_ms(call: Call, limits: Limits) -> int:
    longest_ms = min(limits.call_max_ms, self_test.MAX_MS) if self_test.is_test(call.id) else limits.call_max_ms
    return (call.first_heard_ms or 0) + longest_ms
