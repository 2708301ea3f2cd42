"""Derives read models anew from the whole log, in pieces and in several processes, while they are read and kept up to date.

How it stays exact: docs/decisions/0023. One rebuild at a time; one that is killed leaves every row right, and is begun again.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import pickle
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, Final

import asyncpg

from adapters.postgres.database import connect, load_sql
from core.ports import LogPage, Rebuildable

PAGE: Final = 5_000
"""Events read at once: some megabytes."""

SMALLEST: Final = 10_000
LARGEST: Final = 50_000
"""Events in a piece. Its calls stay in memory until it ends, 2 KB each; those that began before it are read from the log."""

PIECES: Final = 40
"""At least so many where the log is long enough: progress is told after each."""

WORTH: Final = 100_000
"""A log shorter than this is gone through sooner than other processes have started."""

MOST_WORKERS: Final = 4
NEAR: Final = 2_000
"""Events left to catch up with when everybody else is made to wait for it: a fraction of a second."""

CATCH_UPS: Final = 20
"""The log grows meanwhile, but each time by less; a service that is faster than its rebuild is waited for once."""

NICE: Final = 10
"""The service that answers meanwhile goes first."""

STATEMENT_S: Final = 3_600.0
"""The sums of all hours take their place in one statement each."""

ONE_AT_A_TIME: Final = 80_770_001
AT_WORK: Final = 80_770_002
"""Advisory locks: of the rebuild, and (shared) of each process that works for one."""

END_S: Final = 10.0

_READ: Final = load_sql("read_anew")
_PLACES: Final = load_sql("followers_lock")
_MAKE: Final = load_sql("followers_make")
_MOVE: Final = load_sql("followers_move")
_HEAD: Final = load_sql("head")
_BASE: Final = "SELECT begins FROM log_head"
_TRY: Final = "SELECT pg_try_advisory_lock($1)"

Progress = Callable[[int, int], None]
"""(events gone through, of how many)."""

Piece = tuple[int, int]
"""After which position it begins, and the last one in it."""


class RebuildRefused(ValueError):
    """Another one is under way, in whichever process."""


class RebuildFailed(ValueError):
    """A process that shared the work ended by itself."""


async def rebuild(
    dsn: str,
    models: Sequence[Rebuildable],
    progress: Progress = lambda _done, _all: None,
    *,
    workers: int | None = None,
    piece: int | None = None,
) -> int:
    """Derive these read models anew; returns the position up to which that is done. The service may be running.

    ``workers``: processes that share the work (0: this one alone; None: as many as the log is worth and the machine has).
    Raises :class:`RebuildRefused` and :class:`RebuildFailed`.
    """
    frozen = pickle.dumps(tuple(models))
    models = pickle.loads(frozen)  # copies of our own, as every process has
    names = sorted(model.name for model in models)
    connection = await connect(dsn, statement_s=STATEMENT_S)
    try:
        await _alone(connection)
        await connection.execute(_MAKE, names)
        for model in models:
            await model.begin_anew(connection)
        base, head = int(await connection.fetchval(_BASE)), int(await connection.fetchval(_HEAD))
        if workers is None:
            workers = min(MOST_WORKERS, os.cpu_count() or 1) if head - base >= WORTH else 0
        if piece is None:
            piece = min(LARGEST, max(SMALLEST, (head - base) // PIECES))
        pieces = deque((at, min(at + piece, head)) for at in range(base, head, piece))
        told = _Told(progress, base, head)
        if workers:
            async with _started(workers, dsn, frozen) as crew, asyncio.TaskGroup() as group:
                for worker in crew:
                    group.create_task(worker.work_off(pieces, told))
        else:
            for each in pieces:
                await go_through(connection, models, each)
                told.done(each)
        return await _catch_up(connection, models, names, head)
    finally:
        await connection.close()


async def go_through(connection: asyncpg.Connection, models: Sequence[Rebuildable], piece: Piece) -> None:
    """Give one piece of the log to every read model."""
    at, last = piece
    if at >= last:
        return
    while at < last:
        upto = min(at + PAGE, last)
        page = LogPage(after=at, upto=upto, lines=await connection.fetch(_READ, at, upto))
        for model in models:
            await model.take_anew(connection, page)
        at = upto
    for model in models:
        await model.end_piece(connection)


async def _alone(connection: asyncpg.Connection) -> None:
    """Be the only rebuild. A process of one that was killed may still be writing its last piece."""
    if not await connection.fetchval(_TRY, ONE_AT_A_TIME):
        raise RebuildRefused("read models are being rebuilt already, or a month leaves the log: wait until that is done, or end it")
    if not await connection.fetchval(_TRY, AT_WORK):
        raise RebuildRefused("a rebuild that was killed is just ending: try again in a few seconds")
    await connection.execute("SELECT pg_advisory_unlock($1)", AT_WORK)


async def _catch_up(connection: asyncpg.Connection, models: Sequence[Rebuildable], names: Sequence[str], done: int) -> int:
    """Go on with what came meanwhile, and put the read models in their place: from there on they are followed as ever.

    Whoever follows the log with one of them waits for the last of it, for the checkpoints are locked. If one had stood still
    before our end, it stands at our end afterwards.
    """
    for _ in range(CATCH_UPS):
        head = int(await connection.fetchval(_HEAD))
        if head - done <= NEAR:
            break
        await go_through(connection, models, (done, head))
        done = head
    async with connection.transaction():
        top = max([done, *(int(row["position"]) for row in await connection.fetch(_PLACES, names))])
        await go_through(connection, models, (done, top))
        for model in models:
            await model.finish_anew(connection)
        await connection.execute(_MOVE, names, top)
    return top


class _Told:
    """How far all of them together are."""

    def __init__(self, progress: Progress, base: int, head: int) -> None:
        self._progress, self._all, self._done = progress, head - base, 0
        progress(0, self._all)

    def done(self, piece: Piece) -> None:
        """One piece more."""
        self._done += piece[1] - piece[0]
        self._progress(self._done, self._all)


# -- processes that share the work ------------------------------------------------------------------------------------


class _Worker:
    """A process of ours. It ends with the connection to it, so also when this process is killed."""

    def __init__(self, dsn: str, frozen: bytes) -> None:
        context = multiprocessing.get_context("spawn")
        self._end, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(dsn, frozen, theirs), name="rebuild", daemon=True)
        self.process.start()
        theirs.close()

    async def work_off(self, pieces: deque[Piece], told: _Told) -> None:
        """Have it take one piece after another until there are none."""
        await self._answer()  # it is ready
        while pieces:
            piece = pieces.popleft()
            self._end.send(piece)
            await self._answer()
            told.done(piece)

    async def _answer(self) -> Any:
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._end.fileno(), arrived.set)
        try:
            await arrived.wait()
            return self._end.recv()
        except (EOFError, OSError) as error:
            raise RebuildFailed(
                "a process that shared the work ended by itself; what it said is above: mend that and begin again, for what is "
                "written is right"
            ) from error
        finally:
            loop.remove_reader(self._end.fileno())

    async def end(self) -> None:
        """Let it go: it ends when nobody is at the other end, or by force."""
        self._end.close()
        await asyncio.to_thread(self.process.join, END_S)
        if self.process.is_alive():
            self.process.kill()
            await asyncio.to_thread(self.process.join)


@contextlib.asynccontextmanager
async def _started(count: int, dsn: str, frozen: bytes) -> AsyncIterator[list[_Worker]]:
    crew: list[_Worker] = []
    try:
        for _ in range(count):
            crew.append(await asyncio.to_thread(_Worker, dsn, frozen))
        yield crew
    finally:
        for worker in crew:
            await worker.end()


def _work(dsn: str, frozen: bytes, end: Connection) -> None:
    """In a process of its own: pieces until there are no more, or nobody who gives them out."""
    with contextlib.suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        os.nice(NICE)
        gc.disable()  # looking through a piece's events for cycles, of which there are none, takes longer than decoding them
        asyncio.run(_work_off(dsn, pickle.loads(frozen), end))


async def _work_off(dsn: str, models: Sequence[Rebuildable], end: Connection) -> None:
    # What a crash of the server takes back is of no use by then: the rebuild has failed. The last commit waits for the disk.
    connection = await connect(dsn, statement_s=STATEMENT_S, synchronous_commit="off")
    try:
        await connection.execute("SELECT pg_advisory_lock_shared($1)", AT_WORK)
        end.send("ready")
        while True:
            try:
                piece = end.recv()  # nothing else is done here, so the loop may wait
            except ConnectionResetError:
                return  # whoever gave them out is gone, as at the end of the file
            await go_through(connection, models, piece)
            end.send(piece)
    finally:
        await connection.close()
