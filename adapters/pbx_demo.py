"""``./ms.sh pbx-demo``: a real Asterisk, real calls between SIP telephones, and a click in MoySklad, for a person to watch.

Asterisk is fetched from Debian's packages (once), started on loopback, and connected to over AMI; no dispatcher is there.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from adapters.demo_stage import (
    ENTERPRISE,
    Echo,
    Stage,
    calls,
    clock,
    show_addresses,
    show_replay,
    show_table,
    staged,
    stay,
    watching,
    webhook_of,
)
from adapters.lab.asterisk import AMI_USER, SUITES, TRUNKS, fetched
from adapters.lab.exchange import CUSTOMER, Exchange, opened
from adapters.lab.plays import PLAYS
from adapters.lab.sip import answering

STRANGER: Final = "79165550010"
PLAYED: Final[Mapping[str, tuple[str, str]]] = {
    "ring_group": (CUSTOMER, "an incoming call rings three phones, 102 answers"),
    "abandoned": (STRANGER, "three phones ring, the caller gives up"),
    "declined": (STRANGER, '101 lets it ring, then presses "decline"'),
    "queue": (CUSTOMER, "a queue answers at once, a person later"),
    "pickup": (CUSTOMER, "101 rings, 103 picks the call up with *8"),
    "blind_transfer": (CUSTOMER, "101 sends the caller on to 102 without asking"),
    "attended_transfer": (CUSTOMER, "101 asks 102 first, then hands the caller over"),
    "outgoing_by_the_other_trunk": (STRANGER, "101 calls out; the first trunk cannot, the second can"),
}
TOLD: Final = "attended_transfer"
PAUSE_S: Final = 0.8
CONNECTED_S: Final = 20.0


async def play_pbx_demo(*, once: bool, version: int, echo: Echo) -> int:
    """Play, show, and stay for a look unless ``once``. Returns the exit status: 1 when something was not as it should be."""
    suite = SUITES[version]
    await fetched(suite, report=echo)
    with tempfile.TemporaryDirectory(prefix="ms-pbx-demo-") as folder:
        async with opened(Path(folder), suite) as pbx:
            ports = f"SIP on 127.0.0.1:{pbx.asterisk.sip_port}, AMI on 127.0.0.1:{pbx.asterisk.ami_port}"
            echo(f"{pbx.asterisk.version} runs: {ports}.")
            path = Path(folder) / "pbx.toml"
            await asyncio.to_thread(_write_private, path, pbx_file(pbx))
            async with staged("pbx-demo", echo, variables={"MS_PBX_FILE": str(path)}) as stage:
                return await _play(stage, pbx, once=once)


def pbx_file(pbx: Exchange) -> str:
    """The configuration of the connection, as docs/asterisk.md describes it."""
    trunks = ", ".join(f'"{name}"' for name in TRUNKS)
    return (
        f'[[pbx]]\nname = "demo"\nenterprise = "{ENTERPRISE}"\nport = {pbx.asterisk.ami_port}\nuser = "{AMI_USER}"\n'
        f'secret = "{pbx.asterisk.ami_secret}"\ntrunks = [{trunks}]\noriginate = {{context = "from-internal"}}\n'
    )


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


async def _play(stage: Stage, pbx: Exchange, *, once: bool) -> int:
    echo = stage.echo
    await _until_connected(stage)
    async with watching(stage):
        for name, (customer, words) in PLAYED.items():
            echo(f"  {clock()}  ── {name}: {words}")
            pbx.fresh(customer)
            await PLAYS[name](pbx)
            await asyncio.sleep(PAUSE_S)
        echo(f"  {clock()}  ── click-to-call: 101 presses a number in MoySklad; 101's phone rings, then the customer's")
        await _click(stage, pbx)
    mine, played = await calls(stage), len(PLAYED) + 1
    open_cards = show_table(stage, mine)
    echo(f"\n  {played} calls made on the telephones, {len(mine)} in MoySklad, {open_cards} cards open.")
    told = list(PLAYED).index(TOLD)
    if told < len(mine):
        await show_replay(stage, str(mine[told]["external_id"]).removeprefix(f"{ENTERPRISE}-"))
    show_addresses(stage)
    echo(f"Asterisk's console:             {pbx.asterisk.program / 'asterisk'} -C {pbx.asterisk.folder / 'etc/asterisk.conf'} -r")
    if not once:
        pbx.fresh()
        for phone in pbx.phones.values():
            phone.behave = answering(2.0)
        echo("Every phone answers after two seconds now: press a number on MoySklad's page.")
        await stay(stage, "All of it stays up")
    return 0 if len(mine) == played and open_cards == 0 else 1


async def _until_connected(stage: Stage) -> None:
    async with asyncio.timeout(CONNECTED_S):
        while True:
            async with stage.http.get(f"{stage.service}/internal/ms/status") as answer:
                (pbx,) = (await answer.json())["pbxes"]
            if pbx["state"] == "connected":
                break
            await asyncio.sleep(0.1)
    stage.echo(f"The service is connected to {pbx['where']} ({pbx['version']}).\n")


async def _click(stage: Stage, pbx: Exchange) -> None:
    pbx.fresh(CUSTOMER)
    pbx["101"].behave = answering(1.0)
    pbx.trunk.behave = answering(1.0)
    body = {"url": await webhook_of(stage), "srcNumber": "101", "destNumber": CUSTOMER}
    async with stage.http.post(f"{stage.sandbox}/sandbox/click", json=body) as answer:
        told: dict[str, Any] = await answer.json()
    if told["status"] != 200:
        raise ValueError(f"the click was answered {told['status']}: {told['body'] or told['error']}")
    far = await pbx.trunk.called()
    await far.until("up")
    await asyncio.sleep(PAUSE_S)
    far.hang_up()
    await (await pbx["101"].called()).until("over")
