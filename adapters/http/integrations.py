"""Which enterprises have MoySklad switched on, for the dispatcher's cache (PRODUCT E4): once, as a long poll, or as a stream."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web

from adapters.directory.integrations import Difference, Integrations, Snapshot, TooManyListeners
from adapters.http.answers import Problem
from adapters.http.described import described
from adapters.http.directory_shapes import IntegrationsQuery, IntegrationsShown
from adapters.http.event_stream import HEARTBEAT_S, begin, of_events, while_read, write
from adapters.http.services import services

RETRY_MS: Final = 500
MAX_WAIT_S: Final = 60


def routes() -> list[web.RouteDef]:
    """The cache and its change feed."""
    return [
        web.get("/internal/ms/integrations", get_integrations),
        web.get("/internal/ms/integrations/stream", stream_integrations),
    ]


@described("integrations", IntegrationsShown, query=IntegrationsQuery, also={304: None})
async def get_integrations(request: web.Request) -> web.Response:
    """Every enterprise that has to do with MoySklad; with ``since`` what is different, ``wait_s`` to wait for it."""
    integrations, since, wait_s = services(request).integrations, request.query.get("since", ""), _wait(request)
    if len(since) > 64:
        raise Problem(400, "since is not understood", field="since", hint="an ETag that was answered before")
    snapshot = await integrations.snapshot()
    if since and wait_s and snapshot.etag == since:
        try:
            async with integrations.listening():
                await integrations.news(since, snapshot.away, wait_s)
        except TooManyListeners:
            raise _crowded() from None
        snapshot = await integrations.snapshot()
    headers = {"ETag": f'"{snapshot.etag}"', "Cache-Control": "no-cache"}
    if (since and snapshot.etag == since) or _has(request, snapshot.etag):
        return web.Response(status=304, headers=headers)
    body = _encode(_told(integrations.since(since))) if since else integrations.made_once(snapshot, _whole)
    if snapshot.away:
        body = body[:-1] + b',"stale_because":' + _encode(snapshot.away) + b"}"
    return web.Response(body=body, content_type="application/json", headers=headers)


@described("integrations", media="text/event-stream")
async def stream_integrations(request: web.Request) -> web.StreamResponse:
    """The same as it changes (``text/event-stream``): ``whole`` first, then ``changed``; ``away`` and ``ready``; ``beat``.

    Each has the ETag as its id: whoever comes back with ``Last-Event-ID`` gets what is different since, on any instance.
    """
    integrations = services(request).integrations
    snapshot = await integrations.snapshot()
    try:
        async with integrations.listening():
            return await _stream(request, integrations, snapshot)
    except TooManyListeners:
        raise _crowded() from None


async def _stream(request: web.Request, integrations: Integrations, snapshot: Snapshot) -> web.StreamResponse:
    response = of_events()
    seen, away = request.headers.get("Last-Event-ID", "")[:64].strip('"'), ""
    with while_read():
        await begin(response, request, RETRY_MS)
        if not seen:
            seen = snapshot.etag
            await _write(response, "whole", seen, integrations.made_once(snapshot, _whole))
        while not integrations.closed:
            difference = integrations.since(seen)
            if difference.etag != seen:
                seen = difference.etag
                await _write(response, "whole" if difference.is_whole else "changed", seen, _encode(_told(difference)))
            if snapshot.away != away:
                away = snapshot.away
                await _write(response, "away" if away else "ready", "", _encode({"reason": away}))
            if not await integrations.news(seen, away, HEARTBEAT_S):
                await _write(response, "beat", "", _encode({"etag": seen}))
            snapshot = await integrations.snapshot()
    return response


async def _write(response: web.StreamResponse, kind: str, id_: str, data: bytes) -> None:
    named = f"id: {id_}\n" if id_ else ""
    await write(response, f"event: {kind}\n{named}data: ".encode() + data + b"\n\n")


_encode: Final = msgspec.json.encode
"""JSON without line breaks, so one data line is enough."""


def _whole(snapshot: Snapshot) -> bytes:
    found = sorted(snapshot.integrations.values(), key=lambda each: each.number)
    return _encode(
        {
            "etag": snapshot.etag,
            "whole": True,
            "integrations": found,
            "gone": [],
            "active": [each.number for each in found if each.active],
            "primary": [each.number for each in found if each.is_primary],
        }
    )


def _told(difference: Difference) -> dict[str, Any]:
    return {
        "etag": difference.etag,
        "whole": difference.is_whole,
        "integrations": difference.changed,
        "gone": difference.gone,
    }


def _wait(request: web.Request) -> int:
    text = request.query.get("wait_s", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 4 and int(text) <= MAX_WAIT_S):
        raise Problem(400, "wait_s is not understood", field="wait_s", hint=f"whole seconds, from 0 to {MAX_WAIT_S}")
    return int(text)


def _has(request: web.Request, etag: str) -> bool:
    shown = request.headers.get("If-None-Match", "")
    return shown.strip() == "*" or any(part.strip().removeprefix("W/").strip('"') == etag for part in shown[:1_000].split(","))


def _crowded() -> Problem:
    return Problem(503, "too many listen to the integrations", hint="close those that nobody needs", retry_after_s=5)
