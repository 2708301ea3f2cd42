"""Request bodies, compared with the examples in CONTRACT-MOYSKLAD 1.4 and 2.5."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.moysklad.json_api import counterparty_body
from adapters.moysklad.moments import to_moscow
from adapters.moysklad.phone_api import event_body, linked_id, register_body, update_body
from core.effects import CardAction, CardEvent, RegisterCall, UpdateCall

MOSCOW = ZoneInfo("Europe/Moscow")
START_MS = int(datetime(2016, 12, 31, 21, 0, 5, tzinfo=UTC).timestamp() * 1000)  # 2017-01-01 00:00:05 in Moscow


def test_the_full_create_request_of_the_contract() -> None:
    effect = RegisterCall(
        external_id="AkjhDlkJDlkjD09D",
        number="+74959999999",
        incoming=True,
        start_ms=START_MS,
        contact="88fc07ad-2c8d-11e6-8a84-bae500000050",
        extension="100",
        employee="88fc07ad-2c8d-11e6-8a84-bae500001324",
        end_ms=START_MS,
        recordings=("http://some_url.ru",),
        comment="example comment",
        cards=(CardEvent(action=CardAction.SHOW, sequence=1, extension="101", employee="88fc07ad-2c8d-11e6-8a84-bae500001325"),),
    )
    assert register_body(effect, MOSCOW) == {
        "externalId": "AkjhDlkJDlkjD09D",
        "number": "+74959999999",
        "counterparty": {
            "href": "https://api.moysklad.ru/api/remap/1.2/entity/counterparty/88fc07ad-2c8d-11e6-8a84-bae500000050",
            "type": "counterparty",
            "mediaType": "application/json",
        },
        "extension": "100",
        "employee": {
            "href": "https://api.moysklad.ru/api/remap/1.2/entity/employee/88fc07ad-2c8d-11e6-8a84-bae500001324",
            "type": "employee",
            "mediaType": "application/json",
        },
        "isIncoming": True,
        "startTime": "2017-01-01 00:00:05.000",
        "endTime": "2017-01-01 00:00:05.000",
        "duration": 0,
        "recordUrl": ["http://some_url.ru"],
        "comment": "example comment",
        "events": [
            {
                "eventType": "SHOW",
                "extension": "101",
                "sequence": 1,
                "employee": {
                    "href": "https://api.moysklad.ru/api/remap/1.2/entity/employee/88fc07ad-2c8d-11e6-8a84-bae500001325",
                    "type": "employee",
                    "mediaType": "application/json",
                },
            }
        ],
    }


def test_the_minimal_life_cycle_of_the_contract() -> None:
    register = RegisterCall(
        external_id="AkjhDlkJDlkjD09D",
        number="+74959999999",
        incoming=True,
        start_ms=START_MS,
        extension="101",
        cards=(CardEvent(action=CardAction.SHOW, sequence=1, extension="101"),),
    )
    assert register_body(register, MOSCOW) == {
        "externalId": "AkjhDlkJDlkjD09D",
        "number": "+74959999999",
        "extension": "101",
        "isIncoming": True,
        "startTime": "2017-01-01 00:00:05.000",
        "events": [{"eventType": "SHOW", "extension": "101", "sequence": 1}],
    }
    update = UpdateCall(
        external_id="AkjhDlkJDlkjD09D",
        call="89fc07ad-2c8d-11e6-8a84-bae500000051",
        start_ms=START_MS,
        end_ms=START_MS + 60_000,
        recordings=("http://some_url.ru",),
        comment="updated example comment",
        cards=(CardEvent(action=CardAction.HIDE, sequence=2, extension="101"),),
    )
    assert update_body(update, MOSCOW) == {
        "endTime": "2017-01-01 00:01:05.000",
        "duration": 60_000,
        "recordUrl": ["http://some_url.ru"],
        "comment": "updated example comment",
        "events": [{"eventType": "HIDE", "extension": "101", "sequence": 2}],
    }


def test_only_what_is_set_is_sent() -> None:
    assert update_body(UpdateCall(external_id="x", call="1"), MOSCOW) == {}
    assert update_body(UpdateCall(external_id="x", call="1", extension="101"), MOSCOW) == {"extension": "101"}
    assert update_body(UpdateCall(external_id="x", call="1", end_ms=START_MS), MOSCOW) == {"endTime": "2017-01-01 00:00:05.000"}


def test_an_end_before_the_start_has_no_negative_duration() -> None:
    body = update_body(UpdateCall(external_id="x", call="1", start_ms=START_MS, end_ms=START_MS - 1), MOSCOW)
    assert body["duration"] == 0


def test_a_long_comment_is_cut() -> None:
    body = update_body(UpdateCall(external_id="x", call="1", comment="я" * 5_000), MOSCOW)
    assert body["comment"] == "я" * 4_096


def test_hide_all_names_nobody() -> None:
    assert event_body(CardEvent(action=CardAction.HIDE_ALL, sequence=7)) == {"eventType": "HIDE_ALL", "sequence": 7}


def test_a_customer_of_whom_only_the_number_is_known() -> None:
    owner = "9e00ad58-0302-11e6-9464-e4de00000076"
    assert counterparty_body("+79161234567", "7d0b0f6e-0000-4000-8000-000000000001", owner) == {
        "name": "+79161234567",
        "phone": "+79161234567",
        "tags": ["Создан автоматически"],
        "syncId": "7d0b0f6e-0000-4000-8000-000000000001",
        "owner": {
            "meta": {
                "href": f"https://api.moysklad.ru/api/remap/1.2/entity/employee/{owner}",
                "type": "employee",
                "mediaType": "application/json",
            }
        },
    }
    assert "owner" not in counterparty_body("+79161234567", "7d0b0f6e-0000-4000-8000-000000000001", "")


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Europe/Moscow", "2026-11-23 12:00:00.007"),
        ("Asia/Tashkent", "2026-11-23 14:00:00.007"),
        ("UTC", "2026-11-23 09:00:00.007"),
    ],
)
def test_moscow_time_to_the_millisecond(zone: str, text: str) -> None:
    at_ms = int(datetime(2026, 11, 23, 9, tzinfo=UTC).timestamp() * 1000) + 7
    assert to_moscow(at_ms, ZoneInfo(zone)) == text


@given(st.integers(946_684_800_000, 4_102_444_800_000))
def test_no_moment_is_lost_in_writing(at_ms: int) -> None:
    text = to_moscow(at_ms, MOSCOW)
    back = datetime.strptime(text + "000", "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=MOSCOW)
    assert len(text) == len("yyyy-MM-dd HH:mm:ss.SSS")
    assert round(back.timestamp() * 1000) == at_ms or back.fold == 0  # an hour that happened twice reads as its first


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ({"href": "https://h/entity/employee/abc", "type": "employee"}, "abc"),
        ({"meta": {"href": "https://h/entity/employee/abc?x=1"}}, "abc"),
        ({"meta": {}}, None),
        ({"href": 5}, None),
        (None, None),
        ("https://h/abc", None),
    ],
)
def test_links_are_read_flat_and_wrapped(link: object, expected: str | None) -> None:
    assert linked_id(link) == expected
