"""The embedded server against what really happens to processes: real ones, killed for real."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from adapters import embedded_postgres as embedded
from adapters import postgres_keeper as keeper
from adapters import postgres_place as place
from adapters.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError, embedded_postgres, server_status

ROOT = Path(__file__).resolve().parents[2]
is_root = os.geteuid() == 0

USER_PROCESS = """
import asyncio, sys
from pathlib import Path
import asyncpg
from adapters.embedded_postgres import EmbeddedPostgres

async def main():
    dsn = await EmbeddedPostgres(Path(sys.argv[1]), profile="durable", linger_s=float(sys.argv[2])).start()
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE IF NOT EXISTS fact (n int PRIMARY KEY)")
    await connection.execute("INSERT INTO fact SELECT count(*) + 1 FROM fact")
    print("committed", flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder that the server's user can reach (pytest's own folders are closed to it when root runs them)."""
    folder = Path(tempfile.mkdtemp(prefix="ms-pg-test-"))
    folder.chmod(0o711)
    yield folder
    _end_everything(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _end_everything(folder: Path) -> None:
    """Whatever a failing test left behind, by pid."""
    home = place.located_home(folder)
    for pid in _keeper_pids(home):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        keeper.stop_server(home / "data", patience_s=5)
    if home.parent != folder:
        shutil.rmtree(home, ignore_errors=True)


def _keeper_pids(home: Path) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            command = Path("/proc", name, "cmdline").read_bytes().decode(errors="replace") if name.isdigit() else ""
            if "postgres_keeper" in command and f'"{home}"' in command:
                found.append(int(name))
    return found


def _until(true: Callable[[], object], limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def _user_process(data_dir: Path, linger_s: float = 10.0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", USER_PROCESS, str(data_dir), str(linger_s)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "committed\n"
    return process


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def _start_as(uid: int, command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, user=uid if is_root else None, cwd="/")


def _owner(path: Path) -> int:
    return path.stat().st_uid


def _program_of(pid: int) -> Path:
    return Path(os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]))


async def _facts(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM fact"))
    finally:
        await connection.close()


def _is_back(data_dir: Path, killed: int) -> bool:
    """Asked once: the one that was killed may still be ready at this moment, and gone at the next."""
    found = server_status(data_dir)
    return found.state == "ready" and found.pid not in (None, killed)


def _pid(data_dir: Path) -> int:
    pid = server_status(data_dir).pid
    assert pid is not None
    return pid


@pytest.fixture
async def running(data_dir: Path) -> AsyncIterator[tuple[EmbeddedPostgres, str]]:
    server = EmbeddedPostgres(data_dir, profile="tests")
    dsn = await server.start()
    yield server, dsn
    await server.stop()


async def test_makes_a_private_durable_utf8_database_that_listens_on_no_port(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as dsn:
        connection = await asyncpg.connect(dsn)
        wanted = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "listen_addresses": ""}
        assert {name: await connection.fetchval(f"SHOW {name}") for name in wanted} == wanted
        assert await connection.fetchval("SELECT lower('ЗВОНОК')") == "звонок"
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
        await connection.execute("CREATE TABLE fact (n int); INSERT INTO fact VALUES (1)")
        await connection.close()
        home = server_status(data_dir).home
        assert home.stat().st_mode & 0o077 == 0
        assert (home / "run").stat().st_mode & 0o077 == 0
    assert server_status(data_dir).state == "down"
    async with embedded_postgres(data_dir) as dsn:
        assert await _facts(dsn) == 1


@pytest.mark.slow
async def test_the_last_user_stops_it_and_not_the_first(data_dir: Path) -> None:
    first, second = EmbeddedPostgres(data_dir, profile="tests"), EmbeddedPostgres(data_dir, profile="tests")
    assert await first.start() == await second.start()
    assert await first.stop() is False
    assert server_status(data_dir).state == "ready"
    assert await second.stop() is True
    status = server_status(data_dir)
    assert (status.state, status.pid, status.in_use) == ("down", None, False)
    assert _keeper_pids(status.home) == []
    assert await second.stop() is False, "stopping twice is harmless"


@pytest.mark.slow
async def test_several_starters_at_once_get_one_server(data_dir: Path) -> None:
    servers = [EmbeddedPostgres(data_dir, profile="tests") for _ in range(4)]
    dsns = await asyncio.gather(*(server.start() for server in servers))
    assert len(set(dsns)) == 1
    assert len(_keeper_pids(server_status(data_dir).home)) == 1
    assert sorted(await asyncio.gather(*(server.stop() for server in servers))) == [False, False, False, True]


async def test_a_folder_under_another_name_has_the_same_server(running: tuple[EmbeddedPostgres, str], data_dir: Path) -> None:
    """Whoever did not see it waited for it without an end, and kept everybody else from starting and stopping it."""
    link = data_dir.with_name(f"{data_dir.name}-link")
    link.symlink_to(data_dir)
    try:
        for other in (link, data_dir / "postgres" / ".."):
            assert server_status(other).pid == _pid(data_dir)
            joined = EmbeddedPostgres(other, profile="tests")
            async with asyncio.timeout(10):
                assert await joined.start() == running[1]
            assert await joined.stop() is False
            assert keeper.cluster_name(other / "postgres/data") == keeper.cluster_name(data_dir / "postgres/data")
    finally:
        link.unlink()


async def test_a_killed_service_finds_its_server_and_its_data_again(data_dir: Path) -> None:
    process = _user_process(data_dir)
    pid = _pid(data_dir)
    _kill(process)
    async with embedded_postgres(data_dir) as dsn:
        assert _pid(data_dir) == pid, "it was adopted, not started again"
        assert await _facts(dsn) == 1
    assert server_status(data_dir).state == "down"


@pytest.mark.slow
async def test_a_server_that_nobody_comes_back_to_is_stopped(data_dir: Path) -> None:
    process = _user_process(data_dir, linger_s=0.1)
    home = server_status(data_dir).home
    _kill(process)
    _until(lambda: server_status(data_dir).state == "down" and not _keeper_pids(home))
    assert not (home / "data/postmaster.pid").exists(), "it was shut down, not killed"


async def test_a_server_killed_under_its_users_comes_back(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE fact (n int); INSERT INTO fact VALUES (1)")
        killed = _pid(data_dir)
        os.kill(killed, signal.SIGKILL)
        connection.terminate()
        _until(lambda: _is_back(data_dir, killed))
        assert await _facts(dsn) == 1


@pytest.mark.slow
async def test_everything_killed_at_once_is_recovered(data_dir: Path) -> None:
    process = _user_process(data_dir)
    home, pid = server_status(data_dir).home, _pid(data_dir)
    for victim in _keeper_pids(home):
        os.kill(victim, signal.SIGKILL)
    _kill(process)
    os.kill(pid, signal.SIGKILL)
    assert (home / "data/postmaster.pid").exists()
    async with embedded_postgres(data_dir) as dsn:
        assert await _facts(dsn) == 1


@pytest.mark.slow
async def test_a_server_without_its_keeper_gets_a_new_one(data_dir: Path) -> None:
    process = _user_process(data_dir)
    home, pid = server_status(data_dir).home, _pid(data_dir)
    for victim in _keeper_pids(home):
        os.kill(victim, signal.SIGKILL)
    second = EmbeddedPostgres(data_dir)
    await second.start()
    assert _pid(data_dir) == pid
    assert len(_keeper_pids(home)) == 1
    _kill(process)
    assert await second.stop() is True
    assert server_status(data_dir).state == "down"


@pytest.mark.parametrize("holder", ["stranger", "zombie"])
@pytest.mark.slow
async def test_a_pid_file_that_names_another_process_or_a_zombie_is_not_believed(data_dir: Path, holder: str) -> None:
    async with embedded_postgres(data_dir, profile="tests"):
        home = server_status(data_dir).home
        lines = keeper.pid_file_lines(home / "data")
    # The pid belongs to the server's own user, which is the case that PostgreSQL itself gets wrong.
    uid = (home / "data").stat().st_uid
    command = ["sleep", "60"] if holder == "stranger" else ["true"]
    process = _start_as(uid, command)
    try:
        if holder == "zombie":
            _until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z")
        (home / "data/postmaster.pid").write_text("\n".join([str(process.pid), *lines[1:]]) + "\n")
        assert server_status(data_dir).state == "down"
        async with embedded_postgres(data_dir, profile="tests") as dsn:
            connection = await asyncpg.connect(dsn)
            await connection.close()
            assert _pid(data_dir) != process.pid
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
async def test_an_interrupted_creation_is_begun_anew(data_dir: Path) -> None:
    unfinished = data_dir / "postgres/data.unfinished"
    unfinished.mkdir(parents=True, mode=0o700)
    (unfinished / "PG_VERSION").write_text("18\n")
    async with embedded_postgres(data_dir, profile="tests") as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.close()
    assert not unfinished.exists()


@pytest.mark.slow
async def test_a_server_that_cannot_start_says_why_in_one_line(data_dir: Path) -> None:
    async with embedded_postgres(data_dir, profile="tests"):
        home = server_status(data_dir).home
    (home / "data/global/pg_control").unlink()
    with pytest.raises(EmbeddedPostgresError, match=r"does not start: .*could not find the database system") as caught:
        await EmbeddedPostgres(data_dir, profile="tests").start()
    assert "\n" not in str(caught.value)
    assert server_status(data_dir).in_use is False


async def test_a_cluster_of_another_version_is_left_alone(data_dir: Path) -> None:
    data = data_dir / "postgres/data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 16, the programs here are 18"):
        await EmbeddedPostgres(data_dir, profile="tests").start()
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


@pytest.mark.slow
async def test_a_long_path_gets_a_short_private_socket_folder(data_dir: Path) -> None:
    deep = data_dir / ("x" * 100)
    async with embedded_postgres(deep, profile="tests", discard=True) as dsn:
        folder = keeper.socket_folder(server_status(deep).home / "data")
        assert folder is not None
        assert len(os.fsencode(folder / place.SOCKET_NAME)) <= place.MAX_SOCKET_PATH_BYTES
        assert folder.stat().st_mode & 0o077 == 0
        await (await asyncpg.connect(dsn)).close()
    assert not folder.exists()
    assert not (deep / "postgres").exists(), "discard removes the cluster"


@pytest.mark.slow
async def test_a_socket_folder_that_others_may_enter_is_refused(data_dir: Path) -> None:
    deep = data_dir / ("x" * 100)
    taken = place.short_socket_folder(deep / "postgres")
    taken.mkdir(mode=0o777)
    taken.chmod(0o777)
    try:
        with pytest.raises(EmbeddedPostgresError, match="not a private folder"):
            await EmbeddedPostgres(deep, profile="tests").start()
    finally:
        taken.rmdir()


@pytest.mark.slow
async def test_waiting_is_told_and_can_be_given_up(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "SAY_EVERY_S", 0.02)
    async with embedded_postgres(data_dir, profile="tests"):
        home = server_status(data_dir).home
    held = keeper.open_lock(home / "start.lock")
    assert keeper.try_lock(held)
    told = threading.Event()
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        told.set()

    start = asyncio.create_task(EmbeddedPostgres(data_dir, profile="tests", on_progress=say).start())
    assert await asyncio.to_thread(told.wait, 10)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    os.close(held)
    assert "another process is starting or stopping the database" in said[0]
    assert server_status(data_dir).in_use is False


@pytest.mark.slow
async def test_the_servers_log_holds_no_numbers(running: tuple[EmbeddedPostgres, str], data_dir: Path) -> None:
    connection = await asyncpg.connect(running[1])
    await connection.execute("CREATE TABLE client (phone text PRIMARY KEY)")
    insert = "INSERT INTO client VALUES ('+375290000001')"
    await connection.execute(insert)
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(insert)
    await connection.close()
    logs = list((server_status(data_dir).home / "log").glob("*.log"))
    _until(lambda: "duplicate key" in "".join(path.read_text() for path in logs))
    assert "375290000001" not in "".join(path.read_text() for path in logs)


def test_the_servers_programs_do_not_see_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MS_SECRET_KEY", "hush")
    assert "hush" not in "".join(keeper.server_environment().values())


def test_status_of_a_folder_that_was_never_used(data_dir: Path) -> None:
    assert server_status(data_dir).state == "absent"
    assert list(data_dir.iterdir()) == [], "looking makes nothing"


@pytest.mark.skipif(not is_root, reason="only root runs the server as somebody else")
class TestAsRoot:
    async def test_the_server_runs_as_an_ordinary_user_who_owns_its_home(
        self, running: tuple[EmbeddedPostgres, str], data_dir: Path
    ) -> None:
        home = server_status(data_dir).home
        assert home == data_dir / "postgres"
        owner = _owner(Path(f"/proc/{_pid(data_dir)}"))
        assert owner != 0
        assert {owner} == {_owner(home / name) for name in (".", "data", "log", "run")}

    @pytest.mark.slow
    async def test_an_unreachable_data_folder_keeps_its_permissions_and_names_the_database_s_place(self, data_dir: Path) -> None:
        closed = data_dir / "closed"
        closed.mkdir(mode=0o700)
        inner = closed / "var"
        said: list[str] = []
        async with embedded_postgres(inner, profile="tests", on_progress=said.append, discard=True) as dsn:
            home = server_status(inner).home
            assert (inner / place.LOCATION_FILE).read_text().strip() == str(home)
            assert not home.is_relative_to(data_dir)
            assert closed.stat().st_mode & 0o777 == 0o700
            assert home.stat().st_mode & 0o077 == 0
            await (await asyncpg.connect(dsn)).close()
        assert any("cannot reach" in text for text in said)
        assert not home.exists()

    def test_a_copied_data_folder_does_not_get_the_original_s_database(self, data_dir: Path) -> None:
        closed = data_dir / "closed"
        closed.mkdir(mode=0o700)
        original, copy, moved = (closed / name for name in ("original", "copy", "moved"))
        home = place.find_place(original, "tests", print).home
        try:
            assert not home.is_relative_to(data_dir)
            shutil.copytree(original, copy)
            with pytest.raises(EmbeddedPostgresError, match=f"{copy} is a copy of {original} and names its database"):
                place.find_place(copy, "tests", print)
            (closed / "link").symlink_to(original)
            assert place.find_place(closed / "link", "tests", print).home == home, "the same folder by another name"
            shutil.rmtree(copy)
            original.rename(moved)
            assert place.find_place(moved, "tests", print).home == home, "a folder that was moved keeps its database"
        finally:
            shutil.rmtree(home)

    def test_a_copy_that_comes_first_after_an_upgrade_does_not_become_the_original(self, data_dir: Path) -> None:
        closed = data_dir / "closed"
        closed.mkdir(mode=0o700)
        original, copy = closed / "original", closed / "copy"
        home = place.find_place(original, "tests", print).home
        note = home / place.OWNER_FILE
        try:
            note.unlink()  # the version of before wrote none
            shutil.copytree(original, copy)
            place.find_place(copy, "tests", print)
            assert place.find_place(original, "tests", print).home == home
            with pytest.raises(EmbeddedPostgresError, match=f"{copy} is a copy of {original}"):
                place.find_place(copy, "tests", print)
        finally:
            shutil.rmtree(home)

    def test_a_full_disk_turns_nobody_away_who_asks_a_server_that_runs(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed = data_dir / "closed"
        closed.mkdir(mode=0o700)
        home = place.find_place(closed / "var", "tests", print).home

        def full(path: Path, text: str) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

        monkeypatch.setattr(place, "_write_whole", full)
        try:
            assert place.find_place(closed / "var", "tests", print).home == home
            (home / place.OWNER_FILE).unlink()
            assert place.find_place(closed / "var", "tests", print).home == home
        finally:
            shutil.rmtree(home)

    @pytest.mark.slow
    async def test_a_deleted_data_folder_begins_anew_though_its_home_was_elsewhere(self, data_dir: Path) -> None:
        closed = data_dir / "closed"
        closed.mkdir(mode=0o700)
        homes = []
        for _ in range(2):
            async with embedded_postgres(closed, profile="tests") as dsn:
                connection = await asyncpg.connect(dsn)
                await connection.execute("CREATE TABLE fact (n int)")
                await connection.close()
                homes.append(server_status(closed).home)
            (closed / place.LOCATION_FILE).unlink()
        for home in homes:
            shutil.rmtree(home)
        assert homes[0] != homes[1]

    @pytest.mark.slow
    async def test_several_starters_at_once_choose_the_same_home(self, data_dir: Path) -> None:
        closed = data_dir / "closed"
        closed.mkdir(mode=0o700)
        servers = [EmbeddedPostgres(closed, profile="tests") for _ in range(3)]
        assert len(set(await asyncio.gather(*(server.start() for server in servers)))) == 1
        await asyncio.gather(*(server.stop() for server in servers))
        embedded.discard_cluster(closed)
        assert server_status(closed).state == "absent"

    @pytest.mark.slow
    async def test_programs_out_of_reach_are_copied(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        closed = data_dir / "closed"
        closed.mkdir(mode=0o700)
        bundled = place._bundled_programs()
        place._copy_programs(bundled, closed / "site")
        unreachable = closed / "site" / bundled.relative_to(bundled.parents[1])
        monkeypatch.setattr(place, "_bundled_programs", lambda: unreachable)
        async with embedded_postgres(data_dir, profile="tests") as dsn:
            await (await asyncpg.connect(dsn)).close()
            assert _program_of(_pid(data_dir)).is_relative_to(server_status(data_dir).home)
        async with embedded_postgres(data_dir, profile="tests") as dsn:  # the copy serves again
            await (await asyncpg.connect(dsn)).close()
