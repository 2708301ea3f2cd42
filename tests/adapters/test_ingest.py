"""Taking signals in, below HTTP: what is kept of a refusal, and what is an outage and what a bug."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from adapters.ingest import KEPT_BODY
from adapters.settings_store import is_outage
from core.errors import StoreUnavailable
from core.signals import SignalError, Wire
from tests.rig import ENTERPRISE, Rig, running

DIAL = {"enterprise_number": ENTERPRISE, "phone": "+375290000001", "extension": "151", "unique_id": "1.1", "direction": "in"}


@pytest.fixture
async def rig(database_url: str) -> AsyncIterator[Rig]:
    async with running(database_url) as rig:
        yield rig


async def test_what_is_taken_is_on_disk(rig: Rig) -> None:
    taken = await rig.service.ingest.take(Wire.INCOMING_CALL, DIAL)
    assert (taken.status, taken.call, taken.duplicate, taken.position) == ("success", "1.1", False, 1)
    kept = await rig.service.pool.fetchval("SELECT data ->> 'number' FROM events WHERE position = 1")
    assert kept == "+375290000001"


async def test_a_refusal_is_kept_whatever_is_in_it(rig: Rig) -> None:
    error = SignalError("odd\x00", "field\ud800", "hint\x00")
    odd = {"a\x00": "\ud800", "big": 2**80, "inf": float("inf")}
    for body in ("x \x00\ud800" * 10_000, odd, [object()], None, {"enterprise_number": 7}):
        await rig.service.ingest.reject("call-event", body, error)
    rows = await rig.service.pool.fetch("SELECT * FROM rejected_input ORDER BY id")
    assert len(rows) == 5 == rig.service.ingest.rejected
    assert KEPT_BODY // 2 < max(len(row["body"]) for row in rows) <= KEPT_BODY
    assert {(row["error"], row["field"], row["hint"]) for row in rows} == {("odd", "field?", "hint")}
    assert [row["enterprise"] for row in rows] == ["", "", "", "", "7"]


async def test_a_refusal_that_cannot_be_kept_is_still_a_refusal(rig: Rig) -> None:
    rig.service.pool.terminate()
    with pytest.raises(SignalError):
        await rig.service.ingest.take(Wire.INCOMING_CALL, {})


async def test_without_a_database_nothing_is_acknowledged(rig: Rig) -> None:
    rig.service.pool.terminate()
    for body in ({**DIAL, "enterprise_number": "0999"}, {"event": "dial", "token": "x", **DIAL, "enterprise_number": ""}):
        with pytest.raises(StoreUnavailable):
            await rig.service.ingest.take(Wire.CALL_EVENT, {"event": "dial", **body})
    with pytest.raises(StoreUnavailable):
        await rig.service.ingest.take(Wire.INCOMING_CALL, {**DIAL, "ms_config": {"integration_code": "k" * 20}})


async def test_a_statement_that_is_wrong_is_a_bug_and_not_an_outage(rig: Rig) -> None:
    settings = rig.service.settings
    await rig.service.pool.execute("ALTER TABLE settings_revisions RENAME TO revisions_gone")
    with pytest.raises(asyncpg.UndefinedTableError):
        await settings.inline(ENTERPRISE, {"integration_code": "k" * 20})
    with pytest.raises(asyncpg.UndefinedTableError):
        await settings.save(ENTERPRISE, {"enabled": False}, by="test", reason="test")
    with pytest.raises(asyncpg.UndefinedTableError):
        await settings.at_revision(ENTERPRISE, 77)


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
