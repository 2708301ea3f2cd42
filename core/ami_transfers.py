"""Queues, transfers, pick-ups, parking: what passes a call from one to another, told for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from core.ami_channels import calls_of, channel_of, who_is
from core.ami_desk import Desk, Handler
from core.ami_peers import party_of
from core.ami_reading import said, text
from core.ami_state import Track
from core.events import HandoverObserved
from core.values import Direction


def _on_queue(desk: Desk, message: Mapping[str, Any]) -> None:
    """Note whether the caller waits in a queue. ``QueueCallerAbandon`` says no more than that he does not: a queue that has no
    more time for him says it, too; whoever gives up has asked to hang up before.
    """
    channel = channel_of(desk, message)
    if channel is None:
        return
    desk.arrive(desk.channels.get(channel.call))
    track = desk.open_track(channel.call)
    if track is None:
        return
    desk.put(replace(track, queued=text(message, "Event") == "QueueCallerJoin"))


def _hand_over(desk: Desk, calls: list[str], kind: str, source: str, target: str) -> Track | None:
    """Say it of the customer's call among those that take part."""
    tracks = [track for call in calls if (track := desk.open_track(call)) is not None and track.told]
    tracks.sort(key=lambda track: track.direction is Direction.INTERNAL)
    if not tracks:
        return None
    track = desk.flush(tracks[0])
    return desk.say(track, HandoverObserved(**desk.base(), kind=kind, source=source, target=target))


def _on_blind_transfer(desk: Desk, message: Mapping[str, Any]) -> None:
    if text(message, "Result") == "Success":
        calls = calls_of(desk, message, "Transferee", "Transferer")
        _hand_over(desk, calls, "blind", who_is(desk, message, "Transferer"), said(message, "Extension"))


def _on_attended_transfer(desk: Desk, message: Mapping[str, Any]) -> None:
    if text(message, "Result") != "Success":
        return
    calls = calls_of(desk, message, "Transferee", "OrigTransferer", "TransferTarget", "SecondTransferer")
    target = who_is(desk, message, "TransferTarget")
    second = desk.open_track(next(iter(calls_of(desk, message, "SecondTransferer")), ""))
    rung = [leg for leg in second.legs if leg.is_open] if second is not None and not target else []
    target = target or (rung[0].who if rung else said(message, "SecondTransfererConnectedLineNum"))
    track = _hand_over(desk, calls, "attended", who_is(desk, message, "OrigTransferer"), target)
    if track is None or second is None:
        return
    if track.id == second.id:  # the consultation was one of the customer's call itself (a key was pressed)
        rung = [leg for leg in track.legs if leg.is_open and leg.own]
        track = desk.put(replace(track, legs=tuple(leg for leg in track.legs if leg not in rung)))
    for leg in rung:  # it was transferred while it still rang: it rings for the customer from now on
        track = desk.begin(track, replace(leg, own=False))


def _on_pickup(desk: Desk, message: Mapping[str, Any]) -> None:
    _hand_over(desk, calls_of(desk, message, "Target"), "pickup", who_is(desk, message, "Target"), who_is(desk, message, ""))


def _on_parked(desk: Desk, message: Mapping[str, Any]) -> None:
    parker = party_of(text(message, "ParkerDialString"), "", desk.pbx).who or who_is(desk, message, "Parker")
    _hand_over(desk, calls_of(desk, message, "Parkee"), "parked", parker, said(message, "ParkingSpace"))


def _on_unparked(desk: Desk, message: Mapping[str, Any]) -> None:
    space, retriever = said(message, "ParkingSpace"), who_is(desk, message, "Retriever")
    _hand_over(desk, calls_of(desk, message, "Parkee"), "retrieved", space, retriever)


HANDLERS: Final[Mapping[str, Handler]] = {
    "QueueCallerJoin": _on_queue,
    "QueueCallerLeave": _on_queue,
    "QueueCallerAbandon": _on_queue,
    "BlindTransfer": _on_blind_transfer,
    "AttendedTransfer": _on_attended_transfer,
    "Pickup": _on_pickup,
    "ParkedCall": _on_parked,
    "UnParkedCall": _on_unparked,
}
