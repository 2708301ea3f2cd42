"""Click-to-call over the wire: what MoySklad posts, what the exchange is asked, what MoySklad then has (PRODUCT E5)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from adapters.click_book import PostgresClickBook
from adapters.click_desk import ClickDesk, Find
from adapters.click_list import PAGE
from adapters.http.clicks import BODY_LIMIT, UNKNOWN_MINUTE
from adapters.http.guard import Guard
from adapters.http.services import Services
from adapters.sandbox import SANDBOX_API_TOKEN, SANDBOX_PHONE_KEY
from adapters.settings_store import Current
from core.clicks import CALL_WITHIN_MS, EACH_MINUTE, FRESH_MS, REPEAT_MS
from core.origination import OriginationInDoubt, OriginationRefused
from core.webhook_signature import HEADER, Reading
from tests.adapters.http.support import edge, everything, parts
from tests.adapters.test_click_list import ADD as ADD_CLICK
from tests.exchange import FakeOriginator
from tests.playback import as_call_event, recording
from tests.rig import ENTERPRISE, Rig, running

WANTED = {"srcNumber": "101", "destNumber": "+7 (916) 123-45-67", "uid": "ivanov@demo"}
NUMBER = "+79161234567"


@pytest.fixture
def exchange() -> FakeOriginator:
    return FakeOriginator()


@pytest.fixture
async def rig(database_url: str, exchange: FakeOriginator) -> AsyncIterator[Rig]:
    async with running(database_url, ways={"ami": exchange}) as rig:
        yield rig


async def address(rig: Rig, enterprise: str = ENTERPRISE) -> str:
    """Where MoySklad posts this enterprise's clicks."""
    current = await rig.service.settings.current(enterprise)
    assert current is not None
    return f"/ms/webhook/{current.config['webhook_uuid']}"


async def send(rig: Rig, body: Any = WANTED, *, path: str = "", headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """One delivery as MoySklad sends it; ``body``: values, or bytes as they are."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    sent = {"Content-Type": "application/json", **(headers or {})}
    async with rig.http.post(path or await address(rig), data=raw, headers=sent) as answer:
        return answer.status, await answer.json()


async def click(rig: Rig, body: Any = WANTED, **changed: Any) -> tuple[int, Any]:
    """The same, and whatever follows."""
    answered = await send(rig, body, **changed)
    await rig.settle()
    return answered


async def listed(rig: Rig, *, bad: bool = False) -> list[dict[str, Any]]:
    """The clicks as the page shows them, newest first."""
    await rig.service.runner.catch_up()
    status, told = await rig.get(f"/ms-admin/api/clicks/{ENTERPRISE}{'?bad=1' if bad else ''}")
    assert status == 200
    return list(told["clicks"])


async def journal(rig: Rig) -> list[dict[str, Any]]:
    """The rows of ``integration_logs`` about clicks, oldest first."""
    await rig.service.runner.catch_up()
    rows = await rig.service.pool.fetch(
        "SELECT * FROM public.integration_logs WHERE event_type = 'click_to_call' ORDER BY id"
    )
    return [dict(row) for row in rows]


async def play(rig: Rig, name: str = "click_to_call", **changed: str) -> None:
    """A recording, each signal at its time; ``changed``: texts that stand for others in it."""
    for line in recording(name):
        if line.at_ms > rig.clock.now_ms:
            await rig.wait(line.at_ms - rig.clock.now_ms)
        path, body = as_call_event(line)
        text = orjson.dumps(body).decode()
        for old, new in changed.items():
            text = text.replace(old.replace("_", "-"), new)
        status, _ = await rig.post(path, orjson.loads(text))
        assert status == 200
        await rig.settle()


def just_before(rig: Rig, name: str = "click_to_call") -> None:
    """Move the clock to shortly before a recording begins."""
    rig.clock.now_ms = recording(name)[0].at_ms - 300


# -- what a person sees --------------------------------------------------------------------------------------------


async def test_a_click_rings_and_the_call_that_follows_is_one_call_with_a_card(rig: Rig, exchange: FakeOriginator) -> None:
    just_before(rig)
    assert await click(rig) == (200, {"success": True})
    (order,) = exchange.orders
    assert (order.enterprise, order.extension, order.number) == (ENTERPRISE, "101", NUMBER)

    await play(rig)
    await rig.wait(20_000)

    (row,) = await rig.rows()
    assert not row["is_incoming"]
    assert row["number"] == NUMBER
    assert row["extension"] == "101"
    assert row["open_cards"] == []
    assert [(each["event_type"], each["extension"]) for each in row["events"]][:2] == [("SHOW", "101"), ("STARTTIME", "101")]
    (shown,) = await listed(rig)
    assert (shown["stage"], shown["call"]) == ("joined", "lab-1795437250.14")
    (logged,) = await journal(rig)
    assert (logged["status"], logged["request_data"]["phone"]) == ("success", NUMBER)


async def test_without_cards_it_rings_and_is_recorded_all_the_same(database_url: str, exchange: FakeOriginator) -> None:
    config = {"notifications": {"call_notify_mode": "none"}}
    async with running(database_url, config=config, ways={"ami": exchange}) as rig:
        just_before(rig)
        assert (await click(rig))[0] == 200
        await play(rig)
        await rig.wait(20_000)
        (row,) = await rig.rows()
        assert not row["is_incoming"]
        assert row["events"] == []
        assert len(exchange.orders) == 1


async def test_a_form_is_understood(rig: Rig, exchange: FakeOriginator) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert await click(rig, urlencode(WANTED).encode(), headers=headers) == (200, {"success": True})
    assert [order.number for order in exchange.orders] == [NUMBER]


async def test_nothing_is_dialled_before_the_answer(rig: Rig, exchange: FakeOriginator) -> None:
    exchange.gate = asyncio.Event()
    assert await send(rig) == (200, {"success": True})  # answered, while the exchange stands still
    exchange.gate.set()
    await rig.settle()
    assert len(exchange.orders) == 1


# -- once ----------------------------------------------------------------------------------------------------------


async def test_the_same_click_delivered_again_rings_once(rig: Rig, exchange: FakeOriginator) -> None:
    for _ in range(3):
        assert (await click(rig))[0] == 200
        rig.clock.now_ms += 2_000
    assert len(exchange.orders) == 1
    (shown,) = await listed(rig)
    assert shown["repeats"] == 2


async def test_the_same_click_delivered_at_once_many_times_rings_once(rig: Rig, exchange: FakeOriginator) -> None:
    answers = await asyncio.gather(*(send(rig) for _ in range(20)))
    await rig.settle()
    assert {status for status, _ in answers} == {200}
    assert len(exchange.orders) == 1


@pytest.mark.parametrize(
    "changed", [{"srcNumber": "102"}, {"destNumber": "+375290000002"}, {"uid": "petrov@demo"}], ids=lambda each: next(iter(each))
)
async def test_another_click_is_another(rig: Rig, exchange: FakeOriginator, changed: dict[str, str]) -> None:
    await click(rig)
    await click(rig, {**WANTED, **changed})
    assert len(exchange.orders) == 2


async def test_after_the_window_it_is_a_click_of_its_own(rig: Rig, exchange: FakeOriginator) -> None:
    await click(rig)
    rig.clock.now_ms += REPEAT_MS
    await click(rig)
    assert len(exchange.orders) == 2


async def test_a_click_that_failed_may_be_made_again_at_once(rig: Rig, exchange: FakeOriginator) -> None:
    exchange.error = OriginationRefused("the exchange is full", "wait")
    await click(rig)
    exchange.error = None
    await click(rig)
    assert len(exchange.orders) == 2


async def test_a_click_in_doubt_is_not_made_again(rig: Rig, exchange: FakeOriginator) -> None:
    exchange.error = OriginationInDoubt("no answer came", "look")
    await click(rig)
    await click(rig)
    assert len(exchange.orders) == 1


async def test_when_its_call_is_over_it_may_be_made_again(rig: Rig, exchange: FakeOriginator) -> None:
    just_before(rig)
    await click(rig)
    await play(rig)
    assert (await click(rig))[0] == 200
    assert len(exchange.orders) == 2
    assert recording("click_to_call")[-1].at_ms - recording("click_to_call")[0].at_ms < REPEAT_MS


# -- who may, and how often ----------------------------------------------------------------------------------------


async def test_too_many_clicks_of_one_employee_are_refused_in_words(rig: Rig, exchange: FakeOriginator) -> None:
    numbers = [f"+37529000010{each}" for each in range(EACH_MINUTE + 2)]
    answers = [await click(rig, {**WANTED, "destNumber": number}) for number in numbers]
    assert [status for status, _ in answers] == [200] * EACH_MINUTE + [429] * 2
    assert len(exchange.orders) == EACH_MINUTE
    assert await click(rig, {**WANTED, "srcNumber": "102"}) == (200, {"success": True})
    assert "in a minute" in (await listed(rig, bad=True))[0]["error"]
    assert {row["status"] for row in await journal(rig)} == {"success", "error"}
    rig.clock.now_ms += 60_000
    assert (await click(rig))[0] == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"destNumber": "103"},
        {"destNumber": "112"},
        {"destNumber": "152"},
        {"destNumber": ""},
        {"destNumber": "*72#80291234567"},
        {"destNumber": "80291234567,80172000000"},
        {"destNumber": "80291234567 доб. 12"},
        {"destNumber": "<unknown>"},
        {"destNumber": "1" * 16},
        {"srcNumber": ""},
        {"srcNumber": "s"},
        {"srcNumber": "101\r\nAction: Command"},
        {"srcNumber": "375290000001"},
    ],
    ids=str,
)
async def test_nothing_but_an_extension_and_an_outside_number_is_dialled(
    rig: Rig, exchange: FakeOriginator, changed: dict[str, str]
) -> None:
    status, told = await click(rig, {**WANTED, **changed})
    assert status == 400
    assert told["hint"]
    assert exchange.orders == []
    (shown,) = await listed(rig)
    assert shown["stage"] == "refused"
    assert shown["error"]
    assert shown["remedy"]
    (logged,) = await journal(rig)
    assert logged["status"] == "error"
    assert logged["error_message"]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff\xfe", b'"text"', b'{"srcNumber": {}, "destNumber": []}'])
async def test_whatever_comes_is_answered(rig: Rig, exchange: FakeOriginator, body: bytes) -> None:
    assert (await click(rig, body))[0] == 400
    assert exchange.orders == []


async def test_unknown_and_switched_off_are_the_same_404(rig: Rig, exchange: FakeOriginator) -> None:
    path = await address(rig)
    uuid = path.rpartition("/")[2]
    wrong = uuid[:-1] + ("0" if uuid[-1] != "0" else "1")
    answers = [await send(rig, path=f"/ms/webhook/{each}") for each in (wrong, uuid[:-1], "x", "%25", uuid + uuid)]
    await rig.service.settings.save(ENTERPRISE, {"enabled": False}, by="test", reason="test")
    answers.append(await click(rig))
    assert all(each == (404, {"error": "not found", "field": "", "hint": ""}) for each in answers)
    assert exchange.orders == []
    assert (await listed(rig))[0]["error"] == "the integration is switched off"


async def test_an_address_that_guesses_is_told_to_go_slow_and_nobody_else(rig: Rig) -> None:
    async with edge(rig, Guard([ip_network("127.0.0.0/8")], "", "")) as http:
        path = await address(rig)
        guesses = [f"/ms/webhook/{number:032x}" for number in range(UNKNOWN_MINUTE + 3)]
        statuses = []
        for guess in guesses:
            async with http.post(guess, json=WANTED) as answer:
                statuses.append(answer.status)
        assert statuses == [404] * UNKNOWN_MINUTE + [429] * 3
        async with http.post(guesses[0], json=WANTED, headers={"X-Forwarded-For": "203.0.113.7"}) as answer:
            assert answer.status == 404
        async with http.post(path, json=WANTED) as answer:
            assert answer.status == 200  # whoever has the right address is never counted


async def test_a_body_has_a_limit(rig: Rig, exchange: FakeOriginator) -> None:
    assert (await click(rig, b"{" + b" " * BODY_LIMIT))[0] == 413
    assert exchange.orders == []


async def test_a_body_that_does_not_come_is_not_waited_for_beyond_the_answer_s_limit(rig: Rig) -> None:
    async with edge(rig, Guard([ip_network("127.0.0.0/8")], "", ""), with_desk(rig, rig.service.settings.of_webhook, 0.1)) as http:
        reader, writer = await asyncio.open_connection("127.0.0.1", http.port)
        writer.write(f"POST {await address(rig)} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{".encode())
        async with asyncio.timeout(3.0):
            assert (await reader.readline()).startswith((b"HTTP/1.1 408", b"HTTP/1.1 503"))
        writer.close()


async def test_a_click_that_took_too_long_to_take_in_does_not_ring(rig: Rig, exchange: FakeOriginator) -> None:
    async def find(uuid: str) -> Current | None:
        rig.clock.now_ms += FRESH_MS
        return await rig.service.settings.of_webhook(uuid)

    async with edge(rig, Guard([ip_network("127.0.0.0/8")], "", ""), with_desk(rig, find, 10.0)) as http:
        async with http.post(await address(rig), json=WANTED) as answer:
            assert answer.status == 200
        await rig.settle()
    assert exchange.orders == []
    assert [each["stage"] for each in await listed(rig)] == ["expired"]


def with_desk(rig: Rig, find: Find, take_s: float) -> Services:
    """The rig's parts, with another desk for clicks."""
    service = rig.service
    book = PostgresClickBook(service.pool)
    desk = ClickDesk(store=service.store, book=book, now_ms=rig.clock, find=find, wake=service.reactor.wake, take_s=take_s)
    return replace(parts(rig), clicks=desk)


# -- the signature -------------------------------------------------------------------------------------------------


def signed(raw: bytes, key: str = SANDBOX_PHONE_KEY) -> dict[str, str]:
    values = "".join(str(value) for value in orjson.loads(raw).values())
    return {HEADER: hashlib.md5((key + values).encode(), usedforsecurity=False).hexdigest().upper()}


@pytest.mark.parametrize("key", [SANDBOX_PHONE_KEY, SANDBOX_API_TOKEN], ids=["phone", "main"])
async def test_which_form_the_signature_has_is_told_to_the_administrator(rig: Rig, key: str) -> None:
    raw = orjson.dumps(WANTED)
    assert (await click(rig, raw, headers=signed(raw, key)))[0] == 200
    (shown,) = await listed(rig)
    assert shown["signature"] == Reading.BODY_ORDER
    _, told = await rig.get(f"/ms-admin/api/clicks/{ENTERPRISE}")
    assert told["signature"]["fitted"] == Reading.BODY_ORDER


async def test_a_form_s_signature_is_recognised(rig: Rig) -> None:
    values = "".join(WANTED.values())
    made = hashlib.md5((SANDBOX_PHONE_KEY + values).encode(), usedforsecurity=False).hexdigest().upper()
    await click(rig, urlencode(WANTED).encode(), headers={HEADER: made})
    assert (await listed(rig))[0]["signature"] == Reading.BODY_ORDER


@pytest.mark.parametrize(("shown", "verdict"), [("", "absent"), ("0" * 32, "wrong")])
async def test_only_enforcing_refuses_and_does_not_say_why(
    rig: Rig, exchange: FakeOriginator, shown: str, verdict: str
) -> None:
    headers = {HEADER: shown} if shown else {}
    assert (await click(rig, headers=headers))[0] == 200
    await rig.service.settings.save(ENTERPRISE, {"webhook_signature": "enforce"}, by="test", reason="test")
    rig.clock.now_ms += REPEAT_MS
    assert await click(rig, headers=headers) == (403, {"error": "forbidden", "field": "", "hint": ""})
    assert len(exchange.orders) == 1
    refused = (await listed(rig))[0]
    assert (refused["stage"], refused["signature"]) == ("refused", verdict)
    assert "signature" in refused["error"]
    raw = orjson.dumps(WANTED)
    assert (await click(rig, raw, headers=signed(raw)))[0] == 200
    assert len(exchange.orders) == 2


# -- what came of it -----------------------------------------------------------------------------------------------


async def test_a_failure_is_told_in_words(rig: Rig, exchange: FakeOriginator) -> None:
    exchange.error = OriginationRefused("the exchange is full", "wait a little")
    await click(rig)
    (shown,) = await listed(rig, bad=True)
    assert (shown["stage"], shown["error"], shown["remedy"]) == ("failed", "the exchange is full", "wait a little")
    (logged,) = await journal(rig)
    assert (logged["status"], logged["error_message"]) == ("error", "the exchange is full; wait a little")


async def test_a_click_without_a_call_is_settled_in_words(rig: Rig) -> None:
    await click(rig)
    await rig.wait(CALL_WITHIN_MS + 1_000)
    (shown,) = await listed(rig, bad=True)
    assert shown["stage"] == "silent"
    assert "nobody picked up" in (await journal(rig))[-1]["error_message"]


async def test_the_story_of_a_click_is_told(rig: Rig) -> None:
    just_before(rig)
    await click(rig)
    await play(rig)
    (shown,) = await listed(rig)
    async with edge(rig, Guard([ip_network("127.0.0.0/8")], "", "")) as http:
        async with http.get(f"/ms-admin/api/clicks/{ENTERPRISE}/{shown['click']}?lang=ru") as answer:
            told = await answer.json()
        async with http.get(f"/ms-admin/api/clicks/{ENTERPRISE}/nothing") as answer:
            assert answer.status == 404
        async with http.get(f"/ms-admin/api/calls/{ENTERPRISE}/lab-1795437250.14") as answer:
            titles = [entry["title"] for entry in (await answer.json())["entries"]]
    assert [step["call"] for step in told["steps"]][-1] == "lab-1795437250.14"
    assert "this call came of a click in MoySklad" in titles


async def test_older_clicks_are_asked_for_by_where_the_answer_before_ended(rig: Rig) -> None:
    numbers = [f"{number:020x}" for number in range(PAGE + 2)]
    await rig.service.pool.executemany(ADD_CLICK, [(ENTERPRISE, click, 5_000, "joined", "absent") for click in numbers])
    path = f"/ms-admin/api/clicks/{ENTERPRISE}"
    _, first = await rig.get(path)
    _, second = await rig.get(f"{path}?before={first['before']}&before_click={first['before_click']}")
    assert [each["click"] for each in first["clicks"] + second["clicks"]] == numbers[::-1], "all of one millisecond"
    assert (second["before"], second["before_click"]) == (None, None)
    _, by_moment = await rig.get(f"{path}?before={first['before']}")
    assert by_moment["clicks"] == [], "the moment alone means what it always meant"
    for wrong in ("%00", "'", "a" * 41):
        status, told = await rig.get(f"{path}?before=1&before_click={wrong}")
        assert (status, told["field"]) == (400, "before_click")


async def test_no_secret_is_kept(rig: Rig) -> None:
    raw = orjson.dumps({**WANTED, "token": "very-secret-token"})
    await click(rig, raw, headers=signed(raw))
    await listed(rig)
    assert "very-secret-token" not in await everything(rig)
