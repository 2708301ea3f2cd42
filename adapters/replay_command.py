"""``./ms.sh replay --against``: which calls, against what, how it is told, and what the exit status says (PRODUCT F3).

What is read is read in transactions that can do nothing else; MoySklad is never spoken to. How a verdict is put into words is not
known here: ``server.py`` brings it along.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final, Protocol

import click
import orjson

from adapters.call_search import must_be_known, no_such_call, resolve
from adapters.counted import counted
from adapters.histories import Histories
from adapters.time_machine import Judged, Revision, Unreadable, corpus, judged, no_revisions, read_history
from core.approval import BadApproval, objections, read_approved, renewed, told
from core.history_file import HistoryFile
from core.other_settings import Against, read_against
from core.what_if import Verdict

PROGRESS_S: Final = 1.0
Echo = Callable[[str], None]


class Sum(Protocol):
    """Many verdicts as a sum."""

    calls: int
    differing: int
    unreadable: int

    def add(self, verdict: Verdict) -> None:
        """Count one call in."""
        ...

    def lines(self, zone: tzinfo) -> Iterator[str]:
        """As text."""
        ...

    def as_json(self, *, russian: bool = False) -> dict[str, Any]:
        """For programs and pages."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How verdicts are told: one as text, one as JSON, many as a sum. ``echo`` gets the answer, ``complain`` the rest."""

    render: Callable[[Verdict, tzinfo], str]
    as_json: Callable[[Verdict, tzinfo], dict[str, Any]]
    tally: Callable[[], Sum]
    echo: Echo
    complain: Echo
    zone: tzinfo
    json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was typed: which calls, and against what."""

    enterprise: str = ""
    name: str = ""
    day: str = ""
    everything: bool = False
    corpus: Path | None = None
    against: tuple[str, ...] = ()
    approved: Path | None = None
    approve: bool = False
    workers: int = 1
    as_json: bool = False

    @property
    def is_what_if(self) -> bool:
        """Whether differences are asked for, and not a call's story."""
        return bool(self.against or self.day or self.everything or self.corpus or self.approved or self.approve)


def asked(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the arguments and options of a replay, as one value, ``question``."""

    @functools.wraps(command)
    def with_question(enterprise: str | None, call: str | None, **options: Any) -> None:
        names = {each.name for each in fields(Asked)}
        known = {name: value for name, value in options.items() if name in names}
        rest = {name: value for name, value in options.items() if name not in names}
        question = Asked(enterprise=enterprise or "", name=call or "", **{**known, "day": known["day"] or ""})
        command(question, **rest)

    path = click.Path(path_type=Path, dir_okay=False)
    folder = click.Path(path_type=Path, exists=True, file_okay=False)
    found: Callable[..., None] = with_question
    for option in (
        click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that share the work."),
        click.option("--approve", is_flag=True, help="Write into that file what differs now."),
        click.option("--approved", type=path, help="Which differences of the corpus are wanted."),
        click.option("--corpus", type=folder, help="Histories as files: no database."),
        click.option("--all", "everything", is_flag=True, help="All calls of all enterprises."),
        click.option("--day", help="All calls of ENTERPRISE that began on this day, YYYY-MM-DD."),
        click.option("--against", multiple=True, help="What if: code, revision:N, path=value, FILE.json (docs/time-machine.md)."),
        click.option("--json", "as_json", is_flag=True, help="The same for programs."),
        click.argument("call", required=False),
        click.argument("enterprise", required=False),
    ):
        found = option(found)
    return found


Opened = Callable[[], AbstractAsyncContextManager[tuple[Any, Histories]]]
"""Opens the database: its pool, and the recorded calls in it."""


async def answered(question: Asked, words: Words, opened: Opened) -> int:
    """Do what was asked; the exit status. Raises ValueError in words a person can act on."""
    _make_sense(question)
    against = read_against(question.against, lambda path: Path(path).read_bytes())
    if question.corpus is not None:
        return await against_corpus(
            question.corpus,
            against,
            words,
            approved_path=question.approved,
            approve=question.approve,
            workers=question.workers,
        )
    async with opened() as (pool, histories):
        if question.enterprise:  # its times are its PBX's
            words = replace(words, zone=await histories.zone(question.enterprise, words.zone))
        if question.name:
            history = await history_of(pool, histories, question.enterprise, question.name, words.zone)
            return await against_one(history, against, words, histories.config)
        if question.day:
            from_ms, to_ms = day_ms(question.day, words.zone)
            await must_be_known(pool, question.enterprise)
            whole = await histories.count_day(question.enterprise, from_ms, to_ms)
            found = histories.day(question.enterprise, from_ms, to_ms)
        else:
            found, whole = histories.everything(), await histories.count_all()
        return await against_many(found, whole, against, words, revision=histories.config, workers=question.workers)


async def history_of(pool: Any, histories: Histories, enterprise: str, name: str, zone: tzinfo) -> HistoryFile:
    """One recorded call, named as for any replay. Raises ValueError where there is none."""
    call = await resolve(pool, enterprise, name, zone)
    history = await histories.one(enterprise, call) if call is not None else None
    if history is None:
        raise ValueError(await no_such_call(pool, enterprise, name))
    return history


def _make_sense(question: Asked) -> None:
    ways = [bool(question.name), bool(question.day), question.everything, question.corpus is not None]
    named = bool(question.enterprise) == bool(question.name or question.day)
    if sum(ways) != 1 or not named:
        raise ValueError("name ENTERPRISE CALL, ENTERPRISE --day DAY, --all, or --corpus FOLDER", "one of them")
    if (question.approve or question.approved is not None) and question.corpus is None:
        raise ValueError("--approved and --approve", "they are about a --corpus")
    if question.approve and question.approved is None:
        raise ValueError("--approve", "say with --approved into which file")


@dataclass(slots=True)
class _Progress:
    """One line a second."""

    complain: Echo
    whole: int
    clock: Callable[[], float] = time.monotonic
    told_s: float = field(default_factory=time.monotonic)

    def __call__(self, count: int) -> None:
        """So many are done."""
        if self.clock() - self.told_s >= PROGRESS_S:
            self.told_s = self.clock()
            self.complain(f"{count:,} of {counted(self.whole, 'call')}")


async def against_one(history: HistoryFile, against: Against, words: Words, revision: Revision) -> int:
    """One call. Returns the exit status: 2 when it cannot be tried."""

    async def only() -> AsyncIterator[HistoryFile]:
        yield history

    async for found in judged(only(), against, revision=revision):
        if isinstance(found, Unreadable):
            words.complain(str(found))
            return 2
        if words.json:
            words.echo(_json(words.as_json(found, words.zone), pretty=True))
        else:
            words.echo(words.render(found, words.zone).rstrip("\n"))
    return 0


async def against_many(
    histories: AsyncIterator[HistoryFile], whole: int, against: Against, words: Words, *, revision: Revision, workers: int
) -> int:
    """A day, or everything: a sum, and the first calls that differ; as JSON a line for each that does, and the sum last."""
    tally = words.tally()
    verdicts = judged(histories, against, revision=revision, workers=workers, done=_Progress(words.complain, whole))
    async for found in verdicts:
        _count(tally, found, words)
        if words.json and isinstance(found, Verdict) and found.differs:
            words.echo(_json(words.as_json(found, words.zone)))
    _tell(tally, words)
    return 0


async def against_corpus(
    folder: Path, against: Against, words: Words, *, approved_path: Path | None, approve: bool, workers: int
) -> int:
    """Histories from files. The exit status is 1 when a difference is not approved, or an approved one does not happen."""
    paths = corpus(folder)
    approved = _read_approved(approved_path, approve=approve)
    tally, found_of = words.tally(), {}
    index = 0
    async for found in judged(_files(paths), against, revision=no_revisions, workers=workers):
        name = paths[index].relative_to(folder).as_posix()
        index += 1
        if isinstance(found, Unreadable):
            raise ValueError(f"{name}: {found.reason}")
        _count(tally, found, words)
        if found.differs:
            found_of[name] = told(found)
        if words.json and found.differs:
            words.echo(_json({"file": name, **words.as_json(found, words.zone)}))
    _tell(tally, words)
    if approve and approved_path is not None:
        content = {"histories": renewed(approved, found_of)}
        _write(approved_path, content)
        words.complain(f"approved in {approved_path}, histories with differences: {len(found_of)}")
        return 0
    wrong = list(objections(approved, found_of))
    for line in wrong:
        words.complain(line)
    return 1 if wrong else 0


def day_ms(day: str, zone: tzinfo) -> tuple[int, int]:
    """From when to when a day of the PBX goes. Raises ValueError(field, hint)."""
    try:
        begin = date.fromisoformat(day)
        ends = (begin, begin + timedelta(days=1))
        from_ms, to_ms = (
            int(datetime(each.year, each.month, each.day, tzinfo=zone).timestamp() * 1000) for each in ends
        )
    except (ValueError, OverflowError):
        raise ValueError("day", "YYYY-MM-DD, a day of the PBX's time zone") from None
    return from_ms, to_ms


async def _files(paths: list[Path]) -> AsyncIterator[HistoryFile]:
    for path in paths:
        yield read_history(path)


def _count(tally: Sum, found: Judged, words: Words) -> None:
    if isinstance(found, Unreadable):
        tally.calls += 1
        tally.unreadable += 1
        words.complain(str(found))
    else:
        tally.add(found)


def _tell(tally: Sum, words: Words) -> None:
    if words.json:
        words.echo(_json({"sum": tally.as_json()}))
        return
    for line in tally.lines(words.zone):
        words.echo(line)


def _read_approved(path: Path | None, *, approve: bool) -> Mapping[str, list[dict[str, Any]]]:
    if path is None:
        return {}
    if approve and not path.exists():
        return {}
    try:
        return read_approved(orjson.loads(path.read_bytes()))
    except (BadApproval, orjson.JSONDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _json(value: Any, *, pretty: bool = False) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if pretty else 0).decode()


def _write(path: Path, content: Any) -> None:
    path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
