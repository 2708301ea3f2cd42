"""The whole service in one process, on a real PostgreSQL, beside the sandbox, with a clock that the test moves.

Signals go in over HTTP as the dispatcher sends them; what MoySklad then has is read from the sandbox. Nothing runs by
itself: ``settle`` lets the switchboard, the reactor and the read models come to rest, ``wait`` lets time pass.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp.test_utils import TestClient, TestServer
from cryptography.fernet import Fernet

from adapters.access import Access
from adapters.audit import Audit
from adapters.board import Board
from adapters.call_search import resolve, search
from adapters.histories import Histories
from adapters.http.app import build_app
from adapters.http.guard import Guard
from adapters.http.services import Holder, Services
from adapters.metrics import exposition
from adapters.moysklad.errors import Api
from adapters.moysklad.limits import Limit
from adapters.moysklad.registry import LimitsRegistry
from adapters.sandbox import SANDBOX_API_TOKEN, SANDBOX_PHONE_KEY, SandboxOptions, Switches, build_sandbox
from adapters.service import Service, ServiceOptions, assembled
from adapters.spool import Spool
from adapters.status import gather
from adapters.vault import Vault
from adapters.what_ifs import WhatIfs
from bench import by_hand
from bench.by_hand import Clock
from core.decisions import Limits
from core.origination import Originator
from core.ports import Projection
from projections.calls import Calls
from projections.clicks import Clicks
from projections.difference_text import Tally, as_json
from projections.folded import FoldedCalls
from projections.journal import Journal
from projections.statistics import Statistics, quantile_ms
from tests.described import held_to_description
from tests.settings import MS_CONFIG

MINSK = ZoneInfo("Europe/Minsk")
KEY = Fernet.generate_key()
ENTERPRISE = "0367"
TOKEN = "unit-token-0367"


@dataclass(slots=True, kw_only=True)
class Rig:
    """A running service and its MoySklad."""

    service: Service
    http: Any
    sandbox: Any
    clock: Clock
    dsn: str

    def lose_database(self) -> None:
        """From now on no look-up of the service's gets an answer."""
        self.service.pool.terminate()
        self.service.settings._pool.terminate()

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        """Send as the dispatcher does; the status and the answer."""
        async with self.http.post(path, json=body) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str) -> tuple[int, Any]:
        """Ask the service."""
        async with self.http.get(path) as answer:
            return answer.status, await answer.json()

    async def settle(self) -> None:
        """Until nothing moves any more at this moment."""
        await by_hand.settle(self.service)

    async def wait(self, ms: int) -> None:
        """Let time pass, meeting every deadline on the way at its time."""
        service = self.service
        await by_hand.let_pass(self.clock, self.clock.now_ms + ms, service.store, service.reactor, self.settle)

    async def rows(self) -> list[dict[str, Any]]:
        """The calls as MoySklad has them, with their card events."""
        async with self.sandbox.get("/sandbox/calls?limit=500") as answer:
            return list((await answer.json())["calls"])

    async def requests(self, api: str = "phone") -> list[dict[str, Any]]:
        """What was asked of one API."""
        async with self.sandbox.get("/sandbox/requests") as answer:
            return [each for each in (await answer.json())["requests"] if each["api"] == api]


@asynccontextmanager
async def running(
    dsn: str,
    *,
    config: dict[str, Any] | None = None,
    switches: Switches | None = None,
    limits: Limits | None = None,
    clock: Clock | None = None,
    projections: Sequence[Projection] | None = None,
    ways: Mapping[str, Originator] | None = None,
    spool: Spool | None = None,
) -> AsyncIterator[Rig]:
    """A service on this database beside a fresh sandbox with one enterprise, 0367, whose settings are in force."""
    clock = clock or Clock()
    sandbox = build_sandbox(SandboxOptions(demo=True, clock=clock, switches=switches or Switches(limits_enforced=False)))
    async with AsyncExitStack() as stack:
        sandbox_client = await stack.enter_async_context(TestClient(TestServer(sandbox)))
        address = str(sandbox_client.make_url("")).rstrip("/")
        service = await stack.enter_async_context(
            service_beside(dsn, address, clock, limits=limits, projections=projections, ways=ways, spool=spool)
        )
        app = held_to_description(build_app(Holder(_parts(service)), _guard()))
        http = await stack.enter_async_context(TestClient(TestServer(app)))
        await service.pool.execute(
            "INSERT INTO public.enterprises (number, name, secret) VALUES ($1, 'Test', $2) ON CONFLICT DO NOTHING",
            ENTERPRISE,
            TOKEN,
        )
        keys = {"integration_code": SANDBOX_PHONE_KEY, "api_token": SANDBOX_API_TOKEN}
        await service.settings.save(
            ENTERPRISE, {**MS_CONFIG, "employee_mapping": {}, **keys, **(config or {})}, by="test", reason="test"
        )
        yield Rig(service=service, http=http, sandbox=sandbox_client, clock=clock, dsn=dsn)


@asynccontextmanager
async def service_beside(
    dsn: str,
    sandbox_url: str,
    clock: Clock,
    *,
    limits: Limits | None = None,
    projections: Sequence[Projection] | None = None,
    ways: Mapping[str, Originator] | None = None,
    spool: Spool | None = None,
) -> AsyncIterator[Service]:
    """The service's parts, told to use a sandbox at this address."""
    options = ServiceOptions(
        dsn=dsn,
        phone_api_url=f"{sandbox_url}/api/phone/1.0",
        main_api_url=f"{sandbox_url}/api/remap/1.2",
        zone=MINSK,
        api_zone=ZoneInfo("Europe/Moscow"),
        public_url="https://calls.example.invalid",
        vault=Vault([KEY]),
        limits=limits or Limits(),
        now_ms=clock,
        ways=ways or {},
        known_limits=lambda mended: Roomy(known_ms=3_600_000, mended=mended),
        spool=spool,
    )
    folded = FoldedCalls()
    models = (Calls(folded), Clicks(), Journal(folded), Statistics(folded))
    async with assembled(options, models if projections is None else projections) as service:
        yield service


class Roomy(LimitsRegistry):
    """Limits nobody comes to: they run on the real clock, which a test would wait for. What they do has tests of its own."""

    def _limit_of(self, api: Api) -> Callable[[], Limit]:
        return lambda: Limit(requests=100_000, period_ms=3_000, parallel=5)


def _guard() -> Guard:
    return Guard([ip_network("127.0.0.0/8")], "", "")


def _parts(service: Service) -> Services:
    async def no_replay(enterprise: str, name: str, *, disguised: bool, russian: bool) -> dict[str, Any] | None:
        return None

    async def no_story(enterprise: str, click: str, *, russian: bool) -> dict[str, Any] | None:
        return None

    return Services(
        ingest=service.ingest,
        clicks=service.clicks,
        click_story=no_story,
        settings=service.settings,
        moysklad=service.moysklad,
        access=Access(service.pool, None),
        audit=Audit(service.pool),
        replay=no_replay,
        in_russian=lambda text: text,
        board=Board(service.pool, lambda: gather(service.sources), now_ms=service.options.now_ms),
        pool=service.pool,
        quantile=quantile_ms,
        self_tests=service.self_tests,
        trial_cards=service.trial_cards,
        what_if=WhatIfs(
            Histories(service.pool, service.options.vault, limits=service.options.limits, now_ms=service.options.now_ms),
            as_json=partial(as_json, russian=True),
            tally=Tally,
            zone=MINSK,
        ),
        search=partial(search, service.pool),
        find_call=lambda enterprise, name: resolve(service.pool, enterprise, name, MINSK),
        parked=service.parked,
        desk=service.directory.desk,
        hooks=service.directory.hooks,
        keeper=service.directory.keeper,
        integrations=service.directory.integrations,
        status=lambda: gather(service.sources),
        metrics=lambda: exposition(service.ingest, service.reactor),
        now_ms=service.options.now_ms,
        zone=MINSK,
    )
