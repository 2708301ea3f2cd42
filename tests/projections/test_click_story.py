"""A click's story: every fact in words, in English and in Russian, and nothing left in English for the page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from adapters import click_caller, click_desk, provider_api
from adapters.click_book import Line, TooMany, place
from core import click_request
from core.click_request import Unfit, Wish, wish_of
from core.clicks import (
    EACH_HOUR,
    EACH_MINUTE,
    ENTERPRISE_MINUTE,
    INTERRUPTED,
    INTERRUPTED_REMEDY,
    ClickEvent,
    ClickExpired,
    ClickMatched,
    ClickRefused,
    ClickRepeated,
    ClickRequested,
    ClickUnmatched,
    OriginateDone,
    OriginateFailed,
    OriginateStarted,
    encode_click,
)
from core.origination import OriginationError
from core.ports import RecordedEvent, StreamId
from core.webhook_signature import Reading
from projections.click_story import ClickStory, click_in_russian, render_click, tell_click
from projections.story_ru import in_russian

T0 = 1_795_436_000_000
NUMBER = "+375290000001"
REQUESTED = ClickRequested(at_ms=T0, extension="101", number=NUMBER, uid="ivanov@demo", signature=Reading.BODY_ORDER)
STARTED = OriginateStarted(at_ms=T0 + 20, way="http", channel_id="click-a", extension="101", number=NUMBER)


def recorded(events: Sequence[ClickEvent], *, odd: str = "") -> list[RecordedEvent]:
    kept = [encode_click(event) for event in events] + ([(odd, 1, {})] if odd else [])
    return [
        RecordedEvent(
            stream=StreamId(enterprise="0367", name="click/a"),
            version=version,
            position=version,
            id=UUID(int=version),
            type=type_,
            schema=schema,
            data=data,
            recorded_ms=T0 + version,
        )
        for version, (type_, schema, data) in enumerate(kept, start=1)
    ]


def story(*events: ClickEvent) -> ClickStory:
    return tell_click("0367", "a", recorded(events))


def test_a_click_that_became_a_call() -> None:
    told = story(
        REQUESTED,
        STARTED,
        OriginateDone(at_ms=T0 + 90, took_ms=70),
        ClickMatched(at_ms=T0 + 900, call="1.0", own_leg=True),
        ClickRepeated(at_ms=T0 + 1_000),
        ClickMatched(at_ms=T0 + 4_000, call="1.1"),
    )
    assert (told.extension, told.number, told.uid, told.call, told.stage) == ("101", NUMBER, "ivanov@demo", "1.1", "joined")
    assert [(step.title, step.bad) for step in told.steps] == [
        (f"MoySklad asks: 101 calls {NUMBER}", False),
        ("the order is given by the provider's API", False),
        ("the telephone exchange took the order in 70 ms", False),
        ("the employee's own telephone rings (call 1.0)", False),
        ("delivered once more: the same click rings once", False),
        ("it became call 1.1", False),
    ]
    assert [step.call for step in told.steps if step.call] == ["1.0", "1.1"]


@pytest.mark.parametrize(
    "event",
    [
        OriginateFailed(at_ms=T0, error="no", remedy="do"),
        OriginateFailed(at_ms=T0, error="no", remedy="do", ambiguous=True),
        ClickExpired(at_ms=T0),
        ClickUnmatched(at_ms=T0),
        ClickRefused(at_ms=T0, error="no", remedy="do"),
    ],
)
def test_what_went_wrong_says_so_and_why(event: ClickEvent) -> None:
    (step,) = story(event).steps
    assert step.bad
    assert step.why


def test_as_text_for_a_terminal() -> None:
    told = render_click(story(REQUESTED, OriginateFailed(at_ms=T0, error="no", remedy="do")), ZoneInfo("Europe/Minsk"))
    assert told.splitlines()[0] == f"click click-a of enterprise 0367: 101 wants {NUMBER}"
    assert "! the order was not carried out: no" in told
    assert "                           do" in told


def test_what_a_newer_service_wrote_is_named_and_passed_over() -> None:
    told = tell_click("0367", "a", recorded([REQUESTED], odd="click_waved_at"))
    assert told.steps[-1].title == "click_waved_at: written by a newer version of the service"
    assert tell_click("0367", "a", []).steps == ()


# -- in Russian ----------------------------------------------------------------------------------------------------


def words() -> Iterator[str]:
    """Every error and remedy that a click's history can hold."""
    for source, wanted in (
        ("", "1"), ("x", "1"), ("101", ""), ("101", "*72"), ("101", "103"), ("101", "1" * 16),
    ):  # fmt: skip
        unfit = wish_of({"srcNumber": source, "destNumber": wanted}, "BY")
        assert isinstance(unfit, Unfit)
        yield from (unfit.error, unfit.remedy)
    wish = Wish(extension="101", number=NUMBER, uid="")
    for lines in (
        [Line(click=str(n), extension="101", number=str(n), uid="", at_ms=T0) for n in range(EACH_MINUTE)],
        [Line(click=str(n), extension="101", number=str(n), uid="", at_ms=T0 - 90_000) for n in range(EACH_HOUR)],
        [Line(click=str(n), extension="102", number=str(n), uid="", at_ms=T0) for n in range(ENTERPRISE_MINUTE)],
    ):
        many = place(wish, T0, lines, ())
        assert isinstance(many, TooMany)
        yield from (many.error, many.remedy)
    yield from (INTERRUPTED, INTERRUPTED_REMEDY)
    for status, body in ((500, b""), (302, b""), (401, b'{"error": "no"}'), (404, b""), (200, b'{"success": false}')):
        with pytest.raises(OriginationError) as caught:
            provider_api._judge(status, body, "secret")
        yield from (caught.value.error, caught.value.remedy)
    yield from literals()


def literals() -> Iterator[str]:
    """The sentences that stand in the source of whoever refuses or fails, as they are."""
    for module in (click_desk, click_caller, provider_api, click_request):
        assert module.__file__ is not None
        source = Path(module.__file__).read_text(encoding="utf-8")
        named = r"(?:error=|remedy=|words = |said = |remedy = |if signature == ABSENT else |failed\(|Refused\(|InDoubt\()"
        yield from re.findall(named + r'"([^"{}]+)"', source)
        yield from re.findall(r'^_[A-Z_]+: Final = "([a-z][^"]+ [^"]+)"$', source, re.MULTILINE)
        yield from re.findall(r'OriginationRefused\([^"()]*, "([^"{}]+)"\)', source)


def is_english(text: str) -> bool:
    names = r"srcNumber|destNumber|enterprises\.secret|Phone API"
    return re.search(r"[a-z]{3,}", re.sub(names, "", in_russian(text))) is not None


def test_every_word_has_its_russian() -> None:
    found = list(words())
    assert len(found) > 45
    assert [text for text in found if is_english(text)] == []


@pytest.mark.parametrize("reading", [*Reading, "absent", "wrong"])
def test_every_step_has_its_russian(reading: str) -> None:
    events = (
        ClickRequested(at_ms=T0, extension="101", number=NUMBER, signature=reading),
        STARTED,
        OriginateStarted(at_ms=T0, way="ami", channel_id="click-a", extension="101", number=NUMBER),
        OriginateDone(at_ms=T0 + 90, took_ms=70),
        OriginateFailed(at_ms=T0, error="report it", remedy="report it"),
        OriginateFailed(at_ms=T0, error="report it", remedy="report it", ambiguous=True),
        ClickExpired(at_ms=T0),
        ClickUnmatched(at_ms=T0),
        ClickRepeated(at_ms=T0),
        ClickRefused(at_ms=T0, error="report it", remedy="report it", extension="1", number="*72"),
        ClickMatched(at_ms=T0, call="1.0", own_leg=True),
        ClickMatched(at_ms=T0, call="1.1"),
    )
    told = click_in_russian(story(*events))
    left = [text for step in told.steps for text in (step.title, step.why) if re.search(r"[a-z]{4,}", text.replace("Number", ""))]
    assert [text for text in left if reading not in ("key + srcNumber + destNumber + uid",)] == []
