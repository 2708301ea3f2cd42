"""A PostgreSQL of the test's own, as a child process that the test may kill, stop, fill up, follow and promote.

The programs are those of the embedded server; nothing of its keeper is used, because here the test is the supervisor.
Commits are flushed (``fsync`` is on): what was acknowledged has to survive.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg

from adapters.postgres_keeper import cluster_name, orphans, server_environment
from adapters.postgres_place import DATABASE, Place, make_cluster, programs_for
from tests.faults.network import free_port

READY_S = 120.0
STOP_S = 60.0
POLL_S = 0.02
STANDBY = "standby"
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "min_wal_size": "32MB",
    "max_wal_size": "128MB",
    "io_workers": "2",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_error_statement": "panic",
    "fsync": "on",
    "synchronous_commit": "on",
}

_TERMINATE = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = $1"


class Postgres:
    """One server on a loopback port. :func:`own_postgres` makes it; ``starts`` counts how often it was started."""

    def __init__(self, place: Place, programs: Path) -> None:
        self.place = place
        self.port = free_port()
        self.starts = 0
        self._programs = programs
        self._settings = dict(SETTINGS)
        self._process: asyncio.subprocess.Process | None = None
        self._supervising: asyncio.Task[None] | None = None

    @property
    def dsn(self) -> str:
        """Straight to this server."""
        return dsn(self.port)

    async def start(self, **settings: str) -> None:
        """Start it and wait until it answers, recovery included. ``settings`` stay for later starts."""
        self._settings |= settings
        await self._launch()
        await self.until_ready()

    async def until_ready(self) -> None:
        """Return once it answers a query."""
        async with asyncio.timeout(READY_S):
            while True:
                with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await self.ask("SELECT 1")
                    return
                await asyncio.sleep(POLL_S)

    async def ask(self, query: str, *values: Any) -> Any:
        """One value, over a connection of its own."""
        connection = await asyncpg.connect(self.dsn, timeout=5.0)
        try:
            return await connection.fetchval(query, *values, timeout=30.0)
        finally:
            connection.terminate()

    async def stop(self) -> None:
        """Fast shutdown, as an administrator does it."""
        await self._end(signal.SIGINT)

    async def kill(self) -> None:
        """SIGKILL to the postmaster; returns once its orphans have noticed and are gone."""
        await self._end(signal.SIGKILL)

    async def terminate_back_ends(self) -> int:
        """Break every connection to the service's database, as an administrator may; how many."""
        return int(await self.ask(_TERMINATE, DATABASE))

    def freeze(self) -> None:
        """SIGSTOP to the postmaster, then to everything it had forked: connections stay open, nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT to all of them."""
        self._signal_all(signal.SIGCONT)

    @contextlib.asynccontextmanager
    async def supervised(self) -> AsyncIterator[None]:
        """Start it again whenever it ends by itself, a second later, as systemd would."""
        self._supervising = asyncio.create_task(self._supervise(), name="supervisor of PostgreSQL")
        try:
            yield
        finally:
            self._supervising.cancel()
            await asyncio.gather(self._supervising, return_exceptions=True)

    async def follow(self, primary: Postgres) -> None:
        """Become the primary's standby: a copy of its stopped cluster, then streaming. The primary is running afterwards."""
        await primary.stop()
        await asyncio.to_thread(shutil.rmtree, self.place.data, ignore_errors=True)
        await asyncio.to_thread(_copy_owned, primary.place, self.place)
        (self.place.data / "standby.signal").touch()
        self.place.own(self.place.data / "standby.signal")
        await primary.start()
        where = f"host=127.0.0.1 port={primary.port} user={DATABASE} application_name={STANDBY}"
        await self.start(primary_conninfo=where, wal_receiver_status_interval="1s")
        await primary._until_true("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')")

    async def wait_for_standby(self, name: str = STANDBY) -> None:
        """From now on a commit is acknowledged only once the standby has it on disk too."""
        await self.configure("synchronous_standby_names", name)

    async def configure(self, setting: str, value: str) -> None:
        """Change a setting without a restart; returns once it is in force."""
        await self.ask(f"ALTER SYSTEM SET {setting} = '{value}'")
        await self.ask("SELECT pg_reload_conf()")
        await self._until_true("SELECT current_setting($1) = $2", setting, value)

    async def promote(self) -> None:
        """Let the standby take over."""
        await self.ask("SELECT pg_promote()")

    async def _until_true(self, query: str, *values: Any) -> None:
        async with asyncio.timeout(READY_S):
            while True:
                if await self.ask(query, *values):
                    return
                await asyncio.sleep(POLL_S)

    async def _supervise(self) -> None:
        while True:
            process = self._process
            if process is not None and await process.wait() is not None and process is self._process:
                await asyncio.sleep(1.0)
                await self._launch()

    async def _launch(self) -> None:
        await self._until_alone()
        arguments = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        with (self.place.home / "postgres.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(self._programs / "bin/postgres"),
                "-D",
                str(self.place.data),
                "-p",
                str(self.port),
                "-c",
                f"cluster_name={cluster_name(self.place.data)}",
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=server_environment(),
                start_new_session=True,
                umask=0o077,
                **self.place.run_as(),  # type: ignore[arg-type]
            )
        self.starts += 1

    async def _until_alone(self) -> None:
        """Nothing of an earlier server may touch the cluster any more; then its pid file means nothing."""
        deadline = time.monotonic() + STOP_S
        while left := orphans(cluster_name(self.place.data)):
            if time.monotonic() > deadline:
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(POLL_S)
        (self.place.data / "postmaster.pid").unlink(missing_ok=True)

    async def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await self._until_alone()

    def _signal_all(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
        for pid in orphans(cluster_name(self.place.data)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def dsn(*ports: int) -> str:
    """The service's database on one server, or on the first of several that accepts writes."""
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return f"postgresql://{DATABASE}@{hosts}/{DATABASE}"


@contextlib.asynccontextmanager
async def own_postgres(home: Path | None = None) -> AsyncIterator[Postgres]:
    """A server whose cluster exists; it does not run yet. ``home``: where to put it (a small disk), else a temporary folder.

    Its folder is outside of pytest's: the user that PostgreSQL runs as under root could not get there.
    """
    base = _folder()
    server: Postgres | None = None
    try:
        place, elsewhere = _place(home or base / "server"), _place(base / "programs")
        programs = programs_for(elsewhere, lambda _: None)
        await asyncio.to_thread(make_cluster, place, programs, "tests", lambda _: None)
        server = Postgres(place, programs)
        yield server
    finally:
        if server is not None:
            server.thaw()
            await server._end(signal.SIGQUIT)
            shutil.rmtree(server.place.home, ignore_errors=True)
        shutil.rmtree(base, ignore_errors=True)


def _place(home: Path) -> Place:
    """A folder for a server, and whom it runs as: PostgreSQL refuses root."""
    home.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() != 0:
        return Place(home=home, uid=None, gid=None)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            place = Place(home=home, uid=entry.pw_uid, gid=entry.pw_gid)
            place.own(home)
            return place
    raise AssertionError("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _copy_owned(source: Place, target: Place) -> None:
    shutil.copytree(source.data, target.data, symlinks=True)
    target.data.chmod(0o700)
    for folder, _, files in os.walk(target.data):
        target.own(Path(folder))
        for name in files:
            target.own(Path(folder) / name)
    (target.data / "postmaster.pid").unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def small_disk(size_mb: int) -> AsyncIterator[Path]:
    """A disk of so many megabytes in memory. Needs root: what cannot be mounted is an error, never a reason to skip."""
    point = _folder()
    try:
        await _run("mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=0711", "ms-faults", str(point))
        try:
            yield point
        finally:
            await _run("umount", "--lazy", str(point))
    finally:
        os.rmdir(point)


def _folder() -> Path:
    """A temporary folder that PostgreSQL's user may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="ms-faults-"))
    folder.chmod(0o711)
    return folder


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, complaint = await process.communicate()
    assert process.returncode == 0, f"{' '.join(command)}: {complaint.decode().strip()} (mounting needs root)"


def fill(disk: Path) -> Path:
    """Use up what is left of a disk, to the last page; remove the file that is returned to free it."""
    filler = disk / "filler"
    block = b"\0" * 4096
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(block) == len(block):
            pass
    return filler
