"""One call's way through the code, as a sequence diagram: a simulated call is played and watched, and what calls what is drawn."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

from tests.simulation.run import Run
from tests.simulation.scenario import Scenario, Script

ROOT: Final = Path(__file__).resolve().parent.parent

PLACES: Final = {
    "adapters/switchboard.py": "switchboard",
    "core/legs.py": "legs",
    "adapters/reactor.py": "reactor",
    "adapters/agenda.py": "agenda",
    "adapters/attendant.py": "attendant",
    "core/call.py": "call",
    "core/decisions.py": "decisions",
    "core/plan.py": "plan",
    "core/cards.py": "cards",
    "core/contact_plan.py": "contact_plan",
    "core/record.py": "record",
    "core/follow_up_plan.py": "follow_up_plan",
    "adapters/moysklad/gateway.py": "gateway",
    "adapters/moysklad/turnstile.py": "turnstile",
    "adapters/moysklad/phone_api.py": "phone_api",
    "adapters/moysklad/transport.py": "transport",
    "tests/simulation/database.py": "event store",
    "tests/simulation/network.py": "MoySklad",
}
"""The modules that are drawn. The last two stand in for PostgreSQL and the network."""

HIDDEN: Final = ("_", "is_", "has_", "wait_ms", "take", "release", "refused", "position", "initial", "iter_any", "customer_digits")
"""Functions that are left out by how they begin: what is asked in passing."""

OF_THE_CALL: Final = ("fold", "evolve")
"""What is drawn of ``core/call.py``: the rest are properties."""


@dataclass(slots=True)
class Watch:
    """Notes who calls whom, each pair of places and function once in each part of the call."""

    lines: list[str] = field(default_factory=list)
    on: bool = False
    _seen: set[tuple[str, str, str]] = field(default_factory=set)
    _places: dict[str, str] = field(default_factory=dict)

    def part(self, title: str) -> None:
        """What follows belongs to this part."""
        self._seen.clear()
        self.lines.append(f"  Note over switchboard,MoySklad: {title}")
        self.on = True

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """The profiler's hook."""
        if event != "call" or not self.on or not (here := self._place(frame)):
            return
        name = frame.f_code.co_name
        if name.startswith(HIDDEN) or "<" in name or (here == "call" and name not in OF_THE_CALL):
            return
        there = ""
        for up in _outwards(frame):
            if there := self._place(up):
                break
            if up.f_code.co_filename.endswith("tests/simulation/office.py"):
                return  # the administrator of the simulation
        key = (there, here, name)
        if there and there != here and key not in self._seen:
            self._seen.add(key)
            self.lines.append(f"  {there}->>{here}: {name}")

    def _place(self, frame: FrameType) -> str:
        path = frame.f_code.co_filename
        if path not in self._places:
            where = Path(path)
            inside = str(where.relative_to(ROOT)) if where.is_relative_to(ROOT) else ""
            self._places[path] = PLACES.get(inside, "")
        return self._places[path]


def _outwards(frame: FrameType) -> Iterator[FrameType]:
    up = frame.f_back
    while up is not None:
        yield up
        up = up.f_back


def drawn() -> str:
    """The diagram's source."""
    run = Run(Scenario(calls=(Script(rings=((0,),), pauses=(2_000,)),)))
    watch = Watch()
    tell = run.tell

    def told(who: str, what: str) -> None:
        tell(who, what)
        if "is on disk" in what:
            signal = what.split()[2].removesuffix("_observed")
            watch.part(f"{signal} is on disk")

    run.tell = told  # type: ignore[method-assign]
    sys.setprofile(watch)
    try:
        run.play()
    finally:
        sys.setprofile(None)
    places = list(dict.fromkeys(PLACES.values()))
    return "\n".join(["sequenceDiagram", *(f"  participant {place}" for place in places), *watch.lines])


if __name__ == "__main__":
    sys.stdout.write(drawn() + "\n")
