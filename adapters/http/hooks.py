"""Where the JSON API's webhooks come in (CONTRACT-MOYSKLAD 2.8). Open to the world: the address itself is the secret.

MoySklad waits for 1.5 s and then tries three times at once and never again, so whatever cannot be recorded is answered 503 in time.
"""

from __future__ import annotations

import asyncio
from typing import Final

import orjson
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from adapters.http.answers import Problem
from adapters.http.described import described
from adapters.http.services import services

BODY_BYTES: Final = 262_144
"""Links of a thousand entities."""
BODY_S: Final = 0.8


def routes() -> list[web.RouteDef]:
    """The one address."""
    return [web.post("/ms/hooks/{uuid}", take_hook)]


@described("service", status=204, media=())
async def take_hook(request: web.Request) -> web.Response:
    """Take in what MoySklad tells of changed clients and employees; 404 for an address that is nobody's."""
    hooks = services(request).hooks
    enterprise = await hooks.by_secret(request.match_info["uuid"])
    if enterprise is None:
        raise web.HTTPNotFound
    try:
        body = orjson.loads(await _read(request))
    except orjson.JSONDecodeError:
        raise Problem(400, "the body is not JSON", hint="this address is for MoySklad's webhooks") from None
    await hooks.take(enterprise, request.query.get("requestId", ""), body)
    return web.Response(status=204)


async def _read(request: web.Request) -> bytes:
    """The body, within a time and a size that a delivery of MoySklad's never comes near."""
    read = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.content.iter_any():
                read += chunk
                if len(read) > BODY_BYTES:
                    raise Problem(413, f"the body is larger than {BODY_BYTES} bytes", hint="MoySklad's are not")
    except TimeoutError:
        raise Problem(408, "the body did not come in time", hint="send it at once") from None
    except (web.RequestPayloadError, HttpProcessingError):
        raise Problem(400, "the body cannot be read", hint="send it whole") from None
    return bytes(read)
