"""The HTTP application: every route, behind the guard, with errors in words."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web

from adapters.http import access, admin, board, calls, clicks, directory, hooks, integrations, internal, pages, status, what_if
from adapters.http.answers import BODY_LIMIT, Problem, answer, errors_in_words
from adapters.http.described import SHAPES, describe, described
from adapters.http.guard import GUARD, Guard, guarded
from adapters.http.services import SERVICES, Holder, services
from adapters.http.shapes import Health

VERSION: Final = "0.1.0"


def build_app(holder: Holder, guard: Guard, shapes: Callable[[], Mapping[str, type]] = dict) -> web.Application:
    """Put the routes together. They answer 503 in words until ``holder`` has its parts.

    ``shapes``: the types of answers that handlers only name (``adapters/http/described.py``).
    """
    app = web.Application(client_max_size=BODY_LIMIT, middlewares=[errors_in_words, guarded(guard)])
    app[SERVICES] = holder
    app[calls.LOOKED] = {}
    app[clicks.UNKNOWN] = OrderedDict()
    app[GUARD] = guard
    app[SHAPES] = shapes
    app.on_response_prepare.append(_send_away)
    app.on_response_prepare.append(pages.fenced(guard.secure))
    app.add_routes([*internal.routes(), *admin.routes(), *calls.routes(), *clicks.routes(), *board.routes(), *status.routes()])
    app.add_routes([*directory.routes(), *integrations.routes(), *hooks.routes(), *what_if.routes()])
    app.add_routes([*access.routes(), *pages.routes()])
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


@described("service", Health)
async def healthz(request: web.Request) -> web.Response:
    """200 once the service can keep what it is told; 503 with the reason before that, and while it stops."""
    services(request)
    if request.app[SERVICES].stopping:
        raise Problem(503, "the service is stopping", hint="ask another instance", retry_after_s=1)
    return answer({"status": "ok", "version": VERSION})


@described("service", media="text/plain")
async def metrics(request: web.Request) -> web.Response:
    """Figures for Prometheus."""
    return web.Response(body=services(request).metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


@described("service", dict[str, Any])
async def openapi(request: web.Request) -> web.Response:
    """What can be asked of this service, for programs: made from the routes themselves."""
    return answer(describe(request.app, VERSION))
