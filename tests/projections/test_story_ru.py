"""The story in Russian: every sentence that can be told has its Russian one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from adapters.moysklad import errors
from adapters.postgres.database import explain
from core import effects as kinds
from core.effects import encode_effect
from core.events import (
    EVENT_TYPES,
    BridgeClosed,
    BridgeOpened,
    CallerIdObserved,
    CallOverdue,
    CallSettled,
    CallWrittenOff,
    CardRequested,
    ClickJoined,
    ConsultationObserved,
    EffectDone,
    Event,
    HandoverObserved,
    HangupObserved,
    LegAbsorbed,
    RingEnded,
)
from core.values import Direction
from projections.story_ru import _SENTENCES, about_in_russian, in_russian, replay_in_russian
from tests.ami_play import RECORDINGS as AMI_RECORDINGS
from tests.ami_play import heard_world, lines_of
from tests.ami_scenes import SCRIPTS, scene
from tests.playback import NAMES
from tests.scenario import NUMBER, deferred, events, failed, given, ms, refused, retry, started
from tests.settings import SETTINGS, settings_with
from tests.told import calls_of, lived, replay
from tests.world import Fault

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "projections" / "russian.txt").read_text(encoding="utf-8")

TAKEN_OVER = re.compile(
    r"connection lost|anna|the key was mended|MoySklad|CallStatus|CallType|Phone API|HTTP|"
    r"API|CRM|Accept-Encoding|PJSIP/\S+|SIP/\S+|Local/\S+"
)
ENGLISH = re.compile(r"[A-Za-z]{3,}")
RING = "0 A start\n0.5 A dial 101 102\n"


def english(text: str) -> list[str]:
    """Words that are left in English; ids, channels, links and names of things are none."""
    rest = re.sub(r"\S*[-/.…@]\S*|\b[a-z]*\d\w*\b|call-1|ann\b|contact-1", "", TAKEN_OVER.sub("", text.replace("МойСклад", "")))
    return ENGLISH.findall(rest)


def sentences(told: dict[str, Any]) -> Iterator[str]:
    """Every sentence of a replay."""
    yield told["attributed_because"]
    for entry in told["entries"]:
        yield from (entry["title"], entry["why"])
        for note in (*entry["notes"], *entry["gone"]):
            yield from (note["about"], note["text"])


def test_the_table_is_read_whole_and_nothing_in_it_is_hidden_by_what_stands_before() -> None:
    entries = [line for line in TABLE.splitlines() if line and not line.startswith(("#", "    "))]
    assert len(entries) == len(_SENTENCES) > 130
    plain = [line for line in entries if not re.search(r"[(\[\\.]", line)]
    assert len(plain) > 60
    for line in plain:
        assert in_russian(line) != line or line.startswith(","), line
    assert len(set(entries)) == len(entries)


@pytest.mark.parametrize("name", ["ООО «Радуга»", "ИП Смирнова О. В.", "Завод № 5, цех 2; склад", "c-1"])
def test_a_client_keeps_his_name_whatever_is_in_it(name: str) -> None:
    assert in_russian(f"create an order for client {name}") == f"создать заказ для клиента {name}"
    assert in_russian(f"create an order for client {name}: order 00001") == f"создать заказ для клиента {name}: заказ 00001"
    registered = f"register the call: call m, linked to client {name}"
    assert in_russian(registered) == f"зарегистрировать звонок: звонок m, привязан к клиенту {name}"
    there = f"зарегистрировать звонок: звонок m, привязан к клиенту {name} (он уже был)"
    assert in_russian(f"{registered} (it was there before)") == there


@pytest.mark.parametrize("name", NAMES)
def test_every_sentence_of_every_recording_has_its_russian_one(name: str) -> None:
    world = lived(name)
    for call in calls_of(world):
        told = replay_in_russian(replay(world.streams[f"call/{call}"], call))
        assert [(text, left) for text in sentences(told) if (left := english(text))] == []


@pytest.mark.parametrize("name", [*AMI_RECORDINGS, *SCRIPTS])
def test_every_sentence_that_ami_tells_has_its_russian_one(name: str) -> None:
    world, _ = heard_world(lines_of(name) if name in AMI_RECORDINGS else scene(name).lines)
    for call in calls_of(world):
        told = replay_in_russian(replay(world.streams[f"call/{call}"], call))
        assert [(text, left) for text in sentences(told) if (left := english(text))] == []


def odd_histories() -> Iterator[tuple[Event, ...]]:
    """What recordings do not have: refusals, doubts, deferrals, time that runs out, an administrator who asks again."""
    register = kinds.RegisterCall(
        external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0), extension="101", end_ms=ms(9), comment="c",
        recordings=("r",),
    )  # fmt: skip
    update = kinds.UpdateCall(external_id="0367-A", call="m-1")
    find, create = kinds.FindContact(number=NUMBER), kinds.CreateContact(number=NUMBER, sync_id="s")
    who, confirm = kinds.FindEmployees(extensions=("101", "102")), kinds.ConfirmCall(external_id="0367-A")
    order = kinds.CreateOrder(sync_id="s", contact="c-1", number=NUMBER, incoming=True, start_ms=ms(0))
    task = kinds.CreateTask(mark="m", number=NUMBER, missed_ms=ms(0), due_ms=ms(9))
    claim, hold = kinds.ClaimCallback(call="A", number=NUMBER, missed_ms=ms(0)), kinds.HoldTasks(call="A")
    ended = kinds.CloseCallback(call="A", number=NUMBER, talked_ms=ms(9))
    keep, complete, inspect = kinds.KeepTask(call="A", task="t-1"), kinds.CompleteTask(task="t-1"), kinds.InspectTask(task="t-1")
    after = (order, task, claim, hold, ended, keep, complete, inspect)
    hurried = kinds.FindContact(number=NUMBER, deadline_ms=ms(2.5))  # nobody waits until it could be tried again
    for effect in (register, update, find, hurried, create, who, confirm, kinds.InspectCall(call="m-1"), *after):
        for trouble in errors.Trouble:
            tried = (started(effect, 1), failed(effect, 2, error=trouble.value))
            yield (*events(RING), *tried, deferred(effect, 3, 9, reason=trouble.value))
        yield (*events(RING), started(effect, 1), refused(effect, 2, error="Ошибка"), retry(3))
    for result, effect in (
        ({"contact": "c-1", "name": "ООО «Радуга»"}, find),
        ({"contact": "c-1", "name": ""}, find),
        ({"contact": None}, find),
        ({"contact": "c-1"}, create),
        ({"employees": {"101": {"id": "x", "name": "Анна"}, "102": None, "103": {"id": "y", "name": ""}}}, who),
        ({"call": "m-1", "contact": "c-1", "existed": True}, register),
        ({"call": "m-1"}, register),
        ({}, update),
        ({"call": "m-1"}, confirm),
        ({"call": None}, confirm),
        ({"recordings": ["r"]}, kinds.InspectCall(call="m-1")),
        ({"order": "o-1", "name": "00001"}, order),
        ({"order": "o-1", "name": "", "without": "the owner: Ошибка; the state: Новый is none of the account's"}, order),
        ({"order": None, "name": "", "open": "00002"}, order),
        ({"task": "t-1", "existed": True}, task),
        ({"task": "t-1", "existed": False}, task),
        ({"granted": True}, claim),
        ({"granted": True, "held_by": "B-1"}, claim),
        ({"granted": False, "by": "B-1"}, claim),
        ({"granted": False, "talked_ms": 5}, claim),
        ({"told_by": "B-1"}, hold),
        ({"tasks": ["t-1"]}, ended),
        ({"tasks": []}, ended),
        ({"open": True}, keep),
        ({"gone": True}, complete),
        ({"gone": False}, complete),
        ({"open": True}, inspect),
        ({"open": False}, inspect),
    ):
        yield (*events(RING), EffectDone(key="k", at_ms=ms(2), effect=encode_effect(effect), result=result))
    yield (
        *events(RING),
        CallerIdObserved(heard_ms=ms(1), channel="A-1", caller_id="101"),
        BridgeOpened(heard_ms=ms(2), bridge="b-123456789"),
        BridgeClosed(heard_ms=ms(3), bridge="b-123456789"),
        CardRequested(heard_ms=ms(4), extensions=("101",)),
        ConsultationObserved(heard_ms=ms(5), leg="B-1", extensions=("102",)),
        ConsultationObserved(heard_ms=ms(5), leg="B-1", extensions=("102",), record_url="https://rec.example.invalid/9"),
        ConsultationObserved(heard_ms=ms(5), leg="B-1"),
        ClickJoined(heard_ms=ms(6), click="a", extension="101", number=NUMBER, uid="ivanov@demo"),
        ClickJoined(heard_ms=ms(6), click="a", extension="101", number=NUMBER, own_leg=True),
        CallOverdue(at_ms=ms(7200)),
        CallWrittenOff(at_ms=ms(90_000)),
    )
    for why in (
        "the customer joined its bridge: it was a consultation",
        "its hangup names a customer who has a call of his own",
        "the customer it names has a call of his own",
        "its channel is the customer's, who was handed on",
    ):
        yield (*events(RING), LegAbsorbed(heard_ms=ms(1), into="B-1", why=why))
    yield (
        *events(RING),
        RingEnded(heard_ms=ms(1), extensions=("101", "102")),
        RingEnded(heard_ms=ms(1), trunk="trunk-alpha", how="cancelled"),
        HandoverObserved(heard_ms=ms(2), kind="forwarded", source="101"),
        HangupObserved(heard_ms=ms(3), wire="ami/lab", channel="A", direction=Direction.INCOMING),
    )
    yield events("0 A dial out 101\n")
    yield events("0 A dial internal 102 number=101\n5 A hangup internal 102 answered number=101\n")
    yield events("0 A dial internal 102 number=anonymous\n")
    yield events("0 A dial internal - number=anonymous\n")
    yield events(RING + "9 A hangup - downloaded\n")
    talk = "5 A enter b1 customer\n5 A enter b1 101\n9 A leave b1 101\n9 A leave b1 customer\n9 A hangup 101 answered\n"
    yield (*events(RING + talk), CallSettled(at_ms=ms(14), reason="no straggler came within the grace"))


def test_every_event_and_every_effect_is_told_in_an_odd_history() -> None:
    """A new one belongs into :func:`odd_histories`: only there is it found that nobody has words for it."""
    told = [event for history in odd_histories() for event in history]
    assert set(EVENT_TYPES) - {event.type for event in told} == set()
    done = {str(event.effect["type"]) for event in told if isinstance(event, EffectDone)}
    assert set(kinds.EFFECT_TYPES) - done == set()


def test_every_odd_history_has_its_russian_telling() -> None:
    found = []
    for history in odd_histories():
        told = replay_in_russian(replay(history))
        found += [(text, left) for text in sentences(told) if (left := english(text))]
    assert found == []


TABLES = (
    RING + "20 A hangup - end=20\n",
    RING + "5 A enter b1 customer\n5 A enter b1 101\n35 A leave b1 101\n35 A leave b1 customer\n"
    "35.4 A hangup 101 answered rec=https://r/1\n",
    "0 A dial out 101\n20 A hangup out 101 end=20\n",
    "0 A start number=anonymous\n1 A dial 101 777 375447654321 number=anonymous\n20 A hangup - number=anonymous\n",
    RING,
)


@pytest.mark.parametrize("table", TABLES, ids=range(len(TABLES)))
def test_whatever_goes_wrong_is_told_in_russian(table: str) -> None:
    left = set()
    ways = (
        SETTINGS,
        settings_with(enabled=False),
        settings_with(notify="none"),
        settings_with(create_incoming=False),
        settings_with(order="always", task="on_missed", create_incoming=False, unrecognized="101"),
        settings_with(order="unless_open", order_unanswered=True, task="on_missed", main_api=False),
    )
    for settings, fault in product(ways, [None, *Fault]):
        faults = {0: fault, 2: fault} if fault is not None else {}
        scenario = given(table, settings=settings, faults=faults).finished()
        for stream, history in scenario.world.streams.items():
            if stream.startswith("call/"):
                told = replay_in_russian(replay(history, stream.removeprefix("call/"), settings))
                left |= {text for text in sentences(told) if english(text)}
    assert left == set()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (asyncpg.CannotConnectNowError("the database system is starting up"), "подождите"),
        (asyncpg.InvalidPasswordError("password authentication failed"), "пароль в DATABASE_URL (ответ: password authentication"),
        (asyncpg.InvalidCatalogNameError("there is none"), "имя в DATABASE_URL (ответ: there is none, код 3D000)"),
        (asyncpg.TooManyConnectionsError("sorry, too many clients already"), "max_connections (ответ: sorry"),
        (asyncpg.OutOfMemoryError("out of memory"), "не хватает памяти"),
        (asyncpg.QueryCanceledError("canceling statement"), "слишком долго"),
        (asyncpg.AdminShutdownError("terminating connection"), "запустите его"),
        (asyncpg.InsufficientPrivilegeError("permission denied"), "нет прав"),
        (asyncpg.UndefinedTableError("relation does not exist"), "код 42P01"),
        (asyncpg.DiskFullError("could not extend file"), "освободите"),
        (asyncpg.ReadOnlySQLTransactionError("cannot execute UPDATE"), "запасной сервер"),
        (asyncpg.InternalClientError("cannot switch to state 15"), "потеряно"),
        (ConnectionRefusedError(111, "x"), "запустите PostgreSQL"),
        (TimeoutError(), "вовремя"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_why_the_database_is_away_is_told_in_russian_beside_its_own_words(error: Exception, words: str) -> None:
    assert words in in_russian(explain(error))


def literals(path: str, *, within: str) -> Iterator[str]:
    """English sentences that a file puts into notes, reasons and remedies, with a word in place of what is filled in."""
    tree = ast.parse((ROOT / path).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(within, node.value):
            yield node.value


@pytest.mark.parametrize("code", sorted(errors._REMEDIES))
def test_every_remedy_has_its_russian_one(code: int) -> None:
    assert english(in_russian(errors._REMEDIES[code])) == [] or errors._REMEDIES[code].startswith("report it")


def test_every_note_of_the_plan_is_in_the_table() -> None:
    """Whoever writes another note in the plan, gives it its Russian words."""
    texts = []
    for path in (
        "core/plan.py", "core/contact_plan.py", "core/follow_up_plan.py", "core/cards.py", "core/call.py", "core/decisions.py",
        "core/record.py", "adapters/moysklad/terms.py", "adapters/moysklad/tasks.py",
    ):
        tree = ast.parse((ROOT / path).read_text())
        docs = {node.value.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
        texts += [text for text in literals(path, within=r"^[a-z][^{}]* [^{}]* [^{}]*$") if text not in docs and "``" not in text]
    assert len(texts) > 35
    assert [text for text in texts if not text.endswith((": ", " ", ";", "(")) and english(in_russian(text))] == []


def test_what_a_note_is_about() -> None:
    assert [about_in_russian(about) for about in ("card 151", "contact", "odd")] == ["карточка 151", "клиент", "odd"]


def test_a_call_that_needs_a_person_says_so_with_the_remedy_in_russian() -> None:
    bare = kinds.RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0))
    for error, remedy, told in (
        ("Не тот", errors._REMEDIES[1056], "Не тот: ключ или токен неверен или отозван: введите новый в настройках"),
        ("no main API token", "", "нет токена основного API"),
        ("Ошибка", "", "Ошибка"),
    ):
        history = (*events(RING), started(bare, 1), refused(bare, 2, error=error, remedy=remedy))
        assert replay_in_russian(replay(history))["parked"] == told


def test_what_is_not_in_the_table_stays() -> None:
    assert in_russian("something new; the end is known") == "something new; конец известен"
    assert in_russian("") == ""


def test_an_option_that_a_remedy_names_is_called_so_on_the_page() -> None:
    fields = (Path(__file__).parents[2] / "adapters/http/static/settings-fields.js").read_text(encoding="utf-8")
    remedy = in_russian("check the Phone API key, or set the signature's check to «log» in the integration's settings")
    (option,) = re.findall("«(.+)»", remedy)
    assert f'"{option}"' in fields
