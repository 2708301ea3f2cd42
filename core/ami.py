"""What an Asterisk says over its manager interface (AMI), translated into the same observations as the PBX script's wire.

(The signatures are final; what stands behind them is being written.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.call import Call
from core.signals import Heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Pbx:
    """One Asterisk, as configured. ``name`` is unique among all connections and marks what was heard through this one.

    ``trunks``: peers through which the outside world is reached, as they stand in channel names: ``trunk-alpha`` for
    ``PJSIP/trunk-alpha-0000000d``; with its technology (``DAHDI/i1``) where the peer alone would be ambiguous.
    ``extensions``: a regular expression of peers that are employees' telephones; its first group, if it has one, is the
    extension. Empty: 2 to 6 digits. A peer that is neither is taken for a trunk.
    """

    name: str
    enterprise: str
    trunks: tuple[str, ...] = ()
    country: str = "BY"
    extensions: str = ""

    @property
    def wire(self) -> str:
        """What ``Observation.wire`` says of everything heard through this connection."""
        return f"ami/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ami:
    """What one connection knows of its Asterisk. A new connection begins with ``Ami()`` and a ``resync``.

    ``due_ms``: call :func:`tick` then, if no message comes before (None: nothing waits).
    """

    due_ms: int | None = None


def hear(state: Ami, message: Mapping[str, str], heard_ms: int, pbx: Pbx) -> tuple[Ami, tuple[Heard, ...]]:
    """Take in one message, events and answers to ``Ping`` alike (their Timestamp shows how far the PBX's clock is off).

    ``heard_ms`` is when it was read from the socket. Never raises; what means nothing for calls gives nothing.
    """
    raise NotImplementedError


def tick(state: Ami, now_ms: int, pbx: Pbx) -> tuple[Ami, tuple[Heard, ...]]:
    """Give out what was held back for a moment (the telephones of a ring group; the last legs of a call that ends)."""
    raise NotImplementedError


def resync(
    state: Ami, channels: Sequence[Mapping[str, str]], open_calls: Sequence[Call], heard_ms: int, pbx: Pbx
) -> tuple[Ami, tuple[Heard, ...]]:
    """After a connection or re-connection: what the PBX says is up now, against what was thought to be.

    ``channels``: the CoreShowChannel events of a CoreShowChannels that was asked *before* the first message that goes to
    :func:`hear`. ``open_calls``: the folded calls of this connection (see :attr:`Pbx.wire`) that are not known to be over.
    Calls that ended meanwhile are closed; of calls that go on, the channels, dials and talks are as the PBX says now.
    """
    raise NotImplementedError
