"""Every play on a real Asterisk ends as exactly one right call in MoySklad, with no card open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.lab.asterisk import SUITES
from adapters.lab.plays import PLAYS, Truth
from tests.asterisk.stage import lab
from tests.faults import report

pytestmark = pytest.mark.slow

CLOCK_S = 0.6
"""MoySklad keeps milliseconds; the rest is how long a signal is under way on a busy machine."""

UNATTRIBUTED = frozenset({"79165550005"})
"""Who talked at a telephone outside is no employee."""


@pytest.mark.parametrize("version", sorted(SUITES))
async def test_every_play_is_one_right_call(version: int, tmp_path: Path) -> None:
    wrong: list[str] = []
    async with lab(tmp_path, SUITES[version]) as made:
        truths: dict[str, tuple[str, Truth]] = {}
        for nth, (name, play) in enumerate(PLAYS.items()):
            number = f"7916000{version}{nth:02}"
            made.pbx.fresh(number)
            truths[name] = (number, await play(made.pbx))
        for name, (number, truth) in truths.items():
            if truth.direction == "internal":
                continue
            try:
                call = await made.settled(truth.phone or number)
            except AssertionError as error:
                wrong.append(f"{name}: {str(error)[:300]}")
            else:
                wrong += [f"{name}: {each}" for each in complaints(call, truth)]
                if truth.phone != "anonymous" and (outcome := await made.outcome(number)) != truth.outcome:
                    wrong.append(f"{name}: {outcome}, not {truth.outcome}")
        calls = await made.stage.calls()
        report.record(report.FIGURES, f"Asterisk {version}: {len(truths)} plays, {len(calls)} calls in MoySklad")
        assert wrong == []
        assert len(calls) == sum(truth.direction != "internal" for _, truth in truths.values())
        assert sum(len(call["open_cards"]) for call in calls) == 0


def complaints(call: dict[str, Any], truth: Truth) -> Iterator[str]:
    """What MoySklad has and the telephones know differently."""
    if call["is_incoming"] != (truth.direction == "in"):
        yield f"direction: {call['is_incoming']}, not {truth.direction}"
    who = [each for each in truth.talked if each not in UNATTRIBUTED]
    rang = [each for each in truth.rang if each not in UNATTRIBUTED]
    expected = who[-1] if who else (rang[0] if len(rang) == 1 and not truth.talked else None)
    if call["extension"] != expected:
        yield f"extension {call['extension']}, not {expected}"
    lasted_s = (call["effective_duration_ms"] or 0) / 1_000
    if abs(lasted_s - (truth.ended_s - truth.began_s)) > CLOCK_S:
        yield f"{lasted_s:.1f} s, not {truth.ended_s - truth.began_s:.1f} s"
