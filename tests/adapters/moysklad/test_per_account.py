"""What is remembered of accounts: within a bound, never across credentials; who waits for it stands in nobody's way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from adapters.moysklad.per_account import MAX_ACCOUNTS, PerAccount, held, mark_of
from adapters.moysklad.transport import Trail
from adapters.moysklad.turnstile import Place
from core.effects import Account

ACCOUNT = Account(enterprise="0367", phone_key="phone", api_token="token")


def test_accounts_are_remembered_within_a_bound_and_the_longest_unused_goes() -> None:
    known: PerAccount[list[str]] = PerAccount(list)
    first = known.of(ACCOUNT)
    for number in range(MAX_ACCOUNTS + 5):
        known.of(replace(ACCOUNT, api_token=f"token-{number}"))
        assert known.of(ACCOUNT) is first
    assert len(known) == MAX_ACCOUNTS
    known.forget(ACCOUNT)
    assert known.of(ACCOUNT) is not first


@pytest.mark.parametrize("other", [{"enterprise": "0999"}, {"phone_key": "another"}, {"api_token": "another"}])
def test_nothing_is_remembered_across_credentials_and_none_is_kept(other: dict[str, Any]) -> None:
    known: PerAccount[list[str]] = PerAccount(list)
    assert known.of(ACCOUNT) is not known.of(replace(ACCOUNT, **other))
    assert mark_of(ACCOUNT) != mark_of(replace(ACCOUNT, **other))
    assert mark_of(ACCOUNT).find(b"token") < 0


async def test_whoever_waits_gives_back_his_place() -> None:
    class Counted:
        left = 0

        def leave(self) -> None:
            self.left += 1

    lock, place = asyncio.Lock(), Counted()
    trail = Trail(place=cast(Place, place))
    async with held(lock, trail):
        assert place.left == 0, "nobody is waited for"
        waiting = asyncio.create_task(_hold(lock, trail))
        await asyncio.sleep(0)
        assert place.left == 1
    await waiting
    assert trail.place is None


async def _hold(lock: asyncio.Lock, trail: Trail) -> None:
    async with held(lock, trail):
        pass
