"""What an Asterisk says over its manager interface (AMI), as the same observations that the PBX script's wire gives.

A call is its Linkedid, which is the UniqueId by which the PBX script names it: where a PBX tells both ways, both fill one
stream, and whatever says the same is found to be a repeat. So everything after this (the switchboard, whose call it was, the
cards, the record) does not know which way a call was heard. Why so, and what else could have been done: decision 0018.

Versions 16 to 22 are understood. Messages are taken in the order in which they came (TCP keeps it); what is lost while
the connection is away is made good by :func:`resync`. Media, variables and CDRs say nothing that is needed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from core import ami_clock
from core.ami_desk import Desk
from core.ami_peers import Pbx, Side, dialled_number, party_of
from core.ami_reading import ident, number_in, raw_of, said, text
from core.ami_resync import resync
from core.ami_state import Ami, Bridge, Channel, HungUp, Track
from core.ami_verdict import ANSWERED, CANCELLED, GONE, Leg
from core.events import BridgeClosed, HandoverObserved
from core.phone import digits
from core.signals import Heard
from core.values import Direction

__all__ = ["Ami", "Pbx", "hear", "resync", "tick"]

RINGING_HERE, RINGING_THERE, UP, TURNED_AWAY = 4, 5, 6, 7
_GIVING_UP: Final = frozenset({None, 0, 16, 31, 127})
_REFUSED: Final = frozenset({"BUSY", "CONGESTION", "CHANUNAVAIL"})
"""Ends of a dial that the other side brought about even where it asked for no hangup."""


def hear(state: Ami, message: Mapping[str, str], heard_ms: int, pbx: Pbx) -> tuple[Ami, tuple[Heard, ...]]:
    """Take in one message: events, and answers to ``Ping`` too (their Timestamp shows how far the PBX's clock is off).

    ``heard_ms`` is when it was read from the socket. Never raises; what means nothing for calls gives nothing. The result is
    said once: whoever cannot record it must keep it, not hear the message again.
    """
    clock, at_ms = ami_clock.read(state.clock, text(message, "Timestamp"), heard_ms)
    handler = _HANDLERS.get(text(message, "Event"))
    if handler is None and (state.due_ms is None or at_ms < state.due_ms):
        return replace(state, clock=clock, last_ms=max(state.last_ms, at_ms)), ()
    desk = Desk(state, pbx, at_ms, raw_of(message))
    desk.flush_due()
    if handler is not None:
        handler(desk, message)
    return desk.cleared(clock)


def tick(state: Ami, now_ms: int, pbx: Pbx) -> tuple[Ami, tuple[Heard, ...]]:
    """Say what was held back for a moment (the telephones of a ring group, the end of a call); see :attr:`Ami.due_ms`."""
    if state.due_ms is None or now_ms < state.due_ms:
        return state, ()
    desk = Desk(state, pbx, now_ms, {})
    desk.flush_due()
    after, heard = desk.cleared()
    return replace(after, last_ms=state.last_ms), heard  # nothing was heard of the PBX


# -- channels ------------------------------------------------------------------------------------------------------


def _channel(desk: Desk, message: Mapping[str, Any]) -> Channel | None:
    """The channel that a message is about, as the message says it is now."""
    id_, name, call = ident(message, "Uniqueid"), text(message, "Channel"), ident(message, "Linkedid")
    if not id_ or not name:
        return None
    known = desk.channels.get(id_)
    state, caller_id = number_in(message, "ChannelState"), text(message, "CallerIDNum")
    if known is None:
        known = Channel(id=id_, name=name, party=party_of(name, caller_id, desk.pbx), call=call or id_, born_ms=desk.at_ms)
    elif name != known.name:
        known = replace(known, name=name, party=party_of(name, known.caller_id, desk.pbx))
    left = known.call
    known = desk.put_channel(
        replace(
            known,
            state=known.state if state is None else state,
            caller_id=caller_id,
            connected=text(message, "ConnectedLineNum"),
            call=known.call if known.id in desk.tracks or not call else call,
        )
    )
    if left != known.call and (track := desk.tracks.get(left)) is not None:
        desk.over(track)  # it went to another call: of a consultation nothing may be left
    return known


def _destination(desk: Desk, message: Mapping[str, Any]) -> Channel | None:
    id_, name = ident(message, "DestUniqueid"), text(message, "DestChannel")
    if not id_ or not name:
        return None
    known = desk.channels.get(id_)
    if known is None:
        caller_id = text(message, "DestCallerIDNum")
        known = Channel(
            id=id_,
            name=name,
            party=party_of(name, caller_id, desk.pbx),
            call=ident(message, "DestLinkedid") or id_,
            born_ms=desk.at_ms,
            caller_id=caller_id,
            connected=text(message, "DestConnectedLineNum"),
        )
        desk.put_channel(known)
    return known


def _on_channel(desk: Desk, message: Mapping[str, Any]) -> None:
    channel = _channel(desk, message)
    if channel is None:
        return
    if channel.state == RINGING_HERE:
        desk.arrive(channel)
    track = desk.open_track(channel.call)
    if track is not None and channel.state == RINGING_THERE:
        _rings(desk, track, channel.id)


def _rings(desk: Desk, track: Track, channel: str) -> None:
    legs = tuple(replace(leg, rang=True) if leg.channel == channel else leg for leg in track.legs)
    desk.put(replace(track, legs=legs))


def _on_rename(desk: Desk, message: Mapping[str, Any]) -> None:
    known, name = desk.channels.get(ident(message, "Uniqueid")), text(message, "Newname")
    if known is not None and name:
        desk.put_channel(replace(known, name=name, party=party_of(name, known.caller_id, desk.pbx)))


def _on_hangup_request(desk: Desk, message: Mapping[str, Any]) -> None:
    """Who asked to hang up, and of a leg why. ``SoftHangupRequest`` is the PBX's own doing and not listened to."""
    channel = _channel(desk, message)
    if channel is None:
        return
    track = _track_of(desk, channel)
    if track is None:
        return
    leg = next((each for each in track.legs if each.channel == channel.id), None)
    if leg is not None:
        leg = replace(leg, asked=True, cause=number_in(message, "Cause"), sip=number_in(message, "TechCause"))
        track = _put_leg(desk, track, leg)
    real = desk.behind(channel)
    if real is None:
        return
    unanswered = channel.id == track.customer and channel.state != UP
    if unanswered and (channel.state == TURNED_AWAY or number_in(message, "Cause") not in _GIVING_UP):
        desk.put(replace(track, turned_away=True))  # a caller can only give up: this is the PBX's own refusal
    elif desk.is_customer(track, real):
        desk.asked_to_hang_up(track, "external")
    elif channel.id == track.id or channel.bridge or (leg is not None and (leg.is_open or leg.own)):
        desk.asked_to_hang_up(track, real.party.who if real.party.side is Side.PHONE or leg is None else leg.who)


def _track_of(desk: Desk, channel: Channel) -> Track | None:
    """The call that a channel takes part in: by its Linkedid, or by the bridge that it was put into (a pick-up)."""
    track = desk.open_track(channel.call)
    if track is not None or channel.bridge not in desk.bridges:
        return track
    members = (desk.channels.get(member) for member in desk.bridges[channel.bridge].members)
    return next((found for each in members if each is not None and (found := desk.open_track(each.call)) is not None), None)


def _put_leg(desk: Desk, track: Track, leg: Leg) -> Track:
    return desk.put(replace(track, legs=tuple(leg if each.channel == leg.channel else each for each in track.legs)))


def _on_hangup(desk: Desk, message: Mapping[str, Any]) -> None:
    channel = _channel(desk, message)
    if channel is None:
        return
    desk.channels.pop(channel.id, None)
    if channel.bridge in desk.bridges:
        _leave(desk, channel, channel.bridge)
    for track in [each for each in desk.tracks.values() if not each.done]:
        leg = next((each for each in track.legs if each.channel == channel.id), None)
        if leg is not None and (leg.is_open or leg.status != ANSWERED):
            cause = number_in(message, "Cause")
            sip = number_in(message, "TechCause")
            gone = replace(leg, cause=cause if leg.cause is None else leg.cause, sip=leg.sip or sip)
            track = _put_leg(desk, track, gone)
            if leg.is_open:
                track = desk.end_leg(track, replace(gone, status=GONE))
        if channel.id == track.id:
            track = desk.put(replace(track, cause=number_in(message, "Cause")))
        if channel.call == track.id or channel.id in (track.id, track.customer):
            desk.over(track)
    done = desk.tracks.get(channel.call)
    if done is not None and done.done:
        desk.over(done)


# -- dials ---------------------------------------------------------------------------------------------------------


def _on_dial_begin(desk: Desk, message: Mapping[str, Any]) -> None:
    source, called = _channel(desk, message), _destination(desk, message)
    if called is None:
        return
    if source is None:
        called = desk.put_channel(replace(called, called=True))
    call = source.call if source is not None else called.call
    desk.arrive(desk.channels.get(call))
    anchor = desk.channels.get(call)
    track = desk.tracks.get(call) or Track(id=call, born_ms=anchor.born_ms if anchor is not None else desk.at_ms)
    if track.done or any(leg.channel == called.id for leg in track.legs):
        return
    outside = called.party.side is Side.OUTSIDE
    others = (said(message, "DestCallerIDNum"), said(message, "DestExten"), said(message, "Exten"))
    number = dialled_number(text(message, "DialString"), *others) if outside else ""
    leg = Leg(
        channel=called.id,
        who=digits(number) or called.party.who if outside else called.party.who,
        side=called.party.side,
        by=source.id if source is not None else "",
        trunk=called.party.who if outside else "",
        own=_is_own(desk, track, source),
    )
    desk.begin(_directed(desk, track, source, leg, number), leg)


def _is_own(desk: Desk, track: Track, source: Channel | None) -> bool:
    """Whether it is the telephone of whoever calls: Asterisk was told to call it first, itself or through a Local channel."""
    if source is None:
        return True
    other = desk.other_half(source)
    return other is not None and any(leg.own and leg.channel == other.id for leg in track.legs)


def _directed(desk: Desk, track: Track, source: Channel | None, leg: Leg, number: str) -> Track:
    """The call with its direction, as far as this dial shows it."""
    outside = leg.side is Side.OUTSIDE
    if leg.own:
        if outside:
            return replace(track, number=desk.number(number), trunk=leg.trunk)
        return replace(track, caller=leg.who) if leg.side is Side.PHONE else track
    if leg.side not in (Side.PHONE, Side.OUTSIDE):
        return track
    if track.direction is Direction.OUTGOING and outside:
        known = number if not track.told else ""
        return replace(track, trunk=leg.trunk, number=desk.number(known) if known else track.number)
    if track.direction is not None:
        return track
    real = desk.behind(source) if source is not None else None
    caller = real.party.who if real is not None and real.party.side is Side.PHONE else track.caller
    if real is not None and real.id != track.id and source is not None and source.id == track.id:
        track = replace(track, alias=real.id)
    called_first = real is not None and real.party.side is Side.OUTSIDE  # the customer was called before the employee
    if outside:
        return replace(track, direction=Direction.OUTGOING, caller=caller, number=desk.number(number), trunk=leg.trunk)
    if called_first:
        return replace(track, direction=Direction.OUTGOING, caller=leg.who)
    return replace(track, direction=Direction.INTERNAL, caller=caller or (source.caller_id if source is not None else ""))


def _on_dial_state(desk: Desk, message: Mapping[str, Any]) -> None:
    source, called = _channel(desk, message), _destination(desk, message)
    if called is None or text(message, "DialStatus") != "RINGING":
        return
    track = desk.open_track(source.call if source is not None else called.call)
    if track is not None:
        _rings(desk, track, called.id)


def _on_dial_end(desk: Desk, message: Mapping[str, Any]) -> None:
    source, called = _channel(desk, message), _destination(desk, message)
    if called is None:
        return
    track = desk.open_track(source.call if source is not None else called.call)
    status = text(message, "DialStatus").upper()
    if track is None or not status:
        return
    leg = next((each for each in track.legs if each.channel == called.id), None)
    if status == ANSWERED:
        # Whoever answers need not have been dialled: a colleague picked the call up.
        found = leg or Leg(channel=called.id, who=called.party.who, side=called.party.side, by=source.id if source else "")
        desk.answer(track, replace(found, status=ANSWERED))
        return
    if leg is None or not leg.is_open:
        return
    track = desk.end_leg(track, replace(leg, status=status))
    if leg.asked or status == CANCELLED:
        return
    who = "external" if track.direction is Direction.OUTGOING and leg.side is Side.OUTSIDE else leg.who
    refused = HungUp(by=who, at_ms=desk.at_ms) if status in _REFUSED else None
    if track.hung is None or not track.hung.trying or track.hung.by not in ("external", track.caller):
        desk.put(replace(track, hung=refused))


# -- bridges -------------------------------------------------------------------------------------------------------


def _bridge(desk: Desk, message: Mapping[str, Any]) -> Bridge | None:
    id_ = ident(message, "BridgeUniqueid")
    if not id_:
        return None
    holding = text(message, "BridgeTechnology") == "holding_bridge"
    known = desk.bridges.get(id_)
    return desk.put_bridge(replace(known or Bridge(id=id_), holding=holding))


def _on_bridge_create(desk: Desk, message: Mapping[str, Any]) -> None:
    _bridge(desk, message)


def _on_bridge_enter(desk: Desk, message: Mapping[str, Any]) -> None:
    channel, bridge = _channel(desk, message), _bridge(desk, message)
    if channel is None or bridge is None:
        return
    if channel.bridge and channel.bridge != bridge.id and channel.bridge in desk.bridges:
        _leave(desk, channel, channel.bridge)
    desk.arrive(desk.channels.get(channel.call))
    desk.put_channel(replace(channel, bridge=bridge.id))
    others = (each for each in bridge.members if each != channel.id)
    desk.put_bridge(replace(desk.bridges[bridge.id], members=(*others, channel.id)))
    desk.settle_bridges([bridge.id], entered=channel.id)


def _on_bridge_leave(desk: Desk, message: Mapping[str, Any]) -> None:
    channel, bridge = _channel(desk, message), _bridge(desk, message)
    if channel is not None and bridge is not None:
        _leave(desk, channel, bridge.id, number_in(message, "BridgeNumChannels"))


def _leave(desk: Desk, channel: Channel, bridge: str, remaining: int | None = None) -> None:
    before = desk.joined(bridge)
    known = desk.bridges[bridge]
    desk.put_bridge(replace(known, members=tuple(each for each in known.members if each != channel.id)))
    if channel.bridge == bridge and channel.id in desk.channels:
        desk.put_channel(replace(channel, bridge=""))
    desk.settle_bridges(before, gone=channel, remaining=remaining)


def _on_bridge_destroy(desk: Desk, message: Mapping[str, Any]) -> None:
    bridge = _bridge(desk, message)
    if bridge is None:
        return
    for member in bridge.members:
        channel = desk.channels.get(member)
        if channel is not None and channel.bridge == bridge.id:
            desk.put_channel(replace(channel, bridge=""))
    desk.put_bridge(replace(bridge, members=()))
    if bridge.ever:
        desk.say_of_bridge(bridge, BridgeClosed(**desk.base(), bridge=bridge.id))
    desk.bridges.pop(bridge.id, None)


# -- queues, transfers, pick-ups -----------------------------------------------------------------------------------


def _on_queue(desk: Desk, message: Mapping[str, Any]) -> None:
    channel = _channel(desk, message)
    if channel is None:
        return
    desk.arrive(desk.channels.get(channel.call))
    track = desk.open_track(channel.call)
    if track is None:
        return
    event = text(message, "Event")
    if event == "QueueCallerAbandon" and track.hung is None:
        track = replace(track, hung=HungUp(by="external", at_ms=desk.at_ms, trying=True))
    desk.put(replace(track, queued=event == "QueueCallerJoin"))


def _hand_over(desk: Desk, calls: list[str], kind: str, source: str, target: str) -> Track | None:
    """Say it of the customer's call among those that take part."""
    tracks = [track for call in calls if (track := desk.open_track(call)) is not None and track.told]
    tracks.sort(key=lambda track: track.direction is Direction.INTERNAL)
    if not tracks:
        return None
    track = desk.flush(tracks[0])
    return desk.say(track, HandoverObserved(**desk.base(), kind=kind, source=source, target=target))


def _who(desk: Desk, message: Mapping[str, Any], prefix: str) -> str:
    """The extension (or the caller id) of a channel that a message names beside its own."""
    known = desk.channels.get(ident(message, f"{prefix}Uniqueid"))
    name, caller_id = text(message, f"{prefix}Channel"), said(message, f"{prefix}CallerIDNum")
    real = desk.behind(known) if known is not None else None
    party = real.party if real is not None else party_of(name, caller_id, desk.pbx) if name else None
    return party.who if party is not None and party.side is Side.PHONE else caller_id


def _calls(desk: Desk, message: Mapping[str, Any], *prefixes: str) -> list[str]:
    found = []
    for prefix in prefixes:
        known = desk.channels.get(ident(message, f"{prefix}Uniqueid"))
        found += [known.call if known is not None else "", ident(message, f"{prefix}Linkedid")]
    return [each for each in dict.fromkeys(found) if each]


def _on_blind_transfer(desk: Desk, message: Mapping[str, Any]) -> None:
    if text(message, "Result") == "Success":
        calls = _calls(desk, message, "Transferee", "Transferer")
        _hand_over(desk, calls, "blind", _who(desk, message, "Transferer"), said(message, "Extension"))


def _on_attended_transfer(desk: Desk, message: Mapping[str, Any]) -> None:
    if text(message, "Result") != "Success":
        return
    calls = _calls(desk, message, "Transferee", "OrigTransferer", "TransferTarget", "SecondTransferer")
    target = _who(desk, message, "TransferTarget")
    second = desk.open_track(next(iter(_calls(desk, message, "SecondTransferer")), ""))
    rung = [leg for leg in second.legs if leg.is_open] if second is not None and not target else []
    target = target or (rung[0].who if rung else said(message, "SecondTransfererConnectedLineNum"))
    track = _hand_over(desk, calls, "attended", _who(desk, message, "OrigTransferer"), target)
    if track is not None and second is not None and track.id != second.id:
        for leg in rung:  # it was transferred while it still rang: it rings for the customer from now on
            track = desk.begin(track, leg)


def _on_pickup(desk: Desk, message: Mapping[str, Any]) -> None:
    _hand_over(desk, _calls(desk, message, "Target"), "pickup", _who(desk, message, "Target"), _who(desk, message, ""))


def _on_parked(desk: Desk, message: Mapping[str, Any]) -> None:
    parker = party_of(text(message, "ParkerDialString"), "", desk.pbx).who or _who(desk, message, "Parker")
    _hand_over(desk, _calls(desk, message, "Parkee"), "parked", parker, said(message, "ParkingSpace"))


def _on_unparked(desk: Desk, message: Mapping[str, Any]) -> None:
    space, retriever = said(message, "ParkingSpace"), _who(desk, message, "Retriever")
    _hand_over(desk, _calls(desk, message, "Parkee"), "retrieved", space, retriever)


_HANDLERS: Final[Mapping[str, Callable[[Desk, Mapping[str, Any]], None]]] = {
    "Newchannel": _on_channel,
    "Newstate": _on_channel,
    "NewCallerid": _on_channel,
    "NewConnectedLine": _on_channel,
    "NewExten": _on_channel,
    "Newexten": _on_channel,
    "Hold": _on_channel,
    "Unhold": _on_channel,
    "Rename": _on_rename,
    "HangupRequest": _on_hangup_request,
    "SoftHangupRequest": _on_channel,
    "Hangup": _on_hangup,
    "DialBegin": _on_dial_begin,
    "DialState": _on_dial_state,
    "DialEnd": _on_dial_end,
    "BridgeCreate": _on_bridge_create,
    "BridgeEnter": _on_bridge_enter,
    "BridgeLeave": _on_bridge_leave,
    "BridgeDestroy": _on_bridge_destroy,
    "QueueCallerJoin": _on_queue,
    "QueueCallerLeave": _on_queue,
    "QueueCallerAbandon": _on_queue,
    "BlindTransfer": _on_blind_transfer,
    "AttendedTransfer": _on_attended_transfer,
    "Pickup": _on_pickup,
    "ParkedCall": _on_parked,
    "UnParkedCall": _on_unparked,
}
"""Every event that is listened to; all others are passed over."""
