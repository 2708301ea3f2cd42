"""``./ms.sh doctor``: what a person looks at first when something seems wrong, in a dozen lines."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final
from zoneinfo import ZoneInfo

from adapters.asterisk.trial import cautions, try_login
from adapters.backlog import Backlog, measure
from adapters.counted import counted
from adapters.environment import Environment
from adapters.postgres.database import TRANSACTION_TIMEOUT_SINCE
from adapters.service import Service
from adapters.spool import SPOOL, files_in
from adapters.status import (
    NEW_MS,
    account_words,
    backlog_words,
    living_nodes,
    look_at_database,
    new_words,
    pbx_states,
    pbx_words,
    reported,
)

Echo = Callable[[str], None]

LAG_EVENTS: Final = 1_000
"""A follower of the log that is further behind than this is looked at: in service it is behind by a batch."""

LATE_S: Final = 60
"""So may the oldest work be overdue: a call's deadline is kept within seconds."""

SHOWN: Final = 5
"""Lines of each kind: the newest; the count says how many there are."""


async def examine(service: Service, env: Environment, echo: Echo) -> bool:
    """Print what was found; True when nothing needs a person."""
    now_ms = service.options.now_ms()
    pool, good = service.pool, True
    good &= await _database(pool, env, echo, now_ms)
    head = await service.store.head()
    echo(f"event log       {counted(head, 'event')}")
    for row in await pool.fetch("SELECT name, position FROM checkpoints ORDER BY name"):
        behind = head - row["position"]
        good &= _line(echo, row["name"], f"{counted(behind, 'event')} behind", bad=behind > LAG_EVENTS)
    good &= await _instances(pool, echo, now_ms)
    backlog = await measure(pool, now_ms)
    good &= _line(echo, "work", backlog_words(backlog.as_json()), bad=backlog.oldest_s > LATE_S)
    good &= await _parked(service, echo, backlog)
    good &= await _enterprises(service, echo)
    good &= await _pbxes(service, echo, now_ms)
    good &= _spool(env, echo)
    await _rejected(pool, env, echo)
    return good


async def _database(pool: Any, env: Environment, echo: Echo, now_ms: int) -> bool:
    """Which it is, and whether it can do what we ask of it (docs/decisions/0029)."""
    version, number = await pool.fetchrow("SELECT current_setting('server_version'), current_setting('server_version_num')::int")
    where = "the configured database" if env.database_url else f"embedded, data in {env.data_dir}"
    good = _line(echo, "database", f"PostgreSQL {version} ({where})", bad=number < TRANSACTION_TIMEOUT_SINCE * 10_000)
    if not good:
        newer = f"PostgreSQL {TRANSACTION_TIMEOUT_SINCE} or newer"
        echo(f"                an instance that is stopped may keep its locks from the others: bring it to {newer}")
    made_ms = (await look_at_database(pool)).made_ms
    if made_ms is not None and now_ms - made_ms < NEW_MS:
        echo(f"                {new_words(made_ms, '' if env.database_url else str(env.data_dir), now_ms)}")
    return good


async def _instances(pool: Any, echo: Echo, now_ms: int) -> bool:
    """Who lives, and the accounts that are not well, as each instance says with its beat."""
    nodes = await living_nodes(pool)
    where = f": {', '.join(node.address for node in nodes)}" if nodes else ": the service does not run"
    _line(echo, "instances", f"{len(nodes)}{where}", bad=False)
    away = [node.address for node in nodes if node.report.get("away")]
    if away:
        where = ", ".join(away)
        _line(echo, "network", f"nothing of MoySklad answers {where}: see that machine's network, proxy and DNS", bad=True)
    accounts = reported(node.report for node in nodes)
    good = _line(echo, "accounts", f"{len(accounts)} in trouble" if accounts else "all well", bad=bool(accounts))
    for account in accounts[: SHOWN * 2]:
        echo(f"                  {account_words(account, now_ms)}")
    return good and not away


async def _parked(service: Service, echo: Echo, backlog: Backlog) -> bool:
    total = sum(backlog.parked.values())
    good = _line(echo, "need a person", f"{counted(total, 'call')}{' (./ms.sh parked)' if total else ''}", bad=total > 0)
    if total:
        found = await service.parked.listing(limit=0)
        for each in found.reasons[:SHOWN]:
            remedy = f": {each.remedy}" if each.remedy else ""
            echo(f"                  {each.enterprise}, {counted(each.calls, 'call')}: {each.reason}{remedy}")
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
    told = f"{enabled} enabled of {len(numbers)}, {counted(len(problems), 'problem')}"
    good = _line(echo, "enterprises", told, bad=bool(problems))
    for problem in problems[: SHOWN * 2]:
        echo(f"                  {problem}")
    return good


async def _pbxes(service: Service, echo: Echo, now_ms: int) -> bool:
    """Whether each Asterisk lets us in, tried now; and how its connection is, as whoever keeps it says."""
    if not service.options.pbxes:
        return True
    nodes = await living_nodes(service.pool)
    kept = {str(each.get("name")): each for each in pbx_states((), (node.report for node in nodes))}
    good = True
    for config in service.options.pbxes:
        name = config.pbx.name
        tried, problem = await try_login(config, service.options.now_ms)
        if await service.settings.current(config.pbx.enterprise) is None:
            problem = problem or f"enterprise {config.pbx.enterprise} is unknown here: create it, or correct MS_PBX_FILE"
        good &= _line(echo, f"pbx {name}", problem or tried, bad=bool(problem))
        for warning in cautions(config):
            echo(f"                  {warning}")
        if name in kept:
            echo(f"                  {pbx_words(kept[name], now_ms)}")
    return good


def _spool(env: Environment, echo: Echo) -> bool:
    """What waits there while the database answers: the service does not run, or could not take it in, and its log says why."""
    sizes: list[int] = []
    for path in files_in(env.data_dir / SPOOL):
        with contextlib.suppress(FileNotFoundError):  # the service has just taken it in
            sizes.append(path.stat().st_size)
    if not sizes:
        return True
    what = f"{counted(len(sizes), 'file')}, {sum(sizes):,} bytes"
    text = f"{what}: signals that are not in the log yet; the running service takes them in"
    return _line(echo, "spool", text, bad=True)


async def _rejected(pool: Any, env: Environment, echo: Echo) -> None:
    zone = ZoneInfo(env.timezone)
    day = await pool.fetchval("SELECT count(*) FROM rejected_input WHERE at > now() - interval '1 day'")
    echo(f"rejected input  {day} in the last 24 hours")
    for row in await pool.fetch(
        "SELECT at, endpoint, enterprise, error, field FROM rejected_input ORDER BY at DESC LIMIT $1", SHOWN
    ):
        field = f" ({row['field']})" if row["field"] else ""
        at = row["at"].astimezone(zone)
        echo(f"                  {at:%Y-%m-%d %H:%M:%S} {row['endpoint']} {row['enterprise'] or ''}: {row['error']}{field}")


def _line(echo: Echo, label: str, text: str, *, bad: bool) -> bool:
    echo(f"{label:<15} {text}{'   <- look at this' if bad else ''}")
    return not bad
