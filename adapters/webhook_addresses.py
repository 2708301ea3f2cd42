"""Whose webhook an address is: all UUIDs are in memory, so that an unknown one costs the database nothing.

They are found by their hash and then compared as a whole, so the time it takes tells a guesser nothing. An unknown UUID makes
the table be read again, but only every two seconds, however many are shown.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from core.webhook_signature import is_same_uuid

FRESH_S: Final = 2.0
MAX_SHOWN: Final = 100
"""Characters of an address that are looked at; a UUID has 36."""

PATH: Final = "/ms/webhook/"
_HERE: Final = ("127.0.0.1", "::1", "localhost")


def webhook_url(public_url: str, config: Mapping[str, Any]) -> str:
    """Where MoySklad's clicks of an enterprise arrive (PRODUCT D2), under the address that is in force now; empty without a UUID.

    Where the service was not told its public address, the one that stands in the settings stays: somebody knew it once.
    """
    uuid, known = str(config.get("webhook_uuid") or ""), str(config.get("webhook_url") or "")
    if not uuid:
        return known
    if urlsplit(public_url).hostname in _HERE and known.endswith(f"{PATH}{uuid}"):
        return known
    return f"{public_url}{PATH}{uuid}"


Load = Callable[[], Awaitable[Iterable[tuple[str, str]]]]
"""All ``(uuid, enterprise)``. Raises StoreUnavailable."""


class WebhookAddresses:
    """The webhook addresses as ``load`` last told them."""

    def __init__(self, load: Load, monotonic_s: Callable[[], float]) -> None:
        self._load = load
        self._monotonic_s = monotonic_s
        self._known: dict[bytes, tuple[str, str]] = {}
        self._loaded_s = float("-inf")
        self._loading: asyncio.Task[None] | None = None

    async def find(self, shown: str, *, anew: bool = False) -> str | None:
        """The enterprise that may have this UUID; whoever asks compares with its settings. ``anew``: what is known was wrong.

        Raises StoreUnavailable when the UUID is unknown and the table cannot be read.
        """
        found = None if anew else self._look(shown)
        if found is None and self._monotonic_s() - self._loaded_s >= FRESH_S:
            await self._reload()
            found = self._look(shown)
        return found

    def _look(self, shown: str) -> str | None:
        uuid, enterprise = self._known.get(_hash(shown), ("", ""))
        return enterprise if is_same_uuid(shown, uuid) else None

    async def _reload(self) -> None:
        """Read the table once for everybody who asks at this moment."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._read(), name="webhook addresses")
            self._loading.add_done_callback(self._read_once)
        await asyncio.shield(self._loading)

    async def _read(self) -> None:
        self._known = {_hash(uuid): (uuid, enterprise) for uuid, enterprise in await self._load()}
        self._loaded_s = self._monotonic_s()

    def _read_once(self, done: asyncio.Task[None]) -> None:
        self._loading = None
        if not done.cancelled():
            done.exception()  # whoever asked may have gone away meanwhile


def _hash(uuid: str) -> bytes:
    return hashlib.sha256(uuid.lower()[:MAX_SHOWN].encode("utf-8", "surrogatepass")).digest()
