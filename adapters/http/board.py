"""The live board over HTTP (PRODUCT F4): once, or as a stream of Server-Sent Events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from adapters.board import Listener, TooManyListeners
from adapters.board import message as encode
from adapters.http.answers import Problem, answer
from adapters.http.bodies import EnterpriseQuery, StatusQuery
from adapters.http.call_shapes import BoardShown
from adapters.http.described import described
from adapters.http.event_stream import HEARTBEAT_S, begin, of_events, while_read, write
from adapters.http.guard import still_welcome
from adapters.http.services import SERVICES, services
from adapters.http.who import for_links, scoped

WELCOME_S: Final = 10.0
"""Between two looks whether the listener may still listen."""

RETRY_MS: Final = 1_000
"""After a lost connection the browser comes back after this."""


def routes() -> list[web.RouteDef]:
    """The board, its stream, and how the service is."""
    return [
        web.get("/ms-admin/api/board", get_board),
        web.get("/ms-admin/api/board/stream", stream_board),
        web.get("/ms-admin/api/status", get_status),
    ]


@described("board", BoardShown, query=EnterpriseQuery)
@for_links
async def get_board(request: web.Request) -> web.Response:
    """The calls that go on, and how the accounts are: of one ``enterprise`` or of all."""
    return answer(await services(request).board.snapshot(_asked(request)))


@described("board", media="text/event-stream", query=EnterpriseQuery)
@for_links
async def stream_board(request: web.Request) -> web.StreamResponse:
    """The same as it changes (``text/event-stream``): ``snapshot`` first, then ``calls``, ``health``, ``away``, ``beat``.

    Whoever comes back after a lost connection gets a snapshot again, so nothing need be remembered.
    """
    enterprise = _asked(request)
    try:
        async with services(request).board.listening(enterprise) as listener:
            return await _stream(request, listener)
    except TooManyListeners:
        hint = "Слишком много открытых страниц: закройте лишние."
        raise Problem(503, "too many watch the board", hint=hint, retry_after_s=5) from None


async def _stream(request: web.Request, listener: Listener) -> web.StreamResponse:
    response, holder = of_events(), request.app[SERVICES]
    with while_read():
        await begin(response, request, RETRY_MS)
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        while not holder.stopping:
            if loop.time() - asked_at >= WELCOME_S:
                if not await still_welcome(request):
                    break  # the log-in ended meanwhile, or the link was revoked
                asked_at = loop.time()
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    message = await listener.next()
            except TimeoutError:
                message = encode("beat", {"now_ms": services(request).now_ms()})
            if message is None:
                break
            await write(response, message)
    return response


@described("board", dict[str, Any], query=StatusQuery)
async def get_status(request: web.Request) -> web.Response:
    """Instances, backlog, accounts in trouble, parked calls, followers of the log; 200 also while the database is away."""
    parts = services(request)
    told = await parts.status()
    if request.query.get("lang") == "ru":
        told = {**told, **{part: [_told_in(parts.in_russian, each) for each in told[part]] for part in ("accounts", "pbxes")}}
        told["database"] = _told_in(parts.in_russian, told["database"])
    return answer(told)


def _told_in(words: Callable[[str], str], each: dict[str, Any]) -> dict[str, Any]:
    """What keeps an account, a PBX or the database away, and what helps, in those words."""
    return {**each, **{key: words(each[key]) for key in ("reason", "remedy") if each.get(key)}}


def _asked(request: web.Request) -> str | None:
    asked = request.query.get("enterprise", "")
    if not asked.isprintable():
        raise Problem(400, "enterprise is not understood", field="enterprise", hint="plain text")
    return scoped(request, asked)
