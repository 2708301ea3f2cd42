"""How the service is, for programs (``GET /internal/ms/status``) and for people (``./ms.sh status``, ``doctor``).

Each instance says of itself what only it knows (the accounts it speaks for, its open streams) in the report of its beat; any of
them answers for all. What is asked here may be incomplete and is never an error: a database that is away is part of the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from adapters.backlog import BacklogMeter
from adapters.counted import counted
from adapters.postgres.database import DATABASE_ERRORS, explain, load_sql
from core.ports import Node

DATABASE_S: Final = 1.5
"""Whoever asks how the service is, is answered within this, also while PostgreSQL is slow or away."""

MAX_ACCOUNTS: Final = 100
"""Accounts in trouble that one instance names in its report; the count says how many there are."""

SHOWN_ACCOUNTS: Final = 20
MAX_ENTERPRISES: Final = 1_000

NEW_MS: Final = 86_400_000
"""A database is new for so long: whoever expected calls in it asks within a day."""

_FOLLOWERS, _NODES, _MADE = load_sql("followers"), load_sql("nodes_living"), load_sql("database_made")


class AccountState(Protocol):
    """One credential at one API, without the credential. ``state`` is ``closed`` (well), ``open`` or ``half-open`` (MoySklad is
    away), or ``refused`` (it refuses everything of this account). Times are UTC, milliseconds."""

    @property
    def api(self) -> str:
        """Which API."""
        ...

    @property
    def enterprise(self) -> str:
        """Whose it is."""
        ...

    @property
    def state(self) -> str:
        """See above."""
        ...

    @property
    def reason(self) -> str:
        """Why, in MoySklad's words or ours."""
        ...

    @property
    def since_ms(self) -> int:
        """Since when."""
        ...

    @property
    def until_ms(self) -> int | None:
        """When it is tried next; None when nothing is waited for."""
        ...

    @property
    def waiting(self) -> Mapping[str, int]:
        """Urgency -> how many requests wait."""
        ...


class PbxState(Protocol):
    """How one AMI connection is (``adapters/asterisk/source.py``)."""

    def as_json(self) -> dict[str, Any]:
        """As it is reported."""
        ...


def _none() -> tuple[()]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the answer comes from. The defaults stand for parts that are not there.

    ``node``: this instance's id; ``nodes``: the living ones, as of the last beat; ``owned``: the enterprises this one attends
    to; ``accounts``: as its gateway has them, those asked last at the end; ``troubled``: those that are not well;
    ``streams_open``: connections that deliver events now.
    ``pbxes``: the AMI connections this one keeps, of the ``configured_pbxes`` that some instance should; ``directory``: what
    it knows of numbers; ``database``: the folder that the database is kept in; empty: it was configured by its address.
    """

    version: str
    pool: Any
    meter: BacklogMeter
    now_ms: Callable[[], int]
    node: Callable[[], str] = str
    nodes: Callable[[], Sequence[Node]] = _none
    owned: Callable[[], Collection[str]] = _none
    accounts: Callable[[], Iterable[AccountState]] = _none
    troubled: Callable[[], Iterable[AccountState]] = _none
    streams_open: Callable[[], int] = int
    spooled: Callable[[], int] = int
    pbxes: Callable[[], Sequence[PbxState]] = _none
    configured_pbxes: tuple[str, ...] = ()
    directory: Callable[[], Mapping[str, Any]] = dict
    database: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """What the database said of itself: how far each follower of the log is behind, when it was made, or why it said nothing."""

    away: str = ""
    made_ms: int | None = None
    followers: Mapping[str, int] = field(default_factory=dict)


def accounts_spoken_for(sources: Sources) -> list[AccountState]:
    """The accounts this instance asks now.

    Its gateway also remembers a key that was replaced since, and enterprises that another instance attends to by now: of two
    keys of one enterprise the one asked last counts, and an instance among others speaks for what it owns.
    """
    return _spoken_for(sources, {(each.api, each.enterprise): each for each in sources.accounts()}.values())


def _spoken_for(sources: Sources, accounts: Iterable[AccountState]) -> list[AccountState]:
    owned = sources.owned() if sources.node() else None
    return [each for each in accounts if owned is None or each.enterprise in owned]


def troubles(accounts: Iterable[AccountState]) -> list[dict[str, Any]]:
    """The accounts that are not well, the longest first."""
    found = [
        {
            "enterprise": each.enterprise,
            "api": each.api,
            "state": each.state,
            "reason": each.reason,
            "since_ms": each.since_ms,
            "until_ms": each.until_ms,
            "waiting": sum(each.waiting.values()),
        }
        for each in accounts
        if each.state != "closed"
    ]
    return sorted(found, key=lambda each: (each["since_ms"], each["enterprise"], each["api"]))


def report(sources: Sources) -> dict[str, Any]:
    """What this instance says of itself with each beat (``LeaseStore.beat``)."""
    found = troubles(_spoken_for(sources, sources.troubled()))
    return {
        "version": sources.version,
        "accounts": found[:MAX_ACCOUNTS],
        "accounts_in_trouble": len(found),
        "owned": len(sources.owned()),
        "streams_open": sources.streams_open(),
        "pbxes": [state.as_json() for state in sources.pbxes()],
    }


async def gather(sources: Sources) -> dict[str, Any]:
    """The whole answer."""
    until_s = asyncio.get_running_loop().time() + DATABASE_S
    database = await look_at_database(sources.pool)
    backlog = sources.meter.last
    if not database.away:
        try:
            async with asyncio.timeout_at(until_s):
                backlog = await sources.meter.recent()
        except DATABASE_ERRORS:
            pass  # it is slow today: what was seen last has its time with it
    own = report(sources)
    others = [node for node in sources.nodes() if node.id != sources.node()]
    owned = sorted(sources.owned())
    return {
        "version": sources.version,
        "node": sources.node(),
        "now_ms": sources.now_ms(),
        "database": {
            "state": "away" if database.away else "ready",
            "reason": database.away,
            "made_ms": database.made_ms,
            "folder": sources.database,
        },
        "nodes": [_told(node, own if node.id == sources.node() else node.report) for node in sources.nodes()],
        "enterprises": {"owned": len(owned), "names": owned[:MAX_ENTERPRISES]},
        "backlog": None if backlog is None else backlog.as_json(),
        "parked": None if backlog is None else {"calls": sum(backlog.parked.values()), "enterprises": dict(backlog.parked)},
        "accounts": sorted(
            [*own["accounts"], *reported(node.report for node in others)], key=lambda each: int(each.get("since_ms") or 0)
        ),
        "followers": [{"name": name, "behind": behind} for name, behind in database.followers.items()],
        "directory": dict(sources.directory()),
        "spooled": sources.spooled(),
        "streams_open": own["streams_open"] + sum(int(node.report.get("streams_open") or 0) for node in others),
        "pbxes": pbx_states(sources.configured_pbxes, [own, *(node.report for node in others)]),
    }


async def look_at_database(pool: Any) -> Database:
    """Ask the database something small, and do not wait for it."""
    try:
        async with asyncio.timeout(DATABASE_S):
            rows, made_ms = await pool.fetch(_FOLLOWERS), await pool.fetchval(_MADE)
    except DATABASE_ERRORS as error:
        return Database(away=explain(error))
    return Database(followers={row["name"]: row["behind"] for row in rows}, made_ms=made_ms)


async def living_nodes(pool: Any) -> list[Node]:
    """The instances that live, for whoever is none of them (``doctor``). Raises database errors."""
    return [Node(**dict(row)) for row in await pool.fetch(_NODES)]


def reported(reports: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The accounts in trouble that instances name in their reports."""
    return [dict(each) for report in reports for each in report.get("accounts") or () if isinstance(each, Mapping)]


def pbx_states(configured: Collection[str], reports: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every PBX that is configured here or connected somewhere, as whoever keeps it says; ``state`` ``free``: nobody does."""
    found = {str(each.get("name")): dict(each) for report in reports for each in report.get("pbxes") or ()}
    for name in configured:
        found.setdefault(name, {"name": name, "state": "free"})
    return [found[name] for name in sorted(found)]


def _told(node: Node, report: Mapping[str, Any]) -> dict[str, Any]:
    away = bool(node.report.get("away"))
    return {"id": node.id, "address": node.address, "started_ms": node.started_ms, "away": away, "report": dict(report)}


# -- in words ------------------------------------------------------------------------------------------------------


def in_words(status: Mapping[str, Any]) -> Iterator[str]:
    """A few lines for a person."""
    now_ms = int(status.get("now_ms") or 0)
    database = status.get("database") or {}
    away = database.get("state") != "ready"
    if away:
        yield f"database   away: {database.get('reason') or 'no reason given'}; nothing is lost, the service waits"
    if spooled := status.get("spooled"):
        yield f"spool      {counted(spooled, 'signal')} on disk here until the database takes them"
    made_ms = database.get("made_ms")
    if made_ms is not None and now_ms - made_ms < NEW_MS:
        yield f"database   {new_words(made_ms, database.get('folder') or '', now_ms)}"
    nodes = status.get("nodes") or ()
    if nodes:
        own = status.get("node")
        this, cut = " (this one)", " does not reach MoySklad"
        names = [f"{each['address']}{this if each['id'] == own else ''}{cut if each.get('away') else ''}" for each in nodes]
        yield f"instances  {len(nodes)}: {', '.join(names)}"
    if (backlog := status.get("backlog")) is not None:
        # What waits is in the database: while that is away, this is how it was.
        ago = f"{span((now_ms - backlog['at_ms']) / 1000)} ago: " if away else ""
        yield f"backlog    {ago}{backlog_words(backlog)}"
    yield from account_lines(status.get("accounts") or (), now_ms)
    for each in status.get("pbxes") or ():
        yield f"pbx        {pbx_words(each, now_ms)}"
    refused = ((status.get("directory") or {}).get("webhooks") or {}).get("refused", 0)
    if refused:
        yield f"webhooks   MoySklad tells of no changes for {refused} of the enterprises: the connection test says why"
    if (parked := status.get("parked")) is not None and parked["calls"]:
        yield f"parked     {parked['calls']} of the calls need a person: ./ms.sh parked"


def new_words(made_ms: int, folder: str, now_ms: int) -> str:
    """What there is to know of a database that is new: somebody may have meant another one."""
    where, name = (f"in {folder}", "MS_DATA_DIR") if folder else ("at DATABASE_URL", "it")
    return f"new, made {span((now_ms - made_ms) / 1000)} ago {where}; if there should be earlier calls in it, correct {name}"


def backlog_words(backlog: Mapping[str, Any]) -> str:
    """How far behind, in one sentence."""
    if not backlog["calls"]:
        return "no call waits"
    lanes = ", ".join(f"{backlog[f'calls_{lane}']} {lane}" for lane in ("live", "ended", "backlog") if backlog[f"calls_{lane}"])
    waits = counted(backlog["calls"], "call") + (" waits" if backlog["calls"] == 1 else " wait")
    return f"{waits} ({lanes}), the oldest for {span(backlog['oldest_s'])}; at least {span(backlog['estimate_s'])} of work"


def account_lines(accounts: Sequence[Mapping[str, Any]], now_ms: int) -> Iterator[str]:
    """The accounts in trouble, a line for each."""
    if not accounts:
        yield "accounts   all well"
        return
    yield f"accounts   {len(accounts)} in trouble"
    for each in accounts[:SHOWN_ACCOUNTS]:
        yield f"           {account_words(each, now_ms)}"
    if len(accounts) > SHOWN_ACCOUNTS:
        yield f"           and {len(accounts) - SHOWN_ACCOUNTS} more"


def account_words(account: Mapping[str, Any], now_ms: int) -> str:
    """One account in trouble, in words."""
    what = "has refused everything of it" if account.get("state") == "refused" else "has been away"
    waiting = f", {counted(account['waiting'], 'request')} waiting" if account.get("waiting") else ""
    until_ms = account.get("until_ms")
    again = f"; tried again in {span((until_ms - now_ms) / 1000)}" if until_ms is not None and until_ms > now_ms else ""
    reason = f" ({account['reason']})" if account.get("reason") else ""
    since = span((now_ms - int(account.get("since_ms") or now_ms)) / 1000)
    return f"{account.get('enterprise') or '?'}, {account.get('api')} API: MoySklad {what} for {since}{reason}{waiting}{again}"


def pbx_words(pbx: Mapping[str, Any], now_ms: int) -> str:
    """One AMI connection, in words."""
    name = f"{pbx.get('name')} ({pbx.get('enterprise') or '?'}, {pbx.get('where') or '?'})"
    if pbx.get("state") == "free":
        return f"{pbx.get('name')}: no instance keeps its connection yet"
    since = span((now_ms - int(pbx.get("since_ms") or now_ms)) / 1000)
    more = f"; {counted(pbx['connections'] - 1, 'reconnection')}" if int(pbx.get("connections") or 0) > 1 else ""
    if pbx.get("closed"):
        more += f"; {counted(pbx['closed'], 'call')} had ended unheard"
    if pbx.get("waiting"):
        more += f"; {counted(pbx['waiting'], 'message')} not recorded yet"
    if pbx.get("state") == "connected":
        heard_ms = pbx.get("heard_ms")
        last = f", last heard {span((now_ms - heard_ms) / 1000)} ago" if heard_ms is not None else ""
        return f"{name}: connected for {since}{last}{more}"
    remedy = f"; {pbx['remedy']}" if pbx.get("remedy") else ""
    reason = f": {pbx['reason']}{remedy}" if pbx.get("reason") else ""
    return f"{name}: not connected for {since}{reason}{more}"


def span(seconds: float) -> str:
    """A length of time as a person says it: 4 s, 12 min, 3 h 5 min, 2 d 4 h."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
