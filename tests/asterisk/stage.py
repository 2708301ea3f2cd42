"""A real Asterisk, the service and the sandbox together; calls are made on the telephones, and MoySklad is looked at."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.asterisk.config import Originate, PbxConfig
from adapters.lab.asterisk import AMI_USER, TRUNKS, Asterisk
from adapters.lab.exchange import Exchange, opened
from core.ami import Pbx
from tests.faults.network import Relay, listening
from tests.faults.stage import Instance, Stage, staged

ENTERPRISE = "0367"
SETTLED_S = 30.0
"""A call is written for good a few seconds after its end; this is for a busy machine."""

LOOK_S = 0.1
INDEXED_S = 10.0
"""How long the index of calls may lag behind what MoySklad was told."""


@dataclass(slots=True, kw_only=True)
class Lab:
    """Where everything is. ``relays``: each instance's way to Asterisk."""

    pbx: Exchange
    stage: Stage
    relays: list[Relay]

    @property
    def service(self) -> Instance:
        """The first instance."""
        return self.stage.instances[0]

    async def moysklad(self, number: str) -> list[dict[str, Any]]:
        """The calls of one customer, as MoySklad has them."""
        return [call for call in await self.stage.calls() if call["number"].lstrip("+") == number]

    async def outcome(self, number: str) -> str:
        """How the customer's one call ended, as the service has it in its index, which follows the log."""
        path = f"/ms-admin/api/calls?enterprise={ENTERPRISE}&phone={number}"
        deadline = time.monotonic() + INDEXED_S
        while True:
            async with self.stage.http.get(f"{self.service.url}{path}") as answer:
                (found,) = (await answer.json())["calls"]
            if found["outcome"] is not None or time.monotonic() > deadline:
                return str(found["outcome"])
            await asyncio.sleep(LOOK_S)

    async def settled(self, number: str, within_s: float = SETTLED_S) -> dict[str, Any]:
        """The customer's one call, once it has ended and no card is open. Raises AssertionError in words."""
        deadline = time.monotonic() + within_s
        while True:
            calls = await self.moysklad(number)
            assert len(calls) < 2, f"MoySklad has {len(calls)} calls of {number}"
            if calls and calls[0]["end_ms"] is not None and not calls[0]["open_cards"]:
                return calls[0]
            if time.monotonic() > deadline:
                said = f"{self.stage.tails()}\n{self.pbx.asterisk.tail()}"
                raise AssertionError(f"{number}: {calls or 'MoySklad has no call'}\n{said}")
            await asyncio.sleep(LOOK_S)

    async def card(self, number: str, extension: str, within_s: float = 10.0) -> None:
        """Return once the customer's card is on that screen."""
        deadline = time.monotonic() + within_s
        while True:
            calls = await self.moysklad(number)
            if any(extension in str(call["open_cards"]) for call in calls):
                return
            assert time.monotonic() < deadline, f"{number} has no card at {extension}: {calls}\n{self.stage.tails()}"
            await asyncio.sleep(LOOK_S)

    async def post(self, body: dict[str, Any]) -> None:
        """Tell the service what the PBX script says."""
        body = {"enterprise_number": ENTERPRISE, **body}
        async with self.stage.http.post(f"{self.service.url}/internal/ms/call-event", json=body) as answer:
            assert answer.status == 200, await answer.text()

    async def until(self, is_so: Callable[[], Awaitable[bool]], within_s: float = SETTLED_S) -> None:
        """Return once it is so."""
        deadline = time.monotonic() + within_s
        while not await is_so():
            assert time.monotonic() < deadline, self.stage.tails()
            await asyncio.sleep(LOOK_S)

    async def connections(self, instance: Instance) -> int:
        """How many connections to Asterisk this instance keeps."""
        async with self.stage.http.get(f"{instance.url}/internal/ms/status") as answer:
            told = await answer.json()
            own = next(node for node in told["nodes"] if node["id"] == told["node"])
            return sum(each["state"] == "connected" for each in own["report"]["pbxes"])

    async def pbx_state(self, instance: Instance | None = None) -> dict[str, Any]:
        """The connection, as the service tells."""
        async with self.stage.http.get(f"{(instance or self.service).url}/internal/ms/status") as answer:
            told: dict[str, Any] = (await answer.json())["pbxes"][0]
            return told

    async def until_pbx(self, state: str, within_s: float = 15.0, instance: Instance | None = None) -> dict[str, Any]:
        """Return once the connection is in that state."""
        deadline = time.monotonic() + within_s
        while (found := await self.pbx_state(instance))["state"] != state:
            assert time.monotonic() < deadline, f"{found}\n{self.stage.tails()}"
            await asyncio.sleep(LOOK_S)
        return found


@contextlib.asynccontextmanager
async def lab(
    folder: Path, suite: str, *, instances: int = 1, database: Sequence[int] | str | None = None, cuttable: bool = False
) -> AsyncIterator[Lab]:
    """Everything, running and connected."""
    async with contextlib.AsyncExitStack() as stack:
        pbx = await stack.enter_async_context(opened(folder / "asterisk", suite))
        relays = [Relay(pbx.asterisk.ami_port) for _ in range(instances)]
        for relay in relays:
            await stack.enter_async_context(listening(relay))

        def variables(number: int) -> dict[str, str]:
            path = folder / f"pbx{number}.toml"
            path.write_text(pbx_file(relays[number - 1].port, pbx.asterisk.ami_secret))
            path.chmod(0o600)
            return {"MS_PBX_FILE": str(path)}

        stage = await stack.enter_async_context(
            staged(folder, instances=instances, database=database, cuttable=cuttable, variables=variables)
        )
        made = Lab(pbx=pbx, stage=stage, relays=relays)
        await made.until_pbx("connected")
        yield made


def now_ms() -> int:
    """Unix ms."""
    return time.time_ns() // 1_000_000


def config_of(asterisk: Asterisk) -> PbxConfig:
    """How the service is told of it."""
    return PbxConfig(
        pbx=Pbx(name="lab", enterprise=ENTERPRISE, trunks=tuple(TRUNKS)),
        host="127.0.0.1",
        port=asterisk.ami_port,
        user=AMI_USER,
        secret=asterisk.ami_secret,
        originate=Originate(),
    )


def pbx_file(port: int, secret: str) -> str:
    """The configuration of the connection."""
    return f"""
[[pbx]]
name = "lab"
enterprise = "{ENTERPRISE}"
host = "127.0.0.1"
port = {port}
user = "{AMI_USER}"
secret = "{secret}"
trunks = ["trunk-alpha", "trunk-beta"]
originate = {{context = "from-internal"}}
"""
