"""A real daemon process: started, asked, stopped, killed, and never mistaken for another."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters import daemon_process as module
from adapters.daemon_process import Daemon, DaemonError, follow, last_lines, start, status, stop

SERVICE = """
import http.server, json, os, signal, sys
from pathlib import Path
port, mode, flag = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
if mode == "fails":
    sys.exit("MS_PORT: 'eighty' is not a port; give a whole number")
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = mode != "never" and (mode != "waits" or flag.exists())
        body = json.dumps({"error": "waiting for the database of +375290000001"}).encode()
        self.send_response(200 if ready else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
http.server.HTTPServer(("127.0.0.1", port), Answers).serve_forever()
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


MakeDaemon = Callable[[str], Daemon]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeDaemon]:
    """Daemons of the given mode in one data folder; whatever is left of them is ended."""
    port = _free_port()

    def make_daemon(mode: str = "plain") -> Daemon:
        return Daemon(
            argv=[sys.executable, "-S", "-c", SERVICE, str(port), mode, str(tmp_path / "flag")],
            data_dir=tmp_path / "var",
            health_url=f"http://127.0.0.1:{port}/healthz",
            cwd=tmp_path,
        )

    yield make_daemon
    left = make_daemon("plain")
    if left.lock_path.exists():
        stop(left, _quiet, limit_s=0.1)


def _quiet(_text: str) -> None:
    """Nobody listens."""


def _kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def test_start_returns_when_it_is_ready_and_stop_when_it_is_gone(make: MakeDaemon) -> None:
    daemon = make("plain")
    assert status(daemon) == module.Status(running=False)
    started = start(daemon, _quiet)
    assert started.ready
    assert started == status(daemon)
    assert str(started) == f"running, pid {started.pid}, ready"
    assert started.exit_code == 0
    assert daemon.pid_path.read_text().split()[0] == str(started.pid)
    assert stop(daemon, _quiet) is True
    assert (status(daemon).running, status(daemon).exit_code) == (False, 3)
    assert not daemon.pid_path.exists()
    assert stop(daemon, _quiet) is False


def test_starting_twice_keeps_the_first(make: MakeDaemon) -> None:
    daemon = make("plain")
    first = start(daemon, _quiet)
    said: list[str] = []
    assert start(daemon, said.append) == first
    assert said == [f"it is already running, pid {first.pid}"]


def test_several_starters_at_once_get_one_daemon(make: MakeDaemon) -> None:
    daemon = make("plain")
    results: list[module.Status] = []
    threads = [threading.Thread(target=lambda: results.append(start(daemon, _quiet))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert len({result.pid for result in results}) == 1


def test_what_was_stopped_starts_again_as_another_process(make: MakeDaemon) -> None:
    daemon = make("plain")
    first = start(daemon, _quiet)
    stop(daemon, _quiet)
    second = start(daemon, _quiet)
    assert second.ready
    assert second.pid != first.pid


def test_a_killed_daemon_is_not_running_and_starts_again(make: MakeDaemon) -> None:
    daemon = make("plain")
    first = start(daemon, _quiet)
    _kill(first.pid)
    module._wait_until_unlocked(daemon, _quiet, 10)
    now = status(daemon)
    assert (now.running, now.left_behind) == (False, True)
    assert "killed" in str(now)
    assert start(daemon, _quiet).ready


def test_a_pid_file_that_names_a_stranger_is_not_believed(make: MakeDaemon) -> None:
    daemon = make("plain")
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        daemon.data_dir.mkdir()
        daemon.lock_path.touch()
        daemon.pid_path.write_text(f"{stranger.pid} 1\n")
        assert status(daemon).running is False
        assert stop(daemon, _quiet) is False
        assert stranger.poll() is None, "the stranger was left alone"
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("content", [None, "", "nonsense", "1 1"])
def test_a_lost_pid_file_does_not_hide_the_daemon(make: MakeDaemon, content: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PID_FILE_LAG_S", 0.0)
    daemon = make("plain")
    started = start(daemon, _quiet)
    daemon.pid_path.unlink()
    if content is not None:
        daemon.pid_path.write_text(content)
    assert status(daemon) == started
    assert stop(daemon, _quiet) is True
    assert status(daemon).running is False


def test_a_service_that_ends_says_why(make: MakeDaemon) -> None:
    with pytest.raises(DaemonError) as caught:
        start(make("fails"), _quiet)
    text = str(caught.value)
    assert text == "the service did not start (exit code 1): MS_PORT: 'eighty' is not a port; give a whole number"
    assert status(make("fails")) == module.Status(running=False)


def test_its_exit_code_is_told_though_its_lock_is_gone_before(make: MakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess.Popen, "poll", lambda self: self.returncode)  # as if it was still ending
    with pytest.raises(DaemonError, match=r"^the service did not start \(exit code 1\)"):
        start(make("fails"), _quiet)


def test_a_program_that_does_not_exist_says_so(make: MakeDaemon) -> None:
    daemon = replace(make("plain"), argv=["/nonexistent/program"])
    with pytest.raises(DaemonError, match="cannot be run"):
        start(daemon, _quiet)
    assert status(daemon).running is False


def test_progress_is_told_until_it_is_ready(make: MakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAY_EVERY_S", 0.0)
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if "503" in text:
            (tmp_path / "flag").touch()

    assert start(make("waits"), say).ready
    assert said[-1].endswith("it answers 503: waiting for the database of +37529***0001")


def test_what_is_not_ready_in_time_is_left_to_go_on(make: MakeDaemon) -> None:
    daemon = make("never")
    # The limit is counted from the spawn; wait for its first answer so that the status has something to tell.
    start(daemon, _quiet, limit_s=0.0)
    deadline = time.monotonic() + 20
    while "503" not in (now := status(daemon)).detail:
        assert time.monotonic() < deadline
    assert (now.running, now.ready, now.exit_code) == (True, False, 1)
    assert "not ready: it answers 503" in str(now)


def test_one_that_does_not_listen_to_sigterm_is_killed(make: MakeDaemon) -> None:
    daemon = make("stubborn")
    start(daemon, _quiet)
    said: list[str] = []
    assert stop(daemon, said.append, limit_s=0.2) is True
    assert "killed" in said[-1]
    assert status(daemon).running is False


def test_another_program_on_the_port_is_not_taken_for_the_daemon(make: MakeDaemon) -> None:
    daemon = make("plain")
    port = int(daemon.health_url.rsplit(":", 1)[1].split("/")[0])
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(DaemonError, match=f"port {port} is taken by another program, pid {os.getpid()}"):
            start(daemon, _quiet)
        assert status(daemon).running is False
        assert module._health(daemon, os.getppid()) == (False, "it does not listen yet")


def test_the_last_lines_come_from_older_files_too(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    (tmp_path / "service.log.2").write_text("1\n2\n")
    (tmp_path / "service.log.1").write_text("3\n4\n")
    path.write_text("5\n")
    assert last_lines(path, 1) == ["5"]
    assert last_lines(path, 4) == ["2", "3", "4", "5"]
    assert last_lines(path, 99) == ["1", "2", "3", "4", "5"]
    assert last_lines(path, 0) == last_lines(tmp_path / "none", 5) == []


def test_following_a_log_loses_no_line_when_it_rotates(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    path.write_text("before\n")
    steps: list[Callable[[], object]] = [
        lambda: path.open("a").write("one\nhalf"),
        lambda: path.open("a").write(" done\n"),
        lambda: (path.open("a").write("last of the old\n"), path.rename(tmp_path / "service.log.1")),
        lambda: path.write_text("first of the new\n"),
    ]

    def pause() -> bool:
        if not steps:
            return False
        steps.pop(0)()
        return True

    assert list(follow(path, pause)) == ["one", "half done", "last of the old", "first of the new"]


def test_following_a_log_that_does_not_exist_yet(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    turns = iter([lambda: path.write_text("hello\n")])

    def pause() -> bool:
        turn = next(turns, None)
        return turn is not None and bool(turn())

    assert list(follow(path, pause)) == ["hello"]
