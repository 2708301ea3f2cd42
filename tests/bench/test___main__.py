"""The whole of it, at sizes that prove nothing but that every row measures something; and its command line."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from bench import __main__ as bench
from bench.figures import Figure, Report, Spread
from bench.ground import Ground
from bench.sizes import TINY, Size


@pytest.mark.slow
async def test_every_row_measures_something(postgres_server: str) -> None:
    report = await bench.measured(list(bench.ROWS), TINY, lambda _: None, postgres_server)
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

    def row(name: str) -> bench.Row:
        async def run(place: Ground, size: Size) -> list[Figure]:
            ran.append(name)
            if name == "two":
                raise RuntimeError("the service ended by itself")
            return [Figure(row=name, what="it", value=Spread(median=1.0, low=1.0, high=1.0, rounds=1), unit="×")]

        return run

    monkeypatch.setattr(bench, "ROWS", {name: row(name) for name in ("one", "two", "three")})
    report = await bench.measured(["three", "two", "one"], TINY, lambda _: None, postgres_server)
    assert ran == ["one", "two", "three"]
    assert [figure.row for figure in report.figures] == ["one", "three"]
    assert report.failed == {"two": "RuntimeError: the service ended by itself"}


def test_what_cannot_be_understood_is_a_line_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench.arguments(["speed"])
    assert "there is no row speed; there are fold" in capsys.readouterr().err


def test_the_report_goes_to_the_files_that_were_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def measured(names: list[str], size: Size, say: object) -> Report:
        figure = Figure(row="fold", what="it", value=Spread(median=1.0, low=1.0, high=1.0, rounds=1), unit="×", target=2.0)
        return Report(at="now", machine={}, size=size.name, figures=(figure,), failed={"two": "why"})

    monkeypatch.setattr(bench, "measured", measured)
    monkeypatch.setattr(bench, "configure_logs", lambda level: None)
    assert bench.main(["fold", "--quick", "--json", str(tmp_path / "j"), "--markdown", str(tmp_path / "m")]) == 1
    assert orjson.loads((tmp_path / "j").read_bytes())["figures"][0]["met"] is False
    assert "**no**" in (tmp_path / "m").read_text()
    assert "0 of 1 targets met" in capsys.readouterr().out
