"""The way from a node to MoySklad: aiohttp's session as the transport uses it, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType
from typing import Any, Protocol

import aiohttp
import orjson

from adapters.moysklad.errors import Api
from adapters.moysklad.reach import Reach
from adapters.moysklad.registry import LimitsRegistry
from adapters.moysklad.sending import before_body, before_headers
from adapters.moysklad.transport import Transport
from tests.simulation.moysklad import Answer

CREDENTIAL = {Api.PHONE: "Lognex-Phone-Auth-Token", Api.JSON: "Authorization"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as its first byte leaves."""

    api: Api
    method: str
    url: str
    body: Any
    credential: str


class Net(Protocol):
    """What the network does with requests; the world decides."""

    def connects(self, request: Request) -> float | None:
        """Seconds until the connection for a request is refused (for ever: nothing answers); None: it stands."""
        ...

    def sends(self, request: Request, gone: asyncio.Future[Answer]) -> None:
        """The first byte leaves. ``gone`` gets the answer; it is cancelled when the sender gives up."""
        ...


class SimTransport(Transport):
    """The real transport, with another session."""

    def __init__(self, *, api: Api, limits: LimitsRegistry, net: Net, reach: Reach | None = None) -> None:
        super().__init__(api=api, base_url=f"https://moysklad.invalid/{api.value}", limits=limits, reach=reach)
        self._net = net

    def _open(self) -> aiohttp.ClientSession:
        return _Session(self.api, self._net)  # type: ignore[return-value]


class _Session:
    def __init__(self, api: Api, net: Net) -> None:
        self._api = api
        self._net = net

    def request(
        self,
        method: str,
        url: Any,
        *,
        data: bytes | None,
        headers: dict[str, str],
        allow_redirects: bool,
        trace_request_ctx: Any,
        middlewares: Sequence[Any],
        timeout: aiohttp.ClientTimeout,
    ) -> _Exchange:
        body = None if data is None else orjson.loads(data)
        credential = headers.get(CREDENTIAL[self._api], "").removeprefix("Bearer ")
        request = Request(api=self._api, method=method, url=str(url), body=body, credential=credential)
        return _Exchange(self._net, request, trace_request_ctx, middlewares, timeout)


class _Exchange:
    """``async with session.request(...) as response``."""

    def __init__(
        self, net: Net, request: Request, sending: Any, middlewares: Sequence[Any], timeout: aiohttp.ClientTimeout
    ) -> None:
        self._net = net
        self._request = request
        self._sending = sending
        self._middlewares = middlewares
        self._timeout = timeout

    async def __aenter__(self) -> _Response:
        handler = self._handle
        for middleware in self._middlewares:
            handler = _through(middleware, handler)
        async with asyncio.timeout(self._timeout.total):
            return await handler(self._request)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    async def _handle(self, request: Request) -> _Response:
        wait_s = self._net.connects(request)
        if wait_s is not None:
            connect_s = self._timeout.sock_connect or wait_s
            await asyncio.sleep(min(wait_s, connect_s))
            raise aiohttp.ConnectionTimeoutError if wait_s > connect_s else aiohttp.ClientConnectorError(_KEY, OSError("refused"))
        gone: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        # What aiohttp tells of a request right before its bytes leave: the last moment at which it may be stopped.
        context: Any = SimpleNamespace(trace_request_ctx=self._sending)
        nothing: Any = None
        await before_headers(nothing, context, nothing)
        if request.body is not None:
            await before_body(nothing, context, nothing)
        self._net.sends(request, gone)
        return _Response(*await gone)


_KEY: Any = type("Key", (), {"host": "moysklad.invalid", "port": 443, "is_ssl": True, "ssl": True})()


def _through(middleware: Any, handler: Any) -> Any:
    async def handled(request: Request) -> Any:
        return await middleware(request, handler)

    return handled


class _Response:
    content_type = "application/json"

    def __init__(self, status: int, headers: dict[str, str], body: Any) -> None:
        self.status = status
        self.headers = headers
        self.content = self
        self._raw = b"" if body is None else orjson.dumps(body)

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self._raw

    def close(self) -> None:
        """Nothing to close."""
