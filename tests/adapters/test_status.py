"""How the service is: what each instance says of itself, what any of them answers for all, and the same in words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from adapters.backlog import BacklogMeter
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.leases import PostgresLeases
from adapters.status import (
    MAX_ACCOUNTS,
    SHOWN_ACCOUNTS,
    Sources,
    account_words,
    accounts_spoken_for,
    backlog_words,
    gather,
    in_words,
    living_nodes,
    pbx_states,
    pbx_words,
    report,
    reported,
    span,
    troubles,
)
from core.ports import Node
from core.values import Urgency
from tests.adapters.test_backlog import NOW_MS, due
from tests.adapters.test_parked import history, index, parked_history, record


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """As the gateway's snapshot has it."""

    api: str = "phone"
    enterprise: str = "0367"
    state: str = "open"
    reason: str = "503"
    since_ms: int = NOW_MS - 180_000
    until_ms: int | None = NOW_MS + 4_000
    waiting: Mapping[str, int] = field(default_factory=lambda: {"live": 2, "backlog": 5})


def sources(pool: Any, **parts: Any) -> Sources:
    meter = BacklogMeter(pool, now_ms=lambda: NOW_MS)
    return Sources(version="1.0", pool=pool, meter=meter, now_ms=lambda: NOW_MS, **parts)


def node(id_: str, **said: Any) -> Node:
    return Node(id=id_, address=f"10.0.0.{id_[-1]}:8023", started_ms=NOW_MS - 60_000, report=said)


@pytest.mark.parametrize(
    ("folder", "age_ms", "line"),
    [
        ("/srv/var", 300_000, "made 5 min ago in /srv/var; if there should be earlier calls in it, correct MS_DATA_DIR"),
        ("", 7_200_000, "made 2 h ago at DATABASE_URL; if there should be earlier calls in it, correct it"),
        ("/srv/var", 90_000_000, None),
    ],
)
async def test_a_new_database_is_told_of_for_a_day(pg_pool: Any, folder: str, age_ms: int, line: str | None) -> None:
    await pg_pool.execute("UPDATE schema_migrations SET applied_at = to_timestamp($1::float8 / 1000)", float(NOW_MS - age_ms))
    told = await gather(sources(pg_pool, database=folder))
    assert (told["database"]["made_ms"], told["database"]["folder"]) == (NOW_MS - age_ms, folder)
    assert [each for each in in_words(told) if each.startswith("database")] == ([f"database   new, {line}"] if line else [])


# -- what each says of itself --------------------------------------------------------------------------------------


def test_only_accounts_that_are_not_well_are_in_trouble_the_longest_first() -> None:
    well, away = Account(state="closed"), Account()
    refused = Account(enterprise="0999", state="refused", since_ms=NOW_MS - 600_000, until_ms=None, waiting={})
    assert troubles([well, away, refused]) == [
        {
            "enterprise": "0999", "api": "phone", "state": "refused", "reason": "503", "since_ms": NOW_MS - 600_000,
            "until_ms": None, "waiting": 0,
        },
        {
            "enterprise": "0367", "api": "phone", "state": "open", "reason": "503", "since_ms": NOW_MS - 180_000,
            "until_ms": NOW_MS + 4_000, "waiting": 7,
        },
    ]  # fmt: skip


def test_a_report_is_bounded_and_says_how_many_there_are() -> None:
    many = [Account(enterprise=f"{number:04d}") for number in range(MAX_ACCOUNTS + 3)]
    said = report(sources(None, troubled=lambda: many, owned=lambda: ["0367", "0999"], streams_open=lambda: 4))
    assert (len(said["accounts"]), said["accounts_in_trouble"]) == (MAX_ACCOUNTS, MAX_ACCOUNTS + 3)
    assert (said["version"], said["owned"], said["streams_open"]) == ("1.0", 2, 4)


def test_an_instance_speaks_for_what_it_owns_and_for_the_key_that_was_asked_last() -> None:
    replaced, mended = Account(state="refused"), Account(state="closed")
    elsewhere, contacts = Account(enterprise="0999"), Account(api="json")
    known = [replaced, elsewhere, contacts, mended]
    alone = sources(None, accounts=lambda: known)
    assert accounts_spoken_for(alone) == [mended, elsewhere, contacts]
    among_others = sources(None, accounts=lambda: known, node=lambda: "n1", owned=lambda: {"0367"})
    assert accounts_spoken_for(among_others) == [mended, contacts]
    troubled = sources(None, troubled=lambda: [elsewhere, contacts], node=lambda: "n1", owned=lambda: {"0367"})
    assert [each["api"] for each in report(troubled)["accounts"]] == ["json"]


def test_what_others_report_is_taken_as_it_comes() -> None:
    """Another version may say other things."""
    assert reported([{}, {"accounts": None}, {"accounts": [5, {"api": "json"}]}]) == [{"api": "json"}]


# -- what any of them answers --------------------------------------------------------------------------------------


async def test_one_instance_answers_for_all(pg_pool: Any, pg_store: PostgresEventStore) -> None:
    for call in ("A", "B"):
        await record(pg_store, call, parked_history(call))
    await index(pg_pool, pg_store)
    await record(pg_store, "C", history("C"))
    await due(pg_pool, "0367", "D", NOW_MS - 7_000, Urgency.BACKLOG)
    theirs = troubles([Account(enterprise="0999", since_ms=NOW_MS - 300_000)])
    nodes = (node("n1", accounts=["stale"], streams_open=99), node("n2", accounts=theirs, streams_open=3))
    told = await gather(
        sources(
            pg_pool,
            node=lambda: "n1",
            nodes=lambda: nodes,
            owned=lambda: {"0999", "0367"},
            troubled=lambda: [Account()],
            streams_open=lambda: 2,
            spooled=lambda: 7,
        )
    )
    assert (told["version"], told["node"], told["now_ms"]) == ("1.0", "n1", NOW_MS)
    assert (told["database"]["state"], told["database"]["reason"]) == ("ready", "")
    assert [(each["id"], each["address"], each["started_ms"]) for each in told["nodes"]] == [
        ("n1", "10.0.0.1:8023", NOW_MS - 60_000),
        ("n2", "10.0.0.2:8023", NOW_MS - 60_000),
    ]
    assert [each["report"]["streams_open"] for each in told["nodes"]] == [2, 3], "its own is of now"
    assert told["enterprises"] == {"owned": 2, "names": ["0367", "0999"]}
    assert (told["backlog"]["calls"], told["backlog"]["calls_backlog"], told["backlog"]["oldest_s"]) == (1, 1, 7.0)
    assert told["parked"] == {"calls": 2, "enterprises": {"0367": 2}}
    assert [each["enterprise"] for each in told["accounts"]] == ["0999", "0367"]
    assert told["followers"] == [{"name": "calls", "behind": len(history("C"))}]
    assert told["streams_open"] == 5
    assert "spool      7 signals on disk here until the database takes them" in list(in_words(told))


async def test_a_database_that_is_away_is_part_of_the_answer(pg_pool: Any) -> None:
    asked = sources(pg_pool, troubled=lambda: [Account()])
    await due(pg_pool, "0367", "A", NOW_MS - 1_000)
    seen = await gather(asked)
    pg_pool.terminate()
    told = await gather(asked)
    assert told["database"]["state"] == "away"
    assert told["database"]["reason"]
    assert told["followers"] == []
    assert told["backlog"] == seen["backlog"], "what was seen last, with its time"
    assert len(told["accounts"]) == 1
    never = await gather(sources(pg_pool))
    assert (never["backlog"], never["parked"]) == (None, None)
    assert next(in_words(never)).startswith("database   away: ")


async def test_a_slow_database_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question would do in time alone: together they are cut where the first one began."""
    monkeypatch.setattr("adapters.status.DATABASE_S", 0.2)

    class Slow:
        async def fetch(self, *_args: Any) -> list[Any]:
            await asyncio.sleep(0.15)
            return []

        async def fetchval(self, *_args: Any) -> None:
            return None

    answered: list[str] = []

    class Meter(BacklogMeter):
        async def recent(self) -> Any:
            await asyncio.sleep(0.15)
            answered.append("too late")

    told = await gather(replace(sources(Slow()), meter=Meter(Slow(), now_ms=lambda: NOW_MS)))
    assert (told["backlog"], answered) == (None, [])


async def test_who_lives_can_be_read_by_whoever_is_none_of_them(pg_pool: Any, database_url: str) -> None:
    assert await living_nodes(pg_pool) == []
    async with PostgresLeases(database_url) as leases:
        await leases.join("n1", "10.0.0.1:8023")
        await leases.beat("n1", {"streams_open": 1})
        (found,) = await living_nodes(pg_pool)
        assert (found.id, found.address, found.report) == ("n1", "10.0.0.1:8023", {"streams_open": 1})
        assert found.started_ms > 1_700_000_000_000
        await leases.leave("n1")
    assert await living_nodes(pg_pool) == []


# -- in words ------------------------------------------------------------------------------------------------------

BACKLOG = {"calls": 12, "calls_live": 2, "calls_ended": 0, "calls_backlog": 10, "oldest_s": 3_725.0, "estimate_s": 0.8}
READY = {"state": "ready", "reason": ""}


def test_the_whole_in_a_few_lines() -> None:
    nodes = [{"id": "n1", "address": "10.0.0.1:8023", "away": True}, {"id": "n2", "address": "10.0.0.2:8023"}]
    accounts = troubles([Account()])
    told = {
        "node": "n2", "now_ms": NOW_MS, "database": READY, "nodes": nodes, "backlog": BACKLOG,
        "parked": {"calls": 3, "enterprises": {"0367": 3}}, "accounts": accounts,
    }  # fmt: skip
    assert list(in_words(told)) == [
        "instances  2: 10.0.0.1:8023 does not reach MoySklad, 10.0.0.2:8023 (this one)",
        "backlog    12 calls wait (2 live, 10 backlog), the oldest for 62 min; at least 1 s of work",
        "accounts   1 in trouble",
        "           0367, phone API: MoySklad has been away for 3 min (503), 7 requests waiting; tried again in 4 s",
        "parked     3 of the calls need a person: ./ms.sh parked",
    ]
    well = {**told, "accounts": [], "parked": {"calls": 0}, "nodes": [], "backlog": {**BACKLOG, "calls": 0}}
    assert list(in_words(well)) == ["backlog    no call waits", "accounts   all well"]
    away = {"database": {"state": "away", "reason": "nobody listens there"}}
    assert next(in_words(away)) == "database   away: nobody listens there; nothing is lost, the service waits"
    seen = {**away, "now_ms": NOW_MS, "backlog": {**BACKLOG, "calls": 0, "at_ms": NOW_MS - 180_000}}
    assert "backlog    3 min ago: no call waits" in list(in_words(seen)), "what waits is in the database, which is away"


def test_one_call_and_many_accounts() -> None:
    one = {**BACKLOG, "calls": 1, "calls_live": 0, "calls_backlog": 0, "calls_ended": 1}
    assert backlog_words(one).startswith("1 call waits (1 ended), ")
    many = troubles([Account(enterprise=f"{number:04d}") for number in range(SHOWN_ACCOUNTS + 4)])
    lines = list(in_words({"database": READY, "now_ms": NOW_MS, "accounts": many}))
    assert (lines[0], lines[-1], len(lines)) == ("accounts   24 in trouble", "           and 4 more", SHOWN_ACCOUNTS + 2)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("refused", "MoySklad has refused everything of it for 3 min"),
        ("open", "MoySklad has been away for 3 min"),
        ("half-open", "MoySklad has been away for 3 min"),
    ],
)
def test_an_account_in_words(state: str, words: str) -> None:
    (account,) = troubles([Account(state=state, reason="", until_ms=None, waiting={})])
    assert account_words(account, NOW_MS) == f"0367, phone API: {words}"
    past = {**account, "until_ms": NOW_MS - 1, "reason": "key revoked"}
    assert account_words(past, NOW_MS) == f"0367, phone API: {words} (key revoked)"
    assert account_words({}, NOW_MS).startswith("?, None API: MoySklad has been away for 0 s")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"), (0.4, "0 s"), (119.4, "119 s"), (120, "2 min"), (7_199, "119 min"), (7_200, "2 h"), (7_260, "2 h 1 min"),
        (172_799, "47 h 59 min"), (172_800, "2 d"), (183_600, "2 d 3 h"),
    ],
)  # fmt: skip
def test_a_length_of_time_in_words(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_webhooks_that_moysklad_does_not_allow_are_told() -> None:
    status = {"directory": {"webhooks": {"on": 3, "refused": 2}}, "database": {"state": "ready"}, "now_ms": 0}
    assert [line for line in in_words(status) if line.startswith("webhooks")] == [
        "webhooks   MoySklad tells of no changes for 2 of the enterprises: the connection test says why"
    ]
    assert not [line for line in in_words({**status, "directory": {}}) if line.startswith("webhooks")]


# -- PBXes ---------------------------------------------------------------------------------------------------------

PBX = {
    "name": "main", "enterprise": "0367", "where": "127.0.0.1:5038", "state": "connected", "since_ms": NOW_MS - 60_000,
    "heard_ms": NOW_MS - 1_000, "connections": 3, "closed": 2, "waiting": 0, "reason": "", "remedy": "",
}  # fmt: skip


def test_every_pbx_is_told_once_by_whoever_keeps_it_and_one_that_nobody_keeps_too() -> None:
    other = {**PBX, "name": "other"}
    told = pbx_states(("main", "spare"), [{"pbxes": [PBX]}, {"pbxes": [other]}, {}])
    assert [(each["name"], each["state"]) for each in told] == [("main", "connected"), ("other", "connected"), ("spare", "free")]


LATER = {"connections": 1, "closed": 0, "waiting": 7}


@pytest.mark.parametrize(
    ("pbx", "words"),
    [
        (
            PBX,
            "main (0367, 127.0.0.1:5038): connected for 60 s, last heard 1 s ago; 2 reconnections; 2 calls had ended unheard",
        ),
        (
            {**PBX, "state": "waiting", "reason": "nobody listens", "remedy": "start it", **LATER},
            "main (0367, 127.0.0.1:5038): not connected for 60 s: nobody listens; start it; 7 messages not recorded yet",
        ),
        ({"name": "spare", "state": "free"}, "spare: no instance keeps its connection yet"),
    ],
)
def test_a_pbx_in_words(pbx: dict[str, Any], words: str) -> None:
    assert pbx_words(pbx, NOW_MS) == words
    told = {"now_ms": NOW_MS, "database": READY, "nodes": [], "backlog": None, "parked": None, "accounts": [], "pbxes": [pbx]}
    assert f"pbx        {words}" in list(in_words(told))
