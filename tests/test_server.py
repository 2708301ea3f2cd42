"""The commands that list and retry parked calls, as a person types them."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import server
from adapters.postgres.database import create_pool
from adapters.postgres.event_store import PostgresEventStore
from tests.adapters.test_parked import index, parked_history, record
from tests.scenario import NUMBER, ms

Command = Callable[..., Result]


@pytest.fixture
def command(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command of ``server.py`` on a database in which calls A and B of 0367 and C of 0999 are parked."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("MS_DATA_DIR", str(tmp_path))

    async def prepare() -> None:
        pool = await create_pool(database_url)
        async with PostgresEventStore(pool, database_url) as store:
            for enterprise, call in (("0367", "A"), ("0367", "B"), ("0999", "C")):
                await record(store, call, parked_history(call), enterprise=enterprise)
            await index(pool, store)
        await pool.close()

    asyncio.run(prepare())
    return lambda *arguments: CliRunner().invoke(server.main, list(arguments))


async def orders(dsn: str) -> list[tuple[Any, ...]]:
    pool = await create_pool(dsn)
    rows = await pool.fetch("SELECT enterprise, call, reason FROM retry_orders ORDER BY id")
    await pool.close()
    return [tuple(row) for row in rows]


def test_parked_calls_are_listed_for_people_and_for_programs(command: Command) -> None:
    told = command("parked")
    assert (told.exit_code, told.stdout.splitlines()[0]) == (0, "3 calls need a person:")
    assert "0367 A" in told.stdout
    found = json.loads(command("parked", "0367", "--json", "--limit", "1").stdout)
    assert (found["total"], len(found["calls"]), found["reasons"][0]["remedy"]) == (2, 1, "enter it again")
    assert NUMBER not in told.stdout


def test_a_warning_is_not_put_among_what_programs_read(command: Command, tmp_path: Path) -> None:
    pbx = tmp_path / "pbx.toml"
    pbx.write_text('[[pbx]]\nname = "main"\nenterprise = "0367"\nuser = "ms"\nsecret = "for everybody"\n')
    pbx.chmod(0o644)
    script = [sys.executable, str(Path(server.__file__)), "parked", "--json"]
    told = subprocess.run(script, env={**os.environ, "MS_PBX_FILE": str(pbx)}, capture_output=True, text=True, check=True)
    assert json.loads(told.stdout)["total"] == 3
    assert "pbx_file_readable_by_others" in told.stderr


def test_a_retry_says_what_becomes_of_it(command: Command, database_url: str) -> None:
    assert command("retry", "0367", "A", "--reason", "mended").stdout == "0367 A: ordered\n"
    assert command("retry", "0367", f"{NUMBER}@{ms(0)}").stdout == "0367 A: ordered already\n"
    assert command("retry", "0367").stdout == "0367: ordered, 2 calls\n"
    assert command("retry", "--all").stdout == "0367: ordered already, 2 calls\n0999: ordered, 1 call\n"
    assert asyncio.run(orders(database_url)) == [("0367", "A", ""), ("0367", "", ""), ("0999", "", "")]


def test_a_retry_may_be_ordered_by_somebody_without_a_name(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container there may be no entry of the user."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2_000_123_456)
    assert command("retry", "0367", "A").stdout == "0367 A: ordered\n"


def test_a_retry_that_cannot_be_understood_is_one_line(command: Command, database_url: str) -> None:
    for arguments in (("retry",), ("retry", "0367", "--all")):
        told = command(*arguments)
        assert (told.exit_code, told.stderr) == (2, "say which enterprise, or --all\n")
    unknown = command("retry", "0367", "nobody")
    assert (unknown.exit_code, unknown.stderr) == (
        1,
        "enterprise 0367 has no call nobody; name it by UniqueId, MoySklad's id, or phone@time\n",
    )
    assert asyncio.run(orders(database_url)) == []


def test_a_call_is_told_at_the_times_of_its_own_pbx(command: Command, database_url: str) -> None:
    async def move() -> None:
        pool = await create_pool(database_url)
        add = "INSERT INTO public.enterprises (number, name, integrations_config) VALUES ('0367', '', $1)"
        await pool.execute(add, {"ms": {"timezone": "Asia/Tashkent"}})
        await pool.close()

    asyncio.run(move())
    here, there = command("replay", "0999", "C").stdout, command("replay", "0367", "A").stdout
    began = datetime.fromtimestamp(ms(0) / 1_000, UTC)
    in_minsk, in_tashkent = (f"{began + timedelta(hours=hours):%H:%M:%S}" for hours in (3, 5))
    assert in_minsk in here, here
    assert in_tashkent in there
    assert in_minsk not in there


@pytest.mark.parametrize(
    "arguments",
    [
        ("parked", "0000"), ("retry", "0000"), ("retry", "0000", "A"), ("replay", "0000", "A"), ("export", "0000", "A"),
        ("export", "0000", "A", "--as-test"), ("replay", "0000", "--day", "2026-11-23"),
        ("replay", "0000", "A", "--against", "code"),
    ],
)  # fmt: skip
def test_an_enterprise_that_nobody_knows_is_not_taken_for_a_quiet_one(command: Command, arguments: tuple[str, ...]) -> None:
    told = command(*arguments)
    words = "nobody knows enterprise 0000: it has no settings and no calls; check the number\n"
    assert (told.exit_code, told.stdout, told.stderr) == (1, "", words)


@pytest.mark.parametrize(
    "arguments",
    [
        ("doctor",), ("parked",), ("retry", "--all"), ("rebuild",), ("archive",), ("replay", "0367", "A"), ("export", "0367", "A"),
        ("replay", "--all", "--against", "code"), ("export", "0367", "A", "--as-test"),
    ],
)  # fmt: skip
def test_who_only_looks_makes_no_database(arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mistyped"
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("MS_DATA_DIR", str(folder))
    told = CliRunner().invoke(server.main, list(arguments))
    words = f"no database in {folder}: start the service there first, or correct MS_DATA_DIR\n"
    assert (told.exit_code, told.stdout, told.stderr) == (1, "", words)
    assert not folder.exists()


def test_a_letter_that_the_charset_has_not_ends_no_command(tmp_path: Path) -> None:
    said = "страна: принято «BY» → ✓"
    (tmp_path / "log").mkdir()
    (tmp_path / "log/service.log").write_text(said + "\n", encoding="utf-8")
    variables = {**os.environ, "MS_DATA_DIR": str(tmp_path), "PYTHONIOENCODING": "koi8-r"}
    script = [sys.executable, str(Path(server.__file__)), "logs"]
    piped = subprocess.run(script, env=variables, capture_output=True, check=True)
    assert piped.stdout.decode() == said + "\n"
    ours, theirs = pty.openpty()
    try:
        subprocess.run(script, env=variables, stdout=theirs, check=True)
        assert os.read(ours, 1_000).decode("koi8-r").rstrip() == "страна: принято ?BY? ? ?"
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_file_name_in_an_old_charset_ends_no_command(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"old\xff.log")).write_text("neither\n")
    variables = {**os.environ, "MS_DATA_DIR": str(tmp_path)}
    file = os.fsdecode(bytes(tmp_path) + b"/old\xff.log")
    script = [sys.executable, str(Path(server.__file__)), "import", "--into", "100", file]
    told = subprocess.run(script, env=variables, capture_output=True, check=False)
    assert (told.returncode, "old\\udcff.log, line 1: left out" in told.stderr.decode()) == (1, True)


def test_old_months_are_listed_and_what_is_unfinished_stays(command: Command, tmp_path: Path) -> None:
    listed = command("archive").stdout.splitlines()
    assert (len(listed), "it is not over" in listed[0]) == (2, True)
    assert command("archive", "--before", "2020-01").stdout == "there is no month before that\n"
    stays = command("archive", "--before", "2999-01", "--to", str(tmp_path / "kept"))
    assert (stays.exit_code, "stays: it is not over" in stays.output) == (1, True)
    assert "is no month: write it as 2026-03" in command("archive", "--before", "soon").output
    assert command("archive", "--drop").exit_code == 2
    assert command("archive", "--to", str(tmp_path)).stderr == "--to goes with --before: say which months go there\n"
    assert command("archive", "--before", "2020-01", "--restore", "x").exit_code == 2


def test_an_old_month_goes_into_a_file_and_comes_back(command: Command, database_url: str, tmp_path: Path) -> None:
    async def a_month_goes_by() -> None:
        """As if all there is had been recorded in January, and settled."""
        pool = await create_pool(database_url)
        await pool.execute("UPDATE events SET recorded_ms = 5")
        await pool.execute("UPDATE events_months SET till_ms = $1 WHERE from_ms < 0", 1_769_904_000_000)
        await pool.execute("UPDATE streams SET due_ms = NULL, first_ms = 5, last_ms = 5")
        await pool.execute("UPDATE calls SET parked = ''")
        await pool.close()

    asyncio.run(a_month_goes_by())
    gone = command("archive", "--before", "2026-12", "--to", str(tmp_path / "kept"))
    assert gone.exit_code == 0, gone.output
    written, left = gone.stdout.splitlines()
    assert "written to" in written
    assert "events left the database" in left
    (file,) = (tmp_path / "kept").glob("*.gz")
    assert (file.stat().st_mode & 0o777, (tmp_path / "kept" / f"{file.name}.sha256").exists()) == (0o600, True)
    back = command("archive", "--restore", str(file))
    assert back.exit_code == 0, back.output
    assert "in the log again, with" in back.stdout
    assert "rebuild" in back.stdout


@pytest.mark.parametrize("option", [("--shrink",), ("--expect", "card 103: shown")])
def test_what_is_said_of_a_test_needs_a_test(command: Command, option: tuple[str, ...]) -> None:
    told = command("export", "0367", "A", *option)
    assert (told.exit_code, told.stdout, "about --as-test" in told.stderr) == (2, "", True)


def test_an_export_that_cannot_be_written_is_one_line(command: Command, tmp_path: Path) -> None:
    where = tmp_path / "nowhere" / "call.json"
    told = command("export", "0367", "A", "-o", str(where))
    assert (told.exit_code, told.stderr) == (1, f"No such file or directory: {where}\n")


def test_an_answer_that_cannot_be_written_is_one_line() -> None:
    help_ = [sys.executable, str(Path(server.__file__)), "--help"]
    with Path("/dev/full").open("w") as full:
        told = subprocess.run(help_, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (told.returncode, told.stderr.decode()) == (1, "No space left on device\n")
