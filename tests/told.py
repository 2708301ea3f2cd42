"""Replays of recorded calls and of scenarios without a database: the JSON that the viewer and a ticket get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from core.decisions import Limits
from core.events import Event, encode
from core.ports import RecordedEvent, StreamId
from core.settings import Settings
from core.signals import Wire, envelope, parse
from projections.disguise import disguise
from projections.picture import Picture, draw
from projections.story import Story, at_ms, tell
from tests.playback import recording
from tests.settings import SETTINGS
from tests.world import ENTERPRISE, World

MINSK = ZoneInfo("Europe/Minsk")


def lived(name: str, settings: Settings = SETTINGS, *, but: str = "") -> World:
    """A recording as the service lived through it, to its end; ``but``: an event that was lost each time."""
    world = World(settings=settings)
    for line in [line for line in recording(name) if line.event != but]:
        signal = envelope(Wire.CALL_EVENT, {"event": line.event, "enterprise_number": ENTERPRISE, "raw": line.body})
        heard = parse(signal, heard_ms=line.at_ms, country="BY", zone=MINSK)
        world.hear(heard.stream, heard.event, digest=heard.digest)
    world.advance(world.now_ms + 120_000)
    return world


def calls_of(world: World) -> list[str]:
    """The calls of which a world has a stream."""
    return [stream.removeprefix("call/") for stream in world.streams if stream.startswith("call/")]


def recorded(history: Sequence[Event], call: str = "A", *, first: int = 1) -> list[RecordedEvent]:
    """The history as the store gives it back; positions from ``first``."""
    stream = StreamId(enterprise=ENTERPRISE, name=f"call/{call}")
    found = []
    for version, event in enumerate(history, start=1):
        type_, schema, data = encode(event)
        found.append(
            RecordedEvent(
                stream=stream,
                version=version,
                position=first + version - 1,
                id=UUID(int=version),
                type=type_,
                schema=schema,
                data=data,
                recorded_ms=at_ms(event) + 7,
            )
        )
    return found


def told(history: Sequence[Event], call: str = "A", settings: Settings = SETTINGS) -> tuple[Story, Picture]:
    """Story and picture of one call."""
    rows = recorded(history, call)
    story = tell(ENTERPRISE, call, rows, settings, Limits())
    return story, draw(story, rows, settings)


def replay(history: Sequence[Event], call: str = "A", settings: Settings = SETTINGS) -> dict[str, Any]:
    """The same as the JSON that leaves the service."""
    story, picture = told(history, call, settings)
    return {**msgspec.to_builtins(story), "picture": msgspec.to_builtins(picture)}


def hidden(history: Sequence[Event], call: str = "A", settings: Settings = SETTINGS) -> dict[str, Any]:
    """The same without numbers and names."""
    return disguise(replay(history, call, settings), recorded(history, call))
