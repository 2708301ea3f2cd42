"""What append, plan, replay and search cost behind a long history, beside a short one; how fast read models are derived anew."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from adapters.call_search import resolve, search
from adapters.missed import missed_calls
from adapters.postgres.database import create_pool
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.rebuild import rebuild as derive_anew
from bench import history
from bench.append import as_append, keep_appending, observation
from bench.figures import Figure, Spread, number, quantile, ratio, spread
from bench.ground import Child, Ground, child, disk_read_bytes
from bench.history import Kept
from bench.parts import projections
from bench.sizes import Size
from bench.stage import running
from bench.work import PBX_ZONE, enterprise_name, settings
from core.call import fold, initial
from core.decisions import Limits
from core.events import decode
from core.plan import plan
from core.ports import Rebuildable, StreamId
from core.settings import parse_settings
from projections.picture import draw
from projections.story import tell

ROW: Final = "growth"
APPEND: Final = "append (µs an event, 32 callers)"
SAME: Final = 1.15
CALLERS: Final = 32
BIG: Final = enterprise_name(0)
SMALL: Final = enterprise_name(7)
SMALL_HAS: Final = "3"
"""So many of its calls are asked for, which even the small history has: compared is the search, not the length of the answer."""

END: Final = 6
"""So many last digits of a number are asked for: with fewer several numbers of the large history end so, and one of the small."""

LOOKS_A_ROUND: Final = 4
"""Looks are short, and the sides take turns with each kind: what else is done on the machine for a second shows in few of many."""

SERVING: Final = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
DISK_BYTES: Final = 2_048
"""So much from the disk for a look of any call, and the row compares the disk with the memory."""

PAGE: Final = 5_000
REBUILD_PER_S: Final = 100_000.0

_BASES = count(1)


@dataclass(slots=True, kw_only=True)
class Look:
    """A history opened for looking."""

    kept: Kept
    pool: Any
    store: PostgresEventStore
    chance: random.Random
    looks: int = 0
    disk_bytes: int = 0
    """What the disk had to be read for in so many looks."""

    def some_call(self) -> tuple[str, str, str]:
        """Any call: enterprise, id, number."""
        self.looks += 1
        return self.kept.name(self.chance.randrange(self.kept.made.calls))

    @contextlib.asynccontextmanager
    async def told_of_disk(self) -> AsyncIterator[None]:
        """Counts what the server's processes for this history read from the disk in the block."""
        before = await self._from_disk()
        yield
        self.disk_bytes += max(0, await self._from_disk() - before)

    async def _from_disk(self) -> int:
        return sum(disk_read_bytes(row["pid"]) for row in await self.pool.fetch(SERVING))


Cost = Callable[[Look, Size], Awaitable[float]]


@contextlib.asynccontextmanager
async def looking(kept: Kept) -> AsyncIterator[Look]:
    """The history, with the service's pool and store. The same calls are chosen in every run."""
    pool = await create_pool(kept.dsn)
    try:
        async with PostgresEventStore(pool, kept.dsn) as store:
            yield Look(kept=kept, pool=pool, store=store, chance=random.Random(8023))
    finally:
        await pool.close()


async def append_cost(look: Look, size: Size) -> float:
    """Microseconds an event, with many callers."""
    data, base = observation(), next(_BASES) * 1_000_000_000
    took = await keep_appending(lambda nth: look.store.append(as_append(base + nth, data)), CALLERS, size.side_s)
    return 1e6 / took.per_s


async def plan_cost(look: Look, size: Size) -> float:
    """Milliseconds (median) to read, fold and plan any call, as the attendant does for one that it does not remember."""
    limits, own = Limits(), parse_settings(settings(0))

    async def one() -> None:
        enterprise, call, _ = look.some_call()
        read = await look.store.read(StreamId(enterprise=enterprise, name=f"call/{call}"))
        assert read, "a call of the history is not there"
        state = fold(initial(enterprise, call), (decode(each.type, each.schema, each.data) for each in read))
        plan(state, own, history.ENDS_MS, limits)

    return await median_ms(one, size.looks)


async def replay_cost(look: Look, size: Size) -> float:
    """Milliseconds (median) to find a call by its id and tell and draw it, as the replay page asks."""
    limits, own = Limits(), parse_settings(settings(0))

    async def one() -> None:
        enterprise, call, _ = look.some_call()
        found = await resolve(look.pool, enterprise, call, PBX_ZONE)
        assert found == call, "a call of the history is not found"
        read = await look.store.read(StreamId(enterprise=enterprise, name=f"call/{found}"))
        draw(tell(enterprise, found, read, own, limits), read, own)

    return await median_ms(one, size.looks)


ASKED: Final[tuple[tuple[str, Callable[[Look], dict[str, str]]], ...]] = (
    ("newest of all", lambda look: {}),
    ("newest of a large enterprise", lambda look: {"enterprise": BIG}),
    ("newest of a small one", lambda look: {"enterprise": SMALL, "limit": SMALL_HAS}),
    ("a whole number", lambda look: {"phone": look.some_call()[2]}),
    ("the end of a number", lambda look: {"phone": look.some_call()[2][-END:]}),
    ("an extension of a large enterprise", lambda look: {"enterprise": BIG, "extension": "102"}),
    ("missed of a large enterprise", lambda look: {"enterprise": BIG, "outcome": "missed,abandoned"}),
    ("failures", lambda look: {"enterprise": BIG, "failed": "1"}),
    ("live", lambda look: {"live": "1"}),
)


def asking(query: Callable[[Look], dict[str, str]]) -> Cost:
    """Milliseconds (median) for the first page of one kind of question."""

    async def cost(look: Look, size: Size) -> float:
        async def one() -> None:
            await search(look.pool, query(look), PBX_ZONE)

        return await median_ms(one, max(3, size.looks // 10))

    return cost


async def missed_cost(look: Look, size: Size) -> float:
    """Milliseconds (median) for whom a small company did not call back."""

    async def one() -> None:
        await missed_calls(look.pool, SMALL, days=14, now_ms=history.ENDS_MS)

    return await median_ms(one, max(3, size.looks // 10))


LOOKS: Final[Mapping[str, Cost]] = {
    "plan of any call (ms: read, fold, plan)": plan_cost,
    "replay of any call (ms)": replay_cost,
    **{f"search: {name} (ms)": asking(query) for name, query in ASKED},
    "search: missed and not called back (ms)": missed_cost,
}


async def median_ms(one: Callable[[], Awaitable[None]], times: int) -> float:
    """How long it takes, one after another; the first is not counted."""
    took = []
    for _ in range(times + 1):
        began = time.perf_counter()
        await one()
        took.append((time.perf_counter() - began) * 1000)
    return quantile(took[1:], 0.5)


async def measure(place: Ground, size: Size) -> list[Figure]:
    """The same questions to a long and to a short history, in turn."""
    sides = {"large": await history.kept(place, size.history, size), "small": await history.kept(place, size.history_small, size)}
    costs: dict[str, dict[str, list[float]]] = {}

    def note(what: str, side: str, cost: float) -> None:
        costs.setdefault(what, {}).setdefault(side, []).append(cost)

    async with contextlib.AsyncExitStack() as stack:
        looks = {name: await stack.enter_async_context(looking(kept)) for name, kept in sides.items()}
        for nth in range(size.rounds):
            for side, look in _in_turn(looks, nth):
                note(APPEND, side, await append_cost(look, size))
        for nth in range(size.rounds * LOOKS_A_ROUND):
            if nth % LOOKS_A_ROUND == 0:
                await asyncio.to_thread(place.read_through)
            for what, cost in LOOKS.items():
                for side, look in _in_turn(looks, nth):
                    async with look.told_of_disk():
                        note(what, side, await cost(look, size))
    doubt = _doubt(looks["large"])
    return [_grown(what, each, size, "" if what == APPEND else doubt) for what, each in costs.items()]


def _in_turn(looks: dict[str, Look], nth: int) -> list[tuple[str, Look]]:
    """Both sides, the order turned round each time."""
    return list(looks.items())[:: 1 if nth % 2 == 0 else -1]


def _doubt(look: Look) -> str:
    each = look.disk_bytes / max(1, look.looks)
    if each < DISK_BYTES:
        return ""
    return f"{number(each / 1024)} KB for each look at any call came from the disk: the kernel had not kept the long history"


def _grown(what: str, cost: dict[str, list[float]], size: Size, doubt: str) -> Figure:
    return Figure(
        row=ROW,
        what=f"{what}: {size.history} events / {size.history_small}",
        value=ratio(cost["large"], cost["small"]),
        unit="×",
        target=SAME,
        at_most=True,
        beside={side: number(spread(each).median) for side, each in cost.items()},
        doubt=doubt,
    )


# -- read models ----------------------------------------------------------------------------------------------------


async def rebuild(place: Ground, size: Size) -> list[Figure]:
    """Derive every read model anew from the large history while an instance takes events in: where all is right already, and
    where the tables are empty; for so long at most each."""
    kept = await history.kept(place, size.history, size)
    figures = []
    async with (
        child(place, "senders") as senders,
        child(place, "local_api") as api,
        running(place, kept.dsn, (await api.ask("port"))["port"]) as (made,),
        looking(kept) as look,
    ):
        reading = await read_rate(look, min(2.0, size.rebuild_s / 2))
        calm = await _answers(senders, made.port, "ra", size)
        for nth, (what, before) in enumerate((("what is there is right", ""), ("the tables are empty", EMPTY))):
            if before:
                await look.pool.execute(before, timeout=600)
            busy = asyncio.create_task(_answers(senders, made.port, f"r{nth}", size))
            rate, steps, share = await _rebuilt(kept.dsn, size.rebuild_s)
            meanwhile = await busy
            figures.append(
                Figure(
                    row="rebuild",
                    what=f"all read models together, from {size.history} events; {what}",
                    value=Spread(median=rate, low=rate, high=rate, rounds=1),
                    unit="events/s",
                    target=REBUILD_PER_S,
                    beside={
                        "gone through": f"{share:.0%} of the log",
                        "progress was told": f"{steps} times",
                        "answers to posts, calm": calm,
                        "while rebuilding": meanwhile,
                    },
                    limit=f"only reading the log with the service's own store, in pages of {PAGE}: {number(reading)} events/s",
                )
            )
    return figures


EMPTY: Final = "TRUNCATE calls, clicks, statistics_calls, statistics_people, statistics_requests, integration_logs"


async def read_rate(look: Look, seconds: float) -> float:
    """Events a second when the log is only read: no read model is derived faster by one reader."""
    began = time.perf_counter()
    position = done = 0
    while (took := time.perf_counter() - began) < seconds:
        page = await look.store.read_log(position, PAGE)
        done += len(page)
        position = page[-1].position if len(page) == PAGE else 0
    return done / took


async def _rebuilt(dsn: str, most_s: float) -> tuple[float, int, float]:
    """Events a second, how often progress was told, and how much of the log was gone through when its time was over."""
    told: list[tuple[float, int, int]] = []

    def progress(done: int, of: int) -> None:
        told.append((time.perf_counter(), done, of))

    began = time.perf_counter()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(most_s):
            await derive_anew(dsn, [each for each in projections() if isinstance(each, Rebuildable)], progress)
            told.append((time.perf_counter(), *told[-1][1:]))  # with what comes at the end
    ended, done, of = told[-1]
    return done / max(ended - began, 1e-9), len(told), done / max(1, of)


async def _answers(senders: Child, port: int, mark: str, size: Size) -> str:
    seconds: float = min(5.0, size.rebuild_s / 2)
    answer = await senders.ask("closed", ports=[port], senders=2, enterprises=size.enterprises, seconds=seconds, mark=f"{mark}x")
    took: Sequence[float] = [each / 1e6 for each in answer["took_ns"]]
    refused = sum(answer["answers"].values()) - answer["answers"].get("200", 0)
    return f"p50 {number(quantile(took, 0.5))}, p99 {number(quantile(took, 0.99))} ms, {refused} refused"
