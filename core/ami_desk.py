"""The desk at which one AMI message is worked on: it keeps channels, bridges and calls, and says what follows for them.

Everything is taken from a frozen :class:`core.ami_state.Ami` and given back as one; the desk itself lives for one message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from core.ami_clock import PbxClock
from core.ami_peers import Pbx, Side, other_half
from core.ami_state import (
    MAX_BRIDGES,
    MAX_CHANNELS,
    MAX_LEGS,
    MAX_RAW,
    MAX_SAID,
    MAX_TRACKS,
    Ami,
    Bridge,
    Channel,
    HungUp,
    Pending,
    Track,
)
from core.ami_verdict import ANSWERED, CANCELLED, Leg, leg_end, verdict
from core.events import (
    AnyObservation,
    ArrivalObserved,
    CallerIdObserved,
    DialObserved,
    HangupObserved,
    RingEnded,
)
from core.phone import normalise_number
from core.signals import Heard, content_digest, redact
from core.values import Direction, Outcome

GATHER_MS: Final = 100
"""Telephones that begin to ring (or stop) within this time of each other are one group: one card each, one request for all."""

OVER_MS: Final = 300
"""An incoming call's other legs end within milliseconds of the customer's; one that stays on does not hold the end back longer."""

GLARE_MS: Final = 500
"""Of two sides that hang up within this time the first one did."""

JUST_BEFORE_MS: Final = 2_000
"""If a call ends this soon after listening began, the request to hang up may have come before that, unheard."""

REAL: Final = (Side.PHONE, Side.OUTSIDE)
_BY_THE_PBX: Final = frozenset({"NOANSWER"})


class Desk:
    """Works on one message that happened at ``at_ms``."""

    def __init__(self, state: Ami, pbx: Pbx, at_ms: int, raw: Mapping[str, Any]) -> None:
        self.pbx = pbx
        self.at_ms = at_ms
        self.raw = raw
        self.channels = dict(state.channels)
        self.bridges = dict(state.bridges)
        self.tracks = dict(state.tracks)
        self._clock: PbxClock = state.clock
        self._last_ms = state.last_ms
        self._out: list[Heard] = []

    def cleared(self, clock: PbxClock | None = None) -> tuple[Ami, tuple[Heard, ...]]:
        """The state after the message, and what was said."""
        due = [track.due_ms for track in self.tracks.values() if track.due_ms is not None]
        state = Ami(
            clock=clock or self._clock,
            channels=self.channels,
            bridges=self.bridges,
            tracks=self.tracks,
            last_ms=max(self._last_ms, self.at_ms),
            due_ms=min(due, default=None),
        )
        return state, tuple(self._out)

    # -- what is there --------------------------------------------------------------------------------------------

    def put_channel(self, channel: Channel) -> Channel:
        """Remember a channel as it is now."""
        _put(self.channels, channel.id, channel, MAX_CHANNELS)
        return channel

    def put_bridge(self, bridge: Bridge) -> Bridge:
        """Remember a bridge as it is now."""
        _put(self.bridges, bridge.id, bridge, MAX_BRIDGES)
        return bridge

    def put(self, track: Track) -> Track:
        """Remember a call as it is now."""
        _put(self.tracks, track.id, replace(track, legs=track.legs[-MAX_LEGS:]), MAX_TRACKS)
        return self.tracks[track.id]

    def open_track(self, call: str) -> Track | None:
        """The call, if it is known and its end was not said yet."""
        track = self.tracks.get(call)
        return None if track is None or track.done else track

    def of_call(self, call: str) -> Iterator[Channel]:
        """The channels of a call that belong to somebody."""
        return (each for each in self.channels.values() if each.call == call and each.party.side in REAL)

    def behind(self, channel: Channel, depth: int = 4) -> Channel | None:
        """Who is really at this end: for half of a Local channel whoever is at the other half; None where nobody is yet."""
        if channel.party.side in REAL:
            return channel
        if channel.party.side is not Side.LOCAL or not depth:
            return None
        other = self.other_half(channel)
        if other is None:
            return None
        track = self.tracks.get(other.call)
        for leg in track.legs if track is not None else ():
            beyond = self.channels.get(leg.channel)
            if leg.by == other.id and leg.status == ANSWERED and beyond is not None and (found := self.behind(beyond, depth - 1)):
                return found
            if leg.channel == other.id and (caller := self.channels.get(leg.by)) is not None:
                return self.behind(caller, depth - 1)
        for member in self.bridges[other.bridge].members if other.bridge in self.bridges else ():
            if member != other.id and (beyond := self.channels.get(member)) and (found := self.behind(beyond, depth - 1)):
                return found
        return None

    def other_half(self, channel: Channel) -> Channel | None:
        """The other half of a Local channel, while it is there."""
        name = other_half(channel.name)
        return next((each for each in self.channels.values() if each.name == name), None) if name else None

    def is_customer(self, track: Track, channel: Channel) -> bool:
        """Whether this channel is the customer's in this call."""
        if track.direction is Direction.INCOMING:
            return channel.id == track.customer
        return track.direction is Direction.OUTGOING and channel.party.side is Side.OUTSIDE and channel.call == track.id

    def number(self, said: str) -> str:
        """A number in this house's one spelling."""
        return normalise_number(said, self.pbx.country)

    # -- saying things --------------------------------------------------------------------------------------------

    def base(self, at_ms: int | None = None, raw: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """What every observation carries."""
        bodies = [dict(each) for each in raw]
        body = self.raw if not bodies else bodies[0] if len(bodies) == 1 else {"messages": bodies}
        return {"heard_ms": self.at_ms if at_ms is None else at_ms, "wire": self.pbx.wire, "raw": redact(body)}

    def say(self, track: Track, event: AnyObservation) -> Track:
        """Say something of a call, in its own stream. The same words a second time are news, not a repeat."""
        said = self._say(f"call/{track.id}", event, track.said, again=track.resumed_ms is not None)
        return self.put(replace(track, said=said, told=True))

    def say_of_bridge(self, bridge: Bridge, event: AnyObservation) -> Bridge:
        """The same for a bridge."""
        said = self._say(f"bridge/{bridge.id}", event, bridge.said, again=bridge.resumed)
        return self.put_bridge(replace(bridge, said=said, ever=True))

    def _say(self, stream: str, event: AnyObservation, said: frozenset[bytes], *, again: bool) -> frozenset[bytes]:
        digest = content_digest(event, stream)
        mark = digest
        if again or digest in said:
            mark = hashlib.sha256(b"again\0" + digest + str(event.heard_ms).encode()).digest()
        self._out.append(Heard(event=event, stream=stream, digest=mark))
        return said if len(said) >= MAX_SAID else said | {digest}

    # -- a call's beginning and its dials -------------------------------------------------------------------------

    def arrive(self, channel: Channel | None) -> None:
        """Somebody calls from outside, if this channel is a trunk's that began the call and that Asterisk did not make itself."""
        if channel is None or channel.id != channel.call or channel.called or channel.party.side is not Side.OUTSIDE:
            return
        if channel.call in self.tracks:
            return
        track = Track(
            id=channel.call,
            born_ms=channel.born_ms,
            direction=Direction.INCOMING,
            number=self.number(channel.caller_id),
            trunk=channel.party.who,
            customer=channel.id,
        )
        event = ArrivalObserved(**self.base(channel.born_ms), channel=track.id, number=track.number, trunk=track.trunk)
        self.say(track, event)

    def begin(self, track: Track, leg: Leg) -> Track:
        """A telephone or a trunk is being called from now on."""
        track = self.put(replace(track, legs=(*track.legs, leg), hung=None))
        if leg.own and leg.side in REAL:
            self._say_clicked(track, leg)
        if leg.own or leg.side not in REAL or track.direction is None:
            return track
        if track.direction is Direction.OUTGOING and (leg.side is Side.OUTSIDE or leg.who == track.caller):
            track = self.flush(track)
            return self.say(track, self._dial(track, Direction.OUTGOING, (track.caller,) if track.caller else ()))
        pending = track.pending
        pending = replace(
            pending,
            begun=(*pending.begun, leg.channel),
            begun_ms=pending.begun_ms if pending.begun else self.at_ms,
            begun_raw=(*pending.begun_raw, self.raw)[:MAX_RAW],
        )
        return self._hold_back(track, pending, GATHER_MS)

    def _say_clicked(self, track: Track, leg: Leg) -> None:
        """A click-to-call begins when the first telephone is called, before it is known whom it is for: said of the channel."""
        channel = self.channels.get(leg.channel)
        event = CallerIdObserved(
            **self.base(track.born_ms),
            channel=track.id,
            channel_name=channel.party.shown if channel is not None else "",
            caller_id=leg.who,
        )
        self._say(f"channel/{track.id}", event, track.said, again=False)

    def end_leg(self, track: Track, leg: Leg) -> Track:
        """It is not called any more, and nobody answered."""
        legs = tuple(leg if each.channel == leg.channel else each for each in track.legs)
        track = self.put(replace(track, legs=legs))
        if leg.own or leg.side not in REAL:
            return track
        pending = track.pending
        pending = replace(
            pending,
            ended=(*pending.ended, leg.channel),
            ended_ms=pending.ended_ms if pending.ended else self.at_ms,
            ended_raw=(*pending.ended_raw, self.raw)[:MAX_RAW],
        )
        return self._hold_back(track, pending, GATHER_MS)

    def answer(self, track: Track, leg: Leg) -> Track:
        """Somebody answered (the employee, his own telephone, or the customer)."""
        legs = tuple(leg if each.channel == leg.channel else each for each in track.legs)
        if all(each.channel != leg.channel for each in track.legs):
            legs = (*legs, leg)
        real = leg.side in REAL
        answered_ms = self.at_ms if real and track.answered_ms is None else track.answered_ms
        return self.flush(self.put(replace(track, legs=legs, answered_ms=answered_ms)))

    def asked_to_hang_up(self, track: Track, by: str) -> Track:
        """One side asked to hang up. Whoever does so after all is decided decides nothing."""
        talking = any(channel.bridge for channel in self.of_call(track.id))
        ringing = any(leg.is_open and not leg.own and leg.side in REAL for leg in track.legs)
        fresh = all(leg.own or leg.side not in REAL for leg in track.legs)
        trying = not talking and (ringing or track.queued or fresh)
        calling = ("external", track.caller)
        before = track.hung
        refused = before is not None and before.trying and before.by not in calling  # one telephone of several
        glare = before is not None and not refused and self.at_ms - before.at_ms <= GLARE_MS
        if glare or (before is not None and not (talking or trying)):
            return track
        return self.put(replace(track, hung=HungUp(by=by, at_ms=self.at_ms, trying=trying)))

    def over(self, track: Track) -> None:
        """See whether the call is over, now that a channel of it is gone or went to another call."""
        left = list(self.of_call(track.id))
        if track.done or not track.told:
            if not left:
                self.tracks.pop(track.id, None)
            return
        if track.direction is Direction.INCOMING and track.customer in self.channels:
            return
        if track.direction is Direction.OUTGOING and any(leg.channel in self.channels for leg in track.legs if leg.is_reached):
            return  # whom it had reached was brought together with another call's customer: his channel is that call's now
        if left and track.direction is not Direction.INCOMING:
            return
        first = track.pending.over_ms is None
        raw = (*track.pending.over_raw, self.raw)[:MAX_RAW]
        track = self.put(replace(track, pending=replace(track.pending, over_ms=self.at_ms, over_raw=raw)))
        if not left:
            self.flush(track)
        elif first:
            self._hold_back(track, track.pending, OVER_MS)

    def _hold_back(self, track: Track, pending: Pending, for_ms: int) -> Track:
        due_ms = self.at_ms + for_ms
        return self.put(replace(track, pending=pending, due_ms=due_ms if track.due_ms is None else min(track.due_ms, due_ms)))

    def flush_due(self) -> None:
        """Say what was held back long enough."""
        for track in list(self.tracks.values()):
            if track.due_ms is not None and track.due_ms <= self.at_ms:
                self.flush(track)

    def flush(self, track: Track) -> Track:
        """Say what was held back of a call."""
        pending = track.pending
        if pending == _NOTHING:
            return track
        track = self.put(replace(track, pending=_NOTHING, due_ms=None))
        track = self._say_ended(track, pending, [leg for leg in pending.ended if leg not in pending.begun])
        if pending.begun and track.direction is not None:
            whole = [leg for leg in track.legs if not leg.own and leg.side in REAL]
            rung = [leg.who for leg in whole if leg.channel in pending.begun or (leg.is_open and self._is_rung(track, leg))]
            direction = Direction.INTERNAL if track.direction is Direction.OUTGOING else track.direction
            event = self._dial(track, direction, tuple(dict.fromkeys(rung)), pending.begun_ms, pending.begun_raw)
            track = self.say(track, event)
        track = self._say_ended(track, pending, [leg for leg in pending.ended if leg in pending.begun])
        if pending.over_ms is not None:
            track = self._hang_up(track, pending.over_ms, pending.over_raw)
        return track

    def _is_rung(self, track: Track, leg: Leg) -> bool:
        return track.direction is not Direction.OUTGOING or leg.side is Side.PHONE

    def _dial(
        self,
        track: Track,
        direction: Direction,
        extensions: tuple[str, ...],
        at_ms: int | None = None,
        raw: Iterable[Mapping[str, Any]] = (),
    ) -> DialObserved:
        internal = direction is Direction.INTERNAL
        return DialObserved(
            **self.base(at_ms, raw),
            channel=track.id,
            direction=direction,
            number=self.number(track.caller) if internal else track.number,
            extensions=extensions,
            trunk="" if internal else track.trunk,
        )

    def _say_ended(self, track: Track, pending: Pending, channels: list[str]) -> Track:
        """Which telephones stopped ringing, and why: where the call goes on, or they stopped for different reasons."""
        answered = bool(track.talked) or any(leg.status == ANSWERED and not leg.own and leg.side in REAL for leg in track.legs)
        by_reason: dict[tuple[str, str], list[str]] = {}
        for leg in track.legs:
            if leg.channel not in channels:
                continue
            how = leg_end(leg).value
            if how == Outcome.CANCELLED and (answered or pending.over_ms is not None):
                continue
            outward = track.direction is Direction.OUTGOING and leg.side is Side.OUTSIDE
            by_reason.setdefault((how, leg.trunk if outward else ""), []).extend(() if outward else (leg.who,))
        if pending.over_ms is not None and len({leg_end(leg) for leg in track.legs if not leg.own and leg.side in REAL}) <= 1:
            return track  # the verdict says the same
        for (how, trunk), extensions in by_reason.items():
            event = RingEnded(
                **self.base(pending.ended_ms, pending.ended_raw), extensions=tuple(dict.fromkeys(extensions)), how=how, trunk=trunk
            )
            track = self.say(track, event)
        return track

    def _hang_up(self, track: Track, ended_ms: int, raw: Iterable[Mapping[str, Any]]) -> Track:
        legs = [leg for leg in track.legs if not leg.own and leg.side in REAL]
        outward = track.direction is Direction.OUTGOING
        reached = [leg.who for leg in legs if leg.status == ANSWERED and (not outward or leg.side is Side.OUTSIDE)]
        answered = bool(track.talked or reached)
        rung = tuple(dict.fromkeys(leg.who for leg in legs))
        took_part = track.talked or tuple(dict.fromkeys(reached))
        direction = track.direction or Direction.INTERNAL
        by, gave_up, heard = self._hung_up_by(track, legs, ended_ms)
        end = verdict(
            direction, legs, answered=answered, gave_up=gave_up, turned_away=track.turned_away, cause=track.cause
        )
        event = HangupObserved(
            **self.base(self.at_ms if track.gap else ended_ms, raw),
            channel=track.id,
            direction=direction,
            number=self.number(track.caller) if direction is Direction.INTERNAL else track.number,
            extensions=((track.caller,) if track.caller else ()) if outward else took_part if answered else rung,
            answered=answered,
            received_ms=track.born_ms,
            started_ms=track.born_ms,
            ended_ms=ended_ms,
            trunk=track.trunk,
            precise=not track.gap,
            verdict=end.value if (heard or answered) and not track.gap else "",
            hung_up_by=by,
            cause=track.cause,
            answered_ms=track.answered_ms,
        )
        track = self.put(replace(self.say(track, event), done=True))
        if not any(self.of_call(track.id)):
            self.tracks.pop(track.id, None)
        return track

    def _hung_up_by(self, track: Track, legs: list[Leg], ended_ms: int) -> tuple[str, bool, bool]:
        """Who hung up, whether whoever called gave up by that, and whether this was heard at all."""
        calling = "external" if track.direction is Direction.INCOMING else track.caller
        if track.gap:
            return "", False, False
        if track.hung is not None:
            return track.hung.by, track.hung.trying and track.hung.by == calling, True
        missed_ms = JUST_BEFORE_MS if track.resumed_ms is None else ended_ms - track.resumed_ms
        if missed_ms >= JUST_BEFORE_MS or any(leg.status in _BY_THE_PBX for leg in legs):
            return "pbx", False, True
        # Listening began after the request to hang up: a dial that was taken back shows whose it was.
        taken_back = any(leg.status == CANCELLED for leg in legs)
        return (calling if taken_back else ""), taken_back, taken_back


_NOTHING: Final = Pending()

T = TypeVar("T")


def _put(known: dict[str, T], key: str, value: T, most: int) -> None:
    known[key] = value
    if len(known) > most:
        del known[next(iter(known))]

Handler = Callable[[Desk, Mapping[str, Any]], None]
"""What one kind of message does at the desk."""
