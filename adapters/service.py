"""The running parts of the service, put together on a migrated database."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

import structlog

from adapters import access, audit
from adapters.ingest import Ingest
from adapters.moysklad.wiring import MoySklad, build_moysklad
from adapters.postgres.database import DATABASE_ERRORS, create_pool, load_sql, still_wanted
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.projections import ProjectionRunner
from adapters.postgres.switchboard_state import PostgresSwitchboardState
from adapters.reactor import Reactor
from adapters.settings_store import SettingsStore
from adapters.switchboard import Switchboard
from adapters.vault import Vault
from core.decisions import Limits
from core.errors import StoreUnavailable
from core.ports import Projection

STORE_PATIENCE_S: Final = 2.5
"""How long a sender waits for durability: the dispatcher gives up after three seconds."""

log = structlog.get_logger("service")

REJECTED_DAYS: Final = 30
REJECTED_ROWS: Final = 100_000
"""Rejected input is kept for inspection, not for ever: a sender that is wrong is often wrong a thousand times a day."""

UNAVAILABLE: Final[tuple[type[Exception], ...]] = (StoreUnavailable, *DATABASE_ERRORS)
_PRUNE_REJECTED: Final = load_sql("prune_rejected")
PRUNE_EVERY_S: Final = 3_600.0
"""Between two clearings of legs that no call can need any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """What the service is told from outside. ``zone`` is the PBX's, ``api_zone`` MoySklad's."""

    dsn: str
    phone_api_url: str
    main_api_url: str
    zone: tzinfo
    api_zone: tzinfo
    public_url: str
    vault: Vault
    limits: Limits
    now_ms: Callable[[], int]


@dataclass(slots=True, kw_only=True)
class Service:
    """The parts, for the routes, the command line and the tests."""

    options: ServiceOptions
    pool: Any
    store: PostgresEventStore
    settings: SettingsStore
    moysklad: MoySklad
    ingest: Ingest
    reactor: Reactor
    switchboard: Switchboard
    runner: ProjectionRunner

    async def run(self) -> None:
        """Follow the log, work on calls, keep the read models, until cancelled."""
        parts: Sequence[Coroutine[Any, Any, None]] = (
            self.switchboard.run(),
            self.reactor.run(),
            self.runner.run(),
            self._prune(),
        )
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)

    async def _prune(self) -> None:
        """Forget what nobody needs any more. A database that is away is no reason to stop: the next time does."""
        while True:
            try:
                await self.switchboard.prune()
                await self.pool.execute(_PRUNE_REJECTED, REJECTED_DAYS, REJECTED_ROWS)
                await access.prune(self.pool)
                await audit.prune(self.pool)
            except UNAVAILABLE as error:
                still_wanted(error)
                log.warning("pruning_waits_for_database", reason=type(error).__name__)
            await asyncio.sleep(PRUNE_EVERY_S)


@contextlib.asynccontextmanager
async def assembled(options: ServiceOptions, projections: Sequence[Projection]) -> AsyncIterator[Service]:
    """The parts; nothing runs yet. They are closed at the end of the block."""
    pool = await create_pool(options.dsn)
    moysklad = build_moysklad(
        phone_url=options.phone_api_url, main_url=options.main_api_url, zone=options.api_zone, now_ms=options.now_ms
    )
    try:
        async with PostgresEventStore(pool, options.dsn, patience_s=STORE_PATIENCE_S) as store:
            settings = SettingsStore(pool, options.vault, public_url=options.public_url)
            reactor = Reactor(
                store=store,
                settings=settings,
                gateway=moysklad.gateway,
                now_ms=options.now_ms,
                limits=options.limits,
                joined_until=lambda: switchboard.position,
            )
            switchboard = Switchboard(
                state=PostgresSwitchboardState(pool), store=store, wake_call=reactor.wake, now_ms=options.now_ms
            )
            yield Service(
                options=options,
                pool=pool,
                store=store,
                settings=settings,
                moysklad=moysklad,
                ingest=Ingest(store=store, settings=settings, pool=pool, zone=options.zone, now_ms=options.now_ms),
                reactor=reactor,
                switchboard=switchboard,
                runner=ProjectionRunner(pool, store, projections),
            )
    finally:
        await moysklad.close()
        await pool.close()
