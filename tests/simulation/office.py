"""The administrator: settings with a wrong key that are mended later, and the orders to ask again that follow.

What ``adapters/retries.py`` does on its tables is done here at the times that it keeps: an order ripens after a change of the
settings, every node forgets what it believes of the account, then whatever is parked is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from adapters.parked import at_version
from adapters.retries import ACCOUNT_AGAIN_S, FORGET_BEFORE_S
from adapters.settings_store import FRESH_S, RETRY_AFTER_S
from core.effects import Account as Credentials
from core.events import RetryRequested, encode
from core.plan import parked
from core.ports import Append, NewEvent, RecordedEvent, StreamId
from core.settings import Settings
from core.values import Urgency
from tests.settings import EXTENSIONS, SETTINGS, settings_with
from tests.simulation.database import Database
from tests.simulation.loop import Clock, ProcessLoop, drive
from tests.simulation.moysklad import Account
from tests.simulation.node import Node
from tests.simulation.scenario import Scenario
from tests.strategies import EPOCH_MS

WRITTEN_MS: Final = 1_000
"""A node writes down that an account works again when its worker next looks."""

LONG_AGO_MS: Final = -(10**15)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Order:
    """To ask again for what is parked, not before ``ripe_ms``."""

    ripe_ms: int
    why: str
    by_the_service: bool = False


class Office:
    """Settings and orders of all enterprises. ``open``: orders that are not worked off."""

    def __init__(
        self,
        scenario: Scenario,
        server: ProcessLoop,
        database: Database,
        accounts: Mapping[str, Account],
        *,
        nodes: Callable[[], list[Node]],
        tell: Callable[[str, str], None],
    ) -> None:
        self.open = 0
        self.wrong: dict[str, int] = {}
        self._settings = settings_of(scenario)
        self._server = server
        self._database = database
        self._accounts = accounts
        self._nodes = nodes
        self._tell = tell
        self._orders: dict[str, Order] = {}
        self._ordered_ms: dict[str, int] = {}

    def credentials(self, enterprise: str) -> Credentials:
        """What is in the settings now."""
        account = self._accounts[enterprise]
        key = f"wrong-key-of-{enterprise}" if self.wrong.get(enterprise) else account.phone_key
        return Credentials(enterprise=enterprise, phone_key=key, api_token=account.api_token)

    def as_seen_by(self, clock: Clock) -> SeenSettings:
        """The settings as one node has them."""
        return SeenSettings(self, self._settings, clock)

    def change_key(self, enterprise: str, by: int) -> None:
        """The key becomes wrong (1), or one reason for that is gone (-1)."""
        self.wrong[enterprise] = self.wrong.get(enterprise, 0) + by
        if not self.wrong[enterprise]:
            waits = self._orders.get(enterprise)
            ripe_ms = self._now_ms() + round(RETRY_AFTER_S * 1_000)
            if waits is not None and not waits.by_the_service:
                ripe_ms = max(ripe_ms, waits.ripe_ms)
            self._order(enterprise, Order(ripe_ms=ripe_ms, why="the settings were changed"))

    def account_works(self, enterprise: str) -> None:
        """A node had a success with the account, for the first time or again."""
        if enterprise in self._orders:
            return
        if any(_is_parked(stream, events) for stream, events in self._streams_of(enterprise)):
            last_ms = self._ordered_ms.get(enterprise, LONG_AGO_MS)
            ripe_ms = max(self._now_ms() + WRITTEN_MS, last_ms + round(ACCOUNT_AGAIN_S * 1_000))
            self._order(enterprise, Order(ripe_ms=ripe_ms, why="the account works", by_the_service=True))
            self._ordered_ms[enterprise] = self._now_ms()

    def _now_ms(self) -> int:
        return EPOCH_MS + self._server.clock.now_us // 1_000

    def _order(self, enterprise: str, order: Order) -> None:
        """One waits at a time, as ``retry_order_make.sql`` has it."""
        self.open += enterprise not in self._orders
        self._orders[enterprise] = order
        in_s = (order.ripe_ms - self._now_ms()) / 1_000
        self._server.call_later(in_s, self._ask_again, enterprise, order)
        self._server.call_later(max(0.0, in_s - FORGET_BEFORE_S), self._forget, enterprise)

    def _forget(self, enterprise: str) -> None:
        credentials = self.credentials(enterprise)
        for node in self._nodes():
            node.loop.call_soon(node.gateway.forget, credentials)

    def _ask_again(self, enterprise: str, order: Order) -> None:
        if self._orders.get(enterprise) is not order:
            return  # another has taken its place
        self.open -= 1
        del self._orders[enterprise]
        store, now_ms = self._database.store, self._now_ms()
        for stream, events in self._streams_of(enterprise):
            if _is_parked(stream, events):
                type_, schema, data = encode(RetryRequested(at_ms=now_ms, by="simulation", reason=order.why))
                event = NewEvent(id=self._nodes()[0].new_id(), type=type_, schema=schema, data=data)
                appended = drive(store.append(Append(stream=stream, events=(event,), due_ms=now_ms)))
                if not at_version(stream, events).is_live:
                    drive(store.set_due(stream, appended.version, now_ms, Urgency.BACKLOG))
                self._tell("office", f"{stream} is asked again: {order.why}")

    def _streams_of(self, enterprise: str) -> list[tuple[StreamId, list[RecordedEvent]]]:
        found: dict[StreamId, list[RecordedEvent]] = {}
        for each in drive(self._database.store.read_log(0, 1_000_000)):
            if each.stream.enterprise == enterprise and each.stream.name.startswith("call/"):
                found.setdefault(each.stream, []).append(each)
        return list(found.items())


class SeenSettings:
    """Settings as one node knows them: up to FRESH_S old (``adapters.attendant.CallSettings``)."""

    def __init__(self, office: Office, settings: Settings, clock: Clock) -> None:
        self._office = office
        self._settings = settings
        self._clock = clock
        self._seen: dict[str, tuple[int, Credentials]] = {}

    async def for_call(self, enterprise: str, revision: int) -> tuple[Settings, Credentials]:
        """See ``CallSettings``."""
        until_us, credentials = self._seen.get(enterprise, (-1, None))
        if credentials is None or self._clock.now_us >= until_us:
            credentials = self._office.credentials(enterprise)
            self._seen[enterprise] = (self._clock.now_us + round(FRESH_S * 1_000_000), credentials)
        return self._settings, credentials


def settings_of(scenario: Scenario) -> Settings:
    """The settings of every enterprise in this scenario."""
    if not scenario.unmapped and not scenario.after:
        return SETTINGS
    mapped = tuple(each for each in EXTENSIONS if each != "103" or not scenario.unmapped)
    if not scenario.after:
        return settings_with(mapped=mapped)
    return settings_with(mapped=mapped, order="always", task="on_missed", unrecognized="150")


def _is_parked(stream: StreamId, events: list[RecordedEvent]) -> bool:
    return parked(at_version(stream, events)) is not None
