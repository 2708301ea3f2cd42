"""Instances with different keys do not work side by side; a key that was lost stops nobody who is alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from cryptography.fernet import Fernet

from adapters import key_check
from adapters.key_check import KeysDiffer, agree_on_key, agree_once_joined
from adapters.postgres.leases import PostgresLeases
from adapters.vault import Vault

OLD, NEW = Fernet.generate_key(), Fernet.generate_key()


@dataclass(slots=True)
class Instance:
    node_id: str = ""
    certain: bool = False


async def test_the_same_key_agrees_with_itself_and_with_its_successor(pg_pool: asyncpg.Pool, database_url: str) -> None:
    async with pg_pool.acquire() as connection, PostgresLeases(database_url) as leases:
        await agree_on_key(connection, Vault([OLD]))
        await leases.join("first", "127.0.0.1:8023")
        await agree_on_key(connection, Vault([OLD]))
        await agree_on_key(connection, Vault([NEW, OLD]))


async def test_another_key_beside_an_instance_that_lives_is_told_where_that_is(
    pg_pool: asyncpg.Pool, database_url: str
) -> None:
    async with pg_pool.acquire() as connection, PostgresLeases(database_url) as leases:
        await agree_on_key(connection, Vault([OLD]))
        await leases.join("first", "127.0.0.1:8023")
        with pytest.raises(KeysDiffer, match=r"127\.0\.0\.1:8023.*same MS_SECRET_KEY"):
            await agree_on_key(connection, Vault([NEW]))
        await agree_on_key(connection, Vault([OLD]))


async def test_a_new_key_counts_where_nobody_else_lives(pg_pool: asyncpg.Pool, database_url: str) -> None:
    async with pg_pool.acquire() as connection, PostgresLeases(database_url) as leases:
        await agree_on_key(connection, Vault([OLD]))
        await agree_on_key(connection, Vault([NEW]))
        await leases.join("second", "127.0.0.1:8024")
        with pytest.raises(KeysDiffer):
            await agree_on_key(connection, Vault([OLD]))


@pytest.mark.parametrize("whose_counts", [OLD, NEW], ids=["old", "new"])
async def test_of_two_that_start_at_the_same_moment_one_is_told_once_both_have_joined(
    pg_pool: asyncpg.Pool, database_url: str, whose_counts: bytes
) -> None:
    """None saw the other before."""
    async with pg_pool.acquire() as connection:
        await agree_on_key(connection, Vault([NEW if whose_counts is OLD else OLD]))
        await agree_on_key(connection, Vault([whose_counts]))
    instances = {OLD: Instance(), NEW: Instance()}
    told = [asyncio.create_task(agree_once_joined(pg_pool, Vault([key]), each)) for key, each in instances.items()]
    async with PostgresLeases(database_url) as leases:
        for number, each in enumerate(instances.values()):
            await leases.join(str(number), f"127.0.0.1:{8023 + number}")
            each.node_id, each.certain = str(number), True
        results = await asyncio.wait_for(asyncio.gather(*told, return_exceptions=True), 20)
    assert sorted(map(type, results), key=str) == sorted([KeysDiffer, type(None)], key=str)


async def test_whoever_has_joined_alone_is_no_other_instance_to_itself(pg_pool: asyncpg.Pool, database_url: str) -> None:
    async with pg_pool.acquire() as connection, PostgresLeases(database_url) as leases:
        await agree_on_key(connection, Vault([OLD]))
        await leases.join("me", "127.0.0.1:8023")
        await agree_once_joined(pg_pool, Vault([NEW]), Instance(node_id="me", certain=True))
        await agree_on_key(connection, Vault([NEW]))


async def test_a_database_that_is_away_when_an_instance_has_joined_is_waited_for(
    pg_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_check, "LOOK_S", 0.01)
    away = [OSError("gone"), asyncpg.CannotConnectNowError("starting")]

    class Pool:
        def acquire(self) -> Any:
            if away:
                raise away.pop()
            return pg_pool.acquire()

    await agree_once_joined(Pool(), Vault([OLD]), Instance(certain=True))
    assert away == []
