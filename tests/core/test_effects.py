"""Effects as values: stored in events, told apart from look-ups, free of secrets."""

from __future__ import annotations

import json

import msgspec
import pytest

from core.effects import (
    EFFECT_TYPES,
    Account,
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
    HoldTasks,
    InspectCall,
    KeepTask,
    Refused,
    RegisterCall,
    Unavailable,
    UpdateCall,
    decode_effect,
    encode_effect,
    is_write,
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
    ClaimCallback(call="1.1", number="+375290000001", missed_ms=1, contact="c"),
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


def test_only_what_changes_moysklad_is_a_write() -> None:
    assert {effect.type for effect in EVERY if is_write(effect)} == {
        "create_contact", "register_call", "update_call", "create_order", "create_task", "complete_task",
    }


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
