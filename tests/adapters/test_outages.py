"""Which database errors pass by themselves, and which are bugs."""

from __future__ import annotations

import asyncpg
import pytest

from adapters.outages import is_outage, unavailable
from core.errors import StoreUnavailable


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.AdminShutdownError("x"),
        asyncpg.CannotConnectNowError("x"),
        asyncpg.TooManyConnectionsError("x"),
        asyncpg.ConnectionDoesNotExistError("x"),
        asyncpg.QueryCanceledError("x"),
        asyncpg.LockNotAvailableError("x"),
        asyncpg.DeadlockDetectedError("x"),
        asyncpg.SerializationError("x"),
        asyncpg.ReadOnlySQLTransactionError("x"),
        asyncpg.DiskFullError("x"),
        asyncpg.InvalidCatalogNameError("x"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InterfaceError("pool is closing"),
        asyncpg.InternalClientError("x"),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
    ids=repr,
)
def test_what_passes_by_itself_is_an_outage(error: Exception) -> None:
    assert is_outage(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UndefinedTableError("x"),
        asyncpg.UndefinedColumnError("x"),
        asyncpg.PostgresSyntaxError("x"),
        asyncpg.InsufficientPrivilegeError("x"),
        asyncpg.CharacterNotInRepertoireError("x"),
        asyncpg.NotNullViolationError("x"),
        asyncpg.exceptions._base.DataError("x"),
        asyncpg.InterfaceError("the server expects 2 arguments for this query, 1 was passed"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        ValueError(),
        KeyError(),
    ],
    ids=repr,
)
def test_what_repeating_cannot_help_is_a_bug(error: Exception) -> None:
    assert not is_outage(error)


def test_an_outage_is_told_in_words_and_a_bug_stays_a_bug() -> None:
    with pytest.raises(StoreUnavailable, match="the clicks cannot be read"), unavailable("the clicks cannot be read"):
        raise asyncpg.AdminShutdownError("x")
    with pytest.raises(asyncpg.UndefinedTableError), unavailable("the clicks cannot be read"):
        raise asyncpg.UndefinedTableError("x")
