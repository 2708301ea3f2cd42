"""The service's parts in this process, beside a sandbox, under a clock of our own: for histories and for counting requests."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson
from aiohttp import web
from cryptography.fernet import Fernet

from adapters.moysklad.registry import LimitsRegistry
from adapters.sandbox import SANDBOX, AccountSeed, EmployeeSeed, SandboxOptions, Switches, build_sandbox
from adapters.sandbox.seed import CounterpartySeed
from adapters.service import Service, ServiceOptions, assembled
from adapters.vault import Vault
from bench import by_hand
from bench.by_hand import Clock
from bench.work import EXTENSIONS, PBX_ZONE, Call, employee_id, enterprise_name, phone_key, settings
from core.decisions import Limits
from core.ports import Projection
from core.signals import Wire
from projections.calls import Calls
from projections.folded import FoldedCalls
from projections.journal import Journal
from projections.statistics import Statistics

STARTS_MS: Final = 1_795_436_912_000
KNOWN_NUMBER: Final = "375291234567"
LONG_AFTER_MS: Final = 60_000
"""After a call's end: everything that is still owed of it is done by then."""


def wall_ms() -> int:
    """Now, in milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000


def projections() -> tuple[Projection, ...]:
    """Every read model, as the service has them."""
    folded = FoldedCalls()
    return (Calls(folded), Journal(folded), Statistics(folded))


@dataclass(slots=True, kw_only=True)
class Parts:
    """The parts, and what they were told to do. Nothing runs by itself."""

    service: Service
    sandbox: web.Application
    clock: Clock

    async def play(self, call: Call, kind: str, *, apart_ms: int = 700, only: Collection[str] | None = None) -> None:
        """Take a call in from its first signal to its last, and do whatever follows from each at its time.

        ``only``: these events of it (None: all).
        """
        for event, body in call.bodies(kind):
            if only is not None and event not in only:
                continue
            await self.service.ingest.take(Wire.CALL_EVENT, body)
            await self.settle()
            await self.wait(apart_ms)

    async def settle(self) -> None:
        """Until nothing moves any more at this moment."""
        await by_hand.settle(self.service)

    async def wait(self, ms: int) -> None:
        """Let time pass, meeting each deadline on the way."""
        service = self.service
        await by_hand.let_pass(self.clock, self.clock.now_ms + ms, service.store, service.reactor, self.settle)

    def requests(self) -> list[Any]:
        """What MoySklad was asked so far."""
        return self.sandbox[SANDBOX].log.since(0)


def account(nth: int) -> AccountSeed:
    """The MoySklad account of an enterprise of the bench: its employees, and one customer."""
    return AccountSeed(
        name=f"bench{nth}",
        phone_key=phone_key(nth),
        api_token=f"b{nth:039}",
        employees=tuple(EmployeeSeed(name=f"E{each}", extension=each, id=employee_id(each)) for each in EXTENSIONS),
        counterparties=(CounterpartySeed(name="A known customer", phone=f"+{KNOWN_NUMBER}"),),
        organizations=("Bench",),
    )


@contextlib.asynccontextmanager
async def parts(dsn: str, *, enterprises: Sequence[int] = (0,), json_api: bool = True) -> AsyncIterator[Parts]:
    """The parts on a migrated database, with these enterprises configured; nothing runs."""
    clock = Clock(STARTS_MS)
    options = SandboxOptions(
        demo=False, clock=clock, switches=Switches(limits_enforced=False), accounts=tuple(account(nth) for nth in enterprises)
    )
    sandbox = build_sandbox(options)
    runner = web.AppRunner(sandbox, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        told = ServiceOptions(
            dsn=dsn,
            phone_api_url=f"{address}/api/phone/1.0",
            main_api_url=f"{address}/api/remap/1.2",
            zone=PBX_ZONE,
            api_zone=ZoneInfo("Europe/Moscow"),
            public_url="https://calls.example.invalid",
            vault=Vault([Fernet.generate_key()]),
            limits=Limits(),
            now_ms=clock,
            known_limits=lambda mended: LimitsRegistry(known_ms=3_600_000, mended=mended),
        )
        async with assembled(told, projections()) as service:
            await configure(service.pool, {enterprise_name(nth): settings(nth, json_api=json_api) for nth in enterprises})
            yield Parts(service=service, sandbox=sandbox, clock=clock)
    finally:
        await runner.cleanup()


async def configure(pool: Any, wanted: dict[str, dict[str, Any]]) -> None:
    """Write enterprises and their settings as other programs of the host do: straight into the row."""
    await pool.execute(
        "INSERT INTO public.enterprises (number, name, integrations_config)"
        " SELECT n, n, c::jsonb FROM unnest($1::text[], $2::text[]) AS u (n, c)",
        list(wanted),
        [orjson.dumps({"ms": each}).decode() for each in wanted.values()],
    )
