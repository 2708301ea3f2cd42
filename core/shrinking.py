"""The shortest history with the same fault: what a recorded call can do without while what is wrong with it stays. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from core.expectations import complaints
from core.history_file import HistoryFile

MOST_TRIES: Final = 5_000
"""Each is one run of the call, some milliseconds: after so many what is left is short enough."""

T = TypeVar("T")


def shrunk(history: HistoryFile) -> HistoryFile:
    """The same history without the events that its fault does not need. Raises ValueError when nothing is wrong with it."""
    wrong = {about for about, _ in complaints(history)}
    if not wrong:
        raise ValueError("nothing is wrong with this call as today's code runs it: say with --expect what should have happened")

    def still_wrong(stored: Sequence[object]) -> bool:
        smaller = replace(history, stored=tuple(each for each in history.stored if any(each is kept for kept in stored)))
        return wrong <= {about for about, _ in complaints(smaller)}

    kept = minimal(history.stored, still_wrong)
    return replace(history, stored=tuple(kept))


def minimal(items: Sequence[T], holds: Callable[[Sequence[T]], bool]) -> list[T]:
    """A part of ``items``, in order, for which ``holds``, and of which no single one can be left out (ddmin)."""
    kept, tries = list(items), 0
    size = max(1, len(kept) // 2)
    while size:
        start, shorter = 0, False
        while start < len(kept) and tries < MOST_TRIES:
            fewer = kept[:start] + kept[start + size :]
            tries += 1
            if holds(fewer):
                kept, shorter = fewer, True
            else:
                start += size
        if tries >= MOST_TRIES:
            break
        # At the end single ones are tried again until none can go.
        size = size if size == 1 and shorter else size // 2
    return kept
