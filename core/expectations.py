"""What should be true of a recorded call when today's code runs it: the expectation of a test made from it. Pure.

An expectation names a fact (:mod:`core.difference`) and its value: ``card 103: shown``, ``outcome: missed``, ``whose call: 102``,
``client made: none``. Of a card it names what could be seen, in order, or one of it; times are not part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.difference import Facts, facts
from core.events import Event
from core.history_file import HistoryFile
from core.rerun import Rerun, rerun

NONE: Final = "none"
"""Stands for what should not be."""

NEVER_RESTS: Final = "never rests"
OPEN_CARD: Final = "card left open"


class BadExpectation(ValueError):
    """What was expected cannot be understood; the message says what would be right."""


def run_again(history: HistoryFile, events: Sequence[Event] | None = None) -> Rerun:
    """The call by today's code, under the settings it was worked on under."""
    return rerun(
        history.events if events is None else events,
        enterprise=history.enterprise,
        call=history.call,
        settings=history.settings,
        limits=history.limits,
        until_ms=history.until_ms,
    )


def facts_of(history: HistoryFile, events: Sequence[Event]) -> Facts:
    """The facts of one way the call went."""
    return facts(events, enterprise=history.enterprise, call=history.call, settings=history.settings)


def as_recorded(found: Facts) -> dict[str, Any]:
    """Facts as an expectation: all that is so, and nothing else about cards, the call, clients and what else is made."""
    return {about: _plain(about, fact.value) for about, fact in found.items()}


def read_expectation(text: str) -> tuple[str, Any]:
    """``about: value`` as a person writes it. Raises BadExpectation."""
    about, colon, value = (part.strip() for part in text.partition(":"))
    if not colon or not about or not value:
        raise BadExpectation(f"{text!r}: say what is expected as 'card 103: shown' or 'outcome: missed' ('{NONE}': not at all)")
    if value == NONE:
        return about, None
    if about in ("start", "end"):
        if not value.isdigit():
            raise BadExpectation(f"{text!r}: {about} is a time in milliseconds since 1970")
        return about, int(value)
    parts = [part.strip() for part in value.split(",")]
    return about, parts if about.startswith("card ") and len(parts) > 1 else value


def unmet(expected: Mapping[str, Any], found: Facts) -> tuple[str, ...]:
    """Expectations that do not hold, each in words."""
    wrong = []
    for about, wanted in expected.items():
        fact = found.get(about)
        value = None if fact is None else _plain(about, fact.value)
        one_of_it = about.startswith("card ") and isinstance(value, list) and isinstance(wanted, str) and wanted in value
        if value != wanted and not one_of_it:
            wrong.append(f"{about}: {_said(wanted)} was expected, and it is {_said(value)}")
    return tuple(wrong)


def complaints(history: HistoryFile) -> tuple[tuple[str, str], ...]:
    """What is wrong with a history when today's code runs it: (what about, in words). Nothing: it is as it should be.

    Besides the expectations these always hold: it comes to rest, and a call that is over leaves no card behind.
    """
    run = run_again(history)
    found = facts_of(history, run.events)
    wrong = [(words.partition(":")[0], words) for words in unmet(history.expect, found)]
    if run.stuck:
        wrong.append((NEVER_RESTS, "the call never comes to rest"))
    if not run.call.is_live and not run.call.remote.attempt and run.call.remote.open_cards and not run.call.remote.refusals:
        wrong.append((OPEN_CARD, f"the call is over, and its card stands with {', '.join(run.call.remote.open_cards)}"))
    return tuple(wrong)


def _plain(about: str, value: Any) -> Any:
    """A fact's value as it stands in an expectation: cards without their times, texts as they are."""
    if about.startswith("card "):
        return [each["card"] for each in value]
    return str(value) if about in ("whose call", "extension") else value


def _said(value: Any) -> str:
    if value is None:
        return NONE
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
