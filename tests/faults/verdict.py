"""What MoySklad has in the end, held against what should have come of the calls; and whether it would have blocked us."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.faults.traffic import Copy
from tests.moysklad_model import Row

MINUTE_MS = 60_000
FAILING_A_MINUTE = 200
REFUSED_A_MINUTE = 200
PUTS_A_MINUTE = 100
"""More than that within a minute and MoySklad blocks the account until a person asks support (CONTRACT-MOYSKLAD 2.2)."""

WATCH_S = 2.0
STILL_UNDER_WAY = 2_000
"""So many of the last requests are read again: they may not have had their answer yet."""

FETCHED = 20_000


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What MoySklad has, held against what should have come of the copies played."""

    sent: int
    recorded: int
    doubled: int = 0
    lost: int = 0
    uncalled_for: int = 0
    cards_open: int = 0
    out_of_order: int = 0
    clients_doubled: int = 0
    orders_wrong: int = 0
    tasks_doubled: int = 0
    wrong: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every call is there once and as it should be."""
        return not (
            self.doubled
            or self.lost
            or self.uncalled_for
            or self.cards_open
            or self.out_of_order
            or self.clients_doubled
            or self.orders_wrong
            or self.tasks_doubled
            or self.wrong
        )

    @property
    def figures(self) -> str:
        """The figures that every report has."""
        return (
            f"calls sent {self.sent}, recorded {self.recorded}, doubled {self.doubled}, lost {self.lost}, "
            f"uncalled for {self.uncalled_for}, cards left open {self.cards_open}, out of order {self.out_of_order}, "
            f"clients doubled {self.clients_doubled}, orders too many or too few {self.orders_wrong}, "
            f"tasks doubled {self.tasks_doubled}, wrong {len(self.wrong)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """What followed the calls: customer orders and tasks as MoySklad has them in the end."""

    orders: list[dict[str, Any]]
    tasks: list[dict[str, Any]]


def judge(
    copies: Iterable[Copy], rows: list[dict[str, Any]], clients: Iterable[dict[str, Any]] = (), after: After | None = None
) -> Verdict:
    """Compare, call by call. ``clients``: the counterparties that MoySklad has in the end; ``after``: see above (None: nothing
    was asked for)."""
    expected = {call: (row, copy) for copy in copies for call, row in copy.expected.items()}
    got = [row["external_id"] for row in rows]
    verdict = Verdict(sent=len(expected), recorded=len(rows))
    verdict.doubled = len(got) - len(set(got))
    verdict.missing = sorted(expected.keys() - set(got))
    verdict.lost = len(verdict.missing)
    verdict.uncalled_for = len(set(got) - expected.keys())
    verdict.cards_open = sum(len(row["open_cards"]) for row in rows)
    verdict.out_of_order = sum(_out_of_order(row["events"]) for row in rows)
    phones = Counter((client["account"], client["phone"]) for client in clients if client.get("phone"))
    verdict.clients_doubled = sum(count - 1 for count in phones.values())
    if after is not None:
        orders = _orders_wrong(expected.values(), after.orders)
        verdict.orders_wrong = sum(map(abs, orders.values()))
        verdict.orders = [f"{account}, {number}: {more:+} orders" for (account, number), more in sorted(orders.items())]
        marks = Counter(task["description"].rpartition("(")[2] for task in after.tasks)
        verdict.tasks_doubled = sum(count - 1 for count in marks.values())
    for row in rows:
        if (wanted := expected.get(row["external_id"])) is not None:
            verdict.wrong += [f"{row['external_id']}: {each}" for each in _wrong(row, *wanted)]
    return verdict


def _orders_wrong(expected: Iterable[tuple[Row, Copy]], orders: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """Orders too many (or, below zero, too few) by account and customer: each call in which somebody talked with the customer has
    one (it has no comment then)."""
    wanted = Counter((copy.office.account, row.number) for row, copy in expected if not row.comment)
    got = Counter((order["account"], order["description"].rpartition("номер ")[2].rstrip(".")) for order in orders)
    return {key: got[key] - wanted[key] for key in wanted.keys() | got.keys() if got[key] != wanted[key]}


def _out_of_order(events: list[dict[str, Any]]) -> int:
    """Card events whose number is not above the last one, but for repeats of one whose answer was lost: the same again."""
    found, seen = 0, list[tuple[Any, ...]]()
    for event in events:
        what = (event["sequence"], event["event_type"], event["extension"], event["employee_id"])
        found += bool(seen) and what not in seen and event["sequence"] <= max(each[0] for each in seen)
        seen.append(what)
    return found


def _wrong(row: dict[str, Any], wanted: Row, copy: Copy) -> Iterator[str]:
    if row["account"] != copy.office.account:
        yield f"in account {row['account']} instead of {copy.office.account}"
    if (row["extension"] or "") != wanted.extension:
        yield f"extension {row['extension']!r} instead of {wanted.extension!r}"
    if row["is_incoming"] != wanted.incoming:
        yield "the wrong direction"
    if row["number"] != wanted.number:
        yield "the wrong number"
    if row["end_ms"] is None:
        yield "no end"
    if len(row.get("record_urls") or []) != len(set(row.get("record_urls") or [])):
        yield "a recording twice"


# -- what MoySklad was asked -----------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Worst:
    """The most that was counted within any minute: ``failing`` and ``too_many`` (429) of one account, ``puts`` to one call."""

    failing: int = 0
    too_many: int = 0
    puts: int = 0

    @property
    def blocked(self) -> bool:
        """Whether MoySklad would have blocked an account."""
        return self.failing >= FAILING_A_MINUTE or self.too_many >= REFUSED_A_MINUTE or self.puts >= PUTS_A_MINUTE

    @property
    def figures(self) -> str:
        """The figures that every report has."""
        return (
            f"in the worst minute {self.failing} failing requests of an account, "
            f"{self.too_many} times 429, {self.puts} PUTs of a call"
        )


class Asked:
    """Every request that MoySklad got, collected while the stage runs: the sandbox itself remembers only the last ones."""

    def __init__(self, http: aiohttp.ClientSession, sandbox: str) -> None:
        self._http = http
        self._sandbox = sandbox
        self._last = 0
        self.requests: dict[int, dict[str, Any]] = {}

    async def watch(self) -> None:
        """Collect until cancelled."""
        while True:
            await self.collect()
            await asyncio.sleep(WATCH_S)

    async def collect(self) -> None:
        """Take over what has come since the last time."""
        since = max(0, self._last - STILL_UNDER_WAY)
        async with self._http.get(f"{self._sandbox}/sandbox/requests?since={since}") as answer:
            found = await answer.json()
        self._last = found["last_id"]
        for each in found["requests"]:
            body = each.pop("body")
            each["creates"] = body.get("externalId") if isinstance(body, dict) else None
            self.requests[each["id"]] = each

    def worst(self) -> Worst:
        """The worst minutes. A request without an account (an outage, an unknown key) counts as one account's."""
        found = Worst()
        requests = sorted(self.requests.values(), key=lambda each: int(each["at_ms"]))
        failing = [each for each in requests if not 200 <= each["status"] < 300]
        found.failing = _most_in_a_minute((each["account"], each["at_ms"]) for each in failing)
        found.too_many = _most_in_a_minute((each["account"], each["at_ms"]) for each in failing if each["status"] == 429)
        puts = ((f"{each['account']} {each['path']}", each["at_ms"]) for each in requests if each["method"] == "PUT")
        found.puts = _most_in_a_minute(puts)
        return found


def _most_in_a_minute(happened: Iterable[tuple[str | None, int]]) -> int:
    lately: dict[str | None, deque[int]] = {}
    most = 0
    for whose, at_ms in happened:
        times = lately.setdefault(whose, deque())
        times.append(at_ms)
        while times[0] <= at_ms - MINUTE_MS:
            times.popleft()
        most = max(most, len(times))
    return most


def quantiles(values: Iterable[float]) -> str:
    """``p50``, ``p99`` and the greatest of some seconds, for a report."""
    ordered = sorted(values)
    if not ordered:
        return "none"
    p50, p99 = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return f"p50 {p50:.2f} s, p99 {p99:.2f} s, max {ordered[-1]:.2f} s"


def since(began: float) -> str:
    """How long it took, for a report."""
    return f"{time.monotonic() - began:.0f} s"
