"""One step of ringing: who was rung, when and in which direction, and whether it only repeats what was told before."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from core.events import ClickJoined
from core.values import INTERNAL, OUTGOING, Direction

ECHO_MS: Final = 15_000
"""A PBX that tells of a call in two ways may be this much later with the second one."""


class Dial(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One Dial step: who was rung, in which direction, when it was heard. ``exact``: over AMI, which also tells when it ends.

    ``asked``: nobody was heard to be rung yet, only a card was asked for (PRODUCT A5).
    """

    direction: Direction
    extensions: tuple[str, ...]
    heard_ms: int
    trunk: str = ""
    exact: bool = False
    asked: bool = False


def is_echo(dials: tuple[Dial, ...], step: Dial) -> bool:
    """Whether the PBX script only repeats here what AMI told before: telephones that stopped ringing must not ring again."""
    if step.exact:
        return False
    recent = [dial for dial in dials if dial.exact and 0 <= step.heard_ms - dial.heard_ms <= ECHO_MS]
    if not recent:
        return False
    told = {extension for dial in recent if dial.direction is step.direction for extension in dial.extensions}
    return bool(step.extensions) and told.issuperset(step.extensions)


def dial_beside(dial: Dial, click: ClickJoined | None) -> Dial:
    """A clicked call never comes in: what looks so is the employee's telephone, with the customer's number on its display."""
    return dial if click is None or dial.direction is OUTGOING else replace(dial, direction=INTERNAL)
