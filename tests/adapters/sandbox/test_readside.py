"""The tool side: what it shows, what it takes, the live stream, click-to-call and the page."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, make_mocked_request

from adapters.sandbox import SandboxOptions, Switches, build_sandbox, serve_sandbox
from adapters.sandbox.app import loopback_only
from adapters.sandbox.options import BadSwitch, change_switches
from adapters.sandbox.page import STATIC
from tests.adapters.sandbox.support import Json, Rig, running

SEED: Json = {
    "name": "second",
    "phone_key": "k" * 40,
    "api_token": "t" * 40,
    "crm": False,
    "employees": [{"name": "Инна", "extension": "301", "login": "inna@second"}],
    "counterparties": [
        {"name": "Клиент", "phone": "8 916 000 00 11", "owner_extension": "301",
         "contact_persons": [{"name": "Зам", "phone": "+7 916 000-00-12"}]},
    ],
    "organizations": ["ООО Второе"],
}  # fmt: skip


async def test_switches_change_one_by_one_and_all_or_none(rig: Rig) -> None:
    before = await rig.tool("GET", "/switches")
    changed = await rig.tool("PUT", "/switches", {"request_weight": 4, "number_match": "off"})
    assert changed == {**before, "request_weight": 4, "number_match": "off"}
    for patch, field in (
        ({"extid_get": True, "nonsense": 1}, "nonsense"),
        ({"extid_get": True, "request_weight": 7}, "request_weight"),
        ({"number_match": None}, "number_match"),
        ({"phone_latency_ms": 99_999_999}, "phone_latency_ms"),
    ):
        reply = await rig.ask("PUT", "/sandbox/switches", json=patch)
        assert (reply.status, reply.body["field"]) == (400, field)
    assert await rig.tool("GET", "/switches") == changed


def test_every_switch_can_be_written_back() -> None:
    switches = Switches()
    values = {name: getattr(switches, name) for name in Switches.__dataclass_fields__}
    assert change_switches(switches, values) == switches
    with pytest.raises(BadSwitch):
        change_switches(switches, {"limits_enforced": "yes"})


async def test_seed_adds_an_account_and_extends_it(rig: Rig) -> None:
    await rig.tool("POST", "/seed", {"accounts": [SEED]})
    rig.key, rig.token = SEED["phone_key"], SEED["api_token"]
    assert (await rig.call(number="+79160000012"))["counterpartyowner"]["extention"] == "301"
    more = {**SEED, "employees": [{"name": "Инна П.", "extension": "301"}, {"name": "Олег", "extension": "302"}]}
    await rig.tool("POST", "/seed", {"accounts": [more]})
    account = (await rig.tool("GET", "/accounts?account=second"))["accounts"][0]
    people = {one["extension"]: one["name"] for one in account["employees"] if one["extension"]}
    assert people == {"301": "Инна П.", "302": "Олег"}
    assert account["entities"]["counterparty"] == 1
    assert account["crm"] is False


@pytest.mark.parametrize(
    "change",
    [
        {"phone_key": "other"},
        {"name": "third"},  # with the second's key
        {"counterparties": [{"name": "Х", "owner_extension": "999"}]},
        {"unknown": 1},
        {"employees": "x"},
    ],
)
async def test_bad_seeds(rig: Rig, change: Json) -> None:
    await rig.tool("POST", "/seed", {"accounts": [SEED]})
    reply = await rig.ask("POST", "/sandbox/seed", json={"accounts": [{**SEED, **change}]})
    assert reply.status == 400
    assert set(reply.body) == {"error", "field", "hint"}


async def test_no_credentials_in_anything_shown(rig: Rig) -> None:
    await rig.call(comment="видно")
    await rig.remap("POST", "/security/token")
    for path in ("/accounts", "/requests", "/calls", "/cards", "/counterparties"):
        text = orjson.dumps(await rig.tool("GET", path)).decode()
        assert rig.key not in text
        assert rig.token not in text


async def test_requests_are_remembered_with_bodies_and_codes(rig: Rig) -> None:
    call = await rig.call(comment="видно")
    rig.clock.now_ms += 5
    await rig.phone("POST", "/call", {"number": "1"})
    await rig.remap("GET", "/entity/counterparty", params={"search": "9161234567"})
    found = await rig.tool("GET", "/requests?since=1")
    assert found["last_id"] == 3
    refused, search = found["requests"]
    assert (refused["status"], refused["codes"]) == (412, [3000, 3000, 3000])
    assert (search["api"], search["path"]) == ("remap", "/entity/counterparty?search=9161234567")
    first = (await rig.tool("GET", "/requests"))["requests"][0]
    assert (first["method"], first["status"], first["account"]) == ("POST", 200, "sandbox")
    assert first["body"]["comment"] == "видно"
    assert (await rig.row(call["id"]))["request_ids"] == [first["id"]]


async def test_the_request_ring_is_bounded() -> None:
    async with running() as rig:
        rig.world.log.size = 3
        for _ in range(5):
            await rig.phone("GET", "/employee")
        assert [one["id"] for one in (await rig.tool("GET", "/requests"))["requests"]] == [3, 4, 5]


async def test_calls_are_paged_and_chosen(rig: Rig) -> None:
    for number in range(3):
        rig.clock.now_ms += 1
        await rig.call(externalId=f"e{number}", number=f"+7916000000{number}")
    listed = await rig.tool("GET", "/calls?newest=1&limit=2&offset=1")
    assert (listed["total"], [one["external_id"] for one in listed["calls"]]) == (3, ["e1", "e0"])
    by_number = await rig.tool("GET", "/calls", params={"number": "+79160000002"})
    assert [one["external_id"] for one in by_number["calls"]] == ["e2"]
    for path in ("/calls?limit=-1", "/calls?account=nobody"):
        assert (await rig.ask("GET", f"/sandbox{path}")).status == 400


async def test_reset_starts_anew(rig: Rig) -> None:
    await rig.switch(request_weight=4)
    await rig.call(events=[{"eventType": "SHOW", "extension": "101", "sequence": 1}])
    await rig.tool("POST", "/faults", {"action": "hang"})
    await rig.tool("POST", "/outage", {"mode": "drop"})
    await rig.tool("POST", "/reset")
    assert (await rig.tool("GET", "/calls"))["total"] == 0
    assert await rig.cards() == {}
    assert (await rig.tool("GET", "/switches"))["request_weight"] == 3
    assert (await rig.tool("GET", "/requests"))["requests"] == []
    assert (await rig.phone("GET", "/employee")).status == 200


async def read_events(response: aiohttp.ClientResponse, count: int) -> list[tuple[str, Any]]:
    """The next events of a stream."""
    found: list[tuple[str, Any]] = []
    async with asyncio.timeout(5):
        while len(found) < count:
            kind = (await response.content.readline()).decode().removeprefix("event: ").strip()
            data = (await response.content.readline()).decode().removeprefix("data: ")
            await response.content.readline()
            found.append((kind, orjson.loads(data)))
    return found


async def test_the_stream_tells_everything_in_order(rig: Rig) -> None:
    await rig.call(externalId="before")
    async with rig.client.get("/sandbox/stream") as response:
        [(kind, snapshot)] = await read_events(response, 1)
        assert kind == "snapshot"
        assert [one["external_id"] for one in snapshot["calls"]] == ["before"]
        assert [one["extension"] for one in snapshot["screens"]][:2] == ["101", "102"]
        call = await rig.call(number="+79161234567", events=[{"eventType": "SHOW", "extension": "101", "sequence": 1}])
        end = [
            {"eventType": "STARTTIME", "extension": "101", "sequence": 2},
            {"eventType": "HIDE_ALL", "sequence": 3},
        ]
        await rig.phone("PUT", f"/call/{call['id']}", {"events": end})
        events = await read_events(response, 6)
        assert [kind for kind, _ in events] == [
            "call_created", "card_shown", "call_updated", "card_timer", "card_hidden", "call_updated",
        ]  # fmt: skip
        shown = events[1][1]
        assert (shown["extension"], shown["card"]["contact_name"]) == ("101", "ИП Смирнова О. В.")
        await rig.tool("POST", "/reset")
        assert (await read_events(response, 1))[0][0] == "reset"


# -- click-to-call -------------------------------------------------------------------------------------------


async def test_click_is_signed_as_chosen(rig: Rig) -> None:
    seen: list[tuple[str | None, bytes, str]] = []

    async def provider(request: web.Request) -> web.Response:
        signature = request.headers.get("Lognex-Content-MD5")
        seen.append((signature, await request.read(), request.content_type))
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/ms/webhook/x", provider)
    async with TestServer(app) as server:
        body = {"url": str(server.make_url("/ms/webhook/x")), "srcNumber": "101", "destNumber": "+74959999999"}
        for variant in ("values", "raw-body", "sorted-values", "wrong", "none"):
            result = await rig.tool("POST", "/click", {**body, "variant": variant})
            assert (result["status"], result["body"]) == (200, "ok")
        await rig.tool("POST", "/click", {**body, "form": True})
    raw = b'{"srcNumber":"101","destNumber":"+74959999999","uid":"anna@sandbox"}'
    key = rig.key.encode()

    def md5(material: bytes) -> str:
        return hashlib.md5(material, usedforsecurity=False).hexdigest().upper()

    assert [one[0] for one in seen[:5]] == [
        md5(key + b"101+74959999999anna@sandbox"),
        md5(key + raw),
        md5(key + b"+74959999999101anna@sandbox"),
        md5(b"not the key" + raw),
        None,
    ]
    assert {one[1:] for one in seen[:5]} == {(raw, "application/json")}
    assert seen[5][1:] == (
        b"srcNumber=101&destNumber=%2B74959999999&uid=anna%40sandbox",
        "application/x-www-form-urlencoded",
    )


async def test_click_to_nobody_and_by_nobody(rig: Rig, unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}/"
    body = {"url": url, "srcNumber": "101", "destNumber": "1"}
    result = await rig.tool("POST", "/click", body)
    assert result["status"] == 0
    assert result["error"]
    for change in ({"srcNumber": "999"}, {"account": "nobody"}, {"url": "file:///etc/hosts"}):
        assert (await rig.ask("POST", "/sandbox/click", json={**body, **change})).status == 400


# -- the page and the process --------------------------------------------------------------------------------


async def test_the_page_is_strict_about_scripts(rig: Rig) -> None:
    page = await rig.ask("GET", "/")
    assert page.status == 200
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    used = re.findall(r'(?:src|href)="([^"]+)"', page.body)
    for path in {one for one in used if one.startswith("/")}:
        assert (await rig.ask("GET", path)).status == 200
    assert all(one.startswith("/") for one in used)


def test_the_page_has_no_inline_script_nor_markup_from_data() -> None:
    html = (STATIC / "index.html").read_text("utf-8")
    assert set(re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL)) == {""}
    assert not re.search(r"\son\w+=|style=", html)
    for file in Path(STATIC).glob("*.js"):
        script = file.read_text("utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)
    for file in Path(STATIC).iterdir():
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)[\w.]", file.read_text("utf-8"))


async def test_the_tool_side_is_for_this_machine_only() -> None:
    async def reached(request: web.Request) -> web.Response:
        return web.Response(text="in")

    class Transport:
        def __init__(self, address: str) -> None:
            self.address = address

        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return (self.address, 5) if name == "peername" else default

    for address, path, allowed in (
        ("127.0.0.1", "/sandbox/calls", True),
        ("::1", "/sandbox/calls", True),
        ("192.0.2.7", "/sandbox/calls", False),
        ("192.0.2.7", "/api/phone/1.0/employee", True),
    ):
        request = make_mocked_request("GET", path, transport=Transport(address))
        if allowed:
            assert (await loopback_only(request, reached)).status == 200
        else:
            with pytest.raises(web.HTTPForbidden):
                await loopback_only(request, reached)


async def test_it_serves_until_cancelled(unused_tcp_port: int) -> None:
    task = asyncio.create_task(serve_sandbox("127.0.0.1", unused_tcp_port, SandboxOptions(demo=True)))
    async with aiohttp.ClientSession() as session, asyncio.timeout(5):
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{unused_tcp_port}/sandbox/accounts") as response:
                    assert (await response.json())["accounts"][0]["name"] == "sandbox"
                    break
            except aiohttp.ClientConnectorError:
                assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_it_stops_while_somebody_watches_and_somebody_hangs() -> None:
    app = build_sandbox(SandboxOptions(demo=True))
    server = TestServer(app)
    await server.start_server()
    async with aiohttp.ClientSession() as session, session.get(server.make_url("/sandbox/stream")) as stream:
        await read_events(stream, 1)
        await server.close()
        assert await stream.content.read() == b""
