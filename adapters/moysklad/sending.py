"""One request on its way out: how far it got, who may still stop it, and the socket that it leaves by."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Final

import aiohttp

from adapters.moysklad.errors import Trouble

UNACKNOWLEDGED_MS: Final = 5_000
"""How long the kernel may go on delivering what MoySklad's side does not acknowledge."""


@dataclass(slots=True)
class Sending:
    """How far one HTTP request got. ``sent``: its headers went out, so MoySklad may have acted on it.

    ``permit``: asked right before that; ``barred``: it said no, so nothing went out.
    """

    write: bool
    permit: Callable[[], bool]
    sent: bool = False
    barred: bool = False

    def check(self) -> None:
        """Raises if this instance may not act any more. The very last thing before bytes leave."""
        if not self.permit():
            self.barred, self.sent = True, False
            raise aiohttp.ClientConnectionError(Trouble.NOT_OURS)

    async def once(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Client middleware, run per attempt: a write that went out once is never sent again behind our back."""
        if self.write and self.sent:
            raise aiohttp.ServerDisconnectedError("the connection was lost after the request was sent")
        return await handler(request)


async def before_headers(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    """Despite its name the signal comes before they are written; without a body they are written at once."""
    sending: Sending = context.trace_request_ctx
    sending.check()
    sending.sent = True


async def before_body(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestChunkSentParams
) -> None:
    """aiohttp keeps the headers back and writes them together with the body, in a task of its own, right after this."""
    context.trace_request_ctx.check()


def new_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket for one of our connections (``TCPConnector(socket_factory=...)``; aiohttp connects it, and sets TCP_NODELAY).

    What was written and is not acknowledged within TCP_USER_TIMEOUT is dropped with the connection. Otherwise the kernel of
    an instance that is cut off from the network would go on trying for a quarter of an hour, and deliver a request long
    after another instance has taken its calls over. Keep-alive finds connections whose other end is gone.
    """
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    return made


def trouble_of(error: BaseException, sending: Sending) -> tuple[Trouble, bool]:
    """What a failed connection was, and whether the request had gone out by then."""
    match error:
        case _ if sending.barred:
            return Trouble.NOT_OURS, False
        case aiohttp.ClientConnectorDNSError():
            return Trouble.NO_NAME, False
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return Trouble.NO_TLS, False
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return Trouble.NO_CONNECTION, False
        case aiohttp.InvalidURL():
            return Trouble.BAD_ADDRESS, False
        case aiohttp.ClientPayloadError():
            return Trouble.BROKEN, True
        case TimeoutError() if sending.sent:
            return Trouble.LATE, True
        case TimeoutError():
            return Trouble.NO_CONNECTION, False
        case _ if sending.sent:
            return Trouble.CUT_AFTER, True
        case _:
            return Trouble.CUT_BEFORE, False
