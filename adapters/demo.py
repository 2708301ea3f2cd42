"""``./ms.sh demo``: real recorded calls, played through the real service beside a sandbox of MoySklad, for a person to watch.

Service and sandbox run as processes of their own, on free loopback ports and a data folder of their own; nothing of an
installation in service is touched. The recordings' times are moved to now, and their ids made new, so that the demo
can be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import aiohttp
import orjson

from adapters.sandbox import SANDBOX_API_TOKEN, SANDBOX_PHONE_KEY

ROOT: Final = Path(__file__).resolve().parent.parent
RECORDINGS: Final = ROOT / "tests" / "recordings" / "pbx"
ENTERPRISE: Final = "0367"
PBX_ZONE: Final = ZoneInfo("Europe/Minsk")
READY_S: Final = 60.0
AFTERGLOW_S: Final = 7.0
"""What a straggler could still change is written a few seconds after a hangup: wait for it before the table."""

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

CONFIG: Final[dict[str, Any]] = {
    "enabled": True,
    "integration_code": SANDBOX_PHONE_KEY,
    "api_token": SANDBOX_API_TOKEN,
    "notifications": {"call_notify_mode": "during", "notify_incoming": True, "notify_outgoing": True},
    "incoming_call_actions": {
        "create_client": True,
        "create_order": "unless_open",
        "order_source": "Телефонный звонок",
        "create_task": "on_missed",
    },
    "outgoing_call_actions": {"create_client": True, "create_order": "none", "order_source": "Исходящий звонок"},
    "organization": "ООО «Песочница»",
    "task_assignee": "101",
}

Echo = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class Stage:
    """The running demo: where service and sandbox listen, and how fast time goes."""

    http: aiohttp.ClientSession
    service: str
    sandbox: str
    environment: dict[str, str]
    speed: float
    echo: Echo
    run: str = field(default_factory=lambda: f"{int(time.time()):x}")


async def play_demo(*, once: bool, speed: float, echo: Echo) -> int:
    """Play, show, and stay for a look unless ``once``. Returns the exit status: 1 when something was not as it should be."""
    async with _staged(speed, echo) as stage:
        await _configure(stage)
        echo("Employees' screens while the calls go by (the card's number, ▶ when its timer runs):\n")
        watching = asyncio.create_task(_watch_screens(stage))
        for name, words in PLAYED.items():
            echo(f"  {_clock()}  ── {name}: {words}")
            await _play(stage, name)
        await asyncio.sleep(AFTERGLOW_S)
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        good = await _show_table(stage)
        await _show_replay(stage)
        echo(f"\nMoySklad's screens and calls:   {stage.sandbox}/")
        echo(f"This service's pages:           {stage.service}/ms-admin/?enterprise_number={ENTERPRISE}")
        echo(f"The password for them:          {stage.environment['MS_ADMIN_PASSWORD']}")
        if not once:
            echo("\nBoth stay up until you press Ctrl-C.")
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        return 0 if good else 1


@contextlib.asynccontextmanager
async def _staged(speed: float, echo: Echo) -> AsyncIterator[Stage]:
    folder = Path(os.environ.get("MS_DATA_DIR", ROOT / "var")) / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    service_port, sandbox_port = _free_ports(2)
    sandbox = f"http://127.0.0.1:{sandbox_port}"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MS_") and key != "DATABASE_URL"} | {
        "MS_DATA_DIR": str(folder),
        "MS_PORT": str(service_port),
        "MS_PHONE_API_URL": f"{sandbox}/api/phone/1.0",
        "MS_MAIN_API_URL": f"{sandbox}/api/remap/1.2",
        "MS_LOG_LEVEL": "info",
        "MS_ADMIN_PASSWORD": secrets.token_urlsafe(9),
    }
    if "DATABASE_URL" in os.environ:
        echo("DATABASE_URL is left alone: the demo uses a database of its own.")
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        stage = Stage(
            http=http,
            service=f"http://127.0.0.1:{service_port}",
            sandbox=sandbox,
            environment=environment,
            speed=speed,
            echo=echo,
        )
        echo(f"Starting a MoySklad sandbox on {sandbox} ...")
        await stack.enter_async_context(_process(stage, folder / "sandbox.log", "sandbox", "--port", str(sandbox_port)))
        await _until_answers(stage, f"{sandbox}/sandbox/accounts", folder / "sandbox.log")
        echo(f"Starting the call service on {stage.service} (PostgreSQL included, data in {folder}) ...")
        await stack.enter_async_context(_process(stage, folder / "service.log", "serve"))
        await _until_answers(stage, f"{stage.service}/healthz", folder / "service.log")
        yield stage


@contextlib.asynccontextmanager
async def _process(stage: Stage, log: Path, *arguments: str) -> AsyncIterator[None]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "server.py"),
            *arguments,
            env=stage.environment,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is ours to pass on, in the right order
        )
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _until_answers(stage: Stage, url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with contextlib.suppress(aiohttp.ClientError):
            async with stage.http.get(url) as answer:
                if answer.status == 200:
                    return
        await asyncio.sleep(0.1)
    raise ValueError(f"{url} did not come up within {READY_S:.0f} s; {log} says why")


async def _configure(stage: Stage) -> None:
    async with stage.http.put(f"{stage.service}/ms-admin/api/config/{ENTERPRISE}", json=CONFIG) as answer:
        if answer.status != 200:
            raise ValueError(f"the demo's settings were refused: {await answer.text()}")
    async with stage.http.get(f"{stage.service}/ms-admin/api/test/{ENTERPRISE}") as answer:
        verdict = await answer.json()
    stage.echo(f"Connection test: {verdict['phone_api']['text']} {verdict['main_api']['text']}\n")


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


async def _watch_screens(stage: Stage) -> None:
    """Print the screens whenever they change."""
    shown = ""
    while True:
        async with stage.http.get(f"{stage.sandbox}/sandbox/cards") as answer:
            screens = (await answer.json())["screens"]
        line = "   ".join(
            f"{screen['extension']} [{', '.join(_card(card) for card in screen['cards'])}]"
            for screen in sorted(screens, key=lambda screen: str(screen["extension"]))
            if screen["cards"]
        )
        if line != shown:
            stage.echo(f"  {_clock()}     {line or '(no card on any screen)'}")
            shown = line
        await asyncio.sleep(0.05)


def _card(card: Mapping[str, Any]) -> str:
    name = card.get("contact_name") or card.get("contact") or ""
    timer = "▶ " if card.get("timer_started") or card.get("timer_started_ms") else ""
    return f"{timer}{card['number']} {name}".rstrip()


async def _show_table(stage: Stage) -> bool:
    async with stage.http.get(f"{stage.sandbox}/sandbox/calls?limit=500") as answer:
        calls = (await answer.json())["calls"]
    mine = sorted((call for call in calls if f"-{stage.run}." in call["external_id"]), key=lambda call: call["start_ms"])
    stage.echo("\nThe calls as MoySklad now has them:\n")
    head = f"{'began':<12} {'':<4} {'number':<15} {'client':<22} {'who':<5} {'length':>8} {'requests':>8} {'cards open':>10}"
    stage.echo(f"  {head}  comment")
    for call in mine:
        client = (call.get("counterparty") or {}).get("name") or "—"
        length = f"{(call['effective_duration_ms'] or 0) / 1000:.1f} s"
        stage.echo(
            f"  {call['start_time'][11:]:<12} {'in' if call['is_incoming'] else 'out':<4} {call['number']:<15} {client[:22]:<22} "
            f"{call['extension'] or '—':<5} {length:>8} {len(call['request_ids']):>8} {len(call['open_cards']):>10}  "
            f"{call['comment'] or ''}"
        )
    customers = len(PLAYED) + 1  # one recording holds two customer calls
    open_cards = sum(len(call["open_cards"]) for call in mine)
    stage.echo(
        f"\n  {customers} customer calls played, {len(mine)} in MoySklad, {open_cards} cards open;"
        " internal calls are not sent."
    )
    orders, tasks = await _made(stage, "orders"), await _made(stage, "tasks")
    waiting = sum(not task["done"] for task in tasks)
    stage.echo(f"  {len(orders)} customer orders, one for each client; {waiting} clients wait to be called back.")
    return len(mine) == customers and open_cards == 0


async def _made(stage: Stage, what: str) -> list[dict[str, Any]]:
    async with stage.http.get(f"{stage.sandbox}/sandbox/{what}") as answer:
        return list((await answer.json())[what])


async def _show_replay(stage: Stage) -> None:
    lines = (RECORDINGS / f"{TOLD}.jsonl").read_text().splitlines()
    call = f"{stage.run}.{orjson.loads(lines[0])['body']['UniqueId']}"
    stage.echo(f"\nOne of them told in full, as `./ms.sh replay {ENTERPRISE} {call}` tells it:\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "server.py"),
        "replay",
        ENTERPRISE,
        call,
        env=stage.environment,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    stage.echo("\n".join(f"  {line}" for line in output.decode().splitlines()))


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _clock() -> str:
    return time.strftime("%H:%M:%S")
