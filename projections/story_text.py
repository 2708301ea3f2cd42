"""The story as a person reads it in a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import Any, Final

from projections.difference_text import with_whom
from projections.story import Entry, Story

MARKS: Final = {
    "heard": "«",
    "time": "·",
    "asked": "»",
    "answered": "=",
    "failed": "!",
    "refused": "x",
    "deferred": "~",
    "ordered": "^",
}
LEGEND: Final = (
    "« heard   · time   » asked of MoySklad   = answered   ! failed   x refused   ~ not asked yet   ^ asked again"
)


def render(story: Story, zone: tzinfo, *, full: bool = False) -> str:
    """The whole story as text; times in ``zone``. ``full`` adds raw bodies, requests and answers."""
    return "\n".join(_lines(story, zone, full=full)) + "\n"


def _lines(story: Story, zone: tzinfo, *, full: bool) -> Iterator[str]:
    yield f"Call {story.call} of enterprise {story.enterprise}"
    yield f"  {_way(story)}; {story.outcome or 'going on'} ({story.phase})"
    if story.start_ms is not None:
        end = _clock(story.end_ms, zone) if story.end_ms is not None else "?"
        length = f", {(story.end_ms - story.start_ms) / 1000:.1f} s" if story.end_ms is not None else ""
        yield f"  {_day(story.start_ms, zone)}  {_clock(story.start_ms, zone)} - {end}{length}"
    if story.hung_up_by:
        cause = f" (cause {story.cause})" if story.cause is not None else ""
        yield f"  hung up by {'the other side' if story.hung_up_by == 'external' else story.hung_up_by}{cause}"
    if story.rang:
        nobody = "not heard (no bridge events came)" if story.outcome == "answered" else "nobody"
        yield f"  rang {', '.join(story.rang)}; talked {', '.join(story.talked) or nobody}"
    if story.attributed_because:
        yield f"  whose call: {story.attributed or 'nobody'} ({story.attributed_because})"
    if story.leg_of:
        yield f"  a leg of call {story.leg_of}: ./ms.sh replay {story.enterprise} {story.leg_of}"
    if story.legs:
        yield f"  its legs: {', '.join(story.legs)}"
    yield f"  at MoySklad: {_moysklad(story)}"
    if story.parked:
        yield f"  NEEDS A PERSON: {story.parked}"
    yield ""
    yield f"  {LEGEND}"
    yield ""
    cards: dict[str, str] = {}
    latest_ms = 0
    for entry in story.entries:
        yield from _entry(entry, zone, cards, full=full, overtaken=entry.at_ms < latest_ms)
        cards, latest_ms = entry.cards, max(latest_ms, entry.at_ms)


def _entry(
    entry: Entry, zone: tzinfo, cards_before: dict[str, str], *, full: bool, overtaken: bool
) -> Iterator[str]:
    # A leg's past joins the call's history only when it is known to concern the call.
    earlier = "   (heard earlier, joined now)" if overtaken else ""
    yield f"{_clock(entry.at_ms, zone)}  {MARKS[entry.kind]} {entry.title}{earlier}"
    if entry.why:
        again = f", tried again at {_clock(entry.again_ms, zone)}" if entry.kind == "deferred" and entry.again_ms else ""
        yield f"{'':14}  because {entry.why}{again}"
    if entry.phase_before != entry.phase_after:
        yield f"{'':14}  {entry.phase_before} → {entry.phase_after}"
    if entry.cards != cards_before:
        shown = ", ".join(f"{extension} {card}" for extension, card in entry.cards.items() if card != "hidden")
        yield f"{'':14}  cards now: {shown or 'none'}"
    for note in entry.notes:
        yield f"{'':14}  {note.about}: {note.text}"
    for exchange in entry.exchanges:
        yield f"{'':14}  {exchange['method']} {exchange['path']} → {exchange['status']} in {exchange['duration_ms']} ms"
        if full:
            yield from _block("sent", exchange["request"])
            yield from _block("got", exchange["response"])
    if full and entry.raw:
        yield from _block("raw", entry.raw)


def _block(label: str, body: Any) -> Iterator[str]:
    if body not in (None, "", {}):
        yield f"{'':16}{label}: {json.dumps(body, ensure_ascii=False)}"


def _way(story: Story) -> str:
    whom = with_whom(story.direction, story.number)
    return {"in": f"incoming {whom}", "out": f"outgoing {whom}"}.get(story.direction, whom)


def _moysklad(story: Story) -> str:
    if story.moysklad["call"] is None:
        return "nothing"
    parts = [f"call {story.moysklad['call']}"]
    if story.moysklad["contact"]:
        parts.append(f"contact {story.moysklad['client'] or story.moysklad['contact']}")
    if story.moysklad["extension"]:
        parts.append(f"extension {story.moysklad['extension']}")
    if story.moysklad["comment"]:
        parts.append(f"«{story.moysklad['comment']}»")
    if story.moysklad["recordings"]:
        count = len(story.moysklad["recordings"])
        parts.append(f"{count} recording{'s' if count > 1 else ''}")
    if story.moysklad["order"]:
        parts.append(f"order {story.moysklad['order_name'] or story.moysklad['order']}")
    if story.moysklad["task"]:
        parts.append(f"task {story.moysklad['task']}")
    parts.append(f"open cards: {', '.join(story.open_cards) or 'none'}")
    return ", ".join(parts)


def _clock(at_ms: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).strftime("%H:%M:%S.%f")[:-3]


def _day(at_ms: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).strftime("%Y-%m-%d")
