"""Who may ask when: order, pace, deferral and hand-over at one account's turnstile, in virtual time."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.moysklad.errors import Trouble
from adapters.moysklad.limits import CALM_MS, PHONE_LIMIT, Limit, json_limit, left_free
from adapters.moysklad.turnstile import Turnstile
from core.effects import Deferred, Turn
from core.values import Urgency
from tests.adapters.moysklad.virtual import (
    BACKLOG,
    ENDED,
    LIVE,
    SMALL,
    YEARS_MS,
    Seen,
    at_once,
    finish,
    in_virtual_time,
    loop_ms,
    most_within,
    place_at,
    proven,
    proven_before,
)
from tests.thorough import examples

JSON_LIMIT = json_limit(0)


# -- order and pace ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [PHONE_LIMIT, JSON_LIMIT, SMALL])
@pytest.mark.parametrize("takes_ms", [0, 30, 400])
def test_many_at_once_pass_in_order_within_the_owner_s_share(limit: Limit, takes_ms: int) -> None:
    async def run() -> None:
        at, seen = await proven(limit), Seen()
        began_ms = loop_ms()
        await asyncio.gather(*(seen.one(at, takes_ms=takes_ms, who=f"{number:03}") for number in range(200)))
        assert seen.who == sorted(seen.who)
        assert most_within(seen.sent_ms, limit.period_ms) <= limit.share
        least_ms = max(200 / limit.share * (limit.period_ms + takes_ms), 200 / limit.parallel * takes_ms)
        assert loop_ms() - began_ms <= least_ms + limit.period_ms, "the limit is used, not only kept"

    in_virtual_time(run())


def test_the_urgent_go_first_and_equals_in_order() -> None:
    async def run() -> None:
        at, seen = await proven(), Seen()
        waiting = [
            asyncio.create_task(seen.one(at, urgency, who=f"{urgency.name} {number}"))
            for number in range(3)
            for urgency in (BACKLOG, ENDED, LIVE)
        ]
        await asyncio.gather(*waiting)
        assert seen.who[0] == "BACKLOG 0"  # it came when there was room
        assert seen.who[1:] == [
            "ENDED 0", "LIVE 0", "LIVE 1", "LIVE 2", "ENDED 1", "ENDED 2", "BACKLOG 1", "BACKLOG 2",
        ]  # fmt: skip

    in_virtual_time(run())


def test_a_guess_goes_behind_what_is_as_urgent_and_before_what_is_less() -> None:
    async def run() -> None:
        at, seen = await proven(), Seen()
        await asyncio.gather(
            *(
                seen.one(at, urgency, who=f"{urgency.name}{' guess' * guess}", guess=guess)
                for urgency in (BACKLOG, ENDED, LIVE)
                for guess in (True, False)
            )
        )
        assert seen.who[:2] == ["BACKLOG guess", "ENDED guess"]  # they came when there was room
        assert seen.who[2:] == ["LIVE", "LIVE guess", "ENDED", "BACKLOG"]

    in_virtual_time(run())


def test_guesses_leave_room_for_what_comes_of_them() -> None:
    async def run() -> None:
        at, seen = await proven_before(JSON_LIMIT), Seen()
        guesses = [asyncio.create_task(seen.one(at, takes_ms=20, guess=True)) for _ in range(30)]
        await asyncio.sleep(0.5)
        assert len(seen.who) == JSON_LIMIT.share - left_free(JSON_LIMIT.share, ENDED)
        assert at.describe(0).waiting == {"live": 30 - len(seen.who), "ended": 0, "backlog": 0}
        asked_ms = loop_ms()
        await seen.one(at, takes_ms=20, who="the client")
        assert seen.sent_ms[-1] == asked_ms
        await asyncio.gather(*guesses)

    in_virtual_time(run())


@given(
    limit=st.sampled_from([PHONE_LIMIT, JSON_LIMIT, json_limit(10**13)]),
    flood=st.sampled_from([ENDED, BACKLOG]),
    takes_ms=st.integers(1, 1_500),
    arrivals_ms=st.lists(st.integers(0, 4_000), min_size=1, max_size=3),
)
@settings(max_examples=examples(10), deadline=None)
def test_a_card_waits_for_one_request_at_most_however_many_others_wait(
    limit: Limit, flood: Urgency, takes_ms: int, arrivals_ms: list[int]
) -> None:
    """A thousand wait; cards come one by one, each once the last has been answered and its window's reserve is back."""

    async def run() -> None:
        at, others, cards = await proven(limit), Seen(), Seen()
        drain = [asyncio.create_task(others.one(at, flood, takes_ms=takes_ms)) for _ in range(1_000)]
        for gap_ms in arrivals_ms:
            await asyncio.sleep((gap_ms + limit.period_ms) / 1000)
            await cards.one(at, LIVE, takes_ms=takes_ms)
        for task in drain:
            task.cancel()
        await asyncio.gather(*drain, return_exceptions=True)
        pace_ms = limit.period_ms // (limit.share - left_free(limit.share, BACKLOG))
        assert max(cards.waited_ms) <= takes_ms + pace_ms
        assert most_within(sorted(others.sent_ms + cards.sent_ms), limit.period_ms) <= limit.share
        assert len(others.sent_ms) > 1

    in_virtual_time(run())


def test_a_backlog_goes_out_faster_while_nobody_wants_a_card_and_makes_room_when_somebody_does() -> None:
    async def run() -> None:
        at, seen, cards = await proven(PHONE_LIMIT), Seen(), Seen()
        await asyncio.sleep(CALM_MS / 1000)
        began_ms = loop_ms()
        drain = [asyncio.create_task(seen.one(at, BACKLOG, takes_ms=20)) for _ in range(999)]
        await asyncio.sleep(20)
        assert len(seen.sent_ms) > 85 * 4 * 0.95
        await cards.one(at, LIVE, takes_ms=20)
        await asyncio.sleep(PHONE_LIMIT.period_ms / 1000)
        for _ in range(10):
            await cards.one(at, LIVE, takes_ms=20)
        assert max(cards.waited_ms) <= 20 + 70
        await asyncio.gather(*drain)
        assert loop_ms() - began_ms < 999 / 72 * 5_000
        assert most_within(sorted(seen.sent_ms + cards.sent_ms), PHONE_LIMIT.period_ms) <= PHONE_LIMIT.share

    in_virtual_time(run())


def test_a_backlog_goes_out_evenly_and_at_its_full_share() -> None:
    async def run() -> None:
        at, seen = await proven(PHONE_LIMIT), Seen()
        began_ms = loop_ms()
        await asyncio.gather(*(seen.one(at, BACKLOG, takes_ms=20) for _ in range(720)))
        gaps = {later - earlier for earlier, later in zip(seen.sent_ms, seen.sent_ms[1:], strict=False)}
        assert min(gaps) >= 58
        assert loop_ms() - began_ms < 720 / 72 * 5_000 * 1.02

    in_virtual_time(run())


def test_a_backlog_leaves_one_place_at_once_to_the_others() -> None:
    async def run() -> None:
        at = await proven(PHONE_LIMIT)
        for _ in range(4):
            await place_at(at, BACKLOG, wait_ms=1_000)
        with pytest.raises(Deferred):
            await place_at(at, BACKLOG, wait_ms=1_000)
        await place_at(at, ENDED)
        with pytest.raises(Deferred):
            await place_at(at, LIVE, wait_ms=1_000)

    in_virtual_time(run())


# -- deferral ------------------------------------------------------------------------------------------------


def test_waiting_is_bounded_in_time_and_says_honestly_when_there_is_room() -> None:
    async def run() -> None:
        at = await proven()
        for _ in range(SMALL.share):
            finish(await place_at(at))
        began_ms = loop_ms()
        with pytest.raises(Deferred) as caught:
            await place_at(at, wait_ms=999)
        assert (caught.value.error, caught.value.ambiguous, caught.value.retry_after_ms) == (Trouble.BUSY, False, 1_000)
        assert loop_ms() == began_ms, "nobody waits for what cannot come in time"
        finish(await place_at(at, wait_ms=1_000))
        assert loop_ms() - began_ms == 1_000

    in_virtual_time(run())


def test_whoever_is_told_to_come_again_finds_room_then() -> None:
    async def run() -> None:
        at = await proven()
        for _ in range(SMALL.share):
            finish(await place_at(at))
        for _ in range(3):
            asyncio.get_running_loop().create_task(Seen().one(at, LIVE, takes_ms=1))
        await asyncio.sleep(0)
        with pytest.raises(Deferred) as caught:
            await place_at(at)
        assert caught.value.retry_after_ms is not None
        await asyncio.sleep(caught.value.retry_after_ms / 1000)
        await place_at(at)

    in_virtual_time(run())


def test_where_only_an_answer_makes_room_it_says_so() -> None:
    async def run() -> None:
        at = await proven()
        held = [await place_at(at) for _ in range(2)]
        with pytest.raises(Deferred) as caught:
            await place_at(at, wait_ms=500)
        assert caught.value.error == Trouble.UNANSWERED
        held[0].leave()
        await place_at(at)

    in_virtual_time(run())


def test_a_place_that_is_given_back_unused_is_not_counted() -> None:
    async def run() -> None:
        at = await proven()
        for _ in range(1_000):
            place = await place_at(at)
            place.leave()
            place.leave()
        place = await place_at(at)
        place.start()
        place.not_sent()
        place.leave()
        assert at.describe(0).used == 0
        assert at.idle

    in_virtual_time(run())


def test_the_queue_is_bounded_and_the_least_urgent_makes_room() -> None:
    async def run() -> None:
        at = await proven(Limit(requests=10, period_ms=1_000, parallel=1, waiting=3))
        place = await place_at(at)
        waiting = [asyncio.create_task(place_at(at, urgency, wait_ms=60_000)) for urgency in (BACKLOG, BACKLOG, ENDED)]
        await asyncio.sleep(0)
        with pytest.raises(Deferred):
            await place_at(at, BACKLOG, wait_ms=60_000)
        card = asyncio.create_task(place_at(at, LIVE, wait_ms=60_000))
        with pytest.raises(Deferred):
            await waiting[1]
        finish(place)
        for task in (card, waiting[2], waiting[0]):
            finish(await task)

    in_virtual_time(run())


@pytest.mark.parametrize("served", [False, True])
def test_a_cancelled_waiter_leaves_no_trace(served: bool) -> None:
    async def run() -> None:
        at = await proven(Limit(requests=10, period_ms=1_000, parallel=1))
        place = await place_at(at)
        waiter = asyncio.create_task(place_at(at, wait_ms=60_000))
        await asyncio.sleep(0)
        if served:  # the place is given and the task cancelled in the same instant
            place.leave()
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        place.leave()
        (await place_at(at)).leave()
        assert at.idle

    in_virtual_time(run())


# -- what MoySklad says --------------------------------------------------------------------------------------


def test_too_many_per_time_holds_everybody_as_long_as_it_says() -> None:
    async def run() -> None:
        at = await proven()
        at.hold(1_700)
        for urgency in Urgency:
            with pytest.raises(Deferred) as caught:
                await place_at(at, urgency, wait_ms=1_699)
            assert caught.value.retry_after_ms == 1_700
        await place_at(at, wait_ms=1_700)

    in_virtual_time(run())


def test_too_many_at_once_halves_the_places_and_each_period_brings_one_back() -> None:
    async def run() -> None:
        at = await proven(PHONE_LIMIT)
        assert await at_once(at) == 5
        at.crowded(500)
        assert await at_once(at) == 2
        at.crowded(500)
        assert await at_once(at) == 1
        for expected in (2, 3, 4, 5, 5):
            await asyncio.sleep(5)
            assert await at_once(at) == expected

    in_virtual_time(run())


def test_where_one_place_is_too_many_it_waits() -> None:
    async def run() -> None:
        at = await proven(PHONE_LIMIT)
        for _ in range(3):
            at.crowded(500)
        with pytest.raises(Deferred) as caught:
            await place_at(at)
        assert caught.value.retry_after_ms == 500

    in_virtual_time(run())


def test_whoever_waits_comes_in_as_soon_as_there_are_more_places_again() -> None:
    """One request hangs; nobody leaves, and the time alone brings the places back."""

    async def run() -> None:
        at = await proven(PHONE_LIMIT)
        for _ in range(2):
            at.crowded(0)
        began_ms = loop_ms()
        await place_at(at)
        await place_at(at, wait_ms=60_000)
        assert loop_ms() - began_ms == 5_000
        at = await proven_before(PHONE_LIMIT)
        began_ms = loop_ms()
        await place_at(at, quiet_ms=1_000)
        await place_at(at, quiet_ms=1_000, wait_ms=60_000)
        assert loop_ms() - began_ms == 4_000

    in_virtual_time(run())


def test_a_lower_limit_in_the_headers_is_kept_to() -> None:
    async def run() -> None:
        at = await proven(JSON_LIMIT)
        place = await place_at(at)
        place.start()
        at.learn({"X-RateLimit-Limit": "11"})
        finish(place)
        seen = Seen()
        await asyncio.gather(*(seen.one(at, takes_ms=0) for _ in range(60)))
        assert most_within(seen.sent_ms, 3_000) == 9

    in_virtual_time(run())


# -- taking over ---------------------------------------------------------------------------------------------


@given(
    limit=st.sampled_from([PHONE_LIMIT, JSON_LIMIT, json_limit(10**13)]),
    tenures_ms=st.lists(st.integers(5_000, 12_000), min_size=2, max_size=6),
    takes_ms=st.integers(0, 900),
    urgency=st.sampled_from(Urgency),
)
@settings(max_examples=examples(25), deadline=None)
def test_instances_that_follow_each_other_never_exceed_the_limit_together(
    limit: Limit, tenures_ms: list[int], takes_ms: int, urgency: Urgency
) -> None:
    """Each begins at the very moment in which the one before it stops, and asks as eagerly as it can. A lease that passes on
    twice within one period is not provided for: MoySklad's 429 is then the answer.
    """

    async def run() -> None:
        seen = Seen()
        for tenure_ms in tenures_ms:
            began_ms, at = loop_ms(), await proven_before(limit)

            async def keep_asking(at: Turnstile, began_ms: int) -> None:
                while True:
                    quiet_ms = loop_ms() - began_ms
                    place = await at.enter(Turn(urgency=urgency, quiet_ms=quiet_ms), wait_ms=YEARS_MS)
                    place.start()
                    seen.sent_ms.append(loop_ms())
                    await asyncio.sleep(takes_ms / 1000)
                    finish(place)

            asking = [asyncio.create_task(keep_asking(at, began_ms)) for _ in range(8)]
            await asyncio.sleep(tenure_ms / 1000)
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        assert most_within(seen.sent_ms, limit.period_ms) <= limit.requests

    in_virtual_time(run())


def test_for_one_period_after_taking_over_only_what_owners_leave_free_is_used() -> None:
    async def run() -> None:
        at = await proven_before(PHONE_LIMIT)
        for _ in range(PHONE_LIMIT.trickle):
            finish(await place_at(at, quiet_ms=2_000))
        with pytest.raises(Deferred) as caught:
            await place_at(at, quiet_ms=2_000)
        assert caught.value.retry_after_ms == 3_000, "then the period is over, and the owner's share is its own"
        with pytest.raises(Deferred):
            await place_at(at, BACKLOG, quiet_ms=2_000, wait_ms=2_999)
        await asyncio.sleep(3)
        for _ in range(PHONE_LIMIT.share - PHONE_LIMIT.trickle):
            finish(await place_at(at, quiet_ms=5_000))

    in_virtual_time(run())
