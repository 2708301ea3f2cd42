"""The service as a daemon: started once, stopped for certain, and its state never guessed (``./ms.sh start|stop|status``).

What can be trusted: the daemon holds an exclusive ``flock`` on ``<data_dir>/service.lock`` from before its first
instruction (it inherits the locked descriptor) until the kernel closes it, so "running" means "the lock is held", whatever
``service.pid`` says. That file holds ``pid starttime`` (field 22 of ``/proc/<pid>/stat``), and a pid counts only together
with its start time; if it was lost, the holder of the lock is looked up in ``/proc``. After a SIGKILL there is nothing to
clean up. Only after the process that listens on the health URL's port turned out to be the daemon is its 200 believed.

The daemon writes its log itself, bounded (``logs.LogFile`` at ``log_path``); what it or Python says on stdout and stderr
before that goes to ``boot.log``, anew with each start. All functions are synchronous: they serve a command line. Linux only.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from adapters.logs import mask_text
from adapters.postgres_keeper import is_locked, open_lock, try_lock

START_LIMIT_S: Final = 60.0
STOP_LIMIT_S: Final = 30.0
KILL_LIMIT_S: Final = 10.0
HEALTH_TIMEOUT_S: Final = 2.0
SAY_EVERY_S: Final = 2.0
EXIT_LAG_S: Final = 1.0
POLL_S: Final = 0.05
PID_FILE_LAG_S: Final = 2.0
"""How long a starter may take between spawning the daemon and noting its pid."""

MAX_SHOWN_LINES: Final = 10_000
MAX_HEALTH_BYTES: Final = 4_096
LOCK_FILE: Final = "service.lock"
TCP_LISTEN: Final = "0A"
_OTHER_USER: Final = "{} belongs to another user: run as that user or as root"

Say = Callable[[str], None]


class DaemonError(Exception):
    """The daemon could not be started or stopped; one line that says why and where to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """What to run and how to ask it: ``health_url`` (http) answers 200 once it is ready; ``cwd`` is its working folder.

    ``variables``: of its environment, besides ours: paths that mean another place there than here.
    """

    argv: Sequence[str]
    data_dir: Path
    health_url: str
    cwd: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def lock_path(self) -> Path:
        """Locked for as long as the daemon lives."""
        return self.data_dir / LOCK_FILE

    @property
    def pid_path(self) -> Path:
        """For people and scripts: the daemon's pid and start time."""
        return self.data_dir / "service.pid"

    @property
    def boot_log_path(self) -> Path:
        """What was said before the log was open."""
        return self.data_dir / "log" / "boot.log"

    @property
    def log_path(self) -> Path:
        """The daemon's log; ``….1`` and so on are older."""
        return log_path(self.data_dir)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """``running``: the lock is held. ``ready``: it answers 200. ``detail``: what it says otherwise, one masked line."""

    running: bool
    pid: int | None = None
    ready: bool = False
    detail: str = ""
    left_behind: bool = False

    @property
    def exit_code(self) -> int:
        """As init scripts have it: 0 running and ready, 1 running but not ready, 3 not running."""
        return 3 if not self.running else 0 if self.ready else 1

    def __str__(self) -> str:
        if not self.running:
            return "not running" + (" (it was killed: its pid file was left behind)" if self.left_behind else "")
        return f"running, pid {self.pid}, " + ("ready" if self.ready else f"not ready: {self.detail}")


def log_path(data_dir: Path) -> Path:
    """Where the daemon of this data folder keeps its log."""
    return data_dir / "log" / "service.log"


def status(daemon: Daemon) -> Status:
    """How the daemon is, right now; starts and changes nothing. Raises DaemonError if it is another user's."""
    try:
        held = daemon.lock_path.exists() and is_locked(daemon.lock_path)
    except PermissionError as error:
        raise DaemonError(_OTHER_USER.format(daemon.lock_path)) from error
    if not held:
        return Status(running=False, left_behind=daemon.pid_path.exists())
    pid = _pid(daemon)
    if pid is None:  # it has ended since
        return Status(running=False, left_behind=daemon.pid_path.exists())
    ready, detail = _health(daemon, pid)
    return Status(running=True, pid=pid, ready=ready, detail=detail)


def start(daemon: Daemon, say: Say, *, limit_s: float = START_LIMIT_S) -> Status:
    """Start the daemon and return when it is ready; if it already runs, wait for that one.

    ``say`` gets progress every two seconds. Raises DaemonError with the reason when it ends before it is ready. After
    ``limit_s`` the daemon is left to go on trying, and the returned status says what it waits for (``ready`` False).
    """
    daemon.boot_log_path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = open_lock(daemon.lock_path)
    except PermissionError as error:
        raise DaemonError(_OTHER_USER.format(daemon.lock_path)) from error
    process = None
    try:
        if try_lock(lock):
            if owner := _foreign_listener(daemon):
                raise DaemonError(f"port {urlsplit(daemon.health_url).port} is taken by {owner}: stop it or set MS_PORT")
            process = _spawn(daemon, lock)
    finally:
        os.close(lock)
    pid = process.pid if process is not None else _pid(daemon)
    if process is None:
        say(f"it is already running, pid {pid}")
    return _wait_until_ready(daemon, pid, process, say, limit_s)


def stop(daemon: Daemon, say: Say, *, limit_s: float = STOP_LIMIT_S) -> bool:
    """Stop the daemon: SIGTERM, and SIGKILL after ``limit_s``. Returns whether one was running; afterwards none is.

    Raises DaemonError if it belongs to another user or cannot be killed.
    """
    if not daemon.lock_path.exists():
        return False
    was_running = False
    for number, patience_s in ((signal.SIGTERM, limit_s), (signal.SIGKILL, KILL_LIMIT_S)):
        if not is_locked(daemon.lock_path) or (pid := _pid(daemon)) is None:
            break
        was_running = True
        if number == signal.SIGKILL:
            say(f"it did not stop within {limit_s:.0f} s and is killed (nothing acknowledged is lost)")
        _send(pid, number)
        _wait_until_unlocked(daemon, say, patience_s)
    if is_locked(daemon.lock_path):
        raise DaemonError(f"the daemon cannot be stopped; {daemon.lock_path} is held: end the process that holds it (fuser -v)")
    daemon.pid_path.unlink(missing_ok=True)
    return was_running


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a log that rotates, the newest last; from its older files too if this one is too short."""
    wanted = max(0, min(count, MAX_SHOWN_LINES))
    kept: deque[str] = deque()
    number = 0
    while len(kept) < wanted:
        file = path if number == 0 else path.with_name(f"{path.name}.{number}")
        if not file.exists():
            break
        with file.open(encoding="utf-8", errors="replace") as lines:
            kept.extendleft(reversed(deque(lines, maxlen=wanted - len(kept))))
        number += 1
    return [line.rstrip("\n") for line in kept]


def follow(path: Path, pause: Callable[[], bool]) -> Iterator[str]:
    """Whole lines that are added to a log from now on, also across its rotation.

    ``pause`` is called when there is nothing new: it waits a moment and says whether to go on.
    """
    file = path.open("rb") if path.exists() else None
    if file is not None:
        file.seek(0, os.SEEK_END)
    rest = b""
    try:
        while True:
            # Looked up before reading: what was written to a renamed file before the rename is read before it is left.
            current = path.stat().st_ino if path.exists() else None
            while file is not None and (chunk := file.read(65_536)):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in whole)
            if current is not None and (file is None or os.fstat(file.fileno()).st_ino != current):
                if file is not None:
                    file.close()
                file, rest = path.open("rb"), b""
                continue
            if not pause():
                return
    finally:
        if file is not None:
            file.close()


def is_own_daemon(data_dir: Path) -> bool:
    """Whether this very process was started as the daemon of the data folder: it has inherited the lock."""
    path = data_dir / LOCK_FILE
    return path.exists() and _has_open(os.getpid(), path)


def _spawn(daemon: Daemon, lock: int) -> subprocess.Popen[bytes]:
    descriptor = os.open(daemon.boot_log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            list(daemon.argv),
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd=daemon.cwd,
            env={**os.environ, **daemon.variables},
            start_new_session=True,
            pass_fds=[lock],
        )
    except OSError as error:
        raise DaemonError(f"{daemon.argv[0]} cannot be run: {error.strerror}") from error
    finally:
        os.close(descriptor)
    unfinished = daemon.pid_path.with_name(f"{daemon.pid_path.name}.{os.getpid()}")
    unfinished.write_text(f"{process.pid} {_start_time(process.pid)}\n", encoding="ascii")
    unfinished.replace(daemon.pid_path)
    return process


def _wait_until_ready(daemon: Daemon, pid: int | None, process: subprocess.Popen[bytes] | None, say: Say, limit_s: float) -> Status:
    began = told = time.monotonic()
    while True:
        if (process is not None and process.poll() is not None) or not is_locked(daemon.lock_path):
            code = _exit_code(process)
            daemon.pid_path.unlink(missing_ok=True)
            raise DaemonError(f"the service did not start ({code}): {_why(daemon)}")
        ready, detail = _health(daemon, pid) if pid is not None else (False, "its pid is not known yet")
        now = time.monotonic()
        if ready or now - began >= limit_s:
            return Status(running=True, pid=pid, ready=ready, detail=detail)
        if now - told >= SAY_EVERY_S:
            told = now
            say(f"waiting for the service, {now - began:.0f} s so far: {detail}")
        pid = pid if pid is not None else _pid(daemon)
        time.sleep(POLL_S)


def _exit_code(process: subprocess.Popen[bytes] | None) -> str:
    """How it ended. The kernel takes a process's files, the lock among them, a moment before it tells the exit code."""
    if process is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return f"exit code {process.wait(EXIT_LAG_S)}"
    return "it ended"


def _wait_until_unlocked(daemon: Daemon, say: Say, limit_s: float) -> None:
    began = told = time.monotonic()
    while is_locked(daemon.lock_path):
        now = time.monotonic()
        if now - began >= limit_s:
            return
        if now - told >= SAY_EVERY_S:
            told = now
            say(f"waiting for the service to finish, {now - began:.0f} s so far")
        time.sleep(POLL_S)


def _why(daemon: Daemon) -> str:
    """The last thing the daemon said before it ended, for a person: one line without numbers or secrets."""
    said = [line for line in last_lines(daemon.boot_log_path, 50) if line.strip()]
    if said:
        where = f" (more in {daemon.boot_log_path})" if len(said) > 1 else ""
        return mask_text(said[-1].strip()) + where
    for line in reversed(last_lines(daemon.log_path, 50)):
        with contextlib.suppress(ValueError):
            fact = json.loads(line)
            if isinstance(fact, dict) and fact.get("level") in ("error", "critical"):
                return f"{fact.get('event')}: {fact.get('reason', '')} (more in {daemon.log_path})"
    return f"it said nothing; see {daemon.boot_log_path} and {daemon.log_path}"


def _pid(daemon: Daemon) -> int | None:
    """The daemon's pid, certain: from the pid file if that very process lives, else whoever holds the lock."""
    deadline = time.monotonic() + PID_FILE_LAG_S
    while is_locked(daemon.lock_path):
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid, started = map(int, daemon.pid_path.read_text(encoding="ascii").split())
            if _start_time(pid) == started:
                return pid
        if time.monotonic() >= deadline:
            return _holder(daemon.lock_path)
        time.sleep(POLL_S)
    return None


def _start_time(pid: int) -> int | None:
    """When the process began, in clock ticks since boot; None for a process that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _holder(lock_path: Path) -> int | None:
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return next((pid for pid in pids if pid != os.getpid() and _has_open(pid, lock_path)), None)


def _has_open(pid: int, path: Path) -> bool:
    wanted = os.stat(path)
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(f"/proc/{pid}/fd/{descriptor}"), wanted):
                    return True
    return False


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # it has just ended
    except PermissionError as error:
        raise DaemonError(f"the daemon (pid {pid}) belongs to another user: run as that user or as root") from error


def _health(daemon: Daemon, pid: int) -> tuple[bool, str]:
    """Whether the daemon answers 200 itself, and what it says if not."""
    url = urlsplit(daemon.health_url)
    connection = http.client.HTTPConnection(url.hostname or "127.0.0.1", url.port, timeout=HEALTH_TIMEOUT_S)
    try:
        own = _sockets(pid)
        if not _listeners(url.port or 80) & own:
            elsewhere = sorted({port for inode, port in _listening() if inode in own})
            port = f"port {', '.join(map(str, elsewhere))}, not {url.port}: restart it, or correct MS_PORT"
            return False, f"it listens on {port}" if elsewhere else "it does not listen yet"
        connection.request("GET", url.path or "/")
        answer = connection.getresponse()
        body = answer.read(MAX_HEALTH_BYTES)
    except (OSError, http.client.HTTPException) as error:
        return False, f"it does not answer ({type(error).__name__})"
    finally:
        connection.close()
    return answer.status == 200, f"it answers {answer.status}{_said(body)}"


def _said(body: bytes) -> str:
    try:
        told = json.loads(body)
    except ValueError:
        return ""
    words = [str(told[key]) for key in ("error", "reason", "status") if told.get(key)] if isinstance(told, dict) else []
    return f": {mask_text(words[0])[:200]}" if words else ""


def _listeners(port: int) -> set[str]:
    """The inodes of the sockets that listen on a port, whatever the address."""
    return {inode for inode, taken in _listening() if taken == port}


def _listening() -> set[tuple[str, int]]:
    """The inodes of all sockets that listen, with their ports."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == TCP_LISTEN:
                    found.add((fields[9], int(fields[1].rpartition(":")[2], 16)))
    return found


def _sockets(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


def _foreign_listener(daemon: Daemon) -> str:
    """Who already listens where the daemon is to listen; an empty string if nobody does."""
    url = urlsplit(daemon.health_url)
    listening = _listeners(url.port or 80)
    if not listening:
        return ""
    connection = http.client.HTTPConnection(url.hostname or "127.0.0.1", url.port, timeout=HEALTH_TIMEOUT_S)
    try:
        connection.connect()
    except OSError:
        return ""  # on another address
    finally:
        connection.close()
    for name in os.listdir("/proc"):
        if name.isdigit() and _sockets(int(name)) & listening:
            return f"another program, pid {name}"
    return "another program"
