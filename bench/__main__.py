"""``./ms.sh bench [NAMES...] [--quick] [--json FILE] [--markdown FILE]``: measure, and say what was reached.

Whoever asks for help needs no package: what measures is loaded once it is known that something is to be measured.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from adapters.later import later

if TYPE_CHECKING:
    import orjson

    from adapters import logs
    from bench import figures, rows, sizes
else:
    orjson, logs, figures, rows, sizes = map(later, ("orjson", "adapters.logs", "bench.figures", "bench.rows", "bench.sizes"))

NAMES: Final = (
    "fold", "requests", "append", "ingest", "two", "cards", "backlog", "restart", "memory", "growth", "start", "disk", "rebuild",
    "archive",
)  # fmt: skip


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Read the command line; ends the program with a usage line for what is not understood."""
    parser = argparse.ArgumentParser(prog="./ms.sh bench", description="Measure how near the machine's limits the service is.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these rows: {', '.join(NAMES)}")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, some three minutes for all rows: a look, not a measurement"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="the report for programs")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the figures as the table of docs/performance.md")
    found = parser.parse_args(given)
    if unknown := [name for name in found.names if name not in NAMES]:
        parser.error(f"there is no row {unknown[0]}; there are {', '.join(NAMES)}")
    return found


def main(given: Sequence[str]) -> int:
    """The exit status: 0 when everything was measured (met or not), 1 when a row could not be."""
    asked_for = arguments(given)
    logs.configure_logs("error")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that children, databases and the folder are gone then too
    report = asyncio.run(rows.measured(asked_for.names or NAMES, sizes.QUICK if asked_for.quick else sizes.FULL, complain))
    sys.stdout.write(figures.as_text(report))
    if asked_for.json is not None:
        asked_for.json.write_bytes(orjson.dumps(figures.as_json(report), option=orjson.OPT_INDENT_2))
    if asked_for.markdown is not None:
        asked_for.markdown.write_text(figures.as_markdown(report), encoding="utf-8")
    return 1 if report.failed else 0


def complain(line: str) -> None:
    """Tell a person what goes on."""
    sys.stderr.write(f"bench: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
