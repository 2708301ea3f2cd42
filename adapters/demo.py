"""``./ms.sh demo``: real recorded calls, played through the real service beside a sandbox of MoySklad, for a person to watch.

The recordings' times are moved to now, and their ids made new, so that the demo can be repeated.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import orjson

from adapters.demo_exchange import RECORDINGS, DemoExchange, play
from adapters.demo_stage import (
    ENTERPRISE,
    Echo,
    Stage,
    calls,
    clock,
    free_ports,
    show_addresses,
    show_made,
    show_replay,
    show_table,
    staged,
    stay,
    watching,
    webhook_of,
)
from adapters.embedded_postgres import embedded_postgres
from adapters.postgres.database import connect

CLICKED: Final = {"srcNumber": "101", "destNumber": "+7 916 123-45-67"}
"""What the demo itself clicks in MoySklad: Анна Ковалёва calls a client."""

PLAYED: Final[Mapping[str, str]] = {
    "ring_group": "an incoming call rings three phones, 102 answers",
    "ring_group_abandoned": "three phones ring, the caller gives up",
    "queue_answered": "a queue answers at once, a person later",
    "outbound_answered": "101 calls out",
    "blind_transfer": "101 sends the caller on to 102 without asking",
    "attended_transfer": "101 asks 102 first, then hands the caller over",
    "two_simultaneous_same_caller": "two calls at once from one number",
    "pickup": "101 rings, 103 picks the call up",
    "production_2_20": "a production PBX: a transfer that fails, beside an internal call",
}
TOLD: Final = "attended_transfer"


async def play_demo(*, once: bool, speed: float, echo: Echo) -> int:
    """Play, show, and stay for a look unless ``once``. Returns the exit status: 1 when something was not as it should be."""
    async with with_exchange(echo, speed=speed) as (stage, exchange, webhook):
        async with watching(stage):
            for name, words in PLAYED.items():
                echo(f"  {clock()}  ── {name}: {words}")
                await play(stage.http, stage.service, name, speed=stage.speed, run=stage.run)
            await _click(stage, exchange, webhook)
        mine = [call for call in await calls(stage) if f"-{stage.run}." in call["external_id"]]
        open_cards = show_table(stage, mine)
        customers = len(PLAYED) + 2  # one recording holds two customer calls, and one is clicked
        echo(
            f"\n  {customers} customer calls played, {len(mine)} in MoySklad, {open_cards} cards open;"
            " internal calls are not sent."
        )
        await show_made(stage)
        first = (RECORDINGS / f"{TOLD}.jsonl").read_bytes().splitlines()[0]
        await show_replay(stage, f"{stage.run}.{orjson.loads(first)['body']['UniqueId']}")
        hint = "press «Позвонить» there: the demo's exchange rings, and the card comes up"
        show_addresses(stage, screens=f"?provider={quote(webhook, safe='')}", hint=hint)
        if not once:
            await stay(stage, "Both stay up")
        return 0 if len(mine) == customers and open_cards == 0 else 1


@contextlib.asynccontextmanager
async def with_exchange(echo: Echo, *, speed: float = 1.0) -> AsyncIterator[tuple[Stage, DemoExchange, str]]:
    """Service, sandbox and the demo's exchange, running; and the address to which MoySklad sends clicks."""
    (port,) = free_ports(1)
    variables = {"MS_ASTERISK_API_URL": f"http://127.0.0.1:{port}"}
    async with (
        staged("demo", echo, speed=speed, variables=variables) as stage,
        DemoExchange(stage.http, stage.service).listening(port) as exchange,
    ):
        yield stage, exchange, await _give_secret(stage, exchange)


async def _give_secret(stage: Stage, exchange: DemoExchange) -> str:
    """Let the exchange know the enterprise, as a provider does; where MoySklad is to send clicks."""
    async with embedded_postgres(Path(stage.environment["MS_DATA_DIR"])) as dsn:
        connection = await connect(dsn)
        try:
            await connection.execute("UPDATE public.enterprises SET secret = $2 WHERE number = $1", ENTERPRISE, exchange.secret)
        finally:
            await connection.close()
    return await webhook_of(stage)


async def _click(stage: Stage, exchange: DemoExchange, webhook: str) -> None:
    """Click a number in MoySklad, and wait until the call that comes of it is over."""
    stage.echo(f"  {clock()}  ── a click in MoySklad: {CLICKED['srcNumber']} calls {CLICKED['destNumber']}")
    exchange.run, exchange.speed = stage.run, stage.speed
    async with stage.http.post(f"{stage.sandbox}/sandbox/click", json={**CLICKED, "url": webhook}) as answer:
        told = await answer.json()
    if told["status"] != 200:
        raise ValueError(f"the click was refused: {told}")
    await exchange.idle()
    exchange.speed = 1.0
