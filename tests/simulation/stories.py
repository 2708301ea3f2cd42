"""What people do in one customer's call, step by step, and how much of it the PBX tells: a value.

Telling it (``tests/simulation/tale.py``, ``telling.py``) is total: a step that makes no sense where it stands (a transfer while
nobody talks) is left out, so that steps may be dropped and changed at will.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

EXTENSIONS: Final = ("101", "102", "103")
MOBILE: Final = 3
OWN: Final = 4
MOBILE_NUMBER: Final = "375447000001"
PHONES: Final = ("375290000001", "375290000002", "79161234567", "")
HIDDEN: Final = ("anonymous", "<unknown>", "", "Restricted")
LAG_MS: Final = 7_000
"""What is told later than this was downloaded (CONTRACT-ASTERISK, quirk 4)."""

MOST_LATE_MS: Final = 3_000
"""What is told of bridges lags by so much at most: a call waits five seconds for it, of which another instance's signals may take
one (``adapters.switchboard.POLL_S``)."""


class Act(StrEnum):
    """What somebody does. RING: the plan rings these; ANSWER: one of them picks up, or somebody who was not rung.

    CONSULT: who talks leaves the customer alone in the bridge, asks another one, comes back. ATTENDED: he leaves the customer
    with the other one. CONFERENCE: the other one joins them. BLIND: the customer is sent on. PARK: the customer waits in a
    bridge of his own until another one fetches him. CONNECT: a second customer calls the one who talks, who brings both together.
    """

    RING = "ring"
    ANSWER = "answer"
    CONSULT = "consult"
    ATTENDED = "attended"
    CONFERENCE = "conference"
    BLIND = "blind"
    PARK = "park"
    CONNECT = "connect"


class Telling(StrEnum):
    """How much of it is told: everything; all but the last hangup, which is downloaded later or never comes; dials and
    hangups; dials, and the hangups later; nothing but hangups."""

    ALL = "all"
    LATE_END = "late end"
    NO_END = "no end"
    ENDS = "ends"
    LATE_ENDS = "late ends"
    HANGUPS = "hangups"


BY_BRIDGES: Final = (Telling.ALL, Telling.LATE_END, Telling.NO_END)
"""Where bridges are told it is known who talked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One act. ``who``: extensions by index (MOBILE, OWN: numbers outside); ``ms``: how long it, or what follows, lasts;
    ``well``: the other one answers, or who was parked is fetched, or who made a conference leaves it."""

    act: Act
    who: tuple[int, ...] = (0,)
    ms: int = 3_000
    well: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """``legs_late_ms``: hangups of legs come so much later (downloaded if more than the wire lags); ``legs_upside_down``: their
    dials come after their hangups; ``bridges_late_ms``: what is told of bridges. ``silent``: the dial of a transfer is not told.
    ``merges``: who is consulted joins the customer's bridge instead of the other way round. ``late_ms``: what is downloaded, after
    the end. ``copied_ms``: the last hangup comes again. ``recorded``: which hangup brings a recording, in any of these ways:
    1 the last one, 2 those of legs, 4 the copy. ``sent_as``: the CallType under which the channel of a customer who was called,
    and sent on, dials and hangs up.
    """

    steps: tuple[Step, ...] = (Step(act=Act.RING),)
    outgoing: bool = False
    telling: Telling = Telling.ALL
    hidden: int = 0
    unnamed: bool = True
    silent: bool = False
    merges: bool = False
    legs_late_ms: int = 0
    legs_upside_down: bool = False
    bridges_late_ms: int = 0
    late_ms: int = 20_000
    copied_ms: int = 0
    recorded: int = 0
    sent_as: int = 2
