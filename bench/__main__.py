"""``./ms.sh bench [NAMES...] [--quick] [--json FILE] [--markdown FILE]``: measure, and say what was reached."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from adapters.logs import configure_logs
from bench import append, asked, cards, folding, growth, ingest, restart
from bench.figures import Figure, Report, as_json, as_markdown, as_text
from bench.ground import Ground, ground
from bench.machine import described
from bench.sizes import FULL, QUICK, Size

Row = Callable[[Ground, Size], Awaitable[list[Figure]]]

ROWS: Final[Mapping[str, Row]] = {
    "fold": folding.measure,
    "requests": asked.measure,
    "append": append.measure,
    "ingest": ingest.measure,
    "two": ingest.two,
    "cards": cards.measure,
    "backlog": cards.backlog,
    "restart": restart.measure,
    "memory": asked.memory,
    "growth": growth.measure,
    "start": restart.start,
    "disk": asked.disk,
    # The last: they leave the large history's read models half derived, and its log as nobody expects it.
    "rebuild": growth.rebuild,
    "archive": asked.archive,
}
"""In the order in which they are measured, whatever the order in which they are named."""


async def measured(names: Sequence[str], size: Size, say: Callable[[str], None], server: str | None = None) -> Report:
    """Measure these rows. One that fails is told as such and the others go on. ``server``: see :func:`bench.ground.ground`."""
    figures: list[Figure] = []
    failed: dict[str, str] = {}
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    async with ground(say, server) as place:
        machine = described(place.folder)
        for name in [each for each in ROWS if each in names]:
            began = time.monotonic()
            try:
                figures += await ROWS[name](place, size)
            except (RuntimeError, OSError, TimeoutError, AssertionError) as error:
                failed[name] = f"{type(error).__name__}: {error}"
            say(f"{name}: {time.monotonic() - began:.0f} s{' (failed)' if name in failed else ''}")
    return Report(at=at, machine=machine, size=size.name, figures=tuple(figures), failed=failed)


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Read the command line; ends the program with a usage line for what is not understood."""
    parser = argparse.ArgumentParser(prog="./ms.sh bench", description="Measure how near the machine's limits the service is.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these rows: {', '.join(ROWS)}")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, some three minutes for all rows: a look, not a measurement"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="the report for programs")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the figures as the table of docs/performance.md")
    found = parser.parse_args(given)
    if unknown := [name for name in found.names if name not in ROWS]:
        parser.error(f"there is no row {unknown[0]}; there are {', '.join(ROWS)}")
    return found


def main(given: Sequence[str]) -> int:
    """The exit status: 0 when everything was measured (met or not), 1 when a row could not be."""
    asked_for = arguments(given)
    configure_logs("error")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that children, databases and the folder are gone then too
    report = asyncio.run(measured(asked_for.names or list(ROWS), QUICK if asked_for.quick else FULL, complain))
    sys.stdout.write(as_text(report))
    if asked_for.json is not None:
        asked_for.json.write_bytes(orjson.dumps(as_json(report), option=orjson.OPT_INDENT_2))
    if asked_for.markdown is not None:
        asked_for.markdown.write_text(as_markdown(report), encoding="utf-8")
    return 1 if report.failed else 0


def complain(line: str) -> None:
    """Tell a person what goes on."""
    sys.stderr.write(f"bench: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
