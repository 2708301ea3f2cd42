"""What a call's row says, from the call as it was folded: the table ``calls`` keeps it, the statistics count it."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import astuple

from core import conclusions
from core.call import Call
from core.conclusions import attribution
from core.dials import Dial
from core.lifecycle import Phase
from core.measures import involved, talked_ms, wait_ms
from core.phone import digits
from core.plan import parked
from core.talk import Talk
from core.values import ANONYMOUS, Direction

NAME_CHARS: Final = 200
"""A name is shown in one line; MoySklad takes 255 characters."""


class _Nobody:
    """Stands for the settings in the attribution: in the read model a call nobody can be named for stays nobody's."""

    unrecognized_extension = ""


class _Looked(Call, frozen=True, gc=False):  # type: ignore[misc]
    """A call whose derived properties are computed once, because every column of the row asks for the same ones."""

    direction: Direction = Direction.INCOMING
    caller: str = ""
    steps: tuple[Dial, ...] = ()
    talks: tuple[Talk, ...] = ()


def row_of(call: Call, phase_ms: int, failures: int) -> dict[str, Any]:
    """The row by columns; ``talk_ms`` sums the talks that are over. ``phase_ms``: when the event came that led to its phase."""
    found: Any = (*astuple(call), call.direction, call.caller, call.steps, call.talks)
    return told(_Looked(*found), phase_ms, failures)


def told(state: Call, phase_ms: int, failures: int) -> dict[str, Any]:
    """The same of the call as it is."""
    cards = state.remote.open_cards
    outcome, needed, talked = conclusions.outcome(state), parked(state), talked_ms(state)
    whose = attribution(state, _Nobody())[0]
    return {
        "enterprise": state.enterprise,
        "call": state.id,
        "version": state.version,
        "phase": state.phase.value,
        "direction": state.direction.value,
        "outcome": outcome.value if outcome else None,
        "number": conclusions.shown_number(state),
        "digits": "" if state.number == ANONYMOUS else digits(state.number),
        "extensions": _all_of(state, whose),
        "extension": whose,
        "started_ms": conclusions.start_ms(state),
        "ended_ms": conclusions.end_ms(state),
        "talk_ms": sum(talked.values()),
        "moysklad_call": state.remote.call,
        "open_cards": len(cards),
        "failures": failures,
        "parked": needed.reason or "refused" if needed is not None else "",
        "remedy": needed.remedy if needed is not None else "",
        "parked_ms": needed.since_ms if needed is not None else None,
        "parked_code": needed.code if needed is not None else None,
        "phase_ms": _since_ms(state, phase_ms),
        "ringing": state.ringing if state.phase in (Phase.RINGING, Phase.TRANSFERRING) else (),
        "talking": state.talking if state.is_live else (),
        "cards": cards,
        "client": state.remote.contact.name.replace("\0", "")[:NAME_CHARS],
        "talked": tuple(talked),
        "talked_ms": tuple(talked.values()),
        "wait_ms": wait_ms(state),
    }


def _all_of(state: Call, whose: str) -> tuple[str, ...]:
    """Whoever the call is found by: who rang or talked, and whose it was, though only a hangup may have said so."""
    heard = involved(state)
    return heard if not whose or whose in heard else (*heard, whose)


def _since_ms(state: Call, phase_ms: int) -> int:
    """Since when the call stands as it stands: for a talk since it began, else since the event that led there."""
    if state.phase is not Phase.TALKING:
        return phase_ms
    return min((talk.start_ms for talk in state.talks if talk.end_ms is None), default=phase_ms)
