"""Asking a telephone exchange to make a call for an employee: the port behind click-to-call (PRODUCT E5).

Whichever way it goes (the provider's HTTP API, AMI ``Originate``), three endings are told apart, because an employee's
telephone must never ring twice for one click: the order was given, it certainly was not (nobody was rung), or nobody knows.
``tests/contracts/originator.py`` states it as tests that every implementation passes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol

ORIGINATE_S: Final = 8.0
"""An order answers within so long, whatever the exchange does. What is slower is in doubt."""

_EXTENSION: Final = re.compile(r"[0-9]{2,6}")
_NUMBER: Final = re.compile(r"\+?[0-9]{5,15}")
_CHANNEL_ID: Final = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origination:
    """One order: ring ``extension`` of ``enterprise``, and once it is picked up, call ``number``.

    ``extension``: 2 to 6 digits. ``number``: 5 to 15 digits, with a plus before them when it is a whole international number:
    whoever carries it out may put either into a command as it is. ``channel_id`` (``[a-z0-9-]``, at most 40 characters, never
    used twice): becomes the UniqueId, and so the call's id, where the way of calling can choose it (an AMI ``ChannelId``).
    ``within_s``: the exchange is given the order so soon, or not at all: whoever clicked waits at the telephone.
    Raises ValueError for anything else.
    """

    enterprise: str
    extension: str
    number: str
    channel_id: str
    within_s: float = ORIGINATE_S

    def __post_init__(self) -> None:
        for name, form in (("extension", _EXTENSION), ("number", _NUMBER), ("channel_id", _CHANNEL_ID)):
            if form.fullmatch(getattr(self, name)) is None:
                raise ValueError(f"{name} is not {form.pattern}")


class OriginationError(Exception):
    """An order that was not carried out as far as is known: ``error`` says what happened and to what, ``remedy`` what helps.

    Neither holds a secret, an address with one in it, or a telephone number.
    """

    def __init__(self, error: str, remedy: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.remedy = remedy


class OriginationRefused(OriginationError):
    """Certainly nobody was rung: no connection, a refusal, a wrong answer before anything was dialled."""


class OriginationInDoubt(OriginationError):
    """It may ring: the order went out, and no answer that can be understood came back. It must not be repeated."""


class Originator(Protocol):
    """One way to have calls made."""

    def serves(self, enterprise: str) -> bool:
        """Whether an order of this enterprise can be given this way at this moment (there is a connection, say)."""
        ...

    async def originate(self, order: Origination) -> None:
        """Give the order; returns once the exchange has taken it, which is before anybody picks up.

        Raises OriginationRefused or OriginationInDoubt, within ``ORIGINATE_S``; StoreUnavailable where the database is needed
        for it and does not answer (nobody was rung then). Cancelled, it leaves the order in doubt.
        """
        ...
