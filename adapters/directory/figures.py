"""The room's figures for Prometheus (PRODUCT F6): how quickly the telephones were answered, and from where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from adapters.directory.wiring import Directory


def families(directory: Directory) -> Iterator[Any]:
    """One family for each figure."""
    desk, lookups = directory.desk.counters, directory.lookups.counters
    answers = CounterMetricFamily(
        "ms_directory_answers", "Questions about numbers, by where the answer came from", labels=["question", "source"]
    )
    for (question, source), count in sorted(desk.answers.items()):
        answers.add_metric([question, source], count)
    yield answers
    took = HistogramMetricFamily("ms_directory_seconds", "How long a question about a number took", labels=["question"])
    for question, latency in sorted(desk.took.items()):
        took.add_metric([question], buckets=latency.cumulative(), sum_value=latency.sum_s)
    yield took
    ended = CounterMetricFamily("ms_directory_lookups", "Look-ups at MoySklad, by how they ended", labels=["result"])
    for result in ("done", "failed", "refused", "deferred"):
        ended.add_metric([result], lookups.ended[result])
    ended.add_metric(["turned_away"], lookups.turned_away)
    yield ended
    yield HistogramMetricFamily(
        "ms_directory_lookup_seconds",
        "How long a look-up took",
        buckets=lookups.took.cumulative(),
        sum_value=lookups.took.sum_s,
    )
    yield GaugeMetricFamily("ms_directory_numbers", "Numbers that are remembered in this process", value=len(directory.memory))
    unread = CounterMetricFamily("ms_directory_table", "What the table did not take or did not say in time", labels=["result"])
    unread.add_metric(["not_read"], directory.table.missed)
    unread.add_metric(["not_written"], directory.table.dropped)
    yield unread
    hooks = CounterMetricFamily("ms_hooks", "Deliveries of MoySklad's webhooks, by what became of them", labels=["result"])
    for result in ("taken", "repeated", "nothing", "unavailable"):
        hooks.add_metric([result], directory.hooks.taken[result])
    yield hooks
    accounts = GaugeMetricFamily("ms_hooks_accounts", "Enterprises by how their webhooks stand", labels=["state"])
    for state, count in sorted(directory.keeper.states().items()):
        accounts.add_metric([state], count)
    yield accounts
    listeners = directory.integrations.listeners
    yield GaugeMetricFamily("ms_integrations_listeners", "Who listens to changes of the integrations", value=listeners)
