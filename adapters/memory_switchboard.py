"""The switchboard's memory in memory: the same contract as PostgreSQL's, for property tests and simulations.

Every method runs to its end without giving way, and what is read comes in one order in every process.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.click_joiner import NearClicks
from adapters.switchboard import HOLD_MS, Changes, Near, Nearby, Overtaken
from core.click_joining import KnownClick
from core.errors import StoreUnavailable
from core.legs import KnownCall, Legs
from core.ports import EventStore, StreamId


@dataclass(slots=True)
class _Link:
    heard_ms: int
    relayed: int = 0


@dataclass(slots=True)
class _Enterprise:
    """What is known of one enterprise. ``members``: bridge -> channel -> (a trunk's, heard when)."""

    calls: dict[str, KnownCall] = field(default_factory=dict)
    members: dict[str, dict[str, tuple[bool, int]]] = field(default_factory=dict)
    links: dict[str, dict[str, _Link]] = field(default_factory=dict)
    clicks: dict[str, KnownClick] = field(default_factory=dict)

    def copy(self) -> _Enterprise:
        links = {
            leg: {call: _Link(heard_ms=link.heard_ms, relayed=link.relayed) for call, link in calls.items()}
            for leg, calls in self.links.items()
        }
        return _Enterprise(
            calls=dict(self.calls),
            members={bridge: dict(inside) for bridge, inside in self.members.items()},
            links=links,
            clicks=dict(self.clicks),
        )


class MemorySwitchboardState:
    """One for all instances of a process. ``store``: where streams are hastened; ``notify``: told of the position then.

    ``now_ms`` is only used to find out that whoever is in a batch has done nothing for ``hold_ms``.
    """

    def __init__(
        self,
        store: EventStore,
        *,
        notify: Callable[[int], None] = lambda position: None,
        now_ms: Callable[[], int] = lambda: 0,
        hold_ms: int = HOLD_MS,
    ) -> None:
        self._store = store
        self._notify = notify
        self._now_ms = now_ms
        self._hold_ms = hold_ms
        self._position = 0
        self._known: dict[str, _Enterprise] = {}
        self._holder: MemorySwitchboardBatch | None = None

    async def position(self) -> int:
        """See ``SwitchboardState.position``."""
        return self._position

    @contextlib.asynccontextmanager
    async def taken(self, after: int) -> AsyncIterator[MemorySwitchboardBatch | None]:
        """See ``SwitchboardState.taken``."""
        if self._holder is not None and self._now_ms() - self._holder.heard_ms >= self._hold_ms:
            self._holder = None  # what it did so far was never kept, and its next word will be refused
        if self._holder is not None or after != self._position:
            yield None
            return
        batch = self._holder = MemorySwitchboardBatch(self, self._now_ms())
        try:
            yield batch
            await batch.keep()
        finally:
            if self._holder is batch:
                self._holder = None

    @contextlib.asynccontextmanager
    async def offered(self, after: int) -> AsyncIterator[MemorySwitchboardBatch]:
        """See ``SwitchboardState.offered``."""
        yield MemorySwitchboardBatch(self, self._now_ms(), after)

    async def clicked(self, since_ms: int) -> dict[str, int]:
        """See ``SwitchboardState.clicked``."""
        started = {
            enterprise: max(click.started_ms for click in known.clicks.values())
            for enterprise, known in sorted(self._known.items())
            if known.clicks
        }
        return {enterprise: at_ms for enterprise, at_ms in started.items() if at_ms >= since_ms}

    async def forget(self, before_ms: int) -> None:
        """See ``SwitchboardState.forget``."""
        for known in self._known.values():
            known.calls = {id_: call for id_, call in known.calls.items() if call.first_ms >= before_ms}
            known.clicks = {id_: click for id_, click in known.clicks.items() if click.started_ms >= before_ms}
            for inside in known.members.values():
                for channel in [channel for channel, (_, heard_ms) in inside.items() if heard_ms < before_ms]:
                    del inside[channel]
            for calls in known.links.values():
                for call in [call for call, link in calls.items() if link.heard_ms < before_ms]:
                    del calls[call]
            known.members = {bridge: inside for bridge, inside in known.members.items() if inside}
            known.links = {leg: calls for leg, calls in known.links.items() if calls}

    def _of(self, enterprise: str) -> _Enterprise:
        return self._known.setdefault(enterprise, _Enterprise())


class MemorySwitchboardBatch:
    """One batch: works on copies, which take the originals' place at the end (``adapters.switchboard.SwitchboardBatch``)."""

    def __init__(self, state: MemorySwitchboardState, heard_ms: int, offered_after: int | None = None) -> None:
        self._state = state
        self._offered_after = offered_after
        self._touched: dict[str, _Enterprise] = {}
        self._moved: tuple[int, Collection[StreamId], int] | None = None
        self.heard_ms = heard_ms
        """When it was last heard of."""

    async def load(self, near: Mapping[str, Near]) -> dict[str, Nearby]:
        """See ``SwitchboardBatch.load``."""
        self._check()
        return {enterprise: self._load(enterprise, each) for enterprise, each in near.items()}

    def _load(self, enterprise: str, near: Near) -> Nearby:
        known = self._known(enterprise)
        met = {*near.channels, *(channel for bridge in near.bridges for channel in known.members.get(bridge, ()))}
        members = {
            bridge: {channel: trunk for channel, (trunk, _) in inside.items()}
            for bridge, inside in sorted(known.members.items())
            if bridge in near.bridges or not met.isdisjoint(inside)
        }
        channels = {*near.channels, *(channel for inside in members.values() for channel in inside)}
        legs = {*near.legs, *(f"bridge/{name}" for name in members), *(f"channel/{name}" for name in channels)}
        links = {leg: frozenset(call for call in known.links[leg] if call) for leg in sorted(legs) if leg in known.links}
        wanted = {*channels, *(call for calls in links.values() for call in calls)}
        calls = {
            id_: call
            for id_, call in sorted(known.calls.items())
            if id_ in wanted
            or (
                call.number in near.numbers
                and call.first_ms >= near.first_ms
                and (call.ended_ms is None or call.ended_ms >= near.ended_ms)
            )
        }
        relayed = {(leg, call): link.relayed for leg in links for call, link in known.links[leg].items()}
        return Nearby(legs=Legs(calls=calls, members=members, links=links), relayed=relayed)

    async def save(self, changes: Mapping[str, Changes]) -> None:
        """See ``SwitchboardBatch.save``."""
        for enterprise, each in changes.items():
            known = self._known(enterprise)
            for call in each.calls:
                known.calls[call.id] = call
            for bridge, channel, trunk in each.members:
                inside = known.members.setdefault(bridge, {})
                inside[channel] = (trunk, inside[channel][1] if channel in inside else each.heard_ms)
            for leg, name, relayed in each.links:
                link = known.links.setdefault(leg, {}).setdefault(name, _Link(heard_ms=each.heard_ms))
                link.relayed = max(link.relayed, relayed)

    async def clicks(self, near: Mapping[str, NearClicks]) -> dict[str, dict[str, KnownClick]]:
        """See ``ClickMemory.clicks``."""
        return {enterprise: self._clicks(enterprise, each) for enterprise, each in near.items()}

    def _clicks(self, enterprise: str, near: NearClicks) -> dict[str, KnownClick]:
        return {
            id_: click
            for id_, click in sorted(self._known(enterprise).clicks.items())
            if (click.extension in near.extensions and click.started_ms >= near.since_ms)
            or click.channel_id in near.calls
            or (click.call and click.call in near.calls)
        }

    async def save_clicks(self, clicks: Mapping[str, Sequence[KnownClick]]) -> None:
        """See ``ClickMemory.save_clicks``."""
        for enterprise, each in clicks.items():
            self._known(enterprise).clicks.update({click.id: click for click in each})

    async def move(self, position: int, *, hasten: Collection[StreamId], now_ms: int) -> None:
        """See ``SwitchboardBatch.move``."""
        self._check()
        self._moved = (position, hasten, now_ms)
        if self._offered_after is not None:
            await self.keep()

    async def keep(self) -> None:
        """The block ended well: what was done in it stays."""
        state = self._state
        if self._offered_after is not None and state._holder is not None:
            raise Overtaken  # whoever holds it is first
        self._check()
        state._known.update(self._touched)
        if self._moved is None:
            return
        state._position, hasten, now_ms = self._moved
        for stream in hasten:
            recorded = await state._store.read(stream)
            await state._store.set_due(stream, len(recorded), now_ms)
        if hasten:
            state._notify(state._position)

    def _known(self, enterprise: str) -> _Enterprise:
        self._check()
        if enterprise not in self._touched:
            self._touched[enterprise] = self._state._of(enterprise).copy()
        return self._touched[enterprise]

    def _check(self) -> None:
        if self._offered_after is not None:
            if self._state._position != self._offered_after:
                raise Overtaken
            return
        if self._state._holder is not self:
            raise StoreUnavailable("it did nothing for too long in the middle of a batch")
        self.heard_ms = self._state._now_ms()
