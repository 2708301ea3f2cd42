"""A long answer of events (``text/event-stream``), as pages and the dispatcher listen to them: how it begins, goes on, and ends."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from aiohttp import web

HEARTBEAT_S: Final = 10.0
"""A proxy closes what is silent; and whoever has heard nothing for longer knows that the connection is dead."""

WRITE_S: Final = 10.0
"""A reader that takes nothing for so long is gone."""


def of_events() -> web.StreamResponse:
    """The answer, not yet begun."""
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return web.StreamResponse(headers=headers)


async def begin(response: web.StreamResponse, request: web.Request, retry_ms: int) -> None:
    """Send the head; after a lost connection the reader comes back after ``retry_ms``."""
    await response.prepare(request)
    await response.write(f"retry: {retry_ms}\n\n".encode())


async def write(response: web.StreamResponse, message: bytes) -> None:
    """Send one event. Raises TimeoutError for a reader that takes nothing."""
    async with asyncio.timeout(WRITE_S):
        await response.write(message)


def while_read() -> contextlib.AbstractContextManager[None]:
    """The block ends early, and in peace, when the reader is gone or takes nothing: he comes back if he wants to."""
    return contextlib.suppress(ConnectionError, TimeoutError)
