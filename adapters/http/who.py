"""Who asks: what the guard found out about a request, and what follows from it (PRODUCT D5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, TypeVar

from aiohttp import web

from adapters.http.answers import Problem
from adapters.http.services import services

H = TypeVar("H", bound=Callable[..., Any])
FOR_LINKS: Final = "for_links"


class Kind(Enum):
    """How somebody was let in."""

    OPERATOR = "operator"
    LINK = "link"
    PROGRAM = "program"
    NEAR = "near"


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Whoever asks. ``enterprise``: the only one that may be seen and changed; None: all of them."""

    kind: Kind
    address: str
    enterprise: str | None = None
    link: int | None = None
    name: str = ""

    @property
    def actor(self) -> str:
        """As the journal and the history of changes name them; administrators read it."""
        match self.kind:
            case Kind.OPERATOR:
                return "оператор"
            case Kind.LINK:
                return f"{self.name} (ссылка {self.link})"
            case Kind.PROGRAM:
                return "программа (токен)"
            case Kind.NEAR:
                return "программа на узле сервиса"

    @property
    def is_person(self) -> bool:
        """Whether this is somebody in front of a page."""
        return self.kind in (Kind.OPERATOR, Kind.LINK)


WHO: Final = web.RequestKey("who", Who)


def who(request: web.Request) -> Who:
    """Whoever asks, on every address that the guard does not leave open."""
    return request[WHO]


def scope(request: web.Request) -> str | None:
    """The only enterprise whose data the asker may see; None: all. A handler marked :func:`for_links` whose address names no
    enterprise must ask."""
    return who(request).enterprise


def for_links(handler: H) -> H:
    """Mark a handler whose address names no enterprise, but which itself keeps a link's session to its own (see :func:`scope`).

    Everything else that names no enterprise is refused to such a session.
    """
    setattr(handler, FOR_LINKS, True)
    return handler


def scoped(request: web.Request, asked: str | None) -> str | None:
    """The enterprise to tell of when ``asked`` was asked for. Raises Problem 403 for another than the session's own."""
    only = scope(request)
    if only is not None and asked not in (None, "", only):
        raise not_yours()
    return only if only is not None else asked or None


def not_yours() -> Problem:
    """The refusal to look at another enterprise; the same for those that exist and those that do not."""
    return Problem(403, "this session may not see that", hint="Ваша ссылка открывает только своё предприятие.")


def peer(request: web.Request) -> IPv4Address | IPv6Address | None:
    """The socket's other end: the only thing about a caller that a header cannot change."""
    transport = request.transport
    name = transport.get_extra_info("peername") if transport is not None else None
    if not isinstance(name, tuple):
        return None
    address = ip_address(str(name[0]).partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def address_of(request: web.Request) -> str:
    """Where a caller is, for the journal and for counting failed log-ins; behind a proxy, whom the proxy names.

    The last name in X-Forwarded-For is the nearest proxy's. It may be made up, so nothing is permitted because of it.
    """
    direct = peer(request)
    claimed = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    if direct is not None and direct.is_loopback and claimed:
        try:
            return str(ip_address(claimed))
        except ValueError:
            pass
    return str(direct or "unknown")


async def note(request: web.Request, action: str, *, enterprise: str | None = None, object_: str = "", **details: Any) -> None:
    """Write into the journal of actions what whoever asks has just done or looked at."""
    asker = who(request)
    await services(request).audit.note(
        action, actor=asker.actor, address=asker.address, enterprise=enterprise, object_=object_, details=details
    )
