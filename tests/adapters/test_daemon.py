"""The commands' sentences and exit codes; the mechanism is tested in test_daemon_process.py."""

from __future__ import annotations

import http.server
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters import daemon
from adapters.environment import Environment

ROOT = Path(__file__).resolve().parents[2]

SERVICE = """
import http.server, os, sys
from adapters import daemon
from adapters.environment import Environment
from adapters.logs import configure_logs
import structlog
env = Environment.from_env(os.environ)
if len(sys.argv) > 1:
    sys.exit(sys.argv[1])
configure_logs(env.log_level, sink=daemon.log_sink(env))
structlog.get_logger("server").info("ready", caller="+375290000001")
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        if self.path == "/internal/ms/status":
            self.wfile.write(os.environ.get("STATUS", "").encode())
    def log_message(self, *args):
        pass
http.server.HTTPServer((env.host, env.port), Answers).serve_forever()
"""
ARGV = [sys.executable, "-c", SERVICE]


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    """A data folder and a port of this test's own; the daemon is stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    monkeypatch.setenv("MS_PORT", str(port))
    monkeypatch.setenv("MS_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    environment = Environment(port=port, data_dir=tmp_path / "var")
    yield environment
    daemon.stop(environment, lambda _text: None, limit_s=5)


def test_a_start_says_that_a_new_database_was_made(env: Environment) -> None:
    made = f"import pathlib\ncluster = pathlib.Path({str(env.data_dir / 'postgres' / 'data')!r})\n"
    made += "cluster.mkdir(parents=True, exist_ok=True)\n(cluster / 'PG_VERSION').touch()\n"
    argv, new = [sys.executable, "-c", made + SERVICE], "if there should be earlier calls in it, correct MS_DATA_DIR"
    for expected in (True, False):
        said: list[str] = []
        assert daemon.start(argv, env, said.append) == 0
        assert daemon.stop(env, said.append) == 0
        assert (f"a new, empty database was made in {env.data_dir}; {new}" in said) is expected


def test_a_data_folder_that_cannot_be_made_is_one_line(env: Environment) -> None:
    said: list[str] = []
    assert daemon.start(ARGV, replace(env, data_dir=Path("/proc/x")), said.append) == 1
    (line,) = said
    assert line.startswith("MS_DATA_DIR: /proc/x cannot be used (No such file or directory")


def test_a_relative_folder_is_the_callers(env: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MS_DATA_DIR", "var")
    monkeypatch.setenv("MS_PBX_FILE", "pbx.toml")
    Path("pbx.toml").touch()
    said: list[str] = []
    assert daemon.start(ARGV, Environment.from_env(os.environ), said.append) == 0
    assert (tmp_path / "var/log/service.log").exists()
    assert daemon.stop(env, said.append) == 0


def test_one_that_runs_on_another_port_is_said_to(env: Environment) -> None:
    said: list[str] = []
    assert daemon.start(ARGV, env, said.append) == 0
    other = replace(env, port=env.port - 1)
    assert daemon.status(other, said.append) == 1
    assert f"not ready: it listens on port {env.port}, not {other.port}: restart it, or correct MS_PORT" in said[-1]


@pytest.mark.parametrize("own", ["itself", "linked", ""])
def test_a_service_in_the_foreground_is_not_said_to_be_down(env: Environment, own: str) -> None:
    folder = env.data_dir if own == "itself" else env.data_dir.parent / "other"
    if own == "linked":
        env.data_dir.mkdir()
        folder.symlink_to(env.data_dir)
    told = {"now_ms": 0, "database": {"state": "ready", "folder": str(folder)}, "nodes": [{"id": "a", "address": "here"}]}

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

        def log_message(self, *_arguments: object) -> None:
            """Nobody listens."""

    said: list[str] = []
    with http.server.HTTPServer((env.host, env.port), Answers) as service:
        threading.Thread(target=service.serve_forever, args=(0.05,), daemon=True).start()
        assert daemon.status(env, said.append) == (0 if own else 3)
        assert daemon.stop(env, said.append) == (1 if own else 0)
        service.shutdown()
    if own:
        assert said[0] == f"ready, not as a daemon but in the foreground (./ms.sh serve): {env.local_url}"
        assert "instances  1: here" in said
        assert said[-1].startswith(f"it runs in the foreground ({env.local_url}): ")
    else:
        assert said == ["not running", "it was not running"]


def test_a_day_in_the_life_of_a_daemon(env: Environment) -> None:
    said: list[str] = []
    assert daemon.status(env, said.append) == 3
    assert daemon.start(ARGV, env, said.append) == 0
    assert daemon.status(env, said.append) == 0
    assert daemon.logs(env, said.append, lines=1) == 0
    assert daemon.stop(env, said.append) == 0
    assert daemon.stop(env, said.append) == 0
    assert daemon.status(env, said.append) == 3
    not_running, started, running, more, logged, stopped, again, at_last = said
    assert more.startswith("it tells no more: ")
    assert not_running == at_last == "not running"
    assert started.startswith("started, pid ")
    assert f"http://127.0.0.1:{env.port}" in started
    assert running.endswith("ready")
    assert json.loads(logged)["caller"] == "+37529***0001"
    assert (stopped, again) == ("stopped", "it was not running")


def test_a_failed_start_is_one_sentence(env: Environment) -> None:
    said: list[str] = []
    assert daemon.start([*ARGV, "MS_PORT: is no port; give one"], env, said.append) == 1
    assert said == ["the service did not start (exit code 1): MS_PORT: is no port; give one"]


def test_not_ready_in_time_is_said_and_is_not_a_success(env: Environment) -> None:
    said: list[str] = []
    assert daemon.start(ARGV, env, said.append, limit_s=0.0) == 1
    assert "not ready yet" in said[-1]


def test_no_log_yet(env: Environment) -> None:
    said: list[str] = []
    assert daemon.logs(env, said.append) == 1
    assert "there is no log yet" in said[0]


def test_following_shows_the_last_lines_and_what_comes_then(env: Environment) -> None:
    path = env.data_dir / "log" / "service.log"
    path.parent.mkdir(parents=True)
    path.write_text("one\ntwo\n")
    said: list[str] = []
    more = iter([True, False])

    def pause() -> bool:
        with path.open("a") as file:
            file.write("three\n")
        return next(more)

    assert daemon.logs(env, said.append, follow=True, lines=1, pause=pause) == 0
    assert said == ["two", "three"]


def test_only_the_daemon_writes_the_daemon_s_log(env: Environment) -> None:
    assert daemon.log_sink(env) is None
    assert daemon.start(ARGV, env, lambda _text: None) == 0
    assert daemon.log_sink(env) is None
    assert daemon.log_sink(replace(env, data_dir=env.data_dir / "other")) is None


STATUS = {
    "node": "n1",
    "now_ms": 1_000,
    "database": {"state": "ready", "reason": ""},
    "nodes": [{"id": "n1", "address": "10.0.0.1:8023"}],
    "backlog": {"calls": 0},
    "parked": {"calls": 2},
    "accounts": [],
}


def test_a_ready_service_tells_more_of_itself(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATUS", json.dumps(STATUS))
    assert daemon.start(ARGV, env, lambda _text: None) == 0
    said: list[str] = []
    assert daemon.status(env, said.append) == 0
    assert said[0].endswith("ready")
    assert said[1:] == [
        "instances  1: 10.0.0.1:8023 (this one)",
        "backlog    no call waits",
        "accounts   all well",
        "parked     2 of the calls need a person: ./ms.sh parked",
    ]


@pytest.mark.parametrize("odd", ["[]", "not json", '{"backlog": 5}'])
def test_an_answer_that_is_not_understood_costs_no_exit_code(
    env: Environment, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    monkeypatch.setenv("STATUS", odd)
    assert daemon.start(ARGV, env, lambda _text: None) == 0
    said: list[str] = []
    assert daemon.status(env, said.append) == 0
    assert said[1].startswith("it tells no more: ")
