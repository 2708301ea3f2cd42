"""Who talked with the customer, and when: read from the stays of channels in bridges.

The PBX says when a channel enters and leaves a bridge. Two parties who are in one bridge at the same time talk.
That is the only proof of an answer (CONTRACT-ASTERISK, quirk 8) and of who talked last (quirk 2); a hangup names
the first answerer at best. Deliveries overtake each other by seconds, so a leave may be heard before its enter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from core.events import BridgeClosed, BridgeEntered, BridgeLeft
from core.phone import is_helper, looks_like_extension, same_number, strip_technology
from core.values import ANONYMOUS, INCOMING, LATEST_MS, OUTGOING, Direction

OVERLAP_SLACK_MS: Final = 2_000
"""Two stays that miss each other by less than this still met: deliveries jitter by seconds (quirk 4)."""


OVERTAKEN_MS: Final = LATEST_MS
"""Two enters of one channel that were heard further apart than this happened in that order: deliveries lag by seven seconds at
most (quirk 4)."""

MAX_STAYS: Final = 200
"""More stays than any call has: beyond them a flapping PBX adds nothing, and folding stays fast."""


class Stay(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One channel's time in one bridge, ``*_ms`` as heard. ``entered_ms`` None: only the leave was heard so far.

    ``unparted``: the bridge was heard to be gone, and no leave before that: what is told of bridges is in disorder.
    ``remaining``: how many were still in the bridge when this one had left it, where that was said.
    """

    bridge: str
    channel: str
    channel_name: str = ""
    caller_id: str = ""
    connected: str = ""
    entered_ms: int | None = None
    left_ms: int | None = None
    unparted: bool = False
    remaining: int | None = None


class Talk(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The customer and ``extension`` in one bridge, from ``start_ms`` to ``end_ms`` (None: still talking).

    ``bridge``, ``channel`` and ``remaining`` are those of the extension's stay.
    """

    extension: str
    start_ms: int
    end_ms: int | None
    bridge: str = ""
    channel: str = ""
    remaining: int | None = None


class Bridges(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Everything heard about bridges of one call. ``closed``: bridge id and when it was heard to be gone."""

    stays: tuple[Stay, ...] = ()
    closed: tuple[tuple[str, int], ...] = ()


def enter(bridges: Bridges, event: BridgeEntered) -> Bridges:
    """A channel entered. Fills a stay whose leave overtook it; a repeated enter only refreshes the names. Asterisk's own helpers
    take no part in a talk."""
    gone_ms = dict(bridges.closed).get(event.bridge) if bridges.closed else None
    fresh = _stay(event, event.heard_ms if gone_ms is None else min(event.heard_ms, gone_ms), gone_ms)
    if event.channel not in [stay.channel for stay in bridges.stays]:
        return bridges if is_helper(event.channel_name) else _add(bridges, fresh)
    bridges, fresh = _one_at_a_time(bridges, fresh)
    index = _latest(bridges.stays, event.bridge, event.channel)
    if index is None:
        return _add(bridges, fresh)
    known = bridges.stays[index]
    if known.entered_ms is None and known.left_ms is not None:
        entered_ms = min(event.heard_ms, known.left_ms)
        filled = replace(fresh, entered_ms=entered_ms, left_ms=known.left_ms, remaining=known.remaining)
        return replace(bridges, stays=_put(bridges.stays, index, filled))
    if known.left_ms is None:
        return replace(bridges, stays=_put(bridges.stays, index, replace(fresh, entered_ms=known.entered_ms)))
    return _add(bridges, fresh)


def _stay(event: BridgeEntered | BridgeLeft, entered_ms: int | None, left_ms: int | None) -> Stay:
    return Stay(
        bridge=event.bridge,
        channel=event.channel,
        channel_name=event.channel_name,
        caller_id=event.caller_id,
        connected=event.connected,
        entered_ms=entered_ms,
        left_ms=left_ms,
        remaining=event.remaining if isinstance(event, BridgeLeft) else None,
    )


def _one_at_a_time(bridges: Bridges, fresh: Stay) -> tuple[Bridges, Stay]:
    """A channel is in one bridge at a time: entering the next one ends the stay before it, where nobody heard it leave."""
    entered_ms, stays = fresh.entered_ms or 0, bridges.stays
    for index, known in enumerate(stays):
        if known.channel != fresh.channel or known.bridge == fresh.bridge or known.entered_ms is None:
            continue
        if known.left_ms is None and entered_ms - known.entered_ms > OVERTAKEN_MS:
            stays = _put(stays, index, replace(known, left_ms=entered_ms))
        elif known.entered_ms - entered_ms > OVERTAKEN_MS and (fresh.left_ms is None or known.entered_ms < fresh.left_ms):
            fresh = replace(fresh, left_ms=known.entered_ms)
    return (bridges if stays is bridges.stays else replace(bridges, stays=stays)), fresh


def leave(bridges: Bridges, event: BridgeLeft) -> Bridges:
    """A channel left. A leave without an enter proves that it was there, too; the enter is lost, or still under way."""
    index = _latest(bridges.stays, event.bridge, event.channel)
    if index is None:
        return bridges if is_helper(event.channel_name) else _add(bridges, _stay(event, None, event.heard_ms))
    known = bridges.stays[index]
    if known.left_ms is not None and known.remaining is not None:
        return bridges
    left_ms = event.heard_ms if known.left_ms is None else known.left_ms
    return replace(bridges, stays=_put(bridges.stays, index, replace(known, left_ms=left_ms, remaining=event.remaining)))


def close(bridges: Bridges, event: BridgeClosed) -> Bridges:
    """The bridge is gone, and everybody in it has left."""
    stays, closed = bridges.stays, bridges.closed
    if (closed and event.bridge in dict(closed)) or len(closed) >= MAX_STAYS:
        return bridges
    for stay in stays:
        if stay.bridge == event.bridge and stay.left_ms is None:
            stays = tuple([replace(each, left_ms=event.heard_ms, unparted=True) if each is stay else each for each in stays])
    return Bridges(stays=stays, closed=(*closed, (event.bridge, event.heard_ms)))


_NOT_SEEN: Final = "?"
"""Stands for "not worked out yet". No extension looks like this; if one did, it would only be worked out each time."""


class Parties(Struct, frozen=True, kw_only=True, eq=False):
    """What tells the customer's channel from an employee's: the call's own channel, direction, number, who was dialled.

    ``clicked``: the exchange was asked to make the call; a ``Local`` channel with the customer's number is its own then.
    ``seen``: whom a channel turned out to belong to: each is asked after again with everything that is heard of bridges.
    """

    anchor: str
    direction: Direction
    number: str
    dialled: tuple[str, ...] = ()
    caller: str = ""
    clicked: bool = False
    seen: dict[tuple[str, str, str], str | None] = field(default_factory=dict)

    def who(self, stay: Stay) -> str | None:
        """Whose stay it is: None for the customer's, else the extension behind it, which may be empty."""
        if stay.channel == self.anchor and self.direction is INCOMING:
            return None
        channel = (stay.channel, stay.channel_name, stay.caller_id)
        known = self.seen.get(channel, _NOT_SEEN)
        if known is _NOT_SEEN:
            known = self.seen[channel] = None if self.is_customer(stay) else self.extension(stay)
        return known

    def is_customer(self, stay: Stay) -> bool:
        """Whether this stay is the customer's: the call's own channel when incoming, the trunk's when outgoing.

        An outgoing call's own channel is the employee's, unless the customer was called first (a click-to-call may do so).
        """
        if self.direction is INCOMING:
            return stay.channel == self.anchor
        if self._is_exchange(stay):
            return False
        outside = not looks_like_extension(strip_technology(stay.channel_name))
        if stay.channel == self.anchor:
            return outside and self.is_theirs(stay)
        return (outside and stay.caller_id not in self.dialled) or self.is_theirs(stay)

    def is_theirs(self, stay: Stay) -> bool:
        """Whether the channel shows the customer's number."""
        return self.number != ANONYMOUS and same_number(stay.caller_id, self.number)

    def extension(self, stay: Stay) -> str:
        """The extension (or dialled mobile) behind an employee's stay; empty when the wire does not say."""
        if self.direction is OUTGOING and stay.channel == self.anchor and self.caller:
            return self.caller
        if self._is_exchange(stay):
            return self.caller
        peer = strip_technology(stay.channel_name)
        if looks_like_extension(peer):
            return peer
        if looks_like_extension(stay.caller_id):
            return stay.caller_id
        return next((number for number in self.dialled if same_number(number, stay.caller_id)), "")

    def _is_exchange(self, stay: Stay) -> bool:
        return self.clicked and stay.channel_name.startswith("Local/")


def customer_stays(bridges: Bridges, parties: Parties) -> tuple[Stay, ...]:
    """The customer's stays in bridges, in the order heard."""
    return tuple([stay for stay in bridges.stays if parties.who(stay) is None])


def was_set_aside(bridges: Bridges, parties: Parties) -> bool:
    """Whether the customer was in a bridge where nobody else was heard: parked, or waiting to be handed on."""
    with_others = {stay.bridge for stay in bridges.stays if parties.who(stay) is not None}
    return any(stay.bridge not in with_others for stay in customer_stays(bridges, parties))


def is_anybody_in(bridges: Bridges) -> bool:
    """Whether some stay is open. A talk ends with either stay: without an open one nobody talks now."""
    return None in [stay.left_ms for stay in bridges.stays]


def is_talking(bridges: Bridges, parties: Parties) -> bool:
    """Whether somebody talks with the customer now: one of the :func:`talks` has no end. Found without telling who it is, and
    since when: it is asked with each event of a bridge."""
    stays, anchor, caller_is_in = bridges.stays, parties.anchor, False
    for stay in stays:
        if stay.left_ms is not None:
            continue
        caller_is_in = caller_is_in or stay.channel == anchor
        if parties.who(stay) is not None:
            continue
        alone = True
        for other in stays:
            if other.bridge != stay.bridge or (extension := parties.who(other)) is None:
                continue
            if extension and other.left_ms is None:
                return True
            alone = False
        if alone and stay.entered_ms is not None and looks_like_extension(stay.connected):
            return True
    if not caller_is_in or parties.direction is not OUTGOING or _found_in(bridges, parties):
        return False
    return None in [each.end_ms for each in _by_connected_line(bridges, parties)]


def handed_on_stays(bridges: Bridges, parties: Parties) -> tuple[Stay, ...]:
    """Where the customer of an outgoing call was without who called, or might be: handed on to somebody, or set aside.

    That is a bridge that somebody else was in, on a channel of his own (also who called, who took the customer back by another
    one), or another customer, with whom he was brought together, or one that he came to from a bridge of who called, who never was
    in it. Only channels count that were heard: the connected line may still name whoever had the call before.
    """
    known = [stay for stay in bridges.stays if stay.entered_ms is not None]
    callers = {stay.bridge for stay in known if stay.channel == parties.anchor}
    own = ("", parties.caller) if parties.clicked else ("",)  # of a click the caller's telephone is not the call's own channel
    others = {stay.bridge for stay in known if stay.channel != parties.anchor and parties.who(stay) not in (None, *own)}
    customers = [stay for stay in known if stay.channel != parties.anchor and parties.who(stay) is None]
    came_along = any(stay.bridge in callers for stay in customers)
    strangers = {stay.bridge for stay in customers if not parties.is_theirs(stay)}
    alone = [stay for stay in customers if stay.bridge in others or (came_along and stay.bridge not in callers)]
    return (*alone, *[stay for stay in customers if stay.bridge in strangers and parties.is_theirs(stay) and stay not in alone])


def is_handed_on(bridges: Bridges, parties: Parties) -> bool:
    """Whether the customer of an outgoing call is in such a bridge now: he goes on without who called."""
    return is_anybody_in(bridges) and any(stay.left_ms is None for stay in handed_on_stays(bridges, parties))


def talks(bridges: Bridges, parties: Parties) -> tuple[Talk, ...]:
    """Who talked with the customer, in order of the start.

    Where the customer's bridge shows no employee's channel, ``connected`` names the partner: enough to go on until
    the other half arrives, and superseded by it (in an attended transfer it still names the previous one). Of two halves the one
    whose enter was never heard was there when the other came; alone it proves nothing.
    """
    found = _found_in(bridges, parties)
    if not found and parties.direction is OUTGOING:
        found = _by_connected_line(bridges, parties)
    if len(found) > 1:
        found.sort(key=lambda talk: (talk.start_ms, talk.end_ms is None, talk.end_ms or 0))
    return tuple(found)


def _found_in(bridges: Bridges, parties: Parties) -> list[Talk]:
    """The talks in which the customer's own channel was heard."""
    found: list[Talk] = []
    known = [(stay, parties.who(stay)) for stay in bridges.stays]
    for stay, customer in known:
        if customer is not None:
            continue
        alone = True
        for other, extension in known:
            if extension is None or other.bridge != stay.bridge:
                continue
            alone = False
            if extension and (_meet(stay, other) or _is_left_behind(bridges, stay, other)):
                found.append(_together(extension, stay, other))
        if alone and stay.entered_ms is not None and looks_like_extension(stay.connected):
            found.append(_together(stay.connected, stay, stay))
    return found


def last_talk(found: Sequence[Talk]) -> Talk | None:
    """Who talked with the customer last: whoever still talks, else whose talk ended last, else whose began last."""
    if len(found) == 1:
        return found[0]
    return max(
        found,
        key=lambda talk: (talk.end_ms is None, talk.end_ms or 0, talk.start_ms),
        default=None,
    )


def last_of_all(found: Sequence[Talk], hung_up: Mapping[str, int | None]) -> Talk | None:
    """The same of a call that is over, though all that is told of bridges may have lagged by seconds (quirk 4).

    Whose own channel was heard to hang up (``hung_up``) talked no more; of talks that end together it is not the last one. Of those
    in one bridge whoever was the last to leave it had the customer last, and whoever left two others behind had not: one of them is
    the customer.
    """
    stayed_first = sorted(found, key=lambda each: each.channel in hung_up)
    ends = [replace(each, end_ms=_earlier(each.end_ms, hung_up.get(each.channel))) for each in stayed_first]
    last = last_talk(ends)
    beside = [each for each in ends if last is not None and each.bridge == last.bridge]
    fewest = min([_left_behind(each) for each in beside], default=0)
    return last_talk([each for each in beside if _left_behind(each) == fewest])


def _left_behind(each: Talk) -> int:
    """How many were in the bridge when the extension had left it: the customer, where that was not said."""
    return 1 if each.remaining is None else each.remaining


def _by_connected_line(bridges: Bridges, parties: Parties) -> list[Talk]:
    """An outgoing call of which only the employee's half was heard: the connected line is the customer."""
    anchor, caller = parties.anchor, parties.caller
    return [
        _together(caller, stay, stay)
        for stay in bridges.stays
        if stay.channel == anchor and stay.entered_ms is not None and caller and same_number(stay.connected, parties.number)
    ]


def _together(extension: str, one: Stay, other: Stay) -> Talk:
    """The time that two stays share; of a stay whose enter was never heard its end is all that is known."""
    end_ms = _earlier(one.left_ms, other.left_ms)
    entered = [stay.entered_ms for stay in (one, other) if stay.entered_ms is not None]
    return Talk(
        extension=extension,
        start_ms=max(entered, default=end_ms or 0),
        end_ms=end_ms,
        bridge=other.bridge,
        channel=other.channel,
        remaining=other.remaining,
    )


def since_ms(stay: Stay) -> int:
    """No talk of this stay began before: it entered then, or all that is known of it is its end."""
    return (stay.left_ms or 0) if stay.entered_ms is None else stay.entered_ms


def _meet(one: Stay, other: Stay) -> bool:
    one_in, other_in = one.entered_ms or 0, other.entered_ms or 0
    return (one.left_ms is None or other_in <= one.left_ms + OVERLAP_SLACK_MS) and (
        other.left_ms is None or one_in <= other.left_ms + OVERLAP_SLACK_MS
    )


def _is_left_behind(bridges: Bridges, one: Stay, other: Stay) -> bool:
    """Whether one left with the other still in the bridge, and nobody else ever was in it: they met, however late that is told."""
    channels = {stay.channel for stay in bridges.stays if stay.bridge == one.bridge}
    return len(channels) == 2 and 1 in (one.remaining, other.remaining)


def _earlier(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def _latest(stays: tuple[Stay, ...], bridge: str, channel: str) -> int | None:
    for index in range(len(stays) - 1, -1, -1):
        if stays[index].bridge == bridge and stays[index].channel == channel:
            return index
    return None


def _add(bridges: Bridges, stay: Stay) -> Bridges:
    return bridges if len(bridges.stays) >= MAX_STAYS else replace(bridges, stays=(*bridges.stays, stay))


def _put(stays: tuple[Stay, ...], index: int, stay: Stay) -> tuple[Stay, ...]:
    return (*stays[:index], stay, *stays[index + 1 :])
