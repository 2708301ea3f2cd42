"""Differences as a person reads them: one call's in a terminal, many calls' as a sum, and both as JSON (PRODUCT F3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from types import MappingProxyType
from typing import Any, Final

import msgspec

from core.difference import Change
from core.known_as import Known
from core.stand_in import IMAGINED
from core.values import Direction
from core.what_if import Verdict
from projections.story_ru import in_russian

SHOWN: Final = 20
"""Calls told one by one below a sum; the rest are counted."""

GROUPS: Final = 1_000
"""Kinds of differences that are kept apart: a reason may hold a number, and millions of calls many of them."""

EXAMPLES: Final = 3
OTHERS: Final = "(other differences)"

_LABELS: Final[Mapping[str, str]] = {"contact": "client", "name": "client", "owner": "employee", "due_ms": "due"}
"""What people call a field of an order or a task; any other by its own name."""

_UNSAID: Final = frozenset({"incoming", "start_ms", "missed_ms", "unless_open", "task"})
"""Fields that say nothing to a person who looks at this call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeShown(Change):
    """A change with its words: ``sentence``, and both values as a person reads them."""

    sentence: str
    was_words: str
    would_words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceShown:
    """A verdict as pages and programs get it (:class:`core.what_if.Verdict`)."""

    enterprise: str
    call: str
    start_ms: int
    number: str
    direction: str
    outcome: str | None
    differs: bool
    changes: tuple[ChangeShown, ...]
    anyway: tuple[ChangeShown, ...]
    assumed: tuple[str, ...]
    stuck: bool
    parted_ms: int | None
    parted: str


def sentence(change: Change) -> str:
    """What would be otherwise, in one sentence without times."""
    kind, _, rest = change.about.partition(" ")
    match kind:
        case "card" if change.was is None:
            return f"the card would also be shown to {rest}"
        case "card" if change.would is None:
            return f"the card would not be shown to {rest}"
        case "card":
            return f"the card of {rest} would stand otherwise"
        case "call" if change.would is None:
            return "the call would not be recorded at MoySklad"
        case "call":
            return "the call would be recorded at MoySklad"
        case "client" if change.would is None:
            return "no client would be made"
        case "client":
            return "a client would be made"
        case "contact" if change.would is None:
            return "the call would be linked to no client"
        case "contact" if change.was is None:
            return "the call would be linked to a client"
        case "parked" if change.would is None:
            return "no person would be needed"
        case "parked" if change.was is None:
            return "a person would be needed"
        case "create" if change.was is None:
            return f"{_thing(rest)} would be made"
        case "create" if change.would is None:
            return f"no {rest} would be made"
        case "complete" if change.was is None:
            return "a task would be marked as done"
        case "complete" if change.would is None:
            return "no task would be marked as done"
        case "create" | "complete":
            return f"the {rest} would be otherwise"
        case _:
            return f"{change.about} would be otherwise"


def _thing(name: str) -> str:
    return f"an {name}" if name[:1] in "aeiou" else f"a {name}"


def detail(
    about: str, value: Any, zone: tzinfo, say: Callable[[str], str] = str, names: Mapping[str, str] = MappingProxyType({})
) -> str:
    """A value in words: times as clocks, cards as they stood. ``say`` turns a word into another language's; ``names``: of ids."""
    if value is None:
        return "—"
    if about.startswith("card "):
        return ", ".join(f"{say(each['card'])} {_clock(each['at_ms'], zone)}" for each in value)
    if about in ("start", "end"):
        return _clock(value, zone)
    if isinstance(value, Mapping):
        said = {name: each for name, each in value.items() if name not in _UNSAID and not (name == "name" and "contact" in value)}
        parts = (
            f"{say(_LABELS.get(name, name))} {_clock(each, zone) if name == 'due_ms' else _plain(each, names, say)}"
            for name, each in said.items()
        )
        return ", ".join(parts) or say("done")
    return say(_plain(value, names, say))


def _plain(value: Any, names: Mapping[str, str], say: Callable[[str], str]) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_plain(each, names, say) for each in value)
    text = str(value)
    return say("a new one") if text.startswith(f"{IMAGINED}-") else names.get(text, text)


def names_of(known: Mapping[str, Known], say: Callable[[str], str] = str) -> Mapping[str, str]:
    """How to name those whom ids mean: by name and extension. Where that fits two of them, the id follows."""
    words = {id_: _name(each, say) for id_, each in known.items()}
    often = Counter(words.values())
    return {id_: text if often[text] == 1 else f"{text} {id_}" for id_, text in words.items() if text}


def _name(known: Known, say: Callable[[str], str]) -> str:
    extensions = ", ".join(known.extensions)
    if not known.name:
        return say(f"whoever has {extensions}") if extensions else ""
    return f"{known.name} ({extensions})" if extensions else known.name


def render(verdict: Verdict, zone: tzinfo) -> str:
    """One call as text."""
    return "\n".join(_lines(verdict, zone)) + "\n"


def with_whom(direction: str, number: str) -> str:
    """Where the call came from or went to; an internal one may have no number."""
    if direction == Direction.INTERNAL:
        return f"internal, {number}" if number else "internal"
    return f"{'to' if direction == Direction.OUTGOING else 'from'} {number}"


def _lines(verdict: Verdict, zone: tzinfo) -> Iterator[str]:
    day = datetime.fromtimestamp(verdict.start_ms / 1000, zone).strftime("%Y-%m-%d %H:%M:%S")
    names = names_of(verdict.known)
    whom = with_whom(verdict.direction, verdict.number)
    yield f"Call {verdict.call} of enterprise {verdict.enterprise}, {day}, {whom}: {verdict.outcome or 'going on'}"
    if not verdict.differs and not verdict.anyway:
        yield "  nothing would be otherwise"
    for change in verdict.changes:
        yield from _change(change, zone, names)
    if verdict.stuck:
        yield "  ! the run never comes to rest: it goes on asking, and was ended"
    if verdict.anyway:
        yield "  Not because of this: the call run again as it was has it too."
        for change in verdict.anyway:
            yield from _change(change, zone, names)
    if verdict.parted_ms is not None:
        yield f"  first otherwise at {_clock(verdict.parted_ms, zone)}: {verdict.parted}"
    for assumed in verdict.assumed:
        yield f"  assumed: {assumed}"


def _change(change: Change, zone: tzinfo, names: Mapping[str, str]) -> Iterator[str]:
    yield f"  ≠ {sentence(change)}"
    for mark, value, because in (("was", change.was, change.was_because), ("would", change.would, change.would_because)):
        why = f" ({because})" if because else ""
        yield f"      {mark + ':':<7}{detail(change.about, value, zone, names=names)}{why}"


def as_json(verdict: Verdict, zone: tzinfo, *, russian: bool = False) -> dict[str, Any]:
    """One call for programs and pages; ``russian``: its sentences for a page."""
    say: Callable[[str], str] = in_russian if russian else str
    names = names_of(verdict.known, say)
    told: dict[str, Any] = msgspec.to_builtins(verdict)
    del told["known"]  # is in the words
    told["differs"] = verdict.differs
    for name, changes in (("changes", verdict.changes), ("anyway", verdict.anyway)):
        told[name] = [
            {
                **each,
                "sentence": say(sentence(change)),
                "was_words": detail(change.about, change.was, zone, say, names),
                "would_words": detail(change.about, change.would, zone, say, names),
                "was_because": say(change.was_because),
                "would_because": say(change.would_because),
            }
            for each, change in zip(told[name], changes, strict=True)
        ]
    told["assumed"] = [say(each) for each in verdict.assumed]
    told["parted"] = say(verdict.parted)
    return told


class Tally:
    """Many verdicts as a sum that is bounded in memory: how many differ, by what and why, with a few examples of each."""

    def __init__(self) -> None:
        self.calls = 0
        self.differing = 0
        self.anyway = 0
        self.unreadable = 0
        self.groups: Counter[tuple[str, str]] = Counter()
        self.examples: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self.first: list[Verdict] = []

    def add(self, verdict: Verdict) -> None:
        """Count one call in."""
        self.calls += 1
        self.anyway += bool(verdict.anyway)
        if not verdict.differs:
            return
        self.differing += 1
        if len(self.first) < SHOWN:
            self.first.append(verdict)
        kinds = [(sentence(change), _because(change)) for change in verdict.changes] or [("the run never comes to rest", "")]
        for kind in dict.fromkeys(kinds):
            if kind not in self.groups and len(self.groups) >= GROUPS:
                kind = (OTHERS, "")
            self.groups[kind] += 1
            examples = self.examples.setdefault(kind, [])
            if len(examples) < EXAMPLES:
                examples.append((verdict.enterprise, verdict.call))

    @property
    def ordered(self) -> Sequence[tuple[tuple[str, str], int]]:
        """The groups, the largest first; equal ones by their words, so that the same calls give the same sum."""
        return sorted(self.groups.items(), key=lambda group: (-group[1], group[0]))

    def lines(self, zone: tzinfo) -> Iterator[str]:
        """The sum as text, then the first calls that differ."""
        one = self.calls == 1
        yield f"{self.differing:,} of {self.calls:,} call{'' if one else 's'} differ{'s' if one or self.differing == 1 else ''}"
        if self.anyway:
            yield f"{self.anyway:,} differ without the change too: by code since then, or because this service was held up"
        if self.unreadable:
            yield f"{self.unreadable:,} cannot be read by this code"
        for (what, because), count in self.ordered:
            yield f"  {count:>7,}  {what}{f', because {because}' if because else ''}"
            yield f"           e.g. {', '.join(call for _, call in self.examples[what, because])}"
        for verdict in self.first:
            yield ""
            yield from _lines(verdict, zone)
        if self.differing > len(self.first):
            yield ""
            yield f"… and {self.differing - len(self.first):,} more; --json tells all"

    def as_json(self, *, russian: bool = False) -> dict[str, Any]:
        """The sum for programs and pages."""
        say: Callable[[str], str] = in_russian if russian else str
        return {
            "calls": self.calls,
            "differing": self.differing,
            "anyway": self.anyway,
            "unreadable": self.unreadable,
            "groups": [
                {
                    "what": say(what),
                    "because": say(because),
                    "calls": count,
                    "examples": [{"enterprise": number, "call": call} for number, call in self.examples[what, because]],
                }
                for (what, because), count in self.ordered
            ],
        }


def _because(change: Change) -> str:
    """The reason that tells two kinds of one difference apart: why it is there now, or why it was there and is not."""
    return change.would_because if change.would is not None else change.would_because or change.was_because


def _clock(at_ms: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).strftime("%H:%M:%S")
