"""``./ms.sh archive``: which months the log holds, and old ones into files, out of the database, and back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from adapters.archive import Month, alone, beginning_ms, drop, export, hindrances, months, restore
from adapters.command_line import environment, fail, run
from adapters.counted import counted
from adapters.outages import unavailable
from adapters.postgres.database import connect
from adapters.work_commands import Opened

STATEMENT_S = 24 * 3_600.0


@click.command("archive")
@click.option("--before", metavar="YYYY-MM", help="Months before this one: each into a file, then out of the database.")
@click.option(
    "--to", "folder", type=click.Path(path_type=Path, file_okay=False), help="Where the files go (default: MS_DATA_DIR/archive)."
)
@click.option("--drop", "for_good", is_flag=True, help="Without files: these months are gone for good.")
@click.option("--restore", "file", type=click.Path(path_type=Path, dir_okay=False), help="Bring a file's month back.")
@click.pass_obj
def archive_command(opened: Opened, before: str | None, folder: Path | None, for_good: bool, file: Path | None) -> None:
    """List the months of the log, archive or drop old ones, or bring one back. The service may be running.

    Months are of UTC. A month stays while any call of it is unfinished or parked.
    """
    if (before is not None) == (file is not None) and file is not None:
        fail("say --before or --restore, not both", 2)
    if for_good and (before is None or folder is not None):
        fail("--drop goes with --before, and writes no files", 2)
    if folder is not None and before is None:
        fail("--to goes with --before: say which months go there", 2)
    env = environment()

    async def work() -> bool:
        async with opened(env) as service:
            connection = await connect(service.options.dsn, statement_s=STATEMENT_S)
            try:
                if file is not None:
                    return await _bring_back(connection, file)
                now_ms = time.time_ns() // 1_000_000
                if before is None:
                    return await _told(connection, now_ms)
                kept = None if for_good else folder or env.data_dir / "archive"
                return await _archived(connection, beginning_ms(before), kept, now_ms)
            finally:
                await connection.close()

    if not run(work()):
        raise SystemExit(1)


async def _told(connection: Any, now_ms: int) -> bool:
    for month in await months(connection):
        why = await hindrances(connection, month, now_ms)
        click.echo(f"{month.month}  {_size(month.bytes_):>9}  {'; '.join(why) or 'may go'}")
    rest = await connection.fetchval("SELECT count(*) FROM events_rest")
    if rest:
        click.echo(f"and {counted(rest, 'event')} beside the months: beginnings of calls that went on when their month was dropped")
    return True


async def _archived(connection: Any, before_ms: int, folder: Path | None, now_ms: int) -> bool:
    """The oldest first; the first one that has to stay ends it, for nothing may be missing in the middle of the log."""
    async with alone(connection, "every month"):  # looked for within it: another one may just have taken the oldest away
        old: Sequence[Month] = [month for month in await months(connection) if month.till_ms <= before_ms]
        if not old:
            click.echo("there is no month before that")
        for month in old:
            await _month_archived(connection, month, folder, now_ms)
    return True


async def _month_archived(connection: Any, month: Month, folder: Path | None, now_ms: int) -> None:
    if why := await hindrances(connection, month, now_ms):
        fail(f"{month.month} stays: {'; '.join(why)}")
    began = time.monotonic()
    if folder is not None:
        path = await export(connection, month, folder)
        size = _size(path.stat().st_size)
        click.echo(f"{month.month}: written to {path} ({size}) in {time.monotonic() - began:.1f} s")
    began = time.monotonic()
    lost = f"{month.month}: the database ended the connection or is away; run this again if ./ms.sh archive still lists it"
    with unavailable(lost):
        count = await drop(connection, month, now_ms)
    left = f"{counted(count, 'event')} left the database, {_size(month.bytes_)}"
    click.echo(f"{month.month}: {left}, in {time.monotonic() - began:.1f} s")


async def _bring_back(connection: Any, file: Path) -> bool:
    header, anew = await restore(connection, file)
    click.echo(f"{header.month}: in the log again, with {counted(header.events, 'event')}")
    if anew:
        click.echo(f"begun anew since, and left as they are: {counted(anew, 'call')} of it")
    click.echo("./ms.sh rebuild calls journal brings them back into the search and into integration_logs")
    return True


def _size(size: int) -> str:
    for unit in ("bytes", "KB", "MB"):
        if size < 1024:
            return f"{size} {unit}"
        size //= 1024
    return f"{size} GB"
