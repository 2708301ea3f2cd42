"""The dispatcher's endpoints (PRODUCT A1 to A7). A 2xx means: on disk, in the log or, while the database is away, in the spool."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from datetime import UTC
from typing import Any, Final

from aiohttp import web

from adapters import ingest
from adapters.http.answers import Problem, answer, read_json, status_of, told
from adapters.http.bodies import LoggedCall, Signal
from adapters.http.described import described
from adapters.http.quick import WIRE, until_s
from adapters.http.services import SERVICES, services
from adapters.http.shapes import Acknowledgement, Taken
from adapters.http.stream import NDJSON
from adapters.spool import Kept, Spool
from core.signals import SignalError, Wire

_SAYS: Final = {
    Wire.INCOMING_CALL: "Take a dial in, incoming or outgoing.",
    Wire.HANGUP_CALL: "Take a hangup in.",
    Wire.RECOVERY_CALL: "Take in a hangup that was downloaded later: the call is recorded complete, without cards.",
    Wire.CALL_EVENT: "Take in any event of the PBX, named by `event`.",
    Wire.NOTIFY_INCOMING: "Ask for a card on given extensions.",
    Wire.LOG_CALL: "Record a finished call in one request.",
}
EVENTS: Final = "/internal/ms/events"


def routes() -> list[web.RouteDef]:
    """One route for each wire form, and the stream."""
    return [*(web.post(f"/internal/ms/{wire.value}", _taker(wire)) for wire in Wire), web.post(EVENTS, take_stream)]


def _taker(wire: Wire) -> Any:
    async def take(request: web.Request) -> web.Response:
        holder = request.app[SERVICES]
        if holder.parts is None and holder.spool is not None:
            return await _answered(_put_by(holder.spool, wire, await read_json(request)))
        taker = services(request).ingest
        try:
            body = await read_json(request)
        except Problem as problem:
            await taker.reject(wire.value, problem.body_text, SignalError(problem.error, problem.field, problem.hint))
            raise
        return await _answered(taker.take(wire, body, until_s=until_s(request)))

    take.__doc__ = _SAYS[wire]
    setattr(take, WIRE, wire)
    return described("dispatcher", Taken, body=LoggedCall if wire is Wire.LOG_CALL else Signal)(take)


async def _answered(taking: Awaitable[ingest.Taken]) -> web.Response:
    try:
        return answer(told(await taking))
    except SignalError as error:
        raise Problem(status_of(error), error.error, field=error.field, hint=error.hint) from error


def _put_by(spool: Spool, wire: Wire, body: Any) -> Awaitable[ingest.Taken]:
    """While the service waits for its database: what comes is taken in once that is there."""
    kept = Kept(wire=wire, body=body, heard_ms=time.time_ns() // 1_000_000)
    return ingest.put_by(spool, kept, UTC, within_s=ingest.Patience().take_s)


@described("dispatcher", Acknowledgement, media=NDJSON, body=Signal, body_media=NDJSON)
async def take_stream(request: web.Request) -> web.StreamResponse:
    """Take events in, one call-event object a line, for as long as the sender likes; one acknowledgement a line."""
    return await request.app[SERVICES].streams.serve(request, services(request).ingest)
