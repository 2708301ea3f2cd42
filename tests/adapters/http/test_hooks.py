"""The address that MoySklad's webhooks come to: nobody's secret is a plain 404, and nothing takes longer than MoySklad waits."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import orjson
import pytest

from adapters.directory import hooks
from adapters.http.guard import Guard
from adapters.http.hooks import BODY_BYTES, BODY_S
from tests.adapters.directory.support import KNOWN, desk_of
from tests.adapters.http.support import edge
from tests.eventually import PATIENCE_S
from tests.rig import ENTERPRISE, Rig

BASE = "https://api.moysklad.ru/api/remap/1.2/entity"
BODY = {"events": [{"meta": {"type": "employee", "href": f"{BASE}/employee/{uuid4()}"}, "action": "UPDATE", "accountId": "a"}]}


@pytest.fixture
async def address(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(hooks, "PATIENCE_S", PATIENCE_S)  # how long that is has a test of its own, and many tests share a machine
    secret = str(uuid4())
    await rig.service.pool.execute(
        "INSERT INTO directory_hooks (enterprise, secret, account, revision) VALUES ($1, $2, '', 1)", ENTERPRISE, secret
    )
    return f"/ms/hooks/{secret}"


def test_the_times_add_up_to_less_than_moysklad_waits() -> None:
    assert 2 * hooks.PATIENCE_S + 0.2 <= 1.5
    assert hooks.PATIENCE_S + BODY_S <= 1.5, "a body that dawdles is refused before the database is asked"


async def test_a_delivery_is_taken_and_its_repeat_is_harmless(rig: Rig, address: str) -> None:
    for _ in range(3):
        async with rig.http.post(f"{address}?requestId={uuid4()}", json=BODY) as answer:
            assert (answer.status, await answer.read()) == (204, b"")
    async with rig.http.post(f"{address}?requestId=r1", json=BODY) as answer:
        assert answer.status == 204
    async with rig.http.post(f"{address}?requestId=r1", json=BODY) as answer:
        assert answer.status == 204
    assert rig.service.directory.hooks.taken == {"taken": 4, "repeated": 1}


async def test_nobody_s_address_is_a_plain_404_whatever_is_sent(rig: Rig) -> None:
    told = []
    for path in (f"/ms/hooks/{uuid4()}", "/ms/hooks/x", "/ms/hooks/..%2f..", "/ms/nothing"):
        async with rig.http.post(path, data=b"not json") as answer:
            told.append((answer.status, await answer.json()))
    assert all(each == told[0] for each in told)
    assert told[0][0] == 404


async def test_it_is_open_to_the_world_and_to_nobody_s_pages(rig: Rig, address: str) -> None:
    async with edge(rig, Guard([], "a", "b")) as client:
        async with client.post(address, json=BODY, headers={"X-Forwarded-For": "203.0.113.5"}) as answer:
            assert answer.status == 204
        async with client.get(address) as answer:
            assert answer.status == 405


async def test_odd_bodies_are_refused_in_words(rig: Rig, address: str) -> None:
    for body, status in ((b"not json", 400), (b"", 400), (b"{" + b" " * BODY_BYTES + b"}", 413), (b"[]", 204), (b"5", 204)):
        async with rig.http.post(address, data=body) as answer:
            assert answer.status == status, body[:20]


async def test_a_body_that_does_not_come_is_not_waited_for(rig: Rig, address: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.http.port)
    writer.write(f"POST {address} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{".encode())
    async with asyncio.timeout(PATIENCE_S):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()


async def test_what_is_told_reaches_the_telephones(rig: Rig, address: str) -> None:
    desk = desk_of(rig)
    found = await desk.who("customer-name", ENTERPRISE, KNOWN)
    assert found.known is not None
    assert found.known.contact is not None
    href = f"{BASE}/counterparty/{found.known.contact.id}"
    event = {"meta": {"type": "counterparty", "href": href}, "action": "DELETE"}
    async with rig.http.post(f"{address}?requestId=r9", data=orjson.dumps({"events": [event]})) as answer:
        assert answer.status == 204
    assert (await desk.who("customer-name", ENTERPRISE, KNOWN)).trust == "doubted"
