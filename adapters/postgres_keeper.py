"""The process that owns an embedded PostgreSQL server: starts it, reaps it, brings it back, stops it when nobody is left.

Why a process of its own and not a child of the service: several processes share one server (the service, a second
instance, ``replay``), any of them may be killed at any moment, and the server must neither die with the one that
happened to start it nor run for ever after the last. ``embedded_postgres.py`` spawns it; it imports the standard library
only, so that it costs about 10 MB and starts in some 30 ms.

Locks, all ``flock`` on files in the server's home. The kernel drops them when their holder dies, so none is ever stale:

============== ========= ==========================================================================
``start.lock``  exclusive held while somebody starts the server, joins it, or stops it
``users.lock``  shared    held by every process for as long as it uses the server; exclusive by who stops it
``keeper.lock`` exclusive held by the living keeper: there is never a second one
============== ========= ==========================================================================

Order: start before users. The keeper never waits for ``start.lock``, it only tries it.

Linux only: who is alive is read from ``/proc`` (command lines, which root may read without any capability).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

TICK_S: Final = 0.25
"""How often the keeper looks for users when nothing wakes it."""

FIRST_STARTS: Final = 5
"""Starts in a row that may fail before the server was ever ready; then the keeper gives up and says why."""

LATER_STARTS: Final = 200
"""The same after it was ready once: a server that went down under its users is worth hours of trying (30 s apart)."""

STOP_PATIENCE_S: Final = 60.0
"""A fast shutdown ends with a checkpoint, which on a slow disk takes its time; after that, SIGQUIT (recovery next time)."""

ORPHAN_PATIENCE_S: Final = 2.0
"""Back ends notice by themselves that their postmaster was killed; those that do not within this time are told."""

PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
FAILED_FILE: Final = "keeper.failed"
KEEPER_LOG: Final = "keeper.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperOrder:
    """What to keep: the server's home, its command line, whom to run it as (None: as oneself), and for how long
    it may stand unused after its last user was killed (``linger_s``)."""

    home: str
    data: str
    argv: tuple[str, ...]
    uid: int | None
    gid: int | None
    linger_s: float

    def to_json(self) -> str:
        """The order as the keeper's only argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> KeeperOrder:
        """The order as it came on the command line."""
        fields = json.loads(text)
        return cls(**{**fields, "argv": tuple(fields["argv"])})


def open_lock(path: Path) -> int:
    """A descriptor to lock; the file is made if it is missing and never removed."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock if it is free. Closing the descriptor, or dying, gives it back."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether somebody alive holds the lock exclusively."""
    descriptor = open_lock(path)
    try:
        return not try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def users_of(home: Path) -> Literal["none", "some", "stopping"]:
    """Who uses the server: nobody, somebody, or somebody who is just stopping it."""
    descriptor = open_lock(home / "users.lock")
    try:
        if try_lock(descriptor):
            return "none"
        return "some" if try_lock(descriptor, shared=True) else "stopping"
    finally:
        os.close(descriptor)


def pid_file_lines(data: Path) -> list[str]:
    """The lines of ``postmaster.pid`` (1 pid, 5 socket folder, 8 state); empty if there is none."""
    try:
        return (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []


def live_postmaster(data: Path) -> int | None:
    """The pid of the server that serves this folder, if it lives.

    A zombie has no command line and a recycled pid has another one, so neither is taken for the server.
    """
    lines = pid_file_lines(data)
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    arguments = _command_line(pid).split("\0")
    is_it = os.path.basename(arguments[0]) == "postgres" and _serves(arguments, data)
    return pid if is_it else None


def _serves(arguments: list[str], data: Path) -> bool:
    """Whether ``-D`` names this folder; a link to it, or a way with ``..``, is another name of the same one."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return os.path.samefile(arguments[arguments.index("-D") + 1], data)
    return False


def server_state(data: Path) -> str:
    """``ready``, ``starting`` (recovery included), ``stopping``, or ``down``, as the live server's pid file has it."""
    if live_postmaster(data) is None:
        return "down"
    lines = pid_file_lines(data)
    return (lines[7].strip() if len(lines) > 7 else "") or "starting"


def socket_folder(data: Path) -> Path | None:
    """Where the live server's socket is."""
    lines = pid_file_lines(data)
    return Path(lines[4]) if len(lines) > 4 and lines[4] else None


def orphans(cluster: str) -> list[int]:
    """Server processes of this cluster by their titles (``postgres: CLUSTER: …``); after a postmaster's death, orphans."""
    title = f"postgres: {cluster}: "
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if _command_line(pid).startswith(title)]


def cluster_name(data: Path) -> str:
    """What the cluster's processes carry in their titles: the same for one folder, whatever it is called, not for another."""
    return "ms_" + hashlib.sha256(os.fsencode(os.path.realpath(data))).hexdigest()[:12]


def stop_server(data: Path, *, patience_s: float = STOP_PATIENCE_S, pause: Callable[[float], None] = time.sleep) -> None:
    """Fast shutdown, and an immediate one when that takes longer than ``patience_s``; returns when the server is gone.

    Nothing committed is lost either way. Raises TimeoutError if even SIGKILL does not end it (a dead disk).
    """
    for number, wait_s in ((signal.SIGINT, patience_s), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
        deadline = time.monotonic() + wait_s
        pid = live_postmaster(data)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        while time.monotonic() < deadline:
            if live_postmaster(data) != pid:
                return
            pause(0.01)
    raise TimeoutError(f"the database server in {data} cannot be stopped")


def last_complaint(home: Path) -> str:
    """Why the server did not start: its last FATAL or PANIC line; an empty string if it said nothing."""
    logs = sorted(home.glob("log/*.log"), key=lambda path: path.stat().st_mtime)
    for path in [home / KEEPER_LOG, *reversed(logs)]:
        with contextlib.suppress(OSError):
            for line in reversed(path.read_bytes()[-20_000:].decode("utf-8", "replace").splitlines()):
                for mark in ("FATAL:", "PANIC:", "error:"):
                    if mark in line:
                        return line[line.index(mark) + len(mark) :].strip()
                if line.startswith("postgres: "):  # before it can log
                    return line.removeprefix("postgres: ")
    return ""


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "surrogateescape")
    except OSError:  # it has gone meanwhile
        return ""


def _adopt_orphans() -> None:
    """Become the parent of whatever the server leaves behind: process 1 of a container often reaps nothing."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap_everything() -> None:
    """Reap what ends together with the server; its logger is the last, a moment after it."""
    deadline = time.monotonic() + 1.0
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.002)


class Keeper:
    """Keeps one server; ``run`` returns when there is nothing left to keep."""

    def __init__(self, order: KeeperOrder) -> None:
        self._order = order
        self._home = Path(order.home)
        self._data = Path(order.data)
        self._child: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self._was_ready = False
        self._told_to_go = False

    def run(self) -> int:
        """Keep the server until its last user is gone; the exit code is 1 if it could not be started at all."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        _adopt_orphans()
        try:
            return self._keep()
        finally:
            _reap_everything()

    def _keep(self) -> int:
        lock = open_lock(self._home / "keeper.lock")
        deadline = time.monotonic() + 2.0
        while not try_lock(lock):  # another keeper, or somebody who looks at the lock for a moment
            if time.monotonic() > deadline:
                return 0
            time.sleep(0.01)
        next_start = 0.0
        unused_since: float | None = None
        while True:
            now = time.monotonic()
            users = users_of(self._home)
            if self._reap_and_look() is None:
                if users != "some" or self._told_to_go:
                    return 0
                if self._failures >= (LATER_STARTS if self._was_ready else FIRST_STARTS):
                    return self._give_up()
                if now >= next_start:
                    self._start()
                    next_start = now + min(30.0, 0.2 * 2**self._failures)
                    self._failures += 1  # until it is ready
            elif server_state(self._data) == "ready":
                self._failures, self._was_ready = 0, True
            unused_since = None if users != "none" else unused_since or now
            if unused_since is not None and (self._told_to_go or now - unused_since >= self._order.linger_s):
                self._stop_if_unused()
            self._sleep()

    def _on_sigterm(self, _number: int, _frame: object) -> None:
        # The machine goes down, and everybody was told at once: let the users finish, then do not linger.
        self._told_to_go = True

    def _reap_and_look(self) -> int | None:
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        if self._child is not None:
            return self._child.pid
        return live_postmaster(self._data)

    def _start(self) -> None:
        if not self._clear_remains():
            return
        as_whom: dict[str, object] = {}
        if self._order.uid is not None:
            as_whom = {"user": self._order.uid, "group": self._order.gid, "extra_groups": []}
        self._child = subprocess.Popen(  # type: ignore[call-overload]
            self._order.argv,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env=server_environment(),
            start_new_session=True,
            umask=0o077,
            **as_whom,
        )

    def _clear_remains(self) -> bool:
        """Remove the pid file of a killed server, once none of its back ends is left to hurt the data.

        PostgreSQL does it itself except when the pid lives: as a zombie that nobody reaps (a container), or as a stranger.
        """
        cluster = cluster_name(self._data)
        deadline = time.monotonic() + ORPHAN_PATIENCE_S
        told = False
        while left := orphans(cluster):
            if time.monotonic() > deadline:
                if told:
                    return False
                for pid in left:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGQUIT)
                told, deadline = True, time.monotonic() + ORPHAN_PATIENCE_S
            time.sleep(0.02)
        with contextlib.suppress(FileNotFoundError):
            (self._data / "postmaster.pid").unlink()
        return True

    def _stop_if_unused(self) -> None:
        start = open_lock(self._home / "start.lock")
        users = open_lock(self._home / "users.lock")
        try:
            if try_lock(start) and try_lock(users):
                stop_server(self._data, pause=self._pause_and_reap)
        finally:
            os.close(users)
            os.close(start)

    def _pause_and_reap(self, seconds: float) -> None:
        time.sleep(seconds)
        if self._child is not None:
            self._child.poll()

    def _give_up(self) -> int:
        reason = last_complaint(self._home) or "the server ended without saying why"
        (self._home / FAILED_FILE).write_text(reason + "\n", encoding="utf-8")
        return 1

    def _sleep(self) -> None:
        """Until the next tick, or until the server ends."""
        pid = self._child.pid if self._child is not None else live_postmaster(self._data)
        try:
            watch = None if pid is None else os.pidfd_open(pid)
        except OSError:  # it has just ended, or the kernel is older than 5.3
            watch = None
        if watch is None:
            time.sleep(TICK_S / 5)
            return
        try:
            select.select([watch], [], [], TICK_S)
        finally:
            os.close(watch)


def server_environment() -> dict[str, str]:
    """What the server's programs get to see: nothing of the service's environment (it may hold secrets)."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}


if __name__ == "__main__":
    raise SystemExit(Keeper(KeeperOrder.from_json(sys.argv[1])).run())
