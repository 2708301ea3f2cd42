"""Tries to get in, or to make somebody else's browser get in; docs/security.md lists them. Most speak to the bare socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp.test_utils import BaseTestServer, TestServer

from adapters.http import answers
from adapters.http.app import build_app
from adapters.http.guard import OPEN, Guard
from adapters.http.services import Holder
from tests.adapters.http.support import SECRET, edge
from tests.rig import ENTERPRISE, Rig

NEAR = [ip_network("127.0.0.0/8")]
FAR = [ip_network("192.0.2.0/24")]
OPEN_HOUSE = Guard(NEAR, "", "")
"""As it is out of the box: whoever is near needs no token."""

STRICT = Guard(FAR, "inside-token", "admin-token")
"""As seen from elsewhere: the test's own address is nobody's."""


class Line:
    """A bare connection to a service that has no parts: what is let through is answered 503."""

    def __init__(self, server: BaseTestServer) -> None:
        assert server.port is not None
        self.port = server.port

    async def say(self, *lines: str, body: bytes = b"") -> int:
        """Send a request as it is; the status of the answer, 0 for none."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("utf-8", "surrogateescape") + body)
        try:
            async with asyncio.timeout(5):
                answer = await reader.readline()
        except (TimeoutError, ConnectionResetError):
            return 0
        finally:
            writer.close()
        return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0


@pytest.fixture
async def near() -> AsyncIterator[Line]:
    async with TestServer(build_app(Holder(), OPEN_HOUSE)) as server:
        yield Line(server)


@pytest.fixture
async def far() -> AsyncIterator[Line]:
    async with TestServer(build_app(Holder(), STRICT)) as server:
        yield Line(server)


PATHS = (
    "/internal/ms/status", "//internal/ms/status", "/./internal/ms/status", "/x/../internal/ms/status", "/internal//ms/status",
    "/internal/ms/./status", "/internal/%6ds/status", "/%69nternal/ms/status", "/%2e/internal/ms/status",
    "/%2e%2e/internal/ms/status",
    "/internal%2fms%2fstatus", "/internal/ms/status/", "/internal/ms/status?x", "/internal/ms/status#x", "/INTERNAL/ms/status",
    "/internal\\ms\\status", "/internal/ms/status;x=1", "/;/internal/ms/status", "/ms-admin/static/../../internal/ms/status",
    "/ms-admin/static/%2e%2e/%2e%2e/internal/ms/status", "/docs/../internal/ms/status", "/metrics", "//metrics",
    "/%6detrics", "/metrics/", "/ms-admin/api/me", "//ms-admin/api/me", "/ms-admin//api/me",
    "/ms-admin/login/../api/me", "/ms-admin/%61pi/me",
    "/MS-ADMIN/api/me",
    "/ms-admin/static/..%2fapi%2fme", "/ms-admin/api/login/../me", "/ms-admin/api/me%00", "/ms-admin/api/config/0367",
    "/ms-admin/api/login/../config/0367", "/ms-admin/test/0367", "http://localhost/internal/ms/status", "http://127.0.0.1/metrics",
    "https://evil.example/ms-admin/api/me", "http://u:p@127.0.0.1/metrics", "internal/ms/status", "*", "",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
async def test_no_spelling_of_a_path_gets_a_stranger_in(far: Line, path: str) -> None:
    for method in ("GET", "POST", "HEAD", "PUT", "OPTIONS"):
        for headers in (("Host: localhost",), ("Host: 127.0.0.1", "X-Original-URL: /metrics", "X-Rewrite-URL: /metrics")):
            assert await far.say(f"{method} {path} HTTP/1.1", *headers) not in (200, 503), (method, path)


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 192.0.2.1", "X-Real-IP: 192.0.2.1", "Forwarded: for=192.0.2.1",
     "Client-IP: 192.0.2.1",
     "True-Client-IP: 192.0.2.1", "X-Forwarded-Host: localhost", "X-Client-IP: 127.0.0.1", "Via: 1.1 localhost", "Host: 192.0.2.1",
     "Authorization: Bearer", "Authorization: Bearer ", "Authorization: Bearer admin-token", "Authorization: bearer\tinside-token",
     "Authorization: Basic aW5zaWRlLXRva2Vu", "Cookie: ms_session=", "Cookie: ms_session=admin-token", "X-Requested-With: page"],
)  # fmt: skip
async def test_no_header_makes_a_stranger_near(far: Line, header: str) -> None:
    host = () if header.startswith("Host") else ("Host: localhost",)
    for path in ("/internal/ms/status", "/metrics"):
        assert await far.say(f"GET {path} HTTP/1.1", *host, header) in (401, 403)


async def test_the_right_token_is_right(far: Line) -> None:
    assert await far.say("GET /metrics HTTP/1.1", "Host: x", "Authorization: Bearer inside-token") == 503
    assert await far.say("GET /ms-admin/api/me HTTP/1.1", "Host: x", "Authorization: Bearer admin-token") == 200


@pytest.mark.parametrize("path", ["/internal/ms/status", "/metrics", "/ms-admin/api/calls"])
async def test_programs_of_this_host_need_nothing(near: Line, path: str) -> None:
    for host in (f"127.0.0.1:{near.port}", "localhost", f"localhost:{near.port}", "[::1]:8023", "ms", "ms.local", "calls.internal"):
        assert await near.say(f"GET {path} HTTP/1.1", f"Host: {host}") == 503, host
    assert await near.say(f"GET {path} HTTP/1.0") == 503


@pytest.mark.parametrize("path", ["/internal/ms/status", "/metrics", "/ms-admin/api/calls"])
async def test_a_name_that_was_made_to_lead_here_does_not(near: Line, path: str) -> None:
    """DNS rebinding: the page of evil.example, whose name leads to 127.0.0.1 since a moment ago, reads from its own origin."""
    for host in (
        "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:8023", "x@evil.example", "evil.example.",
        "127.0.0.1.", "1.2.3.4.5", "evil.example#.local", "evil.example/.local",
    ):  # fmt: skip
        assert await near.say(f"GET {path} HTTP/1.1", f"Host: {host}") in (400, 401, 403), host


@pytest.mark.parametrize(
    "header",
    ["Origin: https://evil.example", "Origin: null", "Origin: http://127.0.0.1:8023", "Sec-Fetch-Site: cross-site",
     "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none"],
)  # fmt: skip
async def test_a_browser_of_this_host_is_no_program(near: Line, header: str) -> None:
    """A form or a picture of a foreign page asks 127.0.0.1 in the name of whoever sits here."""
    for method, path in (("POST", "/internal/ms/incoming-call"), ("POST", "/ms-admin/test/0367"), ("GET", "/ms-admin/api/calls")):
        assert await near.say(f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Length: 0", header) in (401, 403)


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-For: 203.0.113.5", "X-Real-IP: 203.0.113.5", "Forwarded: for=203.0.113.5", "Via: 1.1 proxy",
     "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: https"],
)  # fmt: skip
async def test_whoever_comes_through_a_proxy_on_this_host_is_not_near(near: Line, header: str) -> None:
    for path in ("/internal/ms/status", "/metrics", "/ms-admin/api/calls"):
        assert await near.say(f"GET {path} HTTP/1.1", "Host: 127.0.0.1", header) in (401, 403)


@pytest.mark.parametrize(
    "lines",
    [
        ("POST /healthz HTTP/1.1", "Host: x", "Content-Length: 4", "Transfer-Encoding: chunked"),
        ("GET /healthz HTTP/1.1", "Host: x", "Host: localhost"),
        ("GET /healthz HTTP/1.1", "Host: x", "Content-Length: 1", "Content-Length: 2"),
        ("GET /healthz HTTP/1.1", "Host: x", "X: a\x00b"),
        ("GET /healthz HTTP/1.1", "Host: x", f"X: {'a' * 20_000}"),
        (f"GET /{'a' * 20_000} HTTP/1.1", "Host: x"),
        ("GET /healthz HTTP/1.1", "Host : x"),
        ("GET  /healthz HTTP/1.1", "Host: x"),
    ],
)
async def test_broken_requests_are_refused_and_nothing_else(near: Line, lines: tuple[str, ...]) -> None:
    """What a proxy and we might read differently (request smuggling) is not read at all."""
    assert await near.say(*lines, body=b"0\r\n\r\nGET /internal/ms/status HTTP/1.1\r\nHost: x\r\n\r\n") in (0, 400, 404, 405, 503)
    assert await near.say("GET /docs HTTP/1.1", "Host: x") == 200


async def test_a_body_that_never_comes_is_not_waited_for(near: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "BODY_S", 0.05)
    lines = ("POST /ms-admin/api/login HTTP/1.1", "Host: 127.0.0.1", "Content-Length: 100", "X-Requested-With: page")
    assert await near.say(*lines) == 408


# -- with a session ------------------------------------------------------------------------------------------------

FORGERIES: tuple[dict[str, str], ...] = (
    {},
    {"Origin": "https://evil.example"},
    {"X-Requested-With": "page", "Origin": "https://evil.example"},
    {"X-Requested-With": "page", "Origin": "null"},
    {"X-Requested-With": "page", "Origin": "http://127.0.0.1.evil.example"},
    {"X-Requested-With": "page", "Sec-Fetch-Site": "cross-site"},
    {"X-Requested-With": "page", "Sec-Fetch-Site": "same-site"},
    {"X-Requested-With": "page", "Sec-Fetch-Site": "none"},
)


async def test_nobody_s_page_acts_in_the_operator_s_name(rig: Rig) -> None:
    """Cross-site request forgery: the cookie alone changes nothing."""
    async with edge(rig, Guard(FAR, "", "admin-token")) as client:
        own = {"X-Requested-With": "page", "Origin": str(client.make_url("")).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
        async with client.post("/ms-admin/api/login", json={"password": SECRET}, headers=own) as answer:
            assert answer.status == 200
        config = f"/ms-admin/api/config/{ENTERPRISE}"
        for forged in FORGERIES:
            for method, path, body in (
                ("PUT", config, {"enabled": False}),
                ("DELETE", config, None),
                ("POST", f"/ms-admin/api/links/{ENTERPRISE}", {"name": "evil"}),
                ("POST", f"/ms-admin/test/{ENTERPRISE}", None),
                ("POST", "/ms-admin/api/logout", None),
                ("POST", "/ms-admin/api/login", {"password": SECRET}),
            ):
                async with client.request(method, path, json=body, headers=forged) as answer:
                    assert answer.status == 403, (forged, method, path)
        for elsewhere in ("cross-site", "same-site"):
            async with client.get(f"/ms-admin/api/test/{ENTERPRISE}", headers={"Sec-Fetch-Site": elsewhere}) as answer:
                assert answer.status == 403, "a picture of a foreign page asks MoySklad nothing"
            async with client.get("/ms-admin/", headers={"Sec-Fetch-Site": elsewhere}) as answer:
                assert answer.status == 200, "a colleague's mail may lead here"
        current = await rig.service.settings.current(ENTERPRISE)
        assert current is not None
        assert current.settings.enabled
        async with client.put(config, json={"enabled": False}, headers=own) as answer:
            assert answer.status == 200


async def test_a_wrong_token_is_not_made_good_by_a_session(rig: Rig) -> None:
    async with edge(rig, Guard(FAR, "", "admin-token")) as client:
        page = {"X-Requested-With": "page"}
        async with client.post("/ms-admin/api/login", json={"password": SECRET}, headers=page):
            pass
        async with client.get("/ms-admin/api/me", headers={"Authorization": "Bearer wrong"}) as answer:
            assert answer.status == 401
        async with client.get("/metrics") as answer:
            assert answer.status == 401, "a session is for pages"


@pytest.mark.parametrize("cookie", ["", "a", "a" * 4_000, "%00", "'; DROP TABLE sessions; --", "ы", "\ud800"])
async def test_made_up_sessions_open_nothing(rig: Rig, cookie: str) -> None:
    async with edge(rig, Guard(FAR, "", "admin-token")) as client:
        headers: Any = {"Cookie": f"ms_session={cookie}".encode("utf-8", "surrogatepass").decode("latin-1")}
        async with client.get("/ms-admin/api/me", headers=headers) as answer:
            assert answer.status in (400, 401)


async def test_only_what_is_listed_is_open(rig: Rig) -> None:
    """Every address, asked by a stranger: what answers anything but a refusal must be on the list, whoever adds an address."""
    async with edge(rig, STRICT) as client:
        routes = {(route.method, route.resource.canonical) for route in client.app.router.routes() if route.resource is not None}
        for method, canonical in sorted(routes):
            named = dict.fromkeys(("call", "link", "test", "day", "click"), "1")
            path = canonical.format(enterprise=ENTERPRISE, **named, name="base.css", uuid="x")
            async with client.request(method, path, allow_redirects=False) as answer:
                refused = answer.status in (401, 403) or answer.headers.get("Location", "").startswith("/ms-admin/login")
                if canonical not in OPEN:
                    assert refused, (method, canonical, answer.status)
