"""The way to PostgreSQL: one pool with our codecs and limits, waiting for a server that is not up yet, telling errors apart."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg
import orjson

from core.errors import StoreUnavailable

SCHEMA: Final = "ms"
"""Our tables live in a schema of their own: the database may be the dispatcher's, with tables called ``calls`` or ``events``."""

CONNECT_S: Final = 3.0
"""For each host of a DSN. One that does not answer at all (switched off, stopped) must not keep us from the next."""

STATEMENT_S: Final = 60.0
"""For the longest thing that is asked of the pool: emptying a read model. Whoever is in a hurry brings a patience of his own."""

LOCK_S: Final = 5.0

IDLE_TRANSACTION_S: Final = 5.0
"""An instance that is stopped in mid-transaction lets go of its locks then: the switchboard's place in the log, a projection's.
Between two statements of ours there are at most two waits for the event store, of a patience each."""

TRANSACTION_S: Final = 6.0
"""For a whole transaction of the pool. asyncpg prepares a statement in two steps, and of an instance that was stopped between them
the server says that it is at work: neither idle nor cancelled, it would keep its locks for as long as the instance is stopped."""

TRANSACTION_TIMEOUT_SINCE: Final = 17
"""The server's major version that can end a transaction by itself, whatever its client does."""

CANCEL_S: Final = 2.0
"""A statement that nobody waits for any more is cancelled through a second connection. A server that does not take even that
is not coming back to this connection: it is given up."""

CLOSE_S: Final = 3.0
"""For statements under way at an orderly end, and for the server to say goodbye."""

NETWORK_S: Final = 6
"""A cut network tells neither end. What was sent and not acknowledged for so long, or as many seconds of silence after a
question whether somebody is there (after 3 s, then each second), ends the connection, on both sides."""

FIXED_OIDS: Final = 10_000
"""Types below it have their number from PostgreSQL's source (``transam.h``), in every database; others may be anyone's."""

MAX_KNOWN_TYPES: Final = 64
"""Sets of types that a statement of ours has and asyncpg does not know by itself: some five."""

_BEGIN: Final = "BEGIN;"
"""How asyncpg begins a transaction that says nothing of isolation."""

_WAITS_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
_SQL: Final = Path(__file__).parent / "sql"

_POISON_CLASSES: Final = ("21", "22", "23", "54")
"""SQLSTATE classes that blame the values sent: cardinality, data, integrity, program limit. Repeating cannot help."""


def load_sql(name: str) -> str:
    """The text of ``sql/<name>.sql``."""
    return (_SQL / f"{name}.sql").read_text()


def is_poison(error: BaseException) -> bool:
    """Whether the server refuses these very values; any other database error may pass by itself."""
    return isinstance(error, asyncpg.PostgresError) and str(error.sqlstate or "")[:2] in _POISON_CLASSES


T = TypeVar("T")

DATABASE_ERRORS: Final[tuple[type[Exception], ...]] = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # Raised in about a third of the cases when the server goes away; it is neither of the two above.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""Everything that asyncpg raises when a statement fails or the server is lost."""

AWAY: Final[tuple[type[Exception], ...]] = (StoreUnavailable, *DATABASE_ERRORS)
"""The same, also where a port has said it in its own words already."""


def still_wanted(error: BaseException) -> None:
    """Call it first when a loop catches a database error: raises CancelledError if the task is being cancelled.

    A cancelled statement cleans up (ROLLBACK, release), and when the connection is dead that fails too: the error of
    the clean-up then hides the cancellation, and the loop would go on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error


async def create_pool(dsn: str, *, min_size: int = 1, max_size: int = 12, derived: bool = False) -> asyncpg.Pool:
    """Open a pool that many share; the server must be up (see :func:`wait_for_database`).

    Columns of type json and jsonb come parsed, and parameters of these types are Python values. Several hosts in the
    DSN are tried in turn until one accepts writes. ``derived``: its transactions do not wait for the disk, so only what
    is derived from the log and would be derived again may be written through it (docs/decisions/0022).

    Nothing of a session is put back between two users (see ``_Connection``): settings and locks of a transaction only.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=min_size,
        max_size=max_size,
        init=_set_codecs,
        connect=_open,
        connection_class=_SharedConnection,
        **_settings(session={"synchronous_commit": "off"} if derived else None),
    )


async def close_pool(pool: asyncpg.Pool) -> None:
    """Close it in good order, unless the server hangs: it would be waited for without end."""
    try:
        async with asyncio.timeout(CLOSE_S):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def connect(dsn: str, *, statement_s: float = STATEMENT_S, **session: str) -> asyncpg.Connection:
    """One connection of one's own, set up like those of the pool, with further settings of the session. The caller closes it."""
    connection = await _open(dsn, **_settings(statement_s, session))
    await _set_codecs(connection)
    return connection


async def limit_transaction(connection: Any, seconds: float, scope: str = "LOCAL") -> None:
    """End this transaction, and the connection, when it is not over by then, even if its client was stopped (PostgreSQL 17 on).

    ``scope``: ``SESSION`` for every transaction of the connection.
    """
    if statement := _limit(connection, seconds, scope):
        await connection.execute(statement)


def _limit(connection: Any, seconds: float, scope: str) -> str:
    """The statement for it; empty where the server is too old."""
    if connection.get_server_version().major < TRANSACTION_TIMEOUT_SINCE:
        return ""
    return f"SET {scope} transaction_timeout = {_ms(seconds)}"


async def in_time(work: Awaitable[T], seconds: float) -> T:
    """The result, or TimeoutError after so many seconds, whatever is left to clean up then.

    A statement that is cut off is cancelled on the server, and asyncpg waits for that: with a server that hangs, for long.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,), timeout=max(0.0, seconds))
    finally:
        if not task.done():
            task.cancel()
            _LEFT_ALONE.add(task)
            task.add_done_callback(_cleaned_up)
    if not task.done():
        raise TimeoutError
    return task.result()


async def wait_for_database(dsn: str, report: Callable[[str], None], *, within_s: float | None = None) -> None:
    """Return once the database answers; each new reason to wait is reported once, in words.

    Raises StoreUnavailable after ``within_s`` (None: it waits however long that takes), and ValueError for a DSN that cannot be
    understood: waiting would not help.
    """
    where, told, attempt = describe(dsn), "", 0
    clock = asyncio.get_running_loop().time
    began_s = clock()
    while True:
        try:
            connection = await _open(dsn, **_settings())
        except asyncpg.ClientConfigurationError as error:
            raise ValueError(f"the database address is not understood: {error}; correct DATABASE_URL") from error
        except DATABASE_ERRORS as error:
            reason = explain(error)
        else:
            connection.terminate()
            if told:
                report(f"PostgreSQL at {where} answers")
            return
        if reason != told:
            report(f"waiting for PostgreSQL at {where}: {reason}")
            told = reason
        if within_s is not None and clock() - began_s >= within_s:
            raise StoreUnavailable(f"PostgreSQL at {where} does not answer", "start it, or correct DATABASE_URL")
        await asyncio.sleep(_WAITS_S[min(attempt, len(_WAITS_S) - 1)])
        attempt += 1


def describe(dsn: str) -> str:
    """Where a DSN leads, without user and password."""
    parts = urlsplit(dsn)
    hosts = parts.netloc.rpartition("@")[2] or "the local socket"
    return f"{hosts}{parts.path}"


def explain(error: BaseException) -> str:
    """A database error in a few words, without anything of the statement's values."""
    if isinstance(error, asyncpg.CannotConnectNowError):
        return "it is starting up or recovering"
    if isinstance(error, asyncpg.DiskFullError):
        return "its disk is full"
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched | asyncpg.ReadOnlySQLTransactionError):
        return "it accepts no writes (a standby?)"
    if isinstance(error, asyncpg.PostgresError):
        return f"PostgreSQL says: {error.args[0] if error.args else type(error).__name__} ({error.sqlstate})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return f"the connection was lost ({type(error).__name__})"


@functools.cache
def _route(dsn: str) -> _Route:
    """One for each address, for the life of the process: which host to begin with is known from the last time."""
    return _Route(dsn)


class _Route:
    """The hosts of a DSN, each as a DSN of its own, and which of them to try first."""

    def __init__(self, dsn: str) -> None:
        self.places = each_host(dsn)
        self.first = 0


def each_host(dsn: str) -> list[str]:
    """A DSN for each host that is named, in the address or as ``host=``."""
    parts = urlsplit(dsn)
    user, at, hosts = parts.netloc.rpartition("@")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "," in hosts:
        return [_with(dsn, f"{user}{at}{host}", query) for host in hosts.split(",")]
    named, ports = query.get("host", "").split(","), query.get("port", "").split(",")
    if len(named) == 1:
        return [dsn]
    ports = ports * len(named) if len(ports) == 1 else ports
    return [
        _with(dsn, parts.netloc, {**query, "host": host, **({"port": port} if port else {})})
        for host, port in zip(named, ports, strict=True)
    ]


def _with(dsn: str, netloc: str, query: dict[str, str]) -> str:
    parts = urlsplit(dsn)  # put together by hand: urlunsplit drops the slashes of an empty host
    query = {"target_session_attrs": "read-write", **query}
    return f"{parts.scheme}://{netloc}{parts.path}?{urlencode(query)}"


async def _open(dsn: str, **settings: Any) -> asyncpg.Connection:
    """Connect to the first host that accepts us; asyncpg would let the first one use up the timeout of all."""
    route = _route(dsn)
    for _ in route.places:
        place = route.first
        try:
            connection = await asyncpg.connect(route.places[place], **{"connection_class": _Connection, **settings})
        except asyncpg.ClientConfigurationError:
            raise
        except BaseException as error:
            route.first = (place + 1) % len(route.places)  # also when the caller lost patience: the next one begins there
            if not isinstance(error, DATABASE_ERRORS):
                raise
            still_wanted(error)
            failed = error
        else:
            return connection
    raise failed


class _NotAsked:
    """Stands for asyncpg's look-up statement where none was sent: one with a name does not overwrite what is being prepared."""

    name = "known already"


_NOT_ASKED: Final = _NotAsked()
_KNOWN_TYPES: Final[dict[tuple[int, frozenset[int]], Any]] = {}
"""What PostgreSQL said of types of its own, by its major version and the numbers asked for."""


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """asyncpg's, but one that notices a cut network and does not wait long to be told that a statement is cancelled."""

    __slots__ = ()

    def __init__(self, protocol: Any, transport: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(protocol, transport, *args, **kwargs)
        _watch(transport.get_extra_info("socket"))

    def get_reset_query(self) -> str:
        """Nothing: it would be a quarter of all statements.

        Whoever uses the pool changes nothing of the session (tests/test_durability.py looks for it), and
        asyncpg itself ends a transaction that was left open and forgets listeners.
        """
        return ""

    async def _cancel(self, waiter: Any, cancel_waiter: Any = None) -> None:
        # It would be given as long as a statement, and a connection on its way back to the pool waits for it.
        async with asyncio.timeout(CANCEL_S) as limit:
            await super()._cancel(waiter, cancel_waiter)
        if limit.expired():
            self.terminate()

    async def _introspect_types(self, typeoids: Iterable[int], timeout: float | None) -> Any:
        # Each connection would ask anew what an array of text is: ten milliseconds, of one that an event waits for.
        wanted = (self.get_server_version().major, frozenset(typeoids))
        if (known := _KNOWN_TYPES.get(wanted)) is not None:
            return known, _NOT_ASKED
        found, statement = await super()._introspect_types(wanted[1], timeout)
        if all(each["oid"] < FIXED_OIDS for each in found) and len(_KNOWN_TYPES) < MAX_KNOWN_TYPES:
            _KNOWN_TYPES[wanted] = found
        return found, statement


class _SharedConnection(_Connection):
    """One of a pool: its transactions hold what other instances wait for, and have a limit (:data:`TRANSACTION_S`)."""

    __slots__ = ()

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> Any:
        if query == _BEGIN:
            query = f"{_BEGIN} {_limit(self, TRANSACTION_S, 'LOCAL')}"  # alone it would cost as much as the other
        return await super().execute(query, *args, timeout=timeout)


def _watch(sock: Any) -> None:
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", NETWORK_S // 2),
        ("TCP_KEEPINTVL", 1),
        ("TCP_KEEPCNT", NETWORK_S // 2),
        ("TCP_USER_TIMEOUT", NETWORK_S * 1_000),
    ):
        if (option := getattr(socket, name, None)) is not None:  # Linux has them all
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _settings(statement_s: float = STATEMENT_S, session: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "timeout": CONNECT_S,
        "command_timeout": statement_s,
        "server_settings": {
            "application_name": "ms-call-service",
            "search_path": f"{SCHEMA}, public",
            # append_batch must see what was committed while it waited for its turn.
            "default_transaction_isolation": "read committed",
            # What is answered or acted upon is on disk, whatever the database's default is; who need not wait says so.
            "synchronous_commit": "on",
            # Nobody of ours may hold locks, or the horizon of vacuum, for long.
            "idle_in_transaction_session_timeout": _ms(IDLE_TRANSACTION_S),
            "lock_timeout": _ms(LOCK_S),
            "statement_timeout": _ms(statement_s),
            # The server notices as soon as we do when the network is cut, and stops working for a client that is gone.
            "tcp_keepalives_idle": str(NETWORK_S // 2),
            "tcp_keepalives_interval": "1",
            "tcp_keepalives_count": str(NETWORK_S // 2),
            "tcp_user_timeout": _ms(NETWORK_S),
            "client_connection_check_interval": "1000",
            "jit": "off",
            **(session or {}),
        },
    }


_LEFT_ALONE: Final[set[asyncio.Future[Any]]] = set()
"""What cleans up after its caller left; bounded by the pool's connections, and each by ``CANCEL_S``."""


def _cleaned_up(task: asyncio.Future[Any]) -> None:
    _LEFT_ALONE.discard(task)
    if not task.cancelled():
        task.exception()  # nobody waits for it any more


def _ms(seconds: float) -> str:
    return str(int(seconds * 1000))


async def _set_codecs(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "json", schema="pg_catalog", format="binary", encoder=_encode_json, decoder=orjson.loads
    )
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", format="binary", encoder=_encode_jsonb, decoder=_decode_jsonb
    )


def _encode_json(value: Any) -> bytes:
    # The event store encodes early, to refuse early; bytes are no JSON value, so nothing is lost.
    return value if type(value) is bytes else orjson.dumps(value)


def _encode_jsonb(value: Any) -> bytes:
    return b"\x01" + _encode_json(value)


def _decode_jsonb(wire: bytes) -> Any:
    return orjson.loads(memoryview(wire)[1:])
