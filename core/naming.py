"""The names under which things of a call are known at MoySklad: the same for every attempt, on every instance."""

from __future__ import annotations

from core.call import Call


def external_id(call: Call) -> str:
    """The call's stable name at MoySklad: the same for every attempt, on every instance, after every restart (PRODUCT C1)."""
    return f"{path_safe(call.enterprise)}-{call.id}"


def path_safe(text: str) -> str:
    """An enterprise number as it may stand in a URL path."""
    return "".join(char if char.isalnum() and char.isascii() else "~" for char in text) or "inline"
