"""The storage format: what was written can be read back, by this code and by later versions of it."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.events import (
    EVENT_TYPES,
    OBSERVATIONS,
    ORDERS,
    OUTCOMES,
    SCHEMAS,
    TIME_FACTS,
    UPCASTERS,
    DialObserved,
    EffectDone,
    Event,
    Exchange,
    HangupObserved,
    UnknownEventType,
    decode,
    encode,
    safe_id,
)
from core.values import ANONYMOUS, Direction

STORED_TYPES = {
    "click_joined",
    "arrival_observed",
    "dial_observed",
    "caller_id_observed",
    "bridge_opened",
    "bridge_entered",
    "bridge_left",
    "bridge_closed",
    "hangup_observed",
    "ring_ended",
    "handover_observed",
    "card_requested",
    "leg_absorbed",
    "consultation_observed",
    "call_settled",
    "call_overdue",
    "call_written_off",
    "effect_started",
    "effect_done",
    "effect_failed",
    "effect_refused",
    "effect_deferred",
    "retry_requested",
}


def test_the_names_of_events_are_the_storage_format() -> None:
    assert set(EVENT_TYPES) == STORED_TYPES
    assert {kind.type for kind in (*OBSERVATIONS, *TIME_FACTS, *OUTCOMES, *ORDERS)} == STORED_TYPES


@pytest.mark.parametrize("kind", list(EVENT_TYPES.values()), ids=list(EVENT_TYPES))
def test_every_type_survives_the_store(kind: type[Event]) -> None:
    event = _example(kind)
    type_, schema, data = encode(event)
    assert decode(type_, schema, json.loads(json.dumps(data))) == event


def _example(kind: type[Event]) -> Event:
    """One event of a type, every field that has no default filled in."""
    values: dict[str, object] = {
        "heard_ms": 1,
        "at_ms": 1,
        "retry_ms": 2,
        "until_ms": 3,
        "ambiguous": True,
        "direction": Direction.OUTGOING,
        "extensions": ("101", "102"),
        "effect": {"type": "confirm_call", "external_id": "x"},
    }
    needed = [
        spec.name for spec in fields(kind) if spec.name in values or (spec.default is MISSING and spec.default_factory is MISSING)
    ]
    return kind(**{name: values.get(name, f"{name}-text") for name in needed})  # type: ignore[arg-type]


@given(st.integers(0, 2**53), st.sampled_from(Direction), st.lists(st.text(max_size=6), max_size=4), st.text(max_size=20))
def test_a_dial_survives_whatever_it_says(at_ms: int, direction: Direction, extensions: list[str], number: str) -> None:
    event = DialObserved(heard_ms=at_ms, channel="1.1", direction=direction, extensions=tuple(extensions), number=number)
    type_, schema, data = encode(event)
    assert decode(type_, schema, json.loads(json.dumps(data))) == event


def test_exchanges_survive_inside_an_outcome() -> None:
    event = EffectDone(
        key="k",
        at_ms=5,
        effect={"type": "confirm_call"},
        result={"call": None},
        exchanges=(
            Exchange(method="PUT", path="/call/extid/x", status=404, response={"errors": [{"code": 1021}]}, duration_ms=12),
        ),
    )
    assert decode(*encode(event)) == event


def test_data_of_an_earlier_writer_that_lacks_a_field_takes_its_default() -> None:
    event = decode("hangup_observed", 1, {"heard_ms": 1, "channel": "1.1", "direction": "in"})
    assert event == HangupObserved(heard_ms=1, channel="1.1", direction=Direction.INCOMING, number=ANONYMOUS)


def test_an_old_version_is_lifted_one_step_at_a_time() -> None:
    steps = []

    def second(data: dict[str, object]) -> dict[str, object]:
        steps.append(1)
        return {**data, "trunk": "lifted"}

    def third(data: dict[str, object]) -> dict[str, object]:
        steps.append(2)
        return {**data, "number": "+375290000001"}

    event = decode(
        "arrival_observed",
        1,
        {"heard_ms": 1, "channel": "1.1"},
        upcasters={("arrival_observed", 1): second, ("arrival_observed", 2): third},
        schemas={"arrival_observed": 3},
    )
    assert steps == [1, 2]
    assert (event.trunk, event.number) == ("lifted", "+375290000001")  # type: ignore[union-attr]


@pytest.mark.parametrize(("type_", "schema"), [("thing_from_the_future", 1), ("call_settled", 99)])
def test_what_a_newer_service_wrote_is_named_and_not_guessed(type_: str, schema: int) -> None:
    with pytest.raises(UnknownEventType, match="newer than this service"):
        decode(type_, schema, {"at_ms": 1, "reason": ""})


def test_every_version_below_todays_has_an_upcaster() -> None:
    assert {(type_, old) for type_, today in SCHEMAS.items() for old in range(1, today)} == set(UPCASTERS)


def test_the_raw_body_is_kept_beside_the_fact() -> None:
    raw = {"UniqueId": "1.1", "_odd": [1, {"x": None}]}
    event = DialObserved(heard_ms=1, channel="1.1", direction=Direction.INCOMING, raw=raw, wire="call_event")
    assert encode(event)[2]["raw"] == raw


@pytest.mark.parametrize(
    ("opaque", "safe"),
    [
        ("1757840723.6", "1757840723.6"),
        ("host-a-1757840723.6", "host-a-1757840723.6"),
        ("a/b", "a_2f_b"),
        ("a_2f_b", "a_5f_2f_5f_b"),
        ("день", "_434__435__43d__44c_"),
        ("", ""),
    ],
)
def test_ids_are_made_safe_for_paths(opaque: str, safe: str) -> None:
    assert safe_id(opaque) == safe


@given(st.text(max_size=12), st.text(max_size=12))
def test_different_ids_stay_different(one: str, other: str) -> None:
    assert (safe_id(one) == safe_id(other)) == (one == other)


@given(st.text(max_size=12))
def test_a_safe_id_holds_nothing_that_a_path_would_split_at(opaque: str) -> None:
    assert set(safe_id(opaque)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.~-_")
