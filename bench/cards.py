"""From a dial to the moment SHOW leaves, and from a hangup to HIDE, at a rate of events; alone, and while a backlog drains."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.postgres.database import connect
from bench import history
from bench.figures import Figure, Spread, number, quantile, ratio, spread
from bench.ground import Child, Ground, child, interleaved
from bench.load import external_id, length_s
from bench.machine import flushes_per_s, round_trip_us
from bench.parts import wall_ms
from bench.sizes import Size
from bench.stage import configure_enterprises, running

ROW: Final = "cards"
KINDS: Final = ("answered",)
"""Every call shows a card, so that every call counts."""

SENDERS: Final = 256
WARM_S: Final = 1.0
"""After that much more the enterprises are claimed and the connections open."""

AFTER_S: Final = 3.0
"""What was sent last has so long to lead to its card before it counts as never shown."""

OF_CALM: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one load led to. Times in ms; ``unseen``: dials and hangups (of calls with a card) that led to nothing."""

    show_ms: list[float]
    hide_ms: list[float]
    unseen: int
    answers: dict[str, int]
    per_s: float
    latest_ms: float

    @staticmethod
    def told(took: Sequence[float]) -> str:
        """Times in words."""
        if not took:
            return "none"
        p50, p99, worst = (number(each) for each in (quantile(took, 0.5), quantile(took, 0.99), max(took)))
        return f"p50 {p50}, p99 {p99}, worst {worst} ms of {len(took)}"


def matched(mark: str, enterprises: int, load: dict[str, Any], asked: Sequence[Sequence[Any]], *, from_s: float) -> Seen:
    """Find for each dial the first SHOW, and for each hangup the first HIDE after it, less what the API itself took in between.

    Whatever was sent in the first ``from_s`` seconds is the warming-up.
    """
    by_name: dict[str, list[Sequence[Any]]] = {}
    for entry in asked:
        by_name.setdefault(entry[1], []).append(entry)
    show: list[float] = []
    hide: list[float] = []
    unseen = 0
    for nth, dialled, hung_up in load["moments"]:
        entries = by_name.get(external_id(mark, nth, enterprises), [])
        for since, action, found in ((dialled, "SHOW", show), (hung_up, "HIDE", hide)):
            if not since or since < load["began_ns"] + from_s * 1e9:
                continue
            first = next((each for each in entries if each[0] >= since and any(said.startswith(action) for said in each[2])), None)
            if first is None:
                unseen += 1
                continue
            api = sum(each[3] - max(each[0], since) for each in entries if each[3] > since and each[3] <= first[0])
            found.append((first[0] - since - api) / 1e6)
    return Seen(
        show_ms=show,
        hide_ms=hide,
        unseen=unseen,
        answers=load["answers"],
        per_s=load["per_s"],
        latest_ms=load["latest_ns"] / 1e6,
    )


async def play(senders: Child, api: Child, ports: list[int], size: Size, *, mark: str, per_s: int, seconds: float) -> Seen:
    """An open load of answered calls, and what it led to. It warms up until as many calls end as begin."""
    warm_s = length_s(per_s=per_s, live=size.live_calls, kinds=KINDS) + WARM_S
    await api.ask("take")
    order = {"ports": ports, "senders": min(SENDERS, size.senders), "per_s": per_s, "live": size.live_calls, "kinds": list(KINDS)}
    load = await senders.ask("open", mark=mark, seconds=warm_s + seconds, enterprises=size.enterprises, warm_s=warm_s, **order)
    await asyncio.sleep(AFTER_S if size.rounds > 1 else 0.5)
    asked = (await api.ask("take"))["asked"]
    return matched(mark, size.enterprises, load, asked, from_s=warm_s)


async def measure(place: Ground, size: Size) -> list[Figure]:
    """At each rate, with so many live calls."""
    figures: list[Figure] = []
    flush_ms, trip_us = 1000 / flushes_per_s(place.folder), round_trip_us()
    limit = f"a flush takes {number(flush_ms)} ms, a round trip {number(trip_us)} µs: at least one flush and three round trips"
    async with child(place, "senders") as senders, child(place, "local_api") as api, place.database() as dsn:
        await configure_enterprises(dsn, size.enterprises)
        async with running(place, dsn, (await api.ask("port"))["port"]) as (made,):
            for nth, (per_s, most_ms) in enumerate(size.card_rates):
                seen = await play(senders, api, [made.port], size, mark=f"c{nth}x", per_s=per_s, seconds=size.cards_s)
                figures += _at(per_s, most_ms, seen, size, limit)
                await calm(dsn)
    return figures


def _at(per_s: int, most_ms: float, seen: Seen, size: Size, limit: str) -> list[Figure]:
    found = []
    refused = sum(seen.answers.values()) - seen.answers.get("200", 0)
    doubts = [
        f"{seen.unseen} dials or hangups led to no card" if seen.unseen else "",
        f"{refused} events were refused, or not answered in time" if refused else "",
        f"the load came to {number(seen.per_s)} events/s" if seen.per_s < 0.95 * per_s else "",
        f"the sender itself was late by up to {number(seen.latest_ms)} ms" if seen.latest_ms > most_ms else "",
    ]
    for what, took in (("dial → SHOW leaves", seen.show_ms), ("hangup → HIDE leaves", seen.hide_ms)):
        p99 = _quantile(took, 0.99)
        figure = Figure(
            row=ROW,
            what=f"{what}, {per_s} events/s, {size.live_calls} live calls: p99",
            value=Spread(median=p99, low=_quantile(took, 0.5), high=max(took, default=p99), rounds=1),
            unit="ms",
            target=most_ms,
            at_most=True,
            beside={"all": seen.told(took)},
            limit=limit,
            doubt="; ".join(doubt for doubt in doubts if doubt),
        )
        found.append(figure)
    return found


def _quantile(took: Sequence[float], share: float) -> float:
    """Without a single card it took for ever."""
    return quantile(took, share) if took else float("inf")


async def calm(dsn: str, *, patience_s: float = 120.0) -> float:
    """Wait until nothing is due and the read models have followed; how long that took (s)."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    connection = await connect(dsn)
    try:
        while loop.time() - began < patience_s:
            behind = await connection.fetchval(
                "SELECT (SELECT count(*) FROM streams WHERE due_ms < $1)"
                " + (SELECT max(e.position) - min(c.position) FROM events e, checkpoints c)",
                wall_ms() - 200,
            )
            if not behind:
                break
            await asyncio.sleep(0.1)
    finally:
        await connection.close()
    return loop.time() - began


async def backlog(place: Ground, size: Size) -> list[Figure]:
    """The same load on two services, one of which has a backlog to work off; the live calls of both side by side."""
    per_s, _ = size.card_rates[0]
    left: list[int] = []
    async with child(place, "senders") as senders:

        async def side(calls: int) -> Seen:
            async with place.database() as dsn, child(place, "local_api") as api:
                await configure_enterprises(dsn, size.enterprises)
                if calls:
                    await wait_for_moysklad(place, dsn, calls, size.enterprises)
                async with running(place, dsn, (await api.ask("port"))["port"]) as (made,):
                    seen = await play(senders, api, [made.port], size, mark="l", per_s=per_s, seconds=size.backlog_s)
                    if calls:
                        left.append(await owed(dsn))
                    return seen

        took = await interleaved({"draining": lambda: side(size.backlog), "calm": lambda: side(0)}, max(1, size.rounds // 2))
    figures = []
    for what, field in (("dial → SHOW", "show_ms"), ("hangup → HIDE", "hide_ms")):
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            values = {side: [_quantile(getattr(seen, field), share) for seen in rounds] for side, rounds in took.items()}
            figure = Figure(
                row="backlog",
                what=f"{what}, {name}: while {size.backlog} calls drain / without",
                value=ratio(values["draining"], values["calm"]),
                unit="×",
                target=OF_CALM,
                at_most=True,
                beside={side: f"{number(spread(each).median)} ms" for side, each in values.items()}
                | {"left at the end": str(left[-1])},
                doubt="" if left[-1] else "the backlog was gone before the end of the load",
            )
            figures.append(figure)
    return figures


async def owed(dsn: str) -> int:
    """How many calls are due."""
    connection = await connect(dsn)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM streams WHERE due_ms < $1", wall_ms()))
    finally:
        await connection.close()


async def wait_for_moysklad(place: Ground, dsn: str, calls: int, enterprises: int) -> None:
    """Calls that ended during an outage of an hour, of which MoySklad knows nothing yet."""
    now_ms = wall_ms()
    made = 0
    while made < calls:  # by events: an example's length is not known before
        wanted = (calls - made) * 9
        done = await history.make(
            place,
            dsn,
            wanted,
            enterprises=enterprises,
            kinds=("waiting",),
            ends_ms=now_ms - 300_000,
            span_ms=3_300_000,
            first=made + 1,
        )
        made += done.calls
    connection = await connect(dsn)
    try:
        await connection.execute("UPDATE streams SET urgency = 2 WHERE due_ms IS NOT NULL")
    finally:
        await connection.close()
