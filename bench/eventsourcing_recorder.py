"""The ``eventsourcing`` library's PostgreSQL recorder, one event a save, several threads: a process of its own. A baseline."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import orjson

from bench.ground import tell, words

MISSING = "the eventsourcing library is not installed here: ./ms.sh bench brings it"


def datastore(dsn: str) -> Any:
    """The library's way to a database. Raises ImportError where it is not installed."""
    from eventsourcing.postgres import PostgresDatastore

    parts = urlsplit(dsn)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return PostgresDatastore(
        dbname=parts.path.lstrip("/"),
        host=query.get("host") or parts.hostname or "",
        port=query.get("port") or parts.port or 5432,
        user=query.get("user") or parts.username or "",
        password=parts.password or "",
        pool_size=8,
        max_overflow=8,
    )


def run(recorder: Any, stored_event: Any, threads: int, seconds: float, data: bytes) -> list[float]:
    """How long each save took (s), over all threads, each with streams of its own."""
    took: list[list[float]] = [[] for _ in range(threads)]
    until = time.perf_counter() + seconds

    def work(nth: int) -> None:
        version, stream, own = 0, uuid4(), took[nth]
        while (began := time.perf_counter()) < until:
            if version == 8:  # as long as a call's history
                version, stream = 0, uuid4()
            event = stored_event(originator_id=stream, originator_version=version + 1, topic="call:Observed", state=data)
            recorder.insert_events([event])
            version += 1
            own.append(time.perf_counter() - began)

    working = [threading.Thread(target=work, args=(nth,)) for nth in range(threads)]
    for each in working:
        each.start()
    for each in working:
        each.join()
    return [each for own in took for each in own]


async def main(given: dict[str, Any]) -> None:
    """Answer each order ``run`` with what it took."""
    try:
        from eventsourcing.persistence import StoredEvent
        from eventsourcing.postgres import PostgresApplicationRecorder
    except ImportError:
        async for _ in words():
            tell({"missing": MISSING})
        return
    with datastore(given["dsn"]) as store:
        recorder = PostgresApplicationRecorder(store, events_table_name="stored_events")
        recorder.create_table()
        async for order in words():
            began = time.perf_counter()
            data = order["data"].encode()
            took = await asyncio.to_thread(run, recorder, StoredEvent, order["threads"], order["seconds"], data)
            tell({"took": took, "seconds": time.perf_counter() - began})


if __name__ == "__main__":
    asyncio.run(main(orjson.loads(sys.argv[1])))
