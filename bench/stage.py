"""The real service as a process of its own, as ``./ms.sh serve`` starts it, on a database and beside the local API."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from uuid import uuid4

from cryptography.fernet import Fernet

from adapters.postgres.database import create_pool
from adapters.settings_store import SettingsStore
from adapters.vault import Vault
from bench.ground import END_S, ROOT, Ground
from bench.parts import configure
from bench.wire import connected
from bench.work import enterprise_name, settings

NOT_OURS: Final = ("DATABASE_URL", "PYTHONDONTWRITEBYTECODE")
"""Variables that the service must not inherit: the first would lead it to another database, the second would keep Python from
storing compiled modules, which it does where ``ms.sh`` starts the service."""

READY_S: Final = 120.0
LOOK_S: Final = 0.002
_HEALTH: Final = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Instance:
    """One instance of the service. ``started_s``: how long its last start took until it answered that it is ready."""

    def __init__(self, environment: dict[str, str], port: int, log: Path) -> None:
        self.port = port
        self.started_s = 0.0
        self._environment = environment
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it; returns once it is ready. Raises RuntimeError when it ends instead, TimeoutError when it takes too long."""
        began = time.perf_counter()
        await self.spawn()
        async with asyncio.timeout(READY_S):
            while not await self.is_ready():
                self.check()
                await asyncio.sleep(LOOK_S)
        self.started_s = time.perf_counter() - began

    async def spawn(self) -> None:
        """Start it and wait for nothing."""
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, str(ROOT / "server.py"), "serve", env=self._environment, stdout=output, stderr=output, cwd=ROOT
            )

    def check(self) -> None:
        """Raises RuntimeError when it has ended."""
        if self._process is None or self._process.returncode is not None:
            raise RuntimeError(f"the service ended by itself: {self.tail()}")

    async def is_ready(self) -> bool:
        """Whether it answers 200."""
        with contextlib.suppress(OSError):
            asker = await connected(self.port)
            head, _ = await asker.ask(_HEALTH)
            if asker.transport is not None:
                asker.transport.close()
            return b" 200 " in head[:20]
        return False

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, and wait."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), END_S)
        except TimeoutError:
            await self.kill()

    def tail(self) -> str:
        """The end of its log."""
        return " | ".join(self._log.read_text(errors="replace").splitlines()[-5:])


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def instance(place: Ground, dsn: str, api_port: int) -> Instance:
    """An instance that was not started yet. Several on one database share their key."""
    port, name = free_port(), uuid4().hex[:8]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MS_") and key not in NOT_OURS}
    environment = kept | {
        "DATABASE_URL": dsn,
        "MS_DATA_DIR": str(place.folder / f"data-{name}"),
        "MS_PORT": str(port),
        "MS_PHONE_API_URL": f"http://127.0.0.1:{api_port}/api/phone/1.0",
        "MS_MAIN_API_URL": f"http://127.0.0.1:{api_port}/api/remap/1.2",
        "MS_SECRET_KEY": _KEY,
        "MS_LOG_LEVEL": "warning",
    }
    return Instance(environment, port, place.folder / f"service-{name}.log")


_KEY: Final = Fernet.generate_key().decode()


@contextlib.asynccontextmanager
async def running(place: Ground, dsn: str, api_port: int, *, instances: int = 1) -> AsyncIterator[list[Instance]]:
    """Instances that are ready; they are stopped with the block."""
    made = [instance(place, dsn, api_port) for _ in range(instances)]
    try:
        for each in made:
            await each.start()
        yield made
    finally:
        await asyncio.gather(*(each.stop() for each in made))


async def configure_enterprises(dsn: str, count: int) -> None:
    """So many enterprises, each with an account of its own, and the first revision of their settings: histories name it."""
    names = [enterprise_name(nth) for nth in range(count)]
    pool = await create_pool(dsn)
    try:
        await configure(pool, {name: settings(nth) for nth, name in enumerate(names)})
        store = SettingsStore(pool, Vault([_KEY]), public_url="https://calls.example.invalid")
        await asyncio.gather(*(store.current(name) for name in names))
    finally:
        await pool.close()
