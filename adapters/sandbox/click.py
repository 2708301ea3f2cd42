"""Click-to-call as MoySklad sends it: a manager presses a number, the provider gets a signed POST (contract 1.10).

The signature's exact formula is not established, so the variant is chosen per click, wrong ones included.
"""

from __future__ import annotations

import hashlib
import time
from typing import Any, Literal
from urllib.parse import urlencode

import aiohttp
import msgspec
import orjson

Variant = Literal["values", "raw-body", "sorted-values", "wrong", "none"]
TIMEOUT_S = 10.0
MAX_ANSWER_CHARS = 4_096


class ClickRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /sandbox/click``; ``uid`` defaults to the login of whoever has ``srcNumber``."""

    url: str
    srcNumber: str
    destNumber: str
    uid: str | None = None
    account: str | None = None
    variant: Variant = "values"
    form: bool = False
    """Send a form instead of JSON."""


def sign(key: str, values: dict[str, str], raw: bytes, variant: Variant) -> str | None:
    """``Lognex-Content-MD5`` for one click: upper-case hex, or None to send none."""
    secret = key.encode()
    match variant:
        case "values":
            material = secret + "".join(values.values()).encode()
        case "raw-body":
            material = secret + raw
        case "sorted-values":
            material = secret + "".join(sorted(values.values())).encode()
        case "wrong":
            material = b"not the key" + raw
        case "none":
            return None
    return hashlib.md5(material, usedforsecurity=False).hexdigest().upper()


async def send_click(session: aiohttp.ClientSession, *, key: str, uid: str, click: ClickRequest) -> dict[str, Any]:
    """Send one click and tell what came back; ``status`` 0 when nothing did."""
    values = {"srcNumber": click.srcNumber, "destNumber": click.destNumber, "uid": uid}
    if click.form:
        raw, media = urlencode(values).encode(), "application/x-www-form-urlencoded"
    else:
        raw, media = orjson.dumps(values), "application/json"
    headers = {"Content-Type": media}
    signature = sign(key, values, raw, click.variant)
    if signature is not None:
        headers["Lognex-Content-MD5"] = signature
    started = time.monotonic()
    result: dict[str, Any] = {"status": 0, "body": "", "error": None}
    try:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with session.post(click.url, data=raw, headers=headers, timeout=timeout) as response:
            text = await response.text(errors="replace")
            result.update(status=response.status, body=text[:MAX_ANSWER_CHARS])
    except (aiohttp.ClientError, TimeoutError) as error:
        result["error"] = type(error).__name__
    result["elapsed_ms"] = round((time.monotonic() - started) * 1000)
    return result
