"""The real service, one instance or several, and the sandbox as processes of their own; and everything that may befall them.

An instance that is killed loses everything but its database: PostgreSQL runs on, as it would in service. Each stage
collects what MoySklad was asked, so that every test can also say that MoySklad would have blocked nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from cryptography.fernet import Fernet

from adapters.embedded_postgres import discard_cluster
from tests.faults.network import Balancer, Relay, free_port, listening
from tests.faults.postgres import dsn
from tests.faults.traffic import WITH_ORDERS, Copy, Office, Posts, Stream, offices
from tests.faults.verdict import After, Asked, Verdict, judge

ROOT = Path(__file__).resolve().parent.parent.parent
READY_S = 60.0
STOP_S = 40.0
SIGNAL_POLL_S = 0.05
CALLS_SHOWN = 100_000


@dataclass(slots=True, kw_only=True)
class Instance:
    """One instance of the service. ``down_s``: how long each start took until it answered that it is well.

    ``relays``: its ways to the database (one for each server) and, the last one, to MoySklad, when the stage can cut them.
    """

    name: str
    port: int
    folder: Path
    environment: dict[str, str]
    http: aiohttp.ClientSession
    relays: tuple[Relay, ...] = ()
    process: asyncio.subprocess.Process | None = None
    kills: int = 0
    down_s: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it and wait until it answers that it is well."""
        began = time.monotonic()
        self.process = await spawn(self.environment, self.folder / "service.log", "serve")
        await self.until_well()
        self.down_s.append(time.monotonic() - began)

    async def until_well(self) -> None:
        """Return once it answers that it is well."""
        assert self.process is not None
        await until_answers(self.http, f"{self.url}/healthz", self.process, self.tail)

    async def is_well(self) -> bool:
        """Whether it says so, within a second."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(1.0), self.http.get(f"{self.url}/healthz") as answer:
                return answer.status == 200
        return False

    async def figure(self, name: str) -> float:
        """One figure of its ``/metrics``."""
        async with self.http.get(f"{self.url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name)

    async def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is said."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
        self.kills += 1

    async def stop(self) -> None:
        """SIGTERM, as an administrator stops it; an embedded PostgreSQL goes with the last instance."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            await asyncio.wait_for(self.process.wait(), STOP_S)

    def freeze(self) -> None:
        """SIGSTOP: it holds everything and does nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on as if no time had passed."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def cut(self, *, database_only: bool = False) -> None:
        """Neither its database nor MoySklad (or only the former) hears of it any more, and nobody is told."""
        assert self.relays, "this stage has no network to cut"
        for relay in self.relays[:-1] if database_only else self.relays:
            relay.cut()

    def heal(self) -> None:
        """The network is back."""
        for relay in self.relays:
            relay.heal()

    def tail(self, lines: int = 30) -> str:
        """The end of its log, for a failure's message."""
        path = self.folder / "service.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""


@dataclass(slots=True, kw_only=True)
class Stage:
    """Where everything is. ``ordering``: the settings ask for orders and tasks."""

    http: aiohttp.ClientSession
    sandbox: str
    instances: list[Instance]
    offices: list[Office]
    asked: Asked
    balancer: Balancer
    ordering: bool = False

    @property
    def kills(self) -> int:
        """How often an instance was killed."""
        return sum(instance.kills for instance in self.instances)

    @property
    def slowest_start_s(self) -> float:
        """How long the slowest start took, the first ones apart."""
        return max(itertools.chain.from_iterable(each.down_s[1:] for each in self.instances), default=0.0)

    def posts(self, *to: Instance, http: aiohttp.ClientSession | None = None) -> Posts:
        """A sender that posts to these instances in turn (to all of them)."""
        turn = itertools.cycle(to or self.instances)
        return Posts(http=http or self.http, url=lambda: next(turn).url)

    def balanced(self, http: aiohttp.ClientSession | None = None) -> Posts:
        """A sender that posts to the balancer."""
        return Posts(http=http or self.http, url=lambda: f"http://127.0.0.1:{self.balancer.port}")

    @contextlib.asynccontextmanager
    async def stream(self, url: Callable[[], str] | None = None) -> AsyncIterator[Stream]:
        """A sender over one long connection, by way of the balancer unless told otherwise."""
        sender = Stream(self.http, url or (lambda: f"http://127.0.0.1:{self.balancer.port}"))
        task = asyncio.create_task(sender.run(), name="stream")
        try:
            yield sender
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def calls(self) -> list[dict[str, Any]]:
        """The calls as MoySklad has them, in all accounts."""
        return list((await self.look(f"/sandbox/calls?limit={CALLS_SHOWN}"))["calls"])

    async def look(self, path: str) -> dict[str, Any]:
        """What the sandbox says of itself."""
        async with self.http.get(f"{self.sandbox}{path}") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def order(self, method: str, path: str, body: Any = None) -> None:
        """Tell the sandbox how to behave."""
        async with self.http.request(method, f"{self.sandbox}{path}", json=body) as answer:
            assert answer.status < 300, await answer.text()

    async def configure(self, office: Office, **changes: Any) -> None:
        """Give an enterprise its settings."""
        url = f"{self.instances[0].url}/ms-admin/api/config/{office.number}"
        async with self.http.put(url, json=office.config(**changes)) as answer:
            assert answer.status == 200, await answer.text()

    async def judged(self, copies: Sequence[Copy], *, patience_s: float, quiet_s: float) -> Verdict:
        """The verdict once everything is as it should be and has stayed so for ``quiet_s``, or when patience ends."""
        deadline, good_since = time.monotonic() + patience_s, 0.0
        while True:
            began = time.monotonic()
            clients = (await self.look("/sandbox/counterparties"))["counterparties"]
            verdict, now = judge(copies, await self.calls(), clients, await self._after()), time.monotonic()
            good_since = (good_since or now) if verdict.good else 0.0
            if now > deadline or (good_since and now - good_since >= quiet_s):
                return verdict
            await asyncio.sleep(0.1 + 3 * (now - began))

    async def _after(self) -> After | None:
        if not self.ordering:
            return None
        return After(orders=(await self.look("/sandbox/orders"))["orders"], tasks=(await self.look("/sandbox/tasks"))["tasks"])

    def tails(self) -> str:
        """The ends of all logs, for a failure's message."""
        return "\n".join(f"-- {each.name}:\n{each.tail()}" for each in self.instances)


async def spawn(environment: dict[str, str], log: Path, *arguments: str) -> asyncio.subprocess.Process:
    """Start ``server.py`` with these arguments."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "server.py"),
            *arguments,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


async def until_answers(
    http: aiohttp.ClientSession, url: str, process: asyncio.subprocess.Process, tail: Callable[[], str]
) -> None:
    """Return once the address answers 200."""
    async with asyncio.timeout(READY_S):
        while True:
            assert process.returncode is None, f"it ended by itself:\n{tail()}"
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(url) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(SIGNAL_POLL_S)


@contextlib.asynccontextmanager
async def staged(
    folder: Path,
    *,
    instances: int = 1,
    enterprises: int = 1,
    database: Sequence[int] | str | None = None,
    cuttable: bool = False,
    limits: bool = False,
    settings: Callable[[Office], dict[str, Any]] = lambda _: {},
    variables: Callable[[int], dict[str, str]] = lambda _: {},
    ordering: bool = False,
) -> AsyncIterator[Stage]:
    """A running sandbox and running instances, with so many enterprises configured, each with a MoySklad account of its own.

    ``database``: ports of PostgreSQL (several: primary and standby), or a DSN; None: the one instance's embedded server.
    ``cuttable``: each instance reaches database and MoySklad through relays of its own. ``limits``: MoySklad's are in force.
    ``settings``: what differs in an enterprise's. ``variables``: what else the environment of each instance holds.
    ``ordering``: they ask for orders and tasks.
    """
    assert database is not None or instances == 1, "several instances need one database"
    sandbox_port, whose = free_port(), offices(enterprises)
    sandbox, kept = f"http://127.0.0.1:{sandbox_port}", dict(_environment())
    kept["MS_SECRET_KEY"] = Fernet.generate_key().decode()
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        made: list[Instance] = []
        for number in range(1, instances + 1):
            ports = [] if database is None or isinstance(database, str) else list(database)
            relays = tuple(Relay(port) for port in (*ports, sandbox_port)) if cuttable else ()
            for relay in relays:
                await stack.enter_async_context(listening(relay))
            *ports, to_sandbox = [relay.port for relay in relays] or [*ports, sandbox_port]
            where = database if isinstance(database, str) else dsn(*ports) if ports else ""
            own = kept | variables(number)
            made.append(_instance(f"instance {number}", folder / f"instance{number}", own, where, to_sandbox, http, relays))
        balancer = Balancer([instance.port for instance in made])
        await stack.enter_async_context(listening(balancer))
        await stack.enter_async_context(_sandbox(http, kept, folder, sandbox_port))
        asked = Asked(http, sandbox)
        stage = Stage(http=http, sandbox=sandbox, instances=made, offices=whose, asked=asked, balancer=balancer, ordering=ordering)
        await stage.order("PUT", "/sandbox/switches", {"limits_enforced": limits})
        await stage.order("POST", "/sandbox/seed", {"accounts": [msgspec.to_builtins(each.seed()) for each in whose[1:]]})
        await stack.enter_async_context(_running(stage, settings))
        yield stage


def _instance(
    name: str,
    folder: Path,
    environment: dict[str, str],
    database: str,
    sandbox_port: int,
    http: aiohttp.ClientSession,
    relays: tuple[Relay, ...],
) -> Instance:
    port = free_port()
    own = {
        "MS_DATA_DIR": str(folder),
        "MS_PORT": str(port),
        "MS_PHONE_API_URL": f"http://127.0.0.1:{sandbox_port}/api/phone/1.0",
        "MS_MAIN_API_URL": f"http://127.0.0.1:{sandbox_port}/api/remap/1.2",
        "MS_LOG_LEVEL": "info",
        "DATABASE_URL": database,
    }
    return Instance(name=name, port=port, folder=folder, environment=environment | own, http=http, relays=relays)


@contextlib.asynccontextmanager
async def _running(stage: Stage, settings: Callable[[Office], dict[str, Any]]) -> AsyncIterator[None]:
    watching = asyncio.create_task(stage.asked.watch(), name="what MoySklad is asked")
    try:
        for instance in stage.instances:
            await instance.start()
        for office in stage.offices:
            await stage.configure(office, **(WITH_ORDERS if stage.ordering else {}), **settings(office))
        yield
        await stage.asked.collect()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        for instance in stage.instances:
            instance.heal()
        await asyncio.gather(*(instance.stop() for instance in stage.instances))
        for instance in stage.instances:
            if not instance.environment["DATABASE_URL"]:
                await asyncio.to_thread(discard_cluster, instance.folder)  # under root it is outside of pytest's folder


@contextlib.asynccontextmanager
async def _sandbox(http: aiohttp.ClientSession, environment: dict[str, str], folder: Path, port: int) -> AsyncIterator[None]:
    log = folder / "sandbox.log"
    process = await spawn(environment, log, "sandbox", "--port", str(port))
    try:
        await until_answers(http, f"http://127.0.0.1:{port}/sandbox/accounts", process, log.read_text)
        yield
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), STOP_S)


def _environment() -> Iterator[tuple[str, str]]:
    """Ours, without what would lead a service of the test to anything of somebody else's."""
    return ((key, value) for key, value in os.environ.items() if not key.startswith("MS_") and key != "DATABASE_URL")
