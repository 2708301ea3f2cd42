"""ms.sh in a copy of its surroundings: what it says, what it installs and when, and what it hands on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LOCK = "one==1.0 \\\n    --hash=sha256:00\ntwo==2.0 \\\n    --hash=sha256:00\n"

SERVER = """
import os, sys
print("server", *sys.argv[1:], "data:", os.environ["MS_DATA_DIR"], "cwd:", os.getcwd(), "path:", os.environ.get("PYTHONPATH"))
sys.exit(7)
"""

PYTHON = """#!/usr/bin/env bash
here=$(dirname "${BASH_SOURCE[0]}")
if [ "$1 $2" = "-m pip" ]; then
    echo "$*" >>"$here/pip-calls"
    [ ! -e "$here/pip-fails" ] || { echo "ERROR: no matching distribution for two" >&2; exit 1; }
    printf 'Collecting one==1.0 (from -r x)\\nProcessing /files/two-2.0.whl\\nInstalling collected packages: one, two\\n'
elif [ "$1 $2" = "-m venv" ]; then
    mkdir -p "$3/bin" && cp "${BASH_SOURCE[0]}" "$3/bin/python"
elif [ "$1" = -c ] && [ -e "$here/version" ] && [[ $2 == *"%d.%d"* ]]; then
    cat "$here/version"
elif [ "$1" = -c ] && [ -e "$here/no-venv" ] && [[ $2 == *ensurepip* ]]; then
    exit 1
else
    exec REAL "$@"
fi
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with our ms.sh, small locks, and a server that says what it was given."""
    folder = tmp_path / "check out"
    folder.mkdir()
    shutil.copy(ROOT / "ms.sh", folder)
    (folder / "requirements.lock").write_text(LOCK)
    (folder / "requirements-dev.lock").write_text(LOCK + "three==3.0\n")
    (folder / "server.py").write_text(SERVER)
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder of programs in which `python3` is one that notes what pip is asked for."""
    folder = tmp_path / "programs"
    folder.mkdir()
    python = folder / "python3"
    python.write_text(PYTHON.replace("REAL", sys.executable))
    python.chmod(0o755)
    return folder


@pytest.fixture
def run(checkout: Path, path: Path, tmp_path: Path) -> Run:
    """Runs the copy's ms.sh from somewhere else."""

    def run_it(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{path}:/usr/bin:/bin", "HOME": str(tmp_path), **variables}
        command = [str(checkout / "ms.sh"), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60)

    return run_it


def pip_calls(checkout: Path) -> list[str]:
    """What pip was asked for."""
    calls = checkout / ".venv/bin/pip-calls"
    return calls.read_text().splitlines() if calls.exists() else []


@pytest.mark.parametrize("arguments", [(), ("help",), ("-h",), ("--help",)])
def test_usage_lists_every_command_and_installs_nothing(run: Run, checkout: Path, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 0
    for command in (
        "demo", "test", "serve", "start", "stop", "restart", "status", "logs",
        "sandbox", "migrate", "replay", "parked", "retry", "rebuild", "doctor", "export", "bench", "mutants",
    ):  # fmt: skip
        assert command in done.stdout.replace(",", " ").split()
    assert not (checkout / ".venv").exists()


@pytest.mark.slow
def test_every_command_of_the_server_is_handed_on(run: Run) -> None:
    server = [sys.executable, str(ROOT / "server.py"), "--help"]
    shown = subprocess.run(server, capture_output=True, text=True, check=True, timeout=60)
    commands = re.findall(r"^  ([a-z-]+)  ", shown.stdout.split("Commands:")[1], re.MULTILINE)
    assert {"serve", "archive"} <= set(commands)
    refused = [name for name in commands if not run(name).stdout.startswith(f"server {name} ")]
    assert refused == []


def test_an_unknown_command_is_one_line_and_installs_nothing(run: Run, checkout: Path) -> None:
    done = run("frobnicate")
    assert done.returncode == 2
    assert done.stderr == "ms.sh: there is no command 'frobnicate'; ./ms.sh without arguments lists them\n"
    assert not (checkout / ".venv").exists()


def test_the_first_time_installs_with_progress_and_then_hands_on(run: Run, checkout: Path, tmp_path: Path) -> None:
    first = run("replay", "0367", "a b", "--json", PYTHONPATH="/nowhere")
    data = checkout / "var"
    assert first.stdout == f"server replay 0367 a b --json data: {data} cwd: {tmp_path} path: None\n"
    assert first.returncode == 7, "the service's exit code is the script's"
    assert "making the Python environment" in first.stderr
    assert "installing up to 2 packages from requirements.lock" in first.stderr
    assert "unpacking 2 packages" in first.stderr
    (call,) = pip_calls(checkout)
    assert "--require-hashes" in call
    assert call.endswith("/requirements.lock")
    second = run("status")
    assert second.stderr == ""
    assert len(pip_calls(checkout)) == 1


def test_a_changed_lock_is_installed_again_and_an_interrupted_installation_too(run: Run, checkout: Path) -> None:
    run("status")
    (checkout / "requirements.lock").write_text(LOCK + "four==4.0\n")
    assert "installing up to 3 packages" in run("status").stderr
    (checkout / ".venv/ms.stamp").unlink()
    run("status")
    assert len(pip_calls(checkout)) == 3


def test_a_broken_environment_is_made_anew(run: Run, checkout: Path) -> None:
    run("status")
    python = checkout / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/nonexistent/python")
    done = run("status")
    assert "making the Python environment" in done.stderr
    assert done.stdout.startswith("server status")


def test_a_failed_installation_says_why_and_is_tried_again(run: Run, checkout: Path) -> None:
    run("status")
    fails = checkout / ".venv/bin/pip-fails"
    fails.touch()
    (checkout / "requirements.lock").write_text(LOCK + "four==4.0\n")
    failed = run("status")
    assert failed.returncode == 1
    assert "no matching distribution for two" in failed.stderr
    assert failed.stdout == ""
    fails.unlink()
    assert run("status").stdout.startswith("server status")


@pytest.mark.slow
def test_only_test_installs_the_tools_and_they_serve_for_everything(run: Run, checkout: Path) -> None:
    run("test")
    assert pip_calls(checkout)[0].endswith("/requirements-dev.lock")
    run("status")
    assert len(pip_calls(checkout)) == 1


@pytest.mark.parametrize(("command", "module"), [("bench", "bench"), ("mutants", "tests/mutants")])
@pytest.mark.slow
def test_what_is_no_part_of_the_service_has_an_environment_of_its_own(
    run: Run, checkout: Path, command: str, module: str
) -> None:
    (checkout / f"requirements-{command}.lock").write_text(LOCK + "four==4.0\n")
    folder = checkout / module
    folder.mkdir(parents=True)
    (folder / "__main__.py").write_text(f"import sys\nprint('{command}', *sys.argv[1:])\nsys.exit(3)\n")
    for package in (folder, *(each for each in folder.parents if each.is_relative_to(checkout) and each != checkout)):
        (package / "__init__.py").write_text("")
    helped = run(command, "append", "--help")
    assert (helped.stdout, helped.stderr, helped.returncode) == (f"{command} --help\n", "", 3)
    assert not (checkout / f".venv-{command}").exists(), "help needs no package"
    run("test")
    stamp = (checkout / ".venv/ms.stamp").read_text()
    done = run(command, "append", "--quick")
    assert (done.stdout, done.returncode) == (f"{command} append --quick\n", 3)
    assert f"installing up to 3 packages from requirements-{command}.lock" in done.stderr
    assert (checkout / f".venv-{command}/ms.stamp").read_text().startswith(f"{command} ")
    assert (checkout / ".venv/ms.stamp").read_text() == stamp
    assert run(command).stderr == ""
    assert run("status").stderr == "", "the other one is still good"


@pytest.mark.slow
def test_test_fails_when_a_step_fails_and_sums_up_in_one_line(run: Run, checkout: Path) -> None:
    (checkout / "tests").mkdir()
    (checkout / "tests/test_bad.py").write_text("import os\ndef test_it():\n    assert False\n")
    (checkout / "pyproject.toml").write_text('[tool.mypy]\nfiles = ["tests"]\n')
    done = run("test", "-p", "no:cacheprovider")
    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith("test: ruff FAILED, pytest FAILED, mypy ok (1 failed in ")


def test_a_given_data_folder_is_kept(run: Run) -> None:
    assert " data: elsewhere cwd: " in run("status", MS_DATA_DIR="elsewhere").stdout


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_not_taken_by_the_next_file(
    run: Run, checkout: Path, path: Path, tmp_path: Path, closed: str
) -> None:
    """As a lock that the daemon is to inherit: it would run, be said not to, and could not be stopped."""
    told = tmp_path / "told"
    (checkout / "server.py").write_text(
        "import os\n"
        "are_open = [os.path.exists(f'/proc/self/fd/{number}') for number in range(3)]\n"
        f"open({str(told)!r}, 'w').write(str(are_open))\n"
    )
    run("status")
    command = ["bash", "-c", f'exec "$0" status {closed}', str(checkout / "ms.sh")]
    subprocess.run(command, env={"PATH": f"{path}:/usr/bin:/bin", "HOME": str(tmp_path)}, check=True, timeout=60)
    assert told.read_text() == "[True, True, True]"


def test_an_old_python_is_refused_with_a_remedy(run: Run, path: Path, checkout: Path) -> None:
    (path / "version").write_text("3.9")
    for name in ("bash", "cat", "dirname", "readlink", "env", "grep", "flock", "cksum", "tr"):
        (path / name).symlink_to(str(shutil.which(name)))
    done = run("status", PATH=str(path))
    assert done.returncode == 1
    assert done.stderr == "ms.sh: found only Python 3.9: install Python 3.11 or newer\n"
    assert not (checkout / ".venv").exists()


def test_a_python_without_venv_is_refused_with_a_remedy(run: Run, path: Path) -> None:
    (path / "no-venv").touch()
    for name in ("bash", "cat", "dirname", "readlink", "env", "grep", "flock", "cksum", "tr"):
        (path / name).symlink_to(str(shutil.which(name)))
    done = run("status", PATH=str(path))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert done.returncode == 1
    assert f"Python {version} lacks its venv module: apt-get install python{version}-venv" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_bad_variable_ends_every_command_with_one_line_and_status_2() -> None:
    environment = {**os.environ, "MS_PORT": "eighty"}
    for command in ("serve", "status", "start"):
        done = subprocess.run(
            [sys.executable, str(ROOT / "server.py"), command],
            env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr == "MS_PORT: 'eighty' is not a port; give a whole number from 1 to 65535\n"
        assert done.stdout == ""


def test_the_locks_pin_everything_with_hashes_and_name_no_host() -> None:
    runtime, dev = ((ROOT / name).read_text() for name in ("requirements.lock", "requirements-dev.lock"))
    for text in (runtime, dev):
        assert "://" not in text
        entries = [entry for entry in text.replace("\\\n", "").splitlines() if not entry.startswith("#")]
        assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)

    def pins(text: str) -> set[str]:
        return {line.split()[0] for line in text.splitlines() if "==" in line and line[0].isalnum()}

    assert pins(runtime) < pins(dev)


@pytest.mark.parametrize("name", ["ms.sh", ".ci/run"])
def test_the_scripts_are_executable_and_parse(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    assert subprocess.run(["bash", "-n", str(ROOT / name)], check=False).returncode == 0
