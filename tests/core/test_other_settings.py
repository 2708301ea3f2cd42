"""What a person types, and the settings it makes."""

from __future__ import annotations

from typing import Any

import pytest

from core.other_settings import LATEST, Against, BadAgainst, applied, read_against
from core.settings import PATHS
from tests.settings import MS_CONFIG

FILES = {
    "a.json": b'{"ms": {"notifications": {"call_notify_mode": "none"}}}',
    "b.json": b'{"enabled": true}',
    "bad.json": b"{",
    "list.json": b"[]",
    "ms.json": b'{"ms": 3}',
    "slip.json": b'{"notificatons": {"call_notify_mode": "none"}}',
    "inner-slip.json": b'{"notifications": {"call_notify_mod": "none"}}',
    "foreign.json": b'{"ms": {"enabled": true, "smart": {"x": 1}, "webhook_uuid": "1", "revision": 3, "create_orders": true}}',
}


def made(*texts: str, config: dict[str, Any] | None = None) -> dict[str, Any]:
    return applied(MS_CONFIG if config is None else config, read_against(texts, FILES.__getitem__))


def test_code_alone_changes_no_setting() -> None:
    assert read_against(["code"], FILES.__getitem__).is_code
    assert read_against([], FILES.__getitem__) == Against()
    assert made("code") == MS_CONFIG


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("enabled=false", ("enabled",), False),
        ("notifications.notify_incoming=false", ("notifications", "notify_incoming"), False),
        ("notifications.call_notify_mode=none", ("notifications", "call_notify_mode"), "none"),
        ("incoming_call_actions.task_minutes:=45", ("incoming_call_actions", "task_minutes"), 45),
        ("unrecognized_extension=101", ("unrecognized_extension",), "101"),
        ("employee_mapping.103=uuid-3", ("employee_mapping", "103"), "uuid-3"),
        ("a.json", ("notifications", "call_notify_mode"), "none"),
    ],
)
def test_one_thing_changes_and_the_rest_stays(text: str, path: tuple[str, ...], value: Any) -> None:
    found = made(text)
    here: Any = found
    for name in path:
        here = here[name]
    assert here == value
    beside = {name: value for name, value in found.items() if name != path[0]}
    assert beside == {name: value for name, value in MS_CONFIG.items() if name != path[0]}
    if len(path) > 1 and path[0] in MS_CONFIG:
        assert {**found[path[0]], path[1]: None} == {**MS_CONFIG[path[0]], path[1]: None}


def test_nothing_takes_a_field_away() -> None:
    assert "101" not in made("employee_mapping.101=")["employee_mapping"]
    assert made("api_token=x")["api_token"] == "x"
    assert "country" not in made("country=", config={"country": "RU"})


def test_only_a_file_s_settings_and_the_secrets_that_are_set() -> None:
    secrets = {name: MS_CONFIG[name] for name in ("integration_code", "api_token")}
    assert made("only:b.json") == {"enabled": True, **secrets}
    assert made("only:b.json", "enabled=false") == {"enabled": False, **secrets}


def test_revisions() -> None:
    assert read_against(["revision:7"], FILES.__getitem__).revision == 7
    assert read_against(["revision:latest", "enabled=false"], FILES.__getitem__).revision == LATEST
    assert not read_against(["revision:7"], FILES.__getitem__).is_code


@pytest.mark.parametrize(
    "text", ["", "nonsense", "revision:", "revision:0", "revision:x", "revision:99999999999", "=x", ".a=b", "bad.json",
             "list.json", "ms.json", "a:=nonsense"],
)  # fmt: skip
def test_what_cannot_be_understood(text: str) -> None:
    with pytest.raises(BadAgainst):
        read_against([text], FILES.__getitem__)


@pytest.mark.parametrize("text", ["enabled=perhaps", "notifications.call_notify_mode=sometimes", "employee_mapping.x=uuid"])
def test_what_could_not_be_saved_cannot_be_tried(text: str) -> None:
    with pytest.raises(BadAgainst, match=text.partition("=")[0]):
        read_against([text], FILES.__getitem__)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("notifications.notify_incomming=false", "notifications.notify_incoming"),
        ("notificatons.call_notify_mode=none", "notifications.call_notify_mode"),
        ("create_client=true", "incoming_call_actions.create_client or outgoing_call_actions.create_client"),
        ("creat_client=true", "incoming_call_actions.create_client or outgoing_call_actions.create_client"),
        ("enabeld=false", "enabled"),
        ("notifications.call_notify_mode.x=none", "notifications.call_notify_mode"),
        ("employee_mapping.103.employe_id=u", "employee_mapping.EXTENSION.employee_id"),
        ("zzz=1", "there are country, "),
        ("slip.json", "slip.json: there is no setting notificatons; did you mean notifications?"),
        ("only:inner-slip.json", "did you mean notifications.call_notify_mode?"),
    ],
)
def test_a_setting_that_there_is_not_is_refused_and_the_nearest_named(text: str, near: str) -> None:
    with pytest.raises(BadAgainst) as refused:
        read_against([text], FILES.__getitem__)
    assert near in str(refused.value)


def test_what_others_keep_in_the_settings_is_no_slip_and_older_names_are_known() -> None:
    assert made("foreign.json")["smart"] == {"x": 1}
    assert made("incoming_call_actions.create_customers=true")["incoming_call_actions"]["create_customers"] is True
    assert made("default_extension=101", "api_token=x")["default_extension"] == "101"
    for path in PATHS:
        assert read_against([f"{path}="], FILES.__getitem__).fields
