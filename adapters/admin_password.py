"""The operator's password: where it comes from, and how one that is typed is compared with it (PRODUCT D5)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from concurrent.futures import Future
from threading import Thread
from typing import Final

import structlog

from adapters.environment import BadEnvironment, Environment, kept_secret

PASSWORD_FILE: Final = "admin.password"
LONGEST: Final = 1_000

_SALT: Final = b"ms-call-service/operator/1"
"""Fixed: instances must agree on the key that follows from the password. The password itself is not stored with it."""

COST: Final = {"n": 2**15, "r": 8, "p": 1, "maxmem": 2**26}
"""32 MiB and some 80 ms for each try."""

AT_ONCE: Final = 2
"""So many tries are worked on at the same time: memory and processor belong to the calls."""

log = structlog.get_logger("access")


def load_or_create_password(environment: Environment) -> str:
    """``MS_ADMIN_PASSWORD``, or the one that is made once and kept in ``<data_dir>/admin.password``, mode 0600.

    The log says where it is, never what it is. Raises BadEnvironment when the file cannot be used.
    """
    if environment.admin_password is not None:
        return environment.admin_password
    path = environment.data_dir / PASSWORD_FILE
    try:
        text, is_new = kept_secret(path, lambda: secrets.token_urlsafe(18))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadEnvironment(
            "MS_ADMIN_PASSWORD", f"is absent and {path} cannot be used ({reason})", "set it, or make the file readable"
        ) from error
    if not text:
        raise BadEnvironment("MS_ADMIN_PASSWORD", f"is absent and {path} is empty", "write a password into it, or remove it")
    if is_new:
        log.info("admin_password_made", file=str(path))
    return text


class AdminPassword:
    """The password as a key derived from it by scrypt; the text itself is not kept.

    That takes a tenth of a second, which a start does not wait for: whoever asks within it does.
    """

    def __init__(self, password: str) -> None:
        self._deriving: Future[bytes] = Future()
        Thread(target=_derive, args=(password, self._deriving), name="password", daemon=True).start()
        self._room = asyncio.Semaphore(AT_ONCE)

    @property
    def _key(self) -> bytes:
        return self._deriving.result()

    @property
    def session_key(self) -> bytes:
        """What session ids are hashed with: another password ends every session."""
        return hmac.digest(self._key, b"sessions", "sha256")

    async def matches(self, typed: str) -> bool:
        """Whether this is the password; takes as long for a wrong one."""
        async with self._room:
            key = await asyncio.to_thread(_derived, typed[:LONGEST])
        return hmac.compare_digest(key, self._key)


def _derive(password: str, told: Future[bytes]) -> None:
    try:
        told.set_result(_derived(password))
    except BaseException as error:
        told.set_exception(error)
        raise


def _derived(password: str) -> bytes:
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=_SALT, **COST)
