"""Keeps an account far from MoySklad's automatic block, which only their support can lift (CONTRACT-MOYSKLAD 2.2).

It comes after more than 200 failing requests or 429s in a minute, or more than 100 PUTs to the same entity. What
"identical" failing requests are is not said, so all of an account's failures count as one kind. Pure: time comes in.

The bounds hold whatever MoySklad answers, and however often the process is restarted. A process that has just begun has no
memory, so its allowance is one request at first and grows with its age. Restarted each L ms it makes ``1 + L // every_ms``
in each life: most when a life is just long enough for the second or third. A second between two starts is taken for granted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.values import Urgency


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """One more each ``every_ms``; ``saved`` at most are kept for later."""

    every_ms: int
    saved: int


FAILURES: Final = Allowance(every_ms=667, saved=30)
"""At most 30 + 90 of 200 in a minute; with restarts 135 (three in each 1334 ms) and the 30 saved before."""

PUTS: Final = Allowance(every_ms=1_500, saved=10)
"""At most 10 + 40 of 100 in a minute; with restarts 80 (two in each 1500 ms) and the 10 saved before."""

LONGEST_MS: Final = max(each.every_ms * each.saved for each in (FAILURES, PUTS))
"""After so long without a request every allowance is full again, so there is nothing left to remember."""

KEPT: Final[Mapping[Urgency, int]] = {Urgency.LIVE: 0, Urgency.ENDED: 2, Urgency.BACKLOG: 5}
"""How many failures each urgency leaves to the more urgent: a backlog that is refused item by item costs no card."""

MANY_ENTITIES: Final = 1_000
"""Entities whose PUTs are remembered before those with a full allowance again are dropped. At 20 requests a second, an
account's limit, the first has a full allowance before half of this is used up."""


class Bucket:
    """What is left of an allowance. It is kept as time: one request is worth ``every_ms``."""

    def __init__(self, allowance: Allowance, *, now_ms: int, born_ms: int) -> None:
        """``born_ms``: since when everything that was asked is known; one request is allowed for what came before."""
        self._allowance = allowance
        self._full_ms = allowance.every_ms * allowance.saved
        self._born_ms = born_ms
        self._level_ms = self._newborn(now_ms)
        self._at_ms = now_ms

    def wait_ms(self, now_ms: int, needed: int = 1) -> int:
        """How long until ``needed`` requests are allowed; 0: now."""
        return max(0, needed * self._allowance.every_ms - self._level(now_ms))

    def spend(self, now_ms: int) -> None:
        """One was made."""
        self._level_ms = self._level(now_ms) - self._allowance.every_ms
        self._at_ms = now_ms

    def confine(self, now_ms: int, known_ms: int) -> None:
        """Another instance may have made requests until ``known_ms`` ago: allow no more than to a process that started then."""
        self._level_ms = min(self._level(now_ms), self._allowance.every_ms + known_ms)
        self._at_ms = now_ms

    def says_nothing(self, now_ms: int) -> bool:
        """Whether it can be forgotten: a new bucket in its place would allow just as much."""
        return self._level(now_ms) >= self._newborn(now_ms)

    def _newborn(self, now_ms: int) -> int:
        return min(self._full_ms, self._allowance.every_ms + now_ms - self._born_ms)

    def _level(self, now_ms: int) -> int:
        return min(self._full_ms, self._level_ms + now_ms - self._at_ms)


class Guard:
    """The failures and the PUTs of one credential at one API."""

    def __init__(self, *, now_ms: int, born_ms: int) -> None:
        self._born_ms = self._known_since_ms = born_ms
        self._failures = Bucket(FAILURES, now_ms=now_ms, born_ms=born_ms)
        self._puts: dict[str, Bucket] = {}

    def wait_ms(self, now_ms: int, urgency: Urgency, in_flight: int) -> int:
        """How long until one more may be asked, as if all that are under way were going to fail; 0: now."""
        return self._failures.wait_ms(now_ms, in_flight + 1 + KEPT[urgency])

    def failed(self, now_ms: int) -> None:
        """A request was answered by an error, or not at all."""
        self._failures.spend(now_ms)

    def put_wait_ms(self, now_ms: int, entity: str) -> int:
        """How long until this entity may be PUT once more; 0: now."""
        bucket = self._puts.get(entity)
        return bucket.wait_ms(now_ms) if bucket is not None else 0

    def put(self, now_ms: int, entity: str) -> None:
        """A PUT to this entity is about to be sent."""
        bucket = self._puts.get(entity)
        if bucket is None:
            if len(self._puts) >= MANY_ENTITIES:
                self._forget(now_ms)
            bucket = self._puts[entity] = Bucket(PUTS, now_ms=now_ms, born_ms=self._born_ms)
            bucket.confine(now_ms, now_ms - self._known_since_ms)
        bucket.spend(now_ms)

    def confine(self, now_ms: int, known_ms: int) -> None:
        """Another instance may have asked under this account until ``known_ms`` ago."""
        if known_ms >= LONGEST_MS:
            return
        self._known_since_ms = max(self._known_since_ms, now_ms - known_ms)
        self._failures.confine(now_ms, known_ms)
        for bucket in self._puts.values():
            bucket.confine(now_ms, known_ms)

    def is_idle(self, now_ms: int) -> bool:
        """Nothing is left to remember."""
        self._forget(now_ms)
        return not self._puts and self._failures.says_nothing(now_ms)

    def _forget(self, now_ms: int) -> None:
        done = [entity for entity, bucket in self._puts.items() if bucket.says_nothing(now_ms)]
        for entity in done:
            del self._puts[entity]
