"""The HTTP application: every route, behind the guard, with errors in words."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from adapters.http import access, admin, internal, pages
from adapters.http.answers import BODY_LIMIT, answer, errors_in_words
from adapters.http.guard import GUARD, Guard, guarded
from adapters.http.services import SERVICES, Holder, services

VERSION: Final = "0.1.0"


def build_app(holder: Holder, guard: Guard) -> web.Application:
    """Put the routes together. They answer 503 in words until ``holder`` has its parts."""
    app = web.Application(client_max_size=BODY_LIMIT, middlewares=[errors_in_words, guarded(guard)])
    app[SERVICES] = holder
    app[GUARD] = guard
    app.on_response_prepare.append(pages.fenced(guard.secure))
    app.add_routes([*internal.routes(), *admin.routes(), *access.routes(), *pages.routes()])
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/metrics", metrics),
            web.get("/openapi.json", openapi),
        ]
    )
    return app


async def healthz(request: web.Request) -> web.Response:
    """200 once the service can keep what it is told; 503 with the reason before that."""
    services(request)
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
        operation: dict[str, Any] = {
            "summary": summary[0] if summary else "",
            "responses": {
                "200": {"description": "done"},
                "default": {
                    "description": "an error in words",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
                },
            },
        }
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        if names:
            operation["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
            ]
        if route.method in ("POST", "PUT"):
            operation["requestBody"] = {"content": {"application/json": {"schema": {"type": "object"}}}}
        paths.setdefault(path, {})[route.method.lower()] = operation
    text = {"type": "string"}
    problem = {"type": "object", "required": ["error", "field", "hint"], "properties": {"error": text, "field": text, "hint": text}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Call service between Asterisk and MoySklad", "version": VERSION},
        "paths": paths,
        "components": {"schemas": {"Problem": problem}},
    }
