"""``./ms.sh doctor``: what a person looks at first when something seems wrong, in a dozen lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from adapters.environment import Environment
from adapters.service import Service

Echo = Callable[[str], None]

LAG_EVENTS: Final = 1_000
"""A follower of the log that is further behind than this is looked at: in service it is behind by a batch."""

LATE_MS: Final = 60_000
"""So may the oldest work be overdue: a call's deadline is kept within seconds."""

SHOWN: Final = 5
"""Lines of each kind: the newest; the count says how many there are."""


async def examine(service: Service, env: Environment, echo: Echo) -> bool:
    """Print what was found; True when nothing needs a person."""
    now_ms = service.options.now_ms()
    pool, good = service.pool, True
    version = await pool.fetchval("SHOW server_version")
    where = "the configured database" if env.database_url else f"embedded, data in {env.data_dir}"
    echo(f"database        PostgreSQL {version} ({where})")
    head = await service.store.head()
    echo(f"event log       {head} events")
    for row in await pool.fetch("SELECT name, position FROM checkpoints ORDER BY name"):
        behind = head - row["position"]
        good &= _line(echo, row["name"], f"{behind} events behind", bad=behind > LAG_EVENTS)
    backlog = await pool.fetchrow("SELECT count(*) AS count, min(due_ms) AS oldest FROM streams WHERE due_ms <= $1", now_ms)
    late_ms = now_ms - backlog["oldest"] if backlog["oldest"] is not None else 0
    text = f"{backlog['count']} calls wait" + (f", the oldest for {late_ms / 1000:.0f} s" if backlog["count"] else "")
    good &= _line(echo, "work", text, bad=late_ms > LATE_MS)
    good &= await _troubled(pool, echo)
    good &= await _enterprises(service, echo)
    await _rejected(pool, echo)
    return good


async def _troubled(pool: Any, echo: Echo) -> bool:
    rows = await pool.fetch(
        "SELECT enterprise, call, parked FROM calls WHERE parked <> '' ORDER BY started_ms DESC LIMIT $1", SHOWN
    )
    total = await pool.fetchval("SELECT count(*) FROM calls WHERE parked <> ''")
    good = _line(echo, "need a person", f"{total} calls", bad=total > 0)
    for row in rows:
        echo(f"                  {row['enterprise']} {row['call']}: {row['parked']}")
    return good


async def _enterprises(service: Service, echo: Echo) -> bool:
    numbers = [
        row["number"]
        for row in await service.pool.fetch(
            "SELECT number FROM public.enterprises WHERE integrations_config IS NOT NULL ORDER BY number LIMIT 1000"
        )
    ]
    problems: list[str] = []
    enabled = 0
    for number in numbers:
        current = await service.settings.current(number)
        if current is None:
            continue
        enabled += current.settings.enabled
        problems += [f"{number}: {problem}" for problem in current.settings.problems]
        if current.settings.enabled and not current.settings.has_phone_api:
            problems.append(f"{number}: enabled without a Phone API key: nothing can be recorded")
    good = _line(echo, "enterprises", f"{enabled} enabled of {len(numbers)}, {len(problems)} problems", bad=bool(problems))
    for problem in problems[: SHOWN * 2]:
        echo(f"                  {problem}")
    return good


async def _rejected(pool: Any, echo: Echo) -> None:
    day = await pool.fetchval("SELECT count(*) FROM rejected_input WHERE at > now() - interval '1 day'")
    echo(f"rejected input  {day} in the last 24 hours")
    for row in await pool.fetch(
        "SELECT at, endpoint, enterprise, error, field FROM rejected_input ORDER BY at DESC LIMIT $1", SHOWN
    ):
        field = f" ({row['field']})" if row["field"] else ""
        echo(f"                  {row['at']:%Y-%m-%d %H:%M:%S} {row['endpoint']} {row['enterprise'] or ''}: {row['error']}{field}")


def _line(echo: Echo, label: str, text: str, *, bad: bool) -> bool:
    echo(f"{label:<15} {text}{'   <- look at this' if bad else ''}")
    return not bad
