"""Who is logged in to the pages: sessions, links for one enterprise, and the limit on failed log-ins (PRODUCT D5).

Everything is in PostgreSQL and by its clock, so that any instance knows a session that another one opened, a log-out
holds everywhere at once, and an attacker gains nothing by trying another instance. Of ids and secrets only hashes are kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Any, Final

from adapters.admin_password import AdminPassword
from adapters.outages import is_outage
from adapters.postgres.database import DATABASE_ERRORS, load_sql, still_wanted
from core.errors import StoreUnavailable

IDLE_S: Final = 12 * 3_600
LIFE_S: Final = 7 * 86_400
SEEN_EVERY_S: Final = 60
""""Last seen" is written no more often than this: not every request is worth a write."""

PATIENCE_S: Final = 3.0
"""Every page waits for this look-up first, so a database that hangs is reported within this time."""

SESSIONS_EACH: Final = 100
"""Sessions of one link, or of the operator; a new one beyond this ends the oldest."""

MAX_LINK_DAYS: Final = 366
MAX_LINKS: Final = 1_000
"""Links of one enterprise that are in force at once."""

LINKS_KEPT_DAYS: Final = 90
"""After it ended a link stays in the list for so long."""

WINDOW_S: Final = 300
FAILURES_EACH: Final = 10
FAILURES_OVER_ALL: Final = 200
"""Failed log-ins in a window: from one address, and from all together. Nobody guesses a password of 24 random characters at
this rate; the second limit is there for the processor, which each guess keeps busy."""

_FIND, _OPEN = load_sql("session_find"), load_sql("session_open")
_OPEN_LINK = load_sql("link_open")
_TRY, _GOOD = load_sql("login_try"), load_sql("login_good")
_MAKE_LINK, _LIST_LINKS, _REVOKE_LINK = load_sql("link_make"), load_sql("link_list"), load_sql("link_revoke")
_CROWDED = load_sql("session_crowded")


class TooManyTries(Exception):
    """Log-ins failed too often: come back in ``wait_s`` seconds."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many failed log-ins: wait {wait_s} s")
        self.wait_s = wait_s


class TooManyLinks(Exception):
    """The enterprise has as many living links as it may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A log-in that is alive. ``enterprise``: the only one it may see; None for the operator, who sees all."""

    enterprise: str | None
    link: int | None
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An administrator's link as it may be listed."""

    id: int
    enterprise: str
    name: str
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None
    is_alive: bool
    sessions: int


class Access:
    """Sessions and links. ``password`` None: nobody can log in with one. Methods raise what the pool raises."""

    def __init__(self, pool: Any, password: AdminPassword | None) -> None:
        self._pool = pool
        self._password = password
        self._own_key = secrets.token_bytes(32)

    async def log_in(self, typed: str, address: str) -> str | None:
        """A new session's id for the right password, None for a wrong one. Raises TooManyTries before even looking."""
        await self._try(address)
        if self._password is None or not await self._password.matches(typed):
            return None
        await self._pool.execute(_GOOD, _source(address))
        return await self._open(None, address)

    async def enter(self, secret: str, address: str) -> tuple[str, Session] | None:
        """A new session by the secret of a link; None if it opens nothing. Raises TooManyTries."""
        await self._try(address)
        row = await self._pool.fetchrow(_OPEN_LINK, _link_hash(secret))
        if row is None:
            return None
        await self._pool.execute(_GOOD, _source(address))
        id_ = await self._open(row["id"], address)
        return id_, Session(enterprise=row["enterprise"], link=row["id"], name=row["name"])

    async def find(self, id_: str) -> Session | None:
        """The session with this id, if it is alive. Raises StoreUnavailable while the database is away or hangs."""
        mark = self._mark(id_)
        try:
            async with asyncio.timeout(PATIENCE_S):
                row = await self._pool.fetchrow(_FIND, mark, IDLE_S, SEEN_EVERY_S)
                if row is None:
                    return None
                if row["stale"]:
                    await self._pool.execute("UPDATE sessions SET seen_at = now() WHERE id_hash = $1", mark)
        except DATABASE_ERRORS as error:
            still_wanted(error)
            if not is_outage(error):
                raise
            raise StoreUnavailable("nobody can say whether this session is alive") from error
        return Session(enterprise=row["enterprise"], link=row["link"], name=row["name"] or "")

    async def log_out(self, id_: str) -> bool:
        """End a session; False if there was none."""
        return str(await self._pool.execute("DELETE FROM sessions WHERE id_hash = $1", self._mark(id_))) != "DELETE 0"

    async def make_link(self, enterprise: str, name: str, days: int) -> tuple[int, str]:
        """A new link's number and its secret, which is not kept and cannot be shown again. Raises TooManyLinks."""
        secret = secrets.token_urlsafe(32)
        number = await self._pool.fetchval(_MAKE_LINK, _link_hash(secret), enterprise, name, days, MAX_LINKS)
        if number is None:
            raise TooManyLinks
        return int(number), secret

    async def links(self, enterprise: str | None = None) -> list[Link]:
        """Links, newest first; of one enterprise, or of all."""
        rows = await self._pool.fetch(_LIST_LINKS, enterprise)
        return [Link(**dict(row)) for row in rows]

    async def revoke_link(self, id_: int) -> Link | None:
        """End a link and every session that it opened; None if there is no such link."""
        await self._pool.execute(_REVOKE_LINK, id_)
        return next((link for link in await self.links() if link.id == id_), None)

    async def _try(self, address: str) -> None:
        """Count a try as failed until it has turned out well."""
        row = await self._pool.fetchrow(_TRY, _source(address), WINDOW_S, FAILURES_EACH, FAILURES_OVER_ALL)
        if not row["is_admitted"]:
            raise TooManyTries(row["wait_s"])

    async def _open(self, link: int | None, address: str) -> str:
        id_ = secrets.token_urlsafe(32)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_OPEN, self._mark(id_), link, address, LIFE_S)
            await connection.execute(_CROWDED, link, SESSIONS_EACH)
        return id_

    def _mark(self, id_: str) -> bytes:
        key = self._own_key if self._password is None else self._password.session_key
        return hmac.digest(key, id_.encode("utf-8", "surrogateescape"), "sha256")


async def prune(pool: Any) -> None:
    """Forget what nobody can use any more."""
    await pool.execute("DELETE FROM sessions WHERE expires_at < now() OR seen_at < now() - make_interval(secs => $1)", IDLE_S)
    await pool.execute(
        "DELETE FROM access_links WHERE least(expires_at, revoked_at) < now() - make_interval(days => $1)", LINKS_KEPT_DAYS
    )
    await pool.execute("DELETE FROM login_failures WHERE since < now() - make_interval(secs => $1)", WINDOW_S)


def _link_hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _source(address: str) -> str:
    """Whose tries are counted together: one address, or one IPv6 network, which is what a customer is given."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return str(mapped) if mapped.version == 4 else str(ip_network(f"{mapped}/64", strict=False))
