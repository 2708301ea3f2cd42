"""Event loops on virtual time: several processes' loops in one thread, run by one clock, one callback at a time.

``Clock`` holds what is to run and when. Nothing waits for anything real: when nothing is ready, time jumps to the next
timer. Each simulated process has a ``ProcessLoop`` of its own, so that it can be frozen (SIGSTOP: nothing of it runs, time
goes on, everything that came due meanwhile runs late) or killed (SIGKILL: nothing of it ever runs again, not even a
``finally``) without the others noticing anything but silence.

Order depends on nothing but the order in which callbacks were scheduled: not on addresses, hashes or real time. Times
are integer microseconds, so that no rounding decides who is first.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, TypeVar

T = TypeVar("T")

MAX_STEPS: Final = 3_000_000
"""Callbacks of one run: a loop that never ends is a finding, not a hang."""


class StepsExhausted(AssertionError):
    """A run that does not end: callbacks schedule callbacks for ever."""


class Handle:
    """A callback that was scheduled; what ``call_soon``, ``call_later`` and ``call_at`` return."""

    __slots__ = ("_args", "_callback", "_context", "cancelled_", "owner", "when_us")

    def __init__(
        self,
        owner: ProcessLoop,
        when_us: int,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> None:
        self.owner = owner
        self.when_us = when_us
        self._callback: Callable[..., object] | None = callback
        self._args = args
        self._context = (owner.context or contextvars.copy_context()) if context is None else context
        self.cancelled_ = False

    def cancel(self) -> None:
        """Let it not run. What it holds is let go at once: a timer may lie around for long."""
        self.cancelled_ = True
        self._callback, self._args = None, ()

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.cancelled_

    def when(self) -> float:
        """When it is to run, as the loop's ``time``."""
        return self.when_us / 1_000_000

    def run(self) -> None:
        """Call back."""
        assert self._callback is not None
        try:
            self._context.run(self._callback, *self._args)
        except Exception as error:  # noqa: BLE001  as every event loop does; whoever runs it is told
            self.owner.call_exception_handler({"message": "a callback failed", "exception": error})


class Clock:
    """Virtual time, and everything that is to happen in it."""

    def __init__(self, max_steps: int = MAX_STEPS) -> None:
        self.now_us = 0
        self.steps = 0
        self._max_steps = max_steps
        self._seq = 0
        self._ready: deque[Handle] = deque()
        self._timers: list[tuple[int, int, Handle]] = []

    def ready(self, handle: Handle) -> None:
        """Run it now, after what is ready already."""
        self._ready.append(handle)

    def at(self, handle: Handle) -> None:
        """Run it at its time; among those of one time in the order in which they were scheduled."""
        self._seq += 1
        heapq.heappush(self._timers, (handle.when_us, self._seq, handle))

    def run(self, until_us: int, done: Callable[[], bool] | None = None) -> None:
        """Run what is scheduled, until nothing is, or until that time, or until ``done`` (asked before time moves on).

        Raises StepsExhausted.
        """
        ready, timers = self._ready, self._timers
        running: ProcessLoop | None = None
        try:
            while True:
                if ready:
                    handle = ready.popleft()
                elif not timers or (done is not None and done()):
                    return
                else:
                    when_us, _, handle = timers[0]
                    if handle.cancelled_ or handle.owner.dead:
                        heapq.heappop(timers)
                        continue
                    if when_us > until_us:
                        self.now_us = until_us
                        return
                    heapq.heappop(timers)
                    self.now_us = max(self.now_us, when_us)
                owner = handle.owner
                if handle.cancelled_ or owner.dead:
                    continue
                if owner.frozen:
                    owner.backlog.append(handle)
                    continue
                if owner is not running:
                    running = owner
                    asyncio._set_running_loop(owner)
                self.steps += 1
                if self.steps > self._max_steps:
                    raise StepsExhausted(f"{self._max_steps} callbacks and no end, at {self.now_us / 1e6:.3f} s")
                handle.run()
        finally:
            asyncio._set_running_loop(None)


class _Task(asyncio.Task[T]):
    """A task that hashes by its number: what goes through a set of tasks (a ``TaskGroup`` that cancels them, asyncio's list of
    all) would go by their addresses otherwise, which are others in every run.
    """

    def __init__(self, number: int, coro: Generator[Any, None, T] | Coroutine[Any, Any, T], **how: Any) -> None:
        self._number = number
        super().__init__(coro, **how)

    def __hash__(self) -> int:
        return self._number


class ProcessLoop(asyncio.AbstractEventLoop):
    """The event loop of one simulated process. ``complain``: told of what nobody handled."""

    def __init__(self, clock: Clock, name: str, complain: Callable[[str, BaseException | None], None]) -> None:
        self.clock = clock
        self.name = name
        self.frozen = False
        self.dead = False
        self.backlog: deque[Handle] = deque()
        self.context: contextvars.Context | None = None
        """Of callbacks that bring none; None: whoever schedules them is asked for his."""
        self._complain = complain
        self._tasks = 0

    # -- what happens to the process ----------------------------------------------------------------------------

    def freeze(self) -> None:
        """SIGSTOP."""
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT: what came due meanwhile runs now, in the order in which it did."""
        self.frozen = False
        while self.backlog:
            self.clock.ready(self.backlog.popleft())

    def kill(self) -> None:
        """SIGKILL."""
        self.dead = True

    def bury(self) -> None:
        """Let go of a dead process's tasks: what its ``finally`` blocks try is of no consequence to anybody.

        They run on this loop, where nothing that they schedule ever runs, and not on that of whoever buries it.
        """
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            for task in sorted(asyncio.all_tasks(self), key=hash):
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coroutine = task.get_coro()
                assert isinstance(coroutine, Coroutine)
                with contextlib.suppress(BaseException):  # it wants to go on; it is dead
                    coroutine.close()
        finally:
            asyncio._set_running_loop(before)
        self.backlog.clear()

    # -- the event loop -----------------------------------------------------------------------------------------

    def time(self) -> float:
        """Seconds of virtual time."""
        return self.clock.now_us / 1_000_000

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        """See asyncio."""
        handle = Handle(self, self.clock.now_us, callback, args, context)
        if not self.dead:
            self.clock.ready(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        """See asyncio."""
        return self.call_at_us(self.clock.now_us + max(0, round(delay * 1_000_000)), callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        """See asyncio."""
        return self.call_at_us(max(self.clock.now_us, round(when * 1_000_000)), callback, *args, context=context)

    def call_at_us(
        self, when_us: int, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        """The same, exactly."""
        handle = Handle(self, when_us, callback, args, context)
        if not self.dead:
            self.clock.at(handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """See asyncio."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """See asyncio."""
        self._tasks += 1
        return _Task(self._tasks, coro, loop=self, name=name, context=context)

    def get_debug(self) -> bool:
        """See asyncio."""
        return False

    def is_running(self) -> bool:
        """It always is, as far as anybody inside can tell."""
        return not self.dead

    def is_closed(self) -> bool:
        """See asyncio."""
        return self.dead

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Somebody forgot an error: say so, unless the process is dead."""
        if not self.dead:
            self._complain(f"{self.name}: {context.get('message')}", context.get("exception"))


def process(clock: Clock, name: str, complain: Callable[[str, BaseException | None], None]) -> ProcessLoop:
    """A new process. What its loop does not have (sockets, signals, threads) is not simulated: it raises."""
    return ProcessLoop(clock, name, complain)  # type: ignore[abstract]


def drive(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never gives way: stores in memory do not."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    raise AssertionError("it gave way")
