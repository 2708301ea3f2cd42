"""The live stream of the sandbox: everything that happens on the screens, to any number of watchers, each bounded.

Server-Sent Events. The first message is ``snapshot`` (screens and the newest calls), taken in the same step as the
subscription, so a watcher misses nothing. A watcher that is too slow is cut off and gets a snapshot when it returns.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from aiohttp import web

MAX_WATCHERS = 100
MAX_WAITING = 2_000
KEEPALIVE_S = 15.0


class Hub:
    """Hands each message to every watcher's queue."""

    def __init__(self) -> None:
        self._queues: dict[int, asyncio.Queue[bytes | None]] = {}
        self._next = 0

    @property
    def watched(self) -> bool:
        """Whether anybody watches (rendering is not free)."""
        return bool(self._queues)

    def publish(self, kind: str, data: Any) -> None:
        """Send one message to all; whoever has too much waiting is cut off."""
        message = encode(kind, data)
        for key, queue in list(self._queues.items()):
            if queue.qsize() >= MAX_WAITING:
                del self._queues[key]
                queue.put_nowait(None)
            else:
                queue.put_nowait(message)

    def close(self) -> None:
        """Let all watchers go."""
        for queue in self._queues.values():
            queue.put_nowait(None)
        self._queues.clear()

    def subscribe(self) -> tuple[int, asyncio.Queue[bytes | None]]:
        """A new watcher's key and queue; raises 503 when there are too many."""
        if len(self._queues) >= MAX_WATCHERS:
            raise web.HTTPServiceUnavailable(text="too many watchers")
        self._next += 1
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._queues[self._next] = queue
        return self._next, queue

    def unsubscribe(self, key: int) -> None:
        """The watcher has gone."""
        self._queues.pop(key, None)

    async def serve(self, request: web.Request, snapshot: Any) -> web.StreamResponse:
        """Stream to one watcher until it leaves, is too slow, or the sandbox stops."""
        key, queue = self.subscribe()
        queue.put_nowait(encode("snapshot", snapshot))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"})
        try:
            await response.prepare(request)
            while True:
                try:
                    message = await asyncio.wait_for(queue.get(), KEEPALIVE_S)
                except TimeoutError:
                    message = b": still here\n\n"
                if message is None:
                    return response
                await response.write(message)
        except ConnectionError:
            return response  # the watcher has closed its page; nobody is left to tell
        finally:
            self.unsubscribe(key)


def encode(kind: str, data: Any) -> bytes:
    """One Server-Sent Event (JSON has no raw line breaks, so one data line is enough)."""
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"
