"""Counting by bounds: each once, and what is longer than all of them as well."""

from __future__ import annotations

from adapters.latency import BOUNDS_S, Latency


def test_each_is_counted_once_and_the_counts_add_up() -> None:
    latency = Latency()
    for took_s in (0.0, 0.001, 0.0011, 0.3, 9.0):
        latency.observe(took_s)
    counts = latency.cumulative()
    assert [bound for bound, _ in counts] == [*map(str, BOUNDS_S), "+Inf"]
    assert [count for _, count in counts] == [2, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 5]
    assert (latency.count, latency.sum_s) == (5, 0.0 + 0.001 + 0.0011 + 0.3 + 9.0)
