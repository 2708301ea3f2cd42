"""Which settings there are, and what is said of one that there is not."""

from __future__ import annotations

from typing import Any

import pytest

from core.settings import OLDER_PATHS, PATHS
from core.settings_names import MOST, nearest, no_settings
from tests.settings import MS_CONFIG


@pytest.mark.parametrize(
    ("update", "field", "near"),
    [
        ({"enabeld": True}, "enabeld", "enabled"),
        ({"ms": {"enabeld": None}}, "enabeld", "enabled"),
        ({"notificatons": {"notify_incoming": True}}, "notificatons", "notifications"),
        ({"notifications": {"notify_incomming": True}}, "notifications.notify_incomming", "notifications.notify_incoming"),
        ({"create_client": True}, "create_client", "incoming_call_actions.create_client"),
        ({"outgoing_call_actions": {"order_sauce": 1}}, "outgoing_call_actions.order_sauce", "outgoing_call_actions.order_source"),
        ({"api_tokn": "x"}, "api_tokn", "api_token"),
        ({"integration_key": "x"}, "integration_key", "integration_code"),
        ({"zzz": 1}, "zzz", "country"),
    ],
)
def test_a_setting_that_there_is_not_is_told_and_the_nearest_named(update: dict[str, Any], field: str, near: str) -> None:
    (told,) = no_settings(MS_CONFIG, update)
    assert told.field == field
    assert told.error.startswith(f"there is no setting {field}; ")
    assert near in told.error
    assert told.hint.startswith(f"Настройки {field} нет. ")
    assert near in told.hint


def test_nothing_is_said_of_what_there_is_what_is_stored_and_what_the_service_adds() -> None:
    for path in (*PATHS, *OLDER_PATHS):
        first, _, last = path.partition(".")
        assert no_settings({}, {first: {last: 1}} if last else {first: 1}) == ()
    assert no_settings({}, {**MS_CONFIG, "webhook_url": "x", "revision": 3, "problems": []}) == ()
    assert no_settings({"theirs": 1, "notifications": {"sound": 1}}, {"theirs": 2, "notifications": {"sound": 2}}) == ()


def test_of_many_some_are_told() -> None:
    assert len(no_settings({}, {f"x{number}": 1 for number in range(100)})) == MOST


@pytest.mark.parametrize("body", [None, [], {"ms": 5}, {"notifications": 5}])
def test_what_is_odd_is_left_to_whoever_merges_it(body: object) -> None:
    assert no_settings({}, body) == ()


def test_the_nearest_are_few() -> None:
    assert nearest("incoming_call_actions.create") != ()
    assert len(nearest("task_minute")) == 3
    assert nearest("zzz") == ()
