"""Cards that an administrator shows an employee to try them (PRODUCT D1): each goes by itself, and before the service does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from adapters.moysklad.accounts import Accounts, TestCard, trial_card
from core.effects import Account, Refused, Unavailable

STANDS_S: Final = 15.0
HIDDEN_AFTER_S: Final = (STANDS_S, 5.0, 30.0)
"""How long before it is hidden, and before that is tried again."""

MAX_SHOWN: Final = 20
CLOSE_S: Final = 3.0
"""How long a service that ends waits for MoySklad to take the cards back."""


class TooManyShown(Exception):
    """So many cards stand already that no further one is shown."""


class TrialCards:
    """Shows cards and hides them. ``close`` it before MoySklad's connections are."""

    def __init__(self, accounts: Accounts, now_ms: Callable[[], int]) -> None:
        self._accounts = accounts
        self._now_ms = now_ms
        self._closing = asyncio.Event()
        self._standing: set[asyncio.Task[None]] = set()

    async def show(self, account: Account, extension: str, employee: str) -> TestCard:
        """Show one, marked as a test; it goes by itself. Raises TooManyShown, Refused, Unavailable."""
        if len(self._standing) >= MAX_SHOWN or self._closing.is_set():
            raise TooManyShown
        card = trial_card(extension, employee, self._now_ms())
        try:
            card = await self._accounts.send_test_card(account, card)
        except (Unavailable, asyncio.CancelledError) as error:
            if not isinstance(error, Unavailable) or error.ambiguous:
                self._goes(account, card)  # it may stand, whatever became of the answer
            raise
        self._goes(account, card)
        return card

    def _goes(self, account: Account, card: TestCard) -> None:
        hiding = asyncio.create_task(self._hide_later(account, card), name=f"test card of {card.extension}")
        self._standing.add(hiding)
        hiding.add_done_callback(self._standing.discard)

    async def close(self) -> None:
        """Hide at once what still stands: nobody else knows of it."""
        self._closing.set()
        if standing := list(self._standing):
            await asyncio.wait(standing, timeout=CLOSE_S)
        for each in standing:
            each.cancel()
        await asyncio.gather(*standing, return_exceptions=True)

    async def _hide_later(self, account: Account, card: TestCard) -> None:
        for wait_s in HIDDEN_AFTER_S:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._closing.wait()
            with contextlib.suppress(Refused, Unavailable):
                await self._accounts.hide_test_card(account, card, self._now_ms())
                return
