"""How the HTTP edge answers: JSON by orjson, and errors as ``{"error", "field", "hint"}`` that a person can act on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from adapters.ingest import Taken, UnknownEnterprise
from adapters.outages import is_outage
from core.errors import StoreUnavailable
from core.signals import SignalError

log = structlog.get_logger("http")

BODY_LIMIT: Final = 1_048_576
"""A PBX body is about 300 bytes; a megabyte is an error or an attack."""

BODY_S: Final = 20.0
"""Whoever sends a body more slowly than this holds a connection and nothing else."""

SHOWN_BYTES: Final = 4_096

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(Exception):
    """An answer that is an error: ``status``, what happened, which field, what to do."""

    def __init__(
        self,
        status: int,
        error: str,
        *,
        field: str = "",
        hint: str = "",
        retry_after_s: int | None = None,
        body_text: str = "",
    ) -> None:
        super().__init__(error)
        self.body_text = body_text
        """The beginning of a request's body that could not be read, for whoever keeps it: never part of the answer."""
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        self.status = status
        self.error = error
        self.field = field
        self.hint = hint

    @property
    def body(self) -> dict[str, str]:
        """The JSON answer."""
        return {"error": self.error, "field": self.field, "hint": self.hint}


def not_understood(error: ValueError) -> Problem:
    """What a person typed to find something: whoever looked says which field, and what would be right."""
    if len(error.args) != 2:
        raise error  # not ours
    name, hint = map(str, error.args)
    return Problem(400, f"{name} is not understood", field=name, hint=hint)


def answer(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json", headers=headers)


def told(taken: Taken) -> dict[str, Any]:
    """The answer to a signal that is on disk; a repeat is marked as such."""
    body: dict[str, Any] = {"status": taken.status, "enterprise_number": taken.enterprise}
    if taken.call:
        body["call"] = taken.call
    if taken.duplicate:
        body["duplicate"] = True
    return body


def status_of(error: SignalError) -> int:
    """The HTTP status of a refusal."""
    return 404 if isinstance(error, UnknownEnterprise) else 400


async def read_json(request: web.Request) -> Any:
    """The body as JSON. Raises Problem 400 (not JSON) or 413 (over the limit)."""
    try:
        async with asyncio.timeout(BODY_S):
            raw = await request.read()
    except TimeoutError:
        raise Problem(408, f"the body did not come within {BODY_S:.0f} s", hint="send it at once") from None
    except web.HTTPRequestEntityTooLarge:
        raise Problem(
            413, f"the body is larger than {BODY_LIMIT} bytes", hint="send one event per request"
        ) from None
    except (web.RequestPayloadError, HttpProcessingError) as error:
        hint = "send it whole, and packed as Content-Encoding says"
        raise Problem(400, f"the body cannot be read: {type(error).__name__}", hint=hint) from None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem(400, "the body is not JSON", hint=f"send application/json: {error.msg}", body_text=shown(raw)) from None


async def read_within(request: web.Request, *, most_bytes: int, seconds: float) -> bytes:
    """The body of what MoySklad sends, at an address that is open to the world: cut off where a delivery never comes near.

    Raises Problem 408, 413 or 400.
    """
    read = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.content.iter_any():
                read += piece
                if len(read) > most_bytes:
                    raise Problem(413, f"the body is larger than {most_bytes} bytes", hint="MoySklad's are not")
    except TimeoutError:
        raise Problem(408, "the body did not come in time", hint="send it at once") from None
    except (web.RequestPayloadError, HttpProcessingError, web.HTTPRequestEntityTooLarge):
        raise Problem(400, "the body cannot be read", hint="send it whole") from None
    return bytes(read)


def shown(raw: bytes) -> str:
    """The beginning of bytes that could not be understood. Whatever charset they claim: a person looks at them."""
    return raw[:SHOWN_BYTES].decode("utf-8", "replace")


def is_somebody_reading(request: web.Request) -> bool:
    """Whether a browser asks for something to be looked at: JSON would tell its reader nothing."""
    return request.method == "GET" and "text/html" in request.headers.get("Accept", "") and "/api/" not in request.path


_NO_SUCH_PAGE: Final = """<!doctype html>
<html lang="ru">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Такой страницы нет</title><link rel="stylesheet" href="/ms-admin/static/base.css"></head>
<body><main class="gate"><div class="panel"><div class="panel-body">
<h1>Такой страницы нет</h1><p>Проверьте адрес: возможно, он скопирован не целиком.</p>
<a class="btn primary" href="/ms-admin/">На главную</a>
</div></div></main></body>
</html>
"""
def asked(request: web.Request) -> str:
    """What was asked for, as the router writes it: an address may itself be a secret (a webhook's), and no log needs it."""
    resource = request.match_info.route.resource
    return "an unknown address" if resource is None else resource.canonical


@web.middleware
async def errors_in_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error leaves as JSON in words; a bug is a 500 that names nothing, with its place in the log."""
    try:
        return await handler(request)
    except Problem as problem:
        return answer(problem.body, problem.status, problem.headers)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        if error.status == 404 and is_somebody_reading(request):
            return web.Response(text=_NO_SUCH_PAGE, status=404, content_type="text/html")
        hint = "see /openapi.json for what exists" if error.status in (404, 405) else ""
        return answer({"error": error.reason.lower(), "field": "", "hint": hint}, error.status)
    except Exception as error:  # the edge of the process: what escapes here is a bug, and the caller must still get an answer
        if isinstance(error, StoreUnavailable) or is_outage(error):
            return _unavailable(request, error)
        log.error("request_failed", path=asked(request), error=type(error).__name__, exc_info=error)
        return answer({"error": "internal error", "field": "", "hint": "see the service's log"}, 500)


def _unavailable(request: web.Request, error: Exception) -> web.Response:
    """The 503 for whoever cannot be told "on disk"; where and why is for the log."""
    reason = str(error) if isinstance(error, StoreUnavailable) else type(error).__name__
    log.warning("database_unavailable", path=asked(request), reason=reason)
    body = {"error": "the event store is unavailable", "field": "", "hint": "send it again: a repeat is recognised"}
    return answer(body, 503, headers={"Retry-After": "1"})
