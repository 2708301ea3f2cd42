"""MoySklad away for minutes, and neighbours in trouble: live cards first, nothing stale, the backlog at the limits' pace."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.sandbox.limits import PHONE_PERIOD_MS, PHONE_REQUESTS, REMAP_PERIOD_MS, REMAP_UNITS
from tests.faults.postgres import own_postgres
from tests.faults.report import seeded, told
from tests.faults.stage import Stage, staged
from tests.faults.traffic import SPEED, Copy, Load, Office
from tests.faults.verdict import quantiles

pytestmark = pytest.mark.slow

BEFORE_S = 10.0
AFTER_S = 60.0
MODES = ("hang", "status_503", "drop")
PER_S, WITH_CLIENTS_PER_S = 4.0, 0.5
"""Calls a second of enterprises that use the Phone API alone, and of one that has clients looked up and created: an unknown
number costs up to five requests of the JSON API there, which allows five a second."""

STALE_MS = 2_000
"""A card that is shown later than this after its call's hangup was acknowledged is stale; sooner, the two met on the way."""

SETTLED_MS = 10_000
"""Calls that ended so long before MoySklad came back are history by then: one request, no card."""

SLACK, ASKED_FOR_S = 2.0, 75.0
QUIET_WITHIN_S = 20.0
"""The backlog is recorded within twice what the limits allow, and a minute more: breakers open one after another."""

USER_TOKEN_WEIGHT = 3
NO_CLIENTS: Mapping[str, Any] = {
    "api_token": "",
    "incoming_call_actions": {"create_client": False, "create_order": "none"},
    "outgoing_call_actions": {"create_client": False, "create_order": "none"},
}
SINGLE = ("ring_group", "inbound_answered", "outbound_answered", "sequential", "pickup", "inbound_noanswer", "blind_transfer")
"""Recordings of one call each, whose last signal is its hangup."""

RINGING = ("ring_group", "inbound_answered", "sequential", "pickup")
FLOOD_PER_S = 15.0
NORMAL_PER_S = 0.5
TROUBLE_S = 40.0
NEIGHBOURS_COST_S = 1.0
"""So much later at most, in the median, may cards come because of a neighbour's trouble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One call as MoySklad has it, beside what was played. Times are unix ms; ``shown_ms`` of its first card."""

    copy: Copy
    row: Mapping[str, Any]

    @property
    def began_ms(self) -> int:
        """When its dial was acknowledged."""
        return self.copy.heard_ms[1]

    @property
    def ended_ms(self) -> int:
        """When its hangup was acknowledged."""
        return self.copy.heard_ms[-1]

    @property
    def shown_ms(self) -> int | None:
        """When its first card came up."""
        return min((int(card["shown_ms"]) for card in self.row["cards"]), default=None)

    @property
    def stale(self) -> bool:
        """Whether a card came up after the call was over."""
        return any(card["shown_ms"] > self.ended_ms + STALE_MS for card in self.row["cards"])


async def told_calls(stage: Stage, copies: Iterable[Copy]) -> list[Told]:
    """What MoySklad has of these calls."""
    by_call = {call: copy for copy in copies for call in copy.expected}
    return [Told(copy=by_call[row["external_id"]], row=row) for row in await stage.calls() if row["external_id"] in by_call]


async def all_quiet(stage: Stage) -> None:
    """Until nothing waits, no account is in trouble and nothing is parked; what is told may be some seconds old."""
    deadline = time.monotonic() + QUIET_WITHIN_S
    while True:
        after = await status(stage)
        seen = (after["backlog"]["calls"], after["accounts"], after["parked"]["calls"])
        if seen == (0, [], 0):
            return
        assert time.monotonic() < deadline, f"still {seen}"
        await asyncio.sleep(1.0)


@pytest.mark.parametrize("each_s", [12.0, 60.0], ids=["half a minute", "three minutes"])
async def test_an_outage_of_moysklad(tmp_path: Path, each_s: float) -> None:
    """First it hangs, then it answers 503, then it drops connections; calls go on before, during and after."""
    seed, began = seeded(), time.monotonic()

    def settings(office: Office) -> dict[str, Any]:
        return {} if office.number == "0367" else dict(NO_CLIENTS)

    async with own_postgres() as database:
        await database.start()
        async with staged(
            tmp_path, instances=2, enterprises=3, database=[database.port], limits=True, settings=settings
        ) as stage:
            rng = random.Random(seed)
            load = Load(stage.offices[1:], [stage.posts()], rng)
            with_clients = Load(stage.offices[:1], [stage.posts()], rng, first=50_000)
            async with load.going_on(PER_S, names=SINGLE), with_clients.going_on(WITH_CLIENTS_PER_S, names=SINGLE):
                await asyncio.sleep(BEFORE_S)
                away_ms = now_ms()
                for mode in MODES:
                    await stage.order("POST", "/sandbox/outage", {"mode": mode})
                    await asyncio.sleep(each_s)
                said = await status(stage)
                await stage.order("POST", "/sandbox/outage", {"mode": "off"})
                back_ms = now_ms()
                await asyncio.sleep(AFTER_S)
            load.copies += with_clients.copies
            verdict = await stage.judged(load.copies, patience_s=600, quiet_s=8)
            calls = await told_calls(stage, load.copies)
            behind = f"status at the end of it: {said['backlog']['calls']} calls wait, the oldest for "
            behind += f"{said['backlog']['oldest_s']:.0f} s, {len(said['accounts'])} accounts in trouble"
            backlog = [each for each in calls if away_ms < each.began_ms and each.ended_ms < back_ms]
            drained = {office: drain(stage, office, backlog, back_ms) for office in stage.offices}
            recovery = [behind, *recovered(calls, backlog, back_ms)]
            recovery += [
                f"{office.number}: backlog recorded {took:.1f} s after, at the limits' pace {least:.1f} s"
                for office, (took, least) in drained.items()
            ]
            told(f"an outage of {len(MODES) * each_s:.0f} s", seed, stage, load, verdict, began, *recovery)
            assert not [each.row["external_id"] for each in calls if each.stale], "stale cards were shown"
            history = [each for each in calls if away_ms < each.began_ms and each.ended_ms < back_ms - SETTLED_MS]
            assert history
            assert not [each.row["external_id"] for each in history if each.row["cards"]], "history got cards"
            late = [office.number for office, (took, least) in drained.items() if took > SLACK * least + ASKED_FOR_S]
            assert not late, "their backlog waited for nothing"
            assert said["backlog"]["calls"] > len(history) / 2, "what waited was not to be seen"
            assert said["backlog"]["oldest_s"] > each_s, "calls wait for minutes, and it was not to be seen"
            assert {each["enterprise"] for each in said["accounts"]} == {office.number for office in stage.offices}
            await all_quiet(stage)


def recovered(calls: Sequence[Told], backlog: Sequence[Told], back_ms: int) -> Iterator[str]:
    """How the service came back after the outage."""
    soon = [(each.shown_ms, each.began_ms) for each in calls if back_ms < each.began_ms and each.shown_ms is not None]
    yield f"first live card {(min(soon)[0] - back_ms) / 1000:.1f} s after MoySklad was back" if soon else "no live card"
    yield f"dial to card since then {quantiles((shown - began) / 1000 for shown, began in soon)}"
    one = sum(len(each.row["request_ids"]) == 1 for each in backlog)
    yield f"backlog of {len(backlog)} calls, {one} registered in one request"


def drain(stage: Stage, office: Office, backlog: Sequence[Told], back_ms: int) -> tuple[float, float]:
    """How many seconds after MoySklad was back an enterprise's backlog was recorded, and how many its requests take at least."""
    done_ms = max(int(each.row["updated_ms"]) for each in backlog if each.copy.office == office)
    return (done_ms - back_ms) / 1000, least_s(stage, office, back_ms, done_ms)


def least_s(stage: Stage, office: Office, from_ms: int, until_ms: int) -> float:
    """How long that many requests of an account take at least, by the limit of each API."""
    asked = [
        each["api"]
        for each in stage.asked.requests.values()
        if each["account"] == office.account and from_ms <= each["at_ms"] <= until_ms and each["status"] != 429
    ]
    phone = asked.count("phone") * PHONE_PERIOD_MS / PHONE_REQUESTS / 1000
    remap = asked.count("remap") * USER_TOKEN_WEIGHT * REMAP_PERIOD_MS / REMAP_UNITS / 1000
    return max(phone, remap)


async def test_a_neighbour_s_trouble_delays_nobody(tmp_path: Path) -> None:
    """One enterprise's key is dead, another has more calls than its limits allow; a third one's cards come as ever.

    Afterwards the dead key is replaced, and the calls that were parked for it are recorded too.
    """
    seed, began = seeded(), time.monotonic()

    def settings(office: Office) -> dict[str, Any]:
        return dict(NO_CLIENTS) if office.number == "2001" else {}

    async with staged(tmp_path, enterprises=3, limits=True, settings=settings) as stage:
        normal, flooded, dead = stage.offices
        await stage.configure(dead, integration_code="dead" * 10)
        rng, numbers = random.Random(seed), itertools.count(1, 30_000)
        loads = {
            office: Load([office], [stage.posts()], rng, speed=speed, first=next(numbers))
            for office, speed in ((normal, 1.0), (flooded, SPEED), (dead, SPEED))
        }
        async with loads[normal].going_on(NORMAL_PER_S, names=RINGING):
            await asyncio.sleep(TROUBLE_S)
        quiet = {id(copy) for copy in loads[normal].copies}
        async with (
            loads[normal].going_on(NORMAL_PER_S, names=RINGING),
            loads[flooded].going_on(FLOOD_PER_S, names=("inbound_noanswer",)),
            loads[dead].going_on(4 * NORMAL_PER_S, names=SINGLE),
        ):
            await asyncio.sleep(TROUBLE_S)
        await stage.configure(dead)
        everything = Load(stage.offices, [], rng)
        everything.copies = [copy for load in loads.values() for copy in load.copies]
        verdict = await stage.judged(everything.copies, patience_s=400, quiet_s=8)
        calls = await told_calls(stage, loads[normal].copies)
        waits = [(id(each.copy) in quiet, ((each.shown_ms or each.ended_ms) - each.began_ms) / 1000) for each in calls]
        before, during = [wait for early, wait in waits if early], [wait for early, wait in waits if not early]
        missed = sum(each.shown_ms is None for each in calls)
        figures = (
            f"dial to card alone {quantiles(before)}; beside {len(loads[flooded].copies)} calls of a flood and "
            f"{len(loads[dead].copies)} of a dead key {quantiles(during)}; without a card {missed}"
        )
        told("neighbours in trouble", seed, stage, everything, verdict, began, figures)
        assert sorted(during)[len(during) // 2] <= sorted(before)[len(before) // 2] + NEIGHBOURS_COST_S, figures


async def status(stage: Stage) -> dict[str, Any]:
    """What the service says of itself."""
    async with stage.http.get(f"{stage.instances[0].url}/internal/ms/status") as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


def now_ms() -> int:
    """Unix ms: the sandbox runs on the same clock."""
    return time.time_ns() // 1_000_000
