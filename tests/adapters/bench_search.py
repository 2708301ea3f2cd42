"""How fast the search is over millions of calls: ``python -m tests.adapters.bench_search DSN`` on an empty database.

It fills ``calls`` with five million made-up rows of two hundred companies in a year, a quarter of them one company's, three
hundred of them going on, and asks for what people ask for, each time for another number, extension or company. Not a test: it
takes minutes.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from hashlib import md5
from typing import Any, Final
from zoneinfo import ZoneInfo

from adapters.call_search import resolve, search
from adapters.missed import missed_calls
from adapters.postgres.database import create_pool
from adapters.postgres.migrations import migrate

ROWS: Final = 5_000_000
BEGAN_MS: Final = 1_764_000_000_000
EVERY_MS: Final = 6_240
LIVE: Final = 300
TIMES: Final = 40
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
GOING_ON: Final = """
UPDATE calls SET phase = CASE WHEN started_ms % 2 = 0 THEN 'talking' ELSE 'ringing' END, outcome = NULL, ended_ms = NULL
WHERE started_ms > $1
"""


def company(dice: random.Random) -> str:
    """One of the two hundred, not the big one."""
    return f"{dice.randrange(2, 201):04}"


def number(dice: random.Random) -> str:
    """The national part of one that has called."""
    return f"29{dice.randrange(1_000_000, 1_300_000)}"


def day(dice: random.Random, days: int = 0) -> str:
    """A day of the year."""
    return time.strftime("%Y-%m-%d", time.gmtime(BEGAN_MS / 1000 + (dice.randrange(5, 330) + days) * 86_400))


def within(dice: random.Random, days: int) -> dict[str, str]:
    """A period of so many days."""
    seed = dice.random()
    return {"from": day(random.Random(seed)), "to": day(random.Random(seed), days)}


ASKED: Final[Mapping[str, Callable[[random.Random], dict[str, str]]]] = {
    "the newest of all": lambda _: {},
    "the newest of the big company": lambda _: {"enterprise": BIG},
    "the newest of a company": lambda dice: {"enterprise": company(dice)},
    "a whole number": lambda dice: {"phone": f"8 0{number(dice)}"},
    "a whole number, in a company": lambda dice: {"phone": f"8 0{number(dice)}", "enterprise": company(dice)},
    "last 7 digits, in the big company": lambda dice: {"phone": number(dice)[-7:], "enterprise": BIG},
    "last 4 digits": lambda dice: {"phone": number(dice)[-4:]},
    "last 4 digits, in a company": lambda dice: {"phone": number(dice)[-4:], "enterprise": company(dice)},
    "last 3 digits": lambda dice: {"phone": number(dice)[-3:]},
    "last 3 digits, in the big company": lambda dice: {"phone": number(dice)[-3:], "enterprise": BIG},
    "last 3 digits, a week": lambda dice: {"phone": number(dice)[-3:], **within(dice, 7)},
    "an extension, in the big company": lambda dice: {"extension": str(dice.randrange(100, 140)), "enterprise": BIG},
    "an extension, in a company": lambda dice: {"extension": str(dice.randrange(100, 140)), "enterprise": company(dice)},
    "an extension nobody has, in the big company": lambda dice: {"extension": str(dice.randrange(500, 900)), "enterprise": BIG},
    "an extension nobody has, in a company": lambda dice: {"extension": str(dice.randrange(500, 900)), "enterprise": company(dice)},
    "an extension nobody has, everywhere": lambda dice: {"extension": str(dice.randrange(500, 900))},
    "an outcome, in the big company": lambda _: {"enterprise": BIG, "outcome": "missed,abandoned"},
    "an outcome that never was, in the big company": lambda _: {"enterprise": BIG, "outcome": "lost"},
    "an outcome that never was, everywhere": lambda _: {"outcome": "lost"},
    "a direction that never was, in the big company": lambda _: {"enterprise": BIG, "direction": "internal"},
    "with failures, in the big company": lambda _: {"enterprise": BIG, "failed": "1"},
    "with failures, everywhere": lambda _: {"failed": "1"},
    "with failures, an extension, in the big company": lambda dice: {
        "enterprise": BIG, "failed": "1", "extension": str(dice.randrange(100, 140))
    },
    "needs a person, in a company": lambda dice: {"enterprise": company(dice), "parked": "1"},
    "needs a person, everywhere": lambda _: {"parked": "1"},
    "goes on, in the big company": lambda _: {"enterprise": BIG, "live": "1"},
    "goes on, everywhere": lambda _: {"live": "1"},
    "missed on a day, in the big company": lambda dice: {"enterprise": BIG, "outcome": "missed,abandoned", **within(dice, 1)},
    "answered by an extension in a month, in the big company": lambda dice: {
        "enterprise": BIG, "outcome": "answered", "extension": str(dice.randrange(100, 140)), **within(dice, 30)
    },
    "nothing in a month, in the big company": lambda dice: {"enterprise": BIG, "extension": "999", **within(dice, 30)},
}  # fmt: skip


async def fill(pool: Any) -> None:
    """Make the rows, a hundred thousand at a time."""
    for first in range(1, ROWS, 100_000):
        await pool.execute(FILL, first, first + 99_999, BEGAN_MS, EVERY_MS, timeout=600)
        print(f"{first + 99_999} of {ROWS}", file=sys.stderr)  # noqa: T201
    await pool.execute(GOING_ON, BEGAN_MS + (ROWS - LIVE) * EVERY_MS)
    await pool.execute("VACUUM ANALYZE calls", timeout=600)


async def timed(what: str, ask: Callable[[random.Random], Awaitable[int | str]]) -> None:
    """Ask many times and say how long it took: the first time, half of the times at most, and nineteen of twenty."""
    took: list[float] = []
    found: list[int | str] = []
    dice = random.Random(what)
    while len(took) < TIMES and sum(took) < 30_000:
        began_s = time.perf_counter()
        found.append(await ask(dice))
        took.append((time.perf_counter() - began_s) * 1000)
    first, took = took[0], sorted(took)
    p50, p95 = took[len(took) // 2], took[min(len(took) - 1, len(took) * 19 // 20)]
    print(f"{what:<58} {found[0]!s:>9} found  first {first:8.1f}  p50 {p50:8.1f}  p95 {p95:8.1f} ms", flush=True)  # noqa: T201


async def main(dsn: str) -> None:
    """Fill if it is empty, then ask."""
    await migrate(dsn)
    pool = await create_pool(dsn, min_size=1, max_size=2)
    if not await pool.fetchval("SELECT EXISTS (SELECT FROM calls)"):
        await fill(pool)
    zone = ZoneInfo("Europe/Minsk")

    async def count(query: dict[str, str]) -> int | str:
        try:
            return len((await search(pool, query, zone)).calls)
        except ValueError:
            return "too wide"

    for what, query in ASKED.items():
        await timed(what, lambda dice, query=query: count(query(dice)))  # type: ignore[misc]
    place = (await search(pool, {"enterprise": BIG}, zone)).after
    for _ in range(20):
        place = (await search(pool, {"enterprise": BIG, "after": place or ""}, zone)).after
    await timed("the twentieth page of the big company", lambda _: count({"enterprise": BIG, "after": place or ""}))
    end_ms = BEGAN_MS + ROWS * EVERY_MS

    async def missed(enterprise: str) -> int:
        return len((await missed_calls(pool, enterprise, days=14, now_ms=end_ms)).missed)

    await timed("missed calls of 14 days, the big company", lambda _: missed(BIG))
    await timed("missed calls of 14 days, a company", lambda dice: missed(company(dice)))

    async def known(name: str) -> int:
        return 0 if await resolve(pool, BIG, name, zone) is None else 1

    await timed("a call by MoySklad's id", lambda dice: known(md5(str(dice.randrange(ROWS) // 4 * 4).encode()).hexdigest()))
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
