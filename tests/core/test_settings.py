"""Settings are read from every shape a row may have, changed field by field, and shown without their secrets."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.settings import (
    Actions,
    EmployeeRef,
    Settings,
    SettingsError,
    fingerprint,
    mask,
    masked,
    merge_update,
    parse_settings,
    read_object,
    restored,
)
from core.values import Direction

KEY = "fictional-phone-key-1a2b"
TOKEN = "fictional-api-token-3c4d"
UUID = "7bac6104-1c79-11e8-5bec-bccf00000151"
ROW: dict[str, Any] = {
    "enabled": True,
    "phone_api_url": "https://api.moysklad.ru/api/phone/1.0",
    "integration_code": KEY,
    "api_token": TOKEN,
    "webhook_uuid": "6f0c4c5e-6f0a-4d8e-9a57-6a2b8a3d9c11",
    "webhook_url": "https://calls.example.invalid/ms/webhook/6f0c4c5e-6f0a-4d8e-9a57-6a2b8a3d9c11",
    "notifications": {"call_notify_mode": "during", "notify_incoming": True, "notify_outgoing": False},
    "incoming_call_actions": {"create_client": True, "create_order": "none", "order_source": "Телефонный звонок"},
    "outgoing_call_actions": {"create_client": False, "create_order": "always", "order_source": "Исходящий звонок"},
    "employee_mapping": {"151": {"name": "Мария", "email": "m@example.invalid", "employee_id": UUID}},
}


# -- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stored", [ROW, json.dumps(ROW), orjson.dumps(ROW), {"ms": ROW}, json.dumps({"ms": ROW}), {"ms": json.dumps(ROW)}]
)
def test_the_contracts_row_is_read_however_it_is_stored(stored: object) -> None:
    settings = parse_settings(stored)
    assert settings.enabled
    assert settings.has_phone_api
    assert settings.has_main_api
    assert settings.employee_for("151") == EmployeeRef(id=UUID, name="Мария")
    assert settings.employee_for("152") is None
    assert settings.incoming == Actions(create_client=True, create_order="none", order_source="Телефонный звонок")
    assert settings.actions(Direction.OUTGOING).create_order == "always"
    assert (settings.country, settings.timezone, settings.webhook_uuid) == ("BY", "", ROW["webhook_uuid"])
    assert settings.problems == ()
    assert KEY not in repr(settings)
    assert TOKEN not in repr(settings)


@pytest.mark.parametrize("stored", [None, {}, "", "not json", "[]", [], 7, True, b"\xff", {"ms": None}, {"enabled": None}])
def test_nothing_is_switched_on_by_an_odd_row(stored: object) -> None:
    settings = parse_settings(stored)
    assert not settings.enabled
    assert not any(settings.cards_for(each) or settings.create_client(each) for each in Direction)


@pytest.mark.parametrize(
    ("mode", "incoming", "outgoing", "shown"),
    [
        ("during", True, False, {Direction.INCOMING}),
        ("during", False, True, {Direction.OUTGOING}),
        ("during", True, True, {Direction.INCOMING, Direction.OUTGOING}),
        ("none", True, True, set()),
        ("DURING", True, False, {Direction.INCOMING}),
    ],
)
def test_who_sees_cards(mode: str, incoming: bool, outgoing: bool, shown: set[Direction]) -> None:
    told = {"call_notify_mode": mode, "notify_incoming": incoming, "notify_outgoing": outgoing}
    settings = parse_settings({**ROW, "notifications": told})
    assert {each for each in (Direction.INCOMING, Direction.OUTGOING) if settings.cards_for(each)} == shown


@pytest.mark.parametrize(
    ("row", "client", "order"),
    [
        ({"create_customers": True, "create_orders": True}, True, "always"),
        ({"create_customers": False, "create_orders": False}, False, "none"),
        ({"incoming_call_actions": {"create_customers": True, "create_orders": True}}, True, "always"),
        ({"incoming_call_actions": {"create_client": False, "create_order": "none"}, "create_customers": True}, False, "none"),
        ({"incoming_call_actions": {"create_client": True, "create_order": "always"}}, True, "always"),
    ],
)
def test_older_rows_are_understood(row: dict[str, Any], client: bool, order: str) -> None:
    actions = parse_settings(row).incoming
    assert (actions.create_client, actions.create_order) == (client, order)


@pytest.mark.parametrize("told", [UUID, f" {UUID} ", {"employee_id": UUID}, {"id": UUID}])
def test_an_employee_may_be_a_bare_uuid(told: object) -> None:
    found = parse_settings({"employee_mapping": {"151": told}}).employee_for("151")
    assert found is not None
    assert found.id == UUID


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"notifications": {"call_notify_mode": "sometimes"}}, "notifications.call_notify_mode"),
        ({"incoming_call_actions": {"create_order": "often"}}, "incoming_call_actions.create_order"),
        ({"outgoing_call_actions": {"create_task": "twice"}}, "outgoing_call_actions.create_task"),
        ({"employee_mapping": {"151": {"name": "nobody"}}}, "employee_mapping.151"),
        ({"country": "Belarus"}, "country"),
    ],
)
def test_what_is_not_understood_is_said(row: dict[str, Any], field: str) -> None:
    settings = parse_settings(row)
    assert [problem for problem in settings.problems if field in problem]


@pytest.mark.parametrize("name", ["unrecognized_extension", "unrecognised_extension", "unrecognized_calls_extension"])
def test_the_number_for_unrecognised_calls(name: str) -> None:
    assert parse_settings({name: "150"}).unrecognized_extension == "150"
    assert parse_settings({name: 150}).unrecognized_extension == "150"


def test_country_zone_and_task_are_the_enterprises_own() -> None:
    told = {"country": "ru", "timezone": "Europe/Moscow", "incoming_call_actions": {"create_task": "on_missed", "task_minutes": 15}}
    settings = parse_settings(told)
    assert (settings.country, settings.timezone) == ("RU", "Europe/Moscow")
    assert (settings.incoming.create_task, settings.incoming.task_minutes) == ("on_missed", 15)


# -- changing ------------------------------------------------------------------------------------------------------


def test_orders_and_tasks() -> None:
    update = {
        "incoming_call_actions": {"create_order": "unless_open", "order_unanswered": True, "order_state": "Новый"},
        "organization": " ООО «Радуга» ",
        "task_assignee": UUID,
    }
    settings = parse_settings(merge_update(ROW, update))
    assert settings.problems == ()
    assert (settings.incoming.create_order, settings.incoming.order_unanswered) == ("unless_open", True)
    assert (settings.incoming.order_state, settings.incoming.order_source) == ("Новый", "Телефонный звонок")
    assert not settings.outgoing.order_unanswered
    assert (settings.organization, settings.task_assignee) == ("ООО «Радуга»", UUID)
    assert parse_settings(merge_update(ROW, {"task_assignee": "151"})).task_assignee == "151"


def test_what_is_absent_stays() -> None:
    current = {**ROW, "unknown": {"a": [1]}}
    assert merge_update(current, {}) == current
    assert merge_update(current, {"ms": {"enabled": False}}) == {**current, "enabled": False}
    assert merge_update(current, {"enabled": False}) == {**current, "enabled": False}


def test_a_section_keeps_what_is_not_sent() -> None:
    changed = merge_update(
        {**ROW, "notifications": {**ROW["notifications"], "own": 1}}, {"notifications": {"notify_outgoing": True}}
    )
    assert changed["notifications"] == {**ROW["notifications"], "own": 1, "notify_outgoing": True}


def test_an_employee_can_be_taken_off_the_mapping() -> None:
    assert merge_update(ROW, {"employee_mapping": {"152": UUID}})["employee_mapping"] == {"152": UUID}
    assert merge_update(ROW, {"employee_mapping": {"151": None}})["employee_mapping"] == {}


@pytest.mark.parametrize("shown", [mask(KEY), mask("short"), "****1a2b", "••••••••", None])
def test_a_masked_or_absent_token_keeps_the_stored_one(shown: object) -> None:
    changed = merge_update(ROW, {"integration_code": shown, "api_token": "fictional-new-token"})
    assert (changed["integration_code"], changed["api_token"]) == (KEY, "fictional-new-token")
    assert merge_update(ROW, masked(ROW)) == ROW


def test_a_masked_secret_inside_an_unknown_object_is_kept_too() -> None:
    current = {"other": {"api_key": "fictional-other-9z9z", "name": "a"}}
    assert merge_update(current, {**masked(current), "enabled": True}) == {**current, "enabled": True}
    assert merge_update(current, {"other": {"api_key": "fictional-changed"}})["other"] == {"api_key": "fictional-changed"}


def test_a_token_is_cleared_by_an_empty_one_and_never_masked_into_being() -> None:
    assert merge_update(ROW, {"api_token": ""})["api_token"] == ""
    assert "api_token" not in merge_update({}, {"api_token": mask(TOKEN)})
    assert merge_update({}, {"api_token": f" {TOKEN}\n"})["api_token"] == TOKEN


def test_what_the_service_owns_is_not_changed_from_outside() -> None:
    update = {"webhook_uuid": "x", "webhook_url": "https://elsewhere.invalid", "phone_api_url": "https://elsewhere.invalid"}
    assert merge_update(ROW, {**update, "revision": 7, "problems": ["x"]}) == ROW


@pytest.mark.parametrize(
    ("update", "field"),
    [
        ({"enabled": "yes"}, "enabled"),
        ({"integration_code": 7}, "integration_code"),
        ({"integration_code": "ключ"}, "integration_code"),
        ({"api_token": "two words"}, "api_token"),
        ({"api_token": "x" * 1_001}, "api_token"),
        ({"notifications": True}, "notifications"),
        ({"notifications": {"call_notify_mode": "always"}}, "notifications.call_notify_mode"),
        ({"notifications": {"notify_incoming": "on"}}, "notifications.notify_incoming"),
        ({"incoming_call_actions": {"create_client": 1}}, "incoming_call_actions.create_client"),
        ({"incoming_call_actions": {"create_order": True}}, "incoming_call_actions.create_order"),
        ({"outgoing_call_actions": {"task_minutes": 0}}, "outgoing_call_actions.task_minutes"),
        ({"outgoing_call_actions": {"order_source": ["x"]}}, "outgoing_call_actions.order_source"),
        ({"outgoing_call_actions": {"order_source": "x" * 256}}, "outgoing_call_actions.order_source"),
        ({"outgoing_call_actions": {"order_state": "два\nстатуса"}}, "outgoing_call_actions.order_state"),
        ({"incoming_call_actions": {"order_unanswered": "yes"}}, "incoming_call_actions.order_unanswered"),
        ({"organization": 7}, "organization"),
        ({"task_assignee": "Мария"}, "task_assignee"),
        ({"employee_mapping": ["151"]}, "employee_mapping"),
        ({"employee_mapping": {"151": 5}}, "employee_mapping.151"),
        ({"employee_mapping": {"Мария": UUID}}, "employee_mapping.Мария"),
        ({"employee_mapping": {str(each): UUID for each in range(5_001)}}, "employee_mapping"),
        ({"unrecognized_extension": "reception"}, "unrecognized_extension"),
        ({"country": "Belarus"}, "country"),
        ({"timezone": "five past"}, "timezone"),
        ({"unknown": "a\x00b"}, "unknown"),
        ({"unknown": {"a": [{"b": "\x00"}]}}, "unknown.a.0.b"),
        ({"unknown": [[[[[[[[1]]]]]]]]}, "unknown.0.0.0.0.0.0.0"),
        ({"ms": []}, "ms"),
    ],
)
def test_a_bad_field_is_named_and_explained_in_russian(update: dict[str, Any], field: str) -> None:
    with pytest.raises(SettingsError) as caught:
        merge_update(ROW, update)
    assert caught.value.field == field
    assert any("а" <= letter.lower() <= "я" for letter in caught.value.hint)
    assert KEY not in f"{caught.value.error}{caught.value.hint}"


@pytest.mark.parametrize("body", [None, [], "text", 7])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(SettingsError):
        merge_update(ROW, body)


# -- showing -------------------------------------------------------------------------------------------------------


def test_no_secret_is_shown() -> None:
    shown = masked({**ROW, "other_token": "fictional-other-9z", "deep": [{"api_key": "k-123456", "name": "n"}]})
    assert (shown["integration_code"], shown["api_token"]) == ("••••1a2b", "••••3c4d")
    assert (shown["other_token"], shown["deep"]) == ("••••r-9z", [{"api_key": "••••", "name": "n"}])
    assert {key: value for key, value in shown.items() if key in ROW and "token" not in key and "code" not in key} == {
        key: value for key, value in ROW.items() if "token" not in key and "code" not in key
    }


@given(st.text(min_size=1, max_size=60))
def test_a_mask_shows_four_characters_at_most(secret: str) -> None:
    shown = mask(secret)
    assert shown.startswith("••••")
    assert len(shown) <= 8
    assert len(secret) >= 12 or shown == "••••"


def test_a_fingerprint_follows_the_content_not_the_order() -> None:
    assert fingerprint(ROW) == fingerprint(dict(reversed(ROW.items())))
    assert fingerprint(ROW) != fingerprint({**ROW, "api_token": "another"})
    assert TOKEN not in fingerprint(ROW)


# -- properties ----------------------------------------------------------------------------------------------------

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)  # what a JSON number of ours can be
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["during", "always", "BY", UUID])
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
ODD_ROWS = st.dictionaries(st.sampled_from([*ROW, "create_orders", "create_customers", "country", "timezone", "x"]), ANYTHING)


@given(ODD_ROWS | ANYTHING)
def test_reading_is_total(stored: object) -> None:
    settings = parse_settings(stored)
    assert isinstance(settings, Settings)
    assert all(isinstance(settings.employee_for(each), EmployeeRef | None) for each in ("151", ""))
    assert isinstance(read_object(stored), dict)


@given(ODD_ROWS, ODD_ROWS)
def test_saving_the_same_update_again_changes_nothing(current: dict[str, Any], update: dict[str, Any]) -> None:
    try:
        changed = merge_update(current, update)
    except SettingsError:
        return
    assert merge_update(changed, update) == changed
    fresh = {key: value for key, value in changed.items() if value != current.get(key)}
    assert "\\u0000" not in orjson.dumps(fresh).decode()


@given(ODD_ROWS, ODD_ROWS)
def test_bringing_back_is_total_and_takes_no_secret_from_the_past(current: dict[str, Any], earlier: dict[str, Any]) -> None:
    now = {**current, "integration_code": KEY, "webhook_uuid": UUID}
    back = restored(now, {**earlier, "integration_code": "an-old-key", "api_token": "an-old-token", "webhook_uuid": "old"})
    assert (back["integration_code"], back["webhook_uuid"]) == (KEY, UUID)
    assert back.get("api_token") == current.get("api_token")
    assert restored(now, back) == back
