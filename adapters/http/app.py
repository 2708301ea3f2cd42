"""The HTTP application: every route, behind the guard, with errors in words."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from adapters.http import access, admin, internal, pages, status
from adapters.http.answers import BODY_LIMIT, Problem, answer, errors_in_words
from adapters.http.guard import GUARD, Guard, guarded
from adapters.http.services import SERVICES, Holder, services
from adapters.http.stream import NDJSON

VERSION: Final = "0.1.0"

_TEXT: Final = {"type": "string"}
_IN_WORDS: Final = {"error": _TEXT, "field": _TEXT, "hint": _TEXT}
_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "Problem": {"type": "object", "required": [*_IN_WORDS], "properties": _IN_WORDS},
    "Acknowledgement": {
        "type": "object",
        "required": ["status"],
        "properties": {
            "n": {"type": "integer", "description": "which event of this connection, from 1; absent in the last line of all"},
            "status": {"enum": ["success", "disabled", "error", "closing", "unavailable", "broken", "failed"]},
            "enterprise_number": _TEXT,
            "call": _TEXT,
            "duplicate": {"type": "boolean"},
            "code": {"enum": [400, 404, 413, 500]},
            **_IN_WORDS,
        },
    },
}


def build_app(holder: Holder, guard: Guard) -> web.Application:
    """Put the routes together. They answer 503 in words until ``holder`` has its parts."""
    app = web.Application(client_max_size=BODY_LIMIT, middlewares=[errors_in_words, guarded(guard)])
    app[SERVICES] = holder
    app[GUARD] = guard
    app.on_response_prepare.append(_send_away)
    app.on_response_prepare.append(pages.fenced(guard.secure))
    app.add_routes([*internal.routes(), *admin.routes(), *status.routes(), *access.routes(), *pages.routes()])
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/metrics", metrics),
            web.get("/openapi.json", openapi),
        ]
    )
    return app


async def _send_away(request: web.Request, response: web.StreamResponse) -> None:
    """While the service stops, callers are asked to go elsewhere with their next request.

    They close the connection themselves, so that nothing on its way to us meets a closed socket; until then they are answered.
    """
    if request.app[SERVICES].stopping:
        response.headers["Connection"] = "close"


async def healthz(request: web.Request) -> web.Response:
    """200 once the service can keep what it is told; 503 with the reason before that, and while it stops."""
    services(request)
    if request.app[SERVICES].stopping:
        raise Problem(503, "the service is stopping", hint="ask another instance", retry_after_s=1)
    return answer({"status": "ok", "version": VERSION})


async def metrics(request: web.Request) -> web.Response:
    """Figures for Prometheus."""
    return web.Response(body=services(request).metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def openapi(request: web.Request) -> web.Response:
    """What can be asked of this service, for programs: made from the routes themselves."""
    return answer(describe(request.app))


def describe(app: web.Application) -> dict[str, Any]:
    """The OpenAPI document of an application's routes: each handler's first docstring line says what it does."""
    paths: dict[str, dict[str, Any]] = {}
    for route in app.router.routes():
        resource = route.resource
        if resource is None or route.method in ("HEAD", "*"):
            continue
        path = resource.canonical
        summary = (route.handler.__doc__ or "").strip().splitlines()
        media = NDJSON if path == internal.EVENTS else "application/json"
        operation: dict[str, Any] = {
            "summary": summary[0] if summary else "",
            "responses": {
                "200": {"description": "done"},
                "default": {"description": "an error in words", "content": _content("application/json", "Problem")},
            },
        }
        if media == NDJSON:
            answers = "one acknowledgement a line, in order, each once its event is on disk"
            operation["responses"]["200"] = {"description": answers, "content": _content(NDJSON, "Acknowledgement")}
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        if names:
            operation["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
            ]
        if route.method in ("POST", "PUT"):
            operation["requestBody"] = {"content": {media: {"schema": {"type": "object"}}}}
        paths.setdefault(path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Call service between Asterisk and MoySklad", "version": VERSION},
        "paths": paths,
        "components": {"schemas": _SCHEMAS},
    }


def _content(media: str, schema: str) -> dict[str, Any]:
    return {media: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
