"""What is true of a call, whatever ``core`` makes of it, and what MoySklad must show of it at the end and meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from core.values import ANONYMOUS
from tests.moysklad_model import Row

NOBODY: Final = ""
UNRECOGNISED: Final = "150"
"""Who takes the calls that nobody can be named for, where the settings say so (``tests.simulation.office``)."""

END_MS: Final = 1_100
"""The PBX's times are cut to the second."""

STEADY_MS: Final = 3_500
"""A card that has to stand, or to be gone, for so long is looked at when that time is over."""

_MISSED: Final = ("Пропущенный", "Клиент не ответил", "Клиент отклонил", "Не удалось", "Сотрудник положил")


class Screens(NamedTuple):
    """From when on which cards should stand: extension -> ``shown`` or ``timing``; None: nothing is said about that."""

    at_ms: int
    cards: Mapping[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is true of a customer's call. ``extensions``: whose MoySklad may say that it was (empty: nobody's).

    ``took_part``: who rang or talked. ``starts_ms``, ``ends_ms``: the earliest and the latest that may be recorded. ``talked``:
    somebody answered. ``legs_recordings``: of legs that name the customer; ``by_bridges``: bridges tell whose legs those are, if he
    has several calls; ``others_recordings`` may be shown besides. ``lone_leg``: what is told of it cannot be told from a leg of
    another call of this customer. ``handed_on_ms``: when who called left the customer with others, so that its own hangup is not
    the end. ``never_ends``: no hangup is told of it.
    """

    call: str
    incoming: bool
    number: str
    extensions: frozenset[str]
    took_part: frozenset[str]
    starts_ms: tuple[int, int]
    ends_ms: tuple[int, int]
    talked: bool
    recordings: frozenset[str] = frozenset()
    legs_recordings: frozenset[str] = frozenset()
    others_recordings: frozenset[str] = frozenset()
    by_bridges: bool = False
    screens: tuple[Screens, ...] = ()
    lone_leg: bool = False
    handed_on_ms: int | None = None
    never_ends: bool = False

    @property
    def shown_number(self) -> str:
        """The number as MoySklad has it."""
        return self.number or ANONYMOUS


def untrue_calls(truths: Mapping[str, Truth], names: Collection[str], listed: Mapping[str, Row]) -> Iterator[str]:
    """Calls that MoySklad does not list, or lists and should not. ``names``: whatever a story's calls are called."""
    numbers = {row.number for row in listed.values()}
    for name, truth in truths.items():
        if name not in listed and not (truth.lone_leg and (not truth.number or truth.number in numbers)):
            yield f"{name} is not listed, and it was a customer's call"
    for name in sorted(set(names) & set(listed) - truths.keys()):
        yield f"{name} is listed, and it was no customer's call"


def untrue(
    truth: Truth,
    row: Row,
    *,
    strictly: bool,
    certain: bool,
    late_ms: int = 0,
    anybody: Collection[str] = (),
    strays: Collection[str] = (),
) -> Iterator[str]:
    """What a row says and what is not so. ``strictly``: all that was told was heard in its order, or nearly so; ``late_ms``: how
    late at most. ``certain``: whose leg is whose can be told. ``anybody``: whom else it may name;
    ``strays``: recordings of calls that cannot be told from legs."""
    if (row.number, row.incoming) != (truth.shown_number, truth.incoming):
        yield f"says {row.number!r}, incoming {row.incoming}: it was {truth.shown_number!r}, incoming {truth.incoming}"
    right = {*truth.extensions, *anybody} | (set() if strictly else {*truth.took_part, NOBODY, UNRECOGNISED})
    if row.extension not in right:
        yield f"is said to be {row.extension or 'nobody'}'s: it was {' or '.join(sorted(truth.extensions)) or 'nobody'}'s"
    if strictly and truth.talked and row.comment.startswith(_MISSED):
        yield f"says {row.comment!r}: somebody talked"
    if strictly and not truth.talked and not row.comment:
        yield "does not say that nobody talked"
    must = truth.recordings | truth.legs_recordings if certain else truth.recordings
    if not must <= set(row.recordings) <= truth.recordings | truth.others_recordings | set(strays):
        yield f"has the recordings {sorted(row.recordings)}: there are {sorted(must)}"
    (first_ms, last_ms), end_ms = truth.starts_ms, row.end_ms
    if not first_ms - END_MS - late_ms <= row.start_ms <= last_ms + END_MS + late_ms:
        yield f"starts {row.start_ms - first_ms} ms later than it did"
    first_ms, last_ms = truth.ends_ms
    if truth.handed_on_ms is not None and not strictly:
        first_ms = min(first_ms, truth.handed_on_ms)  # nobody waits for bridges as long as they may lag
    if end_ms is not None and not first_ms - END_MS - late_ms <= end_ms <= last_ms + END_MS + late_ms:
        yield f"ends {end_ms - first_ms} ms later than it did"


def untrue_screens(truth: Truth, seen: Sequence[tuple[int, Mapping[str, str]]], late_ms: int) -> Iterator[str]:
    """Cards that stood, or did not, when they should not have, or should. ``seen``: from when on which."""
    for (at_ms, cards), (until_ms, _) in zip(truth.screens, truth.screens[1:], strict=False):
        if cards is None or until_ms - at_ms < STEADY_MS:
            continue
        looked_ms = until_ms + late_ms - 50
        stood = next((shown for from_ms, shown in reversed(seen) if from_ms <= looked_ms), {})
        if dict(stood) != dict(cards):
            yield f"{looked_ms - truth.starts_ms[0]} ms after its start the cards are {dict(stood)}, not {dict(cards)}"
