"""Instances that share a database must share the secret key: with another one a token is unreadable, and every call is parked."""

from __future__ import annotations

from typing import Any, Final

from adapters.postgres.database import TRANSACTION_S, limit_transaction, load_sql
from adapters.vault import Vault, WrongKey

WORD: Final = "ms-call-service"

_READ, _WRITE, _LIVING = load_sql("key_check_read"), load_sql("key_check_write"), load_sql("key_check_living")


class KeysDiffer(ValueError):
    """Another instance that lives has another key."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"MS_SECRET_KEY differs from that of the instance at {address}, which shares this database: "
            "start all instances with the same MS_SECRET_KEY"
        )


async def agree_on_key(connection: Any, vault: Vault) -> None:
    """Store a text encrypted with our key, or check that our key reads the one that is stored. Raises KeysDiffer.

    Where nobody else lives the key may have been lost or changed: then ours counts from now on (tokens are entered again).
    """
    async with connection.transaction():
        await limit_transaction(connection, TRANSACTION_S)
        await connection.execute(_WRITE, vault.encrypt(WORD), False)
        try:
            vault.decrypt(await connection.fetchval(_READ))
        except WrongKey:
            if (address := await connection.fetchval(_LIVING)) is not None:
                raise KeysDiffer(address) from None
            await connection.execute(_WRITE, vault.encrypt(WORD), True)
