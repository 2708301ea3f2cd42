"""The commands ``start``, ``stop``, ``status`` and ``logs``, as ``server.py`` hands them on: sentences in, exit codes out.

How a daemon is started, recognised and stopped is in ``daemon_process.py``. The exit codes are those of init scripts:
0 done (``status``: running and ready), 1 failed (``status``: running but not ready), 3 (``status``) not running.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from adapters import daemon_process as process
from adapters.daemon_process import Daemon, DaemonError
from adapters.environment import Environment
from adapters.logs import LogFile

Echo = Callable[[str], object]

FOLLOW_EVERY_S: Final = 0.3


def start(argv: Sequence[str], env: Environment, echo: Echo, *, limit_s: float = process.START_LIMIT_S) -> int:
    """Start ``argv`` as the daemon of ``env.data_dir``; returns once ``/healthz`` answers 200, or says why it does not."""
    daemon = _daemon(env, argv)
    try:
        status = process.start(daemon, lambda text: _tell(echo, text), limit_s=limit_s)
    except DaemonError as error:
        echo(str(error))
        return 1
    if status.ready:
        echo(f"started, pid {status.pid}: {env.local_url} (log: {daemon.log_path})")
        return 0
    echo(f"started, pid {status.pid}, but not ready yet: {status.detail}; it goes on trying (./ms.sh status)")
    return 1


def stop(env: Environment, echo: Echo, *, limit_s: float = process.STOP_LIMIT_S) -> int:
    """Stop the daemon; not running counts as stopped."""
    try:
        was_running = process.stop(_daemon(env), lambda text: _tell(echo, text), limit_s=limit_s)
    except DaemonError as error:
        echo(str(error))
        return 1
    echo("stopped" if was_running else "it was not running")
    return 0


def status(env: Environment, echo: Echo) -> int:
    """Say in one line whether the daemon runs and is ready."""
    try:
        found = process.status(_daemon(env))
    except DaemonError as error:
        echo(str(error))
        return 1
    echo(str(found))
    return found.exit_code


def logs(
    env: Environment,
    echo: Echo,
    *,
    follow: bool = False,
    lines: int = 100,
    pause: Callable[[], bool] | None = None,
) -> int:
    """Show the last lines of the daemon's log and, if asked, what comes then, until interrupted (``pause`` says no)."""
    path = process.log_path(env.data_dir)
    try:
        for line in process.last_lines(path, lines):
            echo(line)
        if follow:
            for line in process.follow(path, pause or _pause):
                echo(line)
        elif not path.exists():
            echo(f"there is no log yet: {path}")
            return 1
    except PermissionError:
        echo(f"{path} belongs to another user: run as that user or as root")
        return 1
    except KeyboardInterrupt:  # how a person ends following
        return 0
    return 0


def log_sink(env: Environment) -> LogFile | None:
    """Where the service writes its log if it was started as the daemon; None in the foreground (standard error)."""
    return LogFile(process.log_path(env.data_dir)) if process.is_own_daemon(env.data_dir) else None


def _daemon(env: Environment, argv: Sequence[str] = ()) -> Daemon:
    root = Path(__file__).resolve().parent.parent
    return Daemon(argv=argv, data_dir=env.data_dir, health_url=f"{env.local_url}/healthz", cwd=root)


def _tell(echo: Echo, text: str) -> None:
    echo(text)


def _pause() -> bool:
    time.sleep(FOLLOW_EVERY_S)
    return True
