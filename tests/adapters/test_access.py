"""Sessions, links and the limit on failed log-ins, on a real PostgreSQL: several instances, one truth."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from adapters import access
from adapters.access import FAILURES_EACH, FAILURES_OVER_ALL, Access, TooManyLinks, TooManyTries, prune
from adapters.admin_password import AdminPassword
from core.errors import StoreUnavailable

PASSWORD = AdminPassword("right")
HERE = "192.0.2.7"


@pytest.fixture
def door(pg_pool: asyncpg.Pool) -> Access:
    return Access(pg_pool, PASSWORD)


async def logged_in(door: Access, address: str = HERE) -> str:
    id_ = await door.log_in("right", address)
    assert id_ is not None
    return id_


async def test_the_password_opens_a_session_that_every_instance_knows(door: Access, pg_pool: asyncpg.Pool) -> None:
    id_ = await logged_in(door)
    for instance in (door, Access(pg_pool, AdminPassword("right"))):
        session = await instance.find(id_)
        assert session is not None
        assert (session.enterprise, session.link) == (None, None)
    assert await door.find(id_ + "x") is None
    assert await door.find("") is None
    assert len(id_) >= 43, "256 bits"


class Broken:
    """A pool on a database that hangs, or is gone."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def fetchrow(self, *_: Any) -> Any:
        if self._error is not None:
            raise self._error
        await asyncio.Event().wait()


@pytest.mark.parametrize("error", [None, ConnectionRefusedError(), asyncpg.AdminShutdownError("")])
async def test_a_database_that_hangs_is_told_soon(error: Exception | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "PATIENCE_S", 0.01)
    with pytest.raises(StoreUnavailable):
        await Access(Broken(error), PASSWORD).find("somebody")


async def test_a_wrong_statement_is_no_outage() -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await Access(Broken(asyncpg.UndefinedTableError("")), PASSWORD).find("somebody")


async def test_the_database_holds_nothing_that_opens_anything(door: Access, pg_pool: asyncpg.Pool) -> None:
    id_ = await logged_in(door)
    _, secret = await door.make_link("0367", "Анна", 30)
    rows = await pg_pool.fetch("SELECT s::text FROM sessions AS s UNION ALL SELECT l::text FROM access_links AS l")
    text = "\n".join(row[0] for row in rows)
    assert "Анна" in text
    for shown in (id_, secret, id_.encode().hex(), secret.encode().hex(), "right"):
        assert shown not in text


async def test_another_password_ends_every_session(door: Access, pg_pool: asyncpg.Pool) -> None:
    id_ = await logged_in(door)
    assert await Access(pg_pool, AdminPassword("new")).find(id_) is None


async def test_without_a_password_nobody_gets_in(pg_pool: asyncpg.Pool) -> None:
    assert await Access(pg_pool, None).log_in("", HERE) is None


async def test_logging_out_holds_everywhere_at_once(door: Access, pg_pool: asyncpg.Pool) -> None:
    id_ = await logged_in(door)
    assert await Access(pg_pool, PASSWORD).log_out(id_)
    assert await door.find(id_) is None
    assert not await door.log_out(id_)


@pytest.mark.parametrize(
    "change",
    [
        "seen_at = now() - make_interval(secs => 12 * 3600 + 1)",
        "expires_at = now() - interval '1 second'",
    ],
)
async def test_a_session_ends_when_it_is_idle_or_old(door: Access, pg_pool: asyncpg.Pool, change: str) -> None:
    id_ = await logged_in(door)
    await pg_pool.execute(f"UPDATE sessions SET {change}")
    assert await door.find(id_) is None
    await prune(pg_pool)
    assert await pg_pool.fetchval("SELECT count(*) FROM sessions") == 0


async def test_use_keeps_it_alive_without_a_write_each_time(door: Access, pg_pool: asyncpg.Pool) -> None:
    id_ = await logged_in(door)
    seen = "SELECT extract(epoch FROM now() - seen_at) FROM sessions"
    await pg_pool.execute("UPDATE sessions SET seen_at = now() - interval '30 seconds'")
    assert await door.find(id_) is not None
    assert await pg_pool.fetchval(seen) >= 30
    await pg_pool.execute("UPDATE sessions SET seen_at = now() - interval '2 hours'")
    assert await door.find(id_) is not None
    assert await pg_pool.fetchval(seen) < 30


async def test_guessing_is_stopped_at_one_address_and_the_right_password_waits_too(door: Access, pg_pool: asyncpg.Pool) -> None:
    for _ in range(FAILURES_EACH):
        assert await door.log_in("wrong", HERE) is None
    for instance in (door, Access(pg_pool, PASSWORD)):
        with pytest.raises(TooManyTries) as caught:
            await instance.log_in("right", HERE)
        assert 1 <= caught.value.wait_s <= access.WINDOW_S
    assert await door.log_in("right", "192.0.2.8") is not None
    await pg_pool.execute("UPDATE login_failures SET since = now() - interval '1 hour'")
    assert await door.log_in("right", HERE) is not None


async def test_guessing_is_stopped_over_all_and_its_record_stays_small(door: Access, pg_pool: asyncpg.Pool) -> None:
    await pg_pool.execute("INSERT INTO login_failures (source, count) VALUES ('*', $1)", FAILURES_OVER_ALL - 1)
    assert await door.log_in("wrong", HERE) is None
    with pytest.raises(TooManyTries):
        await door.log_in("wrong", "198.51.100.1")
    assert await pg_pool.fetchval("SELECT count(*) FROM login_failures") == 2, "whoever is stopped leaves no row"
    await pg_pool.execute("UPDATE login_failures SET since = now() - interval '1 hour'")
    await prune(pg_pool)
    assert await pg_pool.fetchval("SELECT count(*) FROM login_failures") == 0


async def test_a_hundred_at_once_are_no_way_around(pg_pool: asyncpg.Pool) -> None:
    looked_at = 0

    class Counting(AdminPassword):
        async def matches(self, typed: str) -> bool:
            nonlocal looked_at
            looked_at += 1
            return False

    door = Access(pg_pool, Counting("right"))
    told = await asyncio.gather(*(door.log_in("wrong", HERE) for _ in range(100)), return_exceptions=True)
    assert looked_at == FAILURES_EACH
    assert sum(isinstance(each, TooManyTries) for each in told) == 100 - FAILURES_EACH
    together = await pg_pool.fetchval("SELECT count FROM login_failures WHERE source = '*'")
    assert together == FAILURES_EACH, "the others are not locked out"


async def test_good_tries_count_for_nothing(door: Access) -> None:
    for _ in range(FAILURES_EACH * 2):
        await logged_in(door)


async def test_an_ipv6_customer_has_one_count_however_many_addresses(door: Access) -> None:
    for number in range(FAILURES_EACH):
        assert await door.log_in("wrong", f"2001:db8:1:2::{number:x}") is None
    with pytest.raises(TooManyTries):
        await door.log_in("right", "2001:db8:1:2:ffff::1")
    assert await door.log_in("right", "2001:db8:1:3::1") is not None


async def test_a_link_opens_one_enterprise_until_it_is_revoked(door: Access) -> None:
    number, secret = await door.make_link("0367", "Анна", 30)
    entered = await door.enter(secret, HERE)
    assert entered is not None
    id_, session = entered
    assert (session.enterprise, session.link, session.name) == ("0367", number, "Анна")
    assert await door.find(id_) == session
    again = await door.enter(secret, HERE)
    assert again is not None, "a link is no ticket: a browser may forget its cookie"
    (link,) = await door.links("0367")
    assert (link.id, link.is_alive, link.sessions, link.used_at is not None) == (number, True, 2, True)
    revoked = await door.revoke_link(number)
    assert revoked is not None
    assert (revoked.is_alive, revoked.sessions) == (False, 0)
    assert await door.find(id_) is None
    assert await door.enter(secret, HERE) is None


async def test_an_expired_link_ends_its_sessions_by_itself(door: Access, pg_pool: asyncpg.Pool) -> None:
    _, secret = await door.make_link("0367", "Анна", 1)
    entered = await door.enter(secret, HERE)
    assert entered is not None
    await pg_pool.execute("UPDATE access_links SET expires_at = now() - interval '1 second'")
    assert await door.find(entered[0]) is None
    assert await door.enter(secret, HERE) is None
    await pg_pool.execute("UPDATE access_links SET expires_at = now() - interval '200 days'")
    await prune(pg_pool)
    assert await door.links() == []


async def test_guessing_links_is_stopped_like_guessing_passwords(door: Access) -> None:
    for _ in range(FAILURES_EACH):
        assert await door.enter("a" * 43, HERE) is None
    with pytest.raises(TooManyTries):
        await door.enter("a" * 43, HERE)


async def test_links_and_sessions_are_bounded(door: Access, pg_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "MAX_LINKS", 2)
    monkeypatch.setattr(access, "SESSIONS_EACH", 3)
    secrets: list[Any] = [await door.make_link("0367", "Анна", 30) for _ in range(2)]
    with pytest.raises(TooManyLinks):
        await door.make_link("0367", "Борис", 30)
    assert await door.make_link("0368", "Борис", 30)
    first = await logged_in(door)
    for _ in range(5):
        await door.enter(secrets[0][1], HERE)
    assert await pg_pool.fetchval("SELECT count(*) FROM sessions WHERE link IS NOT NULL") == 3
    assert await door.find(first) is not None, "a link's sessions push nobody else out"
