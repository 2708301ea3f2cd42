"""What is remembered of each MoySklad account for a while: bounded, never across credentials, learned by one while others wait."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Generic, NewType, TypeVar

from adapters.moysklad.transport import Trail
from core.effects import Account

MAX_ACCOUNTS: Final = 1_000

T = TypeVar("T")
Mark = NewType("Mark", bytes)


def mark_of(account: Account) -> Mark:
    """Names an enterprise together with its credentials, without holding them: other ones may mean another MoySklad."""
    text = "\0".join((account.enterprise, account.phone_key, account.api_token))
    return Mark(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest())


class PerAccount(Generic[T]):
    """One ``T`` for each account, made when it is first asked for; of more than :data:`MAX_ACCOUNTS` the longest unused goes."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._known: OrderedDict[Mark, T] = OrderedDict()

    def of(self, account: Account) -> T:
        """What is remembered of this account."""
        mark = mark_of(account)
        if mark not in self._known:
            self._known[mark] = self._make()
        self._known.move_to_end(mark)
        while len(self._known) > MAX_ACCOUNTS:
            self._known.popitem(last=False)
        return self._known[mark]

    def forget(self, account: Account) -> None:
        """Remember nothing of it."""
        self._known.pop(mark_of(account), None)

    def __len__(self) -> int:
        return len(self._known)


@asynccontextmanager
async def held(lock: asyncio.Lock, trail: Trail) -> AsyncIterator[None]:
    """Hold a lock. An effect that has to wait for it first gives back its place at the turnstile: the lock's holder may need
    that place."""
    if lock.locked():
        trail.give_back()
    async with lock:
        yield
