"""Channels as a message tells of them: put on the desk, known from then on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.ami_desk import Desk
from core.ami_peers import Side, party_of
from core.ami_reading import ident, number_in, said, text
from core.ami_state import Channel


def channel_of(desk: Desk, message: Mapping[str, Any]) -> Channel | None:
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


def destination_of(desk: Desk, message: Mapping[str, Any]) -> Channel | None:
    """The channel that is dialled, by a message of a dial."""
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


def who_is(desk: Desk, message: Mapping[str, Any], prefix: str) -> str:
    """The extension (or the caller id) of a channel that a message names beside its own."""
    known = desk.channels.get(ident(message, f"{prefix}Uniqueid"))
    name, caller_id = text(message, f"{prefix}Channel"), said(message, f"{prefix}CallerIDNum")
    real = desk.behind(known) if known is not None else None
    party = real.party if real is not None else party_of(name, caller_id, desk.pbx) if name else None
    return party.who if party is not None and party.side is Side.PHONE else caller_id


def calls_of(desk: Desk, message: Mapping[str, Any], *prefixes: str) -> list[str]:
    """The calls of channels that a message names beside its own, by prefix."""
    found = []
    for prefix in prefixes:
        known = desk.channels.get(ident(message, f"{prefix}Uniqueid"))
        found += [known.call if known is not None else "", ident(message, f"{prefix}Linkedid")]
    return [each for each in dict.fromkeys(found) if each]
