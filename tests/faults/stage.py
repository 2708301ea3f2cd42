"""The real service and the sandbox as processes of their own, recordings posted until acknowledged, and SIGKILL.

A service that is killed loses everything but its database: its embedded PostgreSQL runs on, as it would in service.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import orjson

from adapters.demo import CONFIG
from tests.moysklad_model import Row
from tests.playback import Line, as_call_event, recording
from tests.test_disorder import play as played_undisturbed

ROOT = Path(__file__).resolve().parent.parent.parent
ENTERPRISE = "0367"
PBX_ZONE = ZoneInfo("Europe/Minsk")
READY_S = 60.0
SENDER_PATIENCE_S = 3.0
"""How long the dispatcher waits for an answer."""

RESEND_S = 0.1
LONGEST_PAUSE_S = 4.0
NUMBERS = ("79161234567", "375290000001")
"""The customers of the recordings: each copy that is played gets a number of its own in their place."""


@dataclass(slots=True, kw_only=True)
class Copy:
    """One recording as it is played once: ids, number and times of its own. ``expected`` by external id."""

    name: str
    lines: list[Line]
    sent: int = 0
    resent: int = 0
    expected: dict[str, Row] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Stage:
    """Where everything is. ``kills`` counts; ``down_s`` is how long each restart took to answer again."""

    http: aiohttp.ClientSession
    folder: Path
    service: str
    sandbox: str
    environment: dict[str, str]
    process: asyncio.subprocess.Process | None = None
    kills: int = 0
    down_s: list[float] = field(default_factory=list)

    async def start(self) -> None:
        """Start the service and wait until it answers that it is well."""
        began = time.monotonic()
        self.process = await self._spawn("service.log", "serve")
        await self._until_well(f"{self.service}/healthz", self.process)
        self.down_s.append(time.monotonic() - began)

    async def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is said."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
        self.kills += 1

    async def stop(self) -> None:
        """As an administrator stops it; the embedded PostgreSQL goes too."""
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await asyncio.wait_for(self.process.wait(), 30)

    async def deliver(self, line: Line, copy: Copy) -> None:
        """Post one signal again and again until it is acknowledged."""
        path, body = as_call_event(line)
        async with asyncio.timeout(READY_S * 2):
            while not await self._post(path, {**body, "enterprise_number": ENTERPRISE}):
                copy.resent += 1
                await asyncio.sleep(RESEND_S)
        copy.sent += 1

    async def calls(self) -> list[dict[str, Any]]:
        """The calls as MoySklad has them."""
        async with self.http.get(f"{self.sandbox}/sandbox/calls?limit=5000") as answer:
            return list((await answer.json())["calls"])

    async def order(self, method: str, path: str, body: Any = None) -> None:
        """Tell the sandbox how to behave."""
        async with self.http.request(method, f"{self.sandbox}{path}", json=body) as answer:
            assert answer.status < 300, await answer.text()

    async def configure(self) -> None:
        """Give the enterprise its settings."""
        async with self.http.put(f"{self.service}/ms-admin/api/config/{ENTERPRISE}", json=CONFIG) as answer:
            assert answer.status == 200, await answer.text()

    def tail(self, lines: int = 30) -> str:
        """The end of the service's log, for a failure's message."""
        return "\n".join((self.folder / "service.log").read_text(errors="replace").splitlines()[-lines:])

    async def _post(self, path: str, body: dict[str, Any]) -> bool:
        timeout = aiohttp.ClientTimeout(total=SENDER_PATIENCE_S)
        try:
            async with self.http.post(f"{self.service}{path}", json=body, timeout=timeout) as answer:
                assert answer.status in (200, 503), await answer.text()
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _spawn(self, log: str, *arguments: str) -> asyncio.subprocess.Process:
        with (self.folder / log).open("ab") as output:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                str(ROOT / "server.py"),
                *arguments,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def _until_well(self, url: str, process: asyncio.subprocess.Process) -> None:
        async with asyncio.timeout(READY_S):
            while True:
                assert process.returncode is None, f"it ended by itself:\n{self.tail()}"
                with contextlib.suppress(aiohttp.ClientError):
                    async with self.http.get(url) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[Stage]:
    """A running sandbox and a running, configured service with a data folder of its own."""
    service_port, sandbox_port = _free_ports()
    sandbox = f"http://127.0.0.1:{sandbox_port}"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MS_") and key != "DATABASE_URL"}
    environment = kept | {
        "MS_DATA_DIR": str(folder),
        "MS_PORT": str(service_port),
        "MS_PHONE_API_URL": f"{sandbox}/api/phone/1.0",
        "MS_MAIN_API_URL": f"{sandbox}/api/remap/1.2",
        "MS_LOG_LEVEL": "info",
    }
    async with aiohttp.ClientSession() as http:
        stage = Stage(
            http=http, folder=folder, service=f"http://127.0.0.1:{service_port}", sandbox=sandbox, environment=environment
        )
        other = await stage._spawn("sandbox.log", "sandbox", "--port", str(sandbox_port))
        try:
            await stage._until_well(f"{sandbox}/sandbox/accounts", other)
            await stage.order("PUT", "/sandbox/switches", {"limits_enforced": False})
            await stage.start()
            stage.down_s.clear()
            await stage.configure()
            yield stage
        finally:
            await stage.stop()
            other.terminate()
            await asyncio.wait_for(other.wait(), 30)


async def play(stage: Stage, name: str, nth: int, speed: float) -> Copy:
    """Post one recording's signals at their times, ``speed`` times as fast, moved to now; each until acknowledged."""
    copy = moved(name, nth, time.time(), speed)
    for line in copy.lines:
        await asyncio.sleep(max(0.0, line.at_ms / 1000 - time.time()))
        await stage.deliver(line, copy)
    return copy


def moved(name: str, nth: int, start_s: float, speed: float) -> Copy:
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
    world = played_undisturbed([(line.at_ms, line) for line in fresh], as_call_event)
    return Copy(name=name, lines=fresh, expected={row.external_id: row for row in world.moysklad.rows})


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


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What MoySklad has, held against what should have come of the copies played."""

    sent: int
    recorded: int
    doubled: int = 0
    lost: int = 0
    uncalled_for: int = 0
    cards_open: int = 0
    out_of_order: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every call is there once and as it should be."""
        return not (self.doubled or self.lost or self.uncalled_for or self.cards_open or self.out_of_order or self.wrong)


def judge(copies: list[Copy], rows: list[dict[str, Any]]) -> Verdict:
    """Compare, call by call."""
    expected = {call: row for copy in copies for call, row in copy.expected.items()}
    got = [row["external_id"] for row in rows]
    verdict = Verdict(sent=len(expected), recorded=len(rows))
    verdict.doubled = len(got) - len(set(got))
    verdict.lost = len(expected.keys() - set(got))
    verdict.uncalled_for = len(set(got) - expected.keys())
    verdict.cards_open = sum(len(row["open_cards"]) for row in rows)
    verdict.out_of_order = sum(_out_of_order(row["events"]) for row in rows)
    for row in rows:
        if (wanted := expected.get(row["external_id"])) is not None:
            verdict.wrong += [f"{row['external_id']}: {each}" for each in _wrong(row, wanted)]
    return verdict


def _out_of_order(events: list[dict[str, Any]]) -> int:
    """Card events whose number is not above the last one, but for repeats of one whose answer was lost: the same again."""
    found, seen = 0, list[tuple[Any, ...]]()
    for event in events:
        what = (event["sequence"], event["event_type"], event["extension"], event["employee_id"])
        found += bool(seen) and what not in seen and event["sequence"] <= max(each[0] for each in seen)
        seen.append(what)
    return found


def _wrong(row: dict[str, Any], wanted: Row) -> Iterator[str]:
    if (row["extension"] or "") != wanted.extension:
        yield f"extension {row['extension']!r} instead of {wanted.extension!r}"
    if row["is_incoming"] != wanted.incoming:
        yield "the wrong direction"
    if row["number"] != wanted.number:
        yield "the wrong number"
    if row["end_ms"] is None:
        yield "no end"
    if len(row.get("record_urls") or []) != len(set(row.get("record_urls") or [])):
        yield "a recording twice"


async def until_settled(stage: Stage, copies: list[Copy], patience_s: float, quiet_s: float) -> Verdict:
    """Until everything is as it should be and has stayed so for ``quiet_s``, or patience ends."""
    deadline, good_since = time.monotonic() + patience_s, 0.0
    while True:
        verdict, now = judge(copies, await stage.calls()), time.monotonic()
        good_since = (good_since or now) if verdict.good else 0.0
        if now > deadline or (good_since and now - good_since >= quiet_s):
            return verdict
        await asyncio.sleep(0.1)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]
