"""The same warning again and again: the first is said, the rest are counted, and every ten seconds one line says how many.

While the database is away every part of the service says so at every try, several times a second, and whatever else is said
then would be lost among it. Only what is the same in every field is counted together: what differs in anything is said.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

import orjson
import structlog

EVERY_S: Final = 10.0
"""Between two sums."""

NEWS_S: Final = 60.0
"""A warning that was not heard for so long is news again. Where there are several reasons for one thing they take turns."""

MOST_KINDS: Final = 500
"""Warnings that are remembered: more different ones in a minute than anybody reads. Those that do not fit are said."""

SUM: Final = "said_again"


class Repeats:
    """One of structlog's processors, for lines that are clean and have no time yet."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # the standard library's loggers may speak from any thread
        self._last: dict[bytes, float] = {}
        self._again: Counter[str] = Counter()
        self._since_s = 0.0

    def __call__(self, _logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The line; DropEvent where it is only counted."""
        if line.get("event") == SUM:
            return line
        now_s = self._clock()
        if self._again and now_s >= self._since_s + EVERY_S:
            contextvars.Context().run(self.sum_up)
        if line.get("level") == "warning" and self._is_repeated(line, now_s):
            raise structlog.DropEvent
        return line

    def sum_up(self) -> None:
        """Say what was only counted, if anything was."""
        with self._lock:
            again, self._again = self._again, Counter()
            over_s = round(self._clock() - self._since_s, 1)
        if again:
            structlog.get_logger("log").warning(SUM, lines=again.total(), over_s=over_s, again=dict(again.most_common()))

    def _is_repeated(self, line: Mapping[str, Any], now_s: float) -> bool:
        key = orjson.dumps(line, option=orjson.OPT_SORT_KEYS, default=str)
        with self._lock:
            last_s = self._last.get(key, float("-inf"))
            if len(self._last) >= MOST_KINDS:
                self._last = {each: at_s for each, at_s in self._last.items() if now_s < at_s + NEWS_S}
            if len(self._last) < MOST_KINDS or key in self._last:
                self._last[key] = now_s
            if now_s >= last_s + NEWS_S:
                return False
            first = not self._again
            if first:
                self._since_s = now_s
            self._again[_told(line)] += 1
        if first:
            self._sum_up_later()
        return True

    def _sum_up_later(self) -> None:
        """After ten seconds also where nothing more is said; without a loop the next line sees to it."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        loop.call_later(EVERY_S, self.sum_up, context=contextvars.Context())


def _told(line: Mapping[str, Any]) -> str:
    """A warning in one text: who says it, what, and its fields."""
    fields = [f"{name}={value}" for name, value in line.items() if name not in ("event", "level", "logger")]
    return " ".join([f"{line.get('logger', '')}.{line.get('event', '')}".lstrip("."), *fields])
