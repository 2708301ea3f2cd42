"""The way to PostgreSQL: one pool with our codecs and limits, waiting for a server that is not up yet, telling errors apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import orjson

SCHEMA: Final = "ms"
"""Our tables live in a schema of their own: the database may be the dispatcher's, with tables called ``calls`` or ``events``."""

CONNECT_S: Final = 5.0
STATEMENT_S: Final = 60.0
LOCK_S: Final = 5.0
IDLE_TRANSACTION_S: Final = 60.0

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


DATABASE_ERRORS: Final[tuple[type[Exception], ...]] = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # Raised in about a third of the cases when the server goes away; it is neither of the two above.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""Everything that asyncpg raises when a statement fails or the server is lost."""


def still_wanted(error: BaseException) -> None:
    """Call it first when a loop catches a database error: raises CancelledError if the task is being cancelled.

    A cancelled statement cleans up (ROLLBACK, release), and when the connection is dead that fails too: the error of
    the clean-up then hides the cancellation, and the loop would go on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error


async def create_pool(dsn: str, *, min_size: int = 1, max_size: int = 12) -> asyncpg.Pool:
    """Open the pool that the whole service shares; the server must be up (see :func:`wait_for_database`).

    Columns of type json and jsonb come parsed, and parameters of these types are Python values. Several hosts in the
    DSN are tried in turn until one accepts writes.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=min_size,
        max_size=max_size,
        init=_set_codecs,
        **_settings(dsn),
    )


async def connect(dsn: str) -> asyncpg.Connection:
    """One connection of one's own, set up like those of the pool. The caller closes it."""
    connection = await asyncpg.connect(dsn, **_settings(dsn))
    await _set_codecs(connection)
    return connection


async def wait_for_database(dsn: str, report: Callable[[str], None]) -> None:
    """Return once the database answers, however long that takes; each new reason to wait is reported once, in words.

    Raises ValueError for a DSN that cannot be understood: waiting would not help.
    """
    where, told, attempt = describe(dsn), "", 0
    while True:
        try:
            connection = await asyncpg.connect(dsn, **_settings(dsn))
        except asyncpg.ClientConfigurationError as error:
            raise ValueError(f"the database address is not understood: {error}") from error
        except DATABASE_ERRORS as error:
            reason = explain(error)
        else:
            await connection.close()
            if told:
                report(f"PostgreSQL at {where} answers")
            return
        if reason != told:
            report(f"waiting for PostgreSQL at {where}: {reason}")
            told = reason
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
    if isinstance(error, asyncpg.PostgresError):
        return f"{error.args[0] if error.args else type(error).__name__} ({error.sqlstate})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return f"the connection was lost ({type(error).__name__})"


def _settings(dsn: str) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "timeout": CONNECT_S,
        "command_timeout": STATEMENT_S,
        "server_settings": {
            "application_name": "ms-call-service",
            "search_path": f"{SCHEMA}, public",
            # append_batch must see what was committed while it waited for its turn.
            "default_transaction_isolation": "read committed",
            # Nobody of ours may hold locks, or the horizon of vacuum, for long.
            "idle_in_transaction_session_timeout": _ms(IDLE_TRANSACTION_S),
            "lock_timeout": _ms(LOCK_S),
            "statement_timeout": _ms(STATEMENT_S),
            "jit": "off",
        },
    }
    if "," in urlsplit(dsn).netloc and "target_session_attrs" not in dsn:
        settings["target_session_attrs"] = "read-write"
    return settings


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
