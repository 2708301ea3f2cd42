"""What follows from a call as it was folded: when it began and ended, how it ended, whose it was (PRODUCT B5, C3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from core import talk
from core.call import Call
from core.events import ConsultationObserved, HangupObserved
from core.hangups import is_unheard_end
from core.lifecycle import LIVE, Phase
from core.phone import looks_like_extension
from core.talk import Talk
from core.values import ANONYMOUS, LATEST_MS, Direction, Outcome

CLOCK_SKEW_MS: Final = 2_000
"""How far the PBX's clock may differ from ours before its end time is not believed for a call we heard live."""

CLOCK_AHEAD_MS: Final = 60_000
"""A hangup alone that names an end later than this after it was heard is of a clock that is ahead, or of another zone."""

PART_TO_HANGUP_MS: Final = 4_000
"""A hangup this soon after the customer left the last bridge is that parting; later, the customer was somewhere else."""

LEFT_NEAR_END_MS: Final = 2_000
"""A parting heard this soon after the second that EndTime names is the end itself: deliveries that lag lag by more (quirk 4)."""

WITHIN_THE_SECOND_MS: Final = 900
"""Where in the second that EndTime names a call ends, when nothing heard tells: late in it, for times are cut, not rounded."""

UNANSWERED_STATUS: Final = "0"
"""CallStatus of a Dial that nobody answered."""

LEG_OUTLIVES_MS: Final = 5_000
"""A leg that ends this much later than the customer's own channel cannot have been talking to him in that call."""

_VERDICTS: Final = frozenset(outcome.value for outcome in Outcome) - {Outcome.ANSWERED, Outcome.INTERNAL, Outcome.LOST}


class Unrecognised(Protocol):
    """The one setting that attribution needs: the extension for calls nobody can be named for (PRODUCT D2)."""

    @property
    def unrecognized_extension(self) -> str:
        """The extension, or empty for nobody."""
        ...


def shown_number(call: Call) -> str:
    """By which number people are told of the call: the customer's; of an internal call the extension that calls, empty where nobody
    named it. Whoever hides his number is anonymous; a colleague is not."""
    if call.direction is Direction.INTERNAL and call.number == ANONYMOUS:
        return call.inner
    return call.number


def start_ms(call: Call) -> int:
    """When the call began (PRODUCT C3): its first live signal; the PBX's own time when only the hangup tells."""
    hangup = call.hangup
    heard = call.first_heard_ms or 0
    if hangup is None or not _is_hangup_all_there_is(call):
        return call.live_heard_ms if call.live_heard_ms is not None else heard
    told = hangup.received_ms
    if call.is_rewritten and hangup.started_ms is not None:
        # DateReceived of a rewritten hangup is the transfer; StartTime, where given, is the call (quirk 1).
        told = hangup.started_ms if told is None else min(told, hangup.started_ms)
    if told is None:
        told = hangup.started_ms
    if told is None:
        told = hangup.ended_ms
    return heard if told is None else min(told - _clock_ahead_ms(call, hangup), heard)


def _clock_ahead_ms(call: Call, hangup: HangupObserved) -> int:
    """How far the PBX's clock is ahead of ours at least, where a hangup is all there is: by it the call ended after that was heard.
    Such a hangup tells how long the call was; when it was, the hearing does."""
    ahead_ms = 0 if hangup.ended_ms is None or call.hangup_ms is None else hangup.ended_ms - call.hangup_ms
    return ahead_ms if ahead_ms > CLOCK_AHEAD_MS else 0


def _is_hangup_all_there_is(call: Call) -> bool:
    """Whether nothing was heard live before the hangup, so that only the PBX's own times tell when the call was."""
    if call.live_heard_ms in (None, call.hangup_ms):
        return True
    # A downloaded copy of the hangup may come before the live one, which was held up.
    return (call.hangup_ms or 0) < (call.live_heard_ms or 0) and call.arrival_ms is None and not (call.dials or call.bridges.stays)


def end_ms(call: Call) -> int | None:
    """When the call ended, or None while that is not known.

    The PBX's EndTime is cut to the second; the customer heard leaving the bridge just then is exact. A time that
    contradicts what we heard live (a wrong zone, a stopped clock) gives way to the hearing, or, in a hangup that was
    downloaded later, to the length it tells. AMI's end is exact as it is. Of an outgoing call that was handed on the hangup
    tells when the caller left it; it ends when the customer does.
    """
    told = _told_end_ms(call)
    if told is None or call.direction is not Direction.OUTGOING or (call.hangup is not None and call.hangup.precise):
        return told
    stays = talk.handed_on_stays(call.bridges, call.parties)
    if not stays:
        return told
    left = [stay.left_ms or 0 for stay in stays]
    return max(told, *left, *(each.end_ms or each.start_ms for each in call.talks))


def _told_end_ms(call: Call) -> int | None:
    """When the channel that began the call ended, by the hangup and what was heard live."""
    if call.hangup is None:
        return None
    start = start_ms(call)
    told, heard = call.hangup.ended_ms, call.hangup_ms or start
    lone = _is_hangup_all_there_is(call)
    if told is None:
        return max(start, heard if not call.hangup.downloaded else start)
    if call.hangup.precise:
        return max(start, told)
    left = max((stay.left_ms or 0 for stay in talk.customer_stays(call.bridges, call.parties)), default=0)
    if not lone and (not start - CLOCK_SKEW_MS <= told <= heard + CLOCK_SKEW_MS or _is_clock_behind(call, call.hangup)):
        if not call.hangup.downloaded:
            return max(start, left if 0 <= heard - left <= PART_TO_HANGUP_MS else heard)
        # Heard long after the end, by a clock that disagrees: what is left of it is the length it measured.
        return start + max(0, told - (call.hangup.received_ms or told))
    if lone:
        return max(start, told - _clock_ahead_ms(call, call.hangup))
    if told <= left < told + LEFT_NEAR_END_MS:
        return max(start, left)
    return max(start, min(heard, told + WITHIN_THE_SECOND_MS))


def _is_clock_behind(call: Call, hangup: HangupObserved) -> bool:
    """Whether by the PBX's clock both the beginning and the end were heard later than anything is delivered.

    One of them may be late by itself: the first dial after a menu, a hangup that was held up. ``DateReceived`` of a rewritten
    hangup is no beginning (quirk 1).
    """
    if hangup.downloaded or call.is_rewritten or hangup.received_ms is None or hangup.ended_ms is None:
        return False
    return min((call.live_heard_ms or 0) - hangup.received_ms, hangup.heard_ms - hangup.ended_ms) > LATEST_MS


def best_known_end_ms(call: Call) -> int:
    """The end to record for a call whose hangup never came: when the customer was heard to leave, or somebody was rung after that;
    else the last moment it was heard alive. What was downloaded later, of a leg of it, is no sign of life."""
    known = end_ms(call)
    if known is not None:
        return known
    left = [stay.left_ms for stay in talk.customer_stays(call.bridges, call.parties)]
    if not left or None in left:
        return max(start_ms(call), call.last_heard_ms or 0)
    return max(start_ms(call), *(at_ms or 0 for at_ms in left), *(dial.heard_ms for dial in call.dials))


def outcome(call: Call) -> Outcome | None:
    """How the call ended (PRODUCT B5); None while it goes on. Where AMI told it, as AMI told it (``core/ami_verdict.py``)."""
    if call.phase in LIVE or call.phase is Phase.UNHEARD:
        return None
    if call.phase in (Phase.INTERNAL, Phase.INTERNAL_ENDED, Phase.ABSORBED) or call.direction is Direction.INTERNAL:
        return Outcome.INTERNAL
    if is_answered(call):
        return Outcome.ANSWERED
    if call.hangup is None or is_unheard_end(call.hangup):
        return Outcome.LOST
    if call.hangup.verdict in _VERDICTS:
        return Outcome(call.hangup.verdict)
    if call.direction is Direction.OUTGOING:
        return Outcome.UNANSWERED
    return Outcome.MISSED if call.rung or call.hangup.status != "1" else Outcome.ABANDONED


def is_answered(call: Call) -> bool:
    """Whether customer and employee talked: seen in a bridge, said by CallStatus 2, or proved by a transfer."""
    if call.talks:
        return True
    return call.hangup is not None and (call.hangup.answered or call.is_rewritten)


def attribution(call: Call, settings: Unrecognised) -> tuple[str, str]:
    """Whose call it was (PRODUCT C3): ``(extension or "", the rule that says so)``."""
    hangup = call.hangup
    over = {each.leg: each.heard_ms for each in reversed(call.consultations)}
    last = talk.last_of_all(call.talks, {call.id: call.hangup_ms, **over})
    if last is not None and hangup is not None and _is_handed_on_unseen(call, hangup, last):
        return hangup.extensions[0], "is named by the answered hangup"
    if last is not None:
        return last.extension, "talked with the customer last"
    consulted = [each for each in call.consultations if each.answered and each.extensions and not _is_over_before(call, each)]
    if consulted and not _is_known_unanswered(call):
        latest = max(consulted, key=lambda each: (each.ended_ms or 0, each.heard_ms))
        if hangup is not None and _is_handed_on_after(call, hangup, latest.ended_ms):
            return hangup.extensions[0], "is named by the answered hangup"
        return latest.extensions[-1], "took the call over in an attended transfer"
    if call.direction is Direction.OUTGOING:
        return call.caller, "is the one who called"
    if hangup is not None and hangup.answered:
        if len(hangup.extensions) == 1:
            return hangup.extensions[0], "is named by the answered hangup"
        return "", "the answered hangup does not say who answered"
    if call.is_rewritten:
        return "", "a transfer rewrote the hangup: who talked is not known, and nobody is better than the wrong one"
    rung = call.rung or (hangup.extensions if hangup is not None else ())
    if len(rung) == 1:
        return rung[0], "is the only one who was rung"
    if rung:
        extension = only_extension(rung)
        return extension, "has the only extension that was rung" if extension else "several were rung and nobody answered"
    if settings.unrecognized_extension:
        return settings.unrecognized_extension, "takes the calls nobody can be named for, by the settings"
    return "", "nobody is known to have been rung"


def only_extension(rung: Sequence[str]) -> str:
    """The only extension among those that were rung, beside telephones outside; empty when there are several, or none."""
    extensions = [each for each in rung if looks_like_extension(each)]
    return extensions[0] if len(extensions) == 1 else ""


def _is_known_unanswered(call: Call) -> bool:
    """Whether nobody talked with the customer: then nobody handed him on, and what names him is of another call.

    Of an incoming call only "0" says so, of the Dial that rang the telephones: what a queue or a menu does has another status.
    """
    hangup = call.hangup
    if hangup is None or hangup.answered or call.is_rewritten:
        return False
    return call.direction is Direction.OUTGOING or hangup.status == UNANSWERED_STATUS


def _is_over_before(call: Call, leg: ConsultationObserved) -> bool:
    """Whether the customer had hung up long before a leg ended, by the same clock: then it is a leg of another call of his.

    Only of an incoming call: its own hangup is the customer's. Whom an outgoing call has reached may talk on.
    """
    hangup = call.hangup
    if call.direction is not Direction.INCOMING or hangup is None or hangup.ended_ms is None or leg.ended_ms is None:
        return False
    return leg.ended_ms - hangup.ended_ms > LEG_OUTLIVES_MS


def _is_handed_on_unseen(call: Call, hangup: HangupObserved, last: Talk) -> bool:
    """Whether who talked last, as far as bridges told, transferred the customer blindly to whom the hangup names, who answered
    (``CallStatus`` is the last leg's, quirk 1): his bridge is lost, or the one before it was not heard to be left."""
    if not call.is_rewritten or not hangup.answered or len(hangup.extensions) != 1 or hangup.extensions == (last.extension,):
        return False
    return any(hangup.extensions[0] in dial.extensions and dial.heard_ms > last.start_ms for dial in call.steps)


def _is_handed_on_after(call: Call, hangup: HangupObserved, taken_over_ms: int | None) -> bool:
    """Whether a blind transfer that was answered came after the call was taken over: ``DateReceived`` is then the transfer
    (quirk 1), told by the same clock."""
    if not call.is_rewritten or not hangup.answered or len(hangup.extensions) != 1:
        return False
    return hangup.received_ms is not None and taken_over_ms is not None and hangup.received_ms >= taken_over_ms
