"""A Phone API that answers at once and notes when it was asked what: the other end of the service and of the bare prototype.

It checks nothing and remembers no call (the sandbox does both, at a thousand times the cost). ``delay_ms``: how long it takes
to answer. Moments are of the machine's monotonic clock (ns), which all its processes share.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from typing import Any, Final
from uuid import uuid4

import orjson

from bench.ground import tell, words
from bench.wire import Messages, ok, serving

_EMPLOYEES: Final = orjson.dumps({"employees": []})
_ROWS: Final = orjson.dumps({"meta": {"size": 0, "limit": 1000, "offset": 0}, "rows": []})


class Book:
    """What was asked: ``[moment, call, actions, moment of the answer]`` for each request about a call."""

    def __init__(self, delay_ms: float) -> None:
        self.delay_s = delay_ms / 1000
        self.asked: list[list[Any]] = []
        self.counts: Counter[str] = Counter()
        self._names: dict[str, str] = {}

    def answer(self, method: str, path: str, body: bytes) -> tuple[bytes, list[Any] | None]:
        """The answer, and the entry to be closed when it leaves."""
        self.counts[f"{method} {path.split('/')[-1] if method == 'GET' else 'call'}"] += 1
        if method == "GET":
            return (_EMPLOYEES if "/employee" in path else _ROWS), None
        said = orjson.loads(body) if body else {}
        if method == "POST" and path.endswith("/call"):
            id_, name = str(uuid4()), str(said.get("externalId", ""))
            self._names[id_] = name
        else:
            id_ = path.rsplit("/", 1)[-1]
            name = self._names.get(id_, id_)
        actions = [event["eventType"] for event in said.get("events", ())]
        if "endTime" in said:
            actions.append("END")
            self._names.pop(id_, None)
        entry = [time.monotonic_ns(), name, actions, 0]
        self.asked.append(entry)
        return orjson.dumps({"id": id_, "externalId": name, "recordUrl": []}), entry


class Connection(Messages):
    """One client."""

    def __init__(self, book: Book) -> None:
        super().__init__()
        self._book = book

    def heard(self, head: bytes, body: bytes) -> None:
        """Answer it."""
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        answer, entry = self._book.answer(method, path.partition("?")[0], body)
        if self._book.delay_s:
            asyncio.get_running_loop().call_later(self._book.delay_s, self._send, answer, entry)
        else:
            self._send(answer, entry)

    def _send(self, answer: bytes, entry: list[Any] | None) -> None:
        if entry is not None:
            entry[3] = time.monotonic_ns()
        self.write(ok(answer))


async def main(given: dict[str, Any]) -> None:
    """Serve until the input ends. Orders: ``port``; ``take``: what was asked since the last time, and counts."""
    book = Book(float(given.get("delay_ms", 0)))
    server, port = await serving(lambda: Connection(book))
    async for order in words():
        if order["word"] == "port":
            tell({"port": port})
        else:
            tell(
                {
                    "asked": book.asked if order.get("whole", True) else [],
                    "counts": dict(book.counts),
                    "about_calls": len(book.asked),
                }
            )
            book.asked, book.counts = [], Counter()
    server.close()


if __name__ == "__main__":
    asyncio.run(main(orjson.loads(sys.argv[1])))
