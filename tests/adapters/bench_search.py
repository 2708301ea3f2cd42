"""How fast the search is over millions of calls: ``python -m tests.adapters.bench_search DSN`` on an empty database.

It fills ``calls`` with 2.4 million made-up rows of two hundred companies, a quarter of them one company's, and asks for what
people ask for. Not a test: it takes minutes.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from zoneinfo import ZoneInfo

from adapters.call_search import search
from adapters.missed import missed_calls
from adapters.postgres.database import create_pool
from adapters.postgres.migrations import migrate

ROWS: Final = 2_400_000
BEGAN_MS: Final = 1_764_000_000_000
EVERY_MS: Final = 13_000
BIG: Final = "0001"
FILL: Final = """
INSERT INTO calls (enterprise, call, version, phase, direction, outcome, number, digits, extensions, extension, started_ms,
    ended_ms, talk_ms, moysklad_call, open_cards, failures, parked, phase_ms, client, talked, talked_ms, wait_ms)
SELECT enterprise, n::text, 12, 'settled', direction, outcome, '+' || digits, digits, ARRAY[e, (100 + (n + 1) % 40)::text],
    CASE WHEN answered THEN e ELSE '' END, at, at + 120000, CASE WHEN answered THEN talk ELSE 0 END, md5(n::text), 0,
    CASE WHEN n % 101 = 0 THEN 2 ELSE 0 END, CASE WHEN n % 2003 = 0 THEN 'refused' ELSE '' END, at, 'client ' || n % 50000,
    CASE WHEN answered THEN ARRAY[e] ELSE '{}' END, CASE WHEN answered THEN ARRAY[talk] ELSE '{}'::bigint[] END,
    CASE WHEN answered THEN n % 20000 END
FROM (
    SELECT n, outcome, outcome = 'answered' AS answered, direction, (100 + n % 40)::text AS e,
        (30000 + n::bigint * 37 % 200000)::bigint AS talk,
        CASE WHEN n % 4 = 0 THEN '0001' ELSE lpad((n % 199 + 2)::text, 4, '0') END AS enterprise,
        '37529' || (n::bigint * 829348951 % 300000 + 1000000)::text AS digits, $3::bigint + n::bigint * $4 AS at
    FROM generate_series($1::integer, $2::integer) AS n
    CROSS JOIN LATERAL (SELECT CASE WHEN n % 3 = 0 THEN 'out' ELSE 'in' END AS direction) AS d
    CROSS JOIN LATERAL (SELECT CASE
        WHEN direction = 'out' THEN CASE WHEN n % 5 < 3 THEN 'answered' ELSE 'unanswered' END
        WHEN n % 7 < 5 THEN 'answered' WHEN n % 7 = 5 THEN 'missed' ELSE 'abandoned' END AS outcome) AS o
) AS made
"""
ASKED: Final[tuple[dict[str, str], ...]] = (
    {},
    {"enterprise": BIG},
    {"enterprise": "0007"},
    {"phone": "+375 29 123-45-67"},
    {"phone": "4567"},
    {"phone": "567"},
    {"enterprise": BIG, "phone": "1234567"},
    {"enterprise": BIG, "extension": "117"},
    {"enterprise": BIG, "extension": "999"},
    {"extension": "999"},
    {"enterprise": BIG, "outcome": "lost"},
    {"enterprise": BIG, "failed": "1"},
    {"parked": "1"},
    {"live": "1"},
    {"enterprise": BIG, "from": "2026-03-01", "to": "2026-03-02", "outcome": "missed,abandoned"},
)


async def fill(pool: Any) -> None:
    """Make the rows, a hundred thousand at a time."""
    for first in range(1, ROWS, 100_000):
        await pool.execute(FILL, first, first + 99_999, BEGAN_MS, EVERY_MS, timeout=600)
        print(f"{first + 99_999} of {ROWS}", file=sys.stderr)  # noqa: T201
    await pool.execute("VACUUM ANALYZE calls", timeout=600)


async def timed(what: str, ask: Callable[[], Awaitable[int]]) -> None:
    """Ask three times and say how long each took."""
    took = []
    for _ in range(3):
        began_s = time.perf_counter()
        found = await ask()
        took.append(f"{(time.perf_counter() - began_s) * 1000:.1f}")
    print(f"{what:<80} {found:>6} found  {' '.join(took)} ms")  # noqa: T201


async def main(dsn: str) -> None:
    """Fill if it is empty, then ask."""
    await migrate(dsn)
    pool = await create_pool(dsn, min_size=1, max_size=2)
    if not await pool.fetchval("SELECT EXISTS (SELECT FROM calls)"):
        await fill(pool)
    zone = ZoneInfo("Europe/Minsk")

    async def count(query: dict[str, str]) -> int:
        return len((await search(pool, query, zone)).calls)

    for query in ASKED:
        await timed(str(query), lambda query=query: count(query))  # type: ignore[misc]
    place = (await search(pool, {"enterprise": BIG}, zone)).after
    for _ in range(20):
        place = (await search(pool, {"enterprise": BIG, "after": place or ""}, zone)).after
    await timed("the twentieth page", lambda: count({"enterprise": BIG, "after": place or ""}))
    end_ms = BEGAN_MS + ROWS * EVERY_MS

    async def missed(enterprise: str) -> int:
        return len((await missed_calls(pool, enterprise, days=14, now_ms=end_ms)).missed)

    for enterprise in (BIG, "0007"):
        await timed(f"missed calls of 14 days, {enterprise}", lambda enterprise=enterprise: missed(enterprise))  # type: ignore[misc]
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
