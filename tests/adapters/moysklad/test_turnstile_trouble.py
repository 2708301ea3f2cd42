"""What trouble does at a turnstile: outages, refusals, the automatic block, and what the other accounts notice of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.moysklad.breaker import LONGEST_WAIT_MS, Outcome
from adapters.moysklad.door import Door
from adapters.moysklad.errors import Api, ApiRefusal, Trouble
from adapters.moysklad.guard import PUTS
from adapters.moysklad.limits import PHONE_LIMIT
from adapters.moysklad.turnstile import Place, Turnstile
from core.effects import Deferred
from core.values import Urgency
from tests.adapters.moysklad.virtual import (
    BACKLOG,
    LIVE,
    NO_KEY,
    YEARS_MS,
    Seen,
    at_once,
    finish,
    in_virtual_time,
    loop_ms,
    most_within,
    place_at,
    proven,
    turn,
    turnstile,
)
from tests.thorough import examples

MINUTE_MS = 60_000

# -- outages and refusals ------------------------------------------------------------------------------------


async def fail(at: Turnstile, times: int, outcome: Outcome = Outcome.AWAY) -> None:
    """So many requests in a row end like this."""
    for _ in range(times):
        finish(await place_at(at, wait_ms=60_000), outcome)


def test_an_outage_defers_everybody_and_empties_the_queue() -> None:
    async def run() -> None:
        at = await proven()
        assert not at.is_away
        held = [await place_at(at) for _ in range(2)]
        waiting = [asyncio.create_task(place_at(at, urgency, wait_ms=60_000)) for urgency in Urgency]
        await asyncio.sleep(0)
        finish(held[0], Outcome.AWAY)
        await fail_last(at, held[1])
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(answer) for answer in answers] == [Deferred] * 3
        assert at.is_away
        with pytest.raises(Deferred) as caught:
            await place_at(at)
        assert caught.value.error == f"{Trouble.AWAY}: it was away"

    async def fail_last(at: Turnstile, place: Place) -> None:
        at._breaker.failures = 2
        finish(place, Outcome.AWAY)

    in_virtual_time(run())


@given(outage_ms=st.integers(1_000, 3_600_000), phase=st.integers(0, 5_000), hangs=st.booleans())
@settings(max_examples=examples(20), deadline=None)
def test_soon_after_an_outage_the_first_card_goes_out(outage_ms: int, phase: int, hangs: bool) -> None:
    """Cards come again as they are told to, and are quick to answer once MoySklad is back."""

    async def run() -> None:
        at = await proven(PHONE_LIMIT)
        back_ms = loop_ms() + outage_ms
        shown: list[int] = []

        async def card() -> None:
            while not shown:
                try:
                    place = await place_at(at, LIVE, wait_ms=10_000)
                except Deferred as deferred:
                    await asyncio.sleep((deferred.retry_after_ms or 0) / 1000)
                    continue
                place.start()
                if loop_ms() >= back_ms:
                    shown.append(loop_ms())
                    finish(place)
                    return
                # a request that hangs is not answered even when MoySklad is back: its own time must run out
                await asyncio.sleep((5.0 if place.hurried else 15.0) if hangs else 0.02)
                finish(place, Outcome.AWAY)

        await asyncio.sleep(phase / 1000)
        await asyncio.gather(*(card() for _ in range(7)))
        assert shown[0] - back_ms <= LONGEST_WAIT_MS[LIVE] + (15_000 if hangs else 20)

    in_virtual_time(run())


def test_a_backlog_does_not_try_while_a_card_is_on_its_way() -> None:
    async def run() -> None:
        at = await proven()
        await fail(at, 3)
        with pytest.raises(Deferred) as card:
            await place_at(at, LIVE)
        assert card.value.retry_after_ms is not None
        await asyncio.sleep((card.value.retry_after_ms + 500) / 1000)
        with pytest.raises(Deferred):
            await place_at(at, BACKLOG)
        assert (await place_at(at, LIVE)).probe

    in_virtual_time(run())


def test_everything_refused_is_refused_without_asking_until_somebody_asks_for_a_try() -> None:
    async def run() -> None:
        mended: list[tuple[Api, str]] = []
        at = await proven(mended=lambda api, enterprise: mended.append((api, enterprise)))
        (await place_at(at, enterprise="0367")).leave()
        (await place_at(at, enterprise="0368")).leave()
        finish(await place_at(at, enterprise="0367"), Outcome.REFUSED)
        for urgency in Urgency:
            with pytest.raises(ApiRefusal) as caught:
                await place_at(at, urgency, wait_ms=60_000)
            assert (caught.value.error, caught.value.code, caught.value.remedy) == (NO_KEY.error, 1056, NO_KEY.remedy)
            assert caught.value is not NO_KEY
        at.forget()
        place = await place_at(at, BACKLOG, wait_ms=60_000)
        assert place.probe
        with pytest.raises(Deferred):
            await place_at(at, LIVE, wait_ms=60_000)
        assert mended == []
        finish(place)
        assert mended == [(Api.PHONE, "0368"), (Api.PHONE, "0367")]

    in_virtual_time(run())


def test_a_first_success_counts_as_mended_and_a_second_one_does_not() -> None:
    """A process that was restarted does not know what was refused before it began."""

    async def run() -> None:
        mended: list[str] = []
        at = turnstile(mended=lambda api, enterprise: mended.append(enterprise))
        finish(await place_at(at, enterprise="1"))
        finish(await place_at(at, enterprise="1"))
        finish(await place_at(at, enterprise="2"))
        assert mended == ["1", "2"]
        await fail(at, 3)
        await asyncio.sleep(1)
        finish(await place_at(at, enterprise="2"))
        assert mended == ["1", "2", "1", "2"]

    in_virtual_time(run())


def test_without_a_success_one_request_at_a_time_is_enough() -> None:
    async def run() -> None:
        at = turnstile(PHONE_LIMIT)
        place = await place_at(at)
        with pytest.raises(Deferred):
            await place_at(at, wait_ms=1_000)
        finish(place)
        assert await at_once(at) == 5

    in_virtual_time(run())


# -- the automatic block -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Crowd:
    """Calls of all urgencies that ask as eagerly as they may; MoySklad answers from a list, over and over."""

    outcomes: list[Outcome]
    takes_ms: int
    failed_ms: list[int] = field(default_factory=list)
    answered: int = 0

    async def run(self, at: Turnstile, for_ms: int) -> None:
        """Ask for so long."""
        asking = [asyncio.create_task(self._ask(at, urgency)) for urgency in Urgency for _ in range(4)]
        await asyncio.sleep(for_ms / 1000)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _ask(self, at: Turnstile, urgency: Urgency) -> None:
        while True:
            try:
                place = await at.enter(turn(urgency), wait_ms=10_000)
            except Deferred as deferred:
                await asyncio.sleep((deferred.retry_after_ms or 0) / 1000)
                continue
            except ApiRefusal:
                await asyncio.sleep(0.2)  # the next call comes, and knows nothing of this one
                continue
            place.start()
            outcome = self.outcomes[self.answered % len(self.outcomes)]
            self.answered += 1
            if outcome is not Outcome.GOOD:
                self.failed_ms.append(loop_ms())
            try:
                await asyncio.sleep(self.takes_ms / 1000)
            finally:
                finish(place, outcome)


ANSWERS = st.lists(st.sampled_from([each for each in Outcome if each is not Outcome.NOTHING]), min_size=1, max_size=8)


@given(outcomes=ANSWERS, takes_ms=st.sampled_from([0, 20, 300]), each_life_ms=st.sampled_from([1_000, 1_300, 7_000, 200_000]))
@settings(max_examples=examples(8), deadline=None)
@pytest.mark.slow
def test_whatever_is_answered_and_however_often_we_restart_the_block_is_out_of_reach(
    outcomes: list[Outcome], takes_ms: int, each_life_ms: int
) -> None:
    async def run() -> None:
        crowd = Crowd(outcomes=outcomes, takes_ms=takes_ms)
        for number in range(max(1, 130_000 // each_life_ms)):
            await crowd.run(turnstile(PHONE_LIMIT, known_ms=0 if number else YEARS_MS), each_life_ms)
        assert most_within(sorted(crowd.failed_ms), MINUTE_MS) <= 175

    in_virtual_time(run())


def test_a_refusal_of_single_calls_does_not_stop_the_others() -> None:
    """Every third call is refused (an inactive employee, say): the account goes on, at the pace the block allows."""

    async def run() -> None:
        at, crowd = await proven(PHONE_LIMIT), Crowd(outcomes=[Outcome.GOOD, Outcome.GOOD, Outcome.GOOD], takes_ms=50)
        await crowd.run(at, 60_000)
        assert crowd.answered > 900

        at, crowd = await proven(PHONE_LIMIT), Crowd(outcomes=[Outcome.BUSY, Outcome.GOOD, Outcome.GOOD], takes_ms=50)
        await crowd.run(at, 60_000)
        assert crowd.answered > 200
        assert len(crowd.failed_ms) <= 120

    in_virtual_time(run())


def test_one_entity_is_not_put_too_often() -> None:
    async def run() -> None:
        at = await proven(PHONE_LIMIT)
        for _ in range(PUTS.saved):
            place = await place_at(at, entity="0367-1")
            place.start("0367-1")
            finish(place)
        with pytest.raises(Deferred) as caught:
            await place_at(at, entity="0367-1", wait_ms=60_000)
        assert (caught.value.error, caught.value.retry_after_ms) == (Trouble.REPEATED, PUTS.every_ms)
        place = await place_at(at, entity="0367-2")  # admitted for one, it may have become another
        with pytest.raises(Deferred):
            place.start("0367-1")
        place.leave()

    in_virtual_time(run())


# -- the others ----------------------------------------------------------------------------------------------


def test_accounts_that_hang_take_half_of_the_door_at_most_and_delay_nobody() -> None:
    async def run() -> None:
        door = Door(20)
        well = await proven(PHONE_LIMIT, door=door)
        hanging = [turnstile(PHONE_LIMIT, door=door) for _ in range(200)]
        stuck = [asyncio.create_task(place_at(at, urgency, wait_ms=60_000)) for at in hanging for urgency in Urgency]
        cards = Seen()
        for _ in range(50):
            await cards.one(well, LIVE, takes_ms=100)
        assert max(cards.waited_ms) == 0
        assert sum(task.done() for task in stuck) == 10
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)

    in_virtual_time(run())


@given(outcomes=ANSWERS, takes_ms=st.sampled_from([20, 5_000]))
@settings(max_examples=15, deadline=None)
def test_the_trouble_of_one_account_does_not_delay_another(outcomes: list[Outcome], takes_ms: int) -> None:
    async def run() -> None:
        door = Door(100)
        bad, well = await proven(PHONE_LIMIT, door=door), await proven(PHONE_LIMIT, door=door)
        trouble = asyncio.create_task(Crowd(outcomes=outcomes, takes_ms=takes_ms).run(bad, 60_000))
        cards = Seen()
        for _ in range(100):
            await asyncio.sleep(0.3)
            await cards.one(well, LIVE, takes_ms=50)
        assert max(cards.waited_ms) == 0
        await trouble

    in_virtual_time(run())


def test_how_it_stands() -> None:
    async def run() -> None:
        at = await proven(PHONE_LIMIT)
        places = [await place_at(at, enterprise="0367") for _ in range(5)]
        waiting = [asyncio.create_task(place_at(at, urgency, wait_ms=60_000)) for urgency in (LIVE, BACKLOG, BACKLOG)]
        await asyncio.sleep(0)
        state = at.describe(loop_ms() + 7)
        assert (state.api, state.enterprise, state.state, state.reason, state.until_ms) == ("phone", "0367", "closed", "", None)
        assert state.waiting == {"live": 1, "ended": 0, "backlog": 2}
        assert (state.in_flight, state.used, state.limit, state.failures_last_minute) == (5, 5, 90, 0)
        for place in places[:3]:
            finish(place, Outcome.AWAY)
        await asyncio.gather(*waiting, return_exceptions=True)
        state = at.describe(loop_ms() + 7)
        assert (state.state, state.reason, state.since_ms) == ("open", "it was away", loop_ms() + 7)
        assert (state.until_ms, state.failures_last_minute) == (loop_ms() + 7 + 1_000, 3)
        await asyncio.sleep(1)
        for place in places[3:]:
            place.leave()
        probe = await place_at(at)
        assert at.describe(0).state == "half-open"
        finish(probe, Outcome.REFUSED)
        assert at.describe(0).state == "refused"
        await asyncio.sleep(60)
        assert at.describe(0).failures_last_minute == 0

    in_virtual_time(run())
