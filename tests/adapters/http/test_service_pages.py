"""What programs ask of the service itself: health, figures, and the description of its routes."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from adapters.http.app import build_app
from adapters.http.services import Holder
from tests.adapters.http.support import LOCAL, dial
from tests.rig import Rig


async def test_the_description_is_served(rig: Rig) -> None:
    status, document = await rig.get("/openapi.json")
    assert (status, document["openapi"]) == (200, "3.1.0")


async def test_figures_can_be_read_and_count(rig: Rig) -> None:
    await rig.post("/internal/ms/incoming-call", dial())
    await rig.post("/internal/ms/incoming-call", dial())
    await rig.post("/internal/ms/incoming-call", {})
    await rig.settle()
    async with rig.http.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await answer.text()
    samples: dict[Any, float] = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    counted = {result: samples["ms_signals_total", result] for result in ("recorded", "duplicate", "rejected")}
    assert counted == {"recorded": 1, "duplicate": 1, "rejected": 1}
    assert samples["ms_effects_total", "done"] >= 1
    assert samples["ms_calls_attended",] == 0


async def test_health_is_503_with_the_reason_until_ready(rig: Rig) -> None:
    assert (await rig.get("/healthz"))[0] == 200
    waiting = Holder(waiting="waiting for PostgreSQL at localhost/calls: nobody listens there")
    async with TestClient(TestServer(build_app(waiting, LOCAL))) as client:
        for path in ("/healthz", "/metrics", "/ms-admin/api/calls"):
            async with client.get(path) as answer:
                told = await answer.json()
                assert (answer.status, told["error"], answer.headers["Retry-After"]) == (503, waiting.waiting, "1")


@pytest.mark.parametrize("path", ["/ms-admin/api/calls", "/ms-admin/api/config/0367/history"])
async def test_a_lost_database_is_503_and_a_bug_is_500(rig: Rig, path: str) -> None:
    pool = rig.service.pool
    await pool.execute("ALTER TABLE calls RENAME TO calls_gone")
    await pool.execute("ALTER TABLE settings_revisions RENAME TO revisions_gone")
    status, told = await rig.get(path)
    assert (status, told["error"]) == (500, "internal error")
    assert "gone" not in str(told)
    await pool.execute("ALTER TABLE calls_gone RENAME TO calls")
    await pool.execute("ALTER TABLE revisions_gone RENAME TO settings_revisions")
    assert (await rig.get(path))[0] == 200
    rig.lose_database()
    status, told = await rig.get(path)
    assert (status, set(told)) == (503, {"error", "field", "hint"})


def test_errors_of_asyncpg_are_what_we_take_them_for() -> None:
    """Should a new version of the library move them, outages would be told apart wrongly."""
    assert issubclass(asyncpg.exceptions.DataError, asyncpg.PostgresError)
    assert issubclass(asyncpg.exceptions._base.DataError, ValueError)
