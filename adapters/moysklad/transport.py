"""One request to MoySklad: sent within the account's limits, answered or failed, and written down.

Whatever happens, the trail gets an :class:`~core.events.Exchange` without credentials, and the caller gets either the
answer's JSON or :class:`~core.effects.Refused` / :class:`~core.effects.Unavailable`. Nothing is retried here: a PUT that
carries a recording is not idempotent (CONTRACT-MOYSKLAD 1.4), so not even aiohttp's silent second try is allowed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import quote, urlencode, urljoin, urlsplit

import aiohttp
import orjson
from yarl import URL

from adapters.moysklad.errors import Answer, Api, ApiUnavailable, Trouble, problem_of
from adapters.moysklad.limits import AccountLimits, LimitsRegistry, Place
from core.effects import Refused, Turn
from core.events import Exchange

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""Longer answers are not read to the end: nothing we ask for is that long."""
MAX_KEPT_BYTES: Final = 8 * 1024
"""How much of an answer the call's history keeps."""
MAX_REDIRECTS: Final = 5
MAX_KEPT_EXCHANGES: Final = 40
"""Exchanges one effect may leave in the history."""

_CREDENTIAL_HEADERS: Final[Mapping[Api, tuple[str, str]]] = {
    Api.PHONE: ("Lognex-Phone-Auth-Token", "{}"),
    Api.JSON: ("Authorization", "Bearer {}"),
}
_MOYSKLAD: Final = "moysklad.ru"


HIDDEN: Final = "***"
SHORTEST_SECRET: Final = 12
"""A shorter credential may be part of any number or id: it is no secret worth spoiling an answer for."""


@dataclass(slots=True, kw_only=True)
class Trail:
    """What one effect has done so far: its exchanges, and whether a write may have reached MoySklad.

    ``turn``: how its requests take their places, for which ``enterprise``. ``place``: the one taken for the first of them.
    """

    exchanges: list[Exchange] = field(default_factory=list)
    wrote: bool = False
    turn: Turn = field(default_factory=Turn)
    place: Place | None = None
    enterprise: str = ""

    def hand_over(self, turnstile: AccountLimits) -> Place | None:
        """The place in hand, once, if it is one at this turnstile."""
        if self.place is None or self.place.limits is not turnstile:
            return None
        place, self.place = self.place, None
        return place

    def give_back(self) -> None:
        """The place is not needed now."""
        if self.place is not None:
            self.place.leave()
            self.place = None

    def add(self, exchange: Exchange) -> None:
        """Keep one more exchange, within the bound."""
        if len(self.exchanges) < MAX_KEPT_EXCHANGES:
            self.exchanges.append(exchange)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One request before it has credentials. ``path`` follows the API's base and is already quoted.

    ``digest`` shortens the answer for the history, where it would hold other customers' data.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    digest: Callable[[Any], Any] | None = None

    @property
    def write(self) -> bool:
        """Whether MoySklad may change by it."""
        return self.method != "GET"


@dataclass(slots=True)
class _Sending:
    """How far one HTTP request got. ``sent``: its headers went out, so MoySklad may have acted on it."""

    write: bool
    sent: bool = False

    async def once(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Client middleware, run per attempt: a write that went out once is never sent again behind our back."""
        if self.write and self.sent:
            raise aiohttp.ServerDisconnectedError("the connection was lost after the request was sent")
        return await handler(request)


async def _headers_sent(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    context.trace_request_ctx.sent = True


class Transport:
    """The way to one API. Start it inside the event loop by the first request; ``close`` it at the end.

    Args:
        base_url: what paths are appended to, e.g. ``https://api.moysklad.ru/api/phone/1.0``.
        timeout_s: for one request, from connecting to the last byte.
        wait_ms: how long a request may wait for its turn within the account's limits.
        connections: open connections at most (the Phone API allows 100 at once from one address, 1.2).
    """

    def __init__(
        self,
        *,
        api: Api,
        base_url: str,
        limits: LimitsRegistry,
        timeout_s: float = 15.0,
        connect_timeout_s: float = 5.0,
        wait_ms: int = 10_000,
        connections: int = 100,
    ) -> None:
        self.api = api
        self.base_url = base_url.rstrip("/")
        self._limits = limits
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=connect_timeout_s)
        self._wait_ms = wait_ms
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Give the connections back."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, outgoing: Outgoing, credential: str, trail: Trail) -> Any:
        """Do the request and return the answer's JSON (None for an empty 2xx).

        Raises Refused or Unavailable; the request's own exchange is in ``trail`` either way.
        """
        self.check(credential)
        turnstile = self._limits.of(self.api, credential)
        place = trail.hand_over(turnstile) or await turnstile.enter(wait_ms=self._wait_ms)
        try:
            place.used = True
            answer = await self._follow(outgoing, credential, trail)
        finally:
            place.leave()
        turnstile.learn(answer.headers)
        problem = problem_of(answer, write=outgoing.write)
        if problem is None and answer.kind in ("html", "other", "cut"):
            problem = ApiUnavailable(f"HTTP {answer.status} without readable JSON", ambiguous=outgoing.write, status=answer.status)
        if isinstance(problem, ApiUnavailable) and answer.status == 429:
            turnstile.hold(problem.retry_after_ms or 0)
        if problem is not None:
            raise problem
        return answer.body

    async def take_place(self, credential: str, trail: Trail, *, most_ms: int | None = None) -> None:
        """Wait for room for one request, ``most_ms`` at most, and let the trail hold it.

        Raises Deferred, or Refused for a credential that cannot be one.
        """
        self.check(credential)
        wait_ms = self._wait_ms if most_ms is None else min(self._wait_ms, most_ms)
        trail.place = await self._limits.of(self.api, credential).enter(wait_ms=wait_ms)

    def check(self, credential: str) -> None:
        """A pasted credential may hold anything; what cannot stand in a header is refused before it breaks the request."""
        if not credential or not credential.isascii() or not credential.isprintable() or " " in credential:
            what = "no" if not credential else "an unusable"
            raise Refused(
                f"{what} {_credential_name(self.api)} is configured",
                remedy=f"enter the {_credential_name(self.api)} in the integration's settings",
            )

    async def _follow(self, outgoing: Outgoing, credential: str, trail: Trail) -> Answer:
        """Redirects with method and body kept (aiohttp would turn a redirected POST into a GET), credentials kept at home."""
        url = self.base_url + outgoing.path + ("?" + urlencode(outgoing.query, quote_via=quote) if outgoing.query else "")
        method, body = outgoing.method, outgoing.body
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._once(method, url, body, outgoing, credential, trail)
            location = answer.headers.get("Location", "")
            if answer.status not in (301, 302, 303, 307, 308) or not location:
                return answer
            target = urljoin(url, location)
            if not _may_follow(url, target):
                raise ApiUnavailable(
                    f"redirected to another server ({urlsplit(target).hostname})", ambiguous=False, status=answer.status
                )
            url = target
            if answer.status == 303:
                method, body = "GET", None
        raise ApiUnavailable("too many redirects", ambiguous=False)

    async def _once(self, method: str, url: str, body: Any, outgoing: Outgoing, credential: str, trail: Trail) -> Answer:
        session = self._open()
        sending = _Sending(write=method != "GET")
        name, form = _CREDENTIAL_HEADERS[self.api]
        headers = {name: form.format(credential)}
        data = None
        if body is not None:
            data = orjson.dumps(body)
            headers["Content-Type"] = "application/json"
        started = time.monotonic()
        status: int | None = None
        kept: Any = None
        try:
            async with session.request(
                method,
                URL(url, encoded=True),
                data=data,
                headers=headers,
                allow_redirects=False,
                trace_request_ctx=sending,
                middlewares=(sending.once,),
            ) as response:
                status = response.status
                raw, whole = await _read(response)
                answer, kept = _understand(response, raw, whole, credential, outgoing)
            return answer
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            trouble, sent = _trouble(error, sending)
            kept = f"({trouble})"
            raise ApiUnavailable(trouble, ambiguous=sent and sending.write) from error
        except asyncio.CancelledError:
            kept = "(given up: no time left)"
            raise
        finally:
            trail.wrote = trail.wrote or (sending.write and sending.sent)
            parts = urlsplit(url)
            trail.add(
                Exchange(
                    method=method,
                    path=parts.path + ("?" + parts.query if parts.query else ""),
                    request=body,
                    status=status,
                    response=kept,
                    duration_ms=round((time.monotonic() - started) * 1000),
                )
            )

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_request_headers_sent.append(_headers_sent)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, ttl_dns_cache=60),
                timeout=self._timeout,
                headers={
                    "Accept-Encoding": "gzip",  # mandatory, and nothing else is understood (1.1, 2.1)
                    "Accept": "application/json;charset=utf-8",
                    "User-Agent": "ms-call-service",
                },
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[tracing],
            )
        return self._session


def _credential_name(api: Api) -> str:
    return "Phone API key" if api is Api.PHONE else "main API token"


def _may_follow(url: str, target: str) -> bool:
    """Credentials follow a redirect only within the server, or from MoySklad to MoySklad over TLS."""
    here, there = urlsplit(url), urlsplit(target)
    if (here.scheme, here.netloc) == (there.scheme, there.netloc):
        return True
    hosts = (here.hostname or "", there.hostname or "")
    ours = all(host == _MOYSKLAD or host.endswith("." + _MOYSKLAD) for host in hosts)
    return ours and there.scheme == "https"


async def _read(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """The body, at most :data:`MAX_ANSWER_BYTES` of it, and whether that is all."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            response.close()
            return b"".join(parts)[:MAX_KEPT_BYTES], False
    return b"".join(parts), True


def _understand(
    response: aiohttp.ClientResponse, raw: bytes, whole: bool, credential: str, outgoing: Outgoing
) -> tuple[Answer, Any]:
    """The answer, and what the history keeps of it: no credential, not more than :data:`MAX_KEPT_BYTES`."""
    echoed = len(credential) >= SHORTEST_SECRET and credential.encode() in raw
    body: Any = None
    if not whole:
        kind = "cut"
    elif not raw.strip():
        kind = "empty"
    else:
        try:
            body, kind = orjson.loads(raw), "json"
            body = _without(body, credential) if echoed else body
        except orjson.JSONDecodeError:
            kind = "html" if raw.lstrip()[:1] == b"<" or "html" in response.content_type else "other"
    answer = Answer(status=response.status, headers=response.headers, body=body, kind=kind)
    if kind == "json" and outgoing.digest is not None and response.status < 300:
        return answer, outgoing.digest(body)
    if kind == "json" and len(raw) <= MAX_KEPT_BYTES:
        return answer, body
    if kind == "empty":
        return answer, None
    text = raw[:MAX_KEPT_BYTES].decode("utf-8", "replace")
    text = text.replace(credential, HIDDEN) if echoed else text
    return answer, text + (f" … ({len(raw)} bytes)" if len(raw) > MAX_KEPT_BYTES or not whole else "")


def _without(body: Any, credential: str) -> Any:
    """The answer with the credential taken out of its texts; the JSON is read first, so that nothing else can break."""
    match body:
        case str():
            return body.replace(credential, HIDDEN)
        case list():
            return [_without(each, credential) for each in body]
        case dict():
            return {key: _without(value, credential) for key, value in body.items()}
        case _:
            return body


def _trouble(error: BaseException, sending: _Sending) -> tuple[Trouble, bool]:
    """What a failed connection was, and whether the request had gone out by then."""
    match error:
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
