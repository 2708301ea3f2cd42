"""Figures for Prometheus (PRODUCT F6): read from the parts when somebody asks, so that counting costs nothing in between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from adapters.ingest import Ingest
from adapters.reactor import Reactor


class Collector:
    """What the parts counted since the process started."""

    def __init__(self, ingest: Ingest, reactor: Reactor) -> None:
        self._ingest = ingest
        self._reactor = reactor

    def collect(self) -> Iterator[Any]:
        """One family for each figure."""
        signals = CounterMetricFamily("ms_signals", "Signals taken in, by what became of them", labels=["result"])
        signals.add_metric(["recorded"], self._ingest.heard - self._ingest.duplicates)
        signals.add_metric(["duplicate"], self._ingest.duplicates)
        signals.add_metric(["rejected"], self._ingest.rejected)
        yield signals
        counters = self._reactor.counters
        effects = CounterMetricFamily("ms_effects", "Effects attempted at MoySklad, by how they ended", labels=["result"])
        effects.add_metric(["done"], counters.performed)
        effects.add_metric(["failed"], counters.failed)
        effects.add_metric(["refused"], counters.refused)
        yield effects
        yield GaugeMetricFamily("ms_calls_attended", "Calls the reactor works on now", value=self._reactor.attending)


def exposition(ingest: Ingest, reactor: Reactor) -> bytes:
    """The text that ``/metrics`` answers."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(ingest, reactor))
    return generate_latest(registry)
