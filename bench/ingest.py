"""HTTP ingest to a durable acknowledgement: one process beside the bare prototype, the stream beside posts, two beside one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from adapters.postgres.database import connect
from bench.figures import Figure, Spread, number, quantile, ratio, spread
from bench.ground import Child, Ground, child, cpu_s, interleaved
from bench.sizes import Size
from bench.stage import Instance, configure_enterprises, running
from bench.work import SEQUENCE

ROW: Final = "ingest"
OF_THE_PROTOTYPE: Final = 0.6
OF_THE_POSTS: Final = 1.5
OF_ONE: Final = 1.5
STREAMS: Final = 8

LOST: Final = f"""
SELECT count(*) AS kept, count(DISTINCT data -> 'raw' ->> '{SEQUENCE}') AS different FROM events
WHERE type = ANY ($1) AND data ->> 'wire' = 'call-event' AND data -> 'raw' ->> '{SEQUENCE}' IS NOT NULL
"""
SWAPPED: Final = f"""
SELECT count(*) FROM (
    SELECT position < lag(position) OVER (
        PARTITION BY split_part(data -> 'raw' ->> '{SEQUENCE}', ':', 1)
        ORDER BY split_part(data -> 'raw' ->> '{SEQUENCE}', ':', 2)::integer
    ) AS swapped
    FROM events WHERE type = ANY ($1) AND data ->> 'wire' = 'call-event'
) AS each WHERE swapped
"""
SIGNALS: Final = (
    "arrival_observed", "dial_observed", "caller_id_observed", "bridge_opened", "bridge_entered", "bridge_left", "bridge_closed",
    "hangup_observed",
)  # fmt: skip

Sender = Callable[[str, float], Awaitable[dict[str, Any]]]


@contextlib.asynccontextmanager
async def service(
    place: Ground, size: Size, senders: Child, *, instances: int = 1
) -> AsyncIterator[tuple[Sender, str, list[Instance]]]:
    """The service, and a way to post to it with all senders: ``(mark, seconds)``; the address of its database."""
    async with place.database() as dsn, child(place, "local_api") as api:
        await configure_enterprises(dsn, size.enterprises)
        async with running(place, dsn, (await api.ask("port"))["port"], instances=instances) as made:
            ports = [each.port for each in made]

            async def post(mark: str, seconds: float) -> dict[str, Any]:
                order = {"ports": ports, "senders": size.senders, "enterprises": size.enterprises}
                answer: dict[str, Any] = await senders.ask("closed", mark=mark, seconds=seconds, **order)
                return answer

            yield post, dsn, made


async def checked(dsn: str, answer: Mapping[str, Any]) -> dict[str, str]:
    """Whether what was acknowledged is there, once, and in each sender's order. Only for the one load in this database."""
    connection = await connect(dsn, statement_s=600.0)
    try:
        kept, different = await connection.fetchrow(LOST, list(SIGNALS))
        swapped = await connection.fetchval(SWAPPED, list(SIGNALS))
    finally:
        await connection.close()
    acknowledged = int(answer["answers"].get("200", 0)) if "answers" in answer else int(answer["acknowledged"])
    return {
        "acknowledged": number(acknowledged),
        "lost": str(acknowledged - different),
        "twice": str(kept - different),
        "out of a sender's order": str(swapped),
        "refused": str(sum(answer.get("answers", {}).values()) - acknowledged),
    }


def is_whole(check: Mapping[str, str]) -> bool:
    """Whether nothing is lost, doubled, swapped or refused."""
    return all(check[name] == "0" for name in ("lost", "twice", "out of a sender's order", "refused"))


def told(answer: Mapping[str, Any]) -> str:
    """A closed load in words."""
    took = [each / 1e6 for each in answer["took_ns"]]
    p50, p99 = (number(quantile(took, share)) for share in (0.5, 0.99))
    return f"{number(rate(answer))}/s, p50 {p50} ms, p99 {p99} ms"


def rate(answer: Mapping[str, Any]) -> float:
    """Acknowledged a second."""
    return len(answer["took_ns"]) / float(answer["seconds"])


async def measure(place: Ground, size: Size) -> list[Figure]:
    """One process beside the prototype; then held for long; then the stream beside posts."""
    figures: list[Figure] = []
    async with child(place, "senders") as senders:
        took = await interleaved(
            {
                "ours": lambda: _ours(place, size, senders),
                "prototype": lambda: _bare(place, size, senders, "by hand"),
                "prototype on aiohttp": lambda: _bare(place, size, senders, "aiohttp"),
            },
            size.rounds,
        )
        mine = [rate(each) for each in took["ours"]]
        figures += [
            Figure(
                row=ROW,
                what=f"{size.senders} senders, one process: ours / bare prototype",
                value=ratio(mine, [rate(each) for each in took["prototype"]]),
                unit="×",
                target=OF_THE_PROTOTYPE,
                beside={name: told(rounds[-1]) for name, rounds in took.items()}
                | {"the service's processor": took["ours"][-1]["cpu"]},
                limit="senders, PostgreSQL, the local API and the service share the machine's cores",
            ),
            Figure(
                row=ROW,
                what=f"{size.senders} senders, one process: ours / the same prototype on aiohttp",
                value=ratio(mine, [rate(each) for each in took["prototype on aiohttp"]]),
                unit="×",
                limit="what aiohttp itself costs is left out of this ratio, and is told by the two prototypes above",
            ),
            await _held(place, size, senders, spread(mine).median),
            await _stream(place, size, senders),
        ]
    return figures


async def _ours(place: Ground, size: Size, senders: Child) -> dict[str, Any]:
    async with service(place, size, senders) as (post, _, (made,)):
        before = cpu_s(made.pid)
        answer = await post("r", size.ingest_s)
        return answer | {"cpu": f"{number((cpu_s(made.pid) - before) / answer['seconds'])} of a core"}


async def _bare(place: Ground, size: Size, senders: Child, http: str) -> dict[str, Any]:
    async with (
        place.database(migrated=False) as dsn,
        child(place, "local_api") as api,
        child(place, "prototype", dsn=dsn, api_port=(await api.ask("port"))["port"], http=http) as prototype,
    ):
        port = (await prototype.ask("port"))["port"]
        order = {"ports": [port], "senders": size.senders, "enterprises": size.enterprises, "seconds": size.ingest_s}
        answer: dict[str, Any] = await senders.ask("closed", mark="r", **order)
        return answer


async def _held(place: Ground, size: Size, senders: Child, short: float) -> Figure:
    async with service(place, size, senders) as (post, dsn, _):
        answer = await post("h", size.held_s)
        check = await checked(dsn, answer)
    held = rate(answer)
    return Figure(
        row=ROW,
        what=f"held for {number(size.held_s)} s / the short rounds, nothing lost, twice or out of order",
        value=Spread(median=held / short if is_whole(check) else 0.0, low=held / short, high=held / short, rounds=1),
        unit="×",
        target=0.9,
        beside=check | {"rate": told(answer)},
    )


async def _stream(place: Ground, size: Size, senders: Child) -> Figure:
    async with service(place, size, senders) as (post, _, (made,)):

        async def lines() -> float:
            nth = place_of_mark()
            order = {"ports": [made.port], "streams": min(STREAMS, size.senders), "enterprises": size.enterprises}
            answer = await senders.ask("streams", mark=f"s{nth}x", seconds=size.ingest_s, **order)
            return float(answer["in time"]) / float(answer["seconds"])

        async def posts() -> float:
            return rate(await post(f"p{place_of_mark()}x", size.ingest_s))

        took = await interleaved({"stream": lines, "posts": posts}, size.rounds)
    return Figure(
        row=ROW,
        what=f"NDJSON, {min(STREAMS, size.senders)} streams / single posts",
        value=ratio(took["stream"], took["posts"]),
        unit="×",
        target=OF_THE_POSTS,
        beside={name: f"{number(spread(rounds).median)}/s" for name, rounds in took.items()},
    )


_MARKS = iter(range(1, 1_000_000))


def place_of_mark() -> int:
    """A number for a load's mark: ids must differ from all loads before it in the same database."""
    return next(_MARKS)


async def two(place: Ground, size: Size) -> list[Figure]:
    """Two processes beside one: the same load on one database, spread over the instances."""
    async with child(place, "senders") as senders:

        async def instances(count: int) -> dict[str, Any]:
            async with service(place, size, senders, instances=count) as (post, dsn, made):
                before = sum(cpu_s(each.pid) for each in made)
                answer = await post("t", size.ingest_s)
                used = (sum(cpu_s(each.pid) for each in made) - before) / answer["seconds"]
                return answer | {"cpu": used, "whole": is_whole(await checked(dsn, answer))}

        took = await interleaved({"two": lambda: instances(2), "one": lambda: instances(1)}, size.rounds)
    whole = all(each["whole"] for rounds in took.values() for each in rounds)
    return [
        Figure(
            row="two processes",
            what=f"{size.senders} senders: two instances / one, the same database",
            value=ratio([rate(each) for each in took["two"]], [rate(each) for each in took["one"]]),
            unit="×",
            target=OF_ONE,
            beside={name: f"{told(rounds[-1])}, {number(rounds[-1]['cpu'])} cores of its own" for name, rounds in took.items()},
            limit="on two cores the senders, PostgreSQL and the local API take their part of the second core",
            doubt="" if whole else "something was lost, doubled or swapped",
        )
    ]
