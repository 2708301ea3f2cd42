"""What README and docs/ tell a person to type is there: commands, variables, addresses, bodies, links, the picture of the rooms."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapters.asterisk.config import Originate, Tls, load
from adapters.http import access, admin, board, calls, clicks, directory, hooks, integrations, internal, pages, status, what_if
from core.events import DialObserved
from core.lifecycle import Phase
from core.settings import merge_update, parse_settings
from core.signals import Wire, envelope, parse
from core.values import Outcome
from projections.story_text import MARKS

ROOT = Path(__file__).parent.parent
TOP = [ROOT / "README.md", ROOT / "README.ru.md", ROOT / "CHANGELOG.md"]
PAGES = [*TOP, *sorted((ROOT / "docs").rglob("*.md"))]
OPERATIONS = ROOT / "docs" / "operations.md"
ASTERISK = ROOT / "docs" / "asterisk.md"
HISTORY = ROOT / "docs" / "history.md"
NOT_YET = re.compile(r"^## (?:What is not there yet|Чего пока нет)$.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)

COMMAND = re.compile(r"\./ms\.sh ([a-z][a-z-]*)([^`\n;&|)]*)")
OPTION = re.compile(r"(?<!\S)--?[a-z][a-z-]*")


def text_of(page: Path) -> str:
    """A page without what it says is missing."""
    return NOT_YET.sub("", page.read_text(encoding="utf-8"))


def told_commands() -> dict[str, set[str]]:
    """Command -> the options that some page names for it."""
    told: dict[str, set[str]] = {}
    for page in PAGES:
        for command, rest in COMMAND.findall(text_of(page)):
            told.setdefault(command, set()).update(OPTION.findall(rest.partition("#")[0]))
    return told


def commands_of_server() -> set[str]:
    files = (ROOT / "server.py", *(ROOT / "adapters").glob("*_command*.py"))
    return {name for file in files for name in re.findall(r'@(?:main|click)\.command\("([a-z-]+)"\)', file.read_text())}


def commands_of_script() -> set[str]:
    """The case labels of ``ms.sh``."""
    labels = re.findall(r"^\s*\(?([a-z][a-z|_ -]*)\)", (ROOT / "ms.sh").read_text(), re.MULTILINE)
    return {name.strip() for label in labels for name in label.split("|")}


def test_every_command_that_is_told_exists() -> None:
    told = set(told_commands())
    assert {"demo", "test", "start", "replay", "doctor"} <= told
    assert told - commands_of_server() - commands_of_script() == set()


def test_every_command_that_exists_is_told() -> None:
    assert commands_of_server() - set(told_commands()) == set()


@pytest.mark.parametrize("command", ["replay", "export", "logs", "archive"])
def test_every_option_that_is_told_exists(command: str) -> None:
    told = told_commands()[command]
    assert told
    shown = subprocess.run(
        [sys.executable, str(ROOT / "server.py"), command, "--help"], capture_output=True, text=True, check=False, timeout=60
    )
    assert shown.returncode == 0, shown.stderr
    assert told - set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", shown.stdout)) == set()


def variables() -> set[str]:
    source = (ROOT / "adapters" / "environment.py").read_text()
    return set(re.findall(r'^    "([A-Z_]+)": \("', source, re.MULTILINE))


def test_every_variable_is_documented_once_and_no_other() -> None:
    known = variables()
    assert {"DATABASE_URL", "MS_PORT"} <= known
    of_the_tests = {"MS_TEST_SEED"}
    assert sorted(re.findall(r"^\| `([A-Z_]+)` \|", OPERATIONS.read_text(), re.MULTILINE)) == sorted(known)
    for page in PAGES:
        assert set(re.findall(r"\bMS_[A-Z_]+\b", page.read_text(encoding="utf-8"))) - known - of_the_tests == set(), page.name


def test_every_address_that_is_told_is_served() -> None:
    rooms = (internal, admin, status, access, calls, clicks, board, pages, directory, integrations, hooks, what_if)
    served = {re.sub(r"\{\w+\}", "*", route.path) for each in rooms for route in each.routes()}
    for page in PAGES:
        for address in re.findall(r"/(?:internal/ms|ms-admin)/[\w{}/*-]+", text_of(page)):
            if address.endswith(("/", "/*")) and not address.endswith("}"):
                continue  # a whole family of addresses
            path = re.sub(r"\{\w+\}", "*", re.sub(r"/0367\b", "/*", address))
            assert path in served, f"{page.name}: {address}"


def test_every_address_of_the_dispatcher_is_told() -> None:
    told = set(re.findall(r"^\| `POST /internal/ms/([\w-]+)` \|", OPERATIONS.read_text(), re.MULTILINE))
    assert told == {wire.value for wire in Wire}


def bodies(page: Path, address: str) -> list[Any]:
    """The bodies of the curl examples that go to ``address``."""
    call = rf"curl -X \w+ http://127\.0\.0\.1:8023{re.escape(address)}\b.*?-d '(\{{.*?\}})'$"
    return [json.loads(body) for body in re.findall(call, page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)]


@pytest.mark.parametrize("page", TOP[:2], ids=lambda page: page.name)
def test_the_settings_of_the_example_are_understood(page: Path) -> None:
    (body,) = bodies(page, "/ms-admin/api/config/0367")
    assert set(body) <= {"enabled", "integration_code", "api_token", "notifications", "incoming_call_actions"}
    settings = parse_settings(merge_update({}, body))
    assert settings.problems == ()
    assert (settings.enabled, settings.has_phone_api, settings.has_main_api, settings.notify_mode) == (True, True, True, "during")


def test_the_dial_of_the_example_is_understood() -> None:
    (body,) = bodies(OPERATIONS, "/internal/ms/incoming-call")
    heard = parse(envelope(Wire.INCOMING_CALL, body), heard_ms=1_757_840_723_000, country="BY", zone=ZoneInfo("Europe/Minsk"))
    assert isinstance(heard.event, DialObserved)
    assert (heard.stream, heard.event.number, heard.event.extensions) == ("call/1757840723.6", "+375290000001", ("151", "152"))


def test_the_history_page_names_every_phase_mark_and_event() -> None:
    page = HISTORY.read_text()
    phases = page.partition("## The phases")[2].partition("## How a call ended")[0]
    outcomes = page.partition("## How a call ended")[2].partition("## The remarks")[0]
    for table, words in ((phases, Phase), (outcomes, Outcome)):
        named = {word for row in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE) for word in re.findall(r"`(\w+)`", row)}
        assert named - {"outcome"} == {word.value for word in words}
    assert dict(re.findall(r"^\| `(.)` \| `(\w+)` \|", page, re.MULTILINE)) == {mark: kind for kind, mark in MARKS.items()}
    source = "".join((ROOT / "core" / name).read_text() for name in ("events.py", "clicks.py"))
    types = set(re.findall(r'^    type: ClassVar\[str\] = "(\w+)"', source, re.MULTILINE))
    events = page.partition("## The events")[2]
    assert {name for name in re.findall(r"`([a-z_]+)`", events) if "_" in name} == types


def links(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+://", target):
            yield target


def test_the_file_of_pbxes_is_understood(tmp_path: Path) -> None:
    page = ASTERISK.read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "main.secret").write_text("fictional\n")
    path = tmp_path / "pbx.toml"
    path.write_text(example)
    (found,) = load(path)
    assert (found.pbx.name, found.pbx.trunks, found.secret) == ("main", ("trunk-alpha", "trunk-beta"), "fictional")
    assert found.originate == Originate(), "what is shown is the default"
    path.write_text(re.sub(r"^# (extensions|tls)", r"\1", example, flags=re.MULTILINE).replace('ca = "asterisk.pem", ', ""))
    (whole,) = load(path)
    assert (whole.pbx.extensions, whole.tls) == ("^1[0-9]{2}$", Tls(name="asterisk"))


def test_the_user_of_manager_conf_may_do_what_the_tests_use() -> None:
    (example,) = re.findall(r"```ini\n(.*?)```", ASTERISK.read_text(), re.DOTALL)
    tried = (ROOT / "adapters" / "lab" / "etc" / "manager.conf").read_text()
    for key in ("read", "write", "timestampevents"):
        told, used = (re.findall(rf"^{key} = ([a-z,]+)", text, re.MULTILINE) for text in (example, tried))
        assert told == used != []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in links(page) if not (page.parent / link.partition("#")[0]).exists()]
    assert broken == []


def test_files_named_in_the_architecture_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`((?:core|adapters|projections|tests|migrations|docs)/[\w/.]*)`", page))
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def room(module: str) -> str:
    """The room of the house in which a module is: ``core``, ``adapters.postgres``, ``server``."""
    first, _, rest = module.partition(".")
    second = rest.partition(".")[0]
    return f"adapters.{second}" if first == "adapters" and (ROOT / "adapters" / second).is_dir() and second else first


def imports() -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    files = [path for name in ("core", "adapters", "projections", "bench") for path in (ROOT / name).rglob("*.py")]
    for path in [*files, ROOT / "server.py"]:
        here = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.ImportFrom(module=str(module), names=names):
                    modules = [f"{module}.{alias.name}" for alias in names]
                case ast.Import(names=names):
                    modules = [alias.name for alias in names]
                case _:
                    continue
            rooms = ("core", "adapters", "projections", "bench", "server")
            ours = {room(module) for module in modules if module.partition(".")[0] in rooms}
            found |= {(here, there) for there in ours if there != here}
    return found


def test_the_picture_of_the_rooms_is_what_is_imported() -> None:
    picture = (ROOT / "docs" / "architecture.md").read_text().partition("graph LR")[2].partition("```")[0]
    assert set(re.findall(r"^ +([\w.]+) --> ([\w.]+)$", picture, re.MULTILINE)) == imports()
