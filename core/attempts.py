"""A write whose fate may be unknown, and how long after it was sent it may still take effect."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from core.effects import Effect

REPOST_GUARD_MS: Final = 2_000
"""A POST (or a recording) whose connection broke is looked for again this long after it was sent before it is repeated."""

UNHURRIED_GUARD_MS: Final = 25_000
"""The same where nobody waits (a record, a recording), or nobody saw the connection end (the process died, or another instance
took over): long enough for even a slow MoySklad to have acted."""

LOOK_EVERY_MS: Final = 6_000
"""So often a registration is looked for meanwhile whose card may come at any moment."""

SLOW_GUARD: Final = 4
"""How many times as long we wait, after giving a POST up, before we believe that it was lost: a MoySklad that answers slowly
may still be working on it."""


class Attempt(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A write that was started. ``in_doubt``: it may have taken effect; False: it is known that it did not.

    ``ended_ms``: when we stopped waiting for its answer; None: that is not recorded (yet, or because the process died).
    ``doubted``: an earlier try of the same write may have taken effect, whatever becomes of this one.
    """

    key: str
    effect: Effect
    at_ms: int
    in_doubt: bool = True
    ended_ms: int | None = None
    doubted: bool = False

    @property
    def may_have_worked(self) -> bool:
        """Whether it, or an earlier try of the same, may have taken effect."""
        return self.in_doubt or self.doubted

    def guard_ms(self, *, hurried: bool) -> int:
        """How long after it was sent it may still take effect, even if MoySklad does not show it yet. ``hurried``: a card waits
        for it."""
        least_ms = REPOST_GUARD_MS if hurried and self.ended_ms is not None else UNHURRIED_GUARD_MS
        took_ms = 0 if self.ended_ms is None else self.ended_ms - self.at_ms
        return max(least_ms, SLOW_GUARD * took_ms)
