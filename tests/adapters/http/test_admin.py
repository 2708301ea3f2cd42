"""The administrator's JSON API (PRODUCT D1, D3, D4, F1, F2) over HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest

from adapters import trial_cards
from adapters.sandbox import SANDBOX_API_TOKEN, SANDBOX_PHONE_KEY
from core.ports import StreamId
from tests.adapters.http.support import END, PHONE, SECRETS, START, UNIQUE_ID, ask, dial, everything, hangup, played
from tests.adapters.test_parked import parked_history, record
from tests.rig import ENTERPRISE, TOKEN, Rig
from tests.scenario import NUMBER, ms
from tests.settings import employee_id

CONFIG = f"/ms-admin/api/config/{ENTERPRISE}"


async def test_settings_are_shown_masked_with_their_revision(http: Any) -> None:
    status, shown = await ask(http, "GET", CONFIG)
    assert status == 200
    assert shown["ms"]["integration_code"].endswith(SANDBOX_PHONE_KEY[-4:])
    assert shown["ms"]["api_token"].startswith("••••")
    assert (shown["revision"], shown["enterprise_number"], shown["problems"]) == (1, ENTERPRISE, [])
    assert shown["ms"]["webhook_url"].endswith(f"/ms/webhook/{shown['ms']['webhook_uuid']}")


async def test_what_is_shown_can_be_sent_back(rig: Rig, http: Any) -> None:
    """A page that saves what it loaded, with one thing changed, loses no token and no other field."""
    _, shown = await ask(http, "GET", CONFIG)
    shown["ms"]["notifications"]["notify_outgoing"] = False
    status, saved = await ask(http, "PUT", CONFIG, shown)
    assert (status, saved["revision"]) == (200, 2)
    assert saved["ms"] == shown["ms"]
    current = await rig.service.settings.current(ENTERPRISE)
    assert current is not None
    assert (current.account.phone_key, current.account.api_token) == (SANDBOX_PHONE_KEY, SANDBOX_API_TOKEN)


async def test_put_makes_the_enterprise_and_delete_leaves_the_rest(rig: Rig, http: Any) -> None:
    assert (await ask(http, "GET", "/ms-admin/api/config/0999"))[0] == 404
    assert (await ask(http, "PUT", "/ms-admin/api/config/0999", {"enabled": True}))[0] == 200
    await rig.service.pool.execute(
        """UPDATE public.enterprises SET integrations_config = integrations_config || '{"smart": {"primary": "ms"}}'
        WHERE number = '0999'"""
    )
    assert await ask(http, "DELETE", "/ms-admin/api/config/0999") == (200, {"status": "deleted"})
    left = await rig.service.pool.fetchval("SELECT integrations_config FROM public.enterprises WHERE number = '0999'")
    assert left == {"smart": {"primary": "ms"}}
    assert (await ask(http, "GET", "/ms-admin/api/config/0999"))[1]["ms"] == {}
    _, told = await ask(http, "GET", "/ms-admin/api/config/0999/history")
    assert told["history"][0]["reason"] == "deleted"
    assert (await ask(http, "DELETE", "/ms-admin/api/config/nobody"))[0] == 404


async def test_history_says_who_and_when(http: Any) -> None:
    await ask(http, "PUT", CONFIG, {"enabled": False})
    status, told = await ask(http, "GET", f"{CONFIG}/history")
    newest, oldest = told["history"]
    assert status == 200
    assert (newest["revision"], newest["by"], newest["ms"]["enabled"]) == (2, "программа на узле сервиса, 127.0.0.1", False)
    assert (oldest["revision"], oldest["by"], oldest["ms"]["enabled"]) == (1, "test", True)
    assert newest["at"] > oldest["at"]


async def test_a_stale_revision_is_refused(http: Any) -> None:
    assert (await ask(http, "PUT", CONFIG, {"enabled": False, "revision": 1}))[0] == 200
    status, told = await ask(http, "PUT", CONFIG, {"ms": {"enabled": True}, "revision": 1})
    assert (status, told["field"]) == (409, "revision")
    assert (await ask(http, "GET", CONFIG))[1]["ms"]["enabled"] is False


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], ""),
        ({"ms": 5}, "ms"),
        ({"enabled": "да"}, "enabled"),
        ({"integration_code": "ключ с пробелом"}, "integration_code"),
        ({"notifications": {"call_notify_mode": "after"}}, "notifications.call_notify_mode"),
        ({"incoming_call_actions": {"create_order": True}}, "incoming_call_actions.create_order"),
        ({"employee_mapping": {"abc": "x"}}, "employee_mapping.abc"),
        ({"timezone": "Europe/Atlantis"}, "timezone"),
        ({"country": "ZZ"}, "country"),
        ({"name": "a\x00b"}, "name"),
        ({"revision": "1"}, "revision"),
        ({"revision": True}, "revision"),
    ],
)
async def test_a_wrong_field_is_named_beside_it(http: Any, body: Any, field: str) -> None:
    status, told = await ask(http, "PUT", CONFIG, body)
    assert (status, told["field"]) == (400, field)
    assert told["error"]
    assert told["hint"]
    assert (await ask(http, "GET", CONFIG))[1]["revision"] == 1


async def test_what_others_keep_in_the_row_is_read_and_may_come_back(rig: Rig, http: Any) -> None:
    theirs = "/ms-admin/api/config/0777"
    await rig.service.pool.execute(
        "INSERT INTO public.enterprises (number, name, secret, integrations_config) VALUES ('0777', '', '', $1)",
        {"ms": {"enabled": True, "theirs": {"a": 1}, "notifications": {"sound": "loud"}}, "smart": {"primary": "ms"}},
    )
    _, shown = await ask(http, "GET", theirs)
    assert (shown["ms"]["theirs"], shown["ms"]["notifications"]["sound"]) == ({"a": 1}, "loud")
    status, saved = await ask(http, "PUT", theirs, {"ms": {**shown["ms"], "country": "RU"}})
    assert (status, saved["ms"]["theirs"], saved["ms"]["notifications"]["sound"]) == (200, {"a": 1}, "loud")
    assert saved["unknown"] == []
    status, told = await ask(http, "PUT", theirs, {"ms": {"enabeld": False, "notifications": {"sounds": "loud"}, "country": "BY"}})
    assert [each["field"] for each in told["unknown"]] == ["enabeld", "notifications.sounds"]
    assert "enabled" in told["unknown"][0]["hint"]
    assert (status, told["effective"]["country"], told["effective"]["enabled"]) == (200, "BY", True)


@pytest.mark.parametrize("name", ["a\x00b", "x" * 5_000])
async def test_an_odd_field_name_is_bad_input(http: Any, name: str) -> None:
    assert (await ask(http, "PUT", CONFIG, {name: 1}))[0] == 400


async def test_an_odd_enterprise_is_bad_input(http: Any) -> None:
    assert (await ask(http, "PUT", "/ms-admin/api/config/%00", {}))[0] == 400
    assert (await ask(http, "PUT", f"/ms-admin/api/config/{'9' * 65}", {}))[0] == 400


async def test_a_call_keeps_its_revision_and_uses_the_keys_of_now(rig: Rig, http: Any) -> None:
    await rig.post("/internal/ms/incoming-call", dial("1.1", raw=None))
    await rig.settle()
    await ask(http, "PUT", CONFIG, {"notifications": {"call_notify_mode": "none"}})
    await rig.post("/internal/ms/notify-incoming", {**dial("1.1", raw=None), "extensions": ["152"]})
    await rig.post("/internal/ms/incoming-call", dial("1.2", raw=None, phone="+375290000009"))
    await rig.settle()
    shown = {row["number"][-1]: row["open_cards"] for row in await rig.rows()}
    assert shown.get("1") == ["151", "152"]
    assert not shown.get("9")
    status, told = await ask(http, "GET", f"/ms-admin/api/calls/{ENTERPRISE}/1.1")
    assert status == 200
    assert "settings" in json.dumps(told)


@pytest.mark.parametrize("path", [f"/ms-admin/api/test/{ENTERPRISE}", f"/ms-admin/test/{ENTERPRISE}"])
async def test_the_connection_test_says_what_is_right_and_what_is_wrong(rig: Rig, http: Any, path: str) -> None:
    method = "GET" if "/api/" in path else "POST"
    status, told = await ask(http, method, path)
    assert (status, told["success"], told["phone_api"]["ok"], told["main_api"]["ok"]) == (200, True, True, True)
    await ask(http, "PUT", CONFIG, {"integration_code": "a-wrong-key-of-some-length"})
    _, told = await ask(http, method, path)
    assert (told["success"], told["phone_api"]["ok"], told["main_api"]["ok"]) == (False, False, True)
    assert "люч" in told["phone_api"]["text"]
    async with rig.sandbox.post("/sandbox/outage", json={"api": "remap", "mode": "status_503"}) as answer:
        assert answer.status == 200
    status, told = await ask(http, method, path)
    assert (status, told["main_api"]["ok"]) == (200, False)
    assert told["main_api"]["text"]


async def test_employees_with_whom_they_are_mapped_to(http: Any) -> None:
    await ask(http, "PUT", CONFIG, {"employee_mapping": {"777": "5ebe5e40-0000-4000-8000-000000000001"}})
    status, told = await ask(http, "GET", f"/ms-admin/api/employees/{ENTERPRISE}?refresh=1")
    found = {each["extension"]: each["name"] for each in told["employees"]}
    assert (status, found["151"], told["problems"]) == (200, "Дарья Орлова", [])


async def test_a_test_card_is_shown_and_goes_by_itself(rig: Rig, http: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_cards, "HIDDEN_AFTER_S", (0.3,))
    status, told = await ask(http, "POST", f"/ms-admin/api/test-manager/{ENTERPRISE}", {"extension": "151"})
    assert (status, told["success"]) == (200, True)
    (row,) = await rig.rows()
    assert row["open_cards"] == ["151"]
    for _ in range(500):
        if (await rig.rows())[0]["open_cards"] == []:
            break
        await asyncio.sleep(0.01)
    (row,) = await rig.rows()
    assert (row["open_cards"], row["end_ms"] is not None) == ([], True)


@pytest.mark.parametrize("body", [{}, [], "151", {"extension": 151}, {"employee_id": employee_id("999")}])
async def test_a_test_card_needs_somebody(http: Any, body: Any) -> None:
    status, told = await ask(http, "POST", f"/ms-admin/api/test-manager/{ENTERPRISE}", body)
    assert (status, told["field"]) == (400, "extension" if isinstance(body, dict) else "")


async def test_a_test_card_for_an_extension_that_nobody_has_is_refused_in_words(rig: Rig, http: Any) -> None:
    status, told = await ask(http, "POST", f"/ms-admin/api/test-manager/{ENTERPRISE}", {"extension": "999"})
    assert (status, told["field"]) == (400, "extension")
    assert told["hint"].startswith("Ни у кого в МоёмСкладе нет добавочного номера 999.")
    assert await rig.rows() == []


async def test_a_test_card_finds_the_extension_of_an_employee_in_moysklad(rig: Rig, http: Any) -> None:
    _, listed = await ask(http, "GET", f"/ms-admin/api/employees/{ENTERPRISE}?refresh=1")
    uuid = next(each["employee_id"] for each in listed["employees"] if each["extension"] == "151")
    status, told = await ask(http, "POST", f"/ms-admin/api/test-manager/{ENTERPRISE}", {"employee_id": uuid})
    assert (status, told["success"]) == (200, True)
    (row,) = await rig.rows()
    assert row["open_cards"] == ["151"]


async def test_the_webhooks_address_is_shown_as_it_is_now(rig: Rig, http: Any) -> None:
    """Saved under one public address, shown under the one that the service was started with since."""
    _, before = await ask(http, "GET", CONFIG)
    rig.service.settings._public_url = "https://new.example.invalid/base"
    _, shown = await ask(http, "GET", CONFIG)
    assert shown["ms"]["webhook_url"] == f"https://new.example.invalid/base/ms/webhook/{before['ms']['webhook_uuid']}"


async def test_a_test_card_that_cannot_be_shown_says_why(http: Any) -> None:
    await ask(http, "PUT", CONFIG, {"integration_code": "a-wrong-key-of-some-length"})
    status, told = await ask(http, "POST", f"/ms-admin/api/test-manager/{ENTERPRISE}", {"extension": "151"})
    assert (status, told["success"]) == (502, False)
    assert told["message"]


async def test_calls_are_found_and_replayed_by_every_name(rig: Rig, http: Any) -> None:
    await played(rig)
    found = "enterprise=0367&phone=8 (029) 000-00-01&extension=151&from=2026-11-23 15:00&to=2026-11-23T16:00:00&failed=0&limit=5"
    status, told = await ask(http, "GET", f"/ms-admin/api/calls?{quote(found, safe='=&')}")
    assert (status, [each["call"] for each in told["calls"]]) == (200, [UNIQUE_ID])
    for nothing in ("phone=375290000002", "extension=150", "outcome=lost", "from=9999-12-31", "to=0001-01-01", "failed=1"):
        assert (await ask(http, "GET", f"/ms-admin/api/calls?{nothing}")) == (200, {"calls": [], "after": None})
    story = await ask(http, "GET", f"/ms-admin/api/calls/{ENTERPRISE}/{UNIQUE_ID}")
    status, refused = await ask(http, "GET", f"/ms-admin/api/calls/{ENTERPRISE}/{UNIQUE_ID}?numbers=hidden")
    assert (status, refused["field"]) == (400, "numbers"), "whoever misspells it is not given the numbers"
    assert story[0] == 200
    for name in (told["calls"][0]["moysklad_call"], f"{PHONE}@2026-11-23 15:14"):
        assert await ask(http, "GET", f"/ms-admin/api/calls/{ENTERPRISE}/{quote(name)}") == story
    assert (await ask(http, "GET", f"/ms-admin/api/calls/0999/{UNIQUE_ID}"))[0] == 404


@pytest.mark.parametrize(("zone", "found"), [("", [UNIQUE_ID]), ("Pacific/Kiritimati", [])])
async def test_days_of_a_search_are_the_enterprises(rig: Rig, http: Any, zone: str, found: list[str]) -> None:
    """The call was in the afternoon of the 23rd in Minsk, which is the 24th on the other side of the world."""
    await played(rig)
    await ask(http, "PUT", CONFIG, {"timezone": zone})
    _, told = await ask(http, "GET", f"/ms-admin/api/calls?enterprise={ENTERPRISE}&from=2026-11-23&to=2026-11-23")
    assert [each["call"] for each in told["calls"]] == found
    _, told = await ask(http, "GET", "/ms-admin/api/calls?from=2026-11-23&to=2026-11-23")
    assert [each["call"] for each in told["calls"]] == [UNIQUE_ID], "of all enterprises: the service's"


async def test_the_time_that_names_a_call_is_its_enterprise_s(rig: Rig, http: Any) -> None:
    """Quarter past three in Minsk is quarter past five in Yekaterinburg: what the search shows there opens and is asked again."""
    await played(rig)
    await ask(http, "PUT", CONFIG, {"timezone": "Asia/Yekaterinburg"})
    for time, status in (("2026-11-23 17:14", 200), ("2026-11-23 15:14", 404)):
        name = f"{ENTERPRISE}/{quote(PHONE)}@{quote(time)}"
        assert (await ask(http, "GET", f"/ms-admin/api/calls/{name}"))[0] == status, time
        assert (await ask(http, "POST", f"/ms-admin/api/retry/{name}"))[0] == status, time


ODD_SEARCHES = [
    ("limit=0", "limit"),
    ("limit=9999", "limit"),
    (f"limit={'9' * 5000}", "limit"),
    ("limit=²", "limit"),
    ("from=yesterday", "from"),
    ("to=2026-13-01", "to"),
    (f"from={'9' * 30}", "from"),
    ("phone=abc", "phone"),
    ("enterprise=%00", "enterprise"),
    ("extension=1%00", "extension"),
    ("nonsense=1", "nonsense"),
]


async def test_a_search_that_is_not_understood_names_the_field(http: Any) -> None:
    for query, field in ODD_SEARCHES:
        status, told = await ask(http, "GET", f"/ms-admin/api/calls?{query}")
        assert (status, told["field"]) == (400, field)
        assert told["hint"]


ODD_CALLS = [
    ("nobody", 404),
    ("%00", 400),
    ("375290000001@never", 400),
    ("375290000001@", 404),
    ("@2026-11-23 15:14", 404),
    ("375290000001@" + "9" * 30, 400),
    ("x" * 5_000, 404),
    ("..%2F..%2Fetc", 404),
]


async def test_a_call_nobody_knows(http: Any) -> None:
    for name, status in ODD_CALLS:
        told = await ask(http, "GET", f"/ms-admin/api/calls/{ENTERPRISE}/{name}")
        assert told[0] == status, name
        assert set(told[1]) == {"error", "field", "hint"}


async def test_no_secret_is_in_any_table_log_or_replay(rig: Rig, http: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Through a whole life: calls, a refusal by MoySklad, a bad key, a test of the connection, a change of settings."""
    await played(rig)
    await ask(http, "PUT", CONFIG, {"integration_code": "an-old-key-0123456789abcdef"})
    await rig.post("/internal/ms/incoming-call", dial("3.3"))
    await rig.settle()
    await ask(http, "GET", f"/ms-admin/api/test/{ENTERPRISE}")
    await ask(http, "POST", f"/ms-admin/api/test-manager/{ENTERPRISE}", {"extension": "151"})
    await ask(http, "PUT", CONFIG, {"integration_code": SANDBOX_PHONE_KEY, "enabled": "x"})
    await rig.wait(120_000)
    await rig.service.runner.catch_up()
    kept = (await everything(rig)).replace(f",Test,{TOKEN},", "")
    said = capsys.readouterr()
    for secret in (*SECRETS, "an-old-key-0123456789abcdef"):
        assert secret not in kept
        assert secret not in said.out + said.err
    assert "enc:v1:" in kept
    for call in (UNIQUE_ID, "3.3"):
        assert (await ask(http, "GET", f"/ms-admin/api/calls/{ENTERPRISE}/{call}"))[0] == 200


# -- parked calls --------------------------------------------------------------------------------------------------


async def parked(rig: Rig, *calls: str, enterprise: str = ENTERPRISE) -> None:
    for call in calls:
        await record(rig.service.store, call, parked_history(call), enterprise=enterprise)
    await rig.service.runner.catch_up()


async def test_parked_calls_are_listed_with_reason_and_remedy_and_without_numbers(rig: Rig, http: Any) -> None:
    await parked(rig, "A", "B")
    await parked(rig, "C", enterprise="0999")
    status, told = await ask(http, "GET", "/ms-admin/api/parked")
    assert (status, told["total"], [call["call"] for call in told["calls"]]) == (200, 3, ["A", "B", "C"])
    reason = told["reasons"][0]
    assert (reason["enterprise"], reason["reason"], reason["remedy"], reason["code"], reason["calls"]) == (
        ENTERPRISE, "key revoked", "enter it again", 1056, 2,
    )  # fmt: skip
    assert PHONE.removeprefix("+") not in json.dumps(told)
    _, russian = await ask(http, "GET", "/ms-admin/api/parked?lang=ru")
    assert russian["reasons"][0]["remedy"] == "enter it again", "better English than nothing"
    _, one = await ask(http, "GET", "/ms-admin/api/parked?enterprise=0999&limit=1")
    assert (one["total"], [call["call"] for call in one["calls"]]) == (1, ["C"])


@pytest.mark.parametrize(
    ("query", "field"), [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("enterprise=%00", "enterprise")]
)
async def test_a_listing_that_cannot_be_understood_says_what_would_be_right(http: Any, query: str, field: str) -> None:
    status, told = await ask(http, "GET", f"/ms-admin/api/parked?{query}")
    assert (status, told["field"]) == (400, field)


async def test_nothing_is_ordered_for_an_enterprise_that_nobody_knows(http: Any) -> None:
    status, told = await ask(http, "POST", "/ms-admin/api/retry/9999")
    assert (status, told["error"], told["field"]) == (404, "the enterprise is unknown", "enterprise_number")


async def test_one_call_is_asked_again_however_it_is_named(rig: Rig, http: Any) -> None:
    await parked(rig, "A")
    path = f"/ms-admin/api/retry/{ENTERPRISE}"
    assert await ask(http, "POST", f"{path}/nobody") == (
        404,
        {"error": "the call is unknown", "field": "call", "hint": "name it by UniqueId or by MoySklad's id of the call"},
    )
    assert (await ask(http, "POST", f"{path}/{quote(PHONE)}@yesterday"))[0] == 400
    asked = {"enterprise_number": ENTERPRISE, "call": "A"}
    assert await ask(http, "POST", f"{path}/A") == (200, {"status": "ordered", **asked, "calls": 1})
    by_number = f"{path}/{quote(NUMBER)}@{ms(0)}"
    assert await ask(http, "POST", by_number) == (200, {"status": "ordered already", **asked, "calls": 1})
    await work_off(rig)
    assert await ask(http, "POST", f"{path}/A") == (200, {"status": "not parked", **asked, "calls": 0})
    events = await rig.service.store.read(StreamId(enterprise=ENTERPRISE, name="call/A"))
    assert (events[-1].type, events[-1].data["by"]) == ("retry_requested", "программа на узле сервиса, 127.0.0.1")


async def test_everything_of_an_enterprise_is_asked_again(rig: Rig, http: Any) -> None:
    await parked(rig, "A", "B")
    path = f"/ms-admin/api/retry/{ENTERPRISE}"
    assert await ask(http, "POST", path) == (200, {"status": "ordered", "enterprise_number": ENTERPRISE, "calls": 2})
    _, told = await ask(http, "GET", "/ms-admin/api/parked")
    assert [(order["enterprise"], order["call"], order["begun"]) for order in told["orders"]] == [(ENTERPRISE, "", False)]
    await work_off(rig)
    assert await ask(http, "POST", path) == (200, {"status": "not parked", "enterprise_number": ENTERPRISE, "calls": 0})
    assert (await ask(http, "GET", "/ms-admin/api/parked"))[1]["total"] == 0


async def test_a_call_that_a_wrong_key_parked_is_recorded_once_the_settings_are_right(rig: Rig, http: Any) -> None:
    """From the refusal to the record, as an administrator lives it."""
    await ask(http, "PUT", CONFIG, {"integration_code": "fictional-wrong-key"})
    await rig.service.pool.execute("DELETE FROM retry_orders")
    await rig.post("/internal/ms/recovery-call", hangup(start=START, end=END, origin="download"))
    await rig.settle()
    await rig.wait(60_000)
    await rig.service.runner.catch_up()
    _, told = await ask(http, "GET", f"/ms-admin/api/parked?enterprise={ENTERPRISE}")
    assert [call["call"] for call in told["calls"]] == [UNIQUE_ID]
    assert told["reasons"][0]["remedy"]
    assert await rig.rows() == []
    await ask(http, "PUT", CONFIG, {"integration_code": SANDBOX_PHONE_KEY})
    await work_off(rig)
    await rig.wait(60_000)
    (row,) = await rig.rows()
    assert row["external_id"].endswith(UNIQUE_ID)
    assert (await ask(http, "GET", "/ms-admin/api/parked"))[1]["total"] == 0


async def work_off(rig: Rig) -> None:
    """Let the orders be ripe, and work them off."""
    await rig.service.pool.execute("UPDATE retry_orders SET ripe_at = clock_timestamp() WHERE finished_at IS NULL")
    await rig.service.runner.catch_up()
    while await rig.service.retries.step():
        pass
    await rig.service.runner.catch_up()
