"""Logging in and out over HTTP, links for one enterprise, and who is told what (PRODUCT D5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapters.access import FAILURES_EACH, Access, Session
from adapters.http.app import build_app
from adapters.http.guard import COOKIE, OPEN, SECURE_COOKIE, Guard, still_welcome
from adapters.http.services import Holder
from adapters.http.who import FOR_LINKS
from core.errors import StoreUnavailable
from tests.adapters.http.support import SECRET, dial, edge, everything, parts
from tests.described import SHAPES_OF_READ_MODELS
from tests.rig import ENTERPRISE, Rig

OTHER = "0999"
STRICT = Guard([ip_network("127.0.0.0/8")], "inside-token", "admin-token")
PAGE = {"X-Requested-With": "page"}
TOKEN = {"Authorization": "Bearer admin-token"}


class Browser:
    """Somebody in front of a page: keeps cookies, and sends what a page's script sends."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        async with self.client.request(method, path, json=body, headers={**PAGE, **headers}, allow_redirects=False) as answer:
            return answer.status, await answer.json() if answer.content_type == "application/json" else await answer.text()

    async def log_in(self) -> None:
        status, _ = await self.ask("POST", "/ms-admin/api/login", {"password": SECRET})
        assert status == 200

    async def make_link(self, enterprise: str = ENTERPRISE) -> str:
        status, made = await self.ask("POST", f"/ms-admin/api/links/{enterprise}", {"name": "Анна", "days": 30})
        assert status == 201
        return str(made["url"]).partition("#")[2]


@asynccontextmanager
async def browser(rig: Rig, guard: Guard = STRICT) -> AsyncIterator[Browser]:
    async with edge(rig, guard) as client:
        yield Browser(client)


@pytest.fixture
async def operator(rig: Rig) -> AsyncIterator[Browser]:
    async with browser(rig) as one:
        await one.log_in()
        yield one


@pytest.fixture
async def administrator(rig: Rig, operator: Browser) -> AsyncIterator[Browser]:
    """Somebody with a link for 0367; there is another enterprise too."""
    await rig.service.settings.save(OTHER, {"enabled": True}, by="test", reason="test")
    secret = await operator.make_link()
    async with browser(rig) as one:
        status, me = await one.ask("POST", "/ms-admin/api/enter", {"secret": secret})
        assert (status, me["enterprise"], me["kind"]) == (200, ENTERPRISE, "link")
        yield one


class Away(Access):
    """Sessions are in a database that does not answer."""

    async def find(self, id_: str) -> Session | None:
        raise StoreUnavailable("away")


@pytest.mark.parametrize("cookie", [f"{COOKIE}=somebody", ""])
async def test_while_the_database_is_away_a_page_comes_and_says_so_itself(rig: Rig, cookie: str) -> None:
    away = replace(parts(rig), access=Away(rig.service.pool, None))
    async with edge(rig, STRICT, away) as client:
        for path in ("/ms-admin/", "/ms-admin/live", f"/ms-admin/calls/{ENTERPRISE}/x"):
            async with client.get(path, headers={"Cookie": cookie} if cookie else {}, allow_redirects=False) as answer:
                assert answer.status == (200 if cookie else 303)
                assert not cookie or answer.content_type == "text/html"
        async with client.get("/ms-admin/api/calls", headers={"Cookie": cookie} if cookie else {}) as answer:
            assert answer.status == (503 if cookie else 401)


async def test_a_service_that_only_starts_shows_its_pages_to_whoever_has_a_session(rig: Rig) -> None:
    async with TestClient(TestServer(build_app(Holder(), STRICT, lambda: SHAPES_OF_READ_MODELS))) as client:
        async with client.get("/ms-admin/live", headers={"Cookie": f"{COOKIE}=somebody"}) as answer:
            assert (answer.status, answer.content_type) == (200, "text/html")
        async with client.get("/ms-admin/api/me", headers={"Cookie": f"{COOKIE}=somebody"}) as answer:
            assert answer.status == 503


async def audited(rig: Rig) -> list[tuple[str, str]]:
    return [(each.action, each.actor) for each in reversed(await _journal(rig))]


async def _journal(rig: Rig) -> list[Any]:
    return list(await rig.service.pool.fetch("SELECT * FROM audit ORDER BY id DESC"))


async def test_the_way_in_and_out(rig: Rig) -> None:
    async with browser(rig) as one:
        assert (await one.ask("GET", "/ms-admin/api/me"))[0] == 401
        status, told = await one.ask("POST", "/ms-admin/api/login", {"password": "wrong"})
        assert (status, told["field"], told["hint"]) == (401, "password", "Пароль не подошёл.")
        await one.log_in()
        assert (await one.ask("GET", "/ms-admin/api/me"))[1] == {"kind": "operator", "name": "оператор", "enterprise": None}
        assert (await one.ask("GET", f"/ms-admin/api/config/{ENTERPRISE}"))[0] == 200
        assert (await one.ask("POST", "/ms-admin/api/logout"))[0] == 200
        assert (await one.ask("GET", f"/ms-admin/api/config/{ENTERPRISE}"))[0] == 401
    journal = [(row["action"], row["actor"]) for row in reversed(await _journal(rig))]
    assert journal == [("login_failed", "неизвестный"), ("logged_in", "оператор"), ("logged_out", "оператор")]


@pytest.mark.parametrize(("public", "name", "secure"), [("", COOKIE, False), ("https://ms.example.org", SECURE_COOKIE, True)])
async def test_the_cookie_is_for_the_browser_alone(rig: Rig, public: str, name: str, secure: bool) -> None:
    guard = Guard(STRICT.networks, "", "", public)
    async with edge(rig, guard) as client, client.post("/ms-admin/api/login", json={"password": SECRET}, headers=PAGE) as answer:
        cookie = answer.cookies[name]
        assert (bool(cookie["httponly"]), cookie["samesite"], cookie["path"], cookie["domain"]) == (True, "Lax", "/", "")
        assert bool(cookie["secure"]) is secure
        assert ("Strict-Transport-Security" in answer.headers) is secure
        assert cookie.value not in await answer.text()


async def test_a_planted_session_ends_with_the_log_in(rig: Rig) -> None:
    async with browser(rig) as attacker, browser(rig) as victim:
        await attacker.log_in()
        planted = next(iter(attacker.client.session.cookie_jar)).value
        victim.client.session.cookie_jar.update_cookies({COOKIE: planted}, victim.client.make_url("/"))
        await victim.log_in()
        assert next(iter(victim.client.session.cookie_jar)).value != planted
        assert (await attacker.ask("GET", "/ms-admin/api/me"))[0] == 401


async def test_guessing_is_answered_429_with_a_time_to_wait(rig: Rig) -> None:
    async with browser(rig) as one:
        for _ in range(FAILURES_EACH):
            await one.ask("POST", "/ms-admin/api/login", {"password": "wrong"})
        async with one.client.post("/ms-admin/api/login", json={"password": SECRET}, headers=PAGE) as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) > 0
            assert "Подождите" in (await answer.json())["hint"]


@pytest.mark.parametrize("body", [{}, [], "x", {"password": 1}, {"password": "x" * 2_000}])
async def test_a_log_in_that_is_none(rig: Rig, body: Any) -> None:
    async with browser(rig) as one:
        assert (await one.ask("POST", "/ms-admin/api/login", body))[0] == 400
    assert await _journal(rig) == []


async def test_pages_lead_to_the_log_in_and_back(rig: Rig) -> None:
    async with browser(rig) as one:
        async with one.client.get("/ms-admin/?enterprise_number=0367", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/ms-admin/login?next=/ms-admin/?enterprise_number%3D0367")
        await one.log_in()
        status, page = await one.ask("GET", "/ms-admin/?enterprise_number=0367")
        assert (status, "Настройки" in page) == (200, True)


async def test_no_secret_of_a_log_in_is_in_any_table_log_or_answer(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    async with browser(rig) as one:
        await one.ask("POST", "/ms-admin/api/login", {"password": "a-wrong-password-that-somebody-typed"})
        await one.log_in()
        link = await one.make_link()
        session = next(iter(one.client.session.cookie_jar)).value
        told = [await one.ask("GET", f"/ms-admin/api/{each}") for each in ("me", "links", "audit", "enterprises")]
        await one.ask("POST", "/ms-admin/api/enter", {"secret": link})
    captured = capsys.readouterr()
    for text in (await everything(rig), captured.out, captured.err, str(told)):
        for secret in (SECRET, "a-wrong-password-that-somebody-typed", link, session):
            assert secret not in text


# -- links ---------------------------------------------------------------------------------------------------------


async def test_a_link_shows_its_secret_once(rig: Rig, operator: Browser) -> None:
    secret = await operator.make_link()
    _, listed = await operator.ask("GET", "/ms-admin/api/links")
    assert (listed["links"][0]["name"], listed["links"][0]["alive"]) == ("Анна", True)
    assert secret not in str(listed)
    assert secret not in str(await _journal(rig))


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "name"), ({"name": ""}, "name"), ({"name": " "}, "name"), ({"name": "a\x00"}, "name"), ({"name": "a", "days": 0}, "days"),
     ({"name": "a", "days": 9999}, "days"), ({"name": "a", "days": "1"}, "days"), ([], "")],
)  # fmt: skip
async def test_a_link_needs_a_name_and_an_end(operator: Browser, body: Any, field: str) -> None:
    status, told = await operator.ask("POST", f"/ms-admin/api/links/{ENTERPRISE}", body)
    assert (status, told["field"]) == (400, field)


async def test_a_link_for_nobody_is_not_made(operator: Browser) -> None:
    assert (await operator.ask("POST", "/ms-admin/api/links/7777", {"name": "a"}))[0] == 404


async def test_an_administrator_sees_and_changes_one_enterprise(rig: Rig, administrator: Browser) -> None:
    await rig.post("/internal/ms/incoming-call", dial())
    await rig.settle()
    await rig.service.runner.step("calls")
    config = f"/ms-admin/api/config/{ENTERPRISE}"
    status, shown = await administrator.ask("GET", config)
    assert status == 200
    change = {"notifications": {"notify_outgoing": False}, "revision": shown["revision"]}
    status, saved = await administrator.ask("PUT", config, change)
    assert (status, saved["revision"]) == (200, shown["revision"] + 1)
    _, past = await administrator.ask("GET", f"{config}/history")
    assert past["history"][0]["by"].startswith("Анна (ссылка ")
    _, listed = await administrator.ask("GET", "/ms-admin/api/enterprises")
    assert [each["number"] for each in listed["enterprises"]] == [ENTERPRISE]
    _, found = await administrator.ask("GET", "/ms-admin/api/calls")
    assert {each["enterprise"] for each in found["calls"]} <= {ENTERPRISE}
    assert (await administrator.ask("GET", "/ms-admin/api/parked"))[0] == 200


async def test_an_administrator_gets_nothing_of_others(administrator: Browser) -> None:
    """Every address, with the other enterprise wherever one can be named; an unknown enterprise is refused alike."""
    routes = {
        (route.method, route.resource.canonical, route.handler)
        for route in administrator.client.app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    tried = 0
    for method, canonical, handler in routes:
        named = "{enterprise}" in canonical
        if not named and (not canonical.startswith("/ms-admin/") or getattr(handler, FOR_LINKS, False)):
            continue
        if canonical in OPEN or getattr(handler, "is_page", False):
            continue  # a page's shell tells nothing: what it shows it has to ask for
        for number in (OTHER, "7777"):
            path = canonical.format(enterprise=number, call="1", link="1", test="1", click="1", day="1", name="base.css")
            status, told = await administrator.ask(method, path, {} if method in ("POST", "PUT") else None)
            assert (status, told["hint"]) == (403, "Ваша ссылка открывает только своё предприятие."), (method, path)
            tried += 1
    assert tried >= 30
    for path in ("/ms-admin/api/calls", "/ms-admin/api/parked"):
        assert (await administrator.ask("GET", f"{path}?enterprise={OTHER}"))[0] == 403
    for path in ("/internal/ms/status", "/metrics"):
        assert (await administrator.ask("GET", path, **{"X-Forwarded-For": "192.0.2.1"}))[0] in (401, 403)


async def test_an_administrator_is_not_the_operator(administrator: Browser) -> None:
    assert (await administrator.ask("POST", f"/ms-admin/api/links/{ENTERPRISE}", {"name": "another"}))[0] == 403
    assert (await administrator.ask("DELETE", f"/ms-admin/api/links/{ENTERPRISE}/1"))[0] == 403
    assert (await administrator.ask("GET", "/ms-admin/api/audit"))[0] == 403
    assert (await administrator.ask("GET", "/ms-admin/api/links"))[0] == 403


async def test_a_revoked_link_ends_at_once(operator: Browser, administrator: Browser) -> None:
    _, listed = await operator.ask("GET", f"/ms-admin/api/links?enterprise={ENTERPRISE}")
    number = listed["links"][0]["link"]
    assert (await operator.ask("DELETE", f"/ms-admin/api/links/{OTHER}/{number}"))[0] == 404, "it is not that enterprise's"
    assert (await operator.ask("DELETE", f"/ms-admin/api/links/{ENTERPRISE}/{number}"))[0] == 200
    assert (await administrator.ask("GET", "/ms-admin/api/me"))[0] == 401
    for odd in ("0", "x", "9" * 30, "-1"):
        assert (await operator.ask("DELETE", f"/ms-admin/api/links/{ENTERPRISE}/{odd}"))[0] == 404


async def test_whoever_listens_to_a_long_answer_is_asked_again(rig: Rig, operator: Browser, administrator: Browser) -> None:
    """Long answers (the live board) ask ``still_welcome`` now and then; here with the request of a short one."""
    seen: list[bool] = []

    async def kept(request: web.Request) -> web.Response:
        seen.append(await still_welcome(request))
        await rig.service.pool.execute("UPDATE access_links SET revoked_at = now()")
        seen.append(await still_welcome(request))
        return web.json_response({})

    guard, holder = STRICT, Holder(parts(rig))
    app = build_app(holder, guard)
    app.router.add_get("/ms-admin/api/long/{enterprise}", kept)
    cookie = next(iter(administrator.client.session.cookie_jar)).value
    client = TestClient(TestServer(app), cookies={COOKIE: cookie})
    async with client, client.get(f"/ms-admin/api/long/{ENTERPRISE}") as answer:
        assert answer.status == 200
    assert seen == [True, False]


async def test_a_wrong_secret_says_so_and_is_counted(rig: Rig) -> None:
    async with browser(rig) as one:
        status, told = await one.ask("POST", "/ms-admin/api/enter", {"secret": "x" * 43})
        assert (status, "не действует" in told["hint"]) == (401, True)


# -- the journal ---------------------------------------------------------------------------------------------------


async def test_the_journal_tells_who_looked_and_who_changed(rig: Rig, operator: Browser) -> None:
    await rig.post("/internal/ms/incoming-call", dial())
    config = f"/ms-admin/api/config/{ENTERPRISE}"
    await operator.ask("PUT", config, {"enabled": True})
    await operator.ask("POST", f"{config}/restore", {"restore": 1, "revision": (await operator.ask("GET", config))[1]["revision"]})
    await operator.ask("GET", f"/ms-admin/api/calls/{ENTERPRISE}/1757840723.6")
    await operator.ask("POST", f"/ms-admin/api/retry/{ENTERPRISE}")
    await operator.ask("GET", f"/ms-admin/api/calls/{ENTERPRISE}/1757840723.6", **TOKEN)
    await operator.ask("DELETE", config)
    _, told = await operator.ask("GET", "/ms-admin/api/audit")
    actions = [each["action"] for each in told["entries"]]
    assert actions == ["settings_deleted", "retry_ordered", "replay_viewed", "settings_restored", "settings_saved", "logged_in"]
    assert {each["actor"] for each in told["entries"]} == {"оператор"}
    assert told["entries"][2]["object"] == "1757840723.6"
    _, narrowed = await operator.ask("GET", f"/ms-admin/api/audit?action=retry_ordered&enterprise={ENTERPRISE}&before=999999")
    assert [each["action"] for each in narrowed["entries"]] == ["retry_ordered"]
    assert (await operator.ask("GET", "/ms-admin/api/audit?before=x"))[0] == 400


async def test_behind_a_proxy_the_journal_has_the_caller_s_own_address(rig: Rig) -> None:
    async with browser(rig) as one:
        await one.ask("POST", "/ms-admin/api/login", {"password": "x"}, **{"X-Forwarded-For": "10.0.0.1, 198.51.100.7"})
        await one.ask("POST", "/ms-admin/api/login", {"password": "x"}, **{"X-Forwarded-For": "made up"})
    assert [row["address"] for row in await _journal(rig)] == ["127.0.0.1", "198.51.100.7"]


# -- enterprises ---------------------------------------------------------------------------------------------------


async def test_the_list_of_enterprises_says_how_each_is(rig: Rig, operator: Browser) -> None:
    await rig.service.settings.save("0400", {"enabled": False}, by="test", reason="test")
    await rig.service.settings.save("0401", {"enabled": True}, by="test", reason="test")
    await rig.service.pool.execute("INSERT INTO public.enterprises (number, name) VALUES ('0402', 'Ромашка <b>')")
    _, told = await operator.ask("GET", "/ms-admin/api/enterprises")
    assert {each["number"]: each["state"] for each in told["enterprises"]} == {
        ENTERPRISE: "on", "0400": "off", "0401": "trouble", "0402": "none",
    }  # fmt: skip
    for asked in ("ромаш", "0402", "%D0%A0"):
        _, found = await operator.ask("GET", f"/ms-admin/api/enterprises?q={asked}")
        assert [each["number"] for each in found["enterprises"]] == ["0402"]
    for asked in ("%25", "_", "nobody", "x" * 5000):
        assert (await operator.ask("GET", f"/ms-admin/api/enterprises?q={asked}"))[0] == 200


@pytest.mark.parametrize("odd", ["%00", "a%00b"])
async def test_no_address_takes_what_no_database_holds(operator: Browser, odd: str) -> None:
    listed = ("enterprises?q=", "links?enterprise=", "audit?enterprise=", "audit?action=", "calls?phone=")
    for path in (*listed, "config/", "self-test/0367/"):
        assert (await operator.ask("GET", f"/ms-admin/api/{path}{odd}"))[0] == 400
    assert (await operator.ask("POST", f"/ms-admin/api/links/{odd}", {"name": "a"}))[0] == 400
