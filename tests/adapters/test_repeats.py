"""The same warning again and again is said once and counted; what differs in anything is said."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from adapters import repeats
from adapters.repeats import EVERY_S, NEWS_S, Repeats


class Log:
    """A log with the processor in it, at a time that the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.repeats = Repeats(lambda: self.now_s)
        self._text = io.StringIO()
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                self.repeats,
                structlog.processors.JSONRenderer(),
            ],
            logger_factory=structlog.PrintLoggerFactory(self._text),
            cache_logger_on_first_use=False,
        )

    def warn(self, event: str = "it_is_away", **fields: Any) -> None:
        structlog.get_logger("part").warning(event, logger="part", **fields)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._text.getvalue().splitlines()]

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]


@pytest.fixture
def log() -> Iterator[Log]:
    yield Log()
    structlog.reset_defaults()


def test_the_first_is_said_and_the_rest_are_counted_every_ten_seconds(log: Log) -> None:
    for _ in range(100):
        log.warn(reason="reset")
        log.now_s += 0.25
    assert log.events == ["it_is_away", "said_again", "said_again"]
    first, *sums = log.lines
    assert first["reason"] == "reset"
    assert [each["again"] for each in sums] == [{"part.it_is_away reason=reset": 40}] * 2
    assert [(each["lines"], each["over_s"], each["level"]) for each in sums] == [(40, 10.0, "warning")] * 2
    log.repeats.sum_up()
    assert log.lines[-1]["lines"] == 19, "all hundred are accounted for"


def test_what_differs_in_anything_is_said(log: Log) -> None:
    for number in range(3):
        log.warn(reason="reset", appends=number)
        log.warn("another")
        structlog.get_logger("part").error("it_broke")
        structlog.get_logger("part").info("it_goes_on")
    assert log.events.count("it_is_away") == log.events.count("it_broke") == log.events.count("it_goes_on") == 3
    with structlog.contextvars.bound_contextvars(call="1.1"):
        log.warn("another")
    assert log.lines[-1]["call"] == "1.1"
    assert log.events.count("another") == 2


def test_a_warning_that_was_not_heard_for_a_while_is_news(log: Log) -> None:
    for _ in range(3):
        log.warn()
        log.now_s += NEWS_S
    assert log.events == ["it_is_away"] * 3


def test_a_sum_has_nothing_of_whoever_happened_to_speak(log: Log) -> None:
    log.warn()
    log.warn()
    log.now_s += EVERY_S
    with structlog.contextvars.bound_contextvars(call="1.1", enterprise="0367"):
        structlog.get_logger("part").info("it_goes_on")
    assert log.events == ["it_is_away", "said_again", "it_goes_on"]
    assert log.lines[1] == {"event": "said_again", "level": "warning", "lines": 1, "over_s": 10.0, "again": {"part.it_is_away": 1}}


async def test_in_a_service_the_sum_is_said_though_nothing_more_is(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "EVERY_S", 0.01)
    log.warn()
    log.warn()
    for _ in range(500):
        if len(log.lines) == 2:
            break
        await asyncio.sleep(0.01)
    assert log.events == ["it_is_away", "said_again"]


def test_more_kinds_than_are_remembered_are_said(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "MOST_KINDS", 2)
    for _ in range(2):
        for number in range(3):
            log.warn(number=number)
    assert [line["number"] for line in log.lines] == [0, 1, 2, 2]
    log.now_s += NEWS_S
    for _ in range(2):
        log.warn(number=7)
    assert [line.get("number") for line in log.lines] == [0, 1, 2, 2, None, 7], "what is old makes room"
