"""AMI as the tests play it: recorded or scripted messages, heard as the connection hears them, held against the truth.

Every folder of ``tests/recordings`` that holds AMI recordings has a ``truth.json``: beside it, or for ``ami/`` one above.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core import conclusions
from core.ami import Ami, Pbx, hear, resync, tick
from core.call import Call
from core.lifecycle import LIVE, Phase
from core.phone import digits
from core.signals import Heard
from core.values import ANONYMOUS
from tests.ami_lab import Line, core_show_channels
from tests.playback import FOLDER, TRUTH
from tests.settings import SETTINGS
from tests.world import ENTERPRISE, World

PBX = Pbx(name="lab", enterprise=ENTERPRISE, trunks=("trunk-alpha", "trunk-beta"), country="RU")
TOLERANCE_MS = 50

Truth = Mapping[str, Any]


def recordings() -> dict[str, Sequence[Truth]]:
    """``folder/name`` of every AMI recording, and the truth of its calls."""
    found: dict[str, Sequence[Truth]] = {f"ami/{name}": truth for name, truth in sorted(TRUTH.items())}
    for path in sorted(FOLDER.glob("asterisk*/truth.json")):
        found |= {f"{path.parent.name}/{name}": truth for name, truth in sorted(json.loads(path.read_text()).items())}
    return found


RECORDINGS = recordings()


def lines_of(name: str) -> list[Line]:
    """The messages of one recording (``folder/name``)."""
    lines = (json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines())
    return [(round(each["at"] * 1_000), each["event"]) for each in lines]


@dataclass(slots=True)
class Listener:
    """One connection: hears messages, meets every deadline on the way. ``said`` is all that came of it, and when."""

    pbx: Pbx = PBX
    state: Ami = field(default_factory=Ami)
    said: list[tuple[int, Heard]] = field(default_factory=list)

    def hear(self, line: Line) -> list[tuple[int, Heard]]:
        """One message, and what was due before it."""
        at_ms, message = line
        return [*self.until(at_ms), *self._take(at_ms, hear(self.state, message, at_ms, self.pbx))]

    def hear_all(self, lines: Iterable[Line]) -> list[tuple[int, Heard]]:
        """Several, and then all that was held back."""
        found = [each for line in lines for each in self.hear(line)]
        return [*found, *self.until(None)]

    def until(self, at_ms: int | None) -> list[tuple[int, Heard]]:
        """Time passes (None: until nothing is held back any more)."""
        found: list[tuple[int, Heard]] = []
        while (due_ms := self.state.due_ms) is not None and (at_ms is None or due_ms <= at_ms):
            found += self._take(due_ms, tick(self.state, due_ms, self.pbx))
        return found

    def resync(self, channels: Sequence[Mapping[str, str]], open_calls: Sequence[Call], at_ms: int) -> list[tuple[int, Heard]]:
        """Listening (again) after a gap."""
        return self._take(at_ms, resync(self.state, channels, open_calls, at_ms, self.pbx))

    def _take(self, at_ms: int, result: tuple[Ami, tuple[Heard, ...]]) -> list[tuple[int, Heard]]:
        self.state, heard = result
        fresh = [(at_ms, each) for each in heard]
        self.said += fresh
        return fresh


def deliver(world: World, said: Iterable[tuple[int, Heard]]) -> None:
    """The service takes it in, at these times."""
    for at_ms, each in said:
        world.hear(each.stream, each.event, digest=each.digest, at_ms=max(at_ms, world.now_ms))


def heard_world(lines: Iterable[Line]) -> tuple[World, Listener]:
    """What the service makes of these messages, after every grace and retry."""
    world, listener = World(settings=SETTINGS), Listener()
    for line in lines:
        deliver(world, listener.hear(line))
    deliver(world, listener.until(None))
    world.finish()
    return world, listener


def gapped_world(lines: Sequence[Line], cut: int, lost: int, *, restarted: bool) -> tuple[World, Listener, list[Call]]:
    """The same, but after ``cut`` messages ``lost`` ones are not heard, and a resync follows; ``restarted``: by a service that
    knows its database only. Also the calls that went on right after the resync, as they were then."""
    world, listener = World(settings=SETTINGS), Listener()
    for line in lines[:cut]:
        deliver(world, listener.hear(line))
    at_ms = lines[cut + lost - 1][0] + 1
    deliver(world, [] if restarted else listener.until(at_ms))
    if restarted:
        listener = Listener()
    open_calls = [call for call in world.calls.values() if call.phase in (*LIVE, Phase.INTERNAL)]
    deliver(world, listener.resync(core_show_channels(lines[: cut + lost]), open_calls, at_ms))
    live = [call for call in world.calls.values() if call.is_live]
    for line in lines[cut + lost :]:
        deliver(world, listener.hear(line))
    deliver(world, listener.until(None))
    return world, listener, live


def customers(truth: Iterable[Truth]) -> list[Truth]:
    """The calls that MoySklad has: with a customer."""
    return [each for each in truth if each["direction"] != "internal"]


def differences(truth: Truth, call: Call) -> Iterator[str]:
    """Where a folded call differs from what happened on the telephones, in full."""
    hangup = call.hangup
    if hangup is None:
        yield "its end was not heard"
        return
    internal = truth["direction"] == "internal"
    talks = dict.fromkeys(talk.extension for talk in call.talks)
    got = {
        "direction": call.direction.value,
        "outcome": hangup.verdict if internal else str(conclusions.outcome(call)),
        "answered": hangup.answered,
        "rang": list(call.rung),
        "talked": list(hangup.extensions if internal and hangup.answered else talks),
        "hung_up_by": hangup.hung_up_by,
        "cause": hangup.cause,
        "trunk": hangup.trunk or None,
        "phone": None if internal else call.number if call.number == ANONYMOUS else digits(call.number),
    }
    for key, value in got.items():
        if value != truth[key]:
            yield f"{key} is {value!r}, not {truth[key]!r}"
    started_ms, ended_ms = hangup.received_ms or 0, hangup.ended_ms or 0
    talk_ms = 0 if hangup.answered_ms is None else ended_ms - hangup.answered_ms
    for key, ms in (("duration_s", ended_ms - started_ms), ("talk_s", talk_ms)):
        if abs(ms - truth[key] * 1_000) > TOLERANCE_MS:
            yield f"{key} is {ms / 1_000}, not {truth[key]}"
