"""What must hold of every call's stream by itself, read from its beginning: nobody wrote into it what he could not know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import structs

from core.call import evolve, initial
from core.decisions import Limits
from core.effects import CreateContact, decode_effect, is_write
from core.events import OUTCOMES, EffectDone, EffectFailed, EffectStarted, decode
from core.plan import plan
from core.ports import RecordedEvent, StreamId
from core.settings import Settings
from tests.simulation.loop import drive
from tests.simulation.office import settings_of
from tests.simulation.run import Run


def histories(run: Run) -> Iterator[str]:
    """What is wrong with any of them."""
    streams: dict[StreamId, list[RecordedEvent]] = {}
    for each in drive(run.database.store.read_log(0, 1_000_000)):
        if each.stream.name.startswith("call/"):
            streams.setdefault(each.stream, []).append(each)
    settings = settings_of(run.scenario)
    for stream, recorded in streams.items():
        yield from (f"{stream}, version {version}: {what}" for version, what in _history(stream, recorded, settings, run.limits))


def _history(stream: StreamId, recorded: list[RecordedEvent], settings: Settings, limits: Limits) -> Iterator[tuple[int, str]]:
    call = initial(stream.enterprise, stream.name.removeprefix("call/"))
    before: object = None
    for each in recorded:
        event = decode(each.type, each.schema, each.data)
        if isinstance(event, EffectStarted):
            step = plan(call, settings, event.at_ms, limits).step
            if step is None or step.not_before_ms is not None or _said(step.effect) != _said(decode_effect(event.effect)):
                yield each.version, f"{event.effect['type']} was started, and the history before it asks for {_type(step)}"
        elif (
            isinstance(event, EffectDone | EffectFailed)
            and is_write(decode_effect(event.effect))
            and not (isinstance(before, EffectStarted) and before.key == event.key)
        ):
            yield each.version, f"the outcome of {event.key} does not follow its start"
        if isinstance(event, OUTCOMES):
            before = event
        call = evolve(call, event)


def _said(effect: Any) -> Any:
    """The effect but for a deadline, which moves on."""
    return structs.replace(effect, deadline_ms=None) if isinstance(effect, CreateContact) else effect


def _type(step: Any) -> str:
    return "nothing" if step is None else f"{step.effect.type}" + ("" if step.not_before_ms is None else " later")
