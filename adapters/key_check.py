"""Instances that share a database must share the secret key: with another one a token is unreadable, and every call is parked."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

import structlog

from adapters.postgres.database import AWAY, TRANSACTION_S, limit_transaction, load_sql, still_wanted
from adapters.vault import Vault, WrongKey

log = structlog.get_logger("key_check")

WORD: Final = "ms-call-service"

LOOK_S: Final = 0.2
"""Between two looks whether this instance counts among those that live, and two tries while the database is away."""

_READ, _WRITE, _LIVING = load_sql("key_check_read"), load_sql("key_check_write"), load_sql("key_check_living")


class KeysDiffer(ValueError):
    """Another instance that lives has another key."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"MS_SECRET_KEY differs from that of the instance at {address}, which shares this database: "
            "start all instances with the same MS_SECRET_KEY"
        )


class Joining(Protocol):
    """This instance among those that share the database."""

    @property
    def certain(self) -> bool:
        """Whether it has joined them, and nobody can have taken it for gone yet."""

    @property
    def node_id(self) -> str:
        """Its id among them."""


async def agree_on_key(connection: Any, vault: Vault, node_id: str = "") -> None:
    """Store a text encrypted with our key, or check that our key reads the one that is stored. Raises KeysDiffer.

    ``node_id``: this instance's own, once it has joined. Where nobody else lives the key may have been lost or
    changed: then ours counts from now on (tokens are entered again).
    """
    async with connection.transaction():
        await limit_transaction(connection, TRANSACTION_S)
        await connection.execute(_WRITE, vault.encrypt(WORD), False)
        try:
            vault.decrypt(await connection.fetchval(_READ))
        except WrongKey:
            if (address := await connection.fetchval(_LIVING, node_id)) is not None:
                raise KeysDiffer(address) from None
            await connection.execute(_WRITE, vault.encrypt(WORD), True)


async def agree_once_joined(pool: Any, vault: Vault, instance: Joining) -> None:
    """The same as soon as this instance has joined the others: two that start at the same moment do not see each other before.

    Raises KeysDiffer. A database that is away is waited for.
    """
    while True:
        try:
            if instance.certain:
                async with pool.acquire() as connection:
                    await agree_on_key(connection, vault, instance.node_id)
                return
        except AWAY as error:
            still_wanted(error)
            log.warning("key_check_waits_for_database", reason=type(error).__name__)
        await asyncio.sleep(LOOK_S)
