"""What is measured of a call, for reports (PRODUCT F9): who talked with the customer and how long, how long the phone had rung."""

from __future__ import annotations

from core.call import Call
from core.conclusions import end_ms
from core.talk import OVERLAP_SLACK_MS
from core.values import Direction


def involved(call: Call) -> tuple[str, ...]:
    """Every extension whose phone rang, or who talked with the customer, as heard; of an internal call who called, too."""
    calling = (call.inner,) if call.inner and call.direction is Direction.INTERNAL else ()
    return tuple(dict.fromkeys([*calling, *call.rung, *(talk.extension for talk in call.talks)]))


def talked_ms(call: Call) -> dict[str, int]:
    """Extension -> how long it talked with the customer, in the order of the talks; a talk counts when it is over, at the latest
    with the call: the leaving of a bridge may be lost."""
    found: dict[str, int] = {}
    for talk in call.talks:
        until_ms = talk.end_ms if talk.end_ms is not None else end_ms(call)
        length_ms = max(0, until_ms - talk.start_ms) if until_ms is not None else 0
        found[talk.extension] = found.get(talk.extension, 0) + length_ms
    return found


def wait_ms(call: Call) -> int | None:
    """How long the phone of the one who answered first had been ringing; None where nobody answered or no dial was heard."""
    first = min(call.talks, key=lambda talk: talk.start_ms, default=None)
    if first is None:
        return None
    heard = [step for step in call.steps if step.heard_ms <= first.start_ms + OVERLAP_SLACK_MS]
    theirs = [step.heard_ms for step in heard if first.extension in step.extensions]
    rung_ms = max(theirs, default=min((step.heard_ms for step in heard), default=None))
    return None if rung_ms is None else max(0, first.start_ms - rung_ms)
