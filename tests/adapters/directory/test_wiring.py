"""How the room takes its turns at MoySklad: with the whole limit where it may, with what an owner leaves free where it must."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adapters.directory.wiring import CLAIM_LOOKS, taking_turns
from core.effects import Turn
from core.values import Urgency


class Owners:
    """Who owns what; a claim comes through after a moment, or never."""

    def __init__(self, *, alone: bool = True, taken: frozenset[str] = frozenset()) -> None:
        self.alone = alone
        self._taken = taken
        self._mine: set[str] = set()
        self.requested: list[str] = []

    def owns(self, enterprise: str) -> bool:
        return enterprise in self._mine

    def quiet_ms(self, enterprise: str) -> int | None:
        return None if enterprise in self._mine else 0

    def request(self, enterprise: str) -> None:
        self.requested.append(enterprise)
        if enterprise not in self._taken:
            asyncio.get_running_loop().call_soon(self._mine.add, enterprise)

    def others(self) -> Any:
        return ()


@pytest.mark.parametrize(("urgency", "alone"), [(Urgency.LIVE, True), (Urgency.BACKLOG, True), (Urgency.BACKLOG, False)])
async def test_what_is_nobodys_is_taken_before_it_is_asked_about(urgency: Urgency, alone: bool) -> None:
    owners = Owners(alone=alone)
    assert await taking_turns(owners)("0367", urgency) == Turn(urgency=urgency, quiet_ms=None)
    assert owners.requested == ["0367"]


async def test_a_telephone_that_rings_does_not_wait_for_what_may_be_anothers() -> None:
    looked = asyncio.get_running_loop().time()
    assert await taking_turns(Owners(alone=False))("0367", Urgency.LIVE) == Turn(quiet_ms=0)
    assert asyncio.get_running_loop().time() == pytest.approx(looked, abs=0.01 * CLAIM_LOOKS)


async def test_what_is_anothers_is_asked_about_within_what_he_leaves_free() -> None:
    others = Owners(alone=False, taken=frozenset({"0367"}))
    assert await taking_turns(others)("0367", Urgency.BACKLOG) == Turn(urgency=Urgency.BACKLOG, quiet_ms=0)


async def test_where_nobody_owns_anything_there_is_nothing_to_ask() -> None:
    assert await taking_turns(None)("0367", Urgency.BACKLOG) == Turn(urgency=Urgency.BACKLOG)
