"""PRODUCT A8: settings that come with a call, and the short form of the dispatcher's test calls."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.sandbox import SANDBOX_API_TOKEN, SANDBOX_PHONE_KEY
from adapters.settings_store import INLINE_ENTERPRISE
from tests.adapters.http.support import INLINE, PHONE, SECRETS, UNIQUE_ID, dial, dial_body, everything, hangup, rejected
from tests.rig import ENTERPRISE, TOKEN, Rig

START, END = "2026-11-23 15:13:20", "2026-11-23 15:13:52"
SHORT: dict[str, Any] = {"phone": "+375447777781", "extension": "151", "ms_config": INLINE}


async def test_inline_settings_are_the_ones_used(rig: Rig) -> None:
    """The stored settings have cards on and a good key; those that come with the call say otherwise and win."""
    quiet = {**INLINE, "notifications": {"call_notify_mode": "none"}}
    await rig.post("/internal/ms/incoming-call", dial("1.1", raw=None, ms_config=quiet))
    await rig.post("/internal/ms/incoming-call", dial("1.2", raw=None, phone="+375290000009"))
    await rig.settle()
    await rig.post("/internal/ms/hangup-call", hangup("1.1", start=START, end=END))
    await rig.wait(120_000)
    shown = {row["number"][-1]: {event["event_type"] for event in row["events"]} for row in await rig.rows()}
    assert "SHOW" not in shown["1"]
    assert "SHOW" in shown["9"]


async def test_inline_credentials_are_the_ones_used(rig: Rig) -> None:
    await rig.service.settings.save(ENTERPRISE, {"integration_code": "stored-but-wrong-key-0001"}, by="test", reason="test")
    await rig.post("/internal/ms/incoming-call", dial("1.1", ms_config=INLINE))
    await rig.post("/internal/ms/hangup-call", hangup("1.1", start=START, end=END))
    await rig.wait(120_000)
    (row,) = await rig.rows()
    assert row["external_id"].endswith("1.1")
    assert row["open_cards"] == []
    assert row["end_ms"] is not None


async def test_the_same_inline_settings_are_kept_once_and_never_become_the_enterprise_s(rig: Rig) -> None:
    before = await rig.service.settings.current(ENTERPRISE)
    for number in range(3):
        await rig.post("/internal/ms/incoming-call", dial(f"1.{number}", ms_config=INLINE))
    rows = await rig.service.pool.fetch("SELECT inline FROM settings_revisions WHERE enterprise = $1", ENTERPRISE)
    assert sorted(row["inline"] for row in rows) == [False, True]
    assert await rig.service.settings.current(ENTERPRISE) == before
    status, history = await rig.get(f"/ms-admin/api/config/{ENTERPRISE}/history")
    assert (status, [each["by"] for each in history["history"]]) == (200, ["test"])


@pytest.mark.parametrize("enabled", [True, False])
async def test_the_short_form_needs_neither_enterprise_nor_unique_id(rig: Rig, enabled: bool) -> None:
    body = {"phone": "+375447777781", "ms_config": {**INLINE, "enabled": enabled}}
    status, answer = await rig.post("/internal/ms/incoming-call", body)
    assert (status, answer["status"]) == (200, "success" if enabled else "disabled")
    assert answer["enterprise_number"] == INLINE_ENTERPRISE
    await rig.wait(30_000)
    await rig.post("/internal/ms/hangup-call", body)
    await rig.wait(120_000)
    assert len(await rig.rows()) == int(enabled)


async def test_a_repeat_of_the_short_form_within_a_minute_is_the_same_call(rig: Rig) -> None:
    first = (await rig.post("/internal/ms/incoming-call", SHORT))[1]
    await rig.wait(59_000)  # across the border of two windows of a minute
    second = (await rig.post("/internal/ms/incoming-call", SHORT))[1]
    assert second["call"] == first["call"]
    assert second["duplicate"] is True
    await rig.wait(61_000)
    third = (await rig.post("/internal/ms/incoming-call", SHORT))[1]
    assert third["call"] != first["call"]
    await rig.settle()
    assert len(await rig.rows()) == 2


async def test_the_short_form_s_hangup_ends_it(rig: Rig) -> None:
    first = (await rig.post("/internal/ms/incoming-call", SHORT))[1]
    await rig.settle()
    (row,) = await rig.rows()
    assert row["open_cards"] == ["151"]
    await rig.wait(30_000)
    ended = (await rig.post("/internal/ms/hangup-call", {**SHORT, "raw": None, "record_url": None}))[1]
    assert ended["call"] == first["call"]
    await rig.wait(120_000)
    (row,) = await rig.rows()
    assert row["open_cards"] == []
    assert row["end_ms"] is not None


async def test_the_short_form_s_hangup_ends_a_call_of_five_minutes(rig: Rig) -> None:
    first = (await rig.post("/internal/ms/incoming-call", SHORT))[1]
    await rig.wait(300_000)
    ended = (await rig.post("/internal/ms/hangup-call", SHORT))[1]
    assert ended["call"] == first["call"]
    await rig.wait(120_000)
    (row,) = await rig.rows()
    assert row["open_cards"] == []


async def test_hidden_callers_of_the_short_form_are_not_merged_across_extensions(rig: Rig) -> None:
    one = (await rig.post("/internal/ms/incoming-call", {**SHORT, "phone": ""}))[1]
    other = (await rig.post("/internal/ms/incoming-call", {**SHORT, "phone": "", "extension": "152"}))[1]
    assert one["call"] != other["call"]


@pytest.mark.parametrize("endpoint", ["incoming-call", "hangup-call", "recovery-call", "call-event", "notify-incoming", "log-call"])
@pytest.mark.parametrize("enterprise", [True, False])
async def test_inline_tokens_are_nowhere_in_the_clear(rig: Rig, endpoint: str, enterprise: bool) -> None:
    """Not in the events' raw bodies, not in the revisions, not in rejected input, and not in the answer."""
    named = {"enterprise_number": ENTERPRISE} if enterprise else {}
    body = {**SHORT, "event": "dial", "unique_id": UNIQUE_ID, "raw": dial_body(), **named}
    status, answer = await rig.post(f"/internal/ms/{endpoint}", body)
    assert status == 200
    spoilt = await rig.post(f"/internal/ms/{endpoint}", {**body, "phone": ["x"], "raw": {"Phone": ["x"]}})
    assert spoilt[0] == 400
    await rig.settle()
    await rig.service.runner.catch_up()
    kept = (await everything(rig)).replace(f",Test,{TOKEN},", "")  # the dispatcher's own column holds the host's secret
    for secret in SECRETS:
        assert secret not in kept
        assert secret not in f"{answer}{spoilt}"


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ("text", "ms_config"),
        ([], "ms_config"),
        ({"enabled": "yes", "integration_code": "k"}, "ms_config.enabled"),
        ({"integration_code": 5}, "ms_config.integration_code"),
        ({"notifications": {"call_notify_mode": "always"}}, "ms_config.notifications.call_notify_mode"),
        ({"timezone": "Mars/Olympus"}, "ms_config.timezone"),
        ({"integration_code": "a" * 40, "deep": {"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}}, None),
    ],
)
async def test_bad_inline_settings_are_named(rig: Rig, config: Any, field: str | None) -> None:
    status, answer = await rig.post("/internal/ms/incoming-call", dial(ms_config=config))
    assert status == 400
    assert answer["field"] == field or (field is None and answer["field"].startswith("ms_config."))
    assert len(await rejected(rig)) == 1
    assert SANDBOX_PHONE_KEY not in str(await rejected(rig))
    assert SANDBOX_API_TOKEN not in str(await rejected(rig))


async def test_a_phone_that_is_a_secret_s_neighbour_is_kept(rig: Rig) -> None:
    """What a person needs to understand the refusal stays readable."""
    await rig.post("/internal/ms/incoming-call", {"enterprise_number": ENTERPRISE, "phone": PHONE, "ms_config": 5})
    (kept,) = await rejected(rig)
    assert PHONE in kept["body"]
