"""The dispatcher's endpoints (PRODUCT A1 to A6). A 2xx means: on disk."""

from __future__ import annotations

import re
from typing import Any, Final

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
            # Whatever charset it claims: these bytes are shown to a person, not read.
            text = (await request.read())[:4_096].decode("utf-8", "replace") if problem.status == 400 else ""
            await ingest.reject(wire.value, mask_text(text), SignalError(problem.error, problem.field, problem.hint))
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


_NAMED: Final = re.compile(
    r"""((?:token|secret|passw|authorization|key|integration_code|credential|client_?id)\w{0,20}["']?\s{0,9}[:=]\s{0,9})"""
    r"""("[^"]*"?|'[^']*'?|(?:Bearer |Basic )?[^"'\s&,;}]+)""",
    re.IGNORECASE,
)
_LONG: Final = re.compile(r"[\w+/.~-]{16,}")


def mask_text(text: str) -> str:
    """Text that is no JSON object cannot be searched by key alone: what follows a secret's name is hidden, and so is every
    long run of letters and digits together."""
    return _LONG.sub(lambda found: "***" if _is_mixed(found[0]) else found[0], _NAMED.sub(r"\1***", text))


def _is_mixed(word: str) -> bool:
    return any(each.isdigit() for each in word) and any(each.isalpha() for each in word)
