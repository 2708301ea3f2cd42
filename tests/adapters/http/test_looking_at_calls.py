"""Looking at calls over HTTP (PRODUCT F1, F2, F4, F9): search and pages, replay, missed, reports, the board and its stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from adapters.http import board
from adapters.http.guard import Guard
from adapters.http.services import SERVICES
from tests.adapters.http.support import END, PHONE, SECRETS, START, UNIQUE_ID, ask, dial, edge, hangup, played
from tests.adapters.test_call_search import add
from tests.rig import ENTERPRISE, Rig

PAGE = {"X-Requested-With": "page", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def administrator(rig: Rig, http: Any) -> AsyncIterator[Any]:
    """Somebody who came by a link for 0367."""
    body = {"name": "Анна", "days": 1}
    made = await http.post(f"/ms-admin/api/links/{ENTERPRISE}", json=body)
    secret = (await made.json())["url"].rpartition("#")[2]
    nobody_near = Guard([], "", "")
    async with edge(rig, nobody_near) as client:
        entered = await client.post("/ms-admin/api/enter", json={"secret": secret}, headers=PAGE)
        assert entered.status == 200, await entered.text()
        yield client


# -- search -------------------------------------------------------------------------------------------------------


async def test_each_call_has_a_link_and_the_next_page_a_place(rig: Rig, http: Any) -> None:
    for number in range(3):
        await add(rig.service.pool, f"a b/{number}", started_ms=1_000 + number)
    status, first = await ask(http, "GET", "/ms-admin/api/calls?limit=2")
    assert (status, [call["call"] for call in first["calls"]]) == (200, ["a b/2", "a b/1"])
    assert first["calls"][0]["link"] == "/ms-admin/calls/0367/a%20b%2F2"
    _, second = await ask(http, "GET", f"/ms-admin/api/calls?limit=2&after={first['after']}")
    assert ([call["call"] for call in second["calls"]], second["after"]) == (["a b/0"], None)


async def test_an_administrator_finds_the_calls_of_his_enterprise_only(rig: Rig, administrator: Any) -> None:
    await add(rig.service.pool, "mine")
    await add(rig.service.pool, "theirs", enterprise="0999")
    _, told = await ask(administrator, "GET", "/ms-admin/api/calls")
    assert [call["call"] for call in told["calls"]] == ["mine"]
    for path in (
        "/ms-admin/api/calls?enterprise=0999",
        "/ms-admin/api/calls/0999/theirs",
        "/ms-admin/api/missed/0999",
        "/ms-admin/api/names/0999",
        "/ms-admin/api/reports?enterprise=0999",
        "/ms-admin/api/board?enterprise=0999",
        "/ms-admin/api/board/stream?enterprise=0999",
        "/ms-admin/api/status",
    ):
        assert (await ask(administrator, "GET", path))[0] == 403, path


# -- the replay ---------------------------------------------------------------------------------------------------


async def test_the_replay_has_a_picture(rig: Rig, http: Any) -> None:
    await played(rig)
    status, told = await ask(http, "GET", f"/ms-admin/api/calls/{ENTERPRISE}/{UNIQUE_ID}")
    assert status == 200
    picture = told["picture"]
    assert [lane["who"] for lane in picture["phones"]] == ["151"]
    assert picture["requests"]
    assert picture["requests"][0]["version"] in {entry["version"] for entry in told["entries"]}


async def test_a_download_is_a_file_and_without_numbers_there_are_none(rig: Rig, http: Any) -> None:
    await played(rig)
    for query, tells in (("download=1", True), ("download=1&numbers=hide", False)):
        async with http.get(f"/ms-admin/api/calls/{ENTERPRISE}/{UNIQUE_ID}?{query}") as answer:
            text = await answer.text()
            assert answer.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''call-{ENTERPRISE}-{UNIQUE_ID}.json"
            assert (PHONE.lstrip("+") in text) is tells
            assert not any(secret in text for secret in SECRETS)
            assert orjson.loads(text)["call"] == UNIQUE_ID


async def test_who_looked_at_a_call_is_written_down(rig: Rig, http: Any, administrator: Any) -> None:
    await played(rig)
    await ask(administrator, "GET", f"/ms-admin/api/calls/{ENTERPRISE}/{UNIQUE_ID}")
    await ask(administrator, "GET", f"/ms-admin/api/calls/{ENTERPRISE}/{UNIQUE_ID}?download=1&numbers=hide")
    _, journal = await ask(http, "GET", "/ms-admin/api/audit?action=replay_viewed,replay_exported")
    assert [(each["action"], each["object"], each["details"]) for each in journal["entries"]] == [
        ("replay_exported", UNIQUE_ID, {"without_numbers": True}),
        ("replay_viewed", UNIQUE_ID, {}),
    ]


# -- missed, reports, names -----------------------------------------------------------------------------------------


async def test_a_missed_call_is_on_the_list_with_the_name_of_who_was_rung(rig: Rig, http: Any) -> None:
    await played(rig, answered=False)
    # the rig's clock is where the recordings are; the list goes by the wall's
    await rig.service.pool.execute("UPDATE calls SET started_ms = (extract(epoch FROM now()) * 1000)::bigint - 60000")
    status, told = await ask(http, "GET", f"/ms-admin/api/missed/{ENTERPRISE}")
    assert status == 200
    (line,) = told["missed"]
    assert (line["number"], line["rang"], line["attempts"]) == (PHONE, ["151"], 1)
    assert line["link"] == f"/ms-admin/calls/{ENTERPRISE}/{UNIQUE_ID}"
    assert told["names"]["151"] == "Дарья Орлова"
    assert (await ask(http, "GET", f"/ms-admin/api/names/{ENTERPRISE}"))[1]["names"] == told["names"]


@pytest.mark.parametrize("days", ["0", "91", "x", "²"])
async def test_days_are_a_number(http: Any, days: str) -> None:
    status, told = await ask(http, "GET", f"/ms-admin/api/missed/{ENTERPRISE}?days={days}")
    assert (status, told["field"]) == (400, "days")


async def test_a_report_tells_calls_people_and_moysklad(rig: Rig, http: Any) -> None:
    await played(rig)
    status, told = await ask(http, "GET", f"/ms-admin/api/reports?enterprise={ENTERPRISE}&from=2026-11-23&to=2026-11-23&by=hour")
    assert status == 200
    assert (len(told["periods"]), told["periods"][15]["in"], told["periods"][15]["in_answered"]) == (24, 1, 1)
    assert [(each["period"], each["extension"], each["answered"]) for each in told["people"]] == [(15, "151", 1)]
    assert {each["api"] for each in told["requests"]} == {"phone", "json"}
    assert all(each["p95_ms"] is not None for each in told["requests"])
    _, farther = await ask(http, "GET", "/ms-admin/api/reports?from=2026-11-23&to=2026-11-23&by=hour&zone=Asia/Kolkata")
    assert told["bounds_ms"][0] - farther["bounds_ms"][0] == 9_000_000, "the reader's own days"
    _, everybody = await ask(http, "GET", "/ms-admin/api/reports?from=2026-11-23&to=2026-11-23")
    assert (everybody["periods"][0]["in"], everybody["people"]) == (1, [])


@pytest.mark.parametrize(
    ("query", "field"), [("from=x", "from"), ("by=week", "by"), ("zone=%00", "zone"), ("enterprise=%00", "enterprise")]
)
async def test_a_report_that_is_not_understood_names_the_field(http: Any, query: str, field: str) -> None:
    status, told = await ask(http, "GET", f"/ms-admin/api/reports?{query}")
    assert (status, told["field"]) == (400, field)


# -- the board ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def watching(http: Any, query: str = "") -> AsyncIterator[Any]:
    """The stream; a function that returns the next message."""
    async with http.get(f"/ms-admin/api/board/stream{query}") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert "Content-Security-Policy" in answer.headers

        async def following() -> tuple[str, Any]:
            kind = ""
            async for raw in answer.content:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    return kind, orjson.loads(line.removeprefix("data: "))
            return "end", None

        yield following


async def test_the_board_shows_a_call_while_it_goes_on(rig: Rig, http: Any) -> None:
    async with watching(http) as following:
        kind, snapshot = await following()
        assert (kind, snapshot["calls"]) == ("snapshot", [])
        await rig.post("/internal/ms/incoming-call", dial())
        await rig.settle()
        await rig.service.runner.catch_up()
        kind, changes = await following()
        (call,) = changes["changed"]
        assert (kind, call["call"], call["phase"], call["ringing"]) == ("calls", UNIQUE_ID, "ringing", ["151"])
        assert call["cards"] == ["151"]
        assert [each["call"] for each in (await ask(http, "GET", "/ms-admin/api/board"))[1]["calls"]] == [UNIQUE_ID]
        await rig.wait(32_000)
        await rig.post("/internal/ms/hangup-call", hangup(start=START, end=END))
        await rig.settle()
        await rig.service.runner.catch_up()
        while (told := await following())[1].get("gone") != [[ENTERPRISE, UNIQUE_ID]]:
            assert told[0] in ("calls", "health")


async def test_an_administrator_watches_his_own(rig: Rig, administrator: Any) -> None:
    await add(rig.service.pool, "theirs", enterprise="0999", phase="ringing", outcome=None)
    await add(rig.service.pool, "mine", phase="ringing", outcome=None)
    async with watching(administrator) as following:
        assert [call["call"] for call in (await following())[1]["calls"]] == ["mine"]


async def test_the_stream_ends_with_the_log_in(rig: Rig, administrator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "WELCOME_S", 0.0)
    async with watching(administrator) as following:
        await following()
        await rig.service.pool.execute("DELETE FROM sessions")
        await rig.post("/internal/ms/incoming-call", dial())
        await rig.settle()
        await rig.service.runner.catch_up()
        async with asyncio.timeout(10):
            while (await following())[0] != "end":
                pass


async def test_the_stream_ends_when_the_service_stops(rig: Rig, http: Any) -> None:
    async with watching(http) as following:
        await following()
        holder = http.app[SERVICES]
        holder.stopping = True
        assert holder.parts is not None
        holder.parts.board.close()
        async with asyncio.timeout(5):
            while (await following())[0] != "end":
                pass


async def test_nobody_is_told_anything_without_a_log_in(rig: Rig) -> None:
    async with edge(rig, Guard([], "", "")) as client:
        for path in ("calls", "calls/0367/1", "missed/0367", "names/0367", "reports", "board", "board/stream", "status"):
            assert (await ask(client, "GET", f"/ms-admin/api/{path}"))[0] == 401, path
