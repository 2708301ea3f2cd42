"""The command line of the measurements."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from adapters import logs
from bench import __main__ as bench
from bench import rows
from bench.figures import Figure, Report, Spread
from bench.sizes import Size

ROOT = Path(__file__).parents[2]


def test_the_names_are_those_of_the_rows_in_their_order() -> None:
    assert tuple(rows.ROWS) == bench.NAMES


@pytest.mark.parametrize("module", ["bench", "tests.mutants"])
def test_help_needs_no_package(module: str) -> None:
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv[1:] = ['--help']; "
               f"import runpy; runpy.run_module({module!r}, run_name='__main__')"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: ./ms.sh {module.rpartition('.')[2]} ")


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

    monkeypatch.setattr(rows, "measured", measured)
    monkeypatch.setattr(logs, "configure_logs", lambda level: None)
    assert bench.main(["fold", "--quick", "--json", str(tmp_path / "j"), "--markdown", str(tmp_path / "m")]) == 1
    assert orjson.loads((tmp_path / "j").read_bytes())["figures"][0]["met"] is False
    assert "**no**" in (tmp_path / "m").read_text()
    assert "0 of 1 targets met" in capsys.readouterr().out
