"""One step of ringing: what only repeats it, and what a click makes of it."""

from __future__ import annotations

from msgspec.structs import replace

from core.dials import ECHO_MS, Dial, dial_beside, is_echo
from core.events import ClickJoined
from core.values import Direction
from tests.scenario import NUMBER

TOLD = Dial(direction=Direction.INCOMING, extensions=("101", "102"), heard_ms=1_000, exact=True)
AGAIN = replace(TOLD, extensions=("102",), heard_ms=1_000 + ECHO_MS, exact=False)


def test_the_script_repeats_within_its_time_what_was_told_over_ami() -> None:
    assert is_echo((TOLD,), AGAIN)
    assert not is_echo((TOLD,), replace(AGAIN, heard_ms=AGAIN.heard_ms + 1)), "too late"
    assert not is_echo((TOLD,), replace(AGAIN, heard_ms=TOLD.heard_ms - 1)), "before"
    assert not is_echo((TOLD,), replace(AGAIN, extensions=("102", "103"))), "somebody else, too"
    assert not is_echo((TOLD,), replace(AGAIN, extensions=())), "nobody"
    assert not is_echo((TOLD,), replace(AGAIN, direction=Direction.INTERNAL)), "another direction"
    assert not is_echo((TOLD,), replace(AGAIN, exact=True)), "AMI repeats nothing"
    assert not is_echo((replace(TOLD, exact=False),), AGAIN), "the script rings anew"
    assert not is_echo((), AGAIN)


def test_a_clicked_call_never_comes_in() -> None:
    click = ClickJoined(settings_revision=1, wire="click/1", heard_ms=0, click="c", extension="101", number=NUMBER)
    assert dial_beside(TOLD, None) is TOLD
    assert dial_beside(TOLD, click) == replace(TOLD, direction=Direction.INTERNAL)
    out = replace(TOLD, direction=Direction.OUTGOING)
    assert dial_beside(out, click) is out
