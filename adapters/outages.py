"""Whether a database error is an outage, which passes by itself, or a bug, which must be seen as one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from adapters.postgres.database import DATABASE_ERRORS
from core.errors import StoreUnavailable

_OUTAGE_CLASSES: Final = ("08", "28", "3D", "40", "53", "55", "57", "58")
"""SQLSTATE classes that speak of the server, not of the statement: connection, log-in, missing database, roll-back by
the server, resources, object in use, operator, system."""

_OUTAGES: Final = ("25006", "25P03", "25P04")
"""Single states: a standby that refuses to write, until the fail-over ends; a transaction that stood still, or took, too long."""


def is_outage(error: BaseException) -> bool:
    """Whether the same statement may succeed later."""
    if isinstance(error, asyncpg.PostgresError):
        state = str(error.sqlstate or "")
        return not state or state[:2] in _OUTAGE_CLASSES or state in _OUTAGES
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError) and ("clos" in str(error) or "released" in str(error))
    return isinstance(error, DATABASE_ERRORS)


@contextmanager
def unavailable(what: str) -> Iterator[None]:
    """Turns an outage inside the block into StoreUnavailable(``what``); any other error stays what it is."""
    try:
        yield
    except DATABASE_ERRORS as error:
        if not is_outage(error):
            raise
        raise StoreUnavailable(what) from error
