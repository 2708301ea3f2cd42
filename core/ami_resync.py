"""After a gap: what the PBX says is up now, against what was thought to be (PRODUCT A10).

A connection that was away has missed events that will not come again. The list of channels says which calls are still up, who
is in which bridge and which telephones ring; from the difference follow the observations that bring each call up to date. How
a call ended that is gone meanwhile, nobody heard: its hangup says no verdict, and as its end when the PBX was last heard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from core.ami_bridges import settle, tell_left
from core.ami_clock import PbxClock
from core.ami_desk import REAL, Desk
from core.ami_peers import Pbx, Side, party_of
from core.ami_reading import ident, number_in, raw_of, text
from core.ami_state import Ami, Bridge, Channel, Track
from core.ami_verdict import GONE, RANG_BEFORE, Leg
from core.call import Call
from core.conclusions import start_ms
from core.events import BridgeClosed, RingEnded
from core.phone import digits, looks_like_extension
from core.signals import Heard
from core.values import Direction

RINGING, UP = 5, 6
_CALLED: Final = frozenset({"appdial", "appdial2", "appqueue"})
"""What CoreShowChannel names as the application of a channel that Asterisk itself called."""

_BORN_LATE_MS: Final = 2_000
"""A channel may be older by this than the list shows: it tells whole seconds, and was some time under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One line of the list."""

    channel: Channel
    application: str
    raw: Mapping[str, Any]


def resync(
    state: Ami, channels: Sequence[Mapping[str, str]], open_calls: Sequence[Call], heard_ms: int, pbx: Pbx
) -> tuple[Ami, tuple[Heard, ...]]:
    """Bring every call up to date after a connection or re-connection, and whenever else one wants to be sure.

    ``channels``: the CoreShowChannel events of a CoreShowChannels that was asked before the first message that goes to
    :func:`core.ami.hear`. ``open_calls``: the folded calls of this connection (:attr:`core.ami_peers.Pbx.wire`) that are not
    known to be over; those in ``state`` are known better. Without a gap nothing follows.
    """
    seen = {each.channel.id: each for each in _listed(state, channels, heard_ms, pbx)}
    alive_ms = state.last_ms or max((call.last_heard_ms or 0 for call in open_calls), default=0) or heard_ms
    desk = Desk(replace(state, clock=PbxClock(), channels={}), pbx, heard_ms, {"Event": "CoreShowChannelsComplete"})
    known = dict(state.channels)
    for call in open_calls:
        if call.id not in desk.tracks:
            desk.put(_resumed(call))
            known |= _remember(desk, call, pbx)
    for each in seen.values():
        own = each.channel.id in desk.tracks  # a call of its own stays one, whatever it was joined to
        desk.put_channel(replace(each.channel, bridge="", call=each.channel.id if own else each.channel.call))
    _close_bridges(desk, known, seen, min(alive_ms, heard_ms))
    for track in list(desk.tracks.values()):
        _compare(desk, track, seen, min(alive_ms, heard_ms))
    for each in seen.values():
        _meet(desk, each, seen)
    _enter_bridges(desk, seen)
    return desk.cleared(PbxClock())


def _listed(state: Ami, channels: Sequence[Mapping[str, str]], heard_ms: int, pbx: Pbx) -> Iterator[_Seen]:
    for message in channels:
        id_, name = ident(message, "Uniqueid"), text(message, "Channel")
        if not id_ or not name:
            continue
        known = state.channels.get(id_)
        caller_id = text(message, "CallerIDNum")
        application = text(message, "Application").lower()
        party = known.party if known is not None and known.name == name else party_of(name, caller_id, pbx)
        call = ident(message, "Linkedid") or id_
        channel = Channel(
            id=id_,
            name=name,
            party=party,
            call=call,
            born_ms=known.born_ms if known is not None else heard_ms - _duration_ms(message),
            state=number_in(message, "ChannelState") or 0,
            caller_id=caller_id,
            connected=text(message, "ConnectedLineNum"),
            bridge=ident(message, "BridgeId"),
            called=application in _CALLED or (known is not None and known.called),
        )
        yield _Seen(channel=channel, application=application, raw=raw_of(message))


def _duration_ms(message: Mapping[str, Any]) -> int:
    """How long the channel has been up (``HH:MM:SS``)."""
    parts = text(message, "Duration").split(":")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 4 for part in parts):
        return 0
    hours, minutes, seconds = (int(part) for part in parts)
    return ((hours * 60 + minutes) * 60 + seconds) * 1_000


# -- what was known ------------------------------------------------------------------------------------------------


def _resumed(call: Call) -> Track:
    """A call of the database, as this connection would have known it."""
    talks = call.talks
    loud = {*call.ringing, *(talk.extension for talk in talks)}
    past = tuple(
        Leg(channel=f"before {extension}", who=extension, side=Side.PHONE, status=RANG_BEFORE)
        for extension in call.rung
        if extension not in loud and call.direction is not Direction.OUTGOING
    )
    return Track(
        id=call.id,
        born_ms=start_ms(call),
        direction=call.direction,
        number=call.number,
        trunk=call.trunk,
        caller=call.caller,
        customer=call.id if call.direction is Direction.INCOMING else "",
        legs=past,
        talked=tuple(dict.fromkeys(talk.extension for talk in talks)),
        answered_ms=min((talk.start_ms for talk in talks), default=None),
        told=True,
    )


def _remember(desk: Desk, call: Call, pbx: Pbx) -> dict[str, Channel]:
    """Who was told to be in which bridge, and the telephones that were told to ring, as legs whose channels are not known."""
    found: dict[str, Channel] = {}
    for stay in call.bridges.stays:
        if stay.entered_ms is None or stay.left_ms is not None:
            continue
        bridge = desk.bridges.get(stay.bridge) or Bridge(id=stay.bridge, ever=True, resumed=True)
        desk.put_bridge(replace(bridge, told=bridge.told | {stay.channel}))
        found[stay.channel] = Channel(
            id=stay.channel,
            name=stay.channel_name,
            party=party_of(stay.channel_name, stay.caller_id, pbx),
            call=call.id,
            born_ms=stay.entered_ms,
            caller_id=stay.caller_id,
            connected=stay.connected,
        )
    track = desk.tracks[call.id]
    if call.direction is not Direction.OUTGOING and not call.talking:
        legs = tuple(Leg(channel=f"before {each}", who=each, side=_side(each)) for each in call.ringing)
        desk.put(replace(track, legs=(*track.legs, *legs)))
    return found


def _side(extension: str) -> Side:
    return Side.PHONE if looks_like_extension(extension) else Side.OUTSIDE


# -- what is gone --------------------------------------------------------------------------------------------------


def _close_bridges(desk: Desk, known: Mapping[str, Channel], seen: Mapping[str, _Seen], alive_ms: int) -> None:
    """Bridges that nobody is in any more are closed; whoever left one that goes on, left."""
    used = {each.channel.bridge for each in seen.values()}
    for bridge in list(desk.bridges.values()):
        if bridge.id not in used:
            if bridge.told:
                desk.say_of_bridge(bridge, BridgeClosed(**desk.base(alive_ms), bridge=bridge.id))
            desk.bridges.pop(bridge.id, None)
            continue
        members = tuple(each.channel.id for each in seen.values() if each.channel.bridge == bridge.id)
        # Someone at the far end of a Local channel was told to be here without being a member, and is left to the settling.
        gone = [each for each in bridge.told if each not in members and (each not in seen or each in bridge.members)]
        for id_ in sorted(gone):
            channel = known.get(id_)
            bridge = tell_left(desk, bridge, channel, at_ms=alive_ms) if channel is not None else bridge
        desk.put_bridge(replace(bridge, members=()))


def _compare(desk: Desk, track: Track, seen: Mapping[str, _Seen], alive_ms: int) -> None:
    """One call that was known: over, or as it is now."""
    own = [each.channel for each in seen.values() if each.channel.call == track.id and each.channel.party.side in REAL]
    alive = track.customer in seen if track.direction is Direction.INCOMING else bool(own)
    if track.done or not (alive or track.told):
        if not own:
            desk.tracks.pop(track.id, None)
        return
    if not alive:
        gap = track.pending.over_ms is None  # else its end was heard, and only held back
        pending = replace(track.pending, over_ms=alive_ms) if gap else track.pending
        desk.flush(desk.put(replace(track, gap=gap, pending=pending)))
        return
    rings_on = _rings_on(track, [each for each in own if each.id not in desk.tracks], alive_ms)
    legs: list[Leg] = []
    for leg in track.legs:
        if leg.channel in rings_on:
            legs.append(replace(leg, channel=rings_on[leg.channel]))
        elif leg.is_open and not leg.own and leg.side is not Side.LOCAL and leg.channel not in seen:
            legs.append(replace(leg, status=GONE))
        else:
            legs.append(leg)  # it rings on, or was just answered: the bridge tells
    stopped = [leg.who for leg, before in zip(legs, track.legs, strict=True) if leg.status == GONE and before.is_open]
    queued = any(each.application == "queue" for each in seen.values() if each.channel.id == track.customer)
    desk.put(replace(track, legs=tuple(legs), queued=queued, resumed_ms=desk.at_ms))
    if stopped and track.direction is not Direction.OUTGOING:
        desk.say(desk.tracks[track.id], RingEnded(**desk.base(alive_ms), extensions=tuple(dict.fromkeys(stopped))))


def _rings_on(track: Track, own: Sequence[Channel], alive_ms: int) -> Mapping[str, str]:
    """The channels of the legs that rang before this connection began, by the name that each leg has here.

    A trunk's channel may show the company's own number instead of the one that it rings. So numbers outside that no channel shows
    are the trunks' channels that were there before the gap, in the order in which they were made; answered meanwhile or not.
    """
    before = [leg for leg in track.legs if leg.channel.startswith("before ") and leg.is_open]
    rung = [each for each in own if _is_rung(track, each) or each.party.side is Side.OUTSIDE]
    shown = {leg.channel: each.id for leg in before for each in rung if leg.who in (each.party.who, digits(each.caller_id))}
    hidden = [leg.channel for leg in before if leg.side is Side.OUTSIDE and leg.channel not in shown]
    taken = {*shown.values(), *(leg.channel for leg in track.legs)}
    trunks = [each for each in own if each.party.side is Side.OUTSIDE and each.id not in taken]
    older = [each.id for each in trunks if each.born_ms - _BORN_LATE_MS <= alive_ms]
    # Where one stopped meanwhile it may be the wrong one that is named: still an answered call, and no missed one.
    return shown | dict(zip(hidden, sorted(older, key=lambda id_: (len(id_), id_)), strict=False))


def _is_rung(track: Track, channel: Channel) -> bool:
    if channel.id in (track.customer, track.id) or channel.bridge:
        return False
    return channel.state == RINGING or (channel.called and channel.state < UP)


# -- what is there -------------------------------------------------------------------------------------------------


def _meet(desk: Desk, each: _Seen, seen: Mapping[str, _Seen]) -> None:
    """A channel that is up: somebody who arrived, or a leg that began while nobody listened."""
    channel = each.channel
    if channel.party.side not in REAL:
        return
    desk.raw = each.raw
    anchor = seen.get(channel.call)
    if anchor is not None and anchor.channel.state != 0:
        desk.arrive(desk.channels.get(channel.call))
    track = desk.tracks.get(channel.call)
    if channel.id == channel.call:
        return
    outside = channel.party.side is Side.OUTSIDE
    if track is None or track.direction is None:
        track = _found(desk, channel, anchor.channel if anchor is not None else None, track)
    if track is None or track.done or channel.id == track.customer or any(leg.channel == channel.id for leg in track.legs):
        return
    leg = Leg(
        channel=channel.id,
        who=digits(channel.caller_id) or channel.party.who if outside else channel.party.who,
        side=channel.party.side,
        trunk=channel.party.who if outside else "",
        rang=channel.state >= RINGING,
    )
    if _is_rung(track, channel) or (outside and track.direction is Direction.OUTGOING and not track.told):
        desk.begin(track, leg)


def _found(desk: Desk, channel: Channel, anchor: Channel | None, known: Track | None) -> Track | None:
    """A call that nobody was told of yet, if this channel shows which way it goes. Arrivals are seen by their own channel."""
    legs = known.legs if known is not None else ()
    if not (channel.called or channel.state == RINGING) or any(leg.channel == channel.id for leg in legs):
        return known
    born_ms = anchor.born_ms if anchor is not None else channel.born_ms
    caller = anchor.party.who if anchor is not None and anchor.party.side is Side.PHONE else ""
    track = known or Track(id=channel.call, born_ms=born_ms, resumed_ms=desk.at_ms)
    track = replace(track, caller=caller or track.caller)
    if channel.party.side is Side.OUTSIDE:
        number, trunk = desk.number(channel.caller_id), channel.party.who
        return replace(track, direction=Direction.OUTGOING, number=number, trunk=trunk)
    return replace(track, direction=Direction.INTERNAL) if track.caller else known


def _enter_bridges(desk: Desk, seen: Mapping[str, _Seen]) -> None:
    for each in seen.values():
        bridge = each.channel.bridge
        if not bridge:
            continue
        known = desk.bridges.get(bridge) or Bridge(id=bridge, resumed=True)
        holding = known.holding or each.application == "park"
        desk.put_bridge(replace(known, members=(*known.members, each.channel.id), holding=holding))
        desk.put_channel(replace(desk.channels[each.channel.id], bridge=bridge))
    settle(desk, list(desk.bridges))
