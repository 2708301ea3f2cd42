"""The administrator's test call (PRODUCT D1): one marked call through everything, and how far it has come, in words.

It goes the way every call goes: a dial is taken in, the reactor does the rest, a hangup is taken in. What is told of it is read
from the call's own history, so any instance can tell, and any that is asked ends the call if the one that began it is gone.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from adapters.ingest import Ingest
from adapters.outages import unavailable
from adapters.self_test_steps import Progress, read_progress
from adapters.settings_store import SettingsStore
from core.errors import StoreUnavailable
from core.ports import EventStore, StreamId
from core.self_test import MAX_MS, NUMBER, PREFIX, is_test
from core.signals import Wire

log = structlog.get_logger("self_test")

SHOWN_MS: Final = 4_000
"""The card stands for so long, that a person can turn the head."""

PATIENCE_MS: Final = 20_000
"""Without a card the call ends after this: longer than MoySklad is waited for once."""

LIFE_MS: Final = MAX_MS
"""A test that has not ended by then is told as it stands."""

APART_MS: Final = 30_000
"""Between two tests of one enterprise, unless the first has ended."""

AT_ONCE: Final = 10
STEP_S: Final = 0.3
LOOKS: Final = int(LIFE_MS / 1000 / STEP_S) + 10

_LAST: Final = "SELECT max(stream) FROM streams WHERE enterprise = $1 AND stream > $2 AND stream < $3"


class Busy(Exception):
    """A test of this enterprise is going on, or too many of others."""


class SwitchedOff(Exception):
    """The integration is off: nothing would be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A test as it stands. ``state``: running, passed, failed."""

    test: str
    extension: str
    state: str
    steps: Sequence[Any]
    started_ms: int
    took_ms: int


class SelfTests:
    """Begins test calls, ends them, tells of them. Methods raise StoreUnavailable."""

    def __init__(
        self, *, ingest: Ingest, store: EventStore, settings: SettingsStore, pool: Any, now_ms: Callable[[], int]
    ) -> None:
        self._ingest = ingest
        self._store = store
        self._settings = settings
        self._pool = pool
        self._now_ms = now_ms
        self._running: set[asyncio.Task[None]] = set()

    async def start(self, enterprise: str, extension: str) -> str:
        """Begin a test call and see it through in the background; its name. Raises Busy and SwitchedOff."""
        test = await self.begin(enterprise, extension)
        task = asyncio.create_task(self._see_through(enterprise, test), name=f"self-test of {enterprise}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return test

    async def begin(self, enterprise: str, extension: str) -> str:
        """Take the dial in."""
        current = await self._settings.current(enterprise)
        if current is None or not current.settings.enabled:
            raise SwitchedOff
        if len(self._running) >= AT_ONCE or await self._is_going_on(enterprise):
            raise Busy
        test = f"{PREFIX}{self._now_ms():013d}-{secrets.token_hex(3)}"
        await self._ingest.take(Wire.INCOMING_CALL, _body(enterprise, test, extension, "dial"))
        return test

    async def look(self, enterprise: str, test: str) -> Report | None:
        """How far a test has come; its hangup is taken in when it is time. None for a test that nobody knows."""
        if not is_test(test):
            return None
        history = await self._store.read(StreamId(enterprise=enterprise, name=f"call/{test}"))
        revision = next((int(number) for each in history if (number := each.data.get("settings_revision"))), 0)
        settings = await self._settings.at_revision(enterprise, revision)
        now_ms = self._now_ms()
        progress = read_progress(enterprise, test, history, settings)
        if progress is None:
            return None
        if (end_ms := _hang_up_ms(progress)) is not None and end_ms <= now_ms:
            await self._ingest.take(
                Wire.HANGUP_CALL, _body(enterprise, test, progress.extension, "hangup", progress.started_ms, end_ms)
            )
        is_late = now_ms - progress.started_ms > LIFE_MS
        state = "failed" if progress.failed or (is_late and not progress.ended) else "passed" if progress.ended else "running"
        return Report(
            test=test,
            extension=progress.extension,
            state=state,
            steps=progress.steps,
            started_ms=progress.started_ms,
            took_ms=(progress.ended_ms or now_ms) - progress.started_ms,
        )

    async def close(self) -> None:
        """Stop following: whoever asks for a test after this ends its call."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _is_going_on(self, enterprise: str) -> bool:
        with unavailable("the calls cannot be read"):
            last = await self._pool.fetchval(_LAST, enterprise, f"call/{PREFIX}", f"call/{PREFIX[:-1]}.")
        if last is None:
            return False
        test = str(last).partition("/")[2]
        report = await self.look(enterprise, test)
        return report is not None and report.state == "running" and self._now_ms() - report.started_ms < APART_MS

    async def _see_through(self, enterprise: str, test: str) -> None:
        for _ in range(LOOKS):
            await asyncio.sleep(STEP_S)
            try:
                report = await self.look(enterprise, test)
            except StoreUnavailable:
                continue  # the call goes on as soon as anything does
            if report is None or report.state != "running":
                log.info("self_test_ended", call=test, enterprise=enterprise, state=report.state if report else "lost")
                return


def _hang_up_ms(progress: Progress) -> int | None:
    """When the call is to end, None once it has: the same whoever asks, so that two who do end it once."""
    if progress.hung_up:
        return None
    if progress.shown_ms is not None:
        return progress.shown_ms + SHOWN_MS
    if progress.hopeless_ms is not None:
        return progress.hopeless_ms
    return progress.started_ms + PATIENCE_MS


def _body(
    enterprise: str, test: str, extension: str, event: str, start_ms: int | None = None, end_ms: int | None = None
) -> dict[str, Any]:
    """What the dispatcher would post for such a call; with a start and an end its hangup, answered by the extension."""
    raw: dict[str, Any] = {
        "UniqueId": test,
        "Phone": NUMBER,
        "Extensions": [extension],
        "CallType": 0,
        "Trunk": "selftest",
    }
    if start_ms is not None and end_ms is not None:
        raw |= {"DateReceived": _when(start_ms), "StartTime": _when(start_ms), "EndTime": _when(end_ms), "CallStatus": "2"}
    return {
        "enterprise_number": enterprise,
        "phone": NUMBER,
        "extension": extension,
        "direction": "in",
        "event_type": event,
        "unique_id": test,
        "raw": raw,
    }


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
