"""Fetching Asterisk: what is said when it cannot be, and how an endpoint is configured. A real one runs in ``tests/asterisk``."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from adapters.lab import asterisk as module
from adapters.lab.asterisk import Asterisk, NoAsterisk, fetched, running

SCRIPT = module.HERE / "fetch_asterisk.sh"


def run(folder: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    """The script with only these programs on its path."""
    return subprocess.run(
        ["/bin/bash", str(SCRIPT), str(folder / "bullseye")],
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Everything the script uses, apt-get apart."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("bash", "cat", "dpkg-deb", "dirname", "find", "flock", "grep", "id", "mkdir", "mv", "rm", "tail", "tar"):
        path = next(path for place in ("/usr/bin", "/bin") if (path := Path(place, name)).exists())
        (folder / name).symlink_to(path)
    return folder


def test_a_machine_without_apt(tmp_path: Path, programs: Path) -> None:
    told = run(tmp_path, programs)
    assert told.returncode == 1
    assert told.stderr == "asterisk: apt-get is missing: a real Asterisk can be fetched on Debian or Ubuntu only\n"


def test_a_machine_that_is_offline(tmp_path: Path, programs: Path) -> None:
    apt = programs / "apt-get"
    apt.write_text('#!/bin/sh\necho "W: Failed to fetch http://deb.example.org/ Temporary failure resolving"\n')
    apt.chmod(0o755)
    told = run(tmp_path, programs)
    assert told.returncode == 1
    last = told.stderr.splitlines()[-1]
    assert last.startswith("asterisk: Debian's list of packages cannot be read (W: Failed to fetch http://deb.example.org/ ")
    assert last.endswith(": is this machine online?")
    assert not (tmp_path / "bullseye").exists(), "what is not whole is not taken for one"


def test_what_is_there_is_not_fetched_again(tmp_path: Path, programs: Path) -> None:
    (tmp_path / "bullseye").mkdir()
    there = tmp_path / "bullseye" / "asterisk"
    there.write_text("#!/bin/sh\n")
    there.chmod(0o755)
    told = run(tmp_path, programs)
    assert (told.returncode, told.stderr) == (0, "")


async def test_the_reason_reaches_whoever_wanted_it(tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHE", tmp_path)
    monkeypatch.setitem(os.environ, "PATH", str(programs))
    said: list[str] = []
    with pytest.raises(NoAsterisk, match="apt-get is missing") as caught:
        await fetched("bullseye", report=said.append)
    assert "fetch_asterisk.sh" in str(caught.value)
    assert len(said) == 1


def test_what_it_is_configured_with(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.mkdir()
    (program / "modules").write_text("root/usr/lib/asterisk/modules\n")
    phones = {"101": ("127.0.0.1", 15_101), "trunk-alpha": ("127.0.0.2", 15_060)}
    asterisk = Asterisk(program=program, folder=tmp_path / "folder", run=tmp_path, phones=phones)
    asterisk._configure()
    text = {path.name: path.read_text() for path in (tmp_path / "folder" / "etc").iterdir()}
    assert not [name for name, content in text.items() if "@FOLDER@" in content or "_PORT@" in content or "@RUN@" in content]
    assert f"port = {asterisk.ami_port}" in text["manager.conf"]
    assert asterisk.ami_secret in text["manager.conf"]
    assert asterisk.ami_secret not in repr(asterisk)
    assert "[101](phone)" in text["pjsip.conf"]
    assert "contact = sip:101@127.0.0.1:15101" in text["pjsip.conf"]
    assert "[trunk-alpha](trunk)" in text["pjsip.conf"]
    assert "match = 127.0.0.2" in text["pjsip.conf"]


async def test_one_that_does_not_come_up_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READY_S", 0.2)
    program = tmp_path / "program"
    program.mkdir()
    (program / "modules").write_text("modules\n")
    (program / "version").write_text("Asterisk 16\n")
    script = program / "asterisk"
    script.write_text('#!/bin/sh\n[ "$1" = -f ] && exec sleep 60\nexit 1\n')
    script.chmod(0o755)
    asterisk = Asterisk(program=program, folder=tmp_path / "folder", run=tmp_path, phones={})
    with pytest.raises(NoAsterisk, match="did not come up"):
        async with running(asterisk):
            pass
    assert asterisk.process is not None
    assert asterisk.process.returncode is not None
