"""The journal's rows: which facts become one, what stands in it, and that jsonb takes it."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import orjson
import pytest

from core.clicks import (
    ClickEvent,
    ClickExpired,
    ClickRefused,
    ClickRepeated,
    ClickRequested,
    ClickUnmatched,
    OriginateDone,
    OriginateFailed,
    encode_click,
)
from core.effects import ClaimCallback, CreateOrder, CreateTask, FindContact
from core.events import (
    ArrivalObserved,
    BridgeOpened,
    CallOverdue,
    CallSettled,
    CallWrittenOff,
    EffectFailed,
    Event,
    Exchange,
    encode,
)
from core.ports import RecordedEvent, StreamId
from projections import journal
from tests.scenario import NUMBER, deferred, done, events, failed, ms, refused, retry, started

FIND = FindContact(number=NUMBER)
EXCHANGE = Exchange(
    method="POST", path="/api/phone/1.0/call", request={"from": NUMBER}, status=200, response={"id": "m"}, duration_ms=12
)


def row(event: Event) -> tuple[object, ...] | None:
    """What one event becomes."""
    type_, schema, data = encode(event)
    return journal.row_of(
        RecordedEvent(
            stream=StreamId(enterprise="0367", name="call/A"),
            version=3,
            position=17,
            id=UUID(int=1),
            type=type_,
            schema=schema,
            data=data,
            recorded_ms=ms(1),
        )
    )


def told(event: Event) -> tuple[object, object, object, object, object]:
    """Kind, request, response, status and error of a row."""
    found = row(event)
    assert found is not None
    _, kind, request, response, status, error, _, _ = found
    assert isinstance(request, str)
    assert response is None or isinstance(response, str)
    return kind, orjson.loads(request), orjson.loads(response) if response is not None else None, status, error


def test_a_row_is_named_by_the_event_s_place_in_the_log_and_dated_by_its_recording() -> None:
    (dial,) = events("0 A dial 101 102")
    found = row(dial)
    assert found is not None
    assert (found[0], found[-2], found[-1]) == ("0367", ms(1) / 1000, 17)


def test_a_dial_and_a_hangup_say_who_and_how() -> None:
    dial, hangup = events("0 A dial 101 102\n9 A hangup 101 answered")
    heard = {"call": "A", "direction": "in", "phone": NUMBER, "extensions": ["101", "102"]}
    assert told(dial) == ("dial", heard, None, "success", None)
    ended = {"call": "A", "phone": NUMBER, "extensions": ["101"], "answered": True, "downloaded": False}
    assert told(hangup) == ("hangup", ended, None, "success", None)


def test_what_ami_tells_of_an_end_is_there_too() -> None:
    (hangup,) = events("9 A hangup 101 verdict=busy by=101 cause=17")
    assert told(hangup)[1] == {
        "call": "A", "phone": NUMBER, "extensions": ["101"], "answered": False, "downloaded": False, "verdict": "busy",
        "hung_up_by": "101", "cause": 17,
    }  # fmt: skip


def test_each_request_stands_beside_its_answer() -> None:
    asked = {"call": "A", "requests": [{"method": "POST", "path": "/api/phone/1.0/call", "body": {"from": NUMBER}}]}
    answered = [{"status": 200, "body": {"id": "m"}, "duration_ms": 12}]
    assert told(replace(done(FIND, 1), exchanges=(EXCHANGE,))) == ("find_contact", asked, answered, "success", None)


@pytest.mark.parametrize(
    ("event", "kind", "error"),
    [
        (failed(FIND, 1, error="connection lost"), "find_contact_failed", "connection lost"),
        (failed(FIND, 1, error=""), "find_contact_failed", "no answer"),
        (refused(FIND, 1, error="revoked key", sent=False), "find_contact_refused", "revoked key"),
    ],
)
def test_a_failure_and_a_refusal_are_errors_with_a_reason(event: EffectFailed, kind: str, error: str) -> None:
    assert told(event) == (kind, {"call": "A", "requests": []}, [], "error", error)


def test_what_was_put_off_is_an_error_and_says_until_when() -> None:
    assert told(deferred(FIND, 1, until=9, reason="MoySklad is away")) == (
        "find_contact_deferred", {"call": "A", "until_ms": ms(9)}, None, "error", "not asked yet: MoySklad is away",
    )  # fmt: skip
    assert told(deferred(FIND, 1, until=9, reason=""))[-1] == "not asked yet: no reason"


def test_orders_and_tasks_have_their_rows() -> None:
    order = CreateOrder(sync_id="s", contact="c", number=NUMBER, incoming=True, start_ms=1)
    assert told(done(order, 1, order="o"))[:1] == ("create_order",)
    assert told(refused(order, 1, error="Нет прав"))[0] == "create_order_refused"
    task = CreateTask(mark="m", number=NUMBER, missed_ms=1, due_ms=2)
    assert told(done(task, 1, task="t"))[0] == "create_task"


def test_a_retry_order_says_whose_it_is() -> None:
    ordered = {"call": "A", "by": "anna", "reason": "the key was mended"}
    assert told(retry(5, by="anna")) == ("retry_requested", ordered, None, "success", None)


def test_what_time_decided_is_told() -> None:
    assert told(CallSettled(at_ms=ms(1), reason="complete")) == (
        "call_settled", {"call": "A", "reason": "complete"}, None, "success", None,
    )  # fmt: skip
    overdue = ("call_overdue", {"call": "A"}, None, "error", "no hangup within the maximum")
    assert told(CallOverdue(at_ms=ms(1))) == overdue


@pytest.mark.parametrize(
    "event",
    [
        ArrivalObserved(heard_ms=1, channel="A"),
        BridgeOpened(heard_ms=1, bridge="b1"),
        CallWrittenOff(at_ms=1),
        started(FIND, 1),
        done(ClaimCallback(call="A", number=NUMBER, missed_ms=1), 1, granted=True),  # MoySklad was not asked
    ],
)
def test_the_rest_of_the_history_is_left_to_the_replay(event: Event) -> None:
    assert row(event) is None


@pytest.mark.parametrize(
    ("said", "kept"),
    [("a\x00b", "ab"), ("\x00", ""), ("\\u0000", "\\u0000"), ("\\\x00", "\\"), ("\\\\u0000\x00", "\\\\u0000"), ("ä", "ä")],
)
def test_no_nul_reaches_jsonb_and_a_text_that_only_spells_one_stays(said: str, kept: str) -> None:
    spoilt = replace(EXCHANGE, request={said: said})
    _, request, *_ = told(replace(done(FIND, 1), exchanges=(spoilt,)))
    assert request == {
        "call": "A", "requests": [{"method": "POST", "path": EXCHANGE.path, "body": {kept: kept}}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (OriginateDone(at_ms=ms(1), extension="101", number=NUMBER, took_ms=70), None),
        (OriginateFailed(at_ms=ms(1), error="no", remedy="do", extension="101", number=NUMBER), "no; do"),
        (
            OriginateFailed(at_ms=ms(1), error="no", extension="101", number=NUMBER, ambiguous=True),
            "it may ring all the same: no",
        ),
        (ClickRefused(at_ms=ms(1), error="no", remedy="do", extension="101", number=NUMBER), "no; do"),
        (
            ClickExpired(at_ms=ms(1), extension="101", number=NUMBER),
            "it could not be dialled in time, so it was not dialled at all",
        ),
        (
            ClickUnmatched(at_ms=ms(1), extension="101", number=NUMBER),
            "no call came of it: nobody picked up, or the exchange rang nobody",
        ),
    ],
)
def test_what_became_of_a_click_is_a_row(event: ClickEvent, error: str | None) -> None:
    found = click_row(event)
    assert found is not None
    _, kind, request, _, status, message, _, _ = found
    assert (kind, status, message) == ("click_to_call", "error" if error else "success", error)
    assert orjson.loads(str(request)) == {"click": "a", "phone": NUMBER, "extension": "101"}


def test_the_rest_of_a_click_is_left_to_its_story() -> None:
    assert click_row(ClickRepeated(at_ms=ms(1))) is None
    assert click_row(ClickRequested(at_ms=ms(1), extension="101", number=NUMBER)) is None


def click_row(event: ClickEvent) -> tuple[object, ...] | None:
    type_, schema, data = encode_click(event)
    stream = StreamId(enterprise="0367", name="click/a")
    return journal.row_of(
        RecordedEvent(
            stream=stream, version=1, position=18, id=UUID(int=2), type=type_, schema=schema, data=data, recorded_ms=ms(1)
        )
    )
