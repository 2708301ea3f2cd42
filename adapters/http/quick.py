"""The quick lane: a post whose head is, byte for byte, one that was let in before, goes from the socket to the event store.

A dispatcher sends the same head with each of its millions of posts. aiohttp would parse it anew each time, and ask router,
guard and error middleware anew, in two tasks: three quarters of what a post cost. Here nothing of HTTP is parsed. The first
post with some head goes the ordinary way. Once it was answered 200, its head is remembered, with the length of the body that
aiohttp found and the head of the answer. Both depend only on these bytes and on the address they came from, because the guard's
networks and tokens never change while the process lives.

Everything else takes the ordinary way: another head, a body in pieces, a body that is not understood, settings that have to be
looked up, a service that starts or stops. So there is one set of rules, and the quick lane only repeats what they decided
before. Decision 0025.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson
from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server as WebServer

from adapters.http.answers import told
from adapters.http.services import Holder
from adapters.ingest import Ingest, Prepared, Recording, SaidBefore
from core.errors import AppendRefused, StoreUnavailable, VersionConflict
from core.signals import Wire

WIRE: Final = "quick_wire"
"""The attribute that marks a handler whose posts may take the quick lane; its value says which wire form they have."""

MAX_HEADS: Final = 4_096
"""Heads that are remembered: a few senders, each with a head for every length that its bodies have."""

MAX_HEAD_BYTES: Final = 4_096
MAX_BODY_BYTES: Final = 65_536
"""A signal has some hundred bytes; what is larger comes in pieces anyway."""

HELD_BYTES: Final = 65_536
"""A sender that has sent so much without waiting for answers is read no further until it gets them."""

LATE: Final = "the database does not answer in time"
HEAD_END: Final = b"\r\n\r\n"
_NOT_PLAIN: Final = ("Transfer-Encoding", "Content-Encoding", "Expect", "Upgrade", "Connection")
_OK: Final = b"HTTP/1.1 200 OK"


@dataclass(frozen=True, slots=True)
class Known:
    """A head that was let in: the form of its posts, the length of their bodies, and the head of their answer."""

    wire: Wire
    length: int
    answer: bytes


class Lane:
    """What all connections of a server have learnt. ``posts``: how many were answered without aiohttp."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        self.posts = 0
        self._heads: OrderedDict[tuple[str, bytes], Known] = OrderedDict()
        self._date: tuple[int, bytes] = (0, b"")

    def find(self, peer: str, head: bytes) -> Known | None:
        """What is known of this head from this address."""
        return self._heads.get((peer, head))

    def ingest(self) -> Ingest | None:
        """Who takes signals in; None while the service starts or stops."""
        parts = self.holder.parts
        return None if parts is None or self.holder.stopping else parts.ingest

    def learn(self, peer: str, head: bytes, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Remember a head that was answered 200, if there is nothing about it that this lane would have to understand."""
        wire = getattr(request.match_info.handler, WIRE, None) if isinstance(request, web.Request) else None
        if (
            not isinstance(wire, Wire)
            or response.status != 200
            or not isinstance(response, web.Response)
            or len(head) > MAX_HEAD_BYTES
            or request.version != (1, 1)
            or not request.keep_alive
            or any(name in request.headers for name in _NOT_PLAIN)
            or "Connection" in response.headers
            or not 0 < (length := request.content_length or 0) <= MAX_BODY_BYTES
        ):
            return
        lines = [f"{name}: {value}" for name, value in response.headers.items() if name not in ("Content-Length", "Date")]
        answer = _OK + "\r\n".join(["", *lines, ""]).encode()
        self._heads[peer, head] = Known(wire, length, answer)
        while len(self._heads) > MAX_HEADS:
            self._heads.popitem(last=False)

    def date(self) -> bytes:
        """The Date header, made once a second."""
        now_s = int(time.time())
        if self._date[0] != now_s:
            self._date = (now_s, f"Date: {rfc822_formatted_time()}\r\n".encode())
        return self._date[1]


class QuickConnection(RequestHandler):
    """A connection of aiohttp's that answers what it knows by itself, one request at a time, in order."""

    __slots__ = ("_fed", "_held", "_holds_back", "_lane", "_peer", "_pending", "_timer", "_until_s")

    def __init__(self, lane: Lane, manager: WebServer, **settings: Any) -> None:
        super().__init__(manager, **settings)
        self._lane = lane
        self._peer = ""
        self._pending: asyncio.Future[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._until_s: float | None = None
        """By when the sender of what goes the ordinary way after all has to be answered."""
        self._held = b""
        self._holds_back = False
        self._fed: bytearray | None = bytearray()
        """What aiohttp was given and has not answered: empty at the border of two requests. None: where they end is not known."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        super().connection_made(transport)
        name = transport.get_extra_info("peername")
        self._peer = str(name[0]) if isinstance(name, tuple) else ""

    def connection_lost(self, exc: BaseException | None) -> None:
        """See asyncio. What is on its way to the event store is recorded all the same."""
        self._held = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._pending is not None:
            self._hold(data)
        elif self._fed is None or self._fed or self._close or self._force_close or not self._take(data):
            self._feed(data)

    def _hold(self, data: bytes) -> None:
        """Answers go out in the order of their requests: what comes meanwhile waits, and its sender with it."""
        self._held += data
        if len(self._held) > HELD_BYTES and not self._holds_back and self.transport is not None:
            self._holds_back = True
            self.transport.pause_reading()

    def _feed(self, data: bytes) -> None:
        """The ordinary way."""
        if self._fed is not None and len(self._fed) + len(data) <= HELD_BYTES:
            self._fed += data
        else:
            self._fed = None
        super().data_received(data)

    def _take(self, data: bytes) -> bool:
        """Give it to the event store, if all is plain; False: the ordinary way."""
        end = data.find(HEAD_END)
        known = self._lane.find(self._peer, data[:end]) if end > 0 and self._peer else None
        if known is None or len(data) < (whole := end + 4 + known.length) or (ingest := self._lane.ingest()) is None:
            return False
        try:
            prepared = ingest.ready(known.wire, orjson.loads(data[end + 4 : whole]))
            future = ingest.give(prepared) if prepared is not None else None
        except (orjson.JSONDecodeError, StoreUnavailable, AppendRefused):
            return False
        if prepared is None or future is None:
            return False
        self._pending, self._held = future, data[whole:]
        self._request_in_progress = True  # an orderly end waits for it as for any other
        self._request_count += 1
        self._timer = self._loop.call_later(ingest.wait_s, self._again, data[:whole], StoreUnavailable(LATE))
        future.add_done_callback(partial(self._recorded, ingest, prepared, known, data[:whole]))
        return True

    def _recorded(
        self, ingest: Ingest, prepared: Prepared, known: Known, data: bytes, future: Recording
    ) -> None:
        try:
            taken = ingest.given(prepared, future)
        except (StoreUnavailable, AppendRefused, VersionConflict, SaidBefore) as error:  # the ordinary way knows what to do
            if self._pending is future:
                self._again(data, error)
            return
        if self._pending is future:
            self._lane.posts += 1
            self._answer(known.answer, orjson.dumps(told(taken)))

    def _again(self, data: bytes, error: Exception) -> None:
        held, self._held = self._held, b""
        self._until_s = None if self._timer is None else self._timer.when()
        self._free()
        self.log_debug("Not for the quick lane", exc_info=error)
        self._feed(data)
        if held:
            self._feed(held)

    def _answer(self, head: bytes, body: bytes) -> None:
        if self.transport is not None:
            leave = b"Connection: close\r\n" if self._lane.holder.stopping else b""
            self.transport.write(b"%b%b%bContent-Length: %d\r\n\r\n%b" % (head, self._lane.date(), leave, len(body), body))
        held, self._held = self._held, b""
        self._free()
        if held and self.transport is not None:
            self.data_received(held)

    def take_until_s(self) -> float | None:
        """When that is (the loop's clock), for the request it is about; None for all others, which have just come."""
        until_s, self._until_s = self._until_s, None
        return until_s

    def _free(self) -> None:
        """As aiohttp does after a request of its own."""
        self._pending = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._request_in_progress = False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._holds_back:
            self._holds_back = False
            if self.transport is not None:
                self.transport.resume_reading()

    async def _handle_request(self, request: Any, start_time: Any, request_handler: Any) -> tuple[web.StreamResponse, bool]:
        """aiohttp's, and then: how many of the bytes were this request's, and whether its head is one to know."""
        response, reset = await super()._handle_request(request, start_time, request_handler)
        fed = self._fed
        if fed is not None:
            end = fed.find(HEAD_END)
            whole = end + 4 + (request.content_length or 0)
            if end < 0 or len(fed) < whole or "Transfer-Encoding" in request.headers or "Upgrade" in request.headers:
                self._fed = None
            else:
                self._lane.learn(self._peer, bytes(fed[:end]), request, response)
                del fed[:whole]
        return response, reset


def until_s(request: web.Request) -> float | None:
    """By when its sender has to be answered, where this lane has tried before; None: it has just come."""
    return request.protocol.take_until_s() if isinstance(request.protocol, QuickConnection) else None
