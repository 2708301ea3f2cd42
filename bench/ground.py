"""Where a run stands: a PostgreSQL of its own with fsync on, a fresh database for each side, children that end with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import orjson

from adapters.embedded_postgres import embedded_postgres
from adapters.postgres.migrations import migrate

ROOT: Final = Path(__file__).resolve().parent.parent
END_S: Final = 40.0
"""A child that was asked to end has so long."""

WORD_BYTES: Final = 256 * 1024 * 1024
"""The longest answer of a child: the moments of some hundred thousand requests."""

PIECE_BYTES: Final = 1024 * 1024

T = TypeVar("T")
Say = Callable[[str], None]


class Ground:
    """A server on which databases are made and dropped, a folder, and what a person is told meanwhile."""

    def __init__(self, server: str, folder: Path, say: Say) -> None:
        self.server = server
        self.folder = folder
        self.say = say
        self.kept: dict[int, object] = {}
        """What several rows look at, by its size (``history.kept``)."""

        self._template = ""

    def dsn(self, name: str) -> str:
        """The address of one of the server's databases."""
        parts = urlsplit(self.server)  # put together by hand: urlunsplit drops the slashes of an empty host
        return f"{parts.scheme}://{parts.netloc}/{name}" + (f"?{parts.query}" if parts.query else "")

    @contextlib.asynccontextmanager
    async def database(self, *, migrated: bool = True) -> AsyncIterator[str]:
        """A fresh database for as long as the block runs, with the schema of the service or empty."""
        template = await self._migrated() if migrated else "template1"
        name = f"bench_{uuid4().hex[:12]}"
        await self._order(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield self.dsn(name)
        finally:
            await self._order(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def lasting_database(self) -> str:
        """A fresh database that stays until the server ends."""
        name = f"bench_{uuid4().hex[:12]}"
        await self._order(f'CREATE DATABASE "{name}" TEMPLATE "{await self._migrated()}"')
        return self.dsn(name)

    def read_through(self) -> None:
        """Read the databases' files once, so that the kernel has what PostgreSQL has not: some machines take it back after minutes,
        however much memory is free. Nothing where the server is somebody else's."""
        piece = bytearray(PIECE_BYTES)
        for path in self.folder.glob("postgres/data/base/*/*"):
            with contextlib.suppress(FileNotFoundError), path.open("rb", buffering=0) as file:
                while file.readinto(piece):
                    pass

    async def _migrated(self) -> str:
        if not self._template:
            name = f"bench_template_{uuid4().hex[:8]}"
            await self._order(f'CREATE DATABASE "{name}"')
            await migrate(self.dsn(name))
            self._template = name
        return self._template

    async def _order(self, sql: str) -> None:
        connection = await asyncpg.connect(self.server)
        try:
            await connection.execute(sql, timeout=600)
        finally:
            await connection.close()


@contextlib.asynccontextmanager
async def ground(say: Say, server: str | None = None) -> AsyncIterator[Ground]:
    """A ground for as long as the block runs. ``server``: one that is there already (tests); None: an embedded one, fsync on."""
    folder = _new_folder()
    try:
        if server is not None:
            yield Ground(server, folder, say)
        else:
            async with embedded_postgres(folder, on_progress=say, discard=True) as dsn:
                yield Ground(dsn, folder, say)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _new_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ms-bench-"))
    folder.chmod(0o755)  # under root PostgreSQL is another user, who must get there
    return folder


async def interleaved(sides: Mapping[str, Callable[[], Awaitable[T]]], rounds: int) -> dict[str, list[T]]:
    """Every side once a round, and the order turned round with each: whatever changes meanwhile disturbs all alike."""
    found: dict[str, list[T]] = {name: [] for name in sides}
    names = list(sides)
    for nth in range(rounds):
        for name in names if nth % 2 == 0 else names[::-1]:
            found[name].append(await sides[name]())
    return found


class Child:
    """A program of ours in a process of its own. It answers each line it is given with one line of JSON."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self._log = log

    async def ask(self, word: str, **values: Any) -> Any:
        """Give it one order and wait for what it answers. Raises RuntimeError with the end of its log if it gives none."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(orjson.dumps({"word": word, **values}) + b"\n")
        with contextlib.suppress(ConnectionError):
            await self.process.stdin.drain()
        line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._log.stem} ended by itself: {self.tail()}")
        return orjson.loads(line)

    def tail(self) -> str:
        """The end of what it complained of."""
        return " | ".join(self._log.read_text(errors="replace").splitlines()[-6:])


@contextlib.asynccontextmanager
async def child(place: Ground, module: str, **values: Any) -> AsyncIterator[Child]:
    """``python -m bench.<module>``; ``values`` are its argument. It ends with the block, when its input does."""
    log = place.folder / f"{module}-{uuid4().hex[:6]}.log"
    with log.open("ab") as complaints:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"bench.{module}",
            orjson.dumps(values).decode(),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
            limit=WORD_BYTES,
        )
    try:
        yield Child(process, log)
    finally:
        await ended(process)


async def ended(process: asyncio.subprocess.Process) -> None:
    """Let it end by the end of its input, then by force."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), END_S)
    except TimeoutError:
        process.kill()
        await process.wait()


async def words() -> AsyncIterator[dict[str, Any]]:
    """In a child: the orders it is given, until there are no more."""
    reader = asyncio.StreamReader(limit=WORD_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        yield orjson.loads(line)


def tell(answer: Any) -> None:
    """In a child: one answer."""
    sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
    sys.stdout.buffer.flush()


def resident_bytes(pid: int) -> int:
    """How much memory a process holds (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """How much processor time a process has used so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def disk_read_bytes(pid: int) -> int:
    """How much a process has had read from the disk so far, because the kernel did not have it (Linux); 0 where nobody may know."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            name, _, value = line.partition(": ")
            if name == "read_bytes":
                return int(value)
    return 0
