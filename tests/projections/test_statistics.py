"""Numbers over time: what each call and request counts for, and that the sums do not depend on how the log was cut."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from core.call import fold, initial
from core.effects import FindEmployees
from core.events import EffectDone, EffectFailed, Event, Exchange, decode
from core.ports import RecordedEvent
from core.self_test import PREFIX
from projections.call_row import row_of
from projections.statistics import BOUNDS_MS, HOUR_MS, Statistics, api_of, call_counts, people_counts, quantile_ms
from tests.scenario import call_of, events, ms
from tests.told import calls_of, lived, recorded

RING = "0 A start\n1 A dial 101 102\n"
ANSWERED = RING + (
    "5 A enter b1 customer\n5 A enter b1 101\n35 A leave b1 101\n35 A leave b1 customer\n35 A close b1\n"
    "35.4 A hangup 101 answered\n"
)
TABLES = ("statistics_calls", "statistics_people", "statistics_requests", "statistics_names")


def counts(table: str) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """What a call counts for: by outcome, and by employee; without enterprise and hour."""
    call = row_of(call_of(table), 0, 0)
    return {key[2:]: value for key, value in call_counts(call)}, {key[2:]: value for key, value in people_counts(call)}


def test_an_answered_call_counts_for_its_outcome_and_for_everybody_whose_phone_rang() -> None:
    by_call, by_person = counts(ANSWERED)
    assert by_call == {("in", "answered"): (1, 30_000, 1, 4_000, 1)}
    assert by_person == {("101", "in"): (1, 1, 0, 30_000, 1, 4_000), ("102", "in"): (1, 0, 0, 0, 0, 0)}


def test_a_talk_counts_where_the_dial_before_it_was_lost() -> None:
    """Nobody knows the wait; the mean talk was its length, too, divided by the others alone."""
    by_call, _ = counts(ANSWERED.replace("1 A dial 101 102\n", ""))
    assert by_call == {("in", "answered"): (1, 30_000, 0, 0, 1)}


def test_a_missed_call_is_missed_by_everybody_who_was_rung() -> None:
    by_call, by_person = counts(RING + "20 A hangup - end=20\n")
    assert by_call == {("in", "missed"): (1, 0, 0, 0, 0)}
    assert by_person == {(who, "in"): (1, 0, 1, 0, 0, 0) for who in ("101", "102")}


def test_an_answer_of_which_only_the_hangup_tells_is_the_named_one_s() -> None:
    _, by_person = counts("0 A dial 101 102\n35 A hangup 101 answered\n")
    assert by_person == {("101", "in"): (1, 1, 0, 0, 0, 0), ("102", "in"): (1, 0, 0, 0, 0, 0)}


def test_an_outgoing_call_is_the_caller_s() -> None:
    by_call, by_person = counts("0 A dial out 101\n20 A hangup out 101 end=20\n")
    assert (by_call, by_person) == ({("out", "unanswered"): (1, 0, 0, 0, 0)}, {("101", "out"): (1, 0, 1, 0, 0, 0)})


@pytest.mark.parametrize("table", [RING, "0 A dial internal 102 number=101\n9 A hangup internal 102 answered number=101\n", ""])
def test_what_goes_on_and_what_is_no_customer_s_call_counts_for_nothing(table: str) -> None:
    assert counts(table) == ({}, {})


def test_a_call_counts_for_the_hour_in_which_it_began() -> None:
    (key,) = [key for key, _ in call_counts(row_of(call_of(ANSWERED), 0, 0))]
    assert key[:2] == ("0367", ms(0) // HOUR_MS * HOUR_MS)


@pytest.mark.parametrize(
    ("path", "api"), [("/api/phone/1.0/call", "phone"), ("/api/remap/1.2/entity/counterparty?search=1", "json"), ("/call", "phone")]
)
def test_which_api_was_asked(path: str, api: str) -> None:
    assert api_of(Exchange(path=path)) == api


def test_quantiles_lie_between_the_bounds_of_where_they_fall() -> None:
    took = [0] * (len(BOUNDS_MS) + 1)
    assert quantile_ms(took, 0.5) is None
    took[5] = 10  # 75 to 100 ms
    assert quantile_ms(took, 0.5) == 88
    took[-1] = 90
    assert (quantile_ms(took, 0.05), (quantile_ms(took, 0.95) or 0) > BOUNDS_MS[-1]) == (88, True)


# -- in the database ------------------------------------------------------------------------------------------------


@pytest.fixture
async def db(pg_pool: Any) -> Any:
    """A database and the events that the projection may read in it."""
    return pg_pool


async def keep(pool: Any, history: Sequence[RecordedEvent]) -> None:
    await pool.executemany(
        "INSERT INTO events (enterprise, stream, version, position, id, type, schema, data, recorded_ms)"
        " VALUES ($1, $2, $3, $4, gen_random_uuid(), $5, $6, $7, $8)",
        [
            (*(each.stream.enterprise, each.stream.name), each.version, each.position, *(each.type, each.schema), each.data, 0)
            for each in history
        ],
    )


async def apply(pool: Any, history: Sequence[RecordedEvent]) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await Statistics().apply(connection, history)


async def rows(pool: Any) -> dict[str, list[tuple[Any, ...]]]:
    return {table: sorted(tuple(row) for row in await pool.fetch(f"SELECT * FROM {table}")) for table in TABLES}


def log() -> list[RecordedEvent]:
    """A log of several recordings, their streams interleaved as they were heard."""
    found = [
        each
        for name in ("ring_group", "attended_transfer", "blind_transfer", "ring_group_abandoned", "internal")
        for world in [lived(name)]
        for call in calls_of(world)
        for each in recorded(world.streams[f"call/{call}"], call)
    ]
    order = sorted(found, key=lambda each: (each.recorded_ms, each.stream.name, each.version))
    heads: dict[str, int] = {}
    for each in order:  # a stream's versions must rise with the positions
        heads[each.stream.name] = heads.get(each.stream.name, 0) + 1
    by_stream = {name: iter([each for each in found if each.stream.name == name]) for name in heads}
    return [
        msgspec.structs.replace(each, position=position)
        for position, each in enumerate((next(by_stream[each.stream.name]) for each in order), start=1)
    ]


async def test_the_administrators_test_call_counts_for_nothing(db: Any) -> None:
    test, real = recorded(events(ANSWERED), f"{PREFIX}1"), recorded(events(ANSWERED), "A", first=50)
    await keep(db, [*test, *real])
    await apply(db, test)
    assert not any((await rows(db)).values())
    await apply(db, real)
    assert [row[4] for row in (await rows(db))["statistics_calls"]] == [1]


async def test_the_sums_are_the_same_however_the_log_is_cut(db: Any) -> None:
    history = log()
    await keep(db, history)
    await apply(db, history)
    whole = await rows(db)
    assert sum(row[5] for row in whole["statistics_calls"]) > 10_000, "people have talked"
    assert whole["statistics_people"]
    dice = random.Random(7)
    for _ in range(3):
        await db.execute(f"TRUNCATE {', '.join(TABLES)}")
        assert not any((await rows(db)).values())
        rest = list(history)
        while rest:
            cut = dice.randint(1, 9)
            await apply(db, rest[:cut])
            rest = rest[cut:]
        assert await rows(db) == whole


async def test_the_sums_are_those_of_the_calls_themselves(db: Any) -> None:
    history = log()
    await keep(db, history)
    for at in range(0, len(history), 4):
        await apply(db, history[at : at + 4])
    expected: dict[Any, list[int]] = {}
    for name in dict.fromkeys(each.stream.name for each in history):
        call = fold(initial("0367", name.removeprefix("call/")), _decoded(history, name))
        for key, values in call_counts(row_of(call, 0, 0)):
            expected[key] = [a + b for a, b in zip(expected.get(key, [0] * len(values)), values, strict=True)]
    found = {row[:4]: list(row[4:]) for row in (await rows(db))["statistics_calls"]}
    assert found == expected


def _decoded(history: Sequence[RecordedEvent], name: str) -> list[Event]:
    return [decode(each.type, each.schema, each.data) for each in history if each.stream.name == name]


async def test_requests_are_counted_by_api_and_hour_with_how_long_they_took(db: Any) -> None:
    done = EffectDone(
        key="k",
        at_ms=ms(1),
        effect={"type": FindEmployees.type, "extensions": ["101"]},
        result={"employees": {"101": {"id": "x", "name": "Анна"}, "102": None}},
        exchanges=(
            Exchange(method="GET", path="/api/phone/1.0/employee", status=200, duration_ms=80),
            Exchange(method="GET", path="/api/remap/1.2/entity/employee", status=200, duration_ms=300),
        ),
    )
    failed = EffectFailed(
        key="k",
        at_ms=ms(2),
        effect={"type": FindEmployees.type, "extensions": ["101"]},
        error="no answer",
        ambiguous=True,
        retry_ms=ms(9),
        exchanges=(Exchange(method="POST", path="/api/phone/1.0/call", status=None, duration_ms=20_000),),
    )
    history = recorded((*events(RING), done, failed))
    await keep(db, history)
    for each in history:
        await apply(db, [each])
    found = {row[2]: row[3:] for row in (await rows(db))["statistics_requests"]}
    requests, failures, took_ms, took = found["phone"]
    assert (requests, failures, took_ms, sum(took), took[-1], took[5]) == (2, 1, 20_080, 2, 1, 1)
    assert found["json"][:2] == (1, 0)
    assert (await rows(db))["statistics_names"] == [("0367", "101", "Анна")]
