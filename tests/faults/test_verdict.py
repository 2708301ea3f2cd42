"""The judge finds what is planted: a verdict that cannot be bad would prove nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from tests.faults.traffic import Copy, moved, offices
from tests.faults.verdict import FAILING_A_MINUTE, MINUTE_MS, PUTS_A_MINUTE, After, Asked, Verdict, judge

Rows = list[dict[str, Any]]


def played() -> Copy:
    return moved("inbound_answered", 7, 1_800_000_000.0, 4.0, offices(2)[1])


def as_it_should_be(copy: Copy) -> Rows:
    return [
        {
            "external_id": row.external_id,
            "account": copy.office.account,
            "number": row.number,
            "is_incoming": row.incoming,
            "extension": row.extension,
            "end_ms": row.end_ms,
            "open_cards": [],
            "record_urls": [],
            "events": [{"sequence": 1, "event_type": "SHOW", "extension": "101", "employee_id": None}],
        }
        for row in copy.expected.values()
    ]


def test_what_is_as_it_should_be_is_good() -> None:
    copy = played()
    (call,) = copy.expected
    assert call.startswith("2001-k7.")
    assert next(iter(copy.expected.values())).number.endswith("00007")
    assert judge([copy], as_it_should_be(copy)).good


def change(**fields: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [{**rows[0], **fields}]


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda rows: [*rows, *rows], "doubled"),
        (lambda rows: [], "lost"),
        (change(external_id="2001-another"), "uncalled_for"),
        (change(open_cards=["101"]), "cards_open"),
        (change(extension="102"), "wrong"),
        (change(account="sandbox"), "wrong"),
        (change(number="+79160000000"), "wrong"),
        (change(is_incoming=False), "wrong"),
        (change(end_ms=None), "wrong"),
        (change(record_urls=["a", "a"]), "wrong"),
        (
            lambda rows: [{**rows[0], "events": [*rows[0]["events"], {**rows[0]["events"][0], "event_type": "HIDE"}]}],
            "out_of_order",
        ),
    ],
)
def test_what_is_planted_is_found(spoil: Callable[[Rows], Rows], found: str) -> None:
    copy = played()
    verdict = judge([copy], spoil(as_it_should_be(copy)))
    assert getattr(verdict, found)
    assert not verdict.good


def test_a_client_made_twice_is_found() -> None:
    client = {"account": "sandbox", "phone": "+79160000000"}
    assert judge([], [], [client, {**client, "account": "other"}]).good
    assert judge([], [], [client, client]) == Verdict(sent=0, recorded=0, clients_doubled=1)


def test_orders_and_tasks_are_counted() -> None:
    copy = played()
    answered = [row for row in copy.expected.values() if not row.comment]
    assert answered
    orders = [{"account": copy.office.account, "description": f"Звонок. Номер, номер {row.number}."} for row in answered]
    tasks = [{"description": "Перезвонить (звонок 0367-1)"}, {"description": "Перезвонить (звонок 0367-12)"}]
    rows = as_it_should_be(copy)
    assert judge([copy], rows, (), After(orders=orders, tasks=tasks)).good
    assert judge([copy], rows, (), After(orders=[*orders, orders[0]], tasks=tasks)).orders_wrong == 1
    assert judge([copy], rows, (), After(orders=orders[1:], tasks=tasks)).orders_wrong == 1
    assert judge([copy], rows, (), After(orders=orders, tasks=[*tasks, tasks[0]])).tasks_doubled == 1
    assert not judge([copy], rows, (), After(orders=orders, tasks=[*tasks, tasks[0]])).good


async def test_the_worst_minute_is_found() -> None:
    async with aiohttp.ClientSession() as http:
        asked = Asked(http, "")
        step_ms = MINUTE_MS // FAILING_A_MINUTE
        for n in range(FAILING_A_MINUTE - 1):
            asked.requests[n] = {"at_ms": n * step_ms, "account": "a", "status": 503, "method": "GET", "path": "/x"}
        asked.requests[10_000] = {"at_ms": 0, "account": "b", "status": 0, "method": "GET", "path": "/x"}
        assert asked.worst().failing == FAILING_A_MINUTE - 1
        assert not asked.worst().blocked
        asked.requests[10_001] = {"at_ms": MINUTE_MS - 1, "account": "a", "status": 429, "method": "GET", "path": "/x"}
        assert asked.worst().blocked
        asked.requests[10_001]["at_ms"] += 2 * step_ms
        assert not asked.worst().blocked
        assert asked.worst().too_many == 1
        for n in range(PUTS_A_MINUTE):
            asked.requests[20_000 + n] = {"at_ms": n, "account": "a", "status": 200, "method": "PUT", "path": f"/call/{n % 2}"}
        assert asked.worst().puts == PUTS_A_MINUTE // 2
