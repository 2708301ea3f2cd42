"""Figures for Prometheus (PRODUCT F6): read from the parts when somebody asks, so that counting costs nothing in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, SummaryMetricFamily

from adapters.backlog import Backlog
from adapters.ingest import Ingest
from adapters.latency import Latency
from adapters.reactor import Reactor
from adapters.status import AccountState
from core.ports import Node


class Traffic(Protocol):
    """What was asked of one API since the process started. ``failures``: by an error answer or none at all; ``admitted``: let in
    by the account's limits, after ``waited_s`` in all; ``took_s``: how long the requests took in all."""

    @property
    def requests(self) -> int:
        """See above."""
        ...

    @property
    def failures(self) -> int:
        """See above."""
        ...

    @property
    def admitted(self) -> int:
        """See above."""
        ...

    @property
    def waited_s(self) -> float:
        """See above."""
        ...

    @property
    def took_s(self) -> float:
        """See above."""
        ...

    def cumulative(self) -> Sequence[tuple[str, float]]:
        """Upper bound in seconds (the last is ``+Inf``) -> how many requests took no longer."""
        ...


class Streams(Protocol):
    """The event streams of this process (PRODUCT A7): ``open`` now, and since it started ``opened``, ``refused`` (too many),
    ``cut_off`` (did not read), ``gave_up`` (the database stayed away); ``events`` acknowledged and lines in ``errors``."""

    @property
    def open(self) -> int:
        """See above."""
        ...

    opened: int
    refused: int
    cut_off: int
    gave_up: int
    events: int
    errors: int


class PbxState(Protocol):
    """How one AMI connection is (``adapters/asterisk/source.py``)."""

    @property
    def name(self) -> str:
        """Which."""
        ...

    @property
    def state(self) -> str:
        """``connected``, or not."""
        ...

    @property
    def messages(self) -> int:
        """Heard since this instance keeps it."""
        ...

    @property
    def connections(self) -> int:
        """Made since then."""
        ...

    @property
    def closed(self) -> int:
        """Calls that a resync found to be over."""
        ...

    @property
    def waiting(self) -> int:
        """Messages that wait to be recorded."""
        ...


def _none() -> tuple[()]:
    return ()


def _nothing() -> Mapping[str, Traffic]:
    return {}


def _unknown() -> Backlog | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """Connections of the pool: how many are there, how many of them nobody uses just now, how many there may be."""

    open: int
    idle: int
    limit: int


def pool_use(*pools: Any) -> PoolUse:
    """What asyncpg's pools say of themselves, together."""
    return PoolUse(
        open=sum(pool.get_size() for pool in pools),
        idle=sum(pool.get_idle_size() for pool in pools),
        limit=sum(pool.get_max_size() for pool in pools),
    )


def _no_counts() -> Mapping[str, int]:
    return {}


def _no_latency() -> Latency | None:
    return None


def _no_pool() -> PoolUse | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Where the figures come from, beside ingest and reactor. The defaults stand for parts that are not there.

    ``more``: families of another room's own.
    """

    backlog: Callable[[], Backlog | None] = _unknown
    nodes: Callable[[], Sequence[Node]] = _none
    accounts: Callable[[], Iterable[AccountState]] = _none
    traffic: Callable[[], Mapping[str, Traffic]] = _nothing
    streams: Streams | None = None
    latency: Callable[[], Latency | None] = _no_latency
    pool: Callable[[], PoolUse | None] = _no_pool
    listeners: Callable[[], int] = int
    pbxes: Callable[[], Sequence[PbxState]] = _none
    deliveries: Callable[[], Mapping[str, int]] = _no_counts
    clicks: Callable[[], Mapping[str, int]] = _no_counts
    more: Callable[[], Iterable[Any]] = _none


class Collector:
    """What the parts counted since the process started, and how things stand now."""

    def __init__(self, ingest: Ingest, reactor: Reactor, figures: Figures) -> None:
        self._ingest = ingest
        self._reactor = reactor
        self._figures = figures

    def collect(self) -> Iterator[Any]:
        """One family for each figure."""
        signals = CounterMetricFamily("ms_signals", "Signals taken in, by what became of them", labels=["result"])
        signals.add_metric(["recorded"], self._ingest.heard - self._ingest.duplicates)
        signals.add_metric(["duplicate"], self._ingest.duplicates)
        signals.add_metric(["rejected"], self._ingest.rejected)
        signals.add_metric(["spooled"], self._ingest.spooled)
        yield signals
        yield GaugeMetricFamily("ms_spool_signals", "Signals on disk that are not in the log yet", value=self._ingest.in_spool)
        counters = self._reactor.counters
        effects = CounterMetricFamily("ms_effects", "Effects attempted at MoySklad, by how they ended", labels=["result"])
        effects.add_metric(["done"], counters.performed)
        effects.add_metric(["failed"], counters.failed)
        effects.add_metric(["refused"], counters.refused)
        yield effects
        yield CounterMetricFamily("ms_calls", "Customers' calls whose record became final", value=counters.calls)
        yield CounterMetricFamily("ms_clients_created", "Clients created at MoySklad", value=counters.clients)
        yield CounterMetricFamily("ms_orders_created", "Customer orders created at MoySklad", value=counters.orders)
        yield CounterMetricFamily("ms_tasks_created", "Tasks created at MoySklad to call somebody back", value=counters.tasks)
        yield GaugeMetricFamily("ms_calls_attended", "Calls the reactor works on now", value=self._reactor.attending)
        yield from self._streams()
        yield from self._pbxes()
        yield GaugeMetricFamily("ms_nodes", "Instances that live, as this one last heard", value=len(self._figures.nodes()))
        yield from self._backlog()
        yield self._accounts()
        yield from self._traffic()
        yield from self._database()
        yield from self._clicks()
        yield from self._figures.more()

    def _streams(self) -> Iterator[Any]:
        streams = self._figures.streams
        if streams is None:
            return
        yield GaugeMetricFamily("ms_streams_open", "Connections that deliver events now", value=streams.open)
        ended = CounterMetricFamily("ms_streams", "Connections that deliver events, by what became of them", labels=["result"])
        for result in ("opened", "refused", "cut_off", "gave_up"):
            ended.add_metric([result], getattr(streams, result))
        yield ended
        lines = CounterMetricFamily("ms_stream_lines", "Lines of event streams that were answered", labels=["result"])
        lines.add_metric(["acknowledged"], streams.events)
        lines.add_metric(["error"], streams.errors)
        yield lines

    def _pbxes(self) -> Iterator[Any]:
        """The AMI connections that this instance keeps."""
        states = self._figures.pbxes()
        if not states:
            return
        connected = GaugeMetricFamily("ms_pbx_connected", "Whether the AMI connection is there (1)", labels=["pbx"])
        waiting = GaugeMetricFamily("ms_pbx_waiting_messages", "AMI messages that wait to be recorded", labels=["pbx"])
        messages = CounterMetricFamily("ms_pbx_messages", "AMI messages heard", labels=["pbx"])
        connections = CounterMetricFamily("ms_pbx_connections", "AMI connections made", labels=["pbx"])
        closed = CounterMetricFamily("ms_pbx_calls_closed", "Calls that had ended while nobody listened", labels=["pbx"])
        for each in states:
            connected.add_metric([each.name], each.state == "connected")
            waiting.add_metric([each.name], each.waiting)
            messages.add_metric([each.name], each.messages)
            connections.add_metric([each.name], each.connections)
            closed.add_metric([each.name], each.closed)
        yield from (connected, waiting, messages, connections, closed)

    def _backlog(self) -> Iterator[Any]:
        """Of all instances together; nothing before the first look."""
        backlog = self._figures.backlog()
        if backlog is None:
            return
        waiting = GaugeMetricFamily("ms_backlog_calls", "Calls that are due and not attended to yet", labels=["urgency"])
        for urgency, calls in backlog.calls.items():
            waiting.add_metric([urgency.name.lower()], calls)
        yield waiting
        yield GaugeMetricFamily(
            "ms_backlog_oldest_seconds", "How long the call that waits longest has been due", value=backlog.oldest_s
        )
        yield GaugeMetricFamily(
            "ms_backlog_estimate_seconds", "How long it takes at least to attend to all of them", value=backlog.estimate_s
        )
        yield GaugeMetricFamily("ms_parked_calls", "Calls that need a person", value=sum(backlog.parked.values()))

    def _database(self) -> Iterator[Any]:
        if (latency := self._figures.latency()) is not None:
            yield HistogramMetricFamily(
                "ms_store_append_seconds",
                "How long an append waited until it was on disk",
                buckets=latency.cumulative(),
                sum_value=latency.sum_s,
            )
        if (pool := self._figures.pool()) is not None:
            connections = GaugeMetricFamily("ms_pool_connections", "Connections to the database, by use", labels=["state"])
            connections.add_metric(["busy"], pool.open - pool.idle)
            connections.add_metric(["idle"], pool.idle)
            yield connections
            yield GaugeMetricFamily("ms_pool_limit", "Connections to the database that there may be", value=pool.limit)
        yield GaugeMetricFamily("ms_board_listeners", "Pages that watch the live board", value=self._figures.listeners())

    def _clicks(self) -> Iterator[Any]:
        deliveries = CounterMetricFamily(
            "ms_click_deliveries", "Clicks as MoySklad delivered them, by how they were answered", labels=["result"]
        )
        for result, count in self._figures.deliveries().items():
            deliveries.add_metric([result], count)
        yield deliveries
        clicks = CounterMetricFamily("ms_clicks", "Clicks attended to here, by what became of them", labels=["outcome"])
        for outcome, count in sorted(self._figures.clicks().items()):
            clicks.add_metric([outcome], count)
        yield clicks

    def _accounts(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily("ms_accounts", "Accounts this instance speaks for, by how they stand", labels=["api", "state"])
        for (api, state), count in sorted(Counter((each.api, each.state) for each in self._figures.accounts()).items()):
            family.add_metric([api, state], count)
        return family

    def _traffic(self) -> Iterator[Any]:
        requests = CounterMetricFamily("ms_requests", "Requests to MoySklad, by how they ended", labels=["api", "result"])
        took = HistogramMetricFamily("ms_request_seconds", "How long MoySklad took to answer", labels=["api"])
        waited = SummaryMetricFamily(
            "ms_limiter_wait_seconds", "How long requests waited for room within their account's limits", labels=["api"]
        )
        for api, traffic in sorted(self._figures.traffic().items()):
            requests.add_metric([api, "ok"], traffic.requests - traffic.failures)
            requests.add_metric([api, "failed"], traffic.failures)
            took.add_metric([api], buckets=list(traffic.cumulative()), sum_value=traffic.took_s)
            waited.add_metric([api], count_value=traffic.admitted, sum_value=traffic.waited_s)
        yield requests
        yield took
        yield waited


def exposition(ingest: Ingest, reactor: Reactor, figures: Figures | None = None) -> bytes:
    """The text that ``/metrics`` answers."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(ingest, reactor, figures or Figures()))
    return generate_latest(registry)
