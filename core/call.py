"""A call as folded from its stream: what is known of it, where it stands, and what follows from that.

``evolve`` is total: history has happened, so no event may raise. Events may come twice, late and in any order;
whatever is derived here depends on what was said, not on the order in which it arrived, as far as the wire allows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace as replaced
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from core import talk
from core.events import (
    AnyObservation,
    AnyOutcome,
    ArrivalObserved,
    BridgeClosed,
    BridgeEntered,
    BridgeLeft,
    BridgeOpened,
    CallerIdObserved,
    CallOverdue,
    CallSettled,
    CallWrittenOff,
    CardRequested,
    ClickJoined,
    ConsultationObserved,
    DialObserved,
    EffectDeferred,
    EffectDone,
    EffectFailed,
    EffectRefused,
    EffectStarted,
    Event,
    HandoverObserved,
    HangupObserved,
    LegAbsorbed,
    Observation,
    RetryRequested,
    RingEnded,
)
from core.lifecycle import LIVE, Phase, Trigger, next_phase
from core.phone import looks_like_extension
from core.remote import Remote, apply_outcome, forgiven
from core.talk import Bridges, Parties, Talk
from core.values import ANONYMOUS, CallId, Direction, Enterprise

AMI_WIRE: Final = "ami/"
"""How the wire's name begins of what was heard over AMI."""


ECHO_MS: Final = 15_000
"""A PBX that tells of a call in two ways may be this much later with the second one."""


class Dial(Struct, frozen=True, kw_only=True, gc=False):
    """One Dial step: who was rung, in which direction, when it was heard. ``exact``: over AMI, which also tells when it ends."""

    direction: Direction
    extensions: tuple[str, ...]
    heard_ms: int
    trunk: str = ""
    exact: bool = False


class Call(Struct, frozen=True, kw_only=True, gc=False):
    """Everything known of one call. ``*_ms`` are UTC milliseconds, as heard by this service unless said otherwise.

    ``over_ami``: something of it was heard over AMI, which will say how it ended. ``stopped``: extensions whose telephones were
    heard to stop ringing, and when.
    """

    enterprise: Enterprise
    id: CallId
    phase: Phase = Phase.UNHEARD
    settings_revision: int = 0
    first_heard_ms: int | None = None
    last_heard_ms: int | None = None
    live_heard_ms: int | None = None
    over_ami: bool = False
    arrival_ms: int | None = None
    number: str = ANONYMOUS
    trunk: str = ""
    dials: tuple[Dial, ...] = ()
    stopped: tuple[tuple[str, int], ...] = ()
    requested: tuple[str, ...] = ()
    bridges: Bridges = Bridges()
    hangup: HangupObserved | None = None
    hangup_ms: int | None = None
    consultations: tuple[ConsultationObserved, ...] = ()
    click: ClickJoined | None = None
    recordings: tuple[str, ...] = ()
    absorbed_into: str = ""
    settled_ms: int | None = None
    overdue_ms: int | None = None
    remote: Remote = Remote()
    version: int = 0

    @property
    def direction(self) -> Direction:
        """The direction that the strongest evidence names: trunk evidence beats CallType 2 (quirks 1 and 2)."""
        if self.arrival_ms is not None:
            return Direction.INCOMING
        if self.click is not None:
            # Whatever rang before the customer was dialled was the telephone of whoever clicked (quirk 10).
            return Direction.OUTGOING if self.is_dialled_out else Direction.INTERNAL
        for dial in self.dials:
            if dial.direction is not Direction.INTERNAL:
                return dial.direction
        if self.hangup is not None and self.hangup.direction is not Direction.INTERNAL:
            return self.hangup.direction
        if self.dials:
            return Direction.INTERNAL
        if self.hangup is not None:
            return Direction.INCOMING if is_external_number(self.hangup.number) else Direction.INTERNAL
        return Direction.INCOMING

    @property
    def is_rewritten(self) -> bool:
        """Whether a transfer rewrote the final hangup: CallType 2 on a customer's call (CONTRACT-ASTERISK, quirk 1)."""
        if self.hangup is None or _is_own_telephone(self.hangup, self.click):
            return False
        return self.hangup.direction is Direction.INTERNAL and self.direction is not Direction.INTERNAL

    @property
    def is_dialled_out(self) -> bool:
        """Whether it was heard that a customer was dialled."""
        ended_out = self.hangup is not None and self.hangup.direction is Direction.OUTGOING
        return ended_out or any(dial.direction is Direction.OUTGOING for dial in self.dials)

    @property
    def is_doubtful(self) -> bool:
        """Whether all that shows this to be a customer's call is a CallType 2 hangup: it may be another call's leg (quirk 2)."""
        return self.is_rewritten and self.arrival_ms is None and not self.steps

    @property
    def caller(self) -> str:
        """The extension that is calling, for an outgoing call; empty when not known."""
        if self.direction is not Direction.OUTGOING:
            return ""
        for dial in self.dials:
            if dial.direction is Direction.OUTGOING and dial.extensions:
                return dial.extensions[0]
        if self.hangup is not None and self.hangup.extensions:
            return self.hangup.extensions[0]
        return self.click.extension if self.click is not None else ""

    @property
    def rung(self) -> tuple[str, ...]:
        """Every extension that was rung, in the order heard; for an outgoing call the one who is calling."""
        if self.direction is Direction.OUTGOING:
            return (self.caller,) if self.caller else ()
        seen = [extension for dial in self.steps for extension in dial.extensions]
        return tuple(dict.fromkeys([*seen, *self.requested]))

    @property
    def ringing(self) -> tuple[str, ...]:
        """Who is rung by the latest step and has not stopped, or is asked for a card; of an outgoing call in its first ringing
        the one who calls."""
        if self.direction is Direction.OUTGOING and self.phase is Phase.RINGING:
            return (self.caller,) if self.caller else ()
        latest = max(self.steps, key=lambda step: step.heard_ms, default=None)
        if latest is None:
            return self.requested
        quiet = {extension for extension, at_ms in self.stopped if at_ms >= latest.heard_ms}
        return tuple(dict.fromkeys([*(each for each in latest.extensions if each not in quiet), *self.requested]))

    @property
    def steps(self) -> tuple[Dial, ...]:
        """The Dial steps that count: an internal one inside a customer's call is a service leg (PRODUCT B4)."""
        direction = self.direction
        return tuple(dial for dial in self.dials if dial.direction is direction)

    @property
    def parties(self) -> Parties:
        """How to tell the customer's channel from the employees' in a bridge."""
        return Parties(
            anchor=self.id,
            direction=self.direction,
            number=self.number,
            dialled=tuple(extension for dial in self.dials for extension in dial.extensions),
            caller=self.caller,
            clicked=self.click is not None,
        )

    @property
    def talks(self) -> tuple[Talk, ...]:
        """Who talked with the customer, in order; empty for an internal call."""
        if self.direction is Direction.INTERNAL or not self.bridges.stays:
            return ()
        return talk.talks(self.bridges, self.parties)

    @property
    def talking(self) -> tuple[str, ...]:
        """Extensions that talk with the customer now."""
        return tuple(dict.fromkeys(each.extension for each in self.talks if each.end_ms is None))

    @property
    def is_live(self) -> bool:
        """Whether the call goes on, as far as is known."""
        return self.phase in LIVE


def initial(enterprise: str, call: str) -> Call:
    """A call of which nothing was heard yet."""
    return Call(enterprise=Enterprise(enterprise), id=CallId(call))


def fold(state: Call, events: Iterable[Event]) -> Call:
    """The call after ``events``, in stream order."""
    for event in events:
        state = evolve(state, event)
    return state


def evolve(state: Call, event: Event) -> Call:
    """The call after one more event. Total: never raises, whatever the order."""
    match event:
        case EffectStarted() | EffectDone() | EffectFailed() | EffectRefused() | EffectDeferred():
            after = _outcome(state, event)
        case CallSettled():
            after = _move(replace(state, settled_ms=event.at_ms), Trigger.SETTLE)
        case CallOverdue():
            after = _move(replace(state, overdue_ms=event.at_ms), Trigger.EXPIRE)
        case CallWrittenOff():
            after = _move(state, Trigger.WRITE_OFF)
        case RetryRequested():
            after = replace(state, remote=forgiven(state.remote))
        case _:
            after = _observe(_heard(state, event), event)
    return replace(after, version=state.version + 1)


def _outcome(state: Call, event: AnyOutcome) -> Call:
    return replace(state, remote=apply_outcome(state.remote, event))


def _heard(state: Call, event: Observation) -> Call:
    if isinstance(event, LegAbsorbed | ConsultationObserved | ClickJoined):
        return replace(state, last_heard_ms=max(state.last_heard_ms or 0, event.heard_ms))  # a conclusion, not a signal
    downloaded = isinstance(event, HangupObserved) and event.downloaded
    return replace(
        state,
        first_heard_ms=_least(state.first_heard_ms, event.heard_ms),
        last_heard_ms=max(state.last_heard_ms or 0, event.heard_ms),
        live_heard_ms=state.live_heard_ms if downloaded else _least(state.live_heard_ms, event.heard_ms),
        over_ami=state.over_ami or is_ami(event),
        settings_revision=state.settings_revision or event.settings_revision,
    )


def _observe(state: Call, event: AnyObservation) -> Call:
    match event:
        case ArrivalObserved():
            known = replace(
                state,
                arrival_ms=_least(state.arrival_ms, event.heard_ms),
                number=_known_number(state.number, event.number),
                trunk=state.trunk or event.trunk,
            )
            return _follow(_on_its_own(state, _move(known, Trigger.ARRIVE)))
        case DialObserved():
            return _follow(_on_its_own(state, _dialled(state, event)))
        case CardRequested():
            known = replace(
                state,
                number=_known_number(state.number, event.number),
                requested=tuple(dict.fromkeys([*state.requested, *event.extensions])),
            )
            if state.phase is Phase.UNHEARD:
                step = Dial(direction=event.direction, extensions=event.extensions, heard_ms=event.heard_ms)
                return _move(replace(known, dials=(step,)), Trigger.DIAL)
            return known
        case BridgeEntered():
            return _follow(replace(state, bridges=talk.enter(state.bridges, event)))
        case BridgeLeft():
            return _follow(replace(state, bridges=talk.leave(state.bridges, event)))
        case BridgeClosed():
            return _follow(replace(state, bridges=talk.close(state.bridges, event)))
        case HangupObserved():
            return _hung_up(state, event)
        case ConsultationObserved():
            return replace(state, consultations=(*state.consultations, event))
        case LegAbsorbed():
            if state.arrival_ms is not None or any(dial.direction is not Direction.INTERNAL for dial in state.dials):
                return state  # it came in from outside itself: whoever took it for a leg had not heard that yet
            moved = _move(state, Trigger.ABSORB)
            return replace(moved, absorbed_into=event.into) if moved.phase is Phase.ABSORBED else moved
        case RingEnded():
            return replace(state, stopped=(*state.stopped, *((each, event.heard_ms) for each in event.extensions)))
        case ClickJoined():
            return _clicked(state, event)
        case CallerIdObserved() | BridgeOpened() | HandoverObserved():
            return state  # who is in a bridge is told by its own events


def _on_its_own(before: Call, state: Call) -> Call:
    """A call that was taken for another one's leg, or for internal, and is a customer's own: its end may be known already."""
    if before.phase not in (Phase.ABSORBED, Phase.INTERNAL_ENDED) or state.phase is before.phase:
        return state
    state = replace(state, absorbed_into="")
    return _move(state, Trigger.HANG_UP) if state.hangup is not None else state


def _clicked(state: Call, event: ClickJoined) -> Call:
    """What is known turns out to be of a click: what rang before the customer was dialled was only the employee's telephone."""
    if state.arrival_ms is not None or (event.own_leg and state.is_dialled_out):
        return state  # it came in from outside itself, or is known for the call: whoever took it for a leg had not heard that
    known = replace(
        state,
        click=event,
        dials=tuple(_own_dial(dial, event) for dial in state.dials),
        hangup=_own_hangup(state.hangup, event),
        number=state.number if is_external_number(state.number) else event.number,
    )
    if known.hangup is None:
        known = replace(known, hangup_ms=None)
    if known.direction is not Direction.OUTGOING:
        return _move(known, Trigger.ABSORB)
    return known if known.talks else _move(known, Trigger.UNSAY_TALK)


def _own_dial(dial: Dial, click: ClickJoined | None) -> Dial:
    """Of a click nothing comes in: what looks so is the employee's telephone, with the customer's number on its display."""
    return dial if click is None or dial.direction is Direction.OUTGOING else replace(dial, direction=Direction.INTERNAL)


def _own_hangup(hangup: HangupObserved | None, click: ClickJoined) -> HangupObserved | None:
    """The employee's own picking up is no answer of the customer's, and the end of that ringing no end of the call."""
    if hangup is None or not _is_own_telephone(hangup, click):
        return hangup
    return None if click.own_leg else replaced(hangup, answered=False)


def _is_own_telephone(hangup: HangupObserved, click: ClickJoined | None) -> bool:
    """Whether a clicked call's hangup tells of nothing but the telephone of whoever clicked."""
    return click is not None and hangup.direction is not Direction.OUTGOING and set(hangup.extensions) <= {click.extension}


def _dialled(state: Call, event: DialObserved) -> Call:
    step = Dial(
        direction=event.direction,
        extensions=event.extensions,
        heard_ms=event.heard_ms,
        trunk=event.trunk,
        exact=is_ami(event),
    )
    step = _own_dial(step, state.click)
    internal = step.direction is Direction.INTERNAL
    known = replace(
        state,
        dials=state.dials if _is_echo(state, step) else (*state.dials, step),
        number=state.number if internal else _known_number(state.number, event.number),
        trunk=state.trunk or event.trunk,
    )
    return _move(known, Trigger.DIAL_INTERNAL if internal else Trigger.DIAL)


def _is_echo(state: Call, step: Dial) -> bool:
    """Whether this only repeats, in the PBX script's form and later, what AMI told: who stopped ringing must not ring anew."""
    if step.exact:
        return False
    recent = [dial for dial in state.dials if dial.exact and 0 <= step.heard_ms - dial.heard_ms <= ECHO_MS]
    told = {extension for dial in recent if dial.direction is step.direction for extension in dial.extensions}
    return bool(step.extensions) and told.issuperset(step.extensions)


def is_ami(event: Observation) -> bool:
    """Whether it was heard over AMI (:attr:`core.ami_peers.Pbx.wire`), in order and with exact times."""
    return event.wire.startswith(AMI_WIRE)


def _hung_up(state: Call, event: HangupObserved) -> Call:
    if state.click is not None:
        own = _own_hangup(event, state.click)
        if own is None:
            return state
        event = own
    best = event if state.hangup is None else _better_hangup(state.hangup, event)
    known = replace(
        state,
        hangup=best,
        hangup_ms=_least(state.hangup_ms, event.heard_ms),
        trunk=state.trunk or event.trunk,
    )
    if event.record_url and event.record_url not in state.recordings:
        known = replace(known, recordings=(*known.recordings, event.record_url))
    if known.direction is Direction.INTERNAL:
        return _move(known, Trigger.HANG_UP_INTERNAL)
    if is_external_number(event.number):
        known = replace(known, number=_known_number(known.number, event.number))
    return _move(known, Trigger.HANG_UP)


def _better_hangup(known: HangupObserved, event: HangupObserved) -> HangupObserved:
    """Of two hangups of one call the one that proves more: AMI's word, then an answer, then who, then a known end."""

    def proves(hangup: HangupObserved) -> tuple[bool, bool, bool, bool, bool, int]:
        return (
            bool(hangup.verdict),
            not is_unheard_end(hangup),
            hangup.answered,
            bool(hangup.extensions),
            hangup.ended_ms is not None,
            hangup.ended_ms or 0,
        )

    return event if proves(event) > proves(known) else known


def is_unheard_end(hangup: HangupObserved) -> bool:
    """Whether the call ended while the connection to the PBX was away: how, and exactly when, nobody heard."""
    return is_ami(hangup) and not hangup.verdict


def _follow(state: Call) -> Call:
    """Let the phase follow the bridges: somebody talks with the customer now, or nobody does any more."""
    if not state.bridges.stays or state.phase not in LIVE:
        return state
    talking = bool(state.talking)
    if talking and state.phase is not Phase.TALKING:
        return _move(state, Trigger.ANSWER)
    if not talking and state.phase is Phase.TALKING:
        parted = _move(state, Trigger.PART)
        return _move(parted, Trigger.DIAL) if _dialled_on(state) else parted
    if not talking and state.phase is Phase.RINGING and state.talks and _dialled_before_talk(state):
        # Answer and parting were both overtaken: the customer has talked all the same.
        return _move(_move(state, Trigger.ANSWER), Trigger.PART)
    return state


def _dialled_on(state: Call) -> bool:
    """Whether the parting is a blind transfer whose dial was heard already: a leg's events join a little later than a dial."""
    last = talk.last_talk(state.talks)
    if last is None or last.end_ms is None or not state.steps:
        return False
    dialled_ms = max(step.heard_ms for step in state.steps)
    return dialled_ms > last.start_ms and dialled_ms >= last.end_ms - talk.OVERLAP_SLACK_MS


def _dialled_before_talk(state: Call) -> bool:
    steps = state.steps
    return not steps or steps[-1].heard_ms <= state.talks[-1].start_ms + talk.OVERLAP_SLACK_MS


def _move(state: Call, trigger: Trigger) -> Call:
    target = next_phase(state.phase, trigger)
    return state if target is state.phase else replace(state, phase=target)


def _known_number(known: str, said: str) -> str:
    return known if known != ANONYMOUS else said


def _least(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)


def is_external_number(number: str) -> bool:
    """Whether this is a customer's number: not hidden, not an extension (CONTRACT-ASTERISK)."""
    return number != ANONYMOUS and not looks_like_extension(number.lstrip("+"))
