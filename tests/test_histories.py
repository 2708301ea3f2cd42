"""Histories of every released schema, as files: today's code reads them and comes to the same (docs/time-machine.md).

Two things are held. *Approval*: nothing would be otherwise with any of them by today's code, but for what ``approved.json`` names.
``./ms.sh replay --corpus tests/histories --approved tests/histories/approved.json`` says the same at the command line; with
``--approve`` it writes what differs, for whoever means it to. *Schema*: events are only ever added to; a field that goes, or
comes without a default, or changes its type needs a new schema with an upcaster; a new event needs a stored history
(``python -m tests.corpus VERSION``).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from core import events as storage
from core.approval import objections, read_approved, told
from core.effects import EFFECT_TYPES
from core.events import EVENT_TYPES, SCHEMAS, decode, encode
from core.expectations import as_recorded, complaints, facts_of
from core.history_file import HistoryFile, load
from core.what_if import Question, judge
from tests.corpus import FOLDER, shapes

ROOT = FOLDER.parents[1]
FILES = sorted(FOLDER.rglob("*.jsonl"))
VERSIONS = sorted(path.parent for path in FOLDER.glob("*/schemas.json"))


@cache
def history(path: Path) -> HistoryFile:
    return load(path.read_bytes())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_history_of_an_earlier_version_is_read_to_the_same(path: Path) -> None:
    found = history(path)
    assert found.expect
    now = as_recorded(facts_of(found, found.events))
    # What is told today besides is new; what was told then is told still.
    assert {about: now.get(about) for about in found.expect} == found.expect


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_was_stored_is_still_there_when_it_is_read(path: Path) -> None:
    for stored, event in zip(history(path).stored, history(path).events, strict=True):
        if stored.schema == SCHEMAS[stored.type]:
            again = orjson.loads(orjson.dumps(encode(event)[2]))
            assert {name: again.get(name) for name in stored.data} == stored.data


def test_nothing_would_be_otherwise_that_nobody_approved() -> None:
    found: dict[str, list[dict[str, Any]]] = {}
    for path in FILES:
        each = history(path)
        verdict = judge(
            Question(
                enterprise=each.enterprise,
                call=each.call,
                events=each.events,
                settings=each.settings,
                limits=each.limits,
                until_ms=each.until_ms,
            )
        )
        if verdict.differs:
            found[path.relative_to(FOLDER).as_posix()] = told(verdict)
    approved = read_approved(orjson.loads((FOLDER / "approved.json").read_bytes()))
    wrong = list(objections(approved, found))
    assert wrong == [], "./ms.sh replay --corpus tests/histories --approved tests/histories/approved.json tells more"


def test_every_expectation_of_the_corpus_is_met_by_today_s_run() -> None:
    approved = read_approved(orjson.loads((FOLDER / "approved.json").read_bytes()))
    for path in FILES:
        if path.relative_to(FOLDER).as_posix() not in approved:
            assert complaints(history(path)) == (), path.name


def test_every_event_type_has_a_stored_history() -> None:
    stored = {each.type for path in FILES for each in history(path).stored}
    assert set(EVENT_TYPES) - stored == set(), "make one: python -m tests.corpus VERSION"


def test_every_schema_that_was_ever_written_is_raised_step_by_step() -> None:
    for type_, schema in SCHEMAS.items():
        for version in range(1, schema):
            assert (type_, version) in storage.UPCASTERS, f"{type_} {version} needs an upcaster to {version + 1}"
    stored = {(each.type, each.schema) for path in FILES for each in history(path).stored}
    for type_, schema in SCHEMAS.items():
        for version in range(1, schema + 1):
            assert (type_, version) in stored, f"no stored history holds {type_} of schema {version}"


def problems(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How today's storage format breaks an earlier one."""
    found = []
    for name, was in then.items():
        if name not in now:
            found.append(f"{name} is gone")
            continue
        if now[name]["schema"] > was["schema"]:
            continue  # its upcaster answers for it, and is tried on the stored histories
        fields = now[name]["fields"]
        for field, kind in was["fields"].items():
            if field not in fields:
                found.append(f"{name}.{field} is gone: raise the schema, and write an upcaster")
            elif set(kind["type"].split(" | ")) - set(fields[field]["type"].split(" | ")):
                found.append(f"{name}.{field} was {kind['type']} and is {fields[field]['type']}: raise the schema")
            elif fields[field]["required"] and not kind["required"]:
                found.append(f"{name}.{field} has no default any more: histories may not have it")
        found += [
            f"{name}.{field} is new and has no default: histories do not have it"
            for field, kind in fields.items()
            if field not in was["fields"] and kind["required"]
        ]
    return found


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_the_storage_format_is_only_added_to(folder: Path) -> None:
    assert problems(orjson.loads((folder / "schemas.json").read_bytes()), shapes()) == []


def shape(**fields: tuple[str, bool]) -> dict[str, Any]:
    return {"e": {"schema": 1, "fields": {name: {"type": type_, "required": need} for name, (type_, need) in fields.items()}}}


@pytest.mark.parametrize(
    ("now", "wrong"),
    [
        (shape(a=("int", True), b=("str", False)), 0),
        (shape(a=("int | None", True), b=("str", False)), 0),
        (shape(a=("int", False), b=("str", False), c=("str", False)), 0),
        (shape(a=("int", True)), 1),
        (shape(a=("str", True), b=("str", False)), 1),
        (shape(a=("int", True), b=("str", True)), 1),
        (shape(a=("int", True), b=("str", False), c=("str", True)), 1),
        ({}, 1),
        ({"e": {"schema": 2, "fields": {}}}, 0),
    ],
)
def test_what_is_noticed_about_the_storage_format(now: dict[str, Any], wrong: int) -> None:
    assert len(problems(shape(a=("int", True), b=("str", False)), now)) == wrong


def test_a_stored_event_goes_through_its_upcaster(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way, once: a later version renames a field, and every history that has it is still read."""
    settled = next(path for path in FILES if any(each.type == "call_settled" for each in history(path).stored))
    lifted = {("call_settled", 1): lambda data: {**data, "reason": f"(1) {data['reason']}"}}
    schemas = {**SCHEMAS, "call_settled": 2}
    for stored in history(settled).stored:
        event = decode(stored.type, stored.schema, stored.data, upcasters=lifted, schemas=schemas)
        assert event.type != "call_settled" or str(getattr(event, "reason", "")).startswith("(1) ")


def test_the_shapes_hold_everything_that_is_stored() -> None:
    assert set(EVENT_TYPES) | set(EFFECT_TYPES) <= set(shapes())
    assert shapes()["hangup_observed"]["fields"]["record_url"] == {"type": "str | None", "required": False}


PLANTED = (
    ("core/cards.py", '        changes.append((CardAction.HIDE_ALL, ""))\n', "        pass\n"),
    ("core/cards.py", "if now in (Card.HIDDEN, Card.UNSURE):", "if now is Card.UNSURE:"),
    ("core/conclusions.py", "        return last.extension,", "        return call.talks[0].extension,"),
    ("core/lifecycle.py", "(P.RINGING, T.ANSWER): P.TALKING,", "(P.RINGING, T.ANSWER): P.RINGING,"),
    ("core/record.py", "        parts.append(said + _rung(call))\n", "        parts.append(said)\n"),
    ("core/decisions.py", "contact_wait_ms: int = 1_500", "contact_wait_ms: int = 0"),
)
LOOK = """
import sys
from pathlib import Path
from core.history_file import load
from core.what_if import Question, judge
found = 0
for path in sorted(Path(sys.argv[1]).rglob("*.jsonl")):
    each = load(path.read_bytes())
    found += judge(Question(enterprise=each.enterprise, call=each.call, events=each.events, settings=each.settings,
                            limits=each.limits, until_ms=each.until_ms)).differs
print(found)
"""


@pytest.mark.parametrize(("file", "old", "new"), PLANTED, ids=range(len(PLANTED)))
def test_a_change_that_nobody_meant_is_caught(file: str, old: str, new: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "core", tmp_path / "core", ignore=shutil.ignore_patterns("__pycache__"))
    text = (tmp_path / file).read_text()
    assert text.count(old) == 1, "the plant must be adjusted to the code"
    (tmp_path / file).write_text(text.replace(old, new))
    looked = subprocess.run(
        [sys.executable, "-c", LOOK, str(FOLDER)], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    assert int(looked.stdout) > 0
