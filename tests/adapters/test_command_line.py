"""What a person can mend is one line and an exit status; a bug keeps its traceback."""

from __future__ import annotations

import msgspec
import pytest

from adapters.command_line import complain, environment, fail, run
from adapters.environment import BadEnvironment
from core.errors import StoreUnavailable


async def ends_with(error: BaseException | None) -> str:
    if error is not None:
        raise error
    return "done"


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (ValueError("day", "YYYY-MM-DD"), 1, "day: YYYY-MM-DD"),
        (StoreUnavailable("the database is away"), 1, "the database is away"),
        (FileNotFoundError(2, "No such file", "x.json"), 1, "No such file: x.json"),
        (BadEnvironment("MS_PORT", "is no port", "a number"), 2, "MS_PORT"),
    ],
)
def test_a_mistake_is_one_line(error: BaseException, status: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(ends_with(error))
    assert ended.value.code == status
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(msgspec.ValidationError):
        run(ends_with(msgspec.ValidationError("odd")))
    with pytest.raises(KeyError):
        run(ends_with(KeyError("odd")))


def test_what_goes_well_is_given_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ends_with(None)) == "done"
    complain("a word")
    assert capsys.readouterr() == ("", "a word\n")


def test_a_value_that_cannot_be_understood_ends_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MS_PORT", "nonsense")
    with pytest.raises(SystemExit) as ended:
        environment()
    assert ended.value.code == 2
    assert "MS_PORT" in capsys.readouterr().err
    with pytest.raises(SystemExit) as failed:
        fail("no", 3)
    assert failed.value.code == 3
