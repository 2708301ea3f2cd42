"""A source's way to the log: what was heard is taken in as HTTP's signals are, and open calls are read back from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from adapters.ingest import Ingest, Prepared, UnknownEnterprise
from adapters.settings_store import SettingsStore
from core.call import Call, fold, initial
from core.events import Event, UnknownEventType, decode
from core.ports import EventStore, StreamId
from core.signals import Heard, SignalError

log = structlog.get_logger("pbx")

ENDPOINT: Final = "ami"
"""Under this name what could not be taken in is kept for inspection."""


class LogRecorder:
    """See ``adapters.asterisk.source.Recorder``."""

    def __init__(
        self,
        ingest: Ingest,
        store: EventStore,
        settings: SettingsStore,
        open_streams: Callable[[str, str], Awaitable[list[StreamId]]],
    ) -> None:
        self._ingest = ingest
        self._store = store
        self._settings = settings
        self._open_streams = open_streams

    async def record(self, enterprise: str, heard: Sequence[Heard], *, again: bool) -> None:
        """See ``Recorder``. What can never be recorded is kept as rejected input, and told of."""
        ready: list[tuple[Heard, Prepared]] = []
        for each in heard:
            try:
                ready.append((each, await self._ingest.prepare_heard(enterprise, each)))
            except UnknownEnterprise as error:
                await self._reject(enterprise, each, error)
        if not ready:
            return
        outcomes = await self._ingest.record([prepared for _, prepared in ready], again=again)
        for (each, _), outcome in zip(ready, outcomes, strict=True):
            if isinstance(outcome, SignalError):
                await self._reject(enterprise, each, outcome)

    async def _reject(self, enterprise: str, heard: Heard, error: SignalError) -> None:
        await self._ingest.reject(ENDPOINT, {"enterprise_number": enterprise, **heard.event.raw}, error)

    async def open_calls(self, enterprise: str, wire: str) -> list[Call]:
        """See ``Recorder``."""
        return [await self._folded(stream) for stream in await self._open_streams(enterprise, wire)]

    async def country(self, enterprise: str) -> str | None:
        """See ``Recorder``."""
        current = await self._settings.current(enterprise)
        return current.settings.country if current is not None else None

    async def _folded(self, stream: StreamId) -> Call:
        events: list[Event] = []
        for recorded in await self._store.read(stream):
            try:
                events.append(decode(recorded.type, recorded.schema, recorded.data))
            except UnknownEventType:
                log.error("event_unreadable", stream=stream.name, position=recorded.position)
        return fold(initial(stream.enterprise, stream.name.partition("/")[2]), events)
