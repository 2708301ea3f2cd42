"""Who may call what (PRODUCT D5). Only the socket's own address counts: no header makes a caller local."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from aiohttp import web
from aiohttp.typedefs import Middleware

from adapters.http.answers import Handler, Problem


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules: networks that are as good as local, and tokens that programs may show. Empty tokens are never valid."""

    networks: Sequence[IPv4Network | IPv6Network]
    internal_token: str
    admin_token: str

    def allows(self, request: web.Request) -> bool:
        """Whether this request may be served where it asks to go."""
        path = request.path
        if path.startswith(("/ms-admin/api/", "/ms-admin/test/")):
            return self._bears(request, self.admin_token) if self.admin_token else self._is_near(request)
        if path.startswith("/internal/") or path == "/metrics":
            return self._is_near(request) or self._bears(request, self.internal_token)
        return True

    def _is_near(self, request: web.Request) -> bool:
        transport = request.transport
        peer = transport.get_extra_info("peername") if transport is not None else None
        if not isinstance(peer, tuple):
            return False
        address = ip_address(str(peer[0]).partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.networks)

    @staticmethod
    def _bears(request: web.Request, token: str) -> bool:
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        return bool(token) and scheme.lower() == "bearer" and hmac.compare_digest(_octets(shown), _octets(token))


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")  # a header may hold any octets


def guarded(guard: Guard) -> Middleware:
    """The middleware that refuses what the guard does not allow."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not guard.allows(request):
            raise Problem(
                403 if request.path.startswith("/internal/") else 401,
                "this caller may not use this address",
                hint="call from the service's own host, or send Authorization: Bearer with the configured token",
            )
        return await handler(request)

    return check
