"""Whether this instance reaches MoySklad at all, over all accounts: the other instances may, and then should attend instead.

A request without any answer only raises the doubt: it may be the account's, or a slow object's. A bare request of our own
settles it. Any HTTP answer, of whatever status, is reaching.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
import structlog

log = structlog.get_logger("moysklad")

PROBE_S: Final = 2.0
"""How long the bare request may take; MoySklad answers one in 0.2 s."""

PAUSE_S: Final = 3.0
"""Between two of them while nothing answers: 20 a minute, without credentials, count against nobody's limit."""


class Reach:
    """``probe`` asks something small of MoySklad and returns when anything answered. ``run`` it as long as requests go out."""

    def __init__(self, probe: Callable[[], Awaitable[None]]) -> None:
        self._probe = probe
        self._doubted = asyncio.Event()
        self.away = False
        """Nothing answers here."""

    @property
    def doubted(self) -> bool:
        """Whether a request got no answer and none has come since."""
        return self._doubted.is_set()

    def answered(self) -> None:
        """MoySklad answered a request, whatever it said."""
        self._doubted.clear()
        if self.away:
            self.away = False
            log.info("moysklad_reached_again")

    def silent(self) -> None:
        """A request got no answer: refused, cut, or too late."""
        self._doubted.set()

    async def run(self) -> None:
        """Settle doubts until cancelled."""
        while True:
            await self._doubted.wait()
            try:
                async with asyncio.timeout(PROBE_S):
                    await self._probe()
            except (TimeoutError, aiohttp.ClientError, OSError) as error:
                if self._doubted.is_set() and not self.away:
                    self.away = True
                    log.warning("moysklad_not_reached", reason=type(error).__name__)
                await asyncio.sleep(PAUSE_S)
            else:
                self.answered()
