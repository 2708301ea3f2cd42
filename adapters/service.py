"""The running parts of the service, put together on a migrated database."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import structlog

from adapters import access, audit
from adapters.asterisk.config import PbxConfig
from adapters.attendant import Attendant
from adapters.backlog import BacklogMeter
from adapters.callbacks import WithCallbacks
from adapters.click_book import PostgresClickBook
from adapters.click_caller import ClickCaller
from adapters.click_desk import ClickDesk
from adapters.directory.memory import Memory
from adapters.directory.wiring import Directory, build_directory
from adapters.environment import ASTERISK_API_URL
from adapters.ingest import Ingest
from adapters.later import later
from adapters.moysklad.errors import Api
from adapters.moysklad.registry import LimitsRegistry, Mended
from adapters.moysklad.wiring import MoySklad, build_moysklad
from adapters.ownership import Ownership
from adapters.parked import ParkedWork
from adapters.postgres import callbacks
from adapters.postgres.callbacks import PostgresCallbacks
from adapters.postgres.database import AWAY, close_pool, create_pool, load_sql, still_wanted
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.leases import PostgresLeases
from adapters.postgres.notices import Notices
from adapters.postgres.pbx import PostgresClaims
from adapters.postgres.projections import ProjectionRunner
from adapters.postgres.switchboard_state import PostgresSwitchboardState
from adapters.provider_api import ProviderApi, opened_session
from adapters.reactor import Reactor
from adapters.retries import RetryWorker
from adapters.sealing import SEAL_EVERY_S, seal
from adapters.self_test import SelfTests
from adapters.settings_store import LOOKS_AT_ONCE, SettingsStore
from adapters.spool import Spool
from adapters.status import Sources, report
from adapters.switchboard import Switchboard
from adapters.trial_cards import TrialCards
from adapters.vault import Vault
from core.decisions import Limits
from core.origination import Originator
from core.ports import Projection, StreamId

if TYPE_CHECKING:
    from adapters.asterisk import duty as pbx_duty
    from adapters.asterisk import originate, recorder, source
else:  # most services have no Asterisk of their own
    pbx_duty, recorder = later("adapters.asterisk.duty"), later("adapters.asterisk.recorder")
    originate, source = later("adapters.asterisk.originate"), later("adapters.asterisk.source")

STORE_PATIENCE_S: Final = 2.5
"""How long a sender waits for durability: the dispatcher gives up after three seconds."""

MAX_CONNECTIONS: Final = 8
"""Of each of the two pools. One for the switchboard, four for read models; the rest reads."""

SETTINGS_CONNECTIONS: Final = LOOKS_AT_ONCE + 1
"""Their own: a signal that is to be acknowledged asks for the settings, and must not queue behind those who attend to calls. One is
left for confirming what is in use."""

MONTH_LOCK_MS: Final = 200
"""How long the log is held for making a month's table: appends wait behind it."""

log = structlog.get_logger("service")

REJECTED_DAYS: Final = 30
REJECTED_ROWS: Final = 100_000
"""Rejected input is kept for inspection, not for ever: a sender that is wrong is often wrong a thousand times a day."""

_PRUNE_REJECTED: Final = load_sql("prune_rejected")
_MAKE_MONTHS: Final = load_sql("months_make")
_DUE_SOONER: Final = load_sql("due_sooner")
PRUNE_EVERY_S: Final = 3_600.0
"""Between two clearings of legs that no call can need any more."""

SHARE_EVERY_S: Final = 1.0
LEAVE_S: Final = 2.0
"""For giving enterprises back at the end; the requests under way have ended by then."""


YOUNG: Final = 20_000
"""After how many new objects Python's collector looks for cycles. A signal makes and drops some hundred objects, none of them
in a cycle: looking after every 700 (Python's default) costs a twentieth of the processor, after this many (some megabytes) next
to nothing."""


def calm_the_collector() -> None:
    """Keep Python's collector from stopping the event loop.

    What exists by now is never looked at again, new objects not after each signal, old ones rarely. Garbage in cycles
    (tracebacks, tasks) is still found, in a busy service within some minutes. Call it again when more modules were loaded."""
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 50)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """What the service is told from outside. ``zone`` is the PBX's, ``api_zone`` MoySklad's.

    ``address``: the name of this instance among the others; empty for a tool or a test, which is no instance and attends to
    whatever it is told to. ``asterisk_api_url``: the provider's API for clicks; ``pbxes``: Asterisks to connect to.
    ``database``: the folder of the embedded database; empty: ``dsn`` was configured.
    ``looks_only``: a tool beside the service, whose key may be another one (``SettingsStore``).
    ``spool``: for what the database cannot take in time.
    For tests: ``ways`` of ordering calls that replace those of the same names; ``known_limits``: makes limits as of a
    process that has run for a while.
    """

    dsn: str
    phone_api_url: str
    main_api_url: str
    zone: tzinfo
    api_zone: tzinfo
    public_url: str
    vault: Vault
    limits: Limits
    now_ms: Callable[[], int]
    version: str = ""
    address: str = ""
    database: str = ""
    looks_only: bool = False
    asterisk_api_url: str = ASTERISK_API_URL
    pbxes: tuple[PbxConfig, ...] = ()
    ways: Mapping[str, Originator] = field(default_factory=dict)
    known_limits: Callable[[Mended], LimitsRegistry] | None = None
    spool: Spool | None = None


@dataclass(slots=True, kw_only=True)
class Service:
    """The parts, for the routes, the command line and the tests.

    ``derived``: the pool for what is derived from the log and may be lost with the machine's power, for it is derived again.
    """

    options: ServiceOptions
    pool: Any
    derived: Any
    store: PostgresEventStore
    settings: SettingsStore
    moysklad: MoySklad
    self_tests: SelfTests
    trial_cards: TrialCards
    ingest: Ingest
    clicks: ClickDesk
    caller: ClickCaller
    reactor: Reactor
    switchboard: Switchboard
    runner: ProjectionRunner
    parked: ParkedWork
    retries: RetryWorker
    backlog: BacklogMeter
    sources: Sources
    ownership: Ownership | None
    notices: Notices | None
    duty: pbx_duty.Duty | None
    directory: Directory

    async def run(self) -> None:
        """Follow the log, work on calls, keep the read models, until cancelled.

        The lease is kept until the last request under way has ended, and given back then.
        """
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self.ownership.run()) if self.ownership is not None else None
            try:
                await self._work()
            finally:
                if self.ownership is not None and keeping is not None:
                    await self.ownership.leave(LEAVE_S)
                    keeping.cancel()

    async def _work(self) -> None:
        parts: list[Coroutine[Any, Any, None]] = [
            self.switchboard.run(),
            self.reactor.run(),
            self.runner.run(),
            self.retries.run(),
            self.backlog.run(),
            self.directory.run(),
            self.moysklad.reach.run(),
            self._prune(),
            self._seal(),
        ]
        if self.ownership is not None and self.notices is not None:
            parts += [self.notices.run(), self._share_the_address(self.ownership)]
        if self.duty is not None:
            parts.append(self.duty.run())
        if self.options.spool is not None:
            parts.append(self.options.spool.run(self.ingest.take_kept))
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)

    async def _share_the_address(self, ownership: Ownership) -> None:
        """Each instance takes its part of what one address may ask of MoySklad at once, as instances come and go."""
        while True:
            self.moysklad.limits.set_nodes(len(ownership.nodes()))
            await asyncio.sleep(SHARE_EVERY_S)

    async def _seal(self) -> None:
        """Encrypt what others wrote into the settings in the clear. A database that is away: the next time does."""
        while True:
            try:
                for enterprise in await seal(self.pool, self.options.vault):
                    log.info("tokens_encrypted", enterprise=enterprise)
            except AWAY as error:
                still_wanted(error)
                log.warning("sealing_waits_for_database", reason=type(error).__name__)
            await asyncio.sleep(SEAL_EVERY_S)

    async def _make_months(self) -> None:
        """This month's table and the next's, a month ahead. Whoever reads the whole log just then (a backup) is not waited for:
        every append would wait behind us."""
        try:
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute("SELECT set_config('lock_timeout', $1, true)", f"{MONTH_LOCK_MS}ms")
                for month in await connection.fetch(_MAKE_MONTHS):
                    log.info("month_made", month=month["month"])
        except asyncpg.LockNotAvailableError:
            log.info("month_waits_for_readers")

    async def _prune(self) -> None:
        """Forget what nobody needs any more, make the next month of the log, and let a lower maximum reach the calls that are open.

        A database that is away is no reason to stop: the next time does.
        """
        while True:
            try:
                await self._make_months()
                await self.pool.execute(_DUE_SOONER, self.options.limits.call_max_ms, self.options.now_ms())
                await self.switchboard.prune()
                await self.pool.execute(_PRUNE_REJECTED, REJECTED_DAYS, REJECTED_ROWS)
                await access.prune(self.pool)
                await audit.prune(self.pool)
                await self.clicks.prune()
                await callbacks.prune(self.pool)
                await self.directory.table.prune()
            except AWAY as error:
                still_wanted(error)
                log.warning("pruning_waits_for_database", reason=type(error).__name__)
            await asyncio.sleep(PRUNE_EVERY_S)


@contextlib.asynccontextmanager
async def assembled(
    options: ServiceOptions, projections: Sequence[Projection], *, streams_open: Callable[[], int] = int
) -> AsyncIterator[Service]:
    """The parts; nothing runs yet. They are closed at the end of the block. ``streams_open``: connections that deliver events."""

    def mended(api: Api, enterprise: str) -> None:
        retries.mended(enterprise)
        if api is Api.JSON:
            reactor.answers_again(enterprise)

    def heard(position: int) -> None:
        switchboard.heard_position(position)
        reactor.look()
        if ownership is not None:
            ownership.look()

    def connections() -> Sequence[source.State]:
        return duty.states() if duty is not None else ()

    async def forget_refusals(enterprise: str) -> None:
        if (current := await settings.current(enterprise)) is not None:
            moysklad.gateway.forget(current.account)

    async with contextlib.AsyncExitStack() as stack:
        memory = Memory(options.now_ms)
        ground = await _ground(options, stack, mended, memory)
        pool, moysklad, store, settings = ground.pool, ground.moysklad, ground.store, ground.settings
        backlog = BacklogMeter(pool, now_ms=options.now_ms)
        ownership: Ownership | None = None
        if options.address:
            ownership = await _ownership(options, stack, ground, lambda: report(sources), lambda: reactor)
        duty: pbx_duty.Duty | None = None
        directory = _directory(options, ground, memory, ownership)
        stack.push_async_callback(directory.close)
        sources = _sources(options, pool, backlog, moysklad, ownership, streams_open, connections, directory)
        session = await stack.enter_async_context(opened_session())
        # The best way first: AMI, where the enterprise's exchange is connected, is heard of sooner and names the call.
        http = ProviderApi(session, options.asterisk_api_url, settings.secret_of)
        ami = {"ami": originate.AmiOriginator(options.pbxes, now_ms=options.now_ms)} if options.pbxes else {}
        ways: dict[str, Originator] = {**ami, **options.ways}
        ways.setdefault("http", http)
        caller = ClickCaller(store=store, ways=ways, now_ms=options.now_ms, ownership=ownership)
        switchboard = _switchboard(options, ground, ownership, lambda stream: reactor.joined(stream))
        attendant = Attendant(
            store=store,
            settings=settings,
            gateway=WithCallbacks(moysklad.gateway, PostgresCallbacks(pool)),
            now_ms=options.now_ms,
            limits=options.limits,
            ownership=ownership,
            joining=switchboard,
            tail=store.tail,
        )
        reactor = Reactor(attendant, tail=store.tail, clicks=caller)
        retries = RetryWorker(pool, store, now_ms=options.now_ms, forget_refusals=forget_refusals)
        ingest = _ingest(options, ground)
        if ownership is not None and options.pbxes:
            duty = _duty(options, stack, ownership, ingest, ground)
        book = PostgresClickBook(pool)
        clicks = ClickDesk(store=store, book=book, now_ms=options.now_ms, find=settings.of_webhook, wake=reactor.wake)
        self_tests = SelfTests(ingest=ingest, store=store, settings=settings, pool=pool, now_ms=options.now_ms)
        stack.push_async_callback(self_tests.close)
        trial_cards = TrialCards(moysklad.accounts, options.now_ms)
        stack.push_async_callback(trial_cards.close)
        yield Service(
            options=options,
            pool=pool,
            derived=ground.derived,
            store=store,
            settings=settings,
            moysklad=moysklad,
            self_tests=self_tests,
            trial_cards=trial_cards,
            ingest=ingest,
            clicks=clicks,
            caller=caller,
            reactor=reactor,
            switchboard=switchboard,
            runner=ProjectionRunner(ground.derived, store, projections),
            parked=ParkedWork(pool, store),
            retries=retries,
            backlog=backlog,
            sources=sources,
            ownership=ownership,
            notices=Notices(options.dsn, heard) if ownership is not None else None,
            duty=duty,
            directory=directory,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What everything else stands on. ``derived``: see ``Service``."""

    pool: Any
    derived: Any
    moysklad: MoySklad
    store: PostgresEventStore
    settings: SettingsStore


async def _ground(
    options: ServiceOptions, stack: contextlib.AsyncExitStack, mended: Callable[[Api, str], None], memory: Memory
) -> _Ground:
    pool = await create_pool(options.dsn, max_size=MAX_CONNECTIONS)
    stack.push_async_callback(close_pool, pool)
    derived = await create_pool(options.dsn, max_size=MAX_CONNECTIONS, derived=True)
    stack.push_async_callback(close_pool, derived)
    moysklad = build_moysklad(
        phone_url=options.phone_api_url,
        main_url=options.main_api_url,
        zone=options.api_zone,
        now_ms=options.now_ms,
        limits=None if options.known_limits is None else options.known_limits(mended),
        mended=mended,
        memory=memory,
    )
    stack.push_async_callback(moysklad.close)
    store = await stack.enter_async_context(PostgresEventStore(derived, options.dsn, patience_s=STORE_PATIENCE_S))
    own = await create_pool(options.dsn, min_size=0, max_size=SETTINGS_CONNECTIONS)
    stack.push_async_callback(close_pool, own)
    settings = SettingsStore(own, options.vault, public_url=options.public_url, records=not options.looks_only)
    return _Ground(pool=pool, derived=derived, moysklad=moysklad, store=store, settings=settings)


async def _ownership(
    options: ServiceOptions,
    stack: contextlib.AsyncExitStack,
    ground: _Ground,
    say: Callable[[], Mapping[str, Any]],
    reactor: Callable[[], Reactor],
) -> Ownership:
    return Ownership(
        leases=await stack.enter_async_context(PostgresLeases(options.dsn)),
        address=options.address,
        account_key=lambda enterprise: account_key(ground.settings, enterprise),
        busy=lambda enterprise: reactor().is_busy(enterprise),
        now_ms=options.now_ms,
        report=say,
        away=lambda: ground.moysklad.reach.away,
        on_claimed=lambda enterprise: reactor().claimed(enterprise),
        on_lost=lambda enterprise: reactor().lost(enterprise),
    )


def _switchboard(
    options: ServiceOptions, ground: _Ground, ownership: Ownership | None, joined: Callable[[StreamId], None]
) -> Switchboard:
    def foreign(stream: StreamId) -> bool:
        return ownership is not None and bool(ownership.others()) and not ownership.owns(stream.enterprise)

    return Switchboard(
        state=PostgresSwitchboardState(ground.derived),
        store=ground.store,
        wake_call=joined,
        now_ms=options.now_ms,
        foreign=foreign,
        tail=ground.store.tail,
        unended_ms=options.limits.call_max_ms,
    )


def _ingest(options: ServiceOptions, ground: _Ground) -> Ingest:
    return Ingest(
        store=ground.store,
        settings=ground.settings,
        pool=ground.pool,
        zone=options.zone,
        now_ms=options.now_ms,
        give=ground.store.give,
        spool=options.spool,
    )


def _duty(
    options: ServiceOptions, stack: contextlib.AsyncExitStack, ownership: Ownership, ingest: Ingest, ground: _Ground
) -> pbx_duty.Duty:
    claims = PostgresClaims(options.dsn)
    stack.push_async_callback(claims.close)
    log_recorder = recorder.LogRecorder(ingest, ground.store, ground.settings, claims.open_calls)
    return pbx_duty.Duty(options.pbxes, claims, log_recorder, ownership, now_ms=options.now_ms)


async def account_key(settings: SettingsStore, enterprise: str) -> str:
    """Names the MoySklad account behind an enterprise, so that enterprises with one key stay together; never the key itself.

    An account has one telephony solution, hence one Phone API key (CONTRACT-MOYSKLAD 1.11). Raises StoreUnavailable.
    """
    current = await settings.current(enterprise)
    key = current.account.phone_key if current is not None else ""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest() if key else f"enterprise {enterprise}"


def _directory(
    options: ServiceOptions, ground: _Ground, memory: Memory, ownership: Ownership | None
) -> Directory:
    return build_directory(
        pool=ground.pool,
        settings=ground.settings,
        moysklad=ground.moysklad,
        memory=memory,
        ownership=ownership,
        now_ms=options.now_ms,
        public_url=options.public_url,
        main_url=options.main_api_url,
    )


def _sources(
    options: ServiceOptions,
    pool: Any,
    backlog: BacklogMeter,
    moysklad: MoySklad,
    ownership: Ownership | None,
    streams_open: Callable[[], int],
    connections: Callable[[], Sequence[source.State]],
    directory: Directory,
) -> Sources:
    sources = Sources(
        version=options.version,
        pool=pool,
        meter=backlog,
        now_ms=options.now_ms,
        accounts=moysklad.limits.snapshot,
        troubled=moysklad.limits.troubled,
        streams_open=streams_open,
        spooled=lambda: 0 if options.spool is None else options.spool.waiting,
        pbxes=connections,
        configured_pbxes=tuple(config.pbx.name for config in options.pbxes),
        directory=directory.report,
        database=options.database,
    )
    if ownership is None:
        return sources
    return replace(sources, node=lambda: ownership.node_id, nodes=ownership.nodes, owned=ownership.owned)
