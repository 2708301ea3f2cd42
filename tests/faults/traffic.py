"""What the stages are played: recordings as calls of several enterprises, sent by posts or by a stream until acknowledged.

The sender waits three seconds for an answer, as the dispatcher does, and, unlike it, sends again what was not acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import aiohttp
import msgspec
import orjson

from adapters.demo_stage import CONFIG
from adapters.sandbox.seed import AccountSeed, demo_account
from tests.moysklad_model import Row
from tests.playback import NAMES, Line, as_call_event, recording
from tests.test_disorder import play as played_undisturbed

RECORDED_AS = "0367"
"""The enterprise of the recordings; the first of a stage has its number too."""

PBX_ZONE = ZoneInfo("Europe/Minsk")
SENDER_PATIENCE_S = 3.0
"""How long the dispatcher waits for an answer."""

RESEND_S = 0.1
LONGEST_PAUSE_S = 4.0
GIVE_UP_S = 240.0
"""An event that nobody acknowledges for so long ends the test."""

NUMBERS = ("79161234567", "375290000001")
"""The customers of the recordings: each copy that is played gets a number of its own in their place."""

CALLS_ALONE: dict[str, Any] = {
    "incoming_call_actions": {"create_client": True, "create_order": "none", "create_task": "none"},
    "outgoing_call_actions": {"create_client": True, "create_order": "none"},
}
WITH_ORDERS: dict[str, Any] = {
    "incoming_call_actions": {"create_client": True, "create_order": "always", "create_task": "on_missed"},
    "outgoing_call_actions": {"create_client": True, "create_order": "always"},
}
"""Settings that ask for whatever may follow a call."""

SPEED = 4.0
"""How much faster than recorded calls go by, unless a test says otherwise."""

ANY_COPY = 99_999
STREAM_PATH = "/internal/ms/events"


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """One enterprise with a MoySklad account of its own: ``number`` here, ``account`` there."""

    number: str
    account: str
    phone_key: str
    api_token: str

    def config(self, **changes: Any) -> dict[str, Any]:
        """Its settings."""
        return {**CONFIG, **CALLS_ALONE, "integration_code": self.phone_key, "api_token": self.api_token, **changes}

    def seed(self) -> AccountSeed:
        """Its account: the demo's people under credentials of its own."""
        demo = demo_account()
        return msgspec.structs.replace(
            demo, name=self.account, phone_key=self.phone_key, api_token=self.api_token, login=f"admin@{self.account}"
        )


def offices(count: int) -> list[Office]:
    """So many enterprises; the first is the demo's own."""
    demo = demo_account()
    first = Office(number=RECORDED_AS, account=demo.name, phone_key=demo.phone_key, api_token=demo.api_token)
    rest = range(2001, 2000 + count)
    return [
        first,
        *(Office(number=f"{n}", account=f"account{n}", phone_key=f"a{n:039}", api_token=f"b{n:039}") for n in rest),
    ]


@dataclass(slots=True, kw_only=True, eq=False)
class Copy:
    """One recording as it is played once: enterprise, ids, number and times of its own.

    ``expected`` by external id: what should come of it. ``heard_ms``: when each line was acknowledged (unix ms).
    """

    name: str
    lines: list[Line]
    office: Office
    resent: int = 0
    heard_ms: list[int] = field(default_factory=list)
    expected: dict[str, Row] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        """How many of its signals were acknowledged."""
        return len(self.heard_ms)

    def bodies(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Path and body of each line."""
        for line in self.lines:
            path, body = as_call_event(line)
            yield path, {**body, "enterprise_number": self.office.number}


def moved(name: str, nth: int, start_s: float, speed: float, office: Office) -> Copy:
    """The recording with ids and a customer of its own, beginning at ``start_s``, and what should come of it."""
    lines = recording(name)
    elapsed_s, before_ms = 0.0, lines[0].at_ms
    moments: list[tuple[float, float]] = []
    for line in lines:
        elapsed_s += min((line.at_ms - before_ms) / 1000, LONGEST_PAUSE_S) / speed
        before_ms = line.at_ms
        moments.append((line.at_ms / 1000, start_s + elapsed_s))
    fresh = [
        Line(round(at_s * 1000), line.event, _made_new(line.body, nth, moments))
        for line, (_, at_s) in zip(lines, moments, strict=True)
    ]
    expected = dict(_expected(row, nth, office) for row in _undisturbed(name, speed)) if nth != ANY_COPY else {}
    return Copy(name=name, lines=fresh, office=office, expected=expected)


@cache
def _undisturbed(name: str, speed: float) -> tuple[Row, ...]:
    """What should come of a recording played at that speed, under ids of no copy in particular."""
    copy = moved(name, ANY_COPY, time.time(), speed, offices(1)[0])
    world = played_undisturbed([(line.at_ms, line) for line in copy.lines], as_call_event)
    return tuple(world.moysklad.rows)


def _expected(row: Row, nth: int, office: Office) -> tuple[str, Row]:
    own = row.external_id.replace(f"k{ANY_COPY}.", f"k{nth}.").replace(f"{RECORDED_AS}-", f"{office.number}-", 1)
    return own, replace(row, external_id=own, number=row.number.replace(f"{ANY_COPY}", f"{nth:05}"))


def _made_new(body: Mapping[str, Any], nth: int, moments: list[tuple[float, float]]) -> dict[str, Any]:
    text = orjson.dumps(dict(body)).decode()
    for number in NUMBERS:
        text = text.replace(number, f"{number[:-5]}{nth:05}")
    fresh: dict[str, Any] = orjson.loads(text)
    fresh.pop("Token", None)
    for key in ("UniqueId", "BridgeUniqueid"):
        if fresh.get(key):
            fresh[key] = f"k{nth}.{fresh[key]}"
    for key in ("DateReceived", "StartTime", "EndTime"):
        if fresh.get(key):
            recorded_s = datetime.fromisoformat(fresh[key]).replace(tzinfo=PBX_ZONE).timestamp()
            nearest = min(moments, key=lambda moment: abs(moment[0] - recorded_s))
            fresh[key] = datetime.fromtimestamp(nearest[1], PBX_ZONE).strftime("%Y-%m-%d %H:%M:%S")
    return fresh


# -- senders ---------------------------------------------------------------------------------------------------------


class Sender(Protocol):
    """A way to the service."""

    async def deliver(self, copy: Copy, path: str, body: dict[str, Any]) -> None:
        """Send one event until it is acknowledged."""
        ...


@dataclass(slots=True, kw_only=True)
class Posts:
    """One event a request, as the dispatcher sends. ``url``: where the next one goes.

    ``answers`` counts single attempts: ``200``, ``503`` (with Retry-After), ``late`` (nothing within three seconds),
    ``lost`` (the connection refused or broken). ``reasons``: what the 503s said.
    """

    http: aiohttp.ClientSession
    url: Callable[[], str]
    answers: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)

    async def deliver(self, copy: Copy, path: str, body: dict[str, Any]) -> None:
        """See :class:`Sender`."""
        deadline = time.monotonic() + GIVE_UP_S
        while not await self._attempt(path, body):
            assert time.monotonic() < deadline, f"nobody acknowledged it: {self.answers}"
            copy.resent += 1
            await asyncio.sleep(RESEND_S)

    async def _attempt(self, path: str, body: dict[str, Any]) -> bool:
        began = time.monotonic()
        try:
            async with asyncio.timeout(SENDER_PATIENCE_S), self.http.post(f"{self.url()}{path}", json=body) as answer:
                text = await answer.text()
                honest = answer.status == 200 or (answer.status == 503 and "Retry-After" in answer.headers)
                assert honest, f"{answer.status} {text}"
                self.answers[f"{answer.status}"] += 1
                if answer.status != 200:
                    self.reasons[orjson.loads(text)["error"]] += 1
                return answer.status == 200
        except TimeoutError:
            self.answers["late"] += 1
        except aiohttp.ClientError:
            self.answers["lost"] += 1
        finally:
            self.took_s.append(time.monotonic() - began)
        return False


class Stream:
    """Everything over one long connection; what was not acknowledged when it breaks is sent again over the next."""

    def __init__(self, http: aiohttp.ClientSession, url: Callable[[], str]) -> None:
        self._http = http
        self._url = url
        self._unacknowledged: dict[int, tuple[bytes, Copy, asyncio.Future[None]]] = {}
        self._numbers = itertools.count(1)
        self._more = asyncio.Event()
        self.connections = 0
        self.acknowledged = 0

    async def deliver(self, copy: Copy, path: str, body: dict[str, Any]) -> None:
        """See :class:`Sender`."""
        heard = asyncio.get_running_loop().create_future()
        self._unacknowledged[next(self._numbers)] = (orjson.dumps(body) + b"\n", copy, heard)
        self._more.set()
        async with asyncio.timeout(GIVE_UP_S):
            await heard

    async def run(self) -> None:
        """Keep a connection until cancelled; what goes wrong goes to whoever waits for an acknowledgement."""
        try:
            await self._run()
        except Exception as error:
            for _, _, heard in self._unacknowledged.values():
                if not heard.done():
                    heard.set_exception(error)
            raise

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                await self._converse()
            for _, copy, _ in self._unacknowledged.values():
                copy.resent += 1
            await asyncio.sleep(RESEND_S)

    async def _converse(self) -> None:
        sent: list[int] = []
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=SENDER_PATIENCE_S)
        headers = {"Content-Type": "application/x-ndjson"}
        async with self._http.post(
            f"{self._url()}{STREAM_PATH}", data=self._lines(sent), headers=headers, timeout=timeout
        ) as answer:
            if answer.status != 200:
                assert answer.status == 503, await answer.text()
                return
            self.connections += 1
            async for line in answer.content:
                told = orjson.loads(line)
                if "n" not in told:  # last words: the service stops, or its database is away
                    return
                assert told["status"] == "success", told
                _, _, heard = self._unacknowledged.pop(sent.pop(0))
                self.acknowledged += 1
                if not heard.done():
                    heard.set_result(None)

    async def _lines(self, sent: list[int]) -> AsyncIterator[bytes]:
        last = 0
        while True:
            self._more.clear()
            for number in [number for number in self._unacknowledged if number > last]:
                last = number
                sent.append(number)
                yield self._unacknowledged[number][0]
            await self._more.wait()


# -- load ------------------------------------------------------------------------------------------------------------


async def play(copy: Copy, sender: Sender, *, first: int = 0, last: int | None = None) -> Copy:
    """Send a copy's signals (or some of them) at their times, each until acknowledged."""
    for line, (path, body) in list(zip(copy.lines, copy.bodies(), strict=True))[first:last]:
        await asyncio.sleep(max(0.0, line.at_ms / 1000 - time.time()))
        await sender.deliver(copy, path, body)
        copy.heard_ms.append(time.time_ns() // 1_000_000)
    return copy


class Load:
    """Calls of several enterprises, begun at a steady rate, with ids that never repeat on a stage."""

    def __init__(
        self, whose: Sequence[Office], senders: Sequence[Sender], rng: random.Random, *, speed: float = SPEED, first: int = 1
    ) -> None:
        self._whose = whose
        self._senders = senders
        self._speed = speed
        self._numbers = itertools.count(first)
        self._names = itertools.cycle(rng.sample(NAMES, len(NAMES)))
        self.copies: list[Copy] = []

    def copy(self, name: str, office: Office, *, start_s: float | None = None) -> Copy:
        """One more call, not begun yet, that will be judged."""
        made = moved(name, next(self._numbers), time.time() if start_s is None else start_s, self._speed, office)
        self.copies.append(made)
        return made

    @contextlib.asynccontextmanager
    async def going_on(
        self, per_s: float, *, names: Sequence[str] = (), at_most: int = 100_000
    ) -> AsyncIterator[None]:
        """``per_s`` calls a second begin while the block runs, enterprise by enterprise; they are sent to their end."""
        enough = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_up(per_s, enough, names, at_most))
            try:
                yield
            finally:
                enough.set()

    async def _keep_up(self, per_s: float, until: asyncio.Event, names: Sequence[str], at_most: int) -> None:
        chosen = itertools.cycle(names) if names else self._names
        whose = itertools.cycle(self._whose)
        senders = itertools.cycle(self._senders)
        next_s = time.time()
        async with asyncio.TaskGroup() as group:
            while not until.is_set() and len(self.copies) < at_most:
                copy = self.copy(next(chosen), next(whose), start_s=next_s)
                group.create_task(play(copy, next(senders)))
                next_s += 1 / per_s
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, next_s - time.time())):
                        await until.wait()
