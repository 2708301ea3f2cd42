"""Signals that the database could not take in time, in a file on this machine until it can (decision 0033).

The dispatcher tries once and forgets what was not answered 200 (CONTRACT-ASTERISK, its first lines), so a 503 is a lost signal. A
signal in the spool is on disk, as A9 wants it, and is taken in as heard when it came. Files are written by one process each,
which holds a lock on them; whoever finds one without its lock takes it in.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson
import structlog

from adapters.on_disk import sync
from adapters.postgres_keeper import try_lock
from adapters.vault import Vault, WrongKey
from core.errors import StoreUnavailable
from core.signals import Wire

log = structlog.get_logger("spool")

SPOOL: Final = "spool"
"""The folder's name below MS_DATA_DIR."""

MOST_BYTES: Final = 256 * 1024**2
"""In all files: some hours of a busy installation. What comes on top is answered 503."""

FILE_BYTES: Final = 2 * 1024**2
"""A file that has so many is written to no further: it is read and taken in as a whole, some thousand signals."""

LOOK_EVERY_S: Final = 5.0
"""Between two looks for files that a process left behind which is gone."""

RETRY_S: Final = 0.5
"""Between two tries while the database is away: cards of calls that ring wait for it."""

TOGETHER: Final = 500
"""Signals of one enterprise that are taken in with one commit: between the dial and the hangup of a call that is over nobody may
find the time to show its card."""

AT_ONCE: Final = 16
"""Enterprises whose signals are taken in side by side; of one enterprise each waits for the one before it."""

_NAME: Final = re.compile(r"\d{15}-[0-9a-f]{12}\.signals")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One signal. ``heard_ms``: when it came, Unix epoch."""

    wire: Wire
    body: Any
    heard_ms: int


@dataclass(slots=True, kw_only=True)
class _File:
    """A file whose lock this process holds: its descriptor, and up to where it is whole."""

    path: Path
    descriptor: int
    size: int = 0
    signals: int = 0
    taken: set[int] = field(default_factory=set)
    """Which of its signals are in the log: a database that goes away again and again must not bring them back each time."""


T = TypeVar("T")
Take = Callable[[Sequence[Kept]], Awaitable[int]]
"""Records the first of these signals in one commit, repeats once, and keeps what is wrong as rejected; returns how many, at least
one. Raises StoreUnavailable."""


class Spool:
    """This process's spool. :meth:`keep` puts a signal there, :meth:`run` takes in what is there. Lines are encrypted: a body may
    hold the tokens of an inline ``ms_config``."""

    def __init__(self, folder: Path, vault: Vault, *, most_bytes: int = MOST_BYTES) -> None:
        """``folder`` is made when it is needed first."""
        self._folder = folder
        self._vault = vault
        self._most_bytes = most_bytes
        self._files: dict[Path, _File] = {}
        self._writes_to: _File | None = None
        self._lines: list[tuple[bytes, asyncio.Future[None]]] = []
        self._unwritten = 0
        self._writer: asyncio.Task[None] | None = None
        self._disk = asyncio.Lock()
        # Its own: in the loop's those wait who look for the names of a database and of MoySklad that are away.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._wake = asyncio.Event()
        self._put_aside: set[Path] = set()
        """Until the next start: of another key, or with a signal that a bug keeps out."""
        self.behind = False
        """Whether the database was away when last asked: until it has taken something in nobody need wait for it for long."""

    @property
    def waiting(self) -> int:
        """Signals that are on disk here and not in the log yet, as far as this process knows."""
        return sum(each.signals for each in list(self._files.values()))

    async def keep(self, kept: Kept) -> None:
        """When this returns it is on disk. Raises StoreUnavailable: the spool is full, or cannot be written."""
        line = self._seal(kept)
        if sum(each.size for each in list(self._files.values())) + self._unwritten + len(line) > self._most_bytes:
            log.error("spool_full", signals=self.waiting)
            raise StoreUnavailable("the database is away, and the spool is full")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        self._lines.append((line, future))
        self._unwritten += len(line)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="spool writer")
        await asyncio.shield(future)
        self.behind = True
        self._wake.set()

    async def run(self, take: Take) -> None:
        """Take in what is there, oldest first, until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self.take_in(take)
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
                continue
            except OSError as error:
                log.error("spool_unreadable", folder=str(self._folder), reason=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()

    async def take_in(self, take: Take) -> None:
        """Everything that is there now. Raises StoreUnavailable: the rest stays, and what was taken in again is a repeat."""
        for path in await self._in_thread(files_in, self._folder):
            if path in self._put_aside:
                continue
            try:
                await self._take_file(take, path)
            except OSError as error:  # it is another user's, or its disk is ill: those behind it are not to wait for it
                log.error("spool_file_unreadable", file=path.name, reason=type(error).__name__, errno=error.errno)
        self.behind = False

    async def _take_file(self, take: Take, path: Path) -> None:
        async with self._disk:  # no line is written to it any more
            if self._writes_to is not None and self._writes_to.path == path:
                self._writes_to = None
            signals = await self._in_thread(self._read, path)
        if signals is None:
            return
        file = self._files[path]
        file.signals = len(signals) - len(file.taken)
        if signals:
            log.info("spool_is_taken_in", signals=file.signals)
        if not await self._take_all(take, file, signals):
            self._put_aside.add(path)
            return
        try:
            await self._in_thread(self._remove, file)
        except OSError:
            self._put_aside.add(path)  # nothing of it is missing in the log
            raise

    async def _take_all(self, take: Take, file: _File, signals: Sequence[Kept]) -> bool:
        """Whether nothing of it has to be kept. Raises StoreUnavailable."""
        lanes: dict[str, list[int]] = {}
        for number, each in enumerate(signals):
            if number not in file.taken:
                lanes.setdefault(_lane(each.body), []).append(number)
        free = asyncio.Semaphore(AT_ONCE)
        away: list[StoreUnavailable] = []
        bugs = 0

        async def in_order(lane: list[int]) -> None:
            nonlocal bugs
            at, most = 0, TOGETHER
            async with free:
                while at < len(lane) and not away:
                    some = lane[at : at + most]
                    try:
                        count = await take([signals[number] for number in some])
                    except StoreUnavailable as error:
                        away.append(error)
                        return
                    except Exception as error:
                        if len(some) > 1:
                            most = 1  # to find which it is
                            continue
                        bugs += 1
                        log.error("spooled_signal_failed", wire=signals[lane[at]].wire.value, exc_info=error)
                        at, most = at + 1, TOGETHER
                        continue
                    self.behind = False
                    file.taken.update(some[:count])
                    file.signals -= count
                    at += count

        await asyncio.gather(*(in_order(lane) for lane in lanes.values()))
        if away:
            raise away[0]
        return not bugs

    async def _write(self) -> None:
        """What came meanwhile goes to disk together."""
        while self._lines:
            batch, self._lines = self._lines, []
            data = b"".join(line for line, _ in batch)
            failed: OSError | None = None
            async with self._disk:
                try:
                    await self._in_thread(self._append, data, len(batch))
                except OSError as error:
                    failed = error
            self._unwritten -= len(data)
            if failed is not None:
                log.error("spool_not_written", folder=str(self._folder), reason=type(failed).__name__, errno=failed.errno)
            for _, future in batch:
                if future.done():
                    continue
                if failed is None:
                    future.set_result(None)
                else:
                    future.set_exception(StoreUnavailable("the database is away, and the spool cannot be written"))

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    # -- the disk: what follows runs in a thread, one of it at a time ------------------------------------------------

    def _append(self, data: bytes, signals: int) -> None:
        file = self._writes_to if self._writes_to is not None and self._writes_to.size < FILE_BYTES else self._new()
        self._writes_to = None  # until it is whole: after half a line nothing is added to it
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(file.descriptor, data[written:], file.size + written)
            os.fdatasync(file.descriptor)
        except OSError:
            if not file.size:  # else a full disk would cost a descriptor for each post
                with contextlib.suppress(OSError):
                    self._remove(file)
            raise
        file.size += len(data)
        file.signals += signals
        self._writes_to = file

    def _new(self) -> _File:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = max((int(path.name[:15]) for path in files_in(self._folder)), default=0) + 1
        while True:
            path = self._folder / f"{number:015d}-{uuid.uuid4().hex[:12]}.signals"
            file = _File(path=path, descriptor=os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            try:
                is_ours = _is_ours(file.descriptor)
                if is_ours:
                    sync(self._folder)
            except OSError:
                with contextlib.suppress(OSError):
                    self._remove(file)
                raise
            if is_ours:
                self._files[path] = file
                return file
            os.close(file.descriptor)  # another process found it without its lock just now, and takes it away

    def _read(self, path: Path) -> list[Kept] | None:
        """What a file says; None for one that another process writes, or took in just now, and for one of another key."""
        file = self._files.get(path)
        if file is None:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                return None
            try:
                is_ours = _is_ours(descriptor)
            except OSError:
                os.close(descriptor)
                raise
            if not is_ours:
                os.close(descriptor)
                return None
            file = _File(path=path, descriptor=descriptor, size=os.fstat(descriptor).st_size)
            self._files[path] = file
        return self._opened(path, os.pread(file.descriptor, os.fstat(file.descriptor).st_size, 0).split(b"\n")[:-1])

    def _remove(self, file: _File) -> None:
        try:
            file.path.unlink(missing_ok=True)
        finally:
            self._files.pop(file.path, None)
            os.close(file.descriptor)

    # -- lines -------------------------------------------------------------------------------------------------------

    def _seal(self, kept: Kept) -> bytes:
        plain = orjson.dumps({"wire": kept.wire.value, "heard_ms": kept.heard_ms, "body": kept.body})
        return self._vault.encrypt(plain.decode()).encode() + b"\n"

    def _opened(self, path: Path, lines: Iterable[bytes]) -> list[Kept] | None:
        """What the lines say; None if they are of another key: they wait for a start with the right one."""
        found: list[Kept] = []
        closed: WrongKey | None = None
        for line in lines:
            try:
                told = orjson.loads(self._vault.decrypt(line.decode()))
                found.append(Kept(wire=Wire(told["wire"]), body=told["body"], heard_ms=int(told["heard_ms"])))
            except WrongKey as error:
                closed = error
            except (ValueError, KeyError, TypeError):
                log.error("spool_line_broken", file=path.name)  # half a line, of a write that nobody was told had succeeded
        if closed is not None and not found:
            log.error("spool_of_another_key", file=path.name, reason=str(closed))
            self._put_aside.add(path)
            return None
        if closed is not None:
            log.error("spool_line_broken", file=path.name)  # a file has one key, so it is no other key that closes this one
        return found


def files_in(folder: Path) -> list[Path]:
    """The files of a spool, oldest first. Raises OSError."""
    try:
        return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    except FileNotFoundError:
        return []


def _is_ours(descriptor: int) -> bool:
    """Whether this process has the file's lock now, and nobody took it in and away before. Raises OSError."""
    return try_lock(descriptor) and os.fstat(descriptor).st_nlink > 0


def _lane(body: Any) -> str:
    """Whose signal it is, as far as it says so itself."""
    named = body.get("enterprise_number") or body.get("token") or body.get("Token") if isinstance(body, dict) else ""
    return str(named)


def _seen(future: asyncio.Future[None]) -> None:
    """Whoever asked may have gone away meanwhile."""
    if not future.cancelled():
        future.exception()
