"""Counts as people read them."""

from __future__ import annotations

import pytest

from adapters.counted import counted


@pytest.mark.parametrize(("count", "told"), [(0, "0 calls"), (1, "1 call"), (2, "2 calls"), (2310, "2,310 calls")])
def test_one_is_singular_and_all_else_plural(count: int, told: str) -> None:
    assert counted(count, "call") == told
