"""The life of a call, as one table a person can read.

A call is *live* from the first thing heard of it until a hangup. What the PBX says becomes a trigger; the pair
(phase, trigger) names the next phase. A pair that is absent is a decision: the trigger changes what is known of
the call, not where it stands, for the reason given in :data:`STAYS`.

Two families stand beside the main line. An *internal* call (extension to extension) is kept in the history and
never told to MoySklad. A call is *absorbed* when it turns out to be a leg of another one.

The end has two steps, because MoySklad never lets us correct an end or an extension (CONTRACT-MOYSKLAD 1.4):
``ENDING`` hides the cards at once, ``SETTLED`` writes what is final.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from transitions import Machine

from core.values import plainly


@plainly
class Phase(StrEnum):
    """Where a call stands."""

    UNHEARD = "unheard"
    ARRIVED = "arrived"
    RINGING = "ringing"
    TALKING = "talking"
    ON_HOLD = "on_hold"
    TRANSFERRING = "transferring"
    ENDING = "ending"
    SETTLED = "settled"
    OVERDUE = "overdue"
    WRITTEN_OFF = "written_off"
    INTERNAL = "internal"
    INTERNAL_ENDED = "internal_ended"
    ABSORBED = "absorbed"


RINGING: Final = Phase.RINGING
TALKING: Final = Phase.TALKING
"""The same, where calls are folded by the million (as ``core/values.py`` does)."""


@plainly
class Trigger(StrEnum):
    """What moves a call from one phase to the next."""

    ARRIVE = "arrive"
    DIAL = "dial"
    DIAL_INTERNAL = "dial_internal"
    ANSWER = "answer"
    PART = "part"
    UNSAY_TALK = "unsay_talk"
    HANG_UP = "hang_up"
    HANG_UP_INTERNAL = "hang_up_internal"
    TALK_ON = "talk_on"
    SETTLE = "settle"
    EXPIRE = "expire"
    WRITE_OFF = "write_off"
    ABSORB = "absorb"


P, T = Phase, Trigger

TABLE: Final[Mapping[tuple[Phase, Trigger], Phase]] = {
    # nothing heard yet
    (P.UNHEARD, T.ARRIVE): P.ARRIVED,
    (P.UNHEARD, T.DIAL): P.RINGING,
    (P.UNHEARD, T.DIAL_INTERNAL): P.INTERNAL,
    (P.UNHEARD, T.HANG_UP): P.ENDING,  # the dial was lost, or this is a downloaded record
    (P.UNHEARD, T.HANG_UP_INTERNAL): P.INTERNAL_ENDED,
    (P.UNHEARD, T.ABSORB): P.ABSORBED,
    # in the PBX, nobody is rung
    (P.ARRIVED, T.DIAL): P.RINGING,
    (P.ARRIVED, T.ANSWER): P.TALKING,  # the dial was lost, or a pick-up
    (P.ARRIVED, T.HANG_UP): P.ENDING,
    (P.ARRIVED, T.EXPIRE): P.OVERDUE,
    (P.ARRIVED, T.ABSORB): P.ABSORBED,
    # somebody is rung, nobody has talked
    (P.RINGING, T.ANSWER): P.TALKING,
    (P.RINGING, T.HANG_UP): P.ENDING,
    (P.RINGING, T.EXPIRE): P.OVERDUE,
    (P.RINGING, T.ABSORB): P.ABSORBED,
    # customer and employee are in one bridge
    (P.TALKING, T.PART): P.ON_HOLD,
    (P.TALKING, T.HANG_UP): P.ENDING,
    (P.TALKING, T.EXPIRE): P.OVERDUE,
    (P.TALKING, T.ABSORB): P.ABSORBED,
    # the customer has talked and is now alone
    (P.ON_HOLD, T.ANSWER): P.TALKING,
    (P.ON_HOLD, T.DIAL): P.TRANSFERRING,
    (P.ON_HOLD, T.HANG_UP): P.ENDING,
    (P.ON_HOLD, T.EXPIRE): P.OVERDUE,
    (P.ON_HOLD, T.ABSORB): P.ABSORBED,
    # the customer has talked, and somebody else is rung
    (P.TRANSFERRING, T.ANSWER): P.TALKING,
    (P.TRANSFERRING, T.HANG_UP): P.ENDING,
    (P.TRANSFERRING, T.EXPIRE): P.OVERDUE,
    (P.TRANSFERRING, T.ABSORB): P.ABSORBED,
    # what was taken for the customer was the exchange's own channel, making the call for somebody who clicked
    (P.TALKING, T.UNSAY_TALK): P.RINGING,
    (P.ON_HOLD, T.UNSAY_TALK): P.RINGING,
    (P.TRANSFERRING, T.UNSAY_TALK): P.RINGING,
    # hung up; a straggler may still change what is said of the call
    (P.ENDING, T.SETTLE): P.SETTLED,
    (P.ENDING, T.ABSORB): P.ABSORBED,
    (P.ENDING, T.TALK_ON): P.TALKING,  # only the caller's own channel ended: he had handed the customer on
    # no hangup within the maximum; a late one still corrects the record
    (P.OVERDUE, T.HANG_UP): P.ENDING,
    (P.OVERDUE, T.WRITE_OFF): P.WRITTEN_OFF,
    (P.OVERDUE, T.ABSORB): P.ABSORBED,
    (P.WRITTEN_OFF, T.HANG_UP): P.ENDING,
    # extension to extension
    (P.INTERNAL, T.ARRIVE): P.ARRIVED,  # an external call after all: its first signals were overtaken
    (P.INTERNAL, T.DIAL): P.RINGING,
    (P.INTERNAL, T.HANG_UP): P.INTERNAL_ENDED,
    (P.INTERNAL, T.HANG_UP_INTERNAL): P.INTERNAL_ENDED,
    (P.INTERNAL, T.EXPIRE): P.INTERNAL_ENDED,
    (P.INTERNAL, T.ABSORB): P.ABSORBED,
    (P.INTERNAL_ENDED, T.ABSORB): P.ABSORBED,
    # a customer's own call after all: its first signals were overtaken by its end
    (P.INTERNAL_ENDED, T.ARRIVE): P.ARRIVED,
    (P.INTERNAL_ENDED, T.DIAL): P.RINGING,
    (P.ABSORBED, T.ARRIVE): P.ARRIVED,
    (P.ABSORBED, T.DIAL): P.RINGING,
}

STAYS: Final[Mapping[Trigger, str]] = {
    T.ARRIVE: "the call is already known to be in the PBX",
    T.DIAL: "another step of the ring plan, or a dial that came late: the phase already says more",
    T.DIAL_INTERNAL: "a service leg with CallType 2 does not make an external call internal",
    T.ANSWER: "heard after the end, or before the direction is known: it counts for attribution only",
    T.PART: "only somebody who talks can stop talking",
    T.UNSAY_TALK: "only a talk can turn out to have been none",
    T.HANG_UP: "the end is known already; a repeated or downloaded hangup only adds what was missing",
    T.HANG_UP_INTERNAL: "the end is known already, or the call is known to be external",
    T.TALK_ON: "only an ended call can turn out to go on, and only before it settles",
    T.SETTLE: "only an ended call settles, and only once",
    T.EXPIRE: "only a live call can run over its maximum",
    T.WRITE_OFF: "only an overdue call is written off",
    T.ABSORB: "what MoySklad was told of a finished call cannot be taken back",
}
"""Why a trigger that is absent from the table for some phase leaves that phase as it is."""

LIVE: Final[frozenset[Phase]] = frozenset({P.ARRIVED, P.RINGING, P.TALKING, P.ON_HOLD, P.TRANSFERRING})
"""Phases in which a card may stand on a screen."""

FINAL: Final[frozenset[Phase]] = frozenset({P.SETTLED, P.WRITTEN_OFF})
"""Phases in which the end, the extension and the comment may be written for good."""

DESCRIPTIONS: Final[Mapping[Phase, str]] = {
    P.UNHEARD: "nothing heard that says what this is",
    P.ARRIVED: "in the PBX (menu, queue), nobody is rung",
    P.RINGING: "somebody is rung, nobody has talked",
    P.TALKING: "the customer and an employee are in one bridge",
    P.ON_HOLD: "the customer has talked and is now alone",
    P.TRANSFERRING: "the customer has talked, somebody else is rung",
    P.ENDING: "hung up; cards are hidden; a straggler could still change the record",
    P.SETTLED: "nothing can change any more; the record is written",
    P.OVERDUE: "no hangup within the maximum; cards are hidden; the end stays open",
    P.WRITTEN_OFF: "no hangup even after the long grace; recorded with what is known",
    P.INTERNAL: "extension to extension; not sent",
    P.INTERNAL_ENDED: "an internal call that is over",
    P.ABSORBED: "a leg of another call",
}


def build_machine() -> Machine:
    """The table as a ``transitions`` machine: it validates the table and draws it. Not for the hot path."""
    return Machine(
        model=None,
        states=[phase.value for phase in Phase],
        transitions=[
            {"trigger": trigger.value, "source": source.value, "dest": target.value} for (source, trigger), target in TABLE.items()
        ],
        initial=Phase.UNHEARD.value,
        auto_transitions=False,
        ignore_invalid_triggers=True,
    )


def _compile(machine: Machine) -> dict[tuple[Phase, Trigger], Phase]:
    return {
        (Phase(str(transition.source)), Trigger(trigger)): Phase(str(transition.dest))
        for trigger, event in machine.events.items()
        for transitions in event.transitions.values()
        for transition in transitions
    }


_COMPILED: Final = _compile(build_machine())


def next_phase(phase: Phase, trigger: Trigger) -> Phase:
    """The phase after ``trigger``; the same phase where the table has no row (see :data:`STAYS`). Total."""
    return _COMPILED.get((phase, trigger), phase)
