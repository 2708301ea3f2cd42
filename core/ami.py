"""What an Asterisk says over its manager interface (AMI), as the same observations that the PBX script's wire gives.

A call is its Linkedid, which is the UniqueId by which the PBX script names it: where a PBX tells both ways, both fill one
stream, and whatever says the same is found to be a repeat. So everything after this (the switchboard, whose call it was, the
cards, the record) does not know which way a call was heard. Why so, and what else could have been done: decision 0018.

Versions 16 to 22 are understood. Messages are taken in the order in which they came (TCP keeps it); what is lost while
the connection is away is made good by :func:`resync`. Media, variables and CDRs say nothing that is needed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from core import ami_bridges, ami_clock, ami_transfers
from core.ami_channels import channel_of, destination_of
from core.ami_desk import Desk, Handler
from core.ami_peers import Pbx, Side, dialled_number, party_of
from core.ami_reading import ident, number_in, raw_of, said, text
from core.ami_resync import resync
from core.ami_state import Ami, Channel, HungUp, Track
from core.ami_verdict import ANSWERED, CANCELLED, GONE, Leg
from core.phone import digits
from core.signals import Heard
from core.values import Direction

__all__ = ["Ami", "Pbx", "hear", "resync", "tick"]

RINGING_HERE, RINGING_THERE, UP, TURNED_AWAY = 4, 5, 6, 7
_GIVING_UP: Final = frozenset({None, 0, 16, 31, 127})
TAKEN_BACK: Final = 487
"""The SIP answer to whoever took a call back."""

_REFUSED: Final = frozenset({"BUSY", "CONGESTION", "CHANUNAVAIL"})
"""Results of a dial that the called side caused, even if no hangup request was seen from it."""


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


def _on_channel(desk: Desk, message: Mapping[str, Any]) -> None:
    channel = channel_of(desk, message)
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
    """Note who asked to hang up; on the channel of a leg, also with which cause. ``SoftHangupRequest`` comes from the PBX
    itself and is not listened to."""
    channel = channel_of(desk, message)
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
    if channel.id == track.customer and _turns_away(track, channel, message):
        desk.put(replace(track, turned_away=True))
        return
    is_customer = desk.is_customer(track, real)
    if is_customer or channel.id == track.id or channel.bridge or (leg is not None and (leg.is_open or leg.own)):
        others = "external" if leg is None else leg.who
        by = "external" if is_customer else real.party.who if real.party.side is Side.PHONE else others
        for each in [track, *_brought_along(desk, track, channel)]:
            desk.asked_to_hang_up(each, by)


def _brought_along(desk: Desk, track: Track, channel: Channel) -> list[Track]:
    """Calls whose customers are in the same bridge, brought together with this call's."""
    here = set(desk.bridges[channel.bridge].members) if channel.bridge in desk.bridges else set()
    others = (each for each in desk.tracks.values() if each.id != track.id and not each.done)
    return [each for each in others if any(leg.is_reached and leg.channel in here for leg in each.legs)]


def _turns_away(track: Track, channel: Channel, message: Mapping[str, Any]) -> bool:
    """Whether a request on the caller's channel is the PBX's own refusal. Before the answer a caller can only give up.

    The cause alone does not tell: it is the one of a telephone that failed before, if one did. Whoever takes the call back says
    so (new versions tell it), and while a telephone rings the PBX refuses nobody.
    """
    if channel.state in (UP, TURNED_AWAY):
        return channel.state == TURNED_AWAY
    if number_in(message, "TechCause") == TAKEN_BACK or any(leg.is_open for leg in track.legs):
        return False
    return number_in(message, "Cause") not in _GIVING_UP


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
    channel = channel_of(desk, message)
    if channel is None:
        return
    desk.channels.pop(channel.id, None)
    if channel.bridge in desk.bridges:
        ami_bridges.leave(desk, channel, channel.bridge)
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
        if channel.call == track.id or channel.id in (track.id, track.customer) or (leg is not None and leg.is_reached):
            desk.over(track)
    done = desk.tracks.get(channel.call)
    if done is not None and done.done:
        desk.over(done)


# -- dials ---------------------------------------------------------------------------------------------------------


def _on_dial_begin(desk: Desk, message: Mapping[str, Any]) -> None:
    source, called = channel_of(desk, message), destination_of(desk, message)
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
    if leg.side is Side.PHONE and _is_consulted(desk, track, source):
        desk.put(replace(track, legs=(*track.legs, replace(leg, own=True))))  # it does not ring for the customer, or not yet
        return
    desk.begin(_directed(desk, track, source, leg, number), leg)


def _is_own(desk: Desk, track: Track, source: Channel | None) -> bool:
    """Whether it is the telephone of whoever calls: Asterisk was told to call it first, itself or through a Local channel."""
    if source is None:
        return True
    other = desk.other_half(source)
    return other is not None and any(leg.own and leg.channel == other.id for leg in track.legs)


def _is_consulted(desk: Desk, track: Track, source: Channel | None) -> bool:
    """Whether it is the telephone of a colleague who is asked by whoever talks with the customer and pressed a key for that
    (``atxfer``): he is called through a Local channel that nobody dialled."""
    other = desk.other_half(source) if source is not None else None
    return bool(track.talked) and other is not None and all(leg.channel != other.id for leg in track.legs)


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
    source, called = channel_of(desk, message), destination_of(desk, message)
    if called is None or text(message, "DialStatus") != "RINGING":
        return
    track = desk.open_track(source.call if source is not None else called.call)
    if track is not None:
        _rings(desk, track, called.id)


def _on_dial_end(desk: Desk, message: Mapping[str, Any]) -> None:
    source, called = channel_of(desk, message), destination_of(desk, message)
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
    if leg.asked or status == CANCELLED or (leg.own and track.talked):
        return
    who = "external" if track.direction is Direction.OUTGOING and leg.side is Side.OUTSIDE else leg.who
    refused = HungUp(by=who, at_ms=desk.at_ms) if status in _REFUSED else None
    if track.hung is None or not track.hung.trying or track.hung.by not in ("external", track.caller):
        desk.put(replace(track, hung=refused))


_HANDLERS: Final[Mapping[str, Handler]] = {
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
    **ami_bridges.HANDLERS,
    **ami_transfers.HANDLERS,
}
"""Every event that is listened to; all others are passed over."""
