"""Runs recorded calls again, one or millions, on one core or several, and tells how far it has come (PRODUCT F3).

Calls pass through: no more are held than the workers need. Verdicts come in the order of the calls, however many workers there
are, so that the same question gets the same answer to the letter.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

from core.history_file import BadHistory, HistoryFile, load
from core.other_settings import LATEST, Against, applied
from core.settings import SettingsError, parse_settings
from core.what_if import Question, Verdict, judge

BATCH: Final = 50
"""Calls judged at once by a worker: some hundred milliseconds."""

AHEAD: Final = 3
"""Batches waiting for each worker."""

Told = Callable[[int], None]
"""Told how many calls are done."""

Revision = Callable[[str, int], Awaitable[Mapping[str, Any] | None]]
"""The settings of an enterprise's revision; None for one nobody knows."""


class Unreadable(Exception):
    """A call whose history this code cannot read, or whose other settings cannot be."""

    def __init__(self, enterprise: str, call: str, reason: str) -> None:
        super().__init__(f"call {call} of enterprise {enterprise}: {reason}")
        self.enterprise = enterprise
        self.call = call
        self.reason = reason

    def __reduce__(self) -> tuple[type[Unreadable], tuple[str, str, str]]:
        """As it goes to a worker and back."""
        return Unreadable, (self.enterprise, self.call, self.reason)


Judged = Verdict | Unreadable


async def no_revisions(enterprise: str, revision: int) -> Mapping[str, Any] | None:
    """There are none: histories from files bring their settings along."""
    return None


async def question_of(history: HistoryFile, against: Against, revision: Revision = no_revisions) -> Question:
    """What is asked of a call. Raises Unreadable."""
    other: Mapping[str, Any] | None = None
    try:
        if not against.is_code:
            other = history.config
            if against.revision is not None:
                other = await revision(history.enterprise, against.revision)
                if other is None:
                    which = f"revision {against.revision}" if against.revision != LATEST else "revision"
                    raise Unreadable(history.enterprise, history.call, f"its settings have no {which}")
            other = applied(other, against)
        return Question(
            enterprise=history.enterprise,
            call=history.call,
            events=history.events,
            settings=history.settings,
            other=None if other is None else parse_settings(other),
            limits=history.limits,
            until_ms=history.until_ms,
        )
    except BadHistory as error:
        raise Unreadable(history.enterprise, history.call, str(error)) from error
    except SettingsError as error:
        raise Unreadable(history.enterprise, history.call, f"{error.field}: {error.error}") from error


async def judged(
    histories: AsyncIterator[HistoryFile],
    against: Against,
    *,
    revision: Revision = no_revisions,
    workers: int = 1,
    apart: bool = False,
    done: Told = lambda count: None,
) -> AsyncIterator[Judged]:
    """Each call's verdict, in order. ``apart``: never in this process, which has other things to do."""
    count = 0
    async for verdict in _one_by_one(histories, against, revision, workers, apart=apart):
        count += 1
        done(count)
        yield verdict


async def _one_by_one(
    histories: AsyncIterator[HistoryFile], against: Against, revision: Revision, workers: int, *, apart: bool
) -> AsyncIterator[Judged]:
    if workers <= 1 and not apart:
        async for history in histories:
            asked = await _asked(history, against, revision)
            yield judge(asked) if isinstance(asked, Question) else asked
            await asyncio.sleep(0)
        return
    loop = asyncio.get_running_loop()
    waiting: deque[asyncio.Future[list[Judged]]] = deque()
    # Not by fork: there are threads and connections here that a child must not inherit.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        batch: list[Question | Unreadable] = []
        async for history in histories:
            batch.append(await _asked(history, against, revision))
            if len(batch) == BATCH:
                waiting.append(loop.run_in_executor(pool, judge_all, batch))
                batch = []
            while len(waiting) >= workers * AHEAD:
                for verdict in await waiting.popleft():
                    yield verdict
        if batch:
            waiting.append(loop.run_in_executor(pool, judge_all, batch))
        while waiting:
            for verdict in await waiting.popleft():
                yield verdict


async def _asked(history: HistoryFile, against: Against, revision: Revision) -> Question | Unreadable:
    try:
        return await question_of(history, against, revision)
    except Unreadable as unreadable:
        return unreadable


def judge_all(questions: Sequence[Question | Unreadable]) -> list[Judged]:
    """A worker's share."""
    return [judge(each) if isinstance(each, Question) else each for each in questions]


def corpus(folder: Path) -> list[Path]:
    """The history files below a folder, in order. Raises ValueError where there is none."""
    found = sorted(folder.rglob("*.jsonl"))
    if not found:
        raise ValueError(f"{folder} holds no history: files that end in .jsonl are looked for")
    return found


def read_history(path: Path) -> HistoryFile:
    """A history from a file. Raises ValueError that names it."""
    try:
        return load(path.read_bytes())
    except BadHistory as error:
        raise ValueError(f"{path}: {error}") from error
