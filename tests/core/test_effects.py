"""Effects as values: stored in events, told apart from look-ups, free of secrets."""

from __future__ import annotations

import json
from typing import get_args

import msgspec
import pytest

from core.effects import (
    EFFECT_TYPES,
    Account,
    AfterRecord,
    CardAction,
    CardEvent,
    ClaimCallback,
    CloseCallback,
    CompleteTask,
    ConfirmCall,
    CreateContact,
    CreateOrder,
    CreateTask,
    Effect,
    FindContact,
    FindEmployees,
    FollowUp,
    HoldTasks,
    InspectCall,
    InspectTask,
    KeepTask,
    Refused,
    RegisterCall,
    Unavailable,
    UpdateCall,
    Way,
    decode_effect,
    encode_effect,
    is_write,
    way_of,
)

CARDS = (
    CardEvent(action=CardAction.SHOW, sequence=1, extension="101", employee="uuid-101"),
    CardEvent(action=CardAction.HIDE_ALL, sequence=2),
)
EVERY: list[Effect] = [
    FindContact(number="+375290000001", deadline_ms=5),
    FindEmployees(extensions=("101", "102"), deadline_ms=5),
    CreateContact(number="+375290000001", sync_id="s", owner="uuid-101", deadline_ms=5),
    RegisterCall(
        external_id="0367-1.1",
        number="+375290000001",
        incoming=True,
        start_ms=1,
        contact="c",
        cards=CARDS,
        extension="101",
        employee="uuid-101",
        end_ms=2,
        comment="x",
        recordings=("https://rec.example/1",),
    ),
    UpdateCall(external_id="0367-1.1", call="m", cards=CARDS, start_ms=1, end_ms=2, recordings=("https://rec.example/1",)),
    ConfirmCall(external_id="0367-1.1"),
    InspectCall(call="m"),
    CreateOrder(
        sync_id="s", contact="c", number="+375290000001", incoming=True, start_ms=1, owner="uuid-101", state="Новый", source="x",
        unless_open=True,
    ),
    CreateTask(
        mark="(звонок 0367-1.1)", number="+375290000001", missed_ms=1, due_ms=2, name="n", contact="c", assignee="uuid-101",
        rang=("101", "102"), look=True,
    ),
    CompleteTask(task="t"),
    InspectTask(task="t"),
    ClaimCallback(call="1.1", number="+375290000001", missed_ms=1, contact="c", over="t", over_ms=2),
    KeepTask(call="1.1", task="t"),
    HoldTasks(call="1.1"),
    CloseCallback(call="1.1", number="+375290000001", talked_ms=1, contact="c"),
]


def test_the_examples_cover_every_effect() -> None:
    assert {effect.type for effect in EVERY} == set(EFFECT_TYPES)


@pytest.mark.parametrize("effect", EVERY, ids=[effect.type for effect in EVERY])
def test_every_effect_survives_the_store(effect: Effect) -> None:
    stored = json.loads(json.dumps(encode_effect(effect)))
    assert stored["type"] == effect.type
    assert decode_effect(stored) == effect


def test_an_effect_is_told_by_one_name_wherever_it_is_named() -> None:
    assert {name: kind.__struct_config__.tag for name, kind in EFFECT_TYPES.items()} == {name: name for name in EFFECT_TYPES}


def test_reading_an_effect_does_not_change_what_is_stored() -> None:
    stored = encode_effect(EVERY[0])
    decode_effect(stored)
    assert stored["type"] == "find_contact"


def test_an_effect_of_a_newer_service_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_effect({"type": "thing_from_the_future"})
    with pytest.raises(msgspec.ValidationError):
        decode_effect({})
    with pytest.raises(msgspec.ValidationError):
        decode_effect({"type": "inspect_call", "call": 5})


WRITES = {
    Way.PHONE: {"register_call", "update_call"},
    Way.JSON: {"create_contact", "create_order", "create_task", "complete_task"},
}
LOOKS = {
    Way.PHONE: {"confirm_call", "inspect_call", "find_employees"},
    Way.JSON: {"find_contact", "inspect_task"},
    Way.HOUSE: {"claim_callback", "keep_task", "hold_tasks", "close_callback"},
}


def test_of_every_effect_it_is_said_here_too_who_is_asked_and_whether_that_changes_anything_there() -> None:
    """Both have an answer for whatever they do not know (the Phone API; a look): a new effect has to be asked about."""
    assert {way: {effect.type for effect in EVERY if is_write(effect) and way_of(effect) is way} for way in WRITES} == WRITES
    assert {way: {effect.type for effect in EVERY if not is_write(effect) and way_of(effect) is way} for way in LOOKS} == LOOKS
    told = [type_ for kinds in (*WRITES.values(), *LOOKS.values()) for type_ in kinds]
    assert sorted(told) == sorted(EFFECT_TYPES), "a new effect stands in WRITES or LOOKS, under the way it goes"


def test_what_follows_the_record_is_known_to_the_plan_as_such() -> None:
    assert {kind for kind in EFFECT_TYPES.values() if issubclass(kind, AfterRecord)} == set(get_args(FollowUp))


def test_there_are_four_card_events() -> None:
    assert {action.value for action in CardAction} == {"SHOW", "STARTTIME", "HIDE", "HIDE_ALL"}


def test_an_account_does_not_show_its_secrets() -> None:
    shown = repr(Account(enterprise="0367", phone_key="secret-one", api_token="secret-two"))
    assert "0367" in shown
    assert "secret" not in shown


def test_failures_say_what_a_retry_must_know() -> None:
    refusal = Refused("no", remedy="ask", code=3007)
    outage = Unavailable("timeout", ambiguous=True, retry_after_ms=3_000)
    assert (str(refusal), refusal.remedy, refusal.code) == ("no", "ask", 3007)
    assert (str(outage), outage.ambiguous, outage.retry_after_ms) == ("timeout", True, 3_000)
