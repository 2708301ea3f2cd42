"""The way from a node to MoySklad: aiohttp's session as the transport uses it, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import aiohttp
import orjson

from adapters.moysklad.errors import Api
from adapters.moysklad.limits import LimitsRegistry
from adapters.moysklad.transport import Transport
from tests.simulation.moysklad import Answer, Fate

CREDENTIAL = {Api.PHONE: "Lognex-Phone-Auth-Token", Api.JSON: "Authorization"}
CONNECT_S = 5.0
MICRO = 1_000_000


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

    def connects(self) -> float | None:
        """Seconds until the connection is refused; infinite when nothing answers; None: it stands."""
        ...

    def sends(self, request: Request, gone: asyncio.Future[Answer]) -> Fate:
        """The first byte leaves. ``gone`` gets the answer; it is cancelled when the sender gives up."""
        ...


class SimTransport(Transport):
    """The real transport, with another session."""

    def __init__(self, *, api: Api, limits: LimitsRegistry, net: Net) -> None:
        super().__init__(api=api, base_url=f"https://moysklad.invalid/{api.value}", limits=limits)
        self._net = net

    def _open(self) -> aiohttp.ClientSession:
        return _Session(self.api, self._net, self._timeout.total or 15.0)  # type: ignore[return-value]


class _Session:
    def __init__(self, api: Api, net: Net, timeout_s: float) -> None:
        self._api = api
        self._net = net
        self._timeout_s = timeout_s

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
    ) -> _Exchange:
        body = None if data is None else orjson.loads(data)
        request = Request(
            api=self._api, method=method, url=str(url), body=body, credential=headers[CREDENTIAL[self._api]].removeprefix("Bearer ")
        )
        return _Exchange(self._net, request, trace_request_ctx, middlewares, self._timeout_s)


class _Exchange:
    """``async with session.request(...) as response``."""

    def __init__(self, net: Net, request: Request, sending: Any, middlewares: Sequence[Any], timeout_s: float) -> None:
        self._net = net
        self._request = request
        self._sending = sending
        self._middlewares = middlewares
        self._timeout_s = timeout_s

    async def __aenter__(self) -> _Response:
        handler = self._handle
        for middleware in self._middlewares:
            handler = _through(middleware, handler)
        async with asyncio.timeout(self._timeout_s):
            return await handler(self._request)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    async def _handle(self, request: Request) -> _Response:
        wait_s = self._net.connects()
        if wait_s is not None:
            await asyncio.sleep(min(wait_s, CONNECT_S))
            raise aiohttp.ConnectionTimeoutError if wait_s > CONNECT_S else aiohttp.ClientConnectorError(_KEY, OSError("refused"))
        gone: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._sending.sent = True
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
