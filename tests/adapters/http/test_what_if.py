"""«А если бы…» over HTTP: one call, a day in the background, whose it is, and that nothing is changed by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest

from adapters import what_ifs
from adapters.http.services import Services
from tests.adapters.http.support import LOCAL, SECRETS, UNIQUE_ID, ask, dial, edge, everything, hangup, parts
from tests.rig import ENTERPRISE, Rig, running

START, END, DAY = "2026-11-23 15:13:20", "2026-11-23 15:13:52", "2026-11-23"
CALL = f"/ms-admin/api/what-if/{ENTERPRISE}/{UNIQUE_ID}"
DAYS = f"/ms-admin/api/what-if-day/{ENTERPRISE}"
SILENT = {"ms": {"notifications": {"call_notify_mode": "none"}}}


@pytest.fixture
async def rig(database_url: str) -> AsyncIterator[Rig]:
    async with running(database_url) as rig:
        await rig.post("/internal/ms/incoming-call", dial())
        await rig.settle()
        await rig.wait(32_000)
        await rig.post("/internal/ms/hangup-call", hangup(start=START, end=END))
        await rig.wait(120_000)
        await rig.service.runner.catch_up()
        yield rig


@pytest.fixture
async def wired(rig: Rig) -> AsyncIterator[Services]:
    found = parts(rig)
    yield found
    await found.what_if.close()


@pytest.fixture
async def http(rig: Rig, wired: Services) -> AsyncIterator[Any]:
    async with edge(rig, LOCAL, wired) as client:
        yield client


async def ended(http: Any, day: str) -> Any:
    async with asyncio.timeout(60):
        while True:
            status, told = await ask(http, "GET", f"{DAYS}/{day}")
            assert status == 200, told
            if told["state"] != "running":
                return told
            await asyncio.sleep(0.05)


async def test_one_call_under_other_settings_and_by_today_s_code(rig: Rig, http: Any) -> None:
    before = await everything(rig), await rig.requests(), await rig.requests("remap")
    status, told = await ask(http, "GET", CALL)
    assert (status, told["ms"]["api_token"], told["ms"]["enabled"]) == (200, "(set)", True)
    assert not any(secret in str(told) for secret in SECRETS)
    status, told = await ask(http, "POST", CALL, SILENT)
    assert status == 200
    card = next(each for each in told["changes"] if each["about"] == "card 151")
    assert (card["sentence"], card["would_words"]) == ("карточки у 151 не было бы", "—")
    assert card["would_because"] == "настройки не показывают карточек входящих"
    assert card["was_words"].startswith("показана ")
    status, told = await ask(http, "POST", CALL, {})
    assert (status, told["differs"], told["changes"]) == (200, False, [])
    assert (await everything(rig), await rig.requests(), await rig.requests("remap")) == before


async def test_a_day_goes_on_in_the_background(rig: Rig, http: Any) -> None:
    status, begun = await ask(http, "POST", DAYS, {**SILENT, "day": DAY})
    assert (status, begun["state"], begun["whole"]) == (202, "running", 1)
    told = await ended(http, begun["id"])
    assert (told["state"], told["done"], told["found"]["differing"]) == ("done", 1, 1)
    assert told["found"]["groups"][0]["examples"] == [{"enterprise": ENTERPRISE, "call": UNIQUE_ID}]
    assert any(group["what"] == "карточки у 151 не было бы" for group in told["found"]["groups"])
    _, journal = await ask(http, "GET", "/ms-admin/api/audit?action=what_if_day")
    assert [(each["object"], each["details"]) for each in journal["entries"]] == [(DAY, {"calls": 1})]


async def test_a_day_is_the_readers_where_his_zone_is_told(http: Any) -> None:
    """The call was at 15:14 of this day in Minsk; on Kiritimati, fourteen hours ahead of Greenwich, that is the next day."""
    far = {**SILENT, "zone": "Pacific/Kiritimati"}
    _, begun = await ask(http, "POST", DAYS, {**far, "day": DAY})
    assert begun["whole"] == 0
    await ended(http, begun["id"])
    status, begun = await ask(http, "POST", DAYS, {**far, "day": f"{date.fromisoformat(DAY) + timedelta(days=1)}"})
    assert (status, begun["whole"]) == (202, 1)
    await ended(http, begun["id"])
    status, told = await ask(http, "POST", DAYS, {"day": DAY, "zone": "Mars/Olympus"})
    assert (status, told["field"]) == (400, "zone")


async def test_a_day_is_the_pbx_s_where_no_zone_is_told(http: Any) -> None:
    await ask(http, "PUT", f"/ms-admin/api/config/{ENTERPRISE}", {"timezone": "Pacific/Kiritimati"})
    for day, calls in ((date.fromisoformat(DAY), 0), (date.fromisoformat(DAY) + timedelta(days=1), 1)):
        status, begun = await ask(http, "POST", DAYS, {**SILENT, "day": f"{day}"})
        assert (status, begun["whole"]) == (202, calls)
        await ended(http, begun["id"])


async def test_a_day_can_be_stopped_and_one_goes_on_at_a_time(rig: Rig, http: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    never = asyncio.Event()

    async def slowly(*_args: Any, **_options: Any) -> AsyncIterator[Any]:
        await never.wait()
        yield None

    monkeypatch.setattr(what_ifs, "judged", slowly)
    begun = [await ask(http, "POST", DAYS, {"day": DAY}) for _ in range(2)]
    assert [status for status, _ in begun] == [202, 429]
    status, told = await ask(http, "DELETE", f"{DAYS}/{begun[0][1]['id']}")
    assert (status, told["state"]) == (200, "cancelled")
    assert (await ask(http, "POST", DAYS, {"day": DAY}))[0] == 202
    await rig.service.pool.execute("INSERT INTO public.enterprises (number, name) VALUES ('0998', ''), ('0999', '')")
    others = [await ask(http, "POST", f"/ms-admin/api/what-if-day/{number}", {"day": DAY}) for number in ("0998", "0999")]
    assert [status for status, _ in others] == [202] * (what_ifs.AT_ONCE - 1) + [429] * (3 - what_ifs.AT_ONCE)


async def test_a_day_that_fails_says_so(http: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_args: Any, **_options: Any) -> AsyncIterator[Any]:
        raise KeyError("a bug")
        yield None

    monkeypatch.setattr(what_ifs, "judged", broken)
    _, begun = await ask(http, "POST", DAYS, {"day": DAY})
    assert (await ended(http, begun["id"]))["state"] == "failed"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("GET", f"/ms-admin/api/what-if/{ENTERPRISE}/nobody", None, 404, "call"),
        ("POST", f"/ms-admin/api/what-if/{ENTERPRISE}/nobody", {}, 404, "call"),
        ("POST", CALL, {"ms": {"enabled": "perhaps"}}, 400, "enabled"),
        ("POST", CALL, {"ms": 3}, 400, "ms"),
        ("POST", CALL, {"revision": 99}, 422, "call"),
        ("POST", CALL, {"revision": -1}, 400, "revision"),
        ("POST", DAYS, {}, 400, "day"),
        ("POST", DAYS, {"day": "soon"}, 400, "day"),
        ("POST", "/ms-admin/api/what-if-day/9999", {"day": DAY}, 404, "enterprise_number"),
        ("GET", f"{DAYS}/nobody", None, 404, "day"),
        ("DELETE", f"{DAYS}/nobody", None, 404, "day"),
    ],
)
async def test_what_cannot_be_asked(http: Any, method: str, path: str, body: Any, status: int, field: str) -> None:
    assert (await ask(http, method, path, body))[0] == status
    _, told = await ask(http, method, path, body)
    assert told["field"] == field
    assert told["hint"]


async def test_a_day_of_too_many_calls_is_refused(http: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(what_ifs, "MOST_CALLS", 0)
    status, told = await ask(http, "POST", DAYS, {"day": DAY})
    assert (status, told["field"]) == (400, "day")
    assert "1 звонков" in told["hint"]


async def test_a_day_is_told_to_nobody_else(http: Any, wired: Services) -> None:
    _, begun = await ask(http, "POST", DAYS, {"day": DAY})
    assert (await ask(http, "GET", f"/ms-admin/api/what-if-day/0999/{begun['id']}"))[0] == 404
    await ended(http, begun["id"])
    assert wired.what_if.find(ENTERPRISE, begun["id"]) is not None


async def test_what_was_found_is_not_kept_for_ever(http: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(what_ifs, "KEPT", 1)
    first = (await ask(http, "POST", DAYS, {"day": DAY}))[1]["id"]
    await ended(http, first)
    second = (await ask(http, "POST", DAYS, {"day": DAY}))[1]["id"]
    assert (await ask(http, "GET", f"{DAYS}/{first}"))[0] == 404
    await ended(http, second)
