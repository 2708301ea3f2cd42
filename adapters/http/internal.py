"""The dispatcher's endpoints (PRODUCT A1 to A6). A 2xx means: on disk."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from adapters.http.answers import Problem, answer, read_json
from adapters.http.services import services
from adapters.ingest import Taken, UnknownEnterprise
from core.signals import SignalError, Wire


def routes() -> list[web.RouteDef]:
    """One route for each wire form."""
    return [web.post(f"/internal/ms/{wire.value}", _taker(wire)) for wire in Wire]


def _taker(wire: Wire) -> Any:
    async def take(request: web.Request) -> web.Response:
        ingest = services(request).ingest
        try:
            body = await read_json(request)
        except Problem as problem:
            await ingest.reject(wire.value, problem.body_text, SignalError(problem.error, problem.field, problem.hint))
            raise
        try:
            taken = await ingest.take(wire, body)
        except UnknownEnterprise as error:
            raise Problem(404, error.error, field=error.field, hint=error.hint) from error
        except SignalError as error:
            raise Problem(400, error.error, field=error.field, hint=error.hint) from error
        return answer(told(taken))

    take.__doc__ = f"Take one {wire.value} body in."
    return take


def told(taken: Taken) -> dict[str, Any]:
    """The answer to a signal that is on disk; a repeat is marked as such."""
    body: dict[str, Any] = {"status": taken.status, "enterprise_number": taken.enterprise}
    if taken.call:
        body["call"] = taken.call
    if taken.duplicate:
        body["duplicate"] = True
    return body
