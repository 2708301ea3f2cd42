"""The figures for Prometheus: named by its conventions, read from whatever parts there are."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.metrics import Figures, exposition
from core.values import Urgency
from tests.adapters.test_backlog import backlog, lane
from tests.adapters.test_status import Account, node

INGEST: Any = SimpleNamespace(heard=7, duplicates=2, rejected=1)
REACTOR: Any = SimpleNamespace(counters=SimpleNamespace(performed=5, failed=4, refused=3), attending=6)


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


ALL = Figures(
    backlog=lambda: backlog(lane("0367", 90, late_s=12.5), lane("0367", 3, Urgency.LIVE), a=2, b=3),
    nodes=lambda: (node("n1"), node("n2")),
    accounts=lambda: [Account(), Account(state="closed"), Account(state="closed"), Account(api="json", state="refused")],
    traffic=lambda: {"phone": Traffic(), "json": Traffic(requests=0, failures=0, admitted=0, waited_s=0, took_s=0)},
    streams=SimpleNamespace(open=2, opened=9, refused=1, cut_off=3, gave_up=4, events=500, errors=6),
)


def test_what_the_parts_counted() -> None:
    found = samples()
    assert {result: found["ms_signals_total", result] for result in ("recorded", "duplicate", "rejected")} == {
        "recorded": 5, "duplicate": 2, "rejected": 1,
    }  # fmt: skip
    assert {result: found["ms_effects_total", result] for result in ("done", "failed", "refused")} == {
        "done": 5, "failed": 4, "refused": 3,
    }  # fmt: skip
    assert found["ms_calls_attended",] == 6
    assert found["ms_nodes",] == 0
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


def test_every_figure_has_a_kind_and_a_help_text_and_a_name_that_is_one_of_ours() -> None:
    for name, family in families(ALL).items():
        assert name.startswith("ms_")
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram", "summary"), name
        assert not name.endswith(("_ms", "_count"))
