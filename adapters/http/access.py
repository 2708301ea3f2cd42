"""Logging in and out, who one is, links for one enterprise, and the journal of actions (PRODUCT D5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from adapters.access import LIFE_S, Link, TooManyLinks, TooManyTries
from adapters.audit import PAGE
from adapters.http.answers import Problem, answer
from adapters.http.bodies import AuditQuery, Enter, EnterpriseQuery, EnterprisesQuery, LogIn, NewLink, read_body
from adapters.http.described import described
from adapters.http.guard import GUARD
from adapters.http.services import services
from adapters.http.shapes import AuditPage, Done, Enterprises, LinkMade, Links, Me
from adapters.http.who import Kind, Who, address_of, for_links, not_yours, note, scope, who
from core.settings import parse_settings

MAX_ENTERPRISES: Final = 1_000
LONGEST_QUESTION: Final = 80


def routes() -> list[web.RouteDef]:
    """Everything about who may see the pages."""
    return [
        web.post("/ms-admin/api/login", log_in),
        web.post("/ms-admin/api/enter", enter),
        web.post("/ms-admin/api/logout", log_out),
        web.get("/ms-admin/api/me", me),
        web.get("/ms-admin/api/enterprises", list_enterprises),
        web.get("/ms-admin/api/links", list_links),
        web.post("/ms-admin/api/links/{enterprise}", make_link),
        web.delete("/ms-admin/api/links/{enterprise}/{link}", revoke_link),
        web.get("/ms-admin/api/audit", list_audit),
    ]


@described("access", Me, body=LogIn)
async def log_in(request: web.Request) -> web.Response:
    """Open a session with the password; the cookie is the answer."""
    request.app[GUARD].check_page(request)
    typed, parts, address = (await read_body(request, LogIn)).password, services(request), address_of(request)
    try:
        id_ = await parts.access.log_in(typed, address)
    except TooManyTries as error:
        raise _wait(error) from error
    actor = "оператор" if id_ is not None else "неизвестный"
    await parts.audit.note("logged_in" if id_ is not None else "login_failed", actor=actor, address=address)
    if id_ is None:
        raise Problem(401, "the password is wrong", field="password", hint="Пароль не подошёл.")
    return await _let_in(request, id_, Who(kind=Kind.OPERATOR, address=address))


@described("access", Me, body=Enter)
async def enter(request: web.Request) -> web.Response:
    """Open a session for one enterprise with the secret of a link."""
    request.app[GUARD].check_page(request)
    secret, parts, address = (await read_body(request, Enter)).secret, services(request), address_of(request)
    try:
        entered = await parts.access.enter(secret, address)
    except TooManyTries as error:
        raise _wait(error) from error
    if entered is None:
        await parts.audit.note("login_failed", actor="неизвестный", address=address, object_="ссылка")
        hint = "Ссылка не действует: её отозвали или срок истёк. Попросите новую у поставщика телефонии."
        raise Problem(401, "the link opens nothing", field="secret", hint=hint)
    id_, session = entered
    asker = Who(kind=Kind.LINK, address=address, enterprise=session.enterprise, link=session.link, name=session.name)
    await parts.audit.note("logged_in", actor=asker.actor, address=address, enterprise=session.enterprise)
    return await _let_in(request, id_, asker)


async def _let_in(request: web.Request, id_: str, asker: Who) -> web.Response:
    """Hand out the new session; the one that the browser had before ends, so that nobody can have planted it."""
    guard = request.app[GUARD]
    before = request.cookies.get(guard.cookie)
    if before is not None:
        await services(request).access.log_out(before)
    response = answer(_me(asker))
    response.set_cookie(guard.cookie, id_, max_age=LIFE_S, path="/", httponly=True, samesite="Lax", secure=guard.secure)
    return response


@described("access", Done)
@for_links
async def log_out(request: web.Request) -> web.Response:
    """End the session, in every tab."""
    guard = request.app[GUARD]
    if await services(request).access.log_out(request.cookies.get(guard.cookie, "")):
        await note(request, "logged_out", enterprise=scope(request))
    response = answer({"status": "ok"})
    response.del_cookie(guard.cookie, path="/", httponly=True, samesite="Lax", secure=guard.secure)
    return response


@described("access", Me)
@for_links
async def me(request: web.Request) -> web.Response:
    """Who is logged in, and which enterprise it may see (null: all)."""
    return answer(_me(who(request)))


@described("access", Enterprises, query=EnterprisesQuery)
@for_links
async def list_enterprises(request: web.Request) -> web.Response:
    """Enterprises with the state of their integration: ``q`` looks in number and name. At most 1000, by number."""
    asked = request.query.get("q", "").strip()[:LONGEST_QUESTION]
    rows = await services(request).settings.listing(asked, scope(request), MAX_ENTERPRISES)
    return answer({"enterprises": [_state(*row) for row in rows], "complete": len(rows) < MAX_ENTERPRISES})


def _state(number: str, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    settings = parse_settings(config)
    if not config:
        state = "none"
    elif not settings.enabled:
        state = "off"
    else:
        state = "on" if settings.has_phone_api and not settings.problems else "trouble"
    return {"number": number, "name": name, "state": state, "problems": list(settings.problems) if config else []}


@described("access", Links, query=EnterpriseQuery)
async def list_links(request: web.Request) -> web.Response:
    """Links that give one administrator one enterprise; their secrets cannot be shown again."""
    links = await services(request).access.links(request.query.get("enterprise") or None)
    return answer({"links": [_link(link) for link in links]})


@described("access", LinkMade, status=201, body=NewLink)
async def make_link(request: web.Request) -> web.Response:
    """Make a link for one administrator of one enterprise; ``url`` in the answer is shown this once."""
    _only_operator(request)
    body, enterprise, parts = await read_body(request, NewLink), request.match_info["enterprise"], services(request)
    name, days = body.name.strip(), body.days
    if not name or not name.isprintable():
        raise Problem(400, "name is odd", field="name", hint="Напишите, кому ссылка: обычными буквами.")
    if await parts.settings.current(enterprise) is None:
        raise Problem(404, "the enterprise is unknown", field="enterprise_number", hint="Проверьте номер предприятия.")
    try:
        number, secret = await parts.access.make_link(enterprise, name, days)
    except TooManyLinks as error:
        raise Problem(409, "the enterprise has too many links", hint="Отзовите ненужные ссылки.") from error
    await note(request, "link_made", enterprise=enterprise, object_=f"{name} (ссылка {number})", days=days)
    # Behind the #, so that it is never sent: not to a proxy, not to a log, not as a referrer.
    return answer({"link": number, "url": f"{request.app[GUARD].public_url or _here(request)}/ms-admin/enter#{secret}"}, 201)


@described("access", Done)
async def revoke_link(request: web.Request) -> web.Response:
    """End a link and every session that it opened."""
    _only_operator(request)
    text = request.match_info["link"]
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
    access = services(request).access
    known = next((link for link in await access.links(request.match_info["enterprise"]) if link.id == number), None)
    if known is None:
        raise Problem(404, "the link is unknown", field="link", hint="Обновите страницу.")
    await access.revoke_link(number)
    await note(request, "link_revoked", enterprise=known.enterprise, object_=f"{known.name} (ссылка {number})")
    return answer({"status": "revoked"})


@described("access", AuditPage, query=AuditQuery)
async def list_audit(request: web.Request) -> web.Response:
    """Who looked and who changed, newest first: ``enterprise``, ``action`` (several by commas), ``before`` (an id), 100 a page."""
    _only_operator(request)
    before = request.query.get("before", "")
    if before and not (before.isascii() and before.isdigit() and len(before) < 18):
        raise Problem(400, "before is not understood", field="before", hint="the id of an entry")
    actions = [each for each in request.query.get("action", "").split(",") if each][:50]
    enterprise = request.query.get("enterprise") or None
    entries = await services(request).audit.page(before=int(before) if before else None, enterprise=enterprise, actions=actions)
    shown = [
        {
            "id": each.id,
            "at": _when(each.at),
            "actor": each.actor,
            "address": each.address,
            "action": each.action,
            "enterprise": each.enterprise,
            "object": each.object,
            "details": each.details,
        }
        for each in entries
    ]
    return answer({"entries": shown, "complete": len(entries) < PAGE})


def _only_operator(request: web.Request) -> None:
    """Raises Problem 403 for whoever came by a link: they cannot make links, nor see who else did what."""
    if scope(request) is not None:
        raise not_yours()


def _me(asker: Who) -> dict[str, Any]:
    return {"kind": asker.kind.value, "name": asker.name or asker.actor, "enterprise": asker.enterprise}


def _link(link: Link) -> dict[str, Any]:
    return {
        "link": link.id,
        "enterprise": link.enterprise,
        "name": link.name,
        "made_at": _when(link.made_at),
        "expires_at": _when(link.expires_at),
        "used_at": _when(link.used_at),
        "revoked_at": _when(link.revoked_at),
        "alive": link.is_alive,
        "sessions": link.sessions,
    }


def _when(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _here(request: web.Request) -> str:
    host = request.headers.get("Host", "")
    return f"{request.scheme}://{urlsplit(f'//{host}').netloc}"


def _wait(error: TooManyTries) -> Problem:
    minutes = -(-error.wait_s // 60)
    return Problem(
        429,
        "too many failed log-ins",
        hint=f"Слишком много неудачных попыток. Подождите {minutes} мин и попробуйте снова.",
        retry_after_s=error.wait_s,
    )
