"""Who looked and who changed, for the operator (PRODUCT D5). Kept for a while, not for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog

from adapters.postgres.database import DATABASE_ERRORS, load_sql, still_wanted

KEPT_DAYS: Final = 365
KEPT_ROWS: Final = 500_000
"""Some 100 MB."""

PAGE: Final = 100

log = structlog.get_logger("audit")

_ADD, _LIST, _PRUNE = load_sql("audit_add"), load_sql("audit_list"), load_sql("audit_prune")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the journal. ``details`` holds no secret: whoever notes sees to it."""

    id: int
    at: datetime
    actor: str
    address: str
    action: str
    enterprise: str | None
    object: str
    details: Mapping[str, Any]


class Audit:
    """The journal of actions."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def note(
        self,
        action: str,
        *,
        actor: str,
        address: str,
        enterprise: str | None = None,
        object_: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Write one line. What was done is done, also when the database has gone away meanwhile: then the log has the line."""
        try:
            await self._pool.execute(_ADD, actor, address, action, enterprise, object_, dict(details or {}))
        except DATABASE_ERRORS as error:
            still_wanted(error)
            log.error("audit_not_written", action=action, actor=actor, enterprise=enterprise, reason=type(error).__name__)

    async def page(
        self, *, before: int | None = None, enterprise: str | None = None, actions: Sequence[str] | None = None, limit: int = PAGE
    ) -> list[Entry]:
        """Lines, newest first, older than ``before``."""
        rows = await self._pool.fetch(_LIST, before, enterprise, list(actions) if actions else None, limit)
        return [Entry(**dict(row)) for row in rows]


async def prune(pool: Any) -> None:
    """Forget what is too old, or too much."""
    await pool.execute(_PRUNE, KEPT_DAYS, KEPT_ROWS)
