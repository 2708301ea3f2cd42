"""Secrets at rest: single strings encrypted with the service's keys (PRODUCT D4). The first key encrypts, all decrypt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from core.settings import map_secrets

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
        return map_secrets(config, self.encrypt)

    def decrypt_fields(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with every secret field in the clear; what another key encrypted stays encrypted.

        A lost key must not lose calls: they are recorded all the same, and the token is entered again.
        """
        return map_secrets(config, self._decrypt_if_ours)

    def _decrypt_if_ours(self, stored: str) -> str:
        try:
            return self.decrypt(stored)
        except WrongKey:
            return stored


def is_encrypted(value: object) -> bool:
    """Whether this is a secret that could not be decrypted: of no use, and nobody's token."""
    return isinstance(value, str) and value.startswith(PREFIX)
