"""What a hangup proves: whether it was heard over AMI, whether its end was heard at all, which of several proves more."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from core.events import ClickJoined, HangupObserved, Observation
from core.values import OUTGOING

AMI_WIRE: Final = "ami/"
"""How the wire's name begins of what was heard over AMI."""


def is_ami(event: Observation) -> bool:
    """Whether it was heard over AMI (:attr:`core.ami_peers.Pbx.wire`), in order and with exact times."""
    return event.wire.startswith(AMI_WIRE)


def is_unheard_end(hangup: HangupObserved) -> bool:
    """Whether the call ended while the connection to the PBX was away: how, and exactly when, nobody heard."""
    return is_ami(hangup) and not hangup.verdict


def better_hangup(known: HangupObserved, event: HangupObserved) -> HangupObserved:
    """Of two hangups of one call the one that proves more: AMI's word, then an answer, then who, then a known end."""

    def proves(hangup: HangupObserved) -> tuple[bool, bool, bool, bool, bool, int]:
        return (
            bool(hangup.verdict),
            not is_unheard_end(hangup),
            hangup.answered,
            bool(hangup.extensions),
            hangup.ended_ms is not None,
            hangup.ended_ms or 0,
        )

    return event if proves(event) > proves(known) else known


def hangup_beside(hangup: HangupObserved | None, click: ClickJoined) -> HangupObserved | None:
    """The employee's own picking up is no answer of the customer's, and the end of that ringing no end of the call."""
    if hangup is None or not is_own_telephone(hangup, click):
        return hangup
    return None if click.own_leg else replace(hangup, answered=False)


def is_own_telephone(hangup: HangupObserved, click: ClickJoined | None) -> bool:
    """Whether a clicked call's hangup tells of nothing but the telephone of whoever clicked."""
    return click is not None and hangup.direction is not OUTGOING and set(hangup.extensions) <= {click.extension}
