"""The pages for people: HTML shells without any data, their modules and styles, and the headers that fence them in.

A page is one line in :data:`PAGES`. What it shows it asks of ``/ms-admin/api/…`` itself, so a shell may be seen by anybody who
is logged in. Files are served from a fixed list that is read at start.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from aiohttp import web

from adapters.http.answers import Problem
from adapters.http.bodies import LeadQuery
from adapters.http.described import HTML, described

STATIC: Final = Path(__file__).parent / "static"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Server": "ms-call-service",
}
HSTS: Final = "max-age=31536000"
_MEDIA: Final = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/vnd.microsoft.icon",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page: where it is, what its tab says, its module and its style (in ``static/``). ``open``: also without a log-in."""

    path: str
    title: str
    script: str
    style: str = ""
    open: bool = False


PAGES: Final = (
    Page(path="/ms-admin/login", title="Вход", script="login.js", open=True),
    Page(path="/ms-admin/enter", title="Вход по ссылке", script="enter.js", open=True),
    Page(path="/ms-admin/", title="Настройки", script="settings.js", style="settings.css"),
    Page(path="/ms-admin/live", title="Сейчас", script="live.js", style="live.css"),
    Page(path="/ms-admin/calls", title="Звонки", script="calls.js", style="calls.css"),
    Page(path="/ms-admin/calls/{enterprise}/{call}", title="Звонок", script="replay.js", style="replay.css"),
    Page(path="/ms-admin/clicks", title="Нажатия", script="clicks.js", style="calls.css"),
    Page(path="/ms-admin/missed", title="Пропущенные", script="missed.js", style="calls.css"),
    Page(path="/ms-admin/reports", title="Отчёты", script="reports.js", style="reports.css"),
    Page(path="/ms-admin/status", title="Состояние", script="status.js", style="live.css"),
    Page(path="/ms-admin/access", title="Доступ", script="access.js"),
    Page(path="/ms-admin/audit", title="Журнал действий", script="audit.js"),
    Page(path="/docs", title="HTTP API", script="docs.js", style="docs.css", open=True),
)

_SHELL: Final = """<!doctype html>
<html lang="ru">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} — звонки и МойСклад</title>
<link rel="icon" href="/ms-admin/favicon.ico">
<link rel="stylesheet" href="/ms-admin/static/base.css">
{style}<script type="module" src="/ms-admin/static/{script}"></script>
</head>
<body>
<div id="app"></div>
<noscript><p class="noscript">Этой странице нужен JavaScript.</p></noscript>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    media: str
    etag: str


def _read() -> dict[str, _File]:
    found = {}
    for path in sorted(STATIC.rglob("*")):
        media = _MEDIA.get(path.suffix)
        if media is not None and path.is_file():
            body = path.read_bytes()
            found[path.relative_to(STATIC).as_posix()] = _File(body, media, f'"{hashlib.sha256(body).hexdigest()[:20]}"')
    return found


_FILES: Final = _read()


def routes() -> list[web.RouteDef]:
    """The pages, their files, and the ways that lead to them."""
    return [
        *(web.get(page.path, _shell(page)) for page in PAGES),
        web.get("/ms-admin/static/{name:.+}", static_file),
        web.get("/ms.png", _image("ms.png")),
        web.get("/ms-admin/favicon.ico", _image("favicon.ico")),
        web.get("/", to_the_pages),
        web.get("/ms", to_the_pages),
        web.get("/ms/", to_the_pages),
        web.get("/ms-admin", to_the_pages),
    ]


def _shell(page: Page) -> Callable[[web.Request], Awaitable[web.Response]]:
    style = f'<link rel="stylesheet" href="/ms-admin/static/{page.style}">\n' if page.style else ""
    body = _SHELL.format(title=html.escape(page.title), style=style, script=page.script).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'

    async def shell(request: web.Request) -> web.Response:
        return _told(request, _File(body, "text/html", etag))

    shell.__doc__ = f"The page «{page.title}»."
    described("pages", media=HTML)(shell)
    if not page.open:
        setattr(shell, "is_page", True)  # noqa: B010  # a function has no such attribute of its own
        setattr(shell, "for_links", True)  # noqa: B010  # it tells nothing
    return shell


@described("pages", media=tuple(_MEDIA.values()))
async def static_file(request: web.Request) -> web.Response:
    """One of the pages' files."""
    file = _FILES.get(request.match_info["name"])
    if file is None:
        raise Problem(404, "there is no such file", hint="see /openapi.json for what exists")
    return _told(request, file)


def _image(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def image(request: web.Request) -> web.Response:
        return _told(request, _FILES[name])

    image.__doc__ = "The service's picture."
    return described("pages", media=_MEDIA[Path(name).suffix])(image)


@described("pages", status=303, media=(), query=LeadQuery)
async def to_the_pages(request: web.Request) -> web.Response:
    """Lead to the list of enterprises, or to the one that is named."""
    number = request.query.get("enterprise_number")
    where = "/ms-admin/" if number is None else f"/ms-admin/?enterprise_number={quote(number, safe='')}"
    raise web.HTTPSeeOther(where)


def _told(request: web.Request, file: _File) -> web.Response:
    headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
    if file.etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    charset = "utf-8" if file.media.startswith("text/") else None
    return web.Response(body=file.body, content_type=file.media, charset=charset, headers=headers)


def fenced(secure: bool) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """The signal that puts the headers on every answer; ``secure``: people come by TLS."""

    async def add(_request: web.Request, response: web.StreamResponse) -> None:
        for name, value in HEADERS.items():
            response.headers[name] = value
        response.headers.setdefault("Cache-Control", "no-store")
        if secure:
            response.headers["Strict-Transport-Security"] = HSTS

    return add
