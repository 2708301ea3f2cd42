"""Structured logs: one line per fact, with the call's id, without secrets and without anybody's telephone number.

JSON lines for programs and files, logfmt for a person at a terminal; UTC times; levels from ``MS_LOG_LEVEL``. The standard
library's loggers (aiohttp, asyncio, warnings) come the same way, so that nothing reaches stderr unmasked. An exception is
one line with its reason; its traceback is added only at level debug and only in a file: never for a person to meet.

What is masked: every string under a key that sounds like a secret; secrets inside texts (``Bearer …``, ``token=…``, a
password in a URL); and telephone numbers in any text (``+375290000001`` → ``+37529***0001``). Keys that hold ids and
places (``call``, ``position``, ``…_id``, ``…_ms``) keep their digits, and so do Asterisk's ids and UUIDs inside a text.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Protocol

import orjson
import structlog

from adapters.repeats import Repeats

Form = Literal["auto", "json", "logfmt"]

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
HIDDEN: Final = "***"
MAX_TEXT: Final = 2_000
MAX_TRACEBACK: Final = 20_000
MAX_ITEMS: Final = 50
MAX_DEPTH: Final = 6
LOG_FILE_BYTES: Final = 10 * 1024 * 1024
LOG_FILES_KEPT: Final = 5
QUIET_LOGGERS: Final = ("aiohttp.access", "asyncio", "transitions.core")
"""Loggers that tell at info what nobody asked (each request has its fact already); from them only warnings are taken."""

_SECRET_KEY: Final = re.compile(
    r"token|authori[sz]ation|passw|secret|api_?key|integration_?code|cookie|credential|passphrase|database_?url|dsn"
    r"|(^|_)key$|(^|_)keys$|(^|_)pass$"
)
_NOT_SECRET_KEY: Final = frozenset({"idempotency_key"})
_ID_KEY: Final = re.compile(
    r"^(call|calls|channel|bridge|leg|legs|stream|streams|position|version|checkpoint|pid|port|timestamp|event|level|logger"
    r"|unique_?id|linked_?id|ext_?id|external_?id|sync_?id|enterprise|revision|sequence|size|count|bytes)$|_(id|ids|ms|s|at|bytes)$"
)
_NUMBER_KEY: Final = re.compile(r"phone|number|caller|callee|dialed|msisdn")

_TEXT_SECRETS: Final = (
    re.compile(r"(?P<head>(?:Bearer|Basic)\s+)(?P<hidden>[^\s\"',;]{4,})", re.IGNORECASE),
    re.compile(
        r"(?P<head>[\"']?[\w-]*(?:token|authori[sz]ation|password|passwd|secret|api[-_]?key|integration[-_]?code|cookie)"
        r"[\"']?\s*[:=]\s*b?[\"']?)(?P<hidden>(?!Bearer|Basic)[^\s\"',;&}]+)",
        re.IGNORECASE,
    ),
    re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^\s:/@]*:)(?P<hidden>[^\s@]+)(?=@)", re.IGNORECASE),
    re.compile(r"(?P<head>)(?P<hidden>\b[0-9a-fA-F]{40}\b)"),  # what MoySklad's keys look like
    re.compile(r"(?P<head>)(?P<hidden>gAAAA[\w-]{40,}={0,2})"),  # a Fernet token: encrypted, but nobody's business either
)
_UUID: Final = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_NUMBERS: Final = re.compile(
    rf"(?P<keep>{_UUID}|(?<![\d+])\d{{10}}\.\d{{1,9}}(?!\d))"  # an id of MoySklad, a UniqueId of Asterisk
    r"|(?P<number>\+\d(?:[\s().\-]{0,2}\d){9,14}"  # +375 (29) 000-00-01
    r"|(?<!\d)(?:\d[\s\-]?)?\(\d{2,5}\)[\s\-]?\d(?:[\s\-]?\d){4,8}"  # 8 (029) 000-00-01
    r"|(?<!\d)\d{10,15}(?!\d))"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Sink(Protocol):
    """Where finished lines go."""

    def write(self, text: str, /) -> object:
        """Take one line with its line end."""
        ...

    def flush(self) -> object:
        """Hand over what is buffered."""
        ...


def says_debug() -> bool:
    """Whether debug lines are written. Ask this before making one for each of thousands of events a second: structlog's own way
    of finding out costs as much as reading the event."""
    return logging.getLogger().isEnabledFor(logging.DEBUG)


def mask_number(text: str) -> str:
    """A telephone number so that two of them can be told apart but nobody can be called: ``+37529***0001``."""
    digits = [character for character in text if character.isdigit()]
    head = max(0, min(5, len(digits) - 7))
    plus = "+" if text.lstrip().startswith("+") else ""
    return f"{plus}{''.join(digits[:head])}{HIDDEN}{''.join(digits[-4:]) if len(digits) > 6 else ''}"


def mask_text(text: str) -> str:
    """A text without the secrets and the telephone numbers in it."""
    for pattern in _TEXT_SECRETS:
        text = pattern.sub(rf"\g<head>{HIDDEN}", text)
    return _NUMBERS.sub(lambda found: found["keep"] or mask_number(found["number"]), text)


def clean(value: Any, key: str = "", depth: int = 0) -> Any:
    """A value as it may be logged under ``key``: masked, bounded, and made of what JSON knows. Never raises."""
    name = key.lower().replace("-", "_")
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        as_text = abs(value) >= 2**63 or (_NUMBER_KEY.search(name) and abs(value) >= 10**9)
        return clean(str(value), key, depth) if as_text else value
    if _SECRET_KEY.search(name) and name not in _NOT_SECRET_KEY:
        return HIDDEN
    if isinstance(value, Mapping):
        if depth >= MAX_DEPTH:
            return "{…}"
        items = list(value.items())
        inner = {_plain(str(k)): clean(v, str(k), depth + 1) for k, v in items[:MAX_ITEMS]}
        return inner | ({"…": len(items) - MAX_ITEMS} if len(items) > MAX_ITEMS else {})
    if isinstance(value, list | tuple | set | frozenset):
        if depth >= MAX_DEPTH:
            return "[…]"
        several = list(value)
        rest = [f"… {len(several) - MAX_ITEMS} more"] if len(several) > MAX_ITEMS else []
        return [clean(item, key, depth + 1) for item in several[:MAX_ITEMS]] + rest
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, BaseException):
        return reason_of(value)
    if not isinstance(value, str):
        try:
            value = str(value)
        except Exception as error:  # noqa: BLE001 - a broken __str__ must not cost the line, still less the call
            return f"<{type(error).__name__} in str()>"
    text = _plain(value[: 2 * MAX_TEXT])
    if not _ID_KEY.search(name):
        text = mask_number(text) if _is_short_number(name, text) else mask_text(text)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(value)} characters)"


def reason_of(error: BaseException) -> str:
    """An exception as one masked line: its type and the first line of what it says."""
    lines = str(error).strip().splitlines()
    said = f": {lines[0]}" if lines else ""
    return _plain(mask_text(f"{type(error).__name__}{said}"))[:MAX_TEXT]


def _is_short_number(name: str, text: str) -> bool:
    """Seven to nine digits are a local number only where a number is expected (three or four are an extension)."""
    return bool(_NUMBER_KEY.search(name)) and 7 <= sum(c.isdigit() for c in text) <= 9 and len(text) <= 16


def _plain(text: str) -> str:
    """Without line ends, escape sequences and half characters: one line, harmless on a terminal."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class LogFile:
    """A log file that cannot fill the disk: at ``max_bytes`` it becomes ``….1``, and at most ``kept`` old ones stay.

    Mode 0600. Safe to use from several threads of one process. A full or lost disk costs lines, not the service.
    """

    def __init__(self, path: Path, *, max_bytes: int = LOG_FILE_BYTES, kept: int = LOG_FILES_KEPT) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._kept = kept
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._open(path)
        self._size = self._file.tell()

    def write(self, text: str, /) -> int:
        """Append one line, in a new file if this one is full."""
        line = text.encode("utf-8", "replace")
        with self._lock, contextlib.suppress(OSError):
            if self._size and self._size + len(line) > self._max_bytes:
                self._rotate()
            self._size += self._file.write(line)
        return len(text)

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Close the file; later lines are lost."""
        self._file.close()

    @staticmethod
    def _open(path: Path) -> Any:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        file = os.fdopen(descriptor, "ab", buffering=0)
        file.seek(0, os.SEEK_END)
        return file

    def _rotate(self) -> None:
        fresh = self._path.with_name(f"{self._path.name}.next")
        file = self._open(fresh)  # before the others move: where no file can be made, they stay
        for number in range(self._kept, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number - 1}")
            with contextlib.suppress(FileNotFoundError):
                newer.replace(older)
        fresh.replace(self._path)
        self._file.close()
        self._file = file
        self._size = self._file.tell()


class _Writer:
    """structlog's idea of a logger: its name, and a sink for the finished line."""

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink = sink
        self.name = name

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed pipe behind stderr must not stop calls
            self._sink.write(line + "\n")
            self._sink.flush()

    debug = info = warning = error = critical = msg


def configure_logs(level: str = "info", *, sink: Sink | None = None, form: Form = "auto") -> None:
    """Set up the process's logs; may be called again. ``level``: debug, info, warning, error.

    ``sink``: stderr unless given; a ``LogFile`` for the daemon. ``form`` auto: logfmt on a terminal, else JSON.
    """
    out: Sink = sys.stderr if sink is None else sink
    is_terminal = bool(getattr(out, "isatty", lambda: False)())
    as_json = form == "json" or (form == "auto" and not is_terminal)
    threshold = LEVELS[level]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _add_logger_name,
            _Exceptions(with_traceback=threshold <= 10 and isinstance(out, LogFile)),
            _clean_all,
            Repeats(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _json if as_json else _logfmt,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *args: _Writer(out, str(args[0]) if args else ""),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [*root.handlers]:
        if isinstance(handler, _Bridge):
            root.removeHandler(handler)
    root.addHandler(_Bridge())
    root.setLevel(threshold)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    logging.captureWarnings(True)


def install_last_resort() -> None:
    """What escapes everything is one line for the person and for the log, never a traceback (PRODUCT: bad input)."""

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        structlog.get_logger("process").error("crashed", exc_info=(kind, error, trace))
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"internal error ({reason_of(error)}); MS_LOG_LEVEL=debug writes more into the log file\n")

    sys.excepthook = tell


class _Bridge(logging.Handler):
    """The standard library's records as lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # wrong arguments for its own format
            text = str(record.msg)
        fields: dict[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
        level = max(10, min(40, record.levelno // 10 * 10))
        structlog.get_logger(record.name).log(level, mask_text(text), **fields)


class _Exceptions:
    """``exc_info`` becomes ``reason``, one line; the traceback joins it only where it may."""

    def __init__(self, *, with_traceback: bool) -> None:
        self._with_traceback = with_traceback

    def __call__(self, _logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        given = line.pop("exc_info", None)
        error = given[1] if isinstance(given, tuple) else given
        if error is True:
            error = sys.exc_info()[1]
        if isinstance(error, BaseException):
            line.setdefault("reason", reason_of(error))
            if self._with_traceback:
                line["traceback"] = _Trace("".join(traceback.format_exception(error)))
        line.pop("stack_info", None)
        return line


class _Trace(str):
    """A traceback: longer than other texts, and its line ends are kept (JSON escapes them)."""

    __slots__ = ()


def _add_logger_name(logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if name := getattr(logger, "name", ""):
        line.setdefault("logger", name)
    return line


def _clean_all(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    cleaned: dict[str, Any] = {}
    for key, value in line.items():
        name = re.sub(r"[^\w.-]", "_", key) or "_"
        cleaned[name] = mask_text(value[-MAX_TRACEBACK:]) if isinstance(value, _Trace) else clean(value, key)
    cleaned["event"] = mask_text(str(cleaned.get("event", "")))
    return cleaned


_FIRST: Final = ("timestamp", "level", "logger", "event", "enterprise", "call")


def _ordered(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: line[key] for key in _FIRST if key in line} | {key: line[key] for key in line if key not in _FIRST}


def _json(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> str:
    return orjson.dumps(_ordered(line)).decode()


def _logfmt(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> str:
    return " ".join(f"{key}={_logfmt_value(value)}" for key, value in _ordered(line).items())


def _logfmt_value(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if text and not re.search(r"[\s\"=]", text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
