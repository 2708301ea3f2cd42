"""The commands ``start``, ``stop``, ``status`` and ``logs``, as ``server.py`` hands them on: sentences in, exit codes out.

How a daemon is started, recognised and stopped is in ``daemon_process.py``. The exit codes are those of init scripts:
0 done (``status``: running and ready), 1 failed (``status``: running but not ready), 3 (``status``) not running.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from adapters import daemon_process as process
from adapters.command_line import in_one_line
from adapters.daemon_process import Daemon, DaemonError
from adapters.embedded_postgres import is_absent
from adapters.environment import Environment
from adapters.logs import LogFile
from adapters.status import in_words

Echo = Callable[[str], object]

FOLLOW_EVERY_S: Final = 0.3

STATUS_PATH: Final = "/internal/ms/status"
STATUS_TIMEOUT_S: Final = 5.0
MAX_STATUS_BYTES: Final = 1_000_000


def start(argv: Sequence[str], env: Environment, echo: Echo, *, limit_s: float = process.START_LIMIT_S) -> int:
    """Start ``argv`` as the daemon of ``env.data_dir``; returns once ``/healthz`` answers 200, or says why it does not."""
    daemon = _daemon(env, argv)
    try:
        is_new = env.database_url is None and is_absent(env.data_dir)
        status = process.start(daemon, lambda text: _tell(echo, text), limit_s=limit_s)
    except DaemonError as error:
        echo(str(error))
        return 1
    except OSError as error:
        echo(f"MS_DATA_DIR: {env.data_dir} cannot be used ({in_one_line(error)}); give a folder that may be written to")
        return 1
    not_yet = f"started, pid {status.pid}, but not ready yet: {status.detail}; it goes on trying (./ms.sh status)"
    echo(f"started, pid {status.pid}: {env.local_url} (log: {daemon.log_path})" if status.ready else not_yet)
    if is_new and not is_absent(env.data_dir):
        echo(f"a new, empty database was made in {env.data_dir}; if there should be earlier calls in it, correct MS_DATA_DIR")
    return 0 if status.ready else 1


def stop(env: Environment, echo: Echo, *, limit_s: float = process.STOP_LIMIT_S) -> int:
    """Stop the daemon; not running counts as stopped, running in the foreground does not: a copy of the data would be torn."""
    try:
        was_running = process.stop(_daemon(env), lambda text: _tell(echo, text), limit_s=limit_s)
    except DaemonError as error:
        echo(str(error))
        return 1
    if not was_running and _in_the_foreground(env) is not None:
        echo(f"it runs in the foreground ({env.local_url}): end it where ./ms.sh serve was started, or through its supervisor")
        return 1
    echo("stopped" if was_running else "it was not running")
    return 0


def status(env: Environment, echo: Echo) -> int:
    """Say in one line whether the daemon runs and is ready; then, in a few more, what it says of itself and the others."""
    try:
        found = process.status(_daemon(env))
    except DaemonError as error:
        echo(str(error))
        return 1
    if not found.running and (told := _in_the_foreground(env)) is not None:
        echo(f"ready, not as a daemon but in the foreground (./ms.sh serve): {env.local_url}")
        for line in _lines(told):
            echo(line)
        return 0
    echo(str(found))
    if found.ready:
        for line in _details(env):
            echo(line)
    return found.exit_code


def _in_the_foreground(env: Environment) -> Mapping[str, Any] | None:
    """What the service says of itself that a supervisor keeps on this port and this data; None where there is none, or it waits."""
    try:
        told = _ask(env)
        named = (told["database"]["folder"], "" if env.database_url else str(env.data_dir))
        folder, own = (name and os.path.realpath(name) for name in named)  # a link to a folder is another name of it
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None
    return told if folder == own else None


def _details(env: Environment) -> Iterator[str]:
    """Instances, backlog, accounts in trouble, parked calls; or why that is not known. Never changes the exit code."""
    try:
        told = _ask(env)
    except (OSError, http.client.HTTPException, ValueError) as error:
        yield f"it tells no more: {str(error) or type(error).__name__}"
    else:
        yield from _lines(told)


def _lines(told: Mapping[str, Any]) -> Sequence[str]:
    try:
        return list(in_words(told))
    except (KeyError, TypeError, AttributeError, ValueError):
        return ["it tells no more: its answer is that of another version"]


def _ask(env: Environment) -> Mapping[str, Any]:
    """What the daemon answers. Raises OSError, HTTPException or ValueError (it answers something else)."""
    url = urlsplit(env.local_url)
    connection = http.client.HTTPConnection(url.hostname or "127.0.0.1", url.port, timeout=STATUS_TIMEOUT_S)
    headers = {"Authorization": f"Bearer {env.internal_token}"} if env.internal_token else {}
    try:
        connection.request("GET", STATUS_PATH, headers=headers)
        answer = connection.getresponse()
        body = answer.read(MAX_STATUS_BYTES)
    finally:
        connection.close()
    if answer.status != 200:
        raise ValueError(f"{STATUS_PATH} answers {answer.status}")
    told = json.loads(body)
    if not isinstance(told, Mapping):
        raise ValueError(f"{STATUS_PATH} answers something else")
    return told


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
    # A relative path is the caller's; the daemon works in another folder.
    paths = {"MS_DATA_DIR": env.data_dir, "MS_PBX_FILE": env.pbx_file}
    variables = {name: str(path) for name, path in paths.items() if path is not None}
    return Daemon(argv=argv, data_dir=env.data_dir, health_url=f"{env.local_url}/healthz", cwd=root, variables=variables)


def _tell(echo: Echo, text: str) -> None:
    echo(text)


def _pause() -> bool:
    time.sleep(FOLLOW_EVERY_S)
    return True
