"""Secrets at rest: single strings encrypted with the service's keys (PRODUCT D4). The first key encrypts, all decrypt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from core.settings import SECRET_FIELDS

PREFIX: Final = "enc:v1:"


class WrongKey(Exception):
    """A stored secret was encrypted with a key that this service does not have."""

    def __init__(self) -> None:
        super().__init__(
            "a stored token was encrypted with another key; start with the MS_SECRET_KEY it was stored under, "
            "or enter the token again"
        )


class Vault:
    """Encrypts and decrypts. Plain text passes decryption unchanged: rows written by others are read as they are."""

    def __init__(self, keys: Sequence[str | bytes]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def encrypt(self, secret: str) -> str:
        """The secret as it is stored; empty stays empty, and what is encrypted already stays as it is."""
        if not secret or secret.startswith(PREFIX):
            return secret
        return PREFIX + self._fernet.encrypt(secret.encode()).decode()

    def decrypt(self, stored: str) -> str:
        """The secret itself. Raises WrongKey."""
        if not stored.startswith(PREFIX):
            return stored
        try:
            return self._fernet.decrypt(stored.removeprefix(PREFIX).encode()).decode()
        except InvalidToken:
            raise WrongKey from None

    def encrypt_fields(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with every secret field encrypted."""
        return {
            key: self.encrypt(value) if key in SECRET_FIELDS and isinstance(value, str) else value
            for key, value in config.items()
        }

    def decrypt_fields(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with every secret field in the clear. Raises WrongKey."""
        return {
            key: self.decrypt(value) if key in SECRET_FIELDS and isinstance(value, str) else value
            for key, value in config.items()
        }
