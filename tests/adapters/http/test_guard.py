"""Who may call what (PRODUCT D5): the socket's own address, or a token; never what a header claims."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from aiohttp.web_urldispatcher import MatchInfoError

from adapters.http.app import build_app
from adapters.http.guard import Guard
from adapters.http.services import Holder

LOOPBACK: Sequence[IPv4Network | IPv6Network] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
INSIDE = ("/internal/ms/incoming-call", "/internal/ms/unknown", "/internal/", "/metrics", "/internal/ms/../ms/log-call")
ADMIN = ("/ms-admin/api/config/0367", "/ms-admin/api/calls", "/ms-admin/test/0367", "/ms-admin/api/nothing")
OPEN = ("/healthz", "/openapi.json")
FORWARDED = {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1", "Host": "localhost"}


@dataclass
class Socket:
    """A connection from somewhere."""

    peer: Any

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.peer if name == "peername" else default


async def allowed(guard: Guard, path: str, peer: Any, headers: dict[str, str] | None = None) -> bool:
    transport: Any = Socket(peer)
    request = make_mocked_request("POST", path, headers=headers or {}, transport=transport)
    request._match_info = MatchInfoError(web.HTTPNotFound())  # by its path, whatever the router says
    return await guard.identify(request) is not None


@pytest.mark.parametrize("peer", [("203.0.113.5", 1), ("2001:db8::1", 1, 0, 0), ("::ffff:203.0.113.5", 1), "", None])
async def test_a_stranger_stays_one_whatever_a_header_says(peer: Any) -> None:
    for path in (*INSIDE, *ADMIN):
        assert not await allowed(Guard(LOOPBACK, "", ""), path, peer, FORWARDED)
        for shown in ("Bearer", "Bearer ", "Bearer wrong", "Basic c2VjcmV0", "secret", "Bearer secretsecret"):
            assert not await allowed(Guard(LOOPBACK, "secret", "secret"), path, peer, {**FORWARDED, "Authorization": shown})


@pytest.mark.parametrize("peer", [("127.0.0.1", 1), ("127.8.8.8", 1), ("::1", 1, 0, 0), ("::ffff:127.0.0.1", 1), ("::1%lo", 1)])
async def test_the_own_host_needs_no_token_while_there_is_none(peer: Any) -> None:
    for path in (*INSIDE, *ADMIN):
        assert await allowed(Guard(LOOPBACK, "", ""), path, peer)


async def test_a_token_of_odd_octets_is_a_wrong_one() -> None:
    app = build_app(Holder(), Guard([], "inside-token", "admin-token"))
    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xd0\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 401")


async def test_a_configured_network_is_as_good_as_local() -> None:
    guard = Guard([*LOOPBACK, ip_network("10.0.0.0/8")], "", "")
    assert await allowed(guard, INSIDE[0], ("10.1.2.3", 1))
    assert not await allowed(guard, INSIDE[0], ("11.1.2.3", 1))


async def test_each_token_opens_its_own_doors_only() -> None:
    guard, far = Guard(LOOPBACK, "inside-token", "admin-token"), ("203.0.113.5", 1)
    for path in INSIDE:
        assert await allowed(guard, path, far, {"Authorization": "Bearer inside-token"})
        assert not await allowed(guard, path, far, {"Authorization": "Bearer admin-token"})
    for path in ADMIN:
        assert await allowed(guard, path, far, {"Authorization": "bearer admin-token"})
        assert not await allowed(guard, path, far, {"Authorization": "Bearer inside-token"})
        assert not await allowed(guard, path, ("127.0.0.1", 1)), "a configured token is asked of everybody"


@pytest.mark.parametrize("path", ["/healthz", "/ms-admin/api/login", "/ms/webhook/a1b2", "/ms-admin/api/me"])
async def test_only_this_machine_hears_where_the_database_is_that_is_waited_for(path: str) -> None:
    why = 'waiting for PostgreSQL at 10.1.2.3:5432/calls: PostgreSQL says: role "calls" does not exist (28000)'
    method = "POST" if path.endswith(("login", "b2")) else "GET"
    async with TestClient(TestServer(build_app(Holder(waiting=why), Guard([], "a", "")))) as client:
        for headers, told in (({}, why), ({"X-Forwarded-For": "203.0.113.5"}, "the service is not ready yet")):
            sent = {"Cookie": "ms_session=x", "X-Requested-With": "page", **headers}
            async with client.request(method, path, headers=sent, json={"password": "x"}) as answer:
                assert (answer.status, (await answer.json())["error"]) == (503, told)


@pytest.mark.parametrize("path", OPEN)
async def test_health_and_description_are_for_everybody(path: str) -> None:
    async with TestClient(TestServer(build_app(Holder(), Guard([], "a", "b")))) as client, client.get(path) as answer:
        assert answer.status not in (401, 403)


async def test_a_refusal_is_in_words_and_nothing_is_looked_at() -> None:
    """The service has no parts here at all: whoever is not let in does not even learn that."""
    app = build_app(Holder(), Guard([ip_network("192.0.2.0/24")], "inside-token", "admin-token"))
    async with TestClient(TestServer(app)) as client:
        for method, path, expected in (
            ("POST", "/internal/ms/incoming-call", 403),
            ("POST", "/internal/ms/%69ncoming-call", 403),
            ("POST", "/%69nternal/ms/incoming-call", 403),
            ("GET", "/metrics", 401),
            ("GET", "/ms-admin/api/config/0367", 401),
            ("GET", "/ms-admin/%61pi/config/0367", 401),
        ):
            async with client.request(method, path, headers={"X-Forwarded-For": "192.0.2.1"}) as answer:
                assert answer.status == expected, path
                assert set(await answer.json()) == {"error", "field", "hint"}
        async with client.post("/internal/ms/log-call", headers={"Authorization": "Bearer inside-token"}) as answer:
            assert answer.status == 503
