"""An enterprise's recent clicks and what became of them, from the read model (PRODUCT E5)."""

from __future__ import annotations

from typing import Any, Final

from adapters.outages import unavailable
from adapters.postgres.database import load_sql

PAGE: Final = 50
FOREVER_MS: Final = 2**62

_LIST, _SIGNED = load_sql("clicks_list"), load_sql("clicks_signed")


async def recent_clicks(
    pool: Any, enterprise: str, *, before_ms: int = FOREVER_MS, before_click: str = "", bad: bool = False, limit: int = PAGE
) -> dict[str, Any]:
    """Clicks, newest first: ``clicks``, and what asks for older ones, ``before`` and ``before_click`` (None: there are none).

    Both say where the page ends, because several clicks may come in one millisecond; the moment alone leaves out the rest of them.
    ``bad``: only those that came to nothing. Raises StoreUnavailable.
    """
    with unavailable("the clicks cannot be read"):
        rows = await pool.fetch(_LIST, enterprise, before_ms, bad, limit, before_click)
    clicks = [dict(row) for row in rows]
    last = clicks[-1] if len(clicks) == limit else {}
    return {"clicks": clicks, "before": last.get("at_ms"), "before_click": last.get("click")}


async def signature_seen(pool: Any, enterprise: str) -> dict[str, Any]:
    """What is known of MoySklad's signature: the reading that ``fitted`` last and when, the verdict on the ``last`` click and when.

    Raises StoreUnavailable.
    """
    with unavailable("the clicks cannot be read"):
        return dict(await pool.fetchrow(_SIGNED, enterprise))
