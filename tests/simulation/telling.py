"""From a story to what is posted, through which endpoint and when; and to what is true of each customer's call in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from core.signals import Wire
from tests.playback import Line, as_call_event, as_dispatcher
from tests.simulation.exchange import HANGUP_MS, Exchange, Part
from tests.simulation.stories import BY_BRIDGES, EXTENSIONS, HIDDEN, LAG_MS, PHONES, Story, Telling
from tests.simulation.tale import Tale
from tests.simulation.truth import NOBODY, UNRECOGNISED, Truth

DROPPED_MS: Final = 60_000
"""The dispatcher drops every dial after the first within this time."""


Told = list[tuple[Wire, Line, dict[str, object]]]
"""Through which endpoint, when and what, the posted body."""


def tell(story: Story, prefix: str, first: int, at_ms: int, number: int, *, customer_first: bool) -> tuple[Told, list[Truth]]:
    """What is posted of it, and what is true of each customer's call in it. ``first``: its first UniqueId."""
    phone = PHONES[number] or HIDDEN[story.hidden % len(HIDDEN)]
    if story.outgoing and not PHONES[number]:
        phone = PHONES[0]
    exchange = Exchange(prefix=prefix, first=first, now_ms=at_ms, customer_first=customer_first)
    tale = Tale(story, phone, exchange)
    tale.begin()
    for step in story.steps[1:] if story.outgoing else story.steps:
        tale.step(step)
    tale.end()
    told = [posted for line, part in exchange.lines for posted in _posted(tale, line, part)]
    if story.telling in (Telling.ENDS, Telling.LATE_ENDS):
        told = _as_the_dispatcher_passes_it_on(told)
    return told, _truths(tale, told)


def _posted(tale: Tale, line: Line, part: Part) -> Told:
    story = tale.story
    is_hangup, is_dial, url = line.event == "hangup", line.event == "dial", f"https://records.example.invalid/{line.body['UniqueId']}.mp3"
    end, telling = is_hangup and part is Part.OWN, story.telling
    if (end and telling is Telling.NO_END) or (telling is Telling.HANGUPS and not end):
        return []
    if telling not in BY_BRIDGES and not (is_hangup or is_dial):
        return []
    late_ms = 0
    if part is Part.BRIDGE:
        late_ms = story.bridges_late_ms
    elif is_hangup and part is Part.LEG:
        late_ms = story.legs_late_ms
    elif is_dial and part is Part.LEG and story.legs_upside_down and telling in BY_BRIDGES:
        late_ms = _until_hangup_ms(tale, line)
    if (end and telling is Telling.LATE_END) or (is_hangup and telling is Telling.LATE_ENDS):
        late_ms = max(late_ms, tale.screens[-1].at_ms + HANGUP_MS - line.at_ms + LAG_MS + story.late_ms)
    recorded = url if is_hangup and story.recorded & (2 if part is Part.LEG else 1) else None
    found = [_post(telling, replace(line, at_ms=line.at_ms + late_ms), recorded, downloaded=late_ms > LAG_MS)]
    if end and story.copied_ms:
        recorded = url if story.recorded & 4 else recorded
        found.append(_post(telling, replace(line, at_ms=line.at_ms + late_ms + story.copied_ms), recorded, downloaded=True))
    return found


def _post(telling: Telling, line: Line, url: str | None, *, downloaded: bool) -> tuple[Wire, Line, dict[str, object]]:
    if telling in BY_BRIDGES and not downloaded:
        _, body = as_call_event(line)
        return Wire.CALL_EVENT, line, body | ({"record_url": url} if url else {})
    posted = as_dispatcher(line)
    assert posted is not None
    _, body = posted
    if line.event == "dial":
        return Wire.INCOMING_CALL, line, body
    body = {**body, "record_url": url, "origin": "download" if downloaded else None}
    return (Wire.RECOVERY_CALL if downloaded else Wire.HANGUP_CALL), line, body


def _until_hangup_ms(tale: Tale, dial: Line) -> int:
    """How late the dial of a leg must be to come after its hangup; 0 where that is more than the wire lags."""
    leg = dial.body["UniqueId"]
    gone = [line.at_ms for line, _ in tale.exchange.lines if line.event == "hangup" and line.body["UniqueId"] == leg]
    late_ms = min(gone) + tale.story.legs_late_ms + 300 - dial.at_ms if gone else 0
    return late_ms if late_ms <= LAG_MS else 0


def _as_the_dispatcher_passes_it_on(told: Told) -> Told:
    """Every dial after the first within a minute is dropped."""
    passed: dict[object, int] = {}
    kept: Told = []
    for wire, line, body in told:
        if line.event == "dial":
            if line.at_ms - passed.get(line.body["UniqueId"], line.at_ms - DROPPED_MS) < DROPPED_MS:
                continue
            passed[line.body["UniqueId"]] = line.at_ms
        kept.append((wire, line, body))
    return kept


def _truths(tale: Tale, told: Told) -> list[Truth]:
    story, end_ms, began_ms = tale.story, tale.screens[-1].at_ms, tale.exchange.lines[0][0].at_ms
    own = [line for _, line, _ in told if line.body["UniqueId"] == tale.own.id]
    if not own:
        return []
    last_ms = max((at_ms for at_ms, _ in tale.talks), default=None)
    last = frozenset(who if who in EXTENSIONS else NOBODY for at_ms, who in tale.talks if at_ms == last_ms)
    ends_ms = (end_ms, end_ms + story.bridges_late_ms)
    if story.outgoing and tale.own_over_ms is not None and (not tale.talks_to_the_end or story.telling not in BY_BRIDGES):
        ends_ms = (tale.own_over_ms, end_ms + story.bridges_late_ms)
    if story.telling is Telling.NO_END:
        ends_ms = (end_ms if tale.talks_to_the_end else began_ms, end_ms + story.bridges_late_ms)
    starts_ms = (own[0].at_ms, own[0].at_ms) if own[0].event != "hangup" else (began_ms, tale.sent_on_ms or began_ms)
    without_bridges = story.outgoing and story.telling not in BY_BRIDGES
    truth = Truth(
        call=tale.own.id,
        incoming=not story.outgoing,
        number=f"+{tale.phone}" if tale.phone[:1].isdigit() else "",
        extensions=last if last and story.telling in BY_BRIDGES else _best_known(tale, last, own),
        took_part=frozenset({*tale.rung, *(who for _, who in tale.talks)} & set(EXTENSIONS)),
        starts_ms=starts_ms,
        ends_ms=ends_ms,
        talked=bool(tale.talks),
        handed_on_ms=tale.own_over_ms,
        never_ends=story.telling is Telling.NO_END,
        by_bridges=story.telling in BY_BRIDGES and not story.bridges_late_ms and not story.merges,
        lone_leg=story.telling is Telling.HANGUPS and tale.sent_on_ms is not None and not story.outgoing,
        recordings=_recordings(told, lambda line: line.body["UniqueId"] == tale.own.id),
        legs_recordings=_recordings(told, lambda line: _is_the_calls_leg(tale, line)) if not without_bridges else frozenset(),
        others_recordings=_recordings(told, lambda line: line.body["UniqueId"] != tale.own.id),
        screens=tuple(tale.screens) if story.telling is Telling.ALL and not story.bridges_late_ms else (),
    )
    return [truth, *_truth_of_the_second(tale, told, end_ms)]


def _recordings(told: Told, of: Callable[[Line], bool]) -> frozenset[str]:
    return frozenset(str(url) for _, line, body in told if (url := body.get("record_url")) and of(line))


def _is_the_calls_leg(tale: Tale, line: Line) -> bool:
    """Whether a leg's hangup names the customer: one that names an employee, or a hidden number, is nobody's for certain."""
    others = [tale.own.id, *([tale.second[0].id] if tale.second is not None else [])]
    return line.body["Phone"] == tale.phone and tale.phone[:1].isdigit() and line.body["UniqueId"] not in others


def _best_known(tale: Tale, last: frozenset[str], own: list[Line]) -> frozenset[str]:
    """Whose it may be said to be where bridges do not tell: the best that the hangups prove (PRODUCT C3)."""
    named = frozenset(each if each in EXTENSIONS else NOBODY for each in tale.named)
    taken_over = frozenset(tale.taken_over)  # by whom is told by the hangups of legs
    if tale.story.outgoing:
        is_told = any(line.event == "dial" or any(line.body["Extensions"]) for line in own if line.event in ("dial", "hangup"))
        caller = frozenset(tale.rung[:1] if is_told else [NOBODY])
        return last | caller | taken_over if tale.talks and tale.story.telling not in BY_BRIDGES else caller
    if tale.talks:
        if tale.sent_on_ms is not None:
            return last | {NOBODY} | taken_over | (named if tale.answered else frozenset())
        return last | named | taken_over
    rung = {each for line in own if line.event == "dial" for each in line.body["Extensions"] if each}
    rung = rung or {each for line in own if line.event == "hangup" for each in line.body["Extensions"] if each}
    if not rung:
        return frozenset({NOBODY, UNRECOGNISED})
    extensions = frozenset(rung & set(EXTENSIONS))  # a mobile rings beside them, and is none
    return extensions if len(extensions) == 1 else frozenset({NOBODY})


def _truth_of_the_second(tale: Tale, told: Told, end_ms: int) -> list[Truth]:
    if tale.second is None:
        return []
    other, phone, began_ms, extension = tale.second
    return [
        Truth(
            call=other.id,
            incoming=True,
            number=f"+{phone}",
            extensions=frozenset({extension if extension in EXTENSIONS else NOBODY}),
            took_part=frozenset({extension} & set(EXTENSIONS)),
            starts_ms=(began_ms, began_ms),
            ends_ms=(end_ms, end_ms + tale.story.bridges_late_ms),
            talked=True,
            recordings=_recordings(told, lambda line: line.body["UniqueId"] == other.id),
        )
    ]
