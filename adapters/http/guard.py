"""Who may call what (PRODUCT D5). Only the socket's own address counts: no header makes a caller local.

Three kinds of addresses: open ones (:data:`OPEN`), those for the rest of the telephony (``/internal/…``, ``/metrics``), and
everything else, which is for administrators. What is not listed as open is not open.

Without a token a near caller is admitted only if it looks like a program of this host: a browser that a foreign page abuses
(by a form, or by a name that suddenly leads to 127.0.0.1) names itself by ``Origin``, ``Sec-Fetch-Site`` or ``Host``, and
whoever comes through a proxy on this host by what the proxy adds.
"""

from __future__ import annotations

import hmac
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final
from urllib.parse import quote, urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware
from aiohttp.web_urldispatcher import MatchInfoError

from adapters.http.answers import Handler, Problem, is_somebody_reading
from adapters.http.services import StartingUp, services
from adapters.http.who import FOR_LINKS, WHO, Kind, Who, address_of, not_yours, peer, who
from core.errors import StoreUnavailable

OPEN: Final = frozenset(
    {
        "/",
        "/healthz",
        "/openapi.json",
        "/docs",
        "/ms",
        "/ms/",
        "/ms.png",
        "/ms-admin/favicon.ico",
        "/ms-admin/static/{name}",
        "/ms-admin/login",
        "/ms-admin/enter",
        "/ms-admin/api/login",
        "/ms-admin/api/enter",
        "/ms/webhook/{uuid}",
        "/ms/hooks/{uuid}",
    }
)
"""What anybody may ask for, as the router writes it: it tells nothing, or has a check of its own."""

INTERNAL_AT_ROOT: Final = frozenset({"/customer-by-phone", "/responsible-extension"})
"""For the rest of the telephony as well, which has always asked there."""

LOGIN: Final = "/ms-admin/login"
COOKIE: Final = "ms_session"
SECURE_COOKIE: Final = "__Host-ms_session"
"""Behind TLS: with this prefix no neighbour under the same domain can set it."""

PAGE_HEADER: Final = "X-Requested-With"
"""A session's request that changes something must carry this header, with any value: another site's page cannot add it without
a CORS preflight, which is refused here."""

SAFE: Final = ("GET", "HEAD")
PROXY_HEADERS: Final = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")
BROWSER_HEADERS: Final = ("Origin", "Sec-Fetch-Site")
_NOBODY_KNOWS: Final = (StoreUnavailable, StartingUp)
"""After these errors nobody can say who asks: sessions are in the database, which is away or not open yet."""

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
PRIVATE_SUFFIXES: Final = (".localhost", ".local", ".lan", ".internal", ".home.arpa")


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules: networks that are as good as local, and tokens that programs may show. Empty tokens are never valid."""

    networks: Sequence[IPv4Network | IPv6Network]
    internal_token: str
    admin_token: str
    public_url: str = ""

    @property
    def secure(self) -> bool:
        """Whether people come by TLS."""
        return self.public_url.startswith("https:")

    @property
    def cookie(self) -> str:
        """The session cookie's name."""
        return SECURE_COOKIE if self.secure else COOKIE

    async def identify(self, request: web.Request) -> Who | None:
        """Whoever asks for an address that is not open; None when it is nobody we know. Raises Problem 403 for a forged request."""
        target = _target(request)
        kind = self._program(request, target)
        if kind is not None:
            return Who(kind=kind, address=address_of(request))
        session_id = request.cookies.get(self.cookie)
        if session_id is None or is_internal(target) or "Authorization" in request.headers:
            return None
        session = await services(request).access.find(session_id)
        if session is None:
            return None
        self.check_page(request)
        kind = Kind.OPERATOR if session.link is None else Kind.LINK
        return Who(
            kind=kind, address=address_of(request), enterprise=session.enterprise, link=session.link, name=session.name
        )

    def check_page(self, request: web.Request) -> None:
        """Raises Problem 403 when a request of a session does not come from a page of ours.

        Pages themselves may be led to from anywhere; data may not be asked for from elsewhere, and changes need more.
        """
        if request.method in SAFE:
            if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site") and not _is_page(request):
                raise _elsewhere()
            return
        origin = request.headers.get("Origin")
        if (
            PAGE_HEADER not in request.headers
            or request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin"
            or (origin is not None and not self._is_own(origin, request))
        ):
            raise _elsewhere()

    def _is_own(self, origin: str, request: web.Request) -> bool:
        own = urlsplit(self.public_url)
        return urlsplit(origin).netloc == request.headers.get("Host") or origin == f"{own.scheme}://{own.netloc}"

    def _program(self, request: web.Request, target: str) -> Kind | None:
        if is_internal(target):
            if self._is_near(request):
                return Kind.NEAR
            return Kind.PROGRAM if self._bears(request, self.internal_token) else None
        if self._bears(request, self.admin_token):
            return Kind.PROGRAM
        return Kind.NEAR if not self.admin_token and self._is_near(request) and not _is_page(request) else None

    def _is_near(self, request: web.Request) -> bool:
        address = peer(request)
        if address is None or not any(address in network for network in self.networks):
            return False
        return _is_direct(request) and self._is_our_name(request.headers.get("Host", ""))

    def in_public(self, error: StoreUnavailable | StartingUp, request: web.Request) -> StoreUnavailable | StartingUp:
        """Why the service is not there yet, as whoever asks may hear it: where its database is, is this machine's affair."""
        is_ours = self._is_near(request) or (_is_direct(request) and _is_of_this_machine(request))
        if is_ours or isinstance(error, StoreUnavailable):
            return error
        return StartingUp(503, "the service is not ready yet", hint=error.hint, retry_after_s=1)

    def _is_our_name(self, host: str) -> bool:
        """Whether nobody else can have made this name lead here: an address, a name of this machine, or one without a domain."""
        name = (urlsplit(f"//{host}").hostname or "") if _is_host(host) else "?."
        if "." not in name or name.endswith(PRIVATE_SUFFIXES) or name in (urlsplit(self.public_url).hostname, *_own_names()):
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True

    @staticmethod
    def _bears(request: web.Request, token: str) -> bool:
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        return bool(token) and scheme.lower() == "bearer" and hmac.compare_digest(_octets(shown), _octets(token))


GUARD: Final = web.AppKey("guard", Guard)


async def still_welcome(request: web.Request) -> bool:
    """Whether whoever listens to a long answer may go on: since it began a session may have ended, or a link been revoked.

    While nobody can say, it goes on: without the database there is nothing new to be heard.
    """
    try:
        asker = await request.app[GUARD].identify(request)
    except StoreUnavailable:
        return True
    return asker is not None and asker.enterprise == who(request).enterprise


def _elsewhere() -> Problem:
    return Problem(403, "the request does not come from a page of this service", hint="Обновите страницу и повторите.")


def _target(request: web.Request) -> str:
    """What is asked for, as the router writes it; what no route answers, as it was written."""
    resource = request.match_info.route.resource
    return request.path if resource is None else resource.canonical


def is_internal(target: str) -> bool:
    """Whether an address is for the rest of the telephony."""
    return target.startswith("/internal/") or target == "/metrics" or target.rstrip("/") in INTERNAL_AT_ROOT


def _is_page(request: web.Request) -> bool:
    return getattr(request.match_info.handler, "is_page", False)


def _is_direct(request: web.Request) -> bool:
    return not any(name in request.headers for name in (*PROXY_HEADERS, *BROWSER_HEADERS))


def _is_of_this_machine(request: web.Request) -> bool:
    """Whether it came from the very address that it came to, as what ``./ms.sh`` asks does, whatever ``MS_HOST`` is."""
    name = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return isinstance(name, tuple) and str(name[0]) == str(peer(request))


def _is_host(host: str) -> bool:
    return not set(host) & set("/?#@\\ ")


@cache
def _own_names() -> tuple[str, ...]:
    return socket.gethostname().lower(), socket.getfqdn().lower()


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")  # a header may hold any octets


def guarded(guard: Guard) -> Middleware:
    """The middleware that refuses what the guard does not allow, and leaves who asks in the request."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        target = _target(request)
        for name, value in (*request.match_info.items(), *request.query.items()):
            if _UNSTORABLE.search(value):
                # No name or id holds such characters, and PostgreSQL cannot store them: refused here, once for every address.
                raise Problem(400, "the address holds characters that cannot be stored", field=name, hint="send plain text")
        if target in OPEN:
            try:
                return await handler(request)
            except StartingUp as error:
                raise guard.in_public(error, request) from None
        try:
            asker = await guard.identify(request)
        except _NOBODY_KNOWS as error:
            if not _is_page(request):
                raise guard.in_public(error, request) from None
            return await handler(request)  # nobody can say who asks; a page without data tells that in words, JSON would not
        if asker is None:
            is_unknown = isinstance(request.match_info, MatchInfoError)
            ours = is_internal(target) or target.startswith(("/internal", "/ms-admin"))
            if is_unknown and not ours:
                return await handler(request)  # there is nothing to be protected
            if _is_page(request) or (is_unknown and not is_internal(target) and is_somebody_reading(request)):
                raise web.HTTPSeeOther(f"{LOGIN}?next={quote(request.path_qs, safe='')}")
            raise Problem(
                403 if is_internal(target) and target != "/metrics" else 401,
                "this caller may not use this address",
                hint="log in, call from the service's own host, or send Authorization: Bearer with the configured token",
            )
        if asker.enterprise is not None:
            named = request.match_info.get("enterprise")
            if not getattr(request.match_info.handler, FOR_LINKS, False) and named != asker.enterprise:
                raise not_yours()
        request[WHO] = asker
        return await handler(request)

    return check
