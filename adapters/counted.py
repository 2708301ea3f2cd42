"""Counts as the commands print them: ``1 call``, ``2,310 calls``."""

from __future__ import annotations


def counted(count: int, one: str) -> str:
    """So many of something. ``one``: the singular; the plural has an s at the end of it."""
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"
