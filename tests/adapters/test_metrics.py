"""The figures for Prometheus: named by its conventions, read from whatever parts there are."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.asterisk.source import State
from adapters.directory.figures import families as directory_families
from adapters.latency import Latency
from adapters.metrics import Figures, PoolUse, exposition, pool_use
from core.values import Urgency
from tests.adapters.test_backlog import backlog, lane
from tests.adapters.test_status import Account, node

INGEST: Any = SimpleNamespace(heard=7, duplicates=2, rejected=1, spooled=3, in_spool=11)
REACTOR: Any = SimpleNamespace(
    counters=SimpleNamespace(performed=5, failed=4, refused=3, calls=8, clients=2, orders=7, tasks=9), attending=6
)
LATENCY = Latency(count=3, sum_s=0.9, took=[1, *[0] * 10, 2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """As the turnstiles of one API count it."""

    requests: int = 10
    failures: int = 4
    admitted: int = 9
    waited_s: float = 1.5
    took_s: float = 2.5

    def cumulative(self) -> list[tuple[str, float]]:
        return [("0.1", 6.0), ("1.0", 9.0), ("+Inf", 10.0)]


def families(figures: Figures | None = None) -> dict[str, Any]:
    text = exposition(INGEST, REACTOR, figures).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(figures: Figures | None = None) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value for family in families(figures).values() for sample in family.samples
    }


PBX = State(
    name="main", enterprise="0367", where="127.0.0.1:5038", state="connected", messages=90, connections=3, closed=2, waiting=5
)
DIRECTORY: Any = SimpleNamespace(
    desk=SimpleNamespace(
        counters=SimpleNamespace(answers=Counter({("customer-name", "memory"): 7}), took={"customer-name": LATENCY})
    ),
    lookups=SimpleNamespace(counters=SimpleNamespace(ended=Counter(done=3, failed=1), took=LATENCY, turned_away=2)),
    memory=[1, 2],
    table=SimpleNamespace(missed=4, dropped=5),
    hooks=SimpleNamespace(taken=Counter(taken=6)),
    keeper=SimpleNamespace(states=lambda: {"on": 8}),
    integrations=SimpleNamespace(listeners=9),
)
ALL = Figures(
    backlog=lambda: backlog(lane("0367", 90, late_s=12.5), lane("0367", 3, Urgency.LIVE), a=2, b=3),
    nodes=lambda: (node("n1"), node("n2")),
    accounts=lambda: [Account(), Account(state="closed"), Account(state="closed"), Account(api="json", state="refused")],
    traffic=lambda: {"phone": Traffic(), "json": Traffic(requests=0, failures=0, admitted=0, waited_s=0, took_s=0)},
    streams=SimpleNamespace(open=2, opened=9, refused=1, cut_off=3, gave_up=4, events=500, errors=6),
    latency=lambda: LATENCY,
    pool=lambda: PoolUse(open=5, idle=2, limit=12),
    deliveries=lambda: {"taken": 4, "repeated": 2},
    clicks=lambda: {"ordered": 3, "failed": 1},
    listeners=lambda: 4,
    pbxes=lambda: [PBX, State(name="spare", enterprise="0367", where="127.0.0.1:5039")],
    more=lambda: directory_families(DIRECTORY),
)


def test_what_the_parts_counted() -> None:
    found = samples()
    assert {result: found["ms_signals_total", result] for result in ("recorded", "duplicate", "rejected", "spooled")} == {
        "recorded": 5, "duplicate": 2, "rejected": 1, "spooled": 3,
    }  # fmt: skip
    assert {result: found["ms_effects_total", result] for result in ("done", "failed", "refused")} == {
        "done": 5, "failed": 4, "refused": 3,
    }  # fmt: skip
    assert found["ms_calls_attended",] == 6
    assert found["ms_nodes",] == 0
    assert found["ms_spool_signals",] == 11
    assert ("ms_backlog_oldest_seconds",) not in found, "what was never looked at is not zero"


def test_how_far_behind_and_what_needs_a_person() -> None:
    found = samples(ALL)
    assert {urgency: found["ms_backlog_calls", urgency] for urgency in ("live", "ended", "backlog")} == {
        "live": 3, "ended": 0, "backlog": 90,
    }  # fmt: skip
    assert found["ms_backlog_oldest_seconds",] == 12.5
    assert found["ms_backlog_estimate_seconds",] == pytest.approx(96 / 18)
    assert found["ms_parked_calls",] == 5
    assert found["ms_nodes",] == 2


def test_the_streams_of_events() -> None:
    found = samples(ALL)
    assert found["ms_streams_open",] == 2
    assert {result: found["ms_streams_total", result] for result in ("opened", "refused", "cut_off", "gave_up")} == {
        "opened": 9, "refused": 1, "cut_off": 3, "gave_up": 4,
    }  # fmt: skip
    assert (found["ms_stream_lines_total", "acknowledged"], found["ms_stream_lines_total", "error"]) == (500, 6)


def test_connections_to_pbxes() -> None:
    found = samples(ALL)
    names = ("connected", "waiting_messages", "messages_total", "connections_total", "calls_closed_total")
    assert [found[f"ms_pbx_{name}", "main"] for name in names] == [1, 5, 90, 3, 2]
    assert found["ms_pbx_connected", "spare"] == 0
    assert not [name for name, *_ in samples() if name.startswith("ms_pbx")]


def test_accounts_by_api_and_state() -> None:
    found = samples(ALL)
    assert {key[1:]: value for key, value in found.items() if key[0] == "ms_accounts"} == {
        ("phone", "closed"): 2, ("phone", "open"): 1, ("json", "refused"): 1,
    }  # fmt: skip


def test_requests_their_length_and_the_wait_for_room() -> None:
    found = samples(ALL)
    assert (found["ms_requests_total", "phone", "ok"], found["ms_requests_total", "phone", "failed"]) == (6, 4)
    assert [found["ms_request_seconds_bucket", "phone", bound] for bound in ("0.1", "1.0", "+Inf")] == [6, 9, 10]
    assert (found["ms_request_seconds_count", "phone"], found["ms_request_seconds_sum", "phone"]) == (10, 2.5)
    assert (found["ms_limiter_wait_seconds_count", "phone"], found["ms_limiter_wait_seconds_sum", "phone"]) == (9, 1.5)
    assert found["ms_requests_total", "json", "ok"] == 0


def test_calls_and_clients() -> None:
    found = samples()
    assert (found["ms_calls_total",], found["ms_clients_created_total",]) == (8, 2)
    assert (found["ms_orders_created_total",], found["ms_tasks_created_total",]) == (7, 9)


def test_the_database_s_latency_and_the_pool() -> None:
    found = samples(ALL)
    assert (found["ms_store_append_seconds_bucket", "0.001"], found["ms_store_append_seconds_bucket", "+Inf"]) == (1, 3)
    assert (found["ms_store_append_seconds_count",], found["ms_store_append_seconds_sum",]) == (3, 0.9)
    assert (found["ms_pool_connections", "busy"], found["ms_pool_connections", "idle"], found["ms_pool_limit",]) == (3, 2, 12)
    assert found["ms_board_listeners",] == 4
    assert ("ms_pool_limit",) not in samples()


def test_clicks_by_how_they_were_answered_and_what_became_of_them() -> None:
    found = samples(ALL)
    assert (found["ms_click_deliveries_total", "taken"], found["ms_click_deliveries_total", "repeated"]) == (4, 2)
    assert (found["ms_clicks_total", "ordered"], found["ms_clicks_total", "failed"]) == (3, 1)
def test_questions_about_numbers() -> None:
    found = samples(ALL)
    assert found["ms_directory_answers_total", "customer-name", "memory"] == 7
    assert found["ms_directory_seconds_count", "customer-name"] == 3
    assert (found["ms_directory_lookups_total", "done"], found["ms_directory_lookups_total", "turned_away"]) == (3, 2)
    assert (found["ms_directory_numbers",], found["ms_directory_lookup_seconds_count",]) == (2, 3)
    assert (found["ms_directory_table_total", "not_read"], found["ms_directory_table_total", "not_written"]) == (4, 5)
    assert (found["ms_hooks_total", "taken"], found["ms_hooks_accounts", "on"]) == (6, 8)
    assert found["ms_integrations_listeners",] == 9


def test_what_a_pool_says_of_itself() -> None:
    pool = SimpleNamespace(get_size=lambda: 5, get_idle_size=lambda: 2, get_max_size=lambda: 12)
    assert pool_use(pool) == PoolUse(open=5, idle=2, limit=12)


# -- what watches them ----------------------------------------------------------------------------------------------

DOCS = Path(__file__).parents[2] / "docs"
FUNCTIONS = {"rate", "increase", "sum", "max", "by", "histogram_quantile", "clamp_min", "on", "absent"}


def expressions() -> list[str]:
    """Every query of the dashboard and of the alert rules."""
    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    rules = (DOCS / "alerts.yml").read_text(encoding="utf-8")
    return found + re.findall(r"^\s+expr: (.+)$", rules, re.MULTILINE)


def test_what_the_dashboard_and_the_alerts_ask_for_exists() -> None:
    known = {sample.name for family in families(ALL).values() for sample in family.samples}
    asked = {name for expression in expressions() for name in re.findall(r"\bms_[a-z_]+", expression)}
    assert len(asked) >= 15
    assert asked - known == set()


def test_every_family_is_on_the_dashboard() -> None:
    asked = " ".join(expressions())
    assert [name for name in families(ALL) if name not in asked] == []


def test_labels_and_their_values_are_those_that_are_told() -> None:
    told: dict[str, set[str]] = {}
    for family in families(ALL).values():
        for sample in family.samples:
            for label, value in sample.labels.items():
                told.setdefault(label, set()).add(value)
    told["state"] |= {"half-open", "open"}
    for expression in expressions():
        for label, value in re.findall(r'([a-z]+)[=!]~?"([^"$]+)"', expression):
            if label not in ("job", "instance"):
                assert set(value.split("|")) <= told[label], expression


def test_brackets_close_and_only_known_functions_are_called() -> None:
    for expression in expressions():
        assert expression.count("(") == expression.count(")")
        assert expression.count("{") == expression.count("}")
        assert set(re.findall(r"\b([a-z_]+)\s*\(", expression)) <= FUNCTIONS, expression


def test_each_alert_says_what_it_means_and_what_to_do() -> None:
    rules = (DOCS / "alerts.yml").read_text(encoding="utf-8")
    alerts = rules.split("- alert: ")[1:]
    assert len(alerts) >= 8
    for alert in alerts:
        assert re.search(r"^\s+severity: (page|ticket)$", alert, re.MULTILINE), alert
        assert re.search(r"^\s+summary: .{10,}", alert, re.MULTILINE), alert
        assert re.search(r"^\s+description: .{20,}", alert, re.MULTILINE), alert
    assert "\t" not in rules


def test_every_figure_has_a_kind_and_a_help_text_and_a_name_that_is_one_of_ours() -> None:
    for name, family in families(ALL).items():
        assert name.startswith("ms_")
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram", "summary"), name
        assert not name.endswith(("_ms", "_count"))
