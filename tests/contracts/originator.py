"""What every originator keeps to: one class, run by each implementation with an exchange of its own."""

from __future__ import annotations

import asyncio
from typing import Protocol

import pytest

from core.origination import ORIGINATE_S, Origination, OriginationError, OriginationInDoubt, OriginationRefused, Originator

ENTERPRISE, STRANGER = "0367", "0999"
EXTENSION, NUMBER = "101", "+375290000001"
PATIENCE_S = ORIGINATE_S + 12
"""Beyond the port's own limit, for a busy machine."""


class Exchange(Protocol):
    """A telephone exchange under a test's control, whose orders are those of ``ENTERPRISE``."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What only the exchange and the originator may know."""
        ...

    def rung(self) -> list[tuple[str, str]]:
        """``(extension, number)`` of every order that reached it and may ring, in order."""
        ...

    async def refuse(self) -> None:
        """From now on every order is answered with a refusal, and nobody is rung."""
        ...

    async def go_away(self) -> None:
        """From now on nothing listens: no order reaches it."""
        ...

    async def fall_silent(self) -> None:
        """From now on orders arrive and ring, and no answer comes."""
        ...

    async def hang_up_on(self) -> None:
        """From now on orders arrive and ring, and the connection ends before an answer."""
        ...


def order(channel_id: str = "click-0123456789abcdef") -> Origination:
    return Origination(enterprise=ENTERPRISE, extension=EXTENSION, number=NUMBER, channel_id=channel_id)


class OriginatorContract:
    """Subclasses provide ``originator`` and the ``exchange`` it talks to."""

    async def test_an_order_reaches_the_exchange_once(self, originator: Originator, exchange: Exchange) -> None:
        assert originator.serves(ENTERPRISE)
        await originator.originate(order())
        assert exchange.rung() == [(EXTENSION, NUMBER)]

    async def test_orders_at_once_are_each_given_once(self, originator: Originator, exchange: Exchange) -> None:
        await asyncio.gather(*(originator.originate(order(f"click-{each}")) for each in range(5)))
        assert exchange.rung() == [(EXTENSION, NUMBER)] * 5

    async def test_a_refusal_is_certain_and_in_words(self, originator: Originator, exchange: Exchange) -> None:
        await exchange.refuse()
        with pytest.raises(OriginationRefused) as caught:
            await originator.originate(order())
        assert exchange.rung() == []
        assert_in_words(caught.value, exchange)

    async def test_an_exchange_that_is_away_rings_nobody(self, originator: Originator, exchange: Exchange) -> None:
        await exchange.go_away()
        with pytest.raises(OriginationRefused) as caught:
            async with asyncio.timeout(PATIENCE_S):
                await originator.originate(order())
        assert_in_words(caught.value, exchange)

    async def test_silence_is_doubt_and_nothing_is_repeated(self, originator: Originator, exchange: Exchange) -> None:
        await exchange.fall_silent()
        with pytest.raises(OriginationInDoubt) as caught:
            async with asyncio.timeout(PATIENCE_S):
                await originator.originate(order())
        assert exchange.rung() == [(EXTENSION, NUMBER)]
        assert_in_words(caught.value, exchange)

    async def test_a_connection_that_ends_is_doubt_and_nothing_is_repeated(
        self, originator: Originator, exchange: Exchange
    ) -> None:
        await exchange.hang_up_on()
        with pytest.raises(OriginationInDoubt) as caught:
            await originator.originate(order())
        assert exchange.rung() == [(EXTENSION, NUMBER)]
        assert_in_words(caught.value, exchange)

    async def test_a_stranger_s_order_rings_nobody(self, originator: Originator, exchange: Exchange) -> None:
        stranger = Origination(enterprise=STRANGER, extension=EXTENSION, number=NUMBER, channel_id="click-1")
        with pytest.raises(OriginationRefused):
            await originator.originate(stranger)
        assert exchange.rung() == []


def assert_in_words(error: OriginationError, exchange: Exchange) -> None:
    """It says something and what to do, and gives nothing away; neither does what stands behind it in a traceback."""
    assert error.error
    assert error.remedy
    behind = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    told = " ".join([error.error, error.remedy, str(error), repr(error), repr(behind), str(behind)])
    for hidden in (*exchange.secrets, NUMBER, NUMBER.lstrip("+")):
        assert hidden not in told
