"""What the logs say, and above all what they never say."""

from __future__ import annotations

import errno
import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from adapters import logs
from adapters.logs import LogFile, clean, configure_logs, mask_number, mask_text

KEY = "d03627d59c1948a0f9a6aa1e267c954bfd0301ec"
ME = "+375290000001"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """What configure_logs changes in the process is put back."""
    root = logging.getLogger()
    level, hook, show = root.level, sys.excepthook, warnings.showwarning
    yield
    for handler in [*root.handlers]:
        if isinstance(handler, logs._Bridge):
            root.removeHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(False)
    warnings.showwarning = show
    sys.excepthook = hook
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Terminal(io.StringIO):
    """A sink that a person looks at."""

    def isatty(self) -> bool:
        return True


def lines_of(sink: io.StringIO) -> list[dict[str, Any]]:
    """The JSON lines written so far."""
    return [json.loads(line) for line in sink.getvalue().splitlines()]


def logged(level: str = "info", **fields: Any) -> dict[str, Any]:
    """One fact, as it arrives in the log."""
    sink = io.StringIO()
    configure_logs(level, sink=sink)
    structlog.get_logger("test").info("a_fact", **fields)
    (line,) = lines_of(sink)
    return line


def test_a_fact_is_one_json_line_with_utc_time_level_and_name() -> None:
    line = logged(attempts=3, ok=True, text="Звонок\nпринят")
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info", "logger": "test", "event": "a_fact", "attempts": 3, "ok": True, "text": "Звонок\\nпринят",
    }  # fmt: skip


def test_a_terminal_gets_logfmt_without_escape_sequences() -> None:
    sink = Terminal()
    configure_logs("info", sink=sink)
    structlog.get_logger("test").info("a_fact", said='he "said"\x1b[2J', n=1)
    line = sink.getvalue()
    assert line.count("\n") == 1
    assert r'level=info logger=test event=a_fact said="he \"said\"\\x1b[2J" n=1' in line
    assert "\x1b" not in line


@pytest.mark.parametrize(
    ("level", "heard"),
    [("debug", "dbg inf wrn err"), ("info", "inf wrn err"), ("warning", "wrn err"), ("error", "err")],
)
def test_levels(level: str, heard: str) -> None:
    sink = io.StringIO()
    configure_logs(level, sink=sink)
    log = structlog.get_logger("test")
    log.debug("dbg")
    log.info("inf")
    log.warning("wrn")
    log.error("err")
    assert [line["event"] for line in lines_of(sink)] == heard.split()


def test_every_line_about_a_call_carries_its_id_whole() -> None:
    sink = io.StringIO()
    configure_logs("info", sink=sink)
    log = structlog.get_logger("test")
    with structlog.contextvars.bound_contextvars(call="1763900000.375", enterprise="0367"):
        log.info("inside")
    log.info("outside")
    inside, outside = lines_of(sink)
    assert (inside["call"], inside["enterprise"]) == ("1763900000.375", "0367")
    assert "call" not in outside


@pytest.mark.parametrize(
    "name",
    ["token", "Token", "api_token", "apiToken", "Lognex-Phone-Auth-Token", "Authorization", "key", "api_key", "MS_SECRET_KEY",
     "password", "admin_password", "secret", "integration_code", "integrationCode", "Set-Cookie", "database_url", "keys"],
)  # fmt: skip
def test_what_a_secret_s_name_holds_is_hidden_at_any_depth(name: str) -> None:
    line = logged(**{name: KEY}, headers={name: KEY, "deeper": [{name: [KEY]}]})
    assert KEY not in json.dumps(line)
    assert line["headers"][name] == logs.HIDDEN


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer s3cr3t-value",
        "bearer s3cr3t-value",
        '{"token": "s3cr3t-value", "x": 1}',
        "{'api_token': 's3cr3t-value'}",
        "GET /hook?token=s3cr3t-value&x=1",
        "Lognex-Phone-Auth-Token: s3cr3t-value",
        "password=s3cr3t-value",
        "could not connect to postgresql://ms:s3cr3t-value@db/ms",
        '"integrationCode":"s3cr3t-value"',
    ],
)
def test_a_secret_inside_a_text_is_hidden(text: str) -> None:
    assert "s3cr3t" not in json.dumps(logged(reason=text))
    assert logs.HIDDEN in mask_text(text)


def test_a_key_of_moysklad_is_known_by_its_look() -> None:
    assert KEY not in mask_text(f"answered for {KEY} at once")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("+375290000001", "+37529***0001"),
        ("375290000001", "37529***0001"),
        ("80290000001", "8029***0001"),
        ("9161234567", "916***4567"),
        ("+7 916 123-45-67", "+7916***4567"),
        ("8 (029) 000-00-01", "8029***0001"),
        ("(029) 000-00-01", "029***0001"),
        ("from +375290000001 to 79161234567.", "from +37529***0001 to 7916***4567."),
    ],
)
def test_numbers_are_masked_in_any_text(written: str, shown: str) -> None:
    assert mask_text(written) == shown
    line = logged(phone=written, anything=written, nested=[{"x": written}])
    assert (line["phone"], line["anything"], line["nested"]) == (shown, shown, [{"x": shown}])


def test_short_and_whole_numbers_are_masked_where_a_number_is_expected() -> None:
    line = logged(phone="2000001", caller_number=375290000001, extension="152", count=375290000001)
    assert line["phone"] == "***0001"
    assert line["caller_number"] == "37529***0001"
    assert (line["extension"], line["count"]) == ("152", 375290000001)


def test_ids_times_and_places_keep_their_digits() -> None:
    whole: dict[str, Any] = {
        "call": "1763900000.12345",
        "stream": "call/1763900000.12345",
        "unique_id": "1763900000.1",
        "position": 12345678901,
        "heard_ms": 1763900000123,
        "moysklad_id": "88fc07ad-2c8d-11e6-8a84-123456789012",
    }
    line = logged(**whole)
    assert {name: line[name] for name in whole} == whole


def test_an_asterisk_id_or_a_uuid_inside_a_text_stays_readable() -> None:
    text = "no call 1763900000.12 (88fc07ad-2c8d-11e6-8a84-123456789012) at 2026-11-23 21:42:52"
    assert mask_text(text) == text


@given(st.from_regex(r"\A\+?[1-9][0-9]{9,14}\Z"), st.sampled_from(["{}", "x {} y", "<{}>", "tel:{};ext=1", "№{}", "{},{}"]))
def test_no_number_of_ten_to_fifteen_digits_ever_comes_through(number: str, around: str) -> None:
    shown = clean(around.replace("{}", number), "reason")
    assert number.lstrip("+") not in shown


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
        max_leaves=20,
    )
)
def test_whatever_is_logged_becomes_one_line(value: Any) -> None:
    for sink in (io.StringIO(), Terminal()):
        configure_logs("info", sink=sink)
        structlog.get_logger("test").info("a_fact", value=value)
        assert sink.getvalue().count("\n") == 1
        assert len(sink.getvalue().splitlines()) == 1


def test_a_value_that_cannot_say_itself_costs_nothing() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert logged(value=Broken())["value"] == "<RuntimeError in str()>"


def test_long_values_are_cut() -> None:
    line = logged(body="x" * 10_000, rows=list(range(1000)), deep=[[[[[[[[[[1]]]]]]]]]])
    assert len(line["body"]) < 2_100
    assert line["rows"][-1] == "… 950 more"
    assert len(json.dumps(line)) < 4_000


def fail() -> None:
    raise ValueError(f"cannot call {ME}\nsecond line with token={KEY}")


@pytest.mark.parametrize("level", ["info", "debug"])
def test_an_exception_is_one_line_with_its_reason_and_no_traceback(level: str) -> None:
    sink = io.StringIO()
    configure_logs(level, sink=sink)
    try:
        fail()
    except ValueError:
        structlog.get_logger("test").warning("went_wrong", exc_info=True)
    (line,) = lines_of(sink)
    assert line["reason"] == "ValueError: cannot call +37529***0001"
    assert "Traceback" not in sink.getvalue()


def test_a_traceback_is_only_in_the_file_and_only_at_debug_and_masked(tmp_path: Path) -> None:
    for level, expected in (("debug", True), ("info", False)):
        path = tmp_path / level
        configure_logs(level, sink=LogFile(path))
        try:
            fail()
        except ValueError as error:
            structlog.get_logger("test").warning("went_wrong", exc_info=error)
        (line,) = map(json.loads, path.read_text().splitlines())
        assert ("traceback" in line) is expected
        assert ME not in path.read_text()
        assert KEY not in path.read_text()
    assert "in fail" in json.loads((tmp_path / "debug").read_text())["traceback"]


def test_the_standard_library_s_loggers_and_warnings_come_masked_too() -> None:
    sink = io.StringIO()
    configure_logs("info", sink=sink)
    logging.getLogger("aiohttp.server").error("bad caller %s", ME)
    logging.getLogger("aiohttp.access").info("GET /?phone=%s", ME)
    logs._Bridge().emit(logging.LogRecord("somebody", logging.INFO, "", 0, "%d arguments", ("wrong",), None))
    warnings.warn(f"careful with {ME}", UserWarning, stacklevel=1)
    lines = lines_of(sink)
    assert [line["logger"] for line in lines] == ["aiohttp.server", "somebody", "py.warnings"]
    assert lines[0]["event"] == "bad caller +37529***0001"
    assert ME not in sink.getvalue()


def test_configuring_twice_says_things_once() -> None:
    sink = io.StringIO()
    configure_logs("info", sink=io.StringIO())
    configure_logs("info", sink=sink)
    logging.getLogger("aiohttp.server").error("once")
    assert len(lines_of(sink)) == 1


def test_a_crash_is_one_line_for_the_person(capsys: pytest.CaptureFixture[str]) -> None:
    sink = io.StringIO()
    configure_logs("info", sink=sink)
    logs.install_last_resort()
    try:
        fail()
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    shown = capsys.readouterr().err
    assert shown.startswith("internal error (ValueError: cannot call +37529***0001)")
    assert shown.count("\n") == 1
    assert lines_of(sink)[0]["event"] == "crashed"


def test_a_log_file_is_private_and_bounded_and_loses_no_recent_line(tmp_path: Path) -> None:
    path = tmp_path / "log" / "service.log"
    file = LogFile(path, max_bytes=1_000, kept=2)
    for number in range(200):
        file.write(f"line {number:03} {'x' * 40}\n")
    names = sorted(found.name for found in path.parent.iterdir())
    assert names == ["service.log", "service.log.1", "service.log.2"]
    assert all(found.stat().st_size <= 1_000 for found in path.parent.iterdir())
    assert path.stat().st_mode & 0o777 == 0o600
    kept = "".join((path.parent / name).read_text() for name in reversed(names)).splitlines()
    assert [line[:8] for line in kept] == [f"line {number:03}" for number in range(200 - len(kept), 200)]
    file.close()


def test_while_no_file_can_be_made_the_old_ones_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LogFile(tmp_path / "log", max_bytes=100, kept=3)
    for number in range(4):
        file.write(f"{number}" * 60 + "\n")

    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(LogFile, "_open", staticmethod(full))
        for _ in range(5):
            file.write("x" * 60 + "\n")
    file.write("4" * 60 + "\n")
    kept = [(tmp_path / name).read_text()[0] for name in ("log.3", "log.2", "log.1", "log")]
    assert kept == ["1", "2", "3", "4"]
    file.close()


def test_a_log_file_goes_on_where_it_was(tmp_path: Path) -> None:
    for number in range(2):
        file = LogFile(tmp_path / "log", max_bytes=100, kept=1)
        file.write(f"{number}" * 60 + "\n")
        file.close()
    assert (tmp_path / "log").read_text().startswith("1")
    assert (tmp_path / "log.1").read_text().startswith("0")


def test_a_sink_that_is_gone_does_not_stop_the_service() -> None:
    sink = io.StringIO()
    configure_logs("info", sink=sink)
    sink.close()
    structlog.get_logger("test").info("into_the_void")


def test_mask_number_never_shows_a_short_one() -> None:
    assert mask_number("12345") == "***"


def test_the_same_warning_is_written_once_and_an_error_each_time() -> None:
    sink = io.StringIO()
    configure_logs("info", sink=sink)
    for _ in range(3):
        structlog.get_logger("test").warning("it_is_away", reason="reset")
        structlog.get_logger("test").error("it_broke")
    assert [line["event"] for line in lines_of(sink)] == ["it_is_away", "it_broke", "it_broke", "it_broke"]
