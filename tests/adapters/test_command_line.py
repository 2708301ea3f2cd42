"""What a person can mend is one line and an exit status; a bug keeps its traceback."""

from __future__ import annotations

import asyncio
import os
import signal

import msgspec
import pytest

from adapters.command_line import complain, environment, fail, run, until_told
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
        (TimeoutError(), 1, "TimeoutError"),
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


async def until_given_up(ended: list[str], signum: signal.Signals | None) -> int:
    """Work that is told to end by this signal, or cancelled; it notes that it ended what it had started."""
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signum) if signum else asyncio.current_task().cancel()  # type: ignore[union-attr]
    try:
        await asyncio.sleep(30)
    finally:
        ended.append("in good order")
    return 0


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_gives_the_work_up_in_good_order(signum: signal.Signals, status: int) -> None:
    """SIGHUP: the terminal was closed."""
    ended: list[str] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may ignore it
    try:
        assert run(until_told(until_given_up(ended, signum))) == status
    finally:
        signal.signal(signal.SIGHUP, before)
    assert ended == ["in good order"]
    with pytest.raises(asyncio.CancelledError):
        run(until_told(until_given_up(ended, None)))
    assert (run(until_told(asyncio.sleep(0, 7))), len(ended)) == (7, 2)


def test_whom_nohup_started_outlives_the_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run(until_told(asyncio.sleep(0, 7)))
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


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


def test_a_reader_who_has_read_enough_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BrokenPipeError):
        run(ends_with(BrokenPipeError(32, "Broken pipe")))
    assert capsys.readouterr().err == ""
