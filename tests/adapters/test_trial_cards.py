"""An administrator's test card: it must not outlive the service that shows it (PRODUCT D1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters import trial_cards
from adapters.moysklad.accounts import Accounts, TestCard
from adapters.trial_cards import TooManyShown, TrialCards
from core.effects import Account, Unavailable
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


@pytest.mark.parametrize("error", [Unavailable("no answer", ambiguous=True), asyncio.CancelledError()], ids=["lost", "left"])
async def test_a_card_whose_answer_is_lost_goes_too(rig: Rig, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    send = Accounts.send_test_card

    async def lost(self: Accounts, account: Account, card: TestCard) -> TestCard:
        await send(self, account, card)
        raise error

    monkeypatch.setattr(Accounts, "send_test_card", lost)
    with pytest.raises(type(error)):
        await shown(rig)
    assert [row["open_cards"] for row in await rig.rows()] == [["151"]]
    await rig.service.trial_cards.close()
    assert [row["open_cards"] for row in await rig.rows()] == [[]]


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
