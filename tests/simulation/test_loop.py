"""The event loop on virtual time: order, jumps, freezing, killing, bounds; and asyncio's own tools on top of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.simulation.loop import Clock, ProcessLoop, StepsExhausted, drive, process

SECOND = 1_000_000


class Machine:
    """Processes on one clock, and what they did when."""

    def __init__(self, max_steps: int = 10_000) -> None:
        self.clock = Clock(max_steps)
        self.said: list[tuple[float, str]] = []
        self.complaints: list[str] = []

    def process(self, name: str = "p") -> ProcessLoop:
        return process(self.clock, name, lambda what, error: self.complaints.append(f"{what}: {error!r}"))

    def say(self, what: str) -> None:
        self.said.append((self.clock.now_us / SECOND, what))

    def start(self, loop: ProcessLoop, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        loop.call_soon(lambda: loop.create_task(work()))

    def run(self, until_s: float = 1_000) -> None:
        self.clock.run(round(until_s * SECOND))


async def ticking(machine: Machine, name: str, every_s: float, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(every_s)
        machine.say(name)


def test_time_jumps_and_what_is_due_at_once_runs_in_the_order_in_which_it_was_scheduled() -> None:
    machine = Machine()
    for name in "abc":
        machine.start(machine.process(name), lambda name=name: ticking(machine, name, 3600, 2))  # type: ignore[misc]
    machine.run(10_000)
    assert machine.said == [(3600, "a"), (3600, "b"), (3600, "c"), (7200, "a"), (7200, "b"), (7200, "c")]
    assert machine.clock.steps < 30


def test_it_stops_at_the_time_asked_for_and_goes_on_from_there() -> None:
    machine = Machine()
    machine.start(machine.process(), lambda: ticking(machine, "t", 2, 3))
    machine.run(5)
    assert machine.said == [(2, "t"), (4, "t")]
    assert machine.clock.now_us == 5 * SECOND
    machine.run(6)
    assert machine.said[-1] == (6, "t")


def test_done_is_asked_before_time_moves_on() -> None:
    machine = Machine()
    machine.start(machine.process(), lambda: ticking(machine, "t", 2, 3))
    machine.clock.run(100 * SECOND, done=lambda: len(machine.said) == 2)
    assert machine.clock.now_us == 4 * SECOND


def test_a_frozen_process_does_nothing_and_then_everything_late() -> None:
    machine = Machine()
    frozen, other = machine.process("frozen"), machine.process("other")
    machine.start(frozen, lambda: ticking(machine, "frozen", 2, 3))
    machine.start(other, lambda: ticking(machine, "other", 3, 3))
    other.call_later(3, frozen.freeze)
    other.call_later(8, frozen.thaw)
    machine.run()
    assert machine.said == [(2, "frozen"), (3, "other"), (6, "other"), (8, "frozen"), (9, "other"), (10, "frozen")]


def test_a_killed_process_does_nothing_any_more_not_even_clean_up() -> None:
    machine = Machine()
    killed, other = machine.process("killed"), machine.process("other")

    async def careful() -> None:
        try:
            await ticking(machine, "killed", 2, 5)
        finally:
            machine.say("cleaned up")

    machine.start(killed, careful)
    other.call_later(5, killed.kill)
    machine.run()
    assert machine.said == [(2, "killed"), (4, "killed")]
    killed.bury()
    assert machine.complaints == []


def test_burying_survives_a_task_that_insists() -> None:
    machine = Machine()
    loop = machine.process()

    async def insists() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(1)

    machine.start(loop, insists)
    machine.run(1)
    loop.kill()
    loop.bury()
    assert machine.complaints == []


def test_what_a_dead_process_wants_to_do_in_the_end_is_done_nowhere() -> None:
    """Its ``finally`` blocks run when it is buried, by another one: their timers must not become that one's."""
    machine = Machine()
    dead = machine.process("dead")

    async def leaves_a_timer() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            asyncio.get_running_loop().call_later(1, machine.say, "it lives")

    def buries() -> None:
        dead.kill()
        dead.bury()
        machine.say("buried")
        assert asyncio.get_running_loop() is gravedigger

    machine.start(dead, leaves_a_timer)
    gravedigger = machine.process("gravedigger")
    gravedigger.call_later(1, buries)
    machine.run(10)
    assert machine.said == [(1, "buried")]
    assert machine.complaints == []


def test_a_set_of_tasks_goes_by_their_beginning() -> None:
    """Wherever they lie in memory: of hundreds, an order by their addresses would not be that of their beginning."""
    machine = Machine()

    async def waits(number: int) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            machine.say(f"{number}")

    async def many() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(300):
                group.create_task(waits(number))

    async def is_cancelled() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(many(), 1)

    machine.start(machine.process(), is_cancelled)
    machine.run(10)
    assert [int(what) for _, what in machine.said] == list(range(300))


def test_a_run_without_end_is_found() -> None:
    machine = Machine(max_steps=1_000)

    async def spinning() -> None:
        for _ in range(10**9):
            await asyncio.sleep(0)

    machine.start(machine.process(), spinning)
    with pytest.raises(StepsExhausted, match="1000 callbacks"):
        machine.run()


def test_an_error_that_nobody_handles_is_told() -> None:
    machine = Machine()
    loop = machine.process("p")
    loop.call_soon(lambda: 1 / 0)
    machine.run()
    assert machine.complaints == ["p: a callback failed: ZeroDivisionError('division by zero')"]


def test_what_asyncio_offers_works_on_it() -> None:
    machine = Machine()

    async def work() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        machine.say("timed out")
        lock, semaphore = asyncio.Lock(), asyncio.Semaphore(2)

        async def one(number: int) -> int:
            async with semaphore:
                await asyncio.sleep(1)
            async with lock:
                machine.say(f"{number}")
            return number

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(number)) for number in range(4)]
        assert [task.result() for task in tasks] == [0, 1, 2, 3]
        assert list(await asyncio.gather(one(5), one(6))) == [5, 6]
        done, pending = await asyncio.wait([asyncio.ensure_future(one(7))], timeout=0.5)
        assert not done
        assert len(pending) == 1
        pending.pop().cancel()
        machine.say("done")

    machine.start(machine.process(), work)
    machine.run()
    assert machine.said[0] == (5, "timed out")
    assert machine.said[-1] == (8.5, "done")
    assert [what for _, what in machine.said[1:-1]] == ["0", "1", "2", "3", "5", "6"]


def test_a_coroutine_that_never_gives_way_can_be_driven() -> None:
    async def quick() -> int:
        return 3

    assert drive(quick()) == 3
    with pytest.raises(AssertionError):
        drive(asyncio.sleep(0))
