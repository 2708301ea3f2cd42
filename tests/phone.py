"""Calls from the wire to MoySklad: real HTTP in, PostgreSQL, the sandbox; and what a person would find there then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from adapters.sandbox import SANDBOX_API_TOKEN, SANDBOX_PHONE_KEY, Switches
from core.effects import Account
from core.ports import StreamId
from tests.rig import ENTERPRISE, Rig, running

BELTRADE = "+375290000001"
"""ОДО «Белтрейд» of the demo account; whoever has 152 is responsible."""
STRANGER = "+375291112233"


class Phone:
    """Places calls at a rig, and looks at what its MoySklad has then."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.placed = 0

    async def call(self, number: str, *, rings: tuple[str, ...] = ("101", "152"), answers: str = "", ends: bool = True) -> str:
        """An incoming call; whoever ``answers`` talks for half a minute. Its UniqueId."""
        self.placed += 1
        call = f"1795436000.{self.placed}"
        await self.say(call, number, "start")
        await self.say(call, number, "dial", Extensions=list(rings), ExtTrunk="", ExtPhone="")
        await self.rig.wait(8_000)
        if answers:
            for channel, caller in ((call, number), (f"{call}1", answers)):
                await self.say(
                    call, number, "bridge", UniqueId=channel, BridgeUniqueid=f"b-{call}", Channel=f"PJSIP/{caller}-1",
                    Exten="", CallerIDNum=caller, CallerIDName="", ConnectedLineNum=number if channel != call else answers,
                    ConnectedLineName="",
                )  # fmt: skip
            await self.rig.wait(30_000)
        if ends:
            await self.hang_up(call, number, answers)
        return call

    async def call_out(self, extension: str, number: str, *, answered: bool) -> str:
        """An outgoing call of a minute. Its UniqueId."""
        self.placed += 1
        call = f"1795436000.{self.placed}"
        await self.say(call, number, "dial", CallType=1, Extensions=[extension], ExtTrunk="", ExtPhone="")
        await self.rig.wait(10_000)
        status = "2" if answered else "0"
        times = {"DateReceived": "", "StartTime": "", "EndTime": ""}
        await self.say(call, number, "hangup", CallType=1, Extensions=[extension], CallStatus=status, **times)
        await self.rig.wait(30_000)
        return call

    async def hang_up(self, call: str, number: str, answers: str = "") -> None:
        """The call is over, and settled."""
        await self.end(call, number, answers)
        await self.rig.wait(30_000)

    async def end(self, call: str, number: str, answers: str = "") -> None:
        """Somebody hung up."""
        times = {"DateReceived": "", "StartTime": "", "EndTime": ""}
        await self.say(call, number, "hangup", Extensions=[answers], CallStatus="2" if answers else "0", **times)

    async def say(self, call: str, number: str, event: str, **raw: Any) -> None:
        """One event, as the PBX tells it."""
        body = {"UniqueId": call, "Phone": number, "CallType": 0, "Trunk": "0001001", **raw}
        told = {"event": event, "enterprise_number": ENTERPRISE, "raw": body}
        status, answer = await self.rig.post("/internal/ms/call-event", told)
        assert status == 200, answer
        await self.rig.settle()

    async def see(self, what: str) -> list[dict[str, Any]]:
        """``orders``, ``tasks`` or ``counterparties`` of the sandbox."""
        async with self.rig.sandbox.get(f"/sandbox/{what}") as answer:
            return list((await answer.json())[what])

    async def seed(self, **changed: Any) -> None:
        """Change the account."""
        account = {"name": "sandbox", "phone_key": SANDBOX_PHONE_KEY, "api_token": SANDBOX_API_TOKEN, **changed}
        async with self.rig.sandbox.post("/sandbox/seed", json={"accounts": [account]}) as answer:
            assert answer.status == 200, await answer.text()

    async def told(self, call: str) -> list[str]:
        """The types of everything in a call's history that is no signal."""
        history = await self.rig.service.store.read(StreamId(enterprise=ENTERPRISE, name=f"call/{call}"))
        return [f"{each.type} {each.data['effect']['type']}" for each in history if "effect" in each.data]

    async def parked(self) -> list[tuple[str, str]]:
        """Calls that need a person, and why."""
        await self.rig.service.runner.catch_up()
        return [(each.call, f"{each.reason} | {each.remedy}") for each in (await self.rig.service.parked.listing(ENTERPRISE)).calls]


    async def results(self, call: str) -> list[dict[str, Any]]:
        """What was answered to each effect of a call, as the history keeps it."""
        history = await self.rig.service.store.read(StreamId(enterprise=ENTERPRISE, name=f"call/{call}"))
        return [each.data["result"] for each in history if each.type == "effect_done"]

    async def account(self) -> Account:
        """The enterprise's credentials."""
        current = await self.rig.service.settings.current(ENTERPRISE)
        assert current is not None
        return current.account

    async def save(self, config: dict[str, Any]) -> None:
        """Change the settings as an administrator does."""
        current = await self.rig.service.settings.save(ENTERPRISE, config, by="anna", reason="test")
        self.rig.service.moysklad.gateway.forget(current.account)

    async def orders_worked_off(self) -> None:
        """Let what was ordered to be asked again be asked, however long it should wait."""
        await self.rig.service.pool.execute("UPDATE retry_orders SET ripe_at = clock_timestamp() - interval '1 second'")
        await self.rig.service.runner.catch_up()
        while await self.rig.service.retries.step():
            pass
        await self.rig.wait(1_000)

    async def fault(self, **rule: Any) -> None:
        """Let something go wrong at the sandbox."""
        async with self.rig.sandbox.post("/sandbox/faults", json={"rules": [rule]}) as answer:
            assert answer.status == 200, await answer.text()

    async def listed(self, kind: str) -> list[dict[str, Any]]:
        """A list of the JSON API."""
        return [row async for row in self._rows(f"/entity/{kind}")]

    async def names(self) -> dict[str, str]:
        """The id of every legal entity and sales channel -> its name."""
        return {row["id"]: row["name"] for kind in ("organization", "saleschannel") for row in await self.listed(kind)}

    async def states(self) -> dict[str, str]:
        """The name of every order state -> its link."""
        body = await self._ask("GET", "/entity/customerorder/metadata")
        return {each["name"]: each["meta"]["href"] for each in body["states"]}

    async def set_state(self, order: str, name: str) -> None:
        """A manager moves an order on."""
        meta = {"href": (await self.states())[name], "type": "state", "mediaType": "application/json"}
        await self._ask("PUT", f"/entity/customerorder/{order}", {"state": {"meta": meta}})

    async def state_of(self, order: dict[str, Any]) -> str:
        """The name of an order's state."""
        return next(name for name, href in (await self.states()).items() if href.endswith(order["state"]))

    async def _rows(self, path: str) -> AsyncIterator[dict[str, Any]]:
        for row in (await self._ask("GET", path))["rows"]:
            yield row

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {SANDBOX_API_TOKEN}", "Accept-Encoding": "gzip"}
        async with self.rig.sandbox.request(method, f"/api/remap/1.2{path}", json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


@asynccontextmanager
async def phone(dsn: str, config: dict[str, Any], switches: Switches | None = None) -> AsyncIterator[Phone]:
    async with running(dsn, config=config, switches=switches) as rig:
        yield Phone(rig)
