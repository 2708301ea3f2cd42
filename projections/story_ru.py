"""The story in Russian, for the pages: sentence by sentence from one table, so that a person can check the words.

The story itself is told in English, once; ``russian.txt`` has each of its sentences with its Russian one. Numbers, ids, names, and
MoySklad's own words (Russian already) are taken over. What is not in the table stays as it is: better English than nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from core.values import ANONYMOUS


def _read(text: str) -> Iterator[tuple[re.Pattern[str], str]]:
    """Pairs of lines; blank ones and those that begin with # are for people."""
    pattern = ""
    for line in text.splitlines():
        if line.startswith("    "):
            yield re.compile(pattern), line[4:]
        elif not line.startswith("#"):
            pattern = line


_SENTENCES: Final = tuple(_read((Path(__file__).parent / "russian.txt").read_text(encoding="utf-8")))
_CARD: Final = re.compile(r"card (.+)")
_ABOUT: Final[Mapping[str, str]] = {
    "call": "звонок",
    "cards": "карточки",
    "contact": "клиент",
    "end": "конец",
    "recording": "запись разговора",
    "extension": "добавочный",
    "attribution": "чей звонок",
    "order": "заказ",
    "task": "задача",
}


@lru_cache(maxsize=4_096)
def in_russian(text: str) -> str:
    """One sentence, or several joined by ``; ``."""
    for pattern, russian in _SENTENCES:
        if (found := pattern.fullmatch(text)) is not None:
            return russian.format(**{name: _group(name, value) for name, value in found.groupdict().items()})
    parts = text.split("; ")
    return "; ".join(in_russian(part) for part in parts) if len(parts) > 1 else text


def _group(name: str, value: str | None) -> str:
    if not value:
        return ""
    if name.startswith("t"):
        return in_russian(value)
    if name.startswith("n") and value == ANONYMOUS:
        return "скрыт"
    if name.startswith("l"):
        if (whole := in_russian(value)) != value:
            return whole
        parts = re.split(r"(; |, )", value)
        return "".join(part if index % 2 else in_russian(part) for index, part in enumerate(parts))
    return value


def about_in_russian(about: str) -> str:
    """What a note concerns."""
    card = _CARD.fullmatch(about)
    return f"карточка {card.group(1)}" if card is not None else _ABOUT.get(about, about)


def replay_in_russian(replay: Mapping[str, Any]) -> dict[str, Any]:
    """A replay (as JSON) with its sentences in Russian; kinds, phases and states stay names, which the page knows."""
    return {
        **replay,
        "attributed_because": in_russian(replay["attributed_because"]),
        "parked": _reason_and_remedy(replay["parked"]),
        "entries": [
            {
                **entry,
                "title": in_russian(entry["title"]),
                "why": in_russian(entry["why"]),
                "notes": [_note(note) for note in entry["notes"]],
                "gone": [_note(note) for note in entry["gone"]],
            }
            for entry in replay["entries"]
        ],
    }


def _reason_and_remedy(text: str) -> str:
    """MoySklad's own words and, where it follows them, the remedy in ours."""
    words = text.split(" ")
    for index in range(len(words)):
        remedy = " ".join(words[index:])
        if (russian := in_russian(remedy)) != remedy:
            reason = in_russian(" ".join(words[:index]))
            return f"{reason}: {russian}" if reason else russian
    return text


def _note(note: Mapping[str, str]) -> dict[str, str]:
    return {"about": about_in_russian(note["about"]), "text": in_russian(note["text"])}
