"""Click-to-call by the provider's HTTP API (CONTRACT-ASTERISK, "Click-to-call"): the originator for exchanges without AMI.

``GET <MS_ASTERISK_API_URL>/api/makecallexternal?code=<extension>&phone=<number>&clientId=<the enterprise's secret>``. The secret
stands in the address, so neither the address nor what a library says of it goes anywhere; what the API says is shown without it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote, quote_plus

import aiohttp
import orjson

from core.origination import ORIGINATE_S, Origination, OriginationInDoubt, OriginationRefused

CONNECT_S: Final = 2.0
ANSWER_BYTES: Final = 65_536
SAID_CHARS: Final = 160
PARALLEL: Final = 32
"""Orders under way at once; the API is one program on one host."""

WHERE: Final = "/api/makecallexternal"

_FAILED: Final = ("success", "ok", "result")
_WORDS: Final = ("error", "message", "error_message", "detail", "reason", "description")
_BAD_STATUS: Final = ("error", "fail", "failed", "failure")
_TELLING: Final = re.compile(r"\+?\d(?:[\s().-]{0,2}\d){4,}")

_NO_SECRET: Final = "the enterprise has no secret, so the provider's API would not know whose telephone to ring"
_AWAY: Final = "the provider's API cannot be reached"
_CHECK_API: Final = "check that it runs and that MS_ASTERISK_API_URL leads to it"
_DOUBT: Final = "it may ring all the same; see the provider's log before clicking again"


class ProviderApi:
    """``secret_of``: the secret of an enterprise, empty for none; it may raise StoreUnavailable."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, secret_of: Callable[[str], Awaitable[str]]) -> None:
        """The session must be :func:`opened_session`'s: an ordinary one asks a second time by itself."""
        self._session = session
        self._url = f"{base_url}{WHERE}"
        self._secret_of = secret_of

    def serves(self, enterprise: str) -> bool:
        """Always: whether it works is found out by asking."""
        return True

    async def originate(self, order: Origination) -> None:
        """See ``Originator.originate``."""
        secret = await self._secret_of(order.enterprise)
        if not secret:
            raise OriginationRefused(_NO_SECRET, "enter the secret at the provider (enterprises.secret)")
        query = {"code": order.extension, "phone": order.number, "clientId": secret}
        try:
            status, body = await self._ask(query)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL):
            raise OriginationRefused(_AWAY, _CHECK_API) from None
        except TimeoutError:
            raise OriginationInDoubt("the provider's API took the order and did not answer in time", _DOUBT) from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise OriginationInDoubt("the connection to the provider's API broke before an answer came", _DOUBT) from None
        _judge(status, body, secret)

    async def _ask(self, query: dict[str, str]) -> tuple[int, bytes]:
        limits = aiohttp.ClientTimeout(total=ORIGINATE_S, connect=CONNECT_S, sock_connect=CONNECT_S)
        async with self._session.get(self._url, params=query, timeout=limits, allow_redirects=False) as answer:
            body = bytearray()
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) >= ANSWER_BYTES:
                    break
            return answer.status, bytes(body)


@contextlib.asynccontextmanager
async def opened_session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session that sends an order once: every connection is new, nothing is asked twice, no proxy or cookie comes in between."""
    connector = aiohttp.TCPConnector(limit=PARALLEL, force_close=True)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False) as session:
        # aiohttp repeats a GET whose connection broke (RFC 9112 allows it); this one makes a telephone ring.
        session._retry_connection = False
        yield session


def _judge(status: int, body: bytes, secret: str) -> None:
    """Whether the API took the order. Raises OriginationRefused or OriginationInDoubt."""
    told = _object(body)
    said = _plain(_words_of(told), secret)
    says = f": {said}" if said else ""
    if status >= 500:
        raise OriginationInDoubt(f"the provider's API failed with HTTP {status}{says}", _DOUBT)
    if 300 <= status < 400:
        raise OriginationRefused(f"the provider's API leads elsewhere (HTTP {status})", _CHECK_API)
    if status in (401, 403):
        raise OriginationRefused(f"the provider's API does not accept the enterprise's secret (HTTP {status}){says}", _KNOWN)
    if status != 200:
        raise OriginationRefused(f"the provider's API refused with HTTP {status}{says}", _CHECK_API)
    if _is_failure(told):
        raise OriginationRefused(f"the provider's API refused{says}", "see that the employee's telephone is registered and free")


_KNOWN: Final = "compare the secret at the provider with enterprises.secret"


def _object(body: bytes) -> dict[str, Any]:
    try:
        told: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}


def _is_failure(told: dict[str, Any]) -> bool:
    """Whether a 200 says that it was not done: in the ways such APIs say it."""
    if any(told.get(name) is False for name in _FAILED) or told.get("error") or told.get("errors"):
        return True
    return any(str(told.get(name, "")).lower() in _BAD_STATUS for name in ("status", "result", "response"))


def _words_of(told: dict[str, Any]) -> str:
    for name in _WORDS:
        value = told.get(name)
        if isinstance(value, dict):
            value = value.get("message") or value.get("error")
        if isinstance(value, str) and value.strip():
            return value
    return ""


def _plain(text: str, secret: str) -> str:
    """The API's words without the secret, without telephone numbers, in one line."""
    for each in (secret, quote(secret, safe=""), quote_plus(secret)):
        text = text.replace(each, "***")
    hidden = _TELLING.sub("…", text)
    return " ".join("".join(each if each.isprintable() else " " for each in hidden).split())[:SAID_CHARS]
