"""When something happened, from the PBX's own timestamps: a connection that was frozen delivers late, and all at once.

The PBX's clock need not agree with ours. How far it is off is learned from the messages themselves: of all that came in the
last minutes, the one that took the least time shows it best. Nothing is believed blindly: what comes out is never in the
future and never absurdly late, and a clock that was set back is noticed and learned anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

WINDOW_MS: Final = 60_000
"""Two windows of this length are remembered: long enough to outlast a freeze, short enough to follow a clock that drifts."""

SET_BACK_MS: Final = 1_000
"""Timestamps of one connection come in order, within milliseconds: one this much earlier is a clock that was set back."""

LATEST_MS: Final = 900_000
"""No message is later than this: a peer that is silent is left after seconds. What looks later is a clock gone wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PbxClock:
    """What is known of one PBX's clock. ``lag_ms`` is our time minus its time, for the message that came fastest."""

    lag_ms: int | None = None
    lag_before_ms: int | None = None
    since_ms: int = 0
    stamp_ms: int = 0


def read(clock: PbxClock, stamp: str, heard_ms: int) -> tuple[PbxClock, int]:
    """When a message with this ``Timestamp`` (seconds, as text; may be absent or nonsense) happened, in our time."""
    stamp_ms = _milliseconds(stamp)
    if stamp_ms is None:
        return clock, heard_ms
    lag_ms = heard_ms - stamp_ms
    if stamp_ms < clock.stamp_ms - SET_BACK_MS:
        clock = PbxClock()
    if clock.lag_ms is None or heard_ms - clock.since_ms > WINDOW_MS:
        clock = PbxClock(lag_ms=lag_ms, lag_before_ms=clock.lag_ms, since_ms=heard_ms)
    else:
        clock = replace(clock, lag_ms=min(clock.lag_ms, lag_ms))
    known = (lag_ms, clock.lag_ms, clock.lag_before_ms)
    happened_ms = min(heard_ms, stamp_ms + min(lag for lag in known if lag is not None))
    if heard_ms - happened_ms > LATEST_MS:
        clock = PbxClock(lag_ms=lag_ms, since_ms=heard_ms)
        happened_ms = heard_ms
    return replace(clock, stamp_ms=stamp_ms), happened_ms


def _milliseconds(stamp: str) -> int | None:
    whole, _, fraction = stamp.strip().partition(".")
    if not (whole.isascii() and whole.isdigit() and 9 <= len(whole) <= 11 and (not fraction or fraction.isascii())):
        return None
    return int(whole) * 1_000 + (int(fraction[:3].ljust(3, "0")) if fraction[:3].isdigit() else 0)
