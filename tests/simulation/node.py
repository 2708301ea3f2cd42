"""One instance of the service in the simulation: the real reactor, switchboard and clients, on a loop of its own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from adapters.attendant import Attendant, CallSettings, new_event
from adapters.callbacks import WithCallbacks
from adapters.ingest import SAFETY_NET_MS, Ingest, Prepared
from adapters.moysklad.errors import Api
from adapters.moysklad.gateway import MoySkladGateway
from adapters.moysklad.json_api import JsonApi
from adapters.moysklad.phone_api import PhoneApi
from adapters.moysklad.registry import LimitsRegistry
from adapters.ownership import Ownership
from adapters.reactor import Reactor
from adapters.service import LEAVE_S
from adapters.switchboard import Switchboard
from core.decisions import Limits
from core.errors import StoreUnavailable
from core.ports import Append, StreamId
from tests.simulation.calls import Signal
from tests.simulation.database import Database, Link, NodeCallbacks, NodeLeases, NodeStore, NodeSwitchboard
from tests.simulation.loop import ProcessLoop
from tests.simulation.network import Net, SimTransport

UTC = ZoneInfo("UTC")


class Surroundings(Protocol):
    """What a process finds: the database server, time, the settings, the network."""

    database: Database
    server: ProcessLoop
    limits: Limits

    def now_ms(self) -> int:
        """Wall-clock time."""
        ...

    def account_of(self, enterprise: str) -> str:
        """Names the MoySklad account behind an enterprise."""
        ...

    def account_works(self, enterprise: str) -> None:
        """MoySklad answers for this enterprise, for the first time or again."""
        ...


class Node:
    """One life of one instance. ``name`` is its own and never used again."""

    def __init__(
        self,
        name: str,
        loop: ProcessLoop,
        around: Surroundings,
        settings: CallSettings,
        net: Net,
        rng: random.Random,
        broken: int,
        skew_ms: int,
    ) -> None:
        """``broken``: how many words in a thousand with the database meet an accident; ``skew_ms``: how wrong its clock is."""
        self.name = name
        self.loop = loop
        self._around = around

        def now_ms() -> int:
            return around.now_ms() + skew_ms

        self._now_ms = now_ms
        self._rng = rng
        self.link = Link(around.database, around.server, loop, random.Random(rng.random()), broken)
        self.store = NodeStore(self.link, around.database)
        self.board = NodeSwitchboard(self.link, around.database)
        self.leaving = False
        self._ids = 0
        self._leases = 0

        def mended(api: Api, enterprise: str) -> None:
            around.account_works(enterprise)
            if api is Api.JSON:
                self.reactor.answers_again(enterprise)

        self.ownership = Ownership(
            leases=NodeLeases(self.link, around.database),
            address=name,
            account_key=self._account_key,
            busy=lambda enterprise: self.reactor.is_busy(enterprise),
            now_ms=now_ms,
            clock=loop.time,
            new_id=self._new_lease,
            away=lambda: self.reach.away,
            on_claimed=lambda enterprise: self.reactor.claimed(enterprise),
            on_lost=lambda enterprise: self.reactor.lost(enterprise),
        )
        registry = LimitsRegistry(
            clock=lambda: loop.clock.now_us // 1_000,
            now_ms=now_ms,
            chance=random.Random(rng.random()).random,
            mended=mended,
        )
        way = SimTransport(api=Api.PHONE, limits=registry, net=net)
        self.reach = way.reach
        phone = PhoneApi(way, zone=UTC)
        json = JsonApi(SimTransport(api=Api.JSON, limits=registry, net=net, reach=way.reach))
        self.gateway = MoySkladGateway(phone, json, now_ms=now_ms)
        self.switchboard = Switchboard(
            state=self.board,
            store=self.store,
            wake_call=lambda stream: self.reactor.joined(stream),
            now_ms=now_ms,
            foreign=lambda stream: bool(self.ownership.others()) and not self.ownership.owns(stream.enterprise),
            tail=self.store.tail,
            unended_ms=around.limits.call_max_ms,
        )
        attendant = Attendant(
            store=self.store,
            settings=settings,
            gateway=WithCallbacks(self.gateway, NodeCallbacks(self.link, around.database)),
            now_ms=now_ms,
            limits=around.limits,
            ownership=self.ownership,
            jitter=random.Random(rng.random()).random,
            new_id=self.new_id,
            joining=self.switchboard,
            tail=self.store.tail,
        )
        self.reactor = Reactor(attendant, tail=self.store.tail)
        # What it reads and whose it is was settled before; what is a repeat is for the real one to say.
        nothing: Any = None
        self._ingest = Ingest(store=self.store, settings=nothing, pool=nothing, zone=UTC, now_ms=now_ms)

    def start(self) -> None:
        """Begin to work."""
        self._keeping = self._task(self.ownership.run())
        self._work = [self._task(part) for part in (self.reactor.run(), self.switchboard.run(), self.reach.run())]

    def stop(self) -> None:
        """Begin to end in an orderly way (SIGTERM), as ``adapters/service.py`` does."""
        self.leaving = True
        self._task(self._stop())

    async def _stop(self) -> None:
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        await self.ownership.leave(LEAVE_S)
        self._keeping.cancel()

    def take(self, signal: Signal, reply: Callable[[bool], None]) -> None:
        """A signal is posted; ``reply`` says whether it is on disk."""
        self._task(self._take(signal, reply))

    def notice(self, payload: Mapping[str, Any]) -> None:
        """The database passes on what another instance says."""
        self.switchboard.heard_position(payload["position"])
        self.reactor.look()

    async def _take(self, signal: Signal, reply: Callable[[bool], None]) -> None:
        heard_ms = self._now_ms()
        event = replace(signal.event, heard_ms=heard_ms)
        append = Append(
            stream=StreamId(enterprise=signal.enterprise, name=signal.stream),
            events=(new_event(event, self.new_id()),),
            digest=signal.digest,
            due_ms=heard_ms + SAFETY_NET_MS if signal.stream.startswith("call/") else None,
        )
        try:
            await self._ingest.record([Prepared(append=append, enabled=True)])
        except StoreUnavailable:
            reply(False)
            return
        reply(True)

    def _task(self, work: Any) -> asyncio.Task[Any]:
        return self.loop.create_task(work)

    async def _account_key(self, enterprise: str) -> str:
        return self._around.account_of(enterprise)

    def _new_lease(self) -> str:
        self._leases += 1
        return f"{self.name}/{self._leases}"

    def new_id(self) -> UUID:
        """An id that nobody else ever gives."""
        self._ids += 1
        return UUID(int=(self._rng.getrandbits(64) << 64) | self._ids)
