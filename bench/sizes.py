"""How large each measurement is: as the figures are stated, for a quick look, and for the tests of the measuring itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Times in seconds, counts as named. ``history``: events in the large history, ``history_small``: in the small one."""

    name: str
    rounds: int
    side_s: float
    callers: tuple[int, ...] = (32, 256)
    fold_calls: int
    ingest_s: float
    held_s: float
    senders: int = 128
    card_rates: tuple[tuple[int, float], ...] = ((300, 5.0), (3_000, 25.0))
    """(events/s, most ms at p99 for a card)."""

    cards_s: float
    live_calls: int
    enterprises: int = 1_000
    backlog: int
    backlog_s: float
    restart_calls: int
    restarts: int
    history: int
    history_small: int
    rebuild_s: float
    memory_calls: int
    looks: int
    """How many single look-ups (a call, a page of a search) one round of the growth row times."""


FULL: Final = Size(
    name="full size", rounds=5, side_s=5.0, fold_calls=20_000, ingest_s=20.0, held_s=600.0, cards_s=60.0, live_calls=1_000,
    backlog=100_000, backlog_s=60.0, restart_calls=10_000, restarts=5, history=5_000_000, history_small=50_000, rebuild_s=60.0,
    memory_calls=100_000, looks=200,
)  # fmt: skip
QUICK: Final = Size(
    name="quick: smaller than the targets are stated for", rounds=2, side_s=0.8, fold_calls=1_500, ingest_s=2.0, held_s=2.0,
    cards_s=4.0, live_calls=100, card_rates=((300, 5.0),), enterprises=100, backlog=2_000, backlog_s=4.0, restart_calls=500,
    restarts=2, history=60_000, history_small=6_000, rebuild_s=15.0, memory_calls=3_000, looks=30,
)  # fmt: skip
TINY: Final = Size(
    name="tiny: proves that the measuring measures", rounds=1, side_s=0.15, callers=(4,), fold_calls=20, ingest_s=0.3, held_s=0.3,
    senders=4, card_rates=((50, 5.0),), cards_s=0.6, live_calls=5, enterprises=5, backlog=20, backlog_s=0.6, restart_calls=10,
    restarts=1, history=600, history_small=300, rebuild_s=5.0, memory_calls=50, looks=3,
)  # fmt: skip
