"""Which call came of which click (PRODUCT E5): the switchboard's rules for clicks, pure.

One call for a click and one click for a call. A call proves to be a click's

1. by its id, where the way of calling let us choose it, once it goes out: before that, it is the employee's own telephone;
2. else by what it says of itself: an outgoing call of that extension to that number which began after the order was given and
   within ``CALL_WITHIN_MS``. Of several such clicks it is the last one: whoever clicks again has given the first one up.

Beside that, the ringing of the employee's own telephone may be told as a call of its own, which looks like one that comes in from
the customer (whose number is on the display): no trunk, that extension alone, within ``OWN_LEG_MS`` of the order.
The order is in the log before anything can be heard of what it causes, so a click is always known before its call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from core.click_request import plain_text
from core.clicks import CALL_WITHIN_MS, OriginateStarted
from core.events import ClickJoined, DialObserved, HangupObserved, Observation
from core.phone import same_number
from core.values import Direction

EARLY_MS: Final = 3_000
"""A call's own times are cut to the second and are another clock's: it may seem to begin so long before it was asked for."""

OWN_LEG_MS: Final = 15_000
"""The employee's telephone rings at once; what the exchange tells of it lags up to seven seconds behind (quirk 4)."""

CHOSEN: Final = "click-"
"""Ids that we choose ourselves begin with this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownClick:
    """What the switchboard remembers of a click whose order was given. ``call``: what came of it; ``own_leg``: its telephone."""

    id: str
    extension: str
    number: str
    uid: str = ""
    channel_id: str = ""
    requested_ms: int = 0
    started_ms: int = 0
    call: str = ""
    own_leg: str = ""


def known_click(click: str, started: OriginateStarted) -> KnownClick:
    """A click as the start of its order tells of it."""
    return KnownClick(
        id=click,
        extension=started.extension,
        number=started.number,
        uid=started.uid,
        channel_id=started.channel_id,
        requested_ms=started.requested_ms,
        started_ms=started.at_ms,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """A call and the click it came of, the click as it is known from now on; ``own_leg``: only its own telephone."""

    call: str
    click: KnownClick
    own_leg: bool

    def event(self, heard_ms: int) -> ClickJoined:
        """The fact as the call's stream keeps it."""
        return ClickJoined(
            heard_ms=heard_ms,
            wire="switchboard",
            click=self.click.id,
            extension=self.click.extension,
            number=self.click.number,
            uid=plain_text(self.click.uid),
            clicked_ms=self.click.requested_ms,
            own_leg=self.own_leg,
        )


def extensions_told(event: Observation) -> tuple[str, ...]:
    """Whose clicks an observation in a call's stream may be about; empty for one that proves nothing."""
    if not isinstance(event, DialObserved | HangupObserved) or len(event.extensions) != 1:
        return ()
    comes_in = event.direction is not Direction.OUTGOING and event.trunk
    return () if comes_in else event.extensions


def join(clicks: Mapping[str, KnownClick], call: str, event: Observation) -> Joining | None:
    """What an observation in a call's own stream newly proves."""
    if any(click.call == call for click in clicks.values()):
        return None
    out = isinstance(event, DialObserved | HangupObserved) and event.direction is Direction.OUTGOING
    if (chosen := next((click for click in clicks.values() if click.channel_id == call), None)) is not None:
        return _chosen(chosen, call, out=out)
    if not isinstance(event, DialObserved | HangupObserved) or len(event.extensions) != 1:
        return None
    if out:
        found = _latest(_candidates(clicks.values(), event, CALL_WITHIN_MS))
        return None if found is None else Joining(call=call, click=replace(found, call=call), own_leg=False)
    if event.trunk or any(click.own_leg == call for click in clicks.values()):
        return None
    alone = (each for each in _candidates(clicks.values(), event, OWN_LEG_MS) if not each.own_leg)
    found = _latest(alone)
    return None if found is None else Joining(call=call, click=replace(found, own_leg=call), own_leg=True)


def _chosen(click: KnownClick, call: str, *, out: bool) -> Joining | None:
    """Under the id that was chosen the employee's telephone rings first; the call it is once the customer is dialled."""
    if out:
        return Joining(call=call, click=replace(click, call=call), own_leg=False)
    return None if click.own_leg else Joining(call=call, click=replace(click, own_leg=call), own_leg=True)


def _candidates(clicks: Iterable[KnownClick], event: DialObserved | HangupObserved, within_ms: int) -> Iterable[KnownClick]:
    began_ms = _began_ms(event)
    for click in clicks:
        if click.call or click.extension != event.extensions[0] or not same_number(click.number, event.number):
            continue
        if -EARLY_MS <= began_ms - click.started_ms <= within_ms:
            yield click


def _began_ms(event: DialObserved | HangupObserved) -> int:
    """When the call began, as far as this observation tells."""
    if isinstance(event, HangupObserved):
        told = [at_ms for at_ms in (event.received_ms, event.started_ms) if at_ms is not None]
        return min(told, default=event.heard_ms)
    return event.heard_ms


def _latest(clicks: Iterable[KnownClick]) -> KnownClick | None:
    return max(clicks, key=lambda click: (click.started_ms, click.id), default=None)
