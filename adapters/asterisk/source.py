"""One Asterisk as a source of signals: connect, find out what is up, listen, record; and again when the connection ends.

AMI repeats nothing. So whatever was said while nobody listened is found out by comparing the channels that are up with the calls
that were open in our own history (``core.ami.resync``), after each connection, whoever made the one before. What was heard goes
the way of every signal: durable before anything follows from it. While the database is away it waits, up to a limit
(``connection.MAX_WAITING``); beyond it the connection is let go, what was heard is recorded, and a resync tells the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import structlog

from adapters.asterisk.config import PbxConfig
from adapters.asterisk.connection import ActionRefused, Connection, ConnectionEnded, HeardMessage, connected
from core import ami
from core.call import Call
from core.errors import StoreUnavailable
from core.events import HangupObserved
from core.signals import Heard

log = structlog.get_logger("pbx")

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 15.0
"""Between two attempts to connect: doubled from the first to the longest, each with some chance in it."""

REFUSED_WAIT_S: Final = 60.0
"""After a refused login: it helps nobody to be refused again at once, and fail2ban would bar us."""

STABLE_S: Final = 30.0
"""A connection that lasted so long was a good one: the next attempt comes at once."""

BATCH: Final = 200
"""Messages whose observations are recorded in one commit."""

RETRY_S: Final = 0.5
"""Between two attempts to record while the database is away."""


class Recorder(Protocol):
    """Where a source's signals go, and where it learns what went there before. Every method may raise StoreUnavailable."""

    async def record(self, enterprise: str, heard: Sequence[Heard], *, again: bool) -> None:
        """Put them on disk, in order, in one commit. ``again``: nobody knows whether an earlier attempt did."""
        ...

    async def open_calls(self, enterprise: str, wire: str) -> list[Call]:
        """The calls that were heard of through this wire and are not known to be over."""
        ...

    async def country(self, enterprise: str) -> str | None:
        """How the enterprise's numbers are read; None: the enterprise is unknown."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How a connection is, for people. ``state``: ``connecting``, ``connected``, or ``waiting`` for the next attempt.

    ``since_ms``: since when it is so; ``heard_ms``: the last message; ``closed``: calls that a resync found to be over.
    """

    name: str
    enterprise: str
    where: str
    state: str = "connecting"
    since_ms: int = 0
    heard_ms: int | None = None
    next_ms: int | None = None
    reason: str = ""
    remedy: str = ""
    version: str = ""
    messages: int = 0
    connections: int = 0
    closed: int = 0
    waiting: int = 0

    def as_json(self) -> dict[str, Any]:
        """As it is reported."""
        return {key: getattr(self, key) for key in self.__dataclass_fields__}


class Source:
    """One PBX's connection. ``run`` keeps it until cancelled; ``state`` says how it is."""

    def __init__(
        self,
        config: PbxConfig,
        recorder: Recorder,
        *,
        now_ms: Callable[[], int],
        may_record: Callable[[], bool] = lambda: True,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """``may_record``: whether this instance may still be taken for the one that holds this PBX."""
        self._config = config
        self._recorder = recorder
        self._now_ms = now_ms
        self._may_record = may_record
        self._sleep = sleep
        self._chance = chance
        self._pbx = config.pbx
        self._ami = ami.Ami()
        self._wait_s = FIRST_WAIT_S
        self._connection: Connection | None = None
        self._taken_ms: int | None = None
        self._state = State(name=config.pbx.name, enterprise=config.pbx.enterprise, where=config.where, since_ms=now_ms())

    @property
    def state(self) -> State:
        """How it is now."""
        waiting = self._connection.messages.qsize() if self._connection is not None else 0
        return replace(self._state, waiting=waiting)

    async def run(self) -> None:
        """Connect, listen, and connect again, until cancelled or let go."""
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self.listen_once()
            except ConnectionEnded as ended:
                if self._taken_ms is not None:
                    return
                lasted_s = asyncio.get_running_loop().time() - began
                await self._wait(ended, lasted_s)

    def let_go(self, taken_ms: int) -> bool:
        """Hear nothing more, for another instance does since then. What was heard before is recorded yet, and then ``run`` returns.

        False: there is nothing that may be recorded, and ``run`` goes on. A list of channels that was not compared with the
        log yet must not be any more: the other one has recorded calls that are younger than the list.
        """
        if self._connection is None or self._state.state != "connected":
            return False
        self._taken_ms = taken_ms
        self._connection.give_up("this end let go of the connection")
        return True

    async def listen_once(self) -> None:
        """One connection, from its beginning to its end. Raises ConnectionEnded, once what was heard is recorded."""
        self._now_is("connecting", keep_reason=True)
        async with connected(self._config, self._now_ms) as connection:
            self._connection = connection
            try:
                await self._resync(connection)
                self._now_is("connected", version=connection.banner, connections=self._state.connections + 1)
                log.info("pbx_connected", pbx=self._pbx.name, enterprise=self._pbx.enterprise, version=connection.banner)
                await self._listen(connection)
            finally:
                self._connection = None

    async def _resync(self, connection: Connection) -> None:
        """What is up, against what we thought. Messages that come meanwhile stay in the queue and are heard afterwards."""
        try:
            channels = await connection.listing("CoreShowChannels")
        except ActionRefused as error:
            raise ConnectionEnded(
                f"Asterisk does not show its channels to {self._config.user!r}: {error}",
                "add reporting to write= of that user in manager.conf",
                refused=True,
            ) from None
        listed_ms = self._now_ms()  # not once the database has answered: what is heard until then came after the list
        pbx = self._config.pbx
        country = await self._patiently(lambda: self._recorder.country(pbx.enterprise))
        self._pbx = replace(pbx, country=country) if country else pbx
        calls = await self._patiently(lambda: self._recorder.open_calls(pbx.enterprise, pbx.wire))
        self._ami, heard = ami.resync(self._ami, channels, calls, listed_ms, self._pbx)
        await self._record(heard)
        closed = sum(isinstance(each.event, HangupObserved) for each in heard)
        self._state = replace(self._state, closed=self._state.closed + closed)
        if calls or channels:
            log.info("pbx_resynced", pbx=pbx.name, channels=len(channels), calls_thought_open=len(calls), calls_closed=closed)

    async def _listen(self, connection: Connection) -> None:
        while True:
            batch = await self._next(connection)
            heard: list[Heard] = []
            for message in batch:
                if message is None:
                    await self._record([*heard, *self._held_back()])
                    assert connection.ended is not None
                    raise connection.ended
                self._ami, said = ami.hear(self._ami, message.message, message.heard_ms, self._pbx)
                heard += said
                self._state = replace(self._state, heard_ms=message.heard_ms, messages=self._state.messages + 1)
            if self._ami.due_ms is not None and self._now_ms() >= self._ami.due_ms:
                self._ami, said = ami.tick(self._ami, self._now_ms(), self._pbx)
                heard += said
            await self._record(heard)

    def _held_back(self) -> list[Heard]:
        """All that waits for what may still be said: nothing will be, and nobody knows when Asterisk is back."""
        heard: list[Heard] = []
        while (due_ms := self._ami.due_ms) is not None:
            self._ami, said = ami.tick(self._ami, max(due_ms, self._now_ms()), self._pbx)
            heard += said
        return heard

    async def _next(self, connection: Connection) -> list[HeardMessage | None]:
        """What is there, as soon as something is; nothing when the translation has waited long enough."""
        batch: list[HeardMessage | None] = []
        due_ms = self._ami.due_ms
        patience_s = None if due_ms is None else max(0.0, (due_ms - self._now_ms()) / 1_000)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                batch.append(await connection.messages.get())
        while len(batch) < BATCH and not connection.messages.empty():
            batch.append(connection.messages.get_nowait())
        return batch

    async def _record(self, heard: Sequence[Heard]) -> None:
        """Put it on disk, however long the database is away."""
        attempts = 0

        async def record() -> None:
            nonlocal attempts
            attempts += 1
            ours = [each for each in heard if self._taken_ms is None or each.event.heard_ms <= self._taken_ms]
            await self._recorder.record(self._pbx.enterprise, ours, again=attempts > 1)

        if heard:
            await self._patiently(record)

    async def _patiently(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        told = False
        while True:
            if self._may_record():
                try:
                    return await ask()
                except StoreUnavailable as error:
                    if not told:
                        log.warning("pbx_waits_for_database", pbx=self._pbx.name, reason=str(error))
                    told = True
            await self._sleep(RETRY_S)

    async def _wait(self, ended: ConnectionEnded, lasted_s: float) -> None:
        if lasted_s >= STABLE_S:
            self._wait_s = FIRST_WAIT_S
        wait_s = REFUSED_WAIT_S if ended.refused else self._wait_s * (0.5 + self._chance() / 2)
        self._wait_s = min(LONGEST_WAIT_S, self._wait_s * 2)
        self._now_is("waiting", reason=ended.reason, remedy=ended.remedy, next_ms=self._now_ms() + int(wait_s * 1_000))
        log.warning("pbx_connection_ended", pbx=self._pbx.name, reason=ended.reason, again_in_s=round(wait_s, 1))
        await self._sleep(wait_s)

    def _now_is(self, state: str, *, keep_reason: bool = False, **changes: Any) -> None:
        plain: dict[str, Any] = {"next_ms": None}
        if not keep_reason:
            plain |= {"reason": "", "remedy": ""}
        self._state = replace(self._state, **{**plain, "state": state, "since_ms": self._now_ms(), **changes})
