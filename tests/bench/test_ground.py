"""The ground of a run: what the kernel is made to hold, and what is known of what it did not."""

from __future__ import annotations

import os
from pathlib import Path

from bench.ground import Ground, disk_read_bytes


def test_reading_through_reads_what_is_there(tmp_path: Path) -> None:
    files = tmp_path / "postgres" / "data" / "base" / "5"
    place = Ground("postgresql:///", tmp_path, lambda _: None)
    place.read_through()
    files.mkdir(parents=True)
    (files / "16384").write_bytes(b"x" * 3_000_000)
    before = _read_bytes()
    place.read_through()
    assert _read_bytes() - before >= 3_000_000


def test_what_came_from_the_disk_is_counted_by_process() -> None:
    assert disk_read_bytes(os.getpid()) >= 0
    assert disk_read_bytes(0) == 0, "nobody knows"


def _read_bytes() -> int:
    """What this process has read, wherever it came from."""
    told = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(told["rchar"])
