"""A call as a picture: whose phone rang and who talked when, which card stood on whose screen, which request took how long.

Pure, from the history and the story that is told of it. All times are ``*_ms`` UTC, as heard; a bar without an end goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from core import conclusions
from core.call import Call, fold, initial
from core.dials import Dial
from core.events import EffectDone, decode
from core.lifecycle import LIVE, Phase
from core.measures import involved
from core.ports import RecordedEvent
from core.remote import Card
from core.settings import Settings
from core.talk import Talk
from core.values import Direction
from projections.story import Entry, Story

SHORTEST_MS: Final = 1
"""A request that took no measurable time is still drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One stretch of a lane. ``state`` of a phone: ``ringing``, ``talking``, ``unsure`` (answered, it was not heard when); of the
    customer: ``waiting``, ``talking``, ``hold``; of a card: ``shown``, ``timing``, ``unsure``; of the call: its phase."""

    from_ms: int
    to_ms: int | None
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One line of the picture. ``who``: an extension, or empty for the customer."""

    who: str
    name: str = ""
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to MoySklad; ``version`` and ``index`` name the step and the exchange in it. ``status`` None: no answer."""

    from_ms: int
    to_ms: int
    method: str
    path: str
    status: int | None
    version: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The lanes, and from when to when something happened. ``live``: the call goes on, and so do bars without an end.

    ``client``: the customer's name at MoySklad; ``names``: the employees', by extension.
    """

    from_ms: int
    to_ms: int
    live: bool
    customer: Lane
    phones: tuple[Lane, ...] = ()
    cards: tuple[Lane, ...] = ()
    requests: tuple[Request, ...] = ()
    phases: tuple[Bar, ...] = ()
    client: str = ""
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay(Story):
    """A call's story with its picture: what leaves the service."""

    picture: Picture


def draw(story: Story, history: Sequence[RecordedEvent], settings: Settings) -> Picture:
    """The picture of one call, from the story and the history it was told from."""
    state = fold(initial(story.enterprise, story.call), (decode(each.type, each.schema, each.data) for each in history))
    times = [entry.at_ms for entry in story.entries]
    requests = tuple(request for entry in story.entries for request in _requests(entry))
    begin = min([*times, *(request.from_ms for request in requests)], default=0)
    if story.start_ms is not None:
        begin = min(begin, story.start_ms)
    if state.click is not None and state.click.clicked_ms:
        begin = min(begin, state.click.clicked_ms)
    names = _names(history, settings)
    return Picture(
        from_ms=begin,
        to_ms=max([*times, story.end_ms or 0], default=0),
        live=state.is_live,
        customer=Lane(who="", bars=tuple(_customer(state))),
        phones=tuple(Lane(who=each, name=names.get(each, ""), bars=tuple(_phone(state, each))) for each in involved(state)),
        cards=tuple(Lane(who=each, name=names.get(each, ""), bars=bars) for each, bars in _cards(story.entries).items()),
        requests=requests,
        phases=tuple(_phases(story.entries)),
        client=state.remote.contact.name,
        names=names,
    )


def _names(history: Iterable[RecordedEvent], settings: Settings) -> dict[str, str]:
    """Extension -> the employee's name: as MoySklad said during the call, and above that as the settings say."""
    found: dict[str, str] = {}
    for each in history:
        employees = each.data.get("result", {}).get("employees") if each.type == EffectDone.type else None
        for extension, employee in employees.items() if isinstance(employees, dict) else ():
            if isinstance(employee, dict) and employee.get("name"):
                found[extension] = str(employee["name"])
    return found | {extension: employee.name for extension, employee in settings.employees if employee.name}


# -- phones -------------------------------------------------------------------------------------------------------


def _over_ms(state: Call) -> int | None:
    """When the phones were all quiet; None while the call goes on, or where nobody knows."""
    if state.phase in LIVE or state.phase in (Phase.UNHEARD, Phase.INTERNAL):
        return None
    if (ended := conclusions.end_ms(state)) is not None:
        return ended
    return max((talk.end_ms or 0 for talk in state.talks), default=0) or state.overdue_ms or state.last_heard_ms


def _customer(state: Call) -> Iterator[Bar]:
    if state.first_heard_ms is None or state.direction is Direction.INTERNAL:
        return
    over_ms, at_ms, resting = _over_ms(state), conclusions.start_ms(state), "waiting"
    for start_ms, end_ms in _merged(state.talks):
        if start_ms > at_ms:
            yield Bar(from_ms=at_ms, to_ms=start_ms, state=resting)
        yield Bar(from_ms=max(at_ms, start_ms), to_ms=end_ms if end_ms is not None else over_ms, state="talking")
        if end_ms is None:
            return
        at_ms, resting = max(at_ms, end_ms), "hold"
    if over_ms is None or over_ms > at_ms:
        yield Bar(from_ms=at_ms, to_ms=over_ms, state="unsure" if conclusions.is_answered(state) and not state.talks else resting)


def _merged(talks: Iterable[Talk]) -> Iterator[tuple[int, int | None]]:
    """The times when anybody talked with the customer, without overlaps."""
    current: tuple[int, int | None] | None = None
    for talk in sorted(talks, key=lambda each: each.start_ms):
        end_ms = talk.end_ms if talk.end_ms is None else max(talk.start_ms, talk.end_ms)
        if current is None:
            current = talk.start_ms, end_ms
        elif current[1] is None or talk.start_ms <= current[1]:
            current = current[0], None if current[1] is None or end_ms is None else max(current[1], end_ms)
        else:
            yield current
            current = talk.start_ms, end_ms
    if current is not None:
        yield current


def _phone(state: Call, extension: str) -> Iterator[Bar]:
    over_ms = _over_ms(state)
    yield from _rings(state, extension, over_ms)
    for talk in state.talks:
        if talk.extension == extension:
            end_ms = talk.end_ms if talk.end_ms is not None else over_ms
            yield Bar(from_ms=talk.start_ms, to_ms=None if end_ms is None else max(talk.start_ms, end_ms), state="talking")


def _rings(state: Call, extension: str, over_ms: int | None) -> Iterator[Bar]:
    """From each step that rang this phone until somebody answered, it stopped, the next step left it out, or the call was over."""
    steps = sorted(state.steps, key=lambda step: step.heard_ms)
    last = _rung_by_click(state, extension, [*(step.heard_ms for step in steps), *(talk.start_ms for talk in state.talks)], over_ms)
    for index, step in enumerate(steps):
        if extension not in (state.rung if state.direction is Direction.OUTGOING else step.extensions):
            continue
        ends = [talk.start_ms for talk in state.talks if talk.start_ms >= step.heard_ms]
        ends += [later.heard_ms for later in _leaving_out(steps[index + 1 :], extension, state)]
        ends += [at_ms for stopped, at_ms in state.stopped if stopped == extension and at_ms >= step.heard_ms]
        if over_ms is not None:
            ends.append(over_ms)
        to_ms = min(ends, default=None)
        named = not state.talks and state.hangup is not None and state.hangup.answered and extension in state.hangup.extensions
        bar = Bar(
            from_ms=step.heard_ms,
            to_ms=to_ms if to_ms is None else max(step.heard_ms, to_ms),
            state="unsure" if named else "ringing",
        )
        if last is not None and last.state == bar.state and (last.to_ms is None or last.to_ms >= bar.from_ms):
            last = replace(last, to_ms=bar.to_ms)  # the same phone rings on
            continue
        if last is not None:
            yield last
        last = bar
    if last is not None:
        yield last


def _rung_by_click(state: Call, extension: str, heard_ms: Iterable[int], over_ms: int | None) -> Bar | None:
    """The employee's own telephone rings from the click on, until the customer is dialled."""
    click = state.click
    if click is None or not click.clicked_ms or click.extension != extension:
        return None
    ends = [*heard_ms, *([over_ms] if over_ms is not None else [])]
    to_ms = min(ends, default=None)
    return Bar(from_ms=click.clicked_ms, to_ms=to_ms if to_ms is None else max(to_ms, click.clicked_ms), state="ringing")


def _leaving_out(later: Iterable[Dial], extension: str, state: Call) -> Iterator[Dial]:
    if state.direction is not Direction.OUTGOING:
        yield from (step for step in later if extension not in step.extensions)


# -- screens, requests, phases --------------------------------------------------------------------------------------


def _cards(entries: Iterable[Entry]) -> dict[str, tuple[Bar, ...]]:
    """Extension -> how the call's card stood on that screen, by our knowledge."""
    lanes: dict[str, list[Bar]] = {}
    standing: dict[str, str] = {}
    at_ms = 0
    for entry in entries:
        at_ms = max(at_ms, entry.at_ms)
        for extension, card in entry.cards.items():
            if standing.get(extension, Card.HIDDEN) == card:
                continue
            lane = lanes.setdefault(extension, [])
            if lane and lane[-1].to_ms is None:
                lane[-1] = replace(lane[-1], to_ms=at_ms)
            if card != Card.HIDDEN:
                lane.append(Bar(from_ms=at_ms, to_ms=None, state=card))
            standing[extension] = card
    return {extension: tuple(bars) for extension, bars in lanes.items()}


def _requests(entry: Entry) -> Iterator[Request]:
    """One after the other, the last until the answer was recorded: nothing else is known of when each began."""
    to_ms = entry.at_ms
    found: list[Request] = []
    for index in range(len(entry.exchanges) - 1, -1, -1):
        exchange: dict[str, Any] = entry.exchanges[index]
        from_ms = to_ms - max(SHORTEST_MS, exchange["duration_ms"])
        found.append(
            Request(
                from_ms=from_ms,
                to_ms=to_ms,
                method=exchange["method"],
                path=exchange["path"],
                status=exchange["status"],
                version=entry.version,
                index=index,
            )
        )
        to_ms = from_ms
    yield from reversed(found)


def _phases(entries: Sequence[Entry]) -> Iterator[Bar]:
    """The call's phases one after the other, as they were taken to be at the time."""
    at_ms, current = 0, ""
    since_ms = 0
    for entry in entries:
        at_ms = max(at_ms, entry.at_ms)
        if entry.phase_after == current:
            continue
        if current and current != Phase.UNHEARD:
            yield Bar(from_ms=since_ms, to_ms=at_ms, state=current)
        since_ms, current = at_ms, entry.phase_after
    if current and current != Phase.UNHEARD:
        yield Bar(from_ms=since_ms, to_ms=None, state=current)
