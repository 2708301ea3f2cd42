"""Reads an HTTP answer as it comes: bounded, defensively, and without the credential that a server may repeat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import aiohttp
import orjson

from adapters.moysklad.errors import Answer

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""Longer answers are not read to the end: nothing we ask for is that long."""
MAX_KEPT_BYTES: Final = 8 * 1024
"""How much of an answer the call's history keeps."""
HIDDEN: Final = "***"
SHORTEST_SECRET: Final = 12
"""A shorter credential may be part of any number or id: it is no secret worth spoiling an answer for."""


async def read(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
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


def understand(
    response: aiohttp.ClientResponse, raw: bytes, whole: bool, credential: str, digest: Callable[[Any], Any] | None
) -> tuple[Answer, Any]:
    """The answer, and what the history keeps of it: no credential, not more than :data:`MAX_KEPT_BYTES`.

    ``digest`` shortens a good answer for the history.
    """
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
    if kind == "json" and digest is not None and response.status < 300:
        return answer, digest(body)
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
