"""The machine's own limits: they are measured, not made up."""

from __future__ import annotations

from pathlib import Path

from bench.machine import described, dictionary_steps_per_s, flushes_per_s, round_trip_us


def test_the_limits_are_numbers_of_this_machine(tmp_path: Path) -> None:
    assert flushes_per_s(tmp_path, seconds=0.02) > 1
    assert list(tmp_path.iterdir()) == [], "the file it wrote is gone"
    assert 0 < round_trip_us(trips=20) < 1e6
    assert dictionary_steps_per_s(steps=1_000) > 1_000


def test_the_machine_is_described(tmp_path: Path) -> None:
    told = described(tmp_path)
    assert {"machine", "load before", "flushes of one block", "round trip on loopback", "dictionary loop"} <= set(told)
