"""Which fields of an enterprise's settings are secrets, and how they may be shown (PRODUCT D4)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

SECRET_FIELDS: Final = ("integration_code", "api_token")
"""The two that the service itself uses; anything else that is called a token, key or password is kept as one too."""

MASK: Final = "••••"
SHOWN_TAIL: Final = 4
SHORTEST_SHOWN: Final = 12
"""Of a shorter secret nothing is shown: four characters of it would be too much."""

_SECRET_NAME: Final = re.compile(r"token|secret|passw|(?:\A|_)key(?:\Z|_)|\Aintegration_code\Z", re.IGNORECASE)
_MASKED: Final = re.compile(r"[•*]{3,}[^•*]{0,4}")


def is_secret_field(name: str) -> bool:
    """Whether a field of this name holds a secret."""
    return _SECRET_NAME.search(name) is not None


def is_masked(value: object) -> bool:
    """Whether a secret came back as it had been shown: it is not a new one."""
    return isinstance(value, str) and _MASKED.fullmatch(value.strip()) is not None


def mask(secret: str) -> str:
    """A secret as it may be shown: at most its last four characters, and nothing of a short one."""
    if not secret:
        return ""
    return MASK + secret[-SHOWN_TAIL:] if len(secret) >= SHORTEST_SHOWN else MASK


def map_secrets(config: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """The same settings with every secret changed, however deep it is."""

    def walk(name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: walk(str(key), item) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(name, item) for item in value]
        return change(value) if isinstance(value, str) and is_secret_field(name) else value

    return {key: walk(str(key), value) for key, value in config.items()}


def masked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they may be shown: every secret masked."""
    return map_secrets(config, mask)


def fingerprint(config: Mapping[str, Any]) -> str:
    """Names this content: a change made by somebody else is seen by it. Not reversible."""
    return hashlib.sha256(orjson.dumps(config, option=orjson.OPT_SORT_KEYS)).hexdigest()
