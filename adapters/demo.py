"""``./ms.sh demo``: real recorded calls, played through the real service beside a sandbox of MoySklad, for a person to watch.

The recordings' times are moved to now, and their ids made new, so that the demo can be repeated.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from adapters.demo_stage import (
    ENTERPRISE,
    ROOT,
    Echo,
    Stage,
    calls,
    clock,
    show_addresses,
    show_made,
    show_replay,
    show_table,
    staged,
    stay,
    watching,
)

RECORDINGS: Final = ROOT / "tests" / "recordings" / "pbx"
PBX_ZONE: Final = ZoneInfo("Europe/Minsk")
LONGEST_PAUSE_S: Final = 4.0
"""Longer silences of a recording are shortened: a person watches."""

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
    async with staged("demo", echo, speed=speed) as stage:
        async with watching(stage):
            for name, words in PLAYED.items():
                echo(f"  {clock()}  ── {name}: {words}")
                await _play(stage, name)
        mine = [call for call in await calls(stage) if f"-{stage.run}." in call["external_id"]]
        open_cards = show_table(stage, mine)
        customers = len(PLAYED) + 1  # one recording holds two customer calls
        echo(
            f"\n  {customers} customer calls played, {len(mine)} in MoySklad, {open_cards} cards open;"
            " internal calls are not sent."
        )
        await show_made(stage)
        first = (RECORDINGS / f"{TOLD}.jsonl").read_bytes().splitlines()[0]
        await show_replay(stage, f"{stage.run}.{orjson.loads(first)['body']['UniqueId']}")
        show_addresses(stage)
        if not once:
            await stay(stage, "Both stay up")
        return 0 if len(mine) == customers and open_cards == 0 else 1


async def _play(stage: Stage, name: str) -> None:
    """Post one recording's signals at their times, ``speed`` times as fast, moved to now."""
    lines = [orjson.loads(line) for line in (RECORDINGS / f"{name}.jsonl").read_text().splitlines()]
    start_s, elapsed_s, before_s = time.time(), 0.0, lines[0]["at"]
    moments: list[tuple[float, float]] = []  # when it was recorded, when it is played
    for line in lines:
        elapsed_s += min(line["at"] - before_s, LONGEST_PAUSE_S) / stage.speed
        before_s = line["at"]
        moments.append((line["at"], start_s + elapsed_s))
    for line, (_, play_s) in zip(lines, moments, strict=True):
        await asyncio.sleep(max(0.0, play_s - time.time()))
        body = {"event": line["event"], "enterprise_number": ENTERPRISE, "raw": _made_new(line["body"], stage.run, moments)}
        async with stage.http.post(f"{stage.service}/internal/ms/call-event", json=body) as answer:
            if answer.status != 200:
                raise ValueError(f"{name}: {line['event']} was refused: {await answer.text()}")


def _made_new(body: dict[str, Any], run: str, moments: list[tuple[float, float]]) -> dict[str, Any]:
    """The body with ids of this run and times of now."""
    fresh = {key: value for key, value in body.items() if key != "Token"}
    for key in ("UniqueId", "BridgeUniqueid"):
        if fresh.get(key):
            fresh[key] = f"{run}.{fresh[key]}"
    for key in ("DateReceived", "StartTime", "EndTime"):
        if fresh.get(key):
            fresh[key] = _moved(fresh[key], moments)
    return fresh


def _moved(text: str, moments: list[tuple[float, float]]) -> str:
    recorded_s = datetime.fromisoformat(text).replace(tzinfo=PBX_ZONE).timestamp()
    nearest = min(moments, key=lambda moment: abs(moment[0] - recorded_s))
    return datetime.fromtimestamp(nearest[1], PBX_ZONE).strftime("%Y-%m-%d %H:%M:%S")
