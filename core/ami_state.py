"""What one AMI connection knows of its Asterisk: channels, bridges, and the calls they make up. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from core.ami_clock import PbxClock
from core.ami_peers import Party
from core.ami_verdict import Leg
from core.values import ANONYMOUS, Direction

MAX_CHANNELS: Final = 5_000
MAX_BRIDGES: Final = 5_000
MAX_TRACKS: Final = 5_000
"""An Asterisk of this size carries a few hundred calls; beyond these the oldest are forgotten, so that nothing grows for ever."""

MAX_LEGS: Final = 500
MAX_SAID: Final = 500
MAX_RAW: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel that is up. ``call`` is its Linkedid, ``state`` Asterisk's number (4 rings here, 5 rings there, 6 is up).

    ``called``: Asterisk made it by calling somebody, so that nobody arrived on it.
    """

    id: str
    name: str
    party: Party
    call: str
    born_ms: int
    state: int = 0
    caller_id: str = ""
    connected: str = ""
    bridge: str = ""
    called: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """One bridge. ``members`` are the channels in it; ``told`` those who were told to be, also from behind a Local pair.

    ``holding``: parked calls wait there, and nobody talks. ``ever``: something was told of it. ``said``: digests of what was.
    ``resumed``: it was met in use, and what is told of it from now on is no repeat of what was told before.
    """

    id: str
    members: tuple[str, ...] = ()
    told: frozenset[str] = frozenset()
    holding: bool = False
    ever: bool = False
    resumed: bool = False
    said: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class HungUp:
    """Who asked to hang up. ``trying``: somebody was still being called, or waited in a queue."""

    by: str
    at_ms: int
    trying: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What is held back for a moment, so that a ring group is one dial and the end of a call one hangup.

    ``begun``, ``ended``: channels of legs; ``over_ms``: when the call's last channel went, so far.
    """

    begun: tuple[str, ...] = ()
    begun_ms: int = 0
    begun_raw: tuple[Mapping[str, Any], ...] = ()
    ended: tuple[str, ...] = ()
    ended_ms: int = 0
    ended_raw: tuple[Mapping[str, Any], ...] = ()
    over_ms: int | None = None
    over_raw: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One call (a Linkedid).

    * ``customer``: the channel of an incoming call's customer; ``caller``: the extension that calls;
      ``alias``: the telephone that stands for the call's own channel, where that is half of a Local channel.
    * ``hung``: who asked to hang up; ``turned_away``: the PBX itself refused the caller (``Congestion``, ``Busy``);
      ``cause``: of the call's own channel.
    * ``told``: something was said of it, so that its end must be, too; ``done``: that was said.
    * ``resumed_ms``: when it was last met in progress: what is said of it from then on is no repeat of what was said before,
      and what happened just before may not have been heard. ``gap``: its end was not heard.
    * ``pending``, ``due_ms``: what is held back, and until when; ``said``: digests of what was said.
    """

    id: str
    born_ms: int
    direction: Direction | None = None
    number: str = ANONYMOUS
    trunk: str = ""
    caller: str = ""
    customer: str = ""
    alias: str = ""
    legs: tuple[Leg, ...] = ()
    talked: tuple[str, ...] = ()
    answered_ms: int | None = None
    hung: HungUp | None = None
    queued: bool = False
    cause: int | None = None
    turned_away: bool = False
    told: bool = False
    done: bool = False
    resumed_ms: int | None = None
    gap: bool = False
    pending: Pending = field(default_factory=Pending)
    due_ms: int | None = None
    said: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ami:
    """What one connection knows. A process begins with ``Ami()`` and a resync; a re-connection goes on with what it knew.

    ``due_ms``: call ``tick`` then, if no message comes before (None: nothing waits). ``last_ms``: the PBX was last heard then.
    """

    clock: PbxClock = field(default_factory=PbxClock)
    channels: Mapping[str, Channel] = field(default_factory=dict)
    bridges: Mapping[str, Bridge] = field(default_factory=dict)
    tracks: Mapping[str, Track] = field(default_factory=dict)
    last_ms: int = 0
    due_ms: int | None = None
