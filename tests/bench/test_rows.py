"""The whole of it, at sizes that prove nothing but that every row measures something."""

from __future__ import annotations

import pytest

from bench import rows
from bench.figures import Figure, Spread
from bench.ground import Ground
from bench.sizes import TINY, Size


@pytest.mark.slow
async def test_every_row_measures_something(postgres_server: str) -> None:
    report = await rows.measured(list(rows.ROWS), TINY, lambda _: None, postgres_server)
    assert report.failed == {}
    assert {figure.row for figure in report.figures} == {
        "fold", "requests", "append", "ingest", "two processes", "cards", "backlog", "restart", "memory", "growth", "start", "disk",
        "rebuild", "archive",
    }  # fmt: skip
    # What 64 calls weigh in a whole process is lost in what its allocator gives back: in this size it may even come out negative.
    weighed = [figure for figure in report.figures if not figure.what.startswith("the whole service with")]
    assert len(weighed) == len(report.figures) - 1
    assert all(figure.value.median > 0 for figure in weighed), [each for each in weighed if not each.value.median > 0]


async def test_rows_run_in_their_order_and_a_failure_stops_no_other(postgres_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def row(name: str) -> rows.Row:
        async def run(place: Ground, size: Size) -> list[Figure]:
            ran.append(name)
            if name == "two":
                raise RuntimeError("the service ended by itself")
            return [Figure(row=name, what="it", value=Spread(median=1.0, low=1.0, high=1.0, rounds=1), unit="×")]

        return run

    monkeypatch.setattr(rows, "ROWS", {name: row(name) for name in ("one", "two", "three")})
    report = await rows.measured(["three", "two", "one"], TINY, lambda _: None, postgres_server)
    assert ran == ["one", "two", "three"]
    assert [figure.row for figure in report.figures] == ["one", "three"]
    assert report.failed == {"two": "RuntimeError: the service ended by itself"}
