"""The shortest history with the same fault: what a recorded call can do without while what is wrong with it stays. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from core.expectations import as_recorded, complaints, facts_of, read_expectation, run_again
from core.history_file import HistoryFile, Stored

MOST_TRIES: Final = 5_000
"""Each is one run of the call, some milliseconds: after so many what is left is short enough."""

T = TypeVar("T")


def with_expectations(history: HistoryFile, texts: Sequence[str]) -> HistoryFile:
    """The history with what should be true of it: what was typed; otherwise all that was so. Raises BadExpectation."""
    expect = dict(read_expectation(text) for text in texts)
    return replace(history, expect=expect or as_recorded(facts_of(history, history.events)))


def shrunk(history: HistoryFile) -> HistoryFile:
    """The same history without the events that its fault does not need, expecting only what is wrong with it.

    Raises ValueError when nothing is.
    """
    wrong = dict(complaints(history))
    if not wrong:
        raise ValueError("nothing is wrong with this call as today's code runs it: say with --expect what should have happened")
    history = replace(history, expect={about: value for about, value in history.expect.items() if about in wrong})
    still_wrong = same_fault(history)

    def holds(stored: Sequence[Stored]) -> bool:
        return still_wrong(replace(history, stored=tuple(stored)))

    return replace(history, stored=tuple(minimal(history.stored, holds)))


def same_fault(history: HistoryFile) -> Callable[[HistoryFile], bool]:
    """Whether another history has the fault of this one: the very same is wrong, with a call of the same kind.

    An empty history lacks everything, which proves nothing.
    """
    wrong = dict(complaints(history))
    whole = _bones(history, wrong)

    def has_it(other: HistoryFile) -> bool:
        return wrong.items() <= dict(complaints(other)).items() and _bones(other, wrong) == whole

    return has_it


def _bones(history: HistoryFile, wrong: Iterable[str]) -> tuple[Any, ...]:
    """What must stay as it is: how the call ends, whether MoySklad has it, and that the extensions of the complaint took part."""
    run = run_again(history)
    found = facts_of(history, run.events)
    part = {*run.call.rung, *run.call.requested, *(talk.extension for talk in run.call.talks)}
    named = [about.removeprefix("card ") for about in wrong if about.startswith("card ")]
    return found.get("outcome"), "call" in found, tuple(extension in part for extension in named)


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
