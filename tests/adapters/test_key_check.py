"""Instances with different keys do not work side by side; a key that was lost stops nobody who is alone."""

from __future__ import annotations

import asyncpg
import pytest
from cryptography.fernet import Fernet

from adapters.key_check import KeysDiffer, agree_on_key
from adapters.postgres.leases import PostgresLeases
from adapters.vault import Vault

OLD, NEW = Fernet.generate_key(), Fernet.generate_key()


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
