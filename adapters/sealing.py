"""Tokens that somebody wrote into the row by SQL do not stay in the clear (PRODUCT D4): the service encrypts them where they stand.

Only the running service does: it has agreed on the key with the other instances (``key_check.py``). A tool that was started without
``MS_SECRET_KEY`` has another one, and would make the tokens unreadable for everybody.
"""

from __future__ import annotations

from typing import Any, Final

from adapters.postgres.database import load_sql
from adapters.settings_store import STORE, column
from adapters.vault import Vault
from core.settings import read_object

SEAL_EVERY_S: Final = 60.0
"""Between two looks: one reads every row of ``enterprises`` once, a few milliseconds for a thousand."""

_PLAIN, _LOCK = load_sql("settings_plain"), load_sql("settings_lock")


async def seal(pool: Any, vault: Vault) -> list[str]:
    """Encrypt the tokens that stand in the clear; whose they were. What the settings say stays, so there is no new revision.

    Raises database errors.
    """
    sealed = []
    for row in await pool.fetch(_PLAIN):
        if _sealed(row["integrations_config"], vault) is not None and await _seal_one(pool, vault, str(row["number"])):
            sealed.append(str(row["number"]))
    return sealed


async def _seal_one(pool: Any, vault: Vault, number: str) -> bool:
    async with pool.acquire() as connection, connection.transaction():
        stored = _sealed(await connection.fetchval(_LOCK, number), vault)  # whoever wrote it may have done so again
        if stored is not None:
            await connection.execute(STORE, number, stored)
    return stored is not None


def _sealed(whole: object, vault: Vault) -> Any:
    """The column with our tokens encrypted; None where none of them is in the clear."""
    config = read_object(read_object(whole).get("ms"))
    encrypted = vault.encrypt_fields(config)
    return None if encrypted == config else column(whole, encrypted)
