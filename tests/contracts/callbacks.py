"""What every memory of who is to be called back keeps to: one class, run by each implementation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from core.ports import HOLD_MS, Callbacks, Claimed, Ended

NUMBER = ("number 290000001",)
KNOWN = ("number 290000001", "contact ann")
OTHER = ("number 290000002",)
YES = Claimed(granted=True)

Again = Callable[[], Awaitable[list[tuple[str, str]]]]
"""Whose calls were ordered to be asked again since it was last called."""
Passing = Callable[[int], Awaitable[None]]


class CallbacksContract:
    """Subclasses provide ``callbacks`` (fresh), ``again``, and ``passing``: let so many ms pass for it."""

    async def test_the_first_call_that_was_missed_has_the_task(self, callbacks: Callbacks) -> None:
        assert await callbacks.claim("0367", "A", NUMBER, 1_000) == YES
        assert await callbacks.claim("0367", "A", NUMBER, 1_000) == YES
        assert await callbacks.claim("0367", "B", NUMBER, 2_000) == Claimed(granted=False, by="A")
        assert await callbacks.claim("0367", "B", NUMBER, 2_000) == Claimed(granted=False, by="A")

    async def test_a_task_that_was_ended_in_moysklad_itself_ends_its_matter(self, callbacks: Callbacks) -> None:
        await callbacks.claim("0367", "A", NUMBER, 1_000)
        await callbacks.keep("0367", "A", "task-1")
        assert await callbacks.claim("0367", "B", NUMBER, 2_000) == Claimed(granted=False, by="A", task="task-1")
        over = Ended("task-1")
        assert await callbacks.claim("0368", "B", NUMBER, 2_000, over) == YES
        assert await callbacks.claim("0367", "B", NUMBER, 2_000) == Claimed(granted=False, by="A", task="task-1")
        assert await callbacks.claim("0367", "B", NUMBER, 2_000, over) == YES
        assert await callbacks.claim("0367", "B", NUMBER, 2_000, over) == YES
        assert await callbacks.claim("0367", "C", NUMBER, 3_000, over) == Claimed(granted=False, by="B"), "two found it out"
        await callbacks.keep("0367", "B", "task-2")
        assert await callbacks.close("0367", "D", NUMBER, 9_000) == ("task-2",)

    async def test_whoever_was_missed_before_the_task_was_ended_has_been_called_back(self, callbacks: Callbacks) -> None:
        await callbacks.claim("0367", "A", KNOWN, 1_000)
        await callbacks.keep("0367", "A", "task-1")
        assert (await callbacks.claim("0367", "B", NUMBER, 2_000)).task == "task-1"
        over = Ended("task-1", 2_500)
        assert await callbacks.claim("0367", "B", NUMBER, 2_000, over) == Claimed(granted=False, talked_ms=2_500)
        assert await callbacks.claim("0367", "C", NUMBER, 2_400) == Claimed(granted=False, talked_ms=2_500)
        assert await callbacks.claim("0367", "D", NUMBER, 3_000) == YES

    async def test_another_customer_and_another_enterprise_have_their_own(self, callbacks: Callbacks) -> None:
        assert await callbacks.claim("0367", "A", NUMBER, 1_000) == YES
        assert await callbacks.claim("0367", "B", OTHER, 1_000) == YES
        assert await callbacks.claim("0368", "A", NUMBER, 1_000) == YES

    async def test_one_name_in_common_is_enough_and_names_are_learned(self, callbacks: Callbacks) -> None:
        assert await callbacks.claim("0367", "A", NUMBER, 1_000) == YES
        assert await callbacks.claim("0367", "B", KNOWN, 2_000) == Claimed(granted=False, by="A")
        assert await callbacks.claim("0367", "C", (*OTHER, "contact ann"), 3_000) == Claimed(granted=False, by="A")
        await callbacks.keep("0367", "A", "task-1")
        assert await callbacks.close("0367", "D", OTHER, 9_000) == ("task-1",)

    async def test_of_many_at_once_one_has_it(self, callbacks: Callbacks) -> None:
        claims = await asyncio.gather(*(callbacks.claim("0367", f"A{number}", KNOWN, number) for number in range(8)))
        (by,) = {claim.by for claim in claims if not claim.granted}
        assert [f"A{number}" for number, claim in enumerate(claims) if claim.granted] == [by]

    async def test_a_talk_ends_the_matter(self, callbacks: Callbacks) -> None:
        await callbacks.claim("0367", "A", NUMBER, 1_000)
        assert await callbacks.keep("0367", "A", "task-1")
        assert await callbacks.close("0367", "B", KNOWN, 5_000) == ("task-1",)
        assert await callbacks.close("0367", "B", KNOWN, 5_000) == ("task-1",)
        assert await callbacks.close("0367", "C", KNOWN, 6_000) == ()
        assert await callbacks.claim("0367", "D", NUMBER, 7_000) == YES
        assert await callbacks.close("0367", "B", KNOWN, 5_000) == ("task-1",)

    async def test_a_talk_before_the_task_is_known_is_told_with_it(self, callbacks: Callbacks) -> None:
        await callbacks.claim("0367", "A", NUMBER, 1_000)
        assert await callbacks.close("0367", "B", NUMBER, 5_000) == ()
        assert not await callbacks.keep("0367", "A", "task-1")
        assert not await callbacks.keep("0367", "A", "task-1")
        assert await callbacks.claim("0367", "A", NUMBER, 1_000) == Claimed(granted=False, talked_ms=5_000)

    async def test_whoever_was_missed_again_after_the_talk_still_waits(self, callbacks: Callbacks) -> None:
        await callbacks.claim("0367", "A", NUMBER, 1_000)
        await callbacks.claim("0367", "B", NUMBER, 8_000)
        assert await callbacks.keep("0367", "A", "task-1")
        assert await callbacks.close("0367", "C", NUMBER, 5_000) == ()
        assert await callbacks.claim("0367", "D", NUMBER, 9_000) == Claimed(granted=False, by="A", task="task-1")
        assert await callbacks.close("0367", "E", NUMBER, 9_000) == ("task-1",)

    async def test_a_call_that_is_heard_of_after_the_talk_needs_none(self, callbacks: Callbacks) -> None:
        await callbacks.close("0367", "B", KNOWN, 5_000)
        await callbacks.close("0367", "C", NUMBER, 4_000)
        assert await callbacks.claim("0367", "A", NUMBER, 5_000) == Claimed(granted=False, talked_ms=5_000)
        assert await callbacks.claim("0367", "A", ("number 1", "contact ann"), 5_000) == Claimed(granted=False, talked_ms=5_000)
        assert await callbacks.claim("0368", "A", NUMBER, 5_000) == YES
        assert await callbacks.claim("0367", "D", NUMBER, 5_001) == YES

    async def test_what_nobody_claimed_may_be_kept_and_closed(self, callbacks: Callbacks) -> None:
        assert await callbacks.keep("0367", "A", "task-1")
        assert await callbacks.close("0367", "A", NUMBER, 5_000) == ()

    async def test_the_first_to_be_told_tells_and_the_others_wait(self, callbacks: Callbacks, again: Again) -> None:
        await callbacks.claim("0367", "A", NUMBER, 1_000)
        await callbacks.claim("0367", "B", OTHER, 1_000)
        assert await callbacks.hold("0367", "A") == "A"
        assert await callbacks.hold("0367", "A") == "A"
        assert await callbacks.hold("0367", "B") == "A"
        assert await callbacks.claim("0367", "C", ("number 3",), 2_000) == Claimed(granted=True, held_by="A")
        assert await callbacks.claim("0367", "A", NUMBER, 1_000) == YES
        assert await callbacks.claim("0368", "C", ("number 3",), 2_000) == YES
        assert await again() == []

        assert await callbacks.keep("0367", "A", "task-1")
        assert sorted(await again()) == [("0367", "A"), ("0367", "B"), ("0367", "C")]
        assert await callbacks.claim("0367", "C", ("number 3",), 2_000) == YES
        await callbacks.keep("0367", "C", "task-2")
        assert await again() == []

    async def test_after_a_while_the_next_one_tries(self, callbacks: Callbacks, passing: Passing) -> None:
        await callbacks.claim("0367", "A", NUMBER, 1_000)
        await callbacks.hold("0367", "A")
        await passing(HOLD_MS + 1)
        assert await callbacks.claim("0367", "B", OTHER, 2_000) == YES
        assert await callbacks.claim("0367", "C", ("number 3",), 3_000) == Claimed(granted=True, held_by="A")
        assert await callbacks.hold("0367", "B") == "A"

    async def test_whoever_waited_and_was_talked_with_waits_no_more(self, callbacks: Callbacks, again: Again) -> None:
        await callbacks.claim("0367", "A", NUMBER, 1_000)
        await callbacks.hold("0367", "A")
        await callbacks.claim("0367", "B", OTHER, 2_000)
        await callbacks.close("0367", "X", OTHER, 9_000)
        await callbacks.keep("0367", "A", "task-1")
        assert await again() == [("0367", "A")]

    async def test_if_the_one_who_tells_needs_no_task_any_more_the_next_one_is_told(self, callbacks: Callbacks) -> None:
        await callbacks.claim("0367", "A", NUMBER, 1_000)
        await callbacks.hold("0367", "A")
        await callbacks.close("0367", "X", NUMBER, 9_000)
        assert await callbacks.claim("0367", "A", NUMBER, 1_000) == Claimed(granted=False, talked_ms=9_000)
        assert await callbacks.claim("0367", "B", OTHER, 2_000) == YES
        assert await callbacks.hold("0367", "B") == "B"

    async def test_and_who_waited_for_him_takes_his_place(self, callbacks: Callbacks, again: Again) -> None:
        await callbacks.claim("0367", "A", NUMBER, 1_000)
        await callbacks.hold("0367", "A")
        await callbacks.claim("0367", "B", OTHER, 2_000)
        await callbacks.claim("0367", "C", ("number 3",), 3_000)
        await callbacks.close("0367", "X", NUMBER, 9_000)
        assert await again() == []
        for _ in range(2):
            assert await callbacks.claim("0367", "A", NUMBER, 1_000) == Claimed(granted=False, talked_ms=9_000)
        assert await again() == [("0367", "C")], "the latest, and only he: the account may take no tasks still"
        assert await callbacks.claim("0367", "C", ("number 3",), 3_000) == YES
        assert await callbacks.hold("0367", "C") == "C"
        assert await callbacks.claim("0367", "B", OTHER, 2_000) == Claimed(granted=True, held_by="C")
        await callbacks.keep("0367", "C", "task-1")
        assert sorted(await again()) == [("0367", "B"), ("0367", "C")]
