"""What the demos stand on: service and sandbox as processes of their own, employees' screens, MoySklad's calls as a table.

Free loopback ports and a data folder of its own: nothing of an installation in service is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from adapters.counted import counted
from adapters.demo_exchange import PBX_ZONE
from adapters.postgres_keeper import open_lock, try_lock
from adapters.sandbox import SANDBOX_API_TOKEN, SANDBOX_PHONE_KEY
from adapters.webhook_addresses import PATH as WEBHOOKS

ROOT: Final = Path(__file__).resolve().parent.parent
ENTERPRISE: Final = "0367"
READY_S: Final = 60.0
AFTERGLOW_S: Final = 7.0
"""What a straggler could still change is written a few seconds after a hangup: wait for it before the table."""

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
    lock: int
    speed: float
    echo: Echo
    run: str = field(default_factory=lambda: f"{int(time.time()):x}")


def alone(folder: Path) -> int:
    """A lock, to be inherited: held for as long as anything of the demo lives. Raises ValueError where something of another does.

    Two services on one database share its enterprises: half of the time the other one, and its sandbox, would get the calls.
    """
    lock = open_lock(folder / "demo.lock")
    if try_lock(lock):
        return lock
    os.close(lock)
    left = f"fuser -v {folder / 'demo.lock'} names its processes"
    raise ValueError(f"another demo uses {folder}, or one that was killed left its service there: end it first ({left})")


@contextlib.asynccontextmanager
async def staged(name: str, echo: Echo, *, speed: float = 1.0, variables: Mapping[str, str] | None = None) -> AsyncIterator[Stage]:
    """Service and sandbox, running, with the enterprise configured. ``name``: of the data folder; ``variables``: of the service."""
    folder = Path(os.environ.get("MS_DATA_DIR", ROOT / "var")) / name
    folder.mkdir(parents=True, exist_ok=True)
    lock = alone(folder)
    service_port, sandbox_port = free_ports(2)
    sandbox = f"http://127.0.0.1:{sandbox_port}"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MS_") and key != "DATABASE_URL"} | {
        "MS_DATA_DIR": str(folder),
        "MS_PORT": str(service_port),
        "MS_PHONE_API_URL": f"{sandbox}/api/phone/1.0",
        "MS_MAIN_API_URL": f"{sandbox}/api/remap/1.2",
        "MS_LOG_LEVEL": "info",
        "MS_ADMIN_PASSWORD": secrets.token_urlsafe(9),
        **(variables or {}),
    }
    if "DATABASE_URL" in os.environ:
        echo("DATABASE_URL is left alone: the demo uses a database of its own.")
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(os.close, lock)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        stage = Stage(
            http=http,
            service=f"http://127.0.0.1:{service_port}",
            sandbox=sandbox,
            environment=environment,
            lock=lock,
            speed=speed,
            echo=echo,
        )
        echo(f"Starting a MoySklad sandbox on {sandbox} ...")
        log = folder / "sandbox.log"
        process = await stack.enter_async_context(_process(stage, log, "sandbox", "--port", str(sandbox_port)))
        await _until_answers(stage, f"{sandbox}/sandbox/accounts", process, log)
        echo(f"Starting the call service on {stage.service} (PostgreSQL included, data in {folder}) ...")
        log = folder / "service.log"
        process = await stack.enter_async_context(_process(stage, log, "serve"))
        await _until_answers(stage, f"{stage.service}/healthz", process, log)
        await _configure(stage)
        yield stage


@contextlib.asynccontextmanager
async def _process(stage: Stage, log: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "server.py"),
            *arguments,
            env=stage.environment,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is ours to pass on, in the right order
            pass_fds=[stage.lock],
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _until_answers(stage: Stage, url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while process.returncode is None and time.monotonic() < deadline:
        with contextlib.suppress(aiohttp.ClientError):
            async with stage.http.get(url) as answer:
                if answer.status == 200:
                    return
        await asyncio.sleep(0.1)
    how = f" within {READY_S:.0f} s" if process.returncode is None else f": it ended with {process.returncode}"
    raise ValueError(f"{url} did not come up{how}; {log} says why")


async def _configure(stage: Stage) -> None:
    async with stage.http.put(f"{stage.service}/ms-admin/api/config/{ENTERPRISE}", json=CONFIG) as answer:
        if answer.status != 200:
            raise ValueError(f"the demo's settings were refused: {await answer.text()}")
    async with stage.http.get(f"{stage.service}/ms-admin/api/test/{ENTERPRISE}") as answer:
        verdict = await answer.json()
    stage.echo(f"Connection test: {verdict['phone_api']['text']} {verdict['main_api']['text']}\n")


async def webhook_of(stage: Stage) -> str:
    """Where MoySklad is to send clicks. The settings keep the address of the first demo, and the port is another one each time."""
    async with stage.http.get(f"{stage.service}/ms-admin/api/config/{ENTERPRISE}") as answer:
        known = str((await answer.json())["ms"]["webhook_url"])
    return f"{stage.service}{known[known.index(WEBHOOKS) :]}"


@contextlib.asynccontextmanager
async def watching(stage: Stage) -> AsyncIterator[None]:
    """Print the screens whenever they change, until what a straggler could still change is written."""
    stage.echo("Employees' screens while the calls go by (the card's number, ▶ when its timer runs):\n")
    task = asyncio.create_task(_watch_screens(stage))
    try:
        yield
        await asyncio.sleep(AFTERGLOW_S)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


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
            stage.echo(f"  {clock()}     {line or '(no card on any screen)'}")
            shown = line
        await asyncio.sleep(0.05)


def _card(card: Mapping[str, Any]) -> str:
    name = card.get("contact_name") or card.get("contact") or ""
    timer = "▶ " if card.get("timer_started") or card.get("timer_started_ms") else ""
    return f"{timer}{card['number']} {name}".rstrip()


async def calls(stage: Stage) -> list[dict[str, Any]]:
    """The calls as MoySklad has them, the earliest first."""
    async with stage.http.get(f"{stage.sandbox}/sandbox/calls?limit=500") as answer:
        return sorted((await answer.json())["calls"], key=lambda call: str(call["start_ms"]))


def show_table(stage: Stage, mine: Sequence[Mapping[str, Any]]) -> int:
    """Print calls; how many cards are still open."""
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
    return sum(len(call["open_cards"]) for call in mine)


async def show_made(stage: Stage) -> None:
    """Print how many orders and tasks came of the calls."""
    orders, tasks = await _made(stage, "orders"), await _made(stage, "tasks")
    waiting = sum(not task["done"] for task in tasks)
    waits = counted(waiting, "client") + (" waits" if waiting == 1 else " wait")
    stage.echo(f"  {counted(len(orders), 'customer order')}, one for each client; {waits} to be called back.")


async def _made(stage: Stage, what: str) -> list[dict[str, Any]]:
    async with stage.http.get(f"{stage.sandbox}/sandbox/{what}") as answer:
        return list((await answer.json())[what])


async def show_replay(stage: Stage, call: str) -> None:
    """Print one call's whole story."""
    folder = stage.environment["MS_DATA_DIR"]
    stage.echo(f"\nOne of them told in full, as `MS_DATA_DIR={folder} ./ms.sh replay {ENTERPRISE} {call}` tells it:\n")
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


def show_addresses(stage: Stage, *, screens: str = "", hint: str = "") -> None:
    """Where to look. ``screens``: what the address of MoySklad's screens ends with; ``hint``: what can be done there."""
    stage.echo(f"\nMoySklad's screens and calls:   {stage.sandbox}/{screens}")
    if hint:
        stage.echo(f"{'':32}({hint})")
    stage.echo(f"This service's pages:           {stage.service}/ms-admin/?enterprise_number={ENTERPRISE}")
    stage.echo(f"The password for them:          {stage.environment['MS_ADMIN_PASSWORD']}")


async def stay(stage: Stage, what: str) -> None:
    """Until Ctrl-C."""
    stage.echo(f"\n{what} until you press Ctrl-C.")
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody has just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def clock() -> str:
    """Now, as the replays and MoySklad tell it: local time of the PBXes, whatever the machine's own is."""
    return datetime.now(PBX_ZONE).strftime("%H:%M:%S")
