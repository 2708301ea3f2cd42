"""Makes the kept histories: recordings and troubles through the real pipeline, beside the sandbox, as files.

Beside them stands ``schemas.json``, the storage format of that version.

``python -m tests.corpus 0.1.0`` writes ``tests/histories/0.1.0/``; words behind it choose what is played. A folder is written
once, by the code of that version, and never again: that today's code reads it and comes to the same is what it is kept for
(``tests/test_histories.py``).
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson
from msgspec.inspect import DataclassType, Field, StructType, type_info

from adapters.embedded_postgres import embedded_postgres
from adapters.postgres.database import load_sql
from adapters.postgres.migrations import migrate
from adapters.sandbox import Switches
from core.decisions import Limits
from core.effects import EFFECT_TYPES, CardEvent
from core.events import EVENT_TYPES, SCHEMAS, Exchange
from core.expectations import as_recorded, facts_of
from core.history_file import HistoryFile, Stored, dump
from core.ports import StreamId
from core.values import Urgency
from tests.ami_play import lines_of
from tests.databases import create_database, drop_database, in_database
from tests.exchange import FakeOriginator
from tests.playback import NAMES, Line, as_call_event, as_dispatcher, recording
from tests.rig import ENTERPRISE, Rig, running
from tests.test_ami_recordings import play as play_ami

FOLDER: Final = Path(__file__).parent / "histories"
CARDS: Final[dict[str, Any]] = {
    "notifications": {"call_notify_mode": "during", "notify_incoming": True, "notify_outgoing": True},
    "incoming_call_actions": {"create_client": True, "create_order": "none"},
    "outgoing_call_actions": {"create_client": False, "create_order": "none"},
}
BY_AMI: Final = ("attended_transfer", "blind_transfer", "busy", "declined", "follow_me", "outgoing_busy", "pickup", "ring_group")
SHORT: Final = Limits(call_max_ms=60_000, write_off_ms=120_000)
Play = Callable[[Rig], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is played, and under what."""

    name: str
    about: str
    play: Play
    config: dict[str, Any] | None = None
    switches: Switches | None = None
    limits: Limits | None = None


async def send(rig: Rig, lines: list[Line], form: Callable[[Line], Any] = as_call_event) -> None:
    """Signals at their own times."""
    for line in lines:
        await rig.wait(max(0, line.at_ms - rig.clock.now_ms))
        if (posted := form(line)) is not None:
            status, answer = await rig.post(*posted)
            assert status == 200, answer
            await rig.settle()


async def rest(rig: Rig, ms: int = 600_000) -> None:
    """Let everything come to its end."""
    await rig.wait(ms)


async def fault(rig: Rig, **rule: Any) -> None:
    """Let MoySklad do this to the requests that match."""
    async with rig.sandbox.post("/sandbox/faults", json={"rules": [rule]}) as answer:
        assert answer.status < 300, await answer.text()


async def calm(rig: Rig) -> None:
    """Let MoySklad work again."""
    async with rig.sandbox.delete("/sandbox/faults") as answer:
        assert answer.status < 300, await answer.text()


def _whole(name: str, form: Callable[[Line], Any] = as_call_event) -> Play:
    async def play(rig: Rig) -> None:
        lines = recording(name)
        rig.clock.now_ms = lines[0].at_ms - 1_000
        await send(rig, lines, form)
        await rest(rig)

    return play


def _troubled(name: str, *, after: int, mended_after: int | None = None, **rule: Any) -> Play:
    """A recording; before its signal number ``after`` the trouble begins, before ``mended_after`` (or at the end) it is over."""

    async def play(rig: Rig) -> None:
        lines = recording(name)
        rig.clock.now_ms = lines[0].at_ms - 1_000
        await send(rig, lines[:after])
        await fault(rig, **rule)
        await send(rig, lines[after:mended_after])
        if mended_after is not None:
            await calm(rig)
            await send(rig, lines[mended_after:])
        await rest(rig, 30_000)
        await calm(rig)
        await rest(rig)
        # What was held back as backlog, nobody else looks for here, and no other call tells that MoySklad is back.
        current = await rig.service.settings.current(ENTERPRISE)
        assert current is not None
        rig.service.moysklad.gateway.forget(current.account)
        for call, _ in await histories(rig):
            await rig.service.reactor.attend(StreamId(enterprise=ENTERPRISE, name=f"call/{call}"), Urgency.BACKLOG)
        await rest(rig)

    return play


async def _lost_hangup(rig: Rig) -> None:
    lines = [line for line in recording("inbound_answered") if line.event != "hangup"]
    rig.clock.now_ms = lines[0].at_ms - 1_000
    await send(rig, lines)
    await rest(rig, 3_600_000)


async def _late_hangup(rig: Rig) -> None:
    lines = recording("inbound_noanswer")
    rig.clock.now_ms = lines[0].at_ms - 1_000
    await send(rig, [line for line in lines if line.event != "hangup"])
    await rest(rig, 90_000)
    rig.clock.now_ms += 1_000
    for line in lines:
        if line.event == "hangup":
            path, body = as_dispatcher(line) or ("", {})
            status, answer = await rig.post("/internal/ms/recovery-call", {**body, "origin": "download"})
            assert status == 200, (path, answer)
    await rest(rig, 600_000)


async def _asked_for_cards(rig: Rig) -> None:
    lines = recording("ring_group_abandoned")
    rig.clock.now_ms = lines[0].at_ms - 1_000
    await send(rig, lines[:1])
    body = {
        "enterprise_number": ENTERPRISE,
        "unique_id": lines[0].body["UniqueId"],
        "phone": lines[0].body["Phone"],
        "extensions": ["103"],
    }
    status, answer = await rig.post("/internal/ms/notify-incoming", body)
    assert status == 200, answer
    await rig.settle()
    await send(rig, lines[1:])
    await rest(rig)


async def _revoked_and_mended(rig: Rig) -> None:
    lines = recording("inbound_answered")
    rig.clock.now_ms = lines[0].at_ms - 1_000
    await fault(rig, action="status", status=401, code=1056, api="phone")
    await send(rig, lines)
    await rest(rig, 30_000)
    await rig.service.runner.catch_up()
    await calm(rig)
    rig.clock.now_ms += 60_000
    ripe_s = 0.0
    words = ("anna", "the key was mended")
    await rig.service.pool.execute(load_sql("retry_order_make"), ENTERPRISE, lines[0].body["UniqueId"], *words, ripe_s)
    while await rig.service.retries.step():
        await rig.settle()
    await rig.service.reactor.attend(StreamId(enterprise=ENTERPRISE, name=f"call/{lines[0].body['UniqueId']}"), Urgency.BACKLOG)
    await rest(rig)


def _by_ami(name: str) -> Play:
    """A recording of the Manager Interface."""

    async def play(rig: Rig) -> None:
        lines = lines_of(name)
        rig.clock.now_ms = lines[0][0] - 1_000
        await play_ami(rig, lines)
        await rest(rig)

    return play


async def _clicked(rig: Rig) -> None:
    lines = recording("click_to_call")
    rig.clock.now_ms = lines[0].at_ms - 300
    current = await rig.service.settings.current(ENTERPRISE)
    assert current is not None
    wish = {"srcNumber": "101", "destNumber": "+79161234567", "uid": "ivanov@demo"}
    status, answer = await rig.post(f"/ms/webhook/{current.config['webhook_uuid']}", wish)
    assert status == 200, answer
    await rig.settle()
    await send(rig, lines)
    await rest(rig)


async def _logged(rig: Rig) -> None:
    body = {
        "enterprise_number": ENTERPRISE,
        "phone": "+375290000001",
        "extension": "101",
        "direction": "in",
        "unique_id": "1795436000.77",
        "start_time": "2026-11-23 15:30:08",
        "end_time": "2026-11-23 15:31:00",
        "record_url": "https://records.example.invalid/1.mp3",
    }
    status, answer = await rig.post("/internal/ms/log-call", body)
    assert status == 200, answer
    await rest(rig)


def situations() -> list[Situation]:
    """Everything that is played for a version."""
    found = [Situation(name=name, about=f"recording {name}, every event", play=_whole(name), config=CARDS) for name in NAMES]
    found += [
        Situation(
            name=f"{name}-dispatcher",
            about=f"recording {name}, dial and hangup as the dispatcher posts them",
            play=_whole(name, as_dispatcher),
            config=CARDS,
        )
        for name in ("blind_transfer", "inbound_answered", "outbound_answered", "production_2_19", "ring_group", "sequential")
    ]
    recorded: dict[str, Any] = {"action": "status", "status": 503, "code": 1999, "api": "phone"}
    posted: dict[str, Any] = {"api": "phone", "method": "POST", "path_regex": "^/call$", "times": 1}
    off = {**CARDS, "notifications": {"call_notify_mode": "none"}}
    actions = {"create_client": True, "create_order": "always", "create_task": "on_missed"}
    more = {**CARDS, "incoming_call_actions": actions, "organization": "ООО «Песочница»"}
    return [
        *found,
        Situation(name="no-cards", about="the settings show no cards", play=_whole("ring_group"), config=off),
        *(
            Situation(name=f"ami-{name}", about=f"{name} by AMI", play=_by_ami(f"asterisk16/{name}"), config=CARDS)
            for name in BY_AMI
        ),
        Situation(name="click", about="a click in MoySklad rings", play=_clicked, config=CARDS),
        Situation(name="order", about="an order is asked for", play=_whole("inbound_answered"), config=more),
        Situation(name="task", about="a task to call back is asked for", play=_whole("inbound_noanswer"), config=more),
        Situation(name="switched-off", about="the integration is off", play=_whole("inbound_answered"), config={"enabled": False}),
        Situation(
            name="outage",
            about="MoySklad is away from the first ring on",
            play=_troubled("ring_group", after=1, **recorded),
            config=CARDS,
        ),
        Situation(
            name="outage-at-the-end",
            about="MoySklad is away when the call ends",
            play=_troubled("inbound_answered", after=6, **recorded),
            config=CARDS,
        ),
        Situation(
            name="answer-lost",
            about="the registration was carried out, its answer was lost",
            play=_troubled("inbound_answered", after=0, action="drop_after", **posted),
            config=CARDS,
        ),
        Situation(
            name="request-lost",
            about="the registration was lost before it was carried out",
            play=_troubled("inbound_answered", after=0, action="drop_before", **posted),
            config=CARDS,
        ),
        Situation(
            name="contacts-away",
            about="the JSON API is away: the card does not wait",
            play=_troubled("inbound_answered", after=0, action="status", status=503, code=1999, api="remap"),
            config=CARDS,
        ),
        Situation(
            name="employee-refused",
            about="MoySklad refuses the employee whom the mapping names",
            play=_whole("inbound_answered"),
            config={**CARDS, "employee_mapping": {"101": "7bac6104-1c79-11e8-5bec-bccf00000101"}},
        ),
        Situation(name="lost-hangup", about="no hangup ever came", play=_lost_hangup, config=CARDS, limits=SHORT),
        Situation(
            name="late-hangup", about="the hangup was downloaded after the maximum", play=_late_hangup, config=CARDS, limits=SHORT
        ),
        Situation(name="asked-for-cards", about="somebody asked for a card", play=_asked_for_cards, config=CARDS),
        Situation(name="revoked", about="the key was refused, then mended and ordered", play=_revoked_and_mended, config=CARDS),
        Situation(name="logged", about="a finished call in one request", play=_logged, config=CARDS),
    ]


async def histories(rig: Rig) -> list[tuple[str, list[Stored]]]:
    """Every call's stream, as it is stored."""
    streams: dict[StreamId, list[Stored]] = {}
    for each in await rig.service.store.read_log(0, 100_000):
        if each.stream.name.startswith("call/"):
            streams.setdefault(each.stream, []).append(Stored(type=each.type, schema=each.schema, data=each.data))
    return [(stream.name.removeprefix("call/"), stored) for stream, stored in streams.items()]


async def played(situation: Situation, dsn: str) -> list[HistoryFile]:
    """Play one situation on an empty database; the history of each call."""
    ways = {"ami": FakeOriginator()}
    async with running(
        dsn, config=situation.config, switches=situation.switches, limits=situation.limits, ways=ways
    ) as rig:
        current = await rig.service.settings.current(ENTERPRISE)
        assert current is not None
        await situation.play(rig)
        found = [
            HistoryFile(
                enterprise=ENTERPRISE,
                call=call,
                config=current.config,
                stored=tuple(stored),
                limits=situation.limits or Limits(),
                until_ms=rig.clock.now_ms,
                about=situation.about,
            )
            for call, stored in await histories(rig)
        ]
        return [replace(each, expect=as_recorded(facts_of(each, each.events))) for each in found]


def file_name(situation: str, number: int, of: int) -> str:
    """``ring_group.jsonl``, or ``attended_transfer-2.jsonl`` where a situation holds several calls."""
    return f"{situation}{f'-{number}' if of > 1 else ''}.jsonl"


def shapes() -> dict[str, dict[str, Any]]:
    """The storage format as it is: each event's schema, and the fields of events and of what is kept inside them."""
    found = {}
    for kind in (*EVENT_TYPES.values(), *EFFECT_TYPES.values(), Exchange, CardEvent):
        name = getattr(kind, "type", kind.__name__)
        inside = {each.name: {"type": _annotated(kind, each.name), "required": each.required} for each in _fields(kind)}
        found[name] = {"schema": SCHEMAS.get(name, 1), "fields": inside}
    return found


def _fields(kind: type) -> Sequence[Field]:
    """What is stored of an event, or of what is kept inside one, as msgspec reads it."""
    told = type_info(kind)
    assert isinstance(told, DataclassType | StructType)
    return told.fields


def _annotated(kind: type, field: str) -> str:
    """The field's type as the code writes it."""
    return next(str(each.__annotations__[field]) for each in kind.__mro__ if field in each.__annotations__)


async def _make(version: str, names: Sequence[str]) -> None:
    folder = FOLDER / version
    folder.mkdir(parents=True)
    (folder / "schemas.json").write_bytes(orjson.dumps(shapes(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
    with tempfile.TemporaryDirectory() as place:
        async with embedded_postgres(Path(place), profile="tests", discard=True) as server:
            wanted = [each for each in situations() if not names or each.name.startswith(tuple(names))]
            for number, situation in enumerate(wanted):
                name = f"corpus_{number}"
                await create_database(server, name)
                dsn = in_database(server, name)
                await migrate(dsn)
                found = await played(situation, dsn)
                await drop_database(server, name)
                for nth, history in enumerate(found, start=1):
                    (folder / file_name(situation.name, nth, len(found))).write_bytes(dump(history))
                print(situation.name, len(found), flush=True)  # noqa: T201


if __name__ == "__main__":
    if len(sys.argv) < 2 or re.fullmatch(r"\d+(\.\d+)+", sys.argv[1]) is None:
        raise SystemExit("usage: python -m tests.corpus VERSION [WHAT BEGINS SO ...]")
    asyncio.run(_make(sys.argv[1], sys.argv[2:]))
