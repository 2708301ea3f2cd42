"""Where the JSON API's webhooks come in (CONTRACT-MOYSKLAD 2.8). Open to the world: the address itself is the secret.

MoySklad waits for 1.5 s and then tries three times at once and never again, so whatever cannot be recorded is answered 503 in time.
"""

from __future__ import annotations

from typing import Final

import orjson
from aiohttp import web

from adapters.http.answers import Problem, read_within
from adapters.http.bodies import Hook, HookQuery
from adapters.http.described import described
from adapters.http.services import services

BODY_BYTES: Final = 262_144
"""Links of a thousand entities."""
BODY_S: Final = 0.8


def routes() -> list[web.RouteDef]:
    """The one address."""
    return [web.post("/ms/hooks/{uuid}", take_hook)]


@described("service", status=204, media=(), body=Hook, query=HookQuery)
async def take_hook(request: web.Request) -> web.Response:
    """Take in what MoySklad tells of changed clients and employees; 404 for an address that is nobody's."""
    hooks = services(request).hooks
    enterprise = await hooks.by_secret(request.match_info["uuid"])
    if enterprise is None:
        raise web.HTTPNotFound
    try:
        body = orjson.loads(await read_within(request, most_bytes=BODY_BYTES, seconds=BODY_S))
    except orjson.JSONDecodeError:
        raise Problem(400, "the body is not JSON", hint="this address is for MoySklad's webhooks") from None
    await hooks.take(enterprise, request.query.get("requestId", ""), body)
    return web.Response(status=204)
