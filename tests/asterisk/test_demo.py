"""``./ms.sh pbx-demo``: it makes its calls, says where to look, and ends everything it started."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from adapters.embedded_postgres import discard_cluster
from tests.faults.stage import ROOT

pytestmark = pytest.mark.slow

WHOLE_S = 240.0


def started_by(folder: Path) -> list[str]:
    """Processes that run with this data folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"MS_DATA_DIR={folder}".encode() in path.read_bytes():
                found.append((path.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has ended, or is somebody else's
    return found


async def demo(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    # Whoever runs the tests in the background has Ctrl-C ignored, and what is started inherits that.
    return await asyncio.create_subprocess_exec(
        "env",
        "--default-signal=INT",
        sys.executable,
        str(ROOT / "server.py"),
        "pbx-demo",
        *arguments,
        env={**os.environ, "MS_DATA_DIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )


async def test_it_plays_says_where_to_look_and_ends(tmp_path: Path) -> None:
    process = await demo(tmp_path, "--once")
    async with asyncio.timeout(WHOLE_S):
        said, _ = await process.communicate()
    text = said.decode()
    assert process.returncode == 0, text
    for told in ("9 calls made on the telephones, 9 in MoySklad, 0 cards open", "MoySklad's screens and calls"):
        assert told in text
    assert started_by(tmp_path) == []
    await asyncio.to_thread(discard_cluster, tmp_path / "pbx-demo")


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
async def test_it_ends_everything_when_told_at_any_moment(tmp_path: Path, told: signal.Signals) -> None:
    process = await demo(tmp_path)
    assert process.stdout is not None
    async with asyncio.timeout(WHOLE_S):
        async for line in process.stdout:
            if b"ring_group" in line:
                break
        process.send_signal(told)
        assert await process.wait() == 128 + told
    assert started_by(tmp_path) == []
    await asyncio.to_thread(discard_cluster, tmp_path / "pbx-demo")
