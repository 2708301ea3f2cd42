"""The load as bytes made beforehand: what a sender still has to do is to fill in ids of fixed width. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from bench.wire import post
from bench.work import KINDS, Call, enterprise_of, numbered

PATH: Final = "/internal/ms/call-event"
_NTH: Final = "@" * 8
_ENTERPRISE: Final = "#" * 4
_PHONE: Final = "&" * 7
_PLACE: Final = 987_654_321
_SENDER: Final = 8_765

SHAPE: Final = {
    "answered": (0.0, 0.02, 0.3, 0.3, 0.3, 0.97, 0.97, 0.98, 1.0),
    "missed": (0.0, 0.02, 1.0),
    "outgoing": (0.0, 0.02, 0.3, 0.3, 0.3, 0.97, 0.97, 0.98, 1.0),
    "internal": (0.02, 1.0),
}
"""When each signal of a call comes, as a share of the call's length."""


@dataclass(frozen=True, slots=True)
class Blank:
    """One signal with blanks. ``event`` is the PBX's name of it."""

    event: str
    data: bytes

    def filled(self, nth: int, enterprises: int, sender: int, place: int) -> bytes:
        """The signal of the nth call, as the ``place``-th of this sender."""
        return (
            self.data.replace(_NTH.encode(), b"%08d" % nth)
            .replace(_ENTERPRISE.encode(), enterprise_of(nth, enterprises).encode())
            .replace(_PHONE.encode(), b"%07d" % (nth % 10_000_000))
            .replace(b"%d:%d" % (_SENDER, _PLACE), b"%04d:%09d" % (sender, place))
        )


def blanks(mark: str, kind: str, start_s: float, *, lines: bool = False) -> tuple[Blank, ...]:
    """The signals of a call of this kind: as whole requests, or as lines of a stream. All of them keep their length when filled."""
    made = Call(id=f"{mark}{_NTH}", enterprise=_ENTERPRISE, number=f"37529{_PHONE}", start_s=start_s)
    bodies = [(event, numbered(body, _SENDER, _PLACE)) for event, body in made.bodies(kind)]
    return tuple(Blank(event, body + b"\n" if lines else post(PATH, body)) for event, body in bodies)


def external_id(mark: str, nth: int, enterprises: int) -> str:
    """What MoySklad calls the nth call of a load."""
    return f"{enterprise_of(nth, enterprises)}-{mark}{nth:08}.1"


def endless(mark: str, start_s: float, *, lines: bool = False) -> Iterator[tuple[int, Blank]]:
    """``(offset of the call, signal)``: calls of all kinds one after another, as one sender sends them."""
    made = {kind: blanks(mark, kind, start_s, lines=lines) for kind in set(KINDS)}
    offset = 0
    while True:
        for blank in made[KINDS[offset % len(KINDS)]]:
            yield offset, blank
        offset += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One signal of an open load: when it is due (s from the beginning), of which call, which event, and the request."""

    at_s: float
    nth: int
    event: str
    data: bytes


def events_a_call(kinds: Sequence[str] = KINDS) -> float:
    """How many signals a call has on average."""
    return sum(len(SHAPE[kind]) for kind in kinds) / len(kinds)


def length_s(*, per_s: float, live: int, kinds: Sequence[str] = KINDS) -> float:
    """How long a call must last for so many to be live at so many signals a second."""
    return live * events_a_call(kinds) / per_s


def planned(
    mark: str, *, per_s: float, live: int, seconds: float, enterprises: int, start_s: float, kinds: Sequence[str] = KINDS
) -> list[Planned]:
    """So many signals a second while so many calls are live, in order of time. The calls' length follows from the two.

    Each call begins somewhere within its turn, by chance but the same each time: of calls that began in step the signals would
    come in bursts, one of each kind at the same moment.
    """
    chance = Random(8023)
    calls_per_s = per_s / events_a_call(kinds)
    long_s = length_s(per_s=per_s, live=live, kinds=kinds)
    made = {kind: blanks(mark, kind, start_s) for kind in set(kinds)}
    found = []
    for nth in range(int(seconds * calls_per_s)):
        kind = kinds[nth % len(kinds)]
        begins_s = (nth + chance.random()) / calls_per_s
        for place, (share, blank) in enumerate(zip(SHAPE[kind], made[kind], strict=True)):
            at_s = begins_s + share * long_s + place * 1e-6
            if at_s <= seconds:
                found.append(
                    Planned(at_s=at_s, nth=nth, event=blank.event, data=blank.filled(nth, enterprises, nth % 10_000, place))
                )
    return sorted(found, key=lambda each: each.at_s)
