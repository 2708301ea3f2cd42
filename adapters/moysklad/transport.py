"""One request to MoySklad: sent within the account's limits, answered or failed, and written down.

Whatever happens, the trail gets an :class:`~core.events.Exchange` without credentials, and the caller gets either the
answer's JSON or :class:`~core.effects.Refused` / :class:`~core.effects.Unavailable`. Nothing is retried here: a PUT that
carries a recording is not idempotent (CONTRACT-MOYSKLAD 1.4), so not even aiohttp's silent second try is allowed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote, urlencode, urljoin, urlsplit

import aiohttp
import orjson
from yarl import URL

from adapters.moysklad.answers import read, understand
from adapters.moysklad.breaker import Outcome, outcome_of
from adapters.moysklad.errors import Answer, Api, ApiRefusal, ApiUnavailable, is_crowded, problem_of
from adapters.moysklad.reach import Reach
from adapters.moysklad.registry import LimitsRegistry
from adapters.moysklad.sending import Sending, before_body, before_headers, new_socket, trouble_of
from adapters.moysklad.turnstile import Place, Turnstile
from core.effects import Refused, Turn, Unavailable
from core.events import Exchange

MAX_REDIRECTS: Final = 5
HURRIED_S: Final = 5.0
"""The time of a request that tries whether MoySklad is back (``breaker.py``)."""
CONNECT_S: Final = 2.5
"""To connect: enough for the kernel's second try (after 1 s). Nothing was sent by then, so giving up early is safe."""
AWAY_CONNECT_S: Final = 1.0
"""To connect while MoySklad may not be reachable from here: as long as a request is under way the enterprise cannot go to an
instance that reaches it."""
SILENCE_MS: Final = 1_000
"""A request that was given up at its deadline counts as unanswered only if MoySklad had this much time."""
MAX_KEPT_EXCHANGES: Final = 40
"""Exchanges one effect may leave in the history."""

_CREDENTIAL_HEADERS: Final[Mapping[Api, tuple[str, str]]] = {
    Api.PHONE: ("Lognex-Phone-Auth-Token", "{}"),
    Api.JSON: ("Authorization", "Bearer {}"),
}
_MOYSKLAD: Final = "moysklad.ru"


@dataclass(slots=True, kw_only=True)
class Trail:
    """What one effect has done so far: its exchanges, and whether a write may have reached MoySklad.

    ``turn``: how its requests take their places, for which ``enterprise``. ``place``: the one taken for the first of them.
    ``guess``: they stand behind whatever else is as urgent.
    """

    exchanges: list[Exchange] = field(default_factory=list)
    wrote: bool = False
    turn: Turn = field(default_factory=Turn)
    place: Place | None = None
    enterprise: str = ""
    guess: bool = False
    _told: list[Turnstile] = field(default_factory=list)

    def guessing(self) -> Trail:
        """The same trail, for requests that will most likely find nothing: what they do is told in this one."""
        return replace(self, guess=True, place=None)

    def turn_at(self, turnstile: Turnstile) -> Turn:
        """The turn, as this turnstile is to be told of it.

        ``quiet_ms`` was true when the turn was made. A turnstile is told it once, and remembers until when it must use only the
        small share that owners leave free; told again with every request of the effect, it would never end. An instance that
        does not own the enterprise (0) uses the small share all the time.
        """
        if turnstile in self._told:
            return replace(self.turn, quiet_ms=None)
        if self.turn.quiet_ms:
            self._told.append(turnstile)
        return self.turn

    def hand_over(self, turnstile: Turnstile) -> Place | None:
        """The place in hand, once, if it is one at this turnstile."""
        if self.place is None or self.place.turnstile is not turnstile:
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

    ``digest`` shortens the answer for the history, where it would hold other customers' data. ``entity`` names what is PUT,
    the same whichever path leads to it.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    digest: Callable[[Any], Any] | None = None
    entity: str = ""

    @property
    def write(self) -> bool:
        """Whether MoySklad may change by it."""
        return self.method != "GET"


class Transport:
    """The way to one API. Start it inside the event loop by the first request; ``close`` it at the end.

    Args:
        base_url: what paths are appended to, e.g. ``https://api.moysklad.ru/api/phone/1.0``.
        timeout_s: for one request, from connecting to the last byte.
        wait_ms: how long a request may wait for its turn within the account's limits.
        connections: open connections at most (the Phone API allows 100 at once from one address, 1.2).
        reach: told whether anything answers here; by default one that asks here.
    """

    def __init__(
        self,
        *,
        api: Api,
        base_url: str,
        limits: LimitsRegistry,
        timeout_s: float = 15.0,
        connect_timeout_s: float = CONNECT_S,
        wait_ms: int = 10_000,
        connections: int = 100,
        reach: Reach | None = None,
    ) -> None:
        self.api = api
        self.base_url = base_url.rstrip("/")
        self._limits = limits
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=connect_timeout_s)
        self._hurried = aiohttp.ClientTimeout(total=min(timeout_s, HURRIED_S), sock_connect=connect_timeout_s)
        self._away = aiohttp.ClientTimeout(total=min(timeout_s, HURRIED_S), sock_connect=min(connect_timeout_s, AWAY_CONNECT_S))
        self._wait_ms = wait_ms
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self.reach = Reach(self._knock) if reach is None else reach

    async def close(self) -> None:
        """Give the connections back."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, outgoing: Outgoing, credential: str, trail: Trail) -> Any:
        """Do the request and return the answer's JSON (None for an empty 2xx).

        Redirects are followed with method and body kept (aiohttp would turn a redirected POST into a GET), each as a request
        of its own. Raises Refused or Unavailable; the exchanges are in ``trail`` either way.
        """
        self.check(credential)
        turnstile = self._limits.of(self.api, credential)
        url = self.base_url + outgoing.path + ("?" + urlencode(outgoing.query, quote_via=quote) if outgoing.query else "")
        hop = _Hop(method=outgoing.method, url=url, body=outgoing.body)
        for _ in range(MAX_REDIRECTS + 1):
            place = trail.hand_over(turnstile) or await turnstile.enter(
                trail.turn_at(turnstile),
                wait_ms=self._wait_ms,
                enterprise=trail.enterprise,
                entity=outgoing.entity,
                guess=trail.guess,
            )
            try:
                answer = await self._in_place(place, hop, outgoing, credential, trail)
                if (target := _redirected(hop, answer)) is None:
                    return answer.body
                hop = target
            except (ApiRefusal, ApiUnavailable) as problem:
                refusal = problem if isinstance(problem, ApiRefusal) else None
                outcome = outcome_of(problem, write=outgoing.write)
                place.settle(outcome, failed=True, reason=problem.error, refusal=refusal)
                raise
            finally:
                place.leave()
        raise ApiUnavailable("too many redirects", ambiguous=False)

    async def _in_place(self, place: Place, hop: _Hop, outgoing: Outgoing, credential: str, trail: Trail) -> Answer:
        """One HTTP request; its answer, if that is good or a redirect."""
        place.start(outgoing.entity)
        answer = await self._once(place, hop, outgoing, credential, trail)
        turnstile = place.turnstile
        turnstile.learn(answer.headers)
        if _location(answer):
            return answer
        problem = problem_of(answer, write=outgoing.write)
        if problem is None and answer.kind in ("html", "other", "cut"):
            problem = ApiUnavailable(f"HTTP {answer.status} without readable JSON", ambiguous=outgoing.write, status=answer.status)
        if isinstance(problem, ApiUnavailable) and outcome_of(problem, write=outgoing.write) is Outcome.BUSY:
            tell = turnstile.crowded if is_crowded(answer, problem.codes) else turnstile.hold
            tell(problem.retry_after_ms or 0)
        if problem is not None:
            raise problem
        place.settle(Outcome.GOOD, failed=False)
        return answer

    async def take_place(self, credential: str, trail: Trail, *, most_ms: int | None = None, entity: str = "") -> None:
        """Wait for room for one request, ``most_ms`` at most, and let the trail hold it; ``entity``: what it will PUT.

        Raises Deferred, or Refused for a credential that cannot be one or that MoySklad is known to refuse.
        """
        self.check(credential)
        wait_ms = self._wait_ms if most_ms is None else min(self._wait_ms, most_ms)
        turnstile = self._limits.of(self.api, credential)
        trail.place = await turnstile.enter(trail.turn_at(turnstile), wait_ms=wait_ms, enterprise=trail.enterprise, entity=entity)

    def is_away(self, credential: str) -> bool:
        """Whether the API is known to be away for this credential."""
        return self._limits.of(self.api, credential).is_away

    def forget(self, credential: str) -> None:
        """Whatever is believed of this credential, the next request may try it: somebody asks for it."""
        self._limits.forget(self.api, credential)

    def check(self, credential: str) -> None:
        """A pasted credential may hold anything; what cannot stand in a header is refused before it breaks the request."""
        if not credential or not credential.isascii() or not credential.isprintable() or " " in credential:
            what = "no" if not credential else "an unusable"
            raise Refused(
                f"{what} {_credential_name(self.api)} is configured",
                remedy=f"enter the {_credential_name(self.api)} in the integration's settings",
            )

    async def _once(self, place: Place, hop: _Hop, outgoing: Outgoing, credential: str, trail: Trail) -> Answer:
        session = self._open()
        sending = Sending(write=hop.method != "GET", permit=trail.turn.permit)
        name, form = _CREDENTIAL_HEADERS[self.api]
        headers = {name: form.format(credential)}
        data = None
        if hop.body is not None:
            data = orjson.dumps(hop.body)
            headers["Content-Type"] = "application/json"
        started = time.monotonic()
        status: int | None = None
        kept: Any = None
        try:
            async with session.request(
                hop.method,
                URL(hop.url, encoded=True),
                data=data,
                headers=headers,
                allow_redirects=False,
                trace_request_ctx=sending,
                middlewares=(sending.once,),
                timeout=self._away if self.reach.doubted else self._hurried if place.hurried else self._timeout,
            ) as response:
                status = response.status
                self.reach.answered()
                raw, whole = await read(response)
                answer, kept = understand(response, raw, whole, credential, outgoing.digest)
            return answer
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            trouble, sent = trouble_of(error, sending)
            kept = f"({trouble})"
            if sending.barred:
                place.not_sent()
                raise Unavailable(trouble, ambiguous=False) from error
            self.reach.silent()
            raise ApiUnavailable(trouble, ambiguous=sent and sending.write) from error
        except asyncio.CancelledError:
            kept = "(given up: no time left)"
            silent_ms = round((time.monotonic() - started) * 1000)
            if silent_ms >= SILENCE_MS:
                self.reach.silent()
                place.settle(Outcome.AWAY, failed=True, reason=f"no answer within {silent_ms} ms")
            else:
                place.settle(Outcome.NOTHING, failed=sending.sent)
            raise
        finally:
            trail.wrote = trail.wrote or (sending.write and sending.sent)
            parts = urlsplit(hop.url)
            trail.add(
                Exchange(
                    method=hop.method,
                    path=parts.path + ("?" + parts.query if parts.query else ""),
                    request=hop.body,
                    status=status,
                    response=kept,
                    duration_ms=round((time.monotonic() - started) * 1000),
                )
            )

    async def _knock(self) -> None:
        """Ask for nothing in particular, with no credential: whatever the answer, there is one. Raises what aiohttp raises."""
        sending = Sending(write=False, permit=Turn().permit)
        async with self._open().request(
            "GET",
            URL(self.base_url, encoded=True),
            data=None,
            headers={},
            allow_redirects=False,
            trace_request_ctx=sending,
            middlewares=(sending.once,),
            timeout=self._away,
        ):
            pass

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_request_headers_sent.append(before_headers)
            tracing.on_request_chunk_sent.append(before_body)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, ttl_dns_cache=60, socket_factory=new_socket),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hop:
    """One HTTP request of possibly several: a redirect leads to the next."""

    method: str
    url: str
    body: Any


def _location(answer: Answer) -> str:
    return answer.headers.get("Location", "") if answer.status in (301, 302, 303, 307, 308) else ""


def _redirected(hop: _Hop, answer: Answer) -> _Hop | None:
    """Where a redirect leads; None when it was none. Raises ApiUnavailable rather than carry credentials to strangers."""
    if not (location := _location(answer)):
        return None
    target = urljoin(hop.url, location)
    if not _may_follow(hop.url, target):
        raise ApiUnavailable(f"redirected to another server ({urlsplit(target).hostname})", ambiguous=False, status=answer.status)
    return _Hop(method="GET", url=target, body=None) if answer.status == 303 else replace(hop, url=target)


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
