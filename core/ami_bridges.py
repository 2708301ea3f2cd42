"""Bridges: who is in one with whom, told as the PBX script tells it, and who has thereby talked with the customer.

A Local channel is a pipe between two bridges: whoever is at its far end is told to be in the customer's bridge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from core.ami_channels import channel_of
from core.ami_desk import REAL, Desk, Handler
from core.ami_peers import Party, Side
from core.ami_reading import ident, number_in, text
from core.ami_state import Bridge, Channel, Track
from core.ami_verdict import ANSWERED, Leg
from core.events import BridgeClosed, BridgeEntered, BridgeLeft
from core.phone import same_number
from core.values import Direction


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
    channel, bridge = channel_of(desk, message), _bridge(desk, message)
    if channel is None or bridge is None:
        return
    if channel.bridge and channel.bridge != bridge.id and channel.bridge in desk.bridges:
        leave(desk, channel, channel.bridge)
    desk.arrive(desk.channels.get(channel.call))
    desk.put_channel(replace(channel, bridge=bridge.id))
    others = (each for each in bridge.members if each != channel.id)
    desk.put_bridge(replace(desk.bridges[bridge.id], members=(*others, channel.id)))
    settle(desk, [bridge.id], entered=channel.id)


def _on_bridge_leave(desk: Desk, message: Mapping[str, Any]) -> None:
    channel, bridge = channel_of(desk, message), _bridge(desk, message)
    if channel is not None and bridge is not None:
        leave(desk, channel, bridge.id, number_in(message, "BridgeNumChannels"))


def leave(desk: Desk, channel: Channel, bridge: str, remaining: int | None = None) -> None:
    """Somebody is not in this bridge any more."""
    before = joined(desk, bridge)
    known = desk.bridges[bridge]
    desk.put_bridge(replace(known, members=tuple(each for each in known.members if each != channel.id)))
    if channel.bridge == bridge and channel.id in desk.channels:
        desk.put_channel(replace(channel, bridge=""))
    settle(desk, before, gone=channel, remaining=remaining)


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


def joined(desk: Desk, bridge: str) -> tuple[str, ...]:
    """This bridge and all that are one with it through Local channels."""
    found = [bridge]
    for each in found:
        for member in desk.bridges[each].members if each in desk.bridges else ():
            channel = desk.channels.get(member)
            other = desk.other_half(channel) if channel is not None and channel.party.side is Side.LOCAL else None
            if other is not None and other.bridge and other.bridge not in found:
                found.append(other.bridge)
    return tuple(found)


def real_members(desk: Desk, bridges: Iterable[str]) -> list[Channel]:
    """Who is in these bridges, helpers and Local halves left out."""
    members = [member for each in bridges if each in desk.bridges for member in desk.bridges[each].members]
    found = [desk.channels[member] for member in members if member in desk.channels]
    return [channel for channel in found if channel.party.side in REAL]


def settle(
    desk: Desk, touched: Iterable[str], *, entered: str = "", gone: Channel | None = None, remaining: int | None = None
) -> None:
    """Say who is in which bridge now, as far as it is not what was said before.

    Who is at the far end of a Local channel is told to be in the customer's bridge. ``entered``: who has just come in;
    ``gone``: who has just left, and how many the message says are still there.
    """
    groups = dict.fromkeys(joined(desk, each) for each in touched)
    stale = {each.id for each in desk.bridges.values() if each.told - set(each.members)}
    for group in dict.fromkeys([*groups, *(joined(desk, each) for each in sorted(stale))]):
        present = real_members(desk, [each for each in group if not _is_holding(desk, each)])
        main = _main(group, present)
        for name in group:
            bridge = desk.bridges.get(name)
            if bridge is None or bridge.holding:
                continue
            inside = present if name == main else [each for each in present if each.id in bridge.members]
            _tell_bridge(desk, bridge, inside, gone, remaining)
        _note_talk(desk, present, entered)


def _is_holding(desk: Desk, bridge: str) -> bool:
    known = desk.bridges.get(bridge)
    return known is None or known.holding


def _main(group: tuple[str, ...], present: list[Channel]) -> str:
    if len(group) == 1:
        return group[0]
    outside = [channel.bridge for channel in present if channel.party.side is Side.OUTSIDE]
    return min(outside, default=min(group))


def _tell_bridge(desk: Desk, bridge: Bridge, inside: list[Channel], gone: Channel | None, remaining: int | None) -> None:
    for channel in inside:
        if channel.id not in bridge.told:
            event = BridgeEntered(**desk.base(), **_member(desk, bridge.id, channel))
            bridge = desk.say_of_bridge(replace(bridge, told=bridge.told | {channel.id}), event)
    for id_ in sorted(bridge.told - {channel.id for channel in inside}):
        told = gone if gone is not None and gone.id == id_ else None
        bridge = tell_left(desk, bridge, told or desk.channels.get(id_) or _unknown(id_), remaining if told else None)


def tell_left(desk: Desk, bridge: Bridge, channel: Channel, remaining: int | None = None, at_ms: int | None = None) -> Bridge:
    """Say that somebody left a bridge."""
    event = BridgeLeft(**desk.base(at_ms), **_member(desk, bridge.id, channel), remaining=remaining)
    return desk.say_of_bridge(replace(bridge, told=bridge.told - {channel.id}), event)


def _member(desk: Desk, bridge: str, channel: Channel) -> dict[str, Any]:
    """What is said of somebody in a bridge. Whoever was dialled outside is known by the number that was dialled, for the
    channel's own caller id may be the company's."""
    track = desk.tracks.get(channel.call)
    legs = track.legs if track is not None and channel.party.side is Side.OUTSIDE else ()
    dialled = next((leg.who for leg in legs if leg.channel == channel.id and not leg.own), "")
    theirs = not dialled or same_number(channel.caller_id, dialled)
    return {
        "bridge": bridge,
        "channel": track.id if track is not None and track.alias == channel.id else channel.id,
        "channel_name": channel.party.shown,
        "caller_id": channel.caller_id if theirs else dialled,
        "connected": channel.connected,
    }


def _note_talk(desk: Desk, present: list[Channel], entered: str) -> None:
    """Who is in one bridge with the customer talks with him; of an internal call, with whoever called."""
    for call in dict.fromkeys([*(each.call for each in present), *(each.id for each in present)]):
        track = desk.open_track(call)
        if track is None or len(present) < 2:
            continue
        if track.direction is Direction.INTERNAL:
            ours = [each for each in present if each.id == track.id or (each.party.who == track.caller and each.call == call)]
        else:
            ours = [each for each in present if desk.is_customer(track, each)]
        others = [each for each in present if each not in ours]
        if not ours or not others:
            continue
        if any(each.id == entered for each in present):
            track = desk.put(replace(track, hung=None))  # it goes on, whoever asked to hang up before
        for other in others:
            track = _meets(desk, track, other)
        open_legs = [leg for leg in track.legs if leg.is_open and any(each.id == leg.channel for each in ours)]
        for leg in open_legs:
            track = desk.answer(track, replace(leg, status=ANSWERED))


def _meets(desk: Desk, track: Track, other: Channel) -> Track:
    leg = next((each for each in track.legs if each.channel == other.id), None)
    who = leg.who if leg is not None and leg.side is Side.OUTSIDE else other.party.who
    if other.party.side is Side.OUTSIDE and leg is None:
        return track
    if who not in track.talked:
        track = desk.put(replace(track, talked=(*track.talked, who)))
    if track.answered_ms is None or (leg is not None and leg.is_open):
        answered = Leg(channel=other.id, who=who, side=other.party.side, status=ANSWERED)
        track = desk.answer(track, replace(leg, status=ANSWERED) if leg is not None else answered)
    return desk.flush(track)


def _unknown(channel: str) -> Channel:
    return Channel(id=channel, name="", party=Party(side=Side.HELPER, who="", shown=""), call="", born_ms=0)


HANDLERS: Final[Mapping[str, Handler]] = {
    "BridgeCreate": _on_bridge_create,
    "BridgeEnter": _on_bridge_enter,
    "BridgeLeave": _on_bridge_leave,
    "BridgeDestroy": _on_bridge_destroy,
}
