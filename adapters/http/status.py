"""How the service is, for programs and for ``./ms.sh status``: all instances, the backlog, the accounts in trouble."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from adapters.http.answers import answer
from adapters.http.described import described
from adapters.http.services import services


def routes() -> list[web.RouteDef]:
    """The one address."""
    return [web.get("/internal/ms/status", get_status)]


@described("service", dict[str, Any])
async def get_status(request: web.Request) -> web.Response:
    """Instances, backlog, accounts in trouble, parked calls, followers of the log; 200 also while the database is away."""
    return answer(await services(request).status())
