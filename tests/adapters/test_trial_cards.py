"""An administrator's test card: it must not outlive the service that shows it (PRODUCT D1)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters import trial_cards
from adapters.trial_cards import TooManyShown, TrialCards
from tests.rig import ENTERPRISE, Rig, running


@pytest.fixture
async def rig(database_url: str) -> AsyncIterator[Rig]:
    async with running(database_url) as rig:
        yield rig


async def shown(rig: Rig, extension: str = "151") -> TrialCards:
    cards, current = rig.service.trial_cards, await rig.service.settings.current(ENTERPRISE)
    assert current is not None
    await cards.show(current.account, extension, "")
    return cards


async def test_a_service_that_ends_takes_its_test_cards_along(rig: Rig) -> None:
    cards = await shown(rig)
    assert [row["open_cards"] for row in await rig.rows()] == [["151"]]
    await cards.close()
    (row,) = await rig.rows()
    assert (row["open_cards"], row["end_ms"] is not None) == ([], True)


async def test_a_service_that_ends_shows_none(rig: Rig) -> None:
    await rig.service.trial_cards.close()
    with pytest.raises(TooManyShown):
        await shown(rig)
    assert await rig.rows() == []


async def test_only_so_many_stand_at_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_cards, "MAX_SHOWN", 1)
    await shown(rig)
    with pytest.raises(TooManyShown):
        await shown(rig)
