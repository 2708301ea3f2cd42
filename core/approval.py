"""Which differences of a corpus are wanted: an approval file says so, and anything else is a change that nobody meant. Pure.

Names of histories lead to their differences, each as ``about``, ``was`` and ``would`` in words. Times are told in seconds from
the beginning of the call. ``why`` is for people, and kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.difference import Change
from core.what_if import Verdict

Approved = Mapping[str, list[dict[str, Any]]]


class BadApproval(ValueError):
    """A file that approves nothing one can understand."""


def read_approved(content: object) -> dict[str, list[dict[str, Any]]]:
    """The file's ``histories``. Raises BadApproval."""
    histories = content.get("histories") if isinstance(content, Mapping) else None
    if not isinstance(histories, Mapping):
        raise BadApproval('the approval file is an object with "histories": {name: [differences]}')
    for name, entries in histories.items():
        if not isinstance(entries, list) or not all(isinstance(each, Mapping) and "about" in each for each in entries):
            raise BadApproval(f"{name}: a list of differences is needed, each with about, was and would")
    return {str(name): [dict(each) for each in entries] for name, entries in histories.items()}


def told(verdict: Verdict) -> list[dict[str, Any]]:
    """A verdict's differences as they stand in the file."""
    entries = [
        {"about": each.about, "was": _words(each, each.was, verdict), "would": _words(each, each.would, verdict)}
        for each in verdict.changes
    ]
    return [*entries, {"about": "never rests", "was": None, "would": "asks for ever"}] if verdict.stuck else entries


def objections(approved: Approved, found: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    """What is different and not approved, and what was approved and is not different any more. Each a line."""
    for name in sorted({*approved, *found}):
        wanted = [_without_why(each) for each in approved.get(name, [])]
        there = found.get(name, [])
        for each in there:
            if each not in wanted:
                yield f"{name}: {each['about']} would be otherwise, and nobody approved it: {each['was']} → {each['would']}"
        for each in wanted:
            if each not in there:
                yield f"{name}: approved, and not so any more: {each.get('about')}: {each.get('was')} → {each.get('would')}"


def renewed(approved: Approved, found: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """All that is found, approved; reasons that were given stay where the difference is the same."""
    reasons = {(name, _key(each)): each["why"] for name, entries in approved.items() for each in entries if each.get("why")}
    return {
        name: [{**each, **({"why": reasons[name, _key(each)]} if (name, _key(each)) in reasons else {})} for each in entries]
        for name, entries in sorted(found.items())
        if entries
    }


def _key(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(entry.get("about")), str(entry.get("was")), str(entry.get("would"))


def _without_why(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "why"}


def _words(change: Change, value: Any, verdict: Verdict) -> Any:
    if value is None:
        return None
    if change.about.startswith("card "):
        return ", ".join(f"{each['card']} {_seconds(each['at_ms'], verdict)}" for each in value)
    return _seconds(value, verdict) if change.about in ("start", "end") else value


def _seconds(at_ms: int, verdict: Verdict) -> str:
    return f"{round((at_ms - verdict.start_ms) / 1000)} s"
