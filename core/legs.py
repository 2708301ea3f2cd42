"""Which signals belong to the same call: the switchboard's rules, pure.

The PBX names channels and bridges, not calls. A call is anchored by the channel that placed its Dial (the UniqueId of
its start, dial and hangup). Everything else is joined to it by what the wire proves:

1. a bridge that holds a call's anchor belongs to the call;
2. a trunk's channel in a bridge that belongs to a call is the customer's leg of it, unless it anchors a customer's call
   itself (what it dials when it was sent on is none, whatever its CallType says); an employee's channel is not: the employee
   may take part in another call next;
3. every bridge that leg enters belongs to the call too (the customer of an outgoing call is transferred);
4. an internal call that shares a bridge with a customer's call was its consultation, and is absorbed by it;
5. a hangup with CallType 2 that names a customer who has a call of his own at that time is that call's leg
   (CONTRACT-ASTERISK, quirk 2); of several calls of his, the one whose bridge the leg was in. A hidden customer is named by
   nothing but that bridge. A call whose end was not heard is up as long as a call may last (MS_CALL_MAX_S).

Two calls between the same two numbers run at once in real life, so a number joins nothing but rule 5's parasitic
hangup, and that only when it can be told whose it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from core.events import (
    ArrivalObserved,
    BridgeEntered,
    BridgeLeft,
    CardRequested,
    DialObserved,
    Event,
    HangupObserved,
    Observation,
)
from core.phone import digits, is_external_number, is_helper, looks_like_extension, strip_technology
from core.values import ANONYMOUS, LATEST_MS, Direction

PARASITE_WINDOW_MS: Final = 15_000
"""A parasitic leg and its call miss each other by no more than this."""

HELD_UP_MS: Final = 120_000
"""A live hangup may have waited so long until an outage was over. What seems to be later still is told by a wrong clock."""

LONGEST_MS: Final = 86_400_000
"""No leg is up for longer: a hangup that says so has a wrong time in it."""

UNENDED_MS: Final = 7_200_000
"""How long a call counts as up if no hangup says otherwise, by default (as MS_CALL_MAX_S): after that its hangup is lost."""


class Kind(StrEnum):
    """What is known of a call's nature. ``ARRIVED``: a customer's, heard to come in from outside, so that it is nobody's leg.
    ``DOUBTFUL``: only a CallType 2 hangup with a customer's number was heard."""

    CUSTOMER = "customer"
    ARRIVED = "arrived"
    INTERNAL = "internal"
    DOUBTFUL = "doubtful"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCall:
    """What the switchboard remembers of a call. ``number`` is digits only, empty when hidden. ``*_ms`` as heard."""

    id: str
    kind: Kind
    number: str = ""
    first_ms: int = 0
    ended_ms: int | None = None
    absorbed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Legs:
    """The part of one enterprise's switchboard that a signal can touch.

    ``members``: bridge -> channels ever in it, each with whether it is a trunk's; ``links``: leg stream
    (``bridge/…``, ``channel/…``) -> calls it belongs to. ``unended_ms``: how long a call without a hangup counts as up.
    """

    calls: Mapping[str, KnownCall] = field(default_factory=dict)
    members: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    links: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unended_ms: int = UNENDED_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A leg's stream belongs to a call from now on: everything it holds is to be relayed there."""

    leg: str
    call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Absorb:
    """``leg`` is a call that turned out to be part of ``into``. ``hangup`` carries rule 5's evidence, if it was that.

    ``told_before``: the evidence was heard before the call was: it is in the leg's own stream. ``certain``: its own dials, though
    they look like a customer's call, are no proof to the contrary.
    """

    leg: str
    into: str
    why: str
    hangup: HangupObserved | None = None
    told_before: bool = False
    certain: bool = False


def evidence_in(history: Iterable[Event | None], *, certain: bool = False) -> list[HangupObserved]:
    """The hangups of a leg that are evidence by rule 5 (:attr:`Absorb.told_before`), or all of them of a certain leg."""
    hangups = [event for event in history if isinstance(event, HangupObserved)]
    if certain:
        return [_as_evidence(hangup) for hangup in hangups]
    hangups = [hangup for hangup in hangups if hangup.direction is Direction.INTERNAL]
    return [hangup for hangup in hangups if customer_digits(hangup.number)]


def _as_evidence(hangup: HangupObserved) -> HangupObserved:
    """Extensions of what went out name who dialled."""
    return replace(hangup, extensions=()) if hangup.direction is Direction.OUTGOING else hangup


Finding = Link | Absorb


def hear(legs: Legs, stream: str, event: Event) -> tuple[Legs, tuple[Finding, ...]]:
    """Take in one observation from its own stream; returns what it newly proves. Hearing it again proves nothing new."""
    if not isinstance(event, Observation):
        return legs, ()
    kind, _, name = stream.partition("/")
    if kind == "bridge":
        if isinstance(event, BridgeEntered | BridgeLeft):
            legs = _with_member(legs, name, event)
    elif kind == "call":
        legs = _with_call(legs, name, event)
    elif kind == "channel":
        legs = _with_channel(legs, name)
    legs, links = _join(legs)
    if kind == "bridge":
        legs = _still_up(legs, stream, event.heard_ms)
    legs, handed_on = _absorb_handed_on(legs, kind, name, event) if kind != "channel" else (legs, ())
    legs, absorbed = _absorb_consultations(legs)
    legs, parasites = _absorb_parasites(legs, name, event) if kind == "call" else (legs, ())
    return legs, (*links, *handed_on, *absorbed, *parasites)


def _with_member(legs: Legs, bridge: str, event: BridgeEntered | BridgeLeft) -> Legs:
    members = dict(legs.members.get(bridge, {}))
    members[event.channel] = is_trunk(event)
    return replace(legs, members={**legs.members, bridge: members})


def is_trunk(event: BridgeEntered | BridgeLeft) -> bool:
    """Whether the channel comes from a trunk rather than from an employee's telephone."""
    if is_helper(event.channel_name):
        return False
    return not looks_like_extension(strip_technology(event.channel_name)) and not looks_like_extension(event.caller_id)


def _with_channel(legs: Legs, channel: str) -> Legs:
    leg = f"channel/{channel}"
    return legs if leg in legs.links else replace(legs, links={**legs.links, leg: frozenset()})


def _with_call(legs: Legs, call: str, event: Observation) -> Legs:
    """Remember the call; whatever proves a customer's call outweighs what makes it look internal."""
    known = legs.calls.get(call)
    kind, number = _nature(event)
    if kind is None:
        return legs
    began_ms, ended_ms = up_ms(event)
    if known is None:
        known = KnownCall(id=call, kind=kind, first_ms=began_ms)
    elif kind in (Kind.CUSTOMER, Kind.ARRIVED):
        # Nobody's leg, whatever it was taken for.
        known = replace(known, kind=known.kind if known.kind is Kind.ARRIVED else kind, absorbed=False)
    elif kind is Kind.INTERNAL and known.kind is Kind.DOUBTFUL:
        known = replace(known, kind=kind)
    known = replace(known, number=known.number or number, first_ms=min(known.first_ms, began_ms))
    if isinstance(event, HangupObserved):
        known = replace(known, ended_ms=ended_ms)
    return replace(legs, calls={**legs.calls, call: known})


def up_ms(event: Observation) -> tuple[int, int]:
    """From when to when a call was up, as far as one observation tells.

    A hangup tells how long it was. When it is downloaded hours later only the PBX's own end says when that was. One that waited out
    an outage, or has a clock behind it, may be of either time: then it was up at some time from the earlier one's begin on.
    """
    if not isinstance(event, HangupObserved) or event.ended_ms is None:
        return event.heard_ms, event.heard_ms
    told_ms = min(event.ended_ms, event.heard_ms)
    ended_ms = told_ms if event.downloaded else event.heard_ms
    lasted_ms = event.ended_ms - (event.received_ms if event.received_ms is not None else event.ended_ms)
    is_held_up = LATEST_MS < event.heard_ms - told_ms <= HELD_UP_MS
    return (told_ms if is_held_up else ended_ms) - (lasted_ms if 0 <= lasted_ms <= LONGEST_MS else 0), ended_ms


def _nature(event: Observation) -> tuple[Kind | None, str]:
    match event:
        case ArrivalObserved():
            return Kind.ARRIVED, customer_digits(event.number)
        case CardRequested() | DialObserved() | HangupObserved() if event.direction is not Direction.INTERNAL:
            return Kind.CUSTOMER, customer_digits(event.number)
        case CardRequested() | DialObserved():
            return Kind.INTERNAL, ""
        case HangupObserved():
            number = customer_digits(event.number)
            return (Kind.DOUBTFUL, number) if number else (Kind.INTERNAL, "")
        case _:
            return None, ""


def customer_digits(number: str) -> str:
    """A customer's number as the switchboard compares it: digits only; empty for hidden callers and extensions."""
    return digits(number) if is_external_number(number) else ""


def _join(legs: Legs) -> tuple[Legs, tuple[Link, ...]]:
    """Rules 1 to 3 until nothing new follows. Ends: every round but the last adds a link, and links are finite."""
    links = dict(legs.links)
    fresh: list[Link] = []

    def link(leg: str, call: str) -> None:
        if call not in links.get(leg, frozenset()):
            links[leg] = links.get(leg, frozenset()) | {call}
            fresh.append(Link(leg=leg, call=call))

    for leg in legs.links:
        kind, _, name = leg.partition("/")
        if kind == "channel" and name in legs.calls:
            link(leg, name)
    before = -1
    while before != len(fresh):
        before = len(fresh)
        for bridge, members in legs.members.items():
            for channel in members:
                if channel in legs.calls:
                    link(f"bridge/{bridge}", channel)
                for call in links.get(f"channel/{channel}", frozenset()):
                    link(f"bridge/{bridge}", call)
            for call in links.get(f"bridge/{bridge}", frozenset()):
                for channel, trunk in members.items():
                    own = legs.calls.get(channel)
                    if trunk and (own is None or _may_be_sent_on(own, legs.calls.get(call))):
                        link(f"channel/{channel}", call)
    return replace(legs, links=links), tuple(fresh)


def _still_up(legs: Legs, bridge: str, heard_ms: int) -> Legs:
    """Whose bridges are told is up, though its own hangup was heard: who called is out of it, and the customer talks on."""
    known = [legs.calls[call] for call in sorted(legs.links.get(bridge, ())) if call in legs.calls]
    up = [call for call in known if _is_customers(call) and call.ended_ms is not None and call.ended_ms < heard_ms]
    return replace(legs, calls={**legs.calls, **{call.id: replace(call, ended_ms=heard_ms) for call in up}}) if up else legs


def _absorb_handed_on(legs: Legs, kind: str, heard: str, event: Observation) -> tuple[Legs, tuple[Absorb, ...]]:
    """Rule 2: the customer whom somebody had called was sent on, and his channel dials, or hangs up, under its own id."""
    calls = dict(legs.calls)
    found: list[Absorb] = []
    for channel in [heard] if kind == "call" else sorted(legs.members.get(heard, {})):
        call, says = calls.get(channel), event if isinstance(event, DialObserved | HangupObserved) else None
        if call is None or call.kind is not Kind.CUSTOMER or (call.absorbed and says is None):
            continue
        if (owner := _who_called(legs, call, says)) is None:
            continue
        calls[channel] = replace(call, absorbed=True)
        hangup = _as_evidence(says) if isinstance(says, HangupObserved) else None
        why = "its channel is the customer's, who was handed on"
        found.append(Absorb(leg=channel, into=owner.id, why=why, hangup=hangup, told_before=says is None, certain=True))
    return (replace(legs, calls=calls), tuple(found)) if found else (legs, ())


def _who_called(legs: Legs, leg: KnownCall, says: DialObserved | HangupObserved | None) -> KnownCall | None:
    """The call whose customer's channel this is. What looks like a call that comes in must be from that customer: somebody else
    may have come in, and been brought together with him."""
    linked = [legs.calls[each] for each in sorted(legs.links.get(f"channel/{leg.id}", ())) if each in legs.calls]
    owners = [call for call in linked if call.id != leg.id and _is_customers(call)]
    if says is None or says.direction is Direction.INCOMING:
        owners = [call for call in owners if call.number and call.number == leg.number]
    return owners[0] if len(owners) == 1 else None


def _is_customers(call: KnownCall) -> bool:
    return call.kind in (Kind.CUSTOMER, Kind.ARRIVED) and not call.absorbed


def _may_be_sent_on(own: KnownCall, call: KnownCall | None) -> bool:
    """Whether what a channel anchors may be no call, but the customer of an earlier one who was sent on."""
    if own.kind is not Kind.CUSTOMER or call is None or not own.number:
        return own.kind is Kind.INTERNAL
    return own.number == call.number and own.first_ms >= call.first_ms and own.id != call.id


def _absorb_consultations(legs: Legs) -> tuple[Legs, tuple[Absorb, ...]]:
    """Rule 4."""
    calls = dict(legs.calls)
    found: list[Absorb] = []
    for bridge in legs.members:
        sharing = [calls[call] for call in sorted(legs.links.get(f"bridge/{bridge}", ())) if call in calls]
        customers = [call for call in sharing if _is_customers(call)]
        if len(customers) != 1:
            continue
        for call in sharing:
            if call.kind is Kind.INTERNAL and not call.absorbed:
                calls[call.id] = replace(call, absorbed=True)
                why = "the customer joined its bridge: it was a consultation"
                told_before = bool(call.number) and call.number == customers[0].number
                found.append(Absorb(leg=call.id, into=customers[0].id, why=why, told_before=told_before))
    return (replace(legs, calls=calls), tuple(found)) if found else (legs, ())


def _absorb_parasites(legs: Legs, heard: str, event: Observation) -> tuple[Legs, tuple[Absorb, ...]]:
    """Rule 5, from either side: the parasitic hangup arrives, or the customer's call it belongs to does."""
    calls = dict(legs.calls)
    call = calls.get(heard)
    if call is None:
        return legs, ()
    found: list[Absorb] = []
    hangup = event if isinstance(event, HangupObserved) and event.direction is Direction.INTERNAL else None
    if call.kind in (Kind.INTERNAL, Kind.DOUBTFUL) and hangup is not None:
        if owners := _told_owners(legs, call, hangup):
            # One owner: the hangup is evidence of who took over. Several: it is somebody's leg, but nobody's evidence.
            into, evidence = owners[-1].id, hangup if len(owners) == 1 else None
            calls[call.id] = replace(call, absorbed=True, number=customer_digits(hangup.number))
            why = "its hangup names a customer who has a call of his own"
            found.append(Absorb(leg=call.id, into=into, why=why, hangup=evidence))
    elif _is_customers(call) and call.number:
        for other in list(calls.values()):
            if other.kind is Kind.DOUBTFUL and not other.absorbed and other.number == call.number:
                owners = _owners(replace(legs, calls=calls), other, other.number, other.first_ms, other.ended_ms or other.first_ms)
                if [owner.id for owner in owners] == [call.id]:
                    calls[other.id] = replace(other, absorbed=True)
                    why = "the customer it names has a call of his own"
                    found.append(Absorb(leg=other.id, into=call.id, why=why, told_before=True))
    return (replace(legs, calls=calls), tuple(found)) if found else (legs, ())


def _told_owners(legs: Legs, leg: KnownCall, hangup: HangupObserved) -> list[KnownCall]:
    """Whose leg a hangup may be by the customer it names, oldest first: the one whose bridge it was in, where that is known."""
    number = customer_digits(hangup.number)
    bridges = [calls for stream, calls in legs.links.items() if stream.startswith("bridge/") and leg.id in calls]
    met = {call for calls in bridges for call in calls}
    if not number and hangup.number != ANONYMOUS:
        return []
    # Also a call whose own hangup came long ago: who called is out of it, and the customer talks on.
    seen = [call for call in legs.calls.values() if call.id in met and _is_customers(call) and call.number == number]
    if len(seen) == 1 or not number:
        return seen
    return _owners(legs, leg, number, *up_ms(hangup))


def _owners(legs: Legs, leg: KnownCall, number: str, began_ms: int, ended_ms: int) -> list[KnownCall]:
    """The customer's calls that were up together with ``leg``, oldest first."""
    return sorted(
        (
            call
            for call in legs.calls.values()
            if call.id != leg.id
            and _is_customers(call)
            and call.number == number
            and call.first_ms <= ended_ms + PARASITE_WINDOW_MS
            and (call.first_ms + legs.unended_ms if call.ended_ms is None else call.ended_ms) >= began_ms - PARASITE_WINDOW_MS
        ),
        key=lambda call: (call.first_ms, call.id),
    )
