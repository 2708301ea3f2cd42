"""The stream of events (PRODUCT A7): one object a line in, one acknowledgement a line out, each only when its event is on disk.

One task reads lines into a bounded backlog; another takes all that are there, records them in one commit, and answers them in
one write. So a slow database makes the backlog full, a full backlog stops the reading, and TCP holds the sender back. What is
not acknowledged is the sender's to send again: a repeat is recognised.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import orjson
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from adapters.errands import Errands
from adapters.http.answers import BODY_LIMIT, Problem, shown, status_of, told
from adapters.http.lines import Backlog, Line, Splitter
from adapters.ingest import Ingest, Prepared, Taken
from core.errors import StoreUnavailable
from core.signals import SignalError, Wire

log = structlog.get_logger("stream")

NDJSON: Final = "application/x-ndjson"
AGAIN: Final = "connect again and send what was not acknowledged"

READ_BYTES: Final = 65_536
MAX_ATTEMPTS: Final = 512
"""Attempts at the database under way over all streams, those given up included: 32 streams, 16 each."""

_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Between attempts while the database is away; the last one goes on."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """What streams may take up, and how long they wait."""

    streams: int = 32
    """A host has one dispatcher, or one for each of a few PBXes; each stream may hold some megabytes."""

    line_bytes: int = BODY_LIMIT
    backlog_lines: int = 1_000
    """Two commits' worth: one is under way while the next gathers."""

    backlog_bytes: int = 4 * 1024 * 1024
    batch_lines: int = 500
    """As many as the event store puts in one commit."""

    attempt_s: float = 5.0
    """Longer than the event store's own patience, which is the better judge; this is for a look-up that hangs."""

    patience_s: float = 30.0
    """A restart or a fail-over of PostgreSQL is over by then; a sender that hears nothing for longer should be told."""

    write_s: float = 10.0
    """A peer that reads at all reads its acknowledgements within seconds."""

    linger_s: float = 2.0
    """A sender that is told to end may go on sending for so long: closed at once, it would meet a reset before the last line."""

    kept_lines: int = 10_000
    """Bad lines of one stream that are kept for inspection: nobody reads more, and housekeeping clears but once an hour."""

    send_buffer_bytes: int = 131_072
    """Unread acknowledgements in the kernel, instead of the megabytes to which it would let them grow."""

    unheard_s: int = 60
    """A peer that vanished without a word, or whose window stays shut, is given up after so long."""


class TooLong(SignalError):
    """A line over the limit."""


class Failed(SignalError):
    """A line that met a bug of ours: it must not keep those behind it from being recorded."""


@dataclass(slots=True, kw_only=True)
class Streams:
    """All streams of this process, with what they counted since it started: for the metrics to read."""

    limits: StreamLimits = field(default_factory=StreamLimits)
    opened: int = 0
    refused: int = 0
    events: int = 0
    """Acknowledged, repeats included."""

    errors: int = 0
    """Lines answered as bad."""

    cut_off: int = 0
    """Peers that did not read their acknowledgements."""

    gave_up: int = 0
    """Streams ended because the database stayed away."""

    closing: bool = False
    _open: set[Stream] = field(default_factory=set)
    _attempts: Errands = field(default_factory=lambda: Errands(MAX_ATTEMPTS))

    @property
    def open(self) -> int:
        """How many there are now."""
        return len(self._open)

    async def serve(self, request: web.Request, ingest: Ingest) -> web.StreamResponse:
        """Answer one request until its end. Raises Problem before anything was read: too many, stopping, no body."""
        self._admit(request)
        response = web.StreamResponse(headers={"Content-Type": NDJSON, "Cache-Control": "no-store"})
        response.force_close()  # the end of the stream is the end of the connection
        stream = Stream(self, request, response, ingest, self._attempts)
        self._open.add(stream)
        self.opened += 1
        try:
            try:
                watch(request.transport, self.limits)
                await response.prepare(request)  # at once: a sender may wait for the headers
            except OSError:
                return response  # it is gone already
            await stream.run()
        finally:
            self._open.discard(stream)
        await stream.linger()
        return response

    def _admit(self, request: web.Request) -> None:
        if self.closing or len(self._open) >= self.limits.streams:
            self.refused += 1
            error = "the service is stopping" if self.closing else f"there are {len(self._open)} streams already"
            raise Problem(503, error, hint="connect again in a moment, or end another stream", retry_after_s=5)
        if not request.body_exists and request.headers.get("Content-Length") != "0":
            hint = "send Transfer-Encoding: chunked, or a Content-Length"
            raise Problem(411, "the request has no body, and does not say so", hint=hint)

    def close(self) -> None:
        """Let every stream acknowledge what it read, say that the service is stopping, and end; refuse new ones."""
        self.closing = True
        for stream in self._open:
            stream.close()


class Stream:
    """One connection: what it reads, records and answers."""

    def __init__(
        self, streams: Streams, request: web.Request, response: web.StreamResponse, ingest: Ingest, attempts: Errands
    ) -> None:
        self._streams = streams
        self._limits = streams.limits
        self._request = request
        self._response = response
        self._ingest = ingest
        self._attempts = attempts
        self._peer = _peer_of(request.transport)
        self._backlog = Backlog(self._limits.backlog_lines, self._limits.backlog_bytes)
        self._reader: asyncio.Task[None] | None = None
        self._is_waiting_for_bytes = False
        self._closing = asyncio.Event()
        self._give_up_s: float | None = None
        """On the loop's clock; None while the database answers."""

        self._lost = False
        """Nobody hears us any more: what was read is still recorded, nothing is written."""

        self._last_words: dict[str, str] | None = None
        self._answered = 0
        self._kept = 0

    def close(self) -> None:
        """Read nothing more; acknowledge what was read; say so and end."""
        self._closing.set()
        self._last_words = {"status": "closing", "error": "the service is stopping", "hint": AGAIN}
        if self._is_waiting_for_bytes and self._reader is not None:
            self._reader.cancel()

    async def run(self) -> None:
        """Until the sender ends it, or is gone, or the service stops, or the database stays away."""
        log.info("stream_opened", peer=self._peer, open=self._streams.open)
        self._reader = asyncio.create_task(self._read(), name=f"stream from {self._peer}")
        try:
            while lines := await self._backlog.take(self._limits.batch_lines):
                await self._take(lines)
            await asyncio.wait({self._reader})
            if not self._reader.cancelled():
                self._reader.result()
        except StoreUnavailable as error:
            if not self._closing.is_set() and not self._lost:
                self._streams.gave_up += 1
                self._last_words = {"status": "unavailable", "error": str(error), "hint": AGAIN}
        except Exception as error:  # the edge of the process: the answer has begun, nobody above can tell the sender
            log.error("stream_failed", peer=self._peer, error=type(error).__name__, exc_info=error)
            self._last_words = {"status": "failed", "error": "internal error", "hint": "see the service's log"}
        finally:
            self._reader.cancel()
        if self._last_words is not None:
            await self._write(_json(self._last_words))
        why = "lost" if self._lost else self._last_words["status"] if self._last_words else "finished"
        log.info("stream_ended", peer=self._peer, answered=self._answered, why=why)

    async def linger(self) -> None:
        """End the answer, and read on, for nothing, until the sender has ended or gone."""
        if self._lost:
            return
        with contextlib.suppress(web.RequestPayloadError, HttpProcessingError, OSError):
            async with asyncio.timeout(self._limits.linger_s):
                if self._reader is not None:  # it was called off, and two cannot read
                    await asyncio.wait({self._reader})
                await self._response.write_eof()
                while await self._request.content.read(READ_BYTES):
                    pass

    async def _read(self) -> None:
        splitter = Splitter(self._limits.line_bytes)
        try:
            while not self._closing.is_set() and (data := await self._next_bytes()):
                for line in splitter.feed(data):
                    await self._backlog.put(line)
            if not self._closing.is_set():
                for line in splitter.end():
                    await self._backlog.put(line)
        except (web.RequestPayloadError, HttpProcessingError) as error:
            what = f"the request's body cannot be read: {type(error).__name__}"
            self._last_words = {"status": "broken", "error": what, "hint": AGAIN}
        except asyncio.CancelledError:
            self._lost = not self._closing.is_set()
            raise
        except OSError:
            self._lost = True
        finally:
            self._backlog.end()

    async def _next_bytes(self) -> bytes:
        self._is_waiting_for_bytes = True
        try:
            return await self._request.content.read(READ_BYTES)
        finally:
            self._is_waiting_for_bytes = False

    async def _take(self, lines: Sequence[Line]) -> None:
        """Record these lines in order and answer each. Raises StoreUnavailable: the rest of them is not acknowledged."""
        bodies = [_body(line, self._limits.line_bytes) for line in lines]
        done = 0
        while done < len(lines):
            prepared = await self._patiently(partial(self._prepare, bodies[done:]))
            outcomes = await self._record(prepared)
            taken = lines[done : done + len(outcomes)]
            await self._keep_bad(taken, bodies[done:], outcomes)
            await self._write(b"".join(map(_acknowledgement, taken, outcomes)))
            bad = sum(isinstance(outcome, SignalError) for outcome in outcomes)
            self._streams.errors += bad
            self._streams.events += len(outcomes) - bad
            self._answered += len(outcomes)
            done += len(outcomes)
            self._give_up_s = None

    async def _prepare(self, bodies: Sequence[object], again: bool = False) -> list[Prepared | SignalError]:
        """See ``Ingest.prepare_some``; a body that meets a bug is found by halving, and answered as such."""
        try:
            return await self._ingest.prepare_some(Wire.CALL_EVENT, bodies)
        except StoreUnavailable:
            raise
        except Exception as error:  # the edge of the process, as for single posts: what escapes here is a bug
            if len(bodies) > 1:
                return await self._prepare(bodies[: len(bodies) // 2])
            log.error("event_failed", peer=self._peer, error=type(error).__name__, exc_info=error)
            return [Failed("internal error", hint="see the service's log")]

    async def _record(self, prepared: Sequence[Prepared | SignalError]) -> list[Taken | SignalError]:
        good = [each for each in prepared if isinstance(each, Prepared)]
        if not good:
            return [each for each in prepared if isinstance(each, SignalError)]
        taken = iter(await self._patiently(lambda again: self._ingest.record(good, again=again)))
        return [next(taken) if isinstance(each, Prepared) else each for each in prepared]

    async def _keep_bad(
        self, lines: Sequence[Line], bodies: Sequence[object], outcomes: Sequence[Taken | SignalError]
    ) -> None:
        refused = [
            (shown(line.text) if isinstance(body, SignalError) else body, outcome)
            for line, body, outcome in zip(lines, bodies, outcomes, strict=False)
            if isinstance(outcome, SignalError)
        ]
        room = max(0, self._limits.kept_lines - self._kept)
        self._kept += len(refused)
        if refused:
            await self._ingest.reject_all("events", refused[:room], more=len(refused[room:]))

    async def _patiently(self, work: Callable[[bool], Coroutine[Any, Any, T]]) -> T:
        """Do it again while the database is away; ``work`` is told whether it was tried before. Raises StoreUnavailable
        in the end: when patience is over, or nobody would hear the answer, or the service stops."""
        clock = asyncio.get_running_loop().time
        attempt = 0
        while True:
            try:
                return await self._attempts.within(self._limits.attempt_s, work(attempt > 0))
            except TimeoutError:
                error = StoreUnavailable("the database does not answer in time")
            except StoreUnavailable as away:
                error = away
            if self._give_up_s is None:
                self._give_up_s = clock() + self._limits.patience_s
                log.warning("stream_waits_for_database", peer=self._peer, reason=str(error))
            pause_s = _PAUSES_S[min(attempt, len(_PAUSES_S) - 1)]
            if self._closing.is_set() or self._lost or clock() + pause_s > self._give_up_s:
                raise error
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._closing.wait()
            attempt += 1

    async def _write(self, data: bytes) -> None:
        if self._lost:
            return
        try:
            async with asyncio.timeout(self._limits.write_s):
                await self._response.write(data)
                await self._request.writer.drain()  # so that no more than one batch is ever unsent
        except TimeoutError:
            self._cut_off()
        except ConnectionError:
            self._lost = True

    def _cut_off(self) -> None:
        self._lost = True
        self._streams.cut_off += 1
        transport = self._request.transport
        if transport is not None:
            unsent = transport.get_write_buffer_size()
            log.warning("stream_cut_off", peer=self._peer, reason="it does not read its acknowledgements", unsent_bytes=unsent)
            transport.abort()


def watch(transport: asyncio.Transport | None, limits: StreamLimits) -> None:
    """Let the kernel notice a peer that vanished, and hold few bytes for one that does not read."""
    connection = None if transport is None else transport.get_extra_info("socket")
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.send_buffer_bytes)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, limits.unheard_s // 2))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, limits.unheard_s // 6))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limits.unheard_s * 1_000)


def _peer_of(transport: asyncio.Transport | None) -> str:
    peer = None if transport is None else transport.get_extra_info("peername")
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "unknown"


def _body(line: Line, limit: int) -> object:
    """What a line says, or a SignalError."""
    if not line.whole:
        return TooLong(f"the line is longer than {limit} bytes", hint="send one event a line")
    try:
        return orjson.loads(line.text)
    except orjson.JSONDecodeError as error:
        return SignalError("the line is not JSON", hint=f"send one JSON object a line: {error.msg}")


def _acknowledgement(line: Line, outcome: Taken | SignalError) -> bytes:
    if isinstance(outcome, Taken):
        return _json({"n": line.number, **told(outcome)})
    code = 413 if isinstance(outcome, TooLong) else 500 if isinstance(outcome, Failed) else status_of(outcome)
    return _json(
        {
            "n": line.number,
            "status": "error",
            "code": code,
            "error": outcome.error,
            "field": outcome.field,
            "hint": outcome.hint,
        }
    )


def _json(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
