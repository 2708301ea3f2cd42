"""The dispatcher's side, a process of its own: closed loops, streams, an open load at a rate; each tells what was acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import orjson

from bench.ground import tell, words
from bench.load import endless, planned
from bench.wire import Asker, Messages, connected

WINDOW: Final = 500
"""Lines of one stream that are on their way and not acknowledged."""

BURST: Final = 250
MAX_SENDERS: Final = 1_000
FAR: Final = 100_000
"""Calls of one sender number from its own multiple of this, so that all differ (ids have eight digits)."""

LATE_S: Final = 60.0
"""Answers that are not there so long after the load's end are given up, and told as such."""


def now_ns() -> int:
    """The clock that all processes of a run share."""
    return time.monotonic_ns()


async def closed(order: dict[str, Any]) -> dict[str, Any]:
    """Each sender sends its next signal as soon as the last is acknowledged. Tells how many were, and how long each took (ns)."""
    ports: Sequence[int] = order["ports"]
    until = now_ns() + int(order["seconds"] * 1e9)
    took: list[int] = []
    answers: Counter[str] = Counter()
    sent = [0] * order["senders"]

    async def send(sender: int) -> None:
        asker = await connected(ports[sender % len(ports)])
        base = (order.get("first", 0) + sender) * FAR
        for offset, blank in endless(order["mark"], time.time()):
            began = now_ns()
            if began > until:
                break
            head, _ = await asker.ask(blank.filled(base + offset, order["enterprises"], sender, sent[sender]))
            took.append(now_ns() - began)
            answers[head[9:12].decode()] += 1
            sent[sender] += 1
        _close(asker)

    began = now_ns()
    await asyncio.gather(*(send(nth) for nth in range(order["senders"])))
    return {"seconds": (now_ns() - began) / 1e9, "took_ns": took, "answers": dict(answers), "sent": sent}


class Stream(Messages):
    """One long connection: lines out, acknowledgements in."""

    def __init__(self) -> None:
        super().__init__()
        self.acknowledged = 0
        self.bad = 0
        self.more = asyncio.Event()
        self.lost = False
        self._last = b""

    def data_received(self, data: bytes) -> None:
        """Count lines: each acknowledgement ends in ``}`` and a line's end, whatever the chunks are."""
        data = self._last + data
        self._last = data[-1:] if data.endswith(b"}") else b""
        self.acknowledged += data.count(b"}\n")
        self.bad += data.count(b'"status":"error"')
        self.more.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self.lost = True
        self.more.set()


async def streams(order: dict[str, Any]) -> dict[str, Any]:
    """Several streams, each with a window of lines under way. Tells how many lines were acknowledged in the time."""
    until = now_ns() + int(order["seconds"] * 1e9)
    ports: Sequence[int] = order["ports"]
    totals: Counter[str] = Counter()
    sent = [0] * order["streams"]

    async def send(nth: int) -> None:
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(Stream, "127.0.0.1", ports[nth % len(ports)])
        stream.write(
            b"POST /internal/ms/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        base, lines = (order.get("first", 0) + nth) * FAR, endless(order["mark"], time.time(), lines=True)
        while now_ns() < until and not stream.lost:
            while sent[nth] - stream.acknowledged <= WINDOW - BURST and now_ns() < until:
                burst = b"".join(
                    blank.filled(base + offset, order["enterprises"], nth, sent[nth] + place)
                    for place, (offset, blank) in zip(range(BURST), lines, strict=False)
                )
                stream.write(b"%x\r\n%b\r\n" % (len(burst), burst))
                sent[nth] += BURST
            stream.more.clear()
            await stream.more.wait()
        totals["in time"] += stream.acknowledged
        stream.write(b"0\r\n\r\n")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LATE_S):
                while stream.acknowledged < sent[nth] and not stream.lost:
                    stream.more.clear()
                    await stream.more.wait()
        totals["acknowledged"] += stream.acknowledged
        totals["bad"] += stream.bad
        if stream.transport is not None:
            stream.transport.close()

    began = now_ns()
    await asyncio.gather(*(send(nth) for nth in range(order["streams"])))
    return {"seconds": order["seconds"], "whole_s": (now_ns() - began) / 1e9, "sent": sent, **totals}


async def opened(order: dict[str, Any]) -> dict[str, Any]:
    """A load at a rate, whatever the answers do. Tells for each call when its dial and its hangup were due to be sent (ns)."""
    signals = planned(
        order["mark"],
        per_s=order["per_s"],
        live=order["live"],
        seconds=order["seconds"],
        enterprises=order["enterprises"],
        start_s=time.time(),
        kinds=order["kinds"],
    )
    ports: Sequence[int] = order["ports"]
    askers = [await connected(ports[nth % len(ports)]) for nth in range(order["senders"])]
    queues: list[asyncio.Queue[bytes | None]] = [asyncio.Queue() for _ in askers]
    answers: Counter[str] = Counter()
    moments: dict[int, list[int]] = {}

    async def work(asker: Asker, queue: asyncio.Queue[bytes | None]) -> None:
        while (data := await queue.get()) is not None:
            head, _ = await asker.ask(data)
            answers[head[9:12].decode()] += 1

    working = [asyncio.create_task(work(asker, queue)) for asker, queue in zip(askers, queues, strict=True)]
    began, latest, counted = now_ns(), 0, 0
    for signal in signals:
        due = began + int(signal.at_s * 1e9)
        await asyncio.sleep(max(0, due - now_ns()) / 1e9)
        if signal.at_s >= order["warm_s"]:
            counted += 1
            latest = max(latest, now_ns() - due)
        if signal.event in ("dial", "hangup"):
            moments.setdefault(signal.nth, [0, 0])[signal.event == "hangup"] = now_ns()
        queues[signal.nth % len(queues)].put_nowait(signal.data)
    measured_s = (now_ns() - began) / 1e9 - order["warm_s"]
    for queue in queues:
        queue.put_nowait(None)
    _, late = await asyncio.wait(working, timeout=LATE_S)
    for task in late:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    answers["none in time"] = len(signals) - answers.total()
    for asker in askers:
        _close(asker)
    return {
        "began_ns": began,
        "sent": len(signals),
        "answers": dict(+answers),
        "moments": [[nth, *times] for nth, times in moments.items()],
        "latest_ns": latest,
        "per_s": counted / measured_s,
    }


def _close(asker: Asker) -> None:
    if asker.transport is not None:
        asker.transport.close()


async def main() -> None:
    """Do what is ordered, one after another."""
    kinds = {"closed": closed, "streams": streams, "open": opened}
    async for order in words():
        tell(await kinds[order["word"]](order))


if __name__ == "__main__":
    orjson.loads(sys.argv[1])
    asyncio.run(main())
