"""The turnstiles of all accounts, by API and credential: limits are counted per user (CONTRACT-MOYSKLAD 2.2)."""

from __future__ import annotations

import hashlib
import random
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from adapters.moysklad.door import ADDRESS_PARALLEL
from adapters.moysklad.errors import Api
from adapters.moysklad.limits import PHONE_LIMIT, Clock, Limit, json_limit, monotonic_ms, wall_ms
from adapters.moysklad.traffic import AccountState, Traffic
from adapters.moysklad.turnstile import House, Turnstile

MAX_ACCOUNTS: Final = 2_000
"""Turnstiles kept; beyond it those with nothing to remember are forgotten."""

Mended = Callable[[Api, str], None]
"""Called with the API and the enterprise when that API answers again, or for the first time since the process began: calls that
were parked because the whole account was refused may be tried again. It runs inside the request that found out, so it must not
wait."""


def nobody(api: Api, enterprise: str) -> None:
    """The default: nothing follows from it."""


class LimitsRegistry:
    """Hands out turnstiles, and says how they stand. A credential itself is not kept.

    Args:
        clock: monotonic; now_ms: UTC, for what is shown and for the day from which a request weighs more.
        chance: 0 to 1 at random, so that the accounts do not come back in step after an outage.
        known_ms: for how long what was asked is known; a process that has just begun knows nothing.
        mended: see :data:`Mended`.
    """

    def __init__(
        self,
        *,
        max_accounts: int = MAX_ACCOUNTS,
        clock: Clock = monotonic_ms,
        now_ms: Clock = wall_ms,
        chance: Callable[[], float] = random.random,
        known_ms: int = 0,
        mended: Mended = nobody,
    ) -> None:
        self._max_accounts = max_accounts
        self._now_ms = now_ms
        self._known: OrderedDict[tuple[Api, bytes], Turnstile] = OrderedDict()
        self._houses: Mapping[Api, House] = {
            api: House(
                api=api,
                limit=self._limit_of(api),
                clock=clock,
                born_ms=clock() - known_ms,
                chance=chance,
                mended=mended,
            )
            for api in Api
        }

    def __len__(self) -> int:
        return len(self._known)

    def of(self, api: Api, credential: str) -> Turnstile:
        """The turnstile for this credential."""
        key = _key(api, credential)
        turnstile = self._known.get(key)
        if turnstile is None:
            turnstile = self._known[key] = Turnstile(self._houses[api])
            self._forget_idle(key)
        self._known.move_to_end(key)
        return turnstile

    def forget(self, api: Api, credential: str) -> None:
        """Whatever is believed of this credential, the next request may try it: the settings changed, or a person asks."""
        if (turnstile := self._known.get(_key(api, credential))) is not None:
            turnstile.forget()

    def set_nodes(self, nodes: int) -> None:
        """So many instances live: each takes its part of what one address may ask at once (1.2)."""
        for house in self._houses.values():
            house.door.set_capacity(max(1, ADDRESS_PARALLEL // max(1, nodes)))

    def snapshot(self) -> tuple[AccountState, ...]:
        """How every account stands, those asked last at the end. For status and metrics."""
        now_ms = self._now_ms()
        return tuple(turnstile.describe(now_ms) for turnstile in self._known.values())

    def troubled(self) -> tuple[AccountState, ...]:
        """The same of those that let no request through, for every beat: where all are well, nobody's card waits for a look at all.

        Of two credentials of one enterprise the one asked last counts: the other was replaced.
        """
        unwell = set().union(*(house.unwell for house in self._houses.values()))
        if not unwell:
            return ()
        now_ms = self._now_ms()
        latest = {turnstile.whose: turnstile for turnstile in self._known.values()}
        troubled = [turnstile for turnstile in latest.values() if turnstile in unwell and not turnstile.is_forgotten]
        return tuple(turnstile.describe(now_ms) for turnstile in troubled)

    def traffic(self) -> Mapping[Api, Traffic]:
        """What was asked of each API."""
        return {api: house.traffic for api, house in self._houses.items()}

    def _limit_of(self, api: Api) -> Callable[[], Limit]:
        if api is Api.PHONE:
            return lambda: PHONE_LIMIT
        return lambda: json_limit(self._now_ms())

    def _forget_idle(self, newest: tuple[Api, bytes]) -> None:
        """Drop the longest unused that may be dropped without losing count; one in use stays, however many there are."""
        surplus = len(self._known) - self._max_accounts
        if surplus <= 0:
            return
        idle = [key for key, turnstile in self._known.items() if key != newest and turnstile.idle]
        for key in idle[:surplus]:
            del self._known[key]


def _key(api: Api, credential: str) -> tuple[Api, bytes]:
    return api, hashlib.blake2b(credential.encode("utf-8", "surrogatepass"), digest_size=16).digest()
