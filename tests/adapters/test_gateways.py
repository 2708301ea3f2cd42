"""Every gateway keeps the contract: the one to MoySklad, facing the sandbox, and the model that the reactor's tests work with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from adapters.sandbox.faults import FaultRule
from core.effects import Account, Effect, Refused, Unavailable
from core.effects import Gateway as Port
from tests.adapters.moysklad.support import Rig, facing_sandbox
from tests.adapters.reactor_rig import ACCOUNT, Gateway
from tests.contracts.gateway import Crm, GatewayContract, Kept


@dataclass(slots=True)
class Sandbox:
    """MoySklad's own gateway, and the sandbox behind HTTP."""

    rig: Rig
    account: Account

    @property
    def gateway(self) -> Port:
        return self.rig.gateway

    def calls(self) -> list[Kept]:
        return [
            Kept(
                external_id=row.external_id,
                contact=row.counterparty_id or "",
                extension=row.extension or "",
                end_ms=row.end_ms,
                recordings=tuple(row.record_urls),
                screens=frozenset(screen for screen, cards in self.rig.inside.open_cards.items() if row.id in cards),
            )
            for row in self.rig.calls()
        ]

    def revoke(self) -> None:
        self.account = replace(self.account, phone_key="no longer")

    def lose_one(self, *, after: bool) -> None:
        self.rig.break_with(FaultRule(action="drop_after" if after else "drop_before", api="phone", method="POST", times=1))


@dataclass(slots=True)
class Model:
    """The double of the reactor's tests."""

    gateway: Gateway = field(default_factory=Gateway)
    account: Account = ACCOUNT

    def calls(self) -> list[Kept]:
        return [
            Kept(
                external_id=row.external_id,
                contact=row.contact,
                extension=row.extension,
                end_ms=row.end_ms,
                recordings=tuple(row.recordings),
                screens=frozenset(row.screens()),
            )
            for row in self.gateway.model.rows
        ]

    def revoke(self) -> None:
        self.gateway.door = lambda effect, nth: Refused("no such key", remedy="enter the account's key")

    def lose_one(self, *, after: bool) -> None:
        left = [Unavailable("connection lost", ambiguous=True)]

        def lost(effect: Effect, nth: int) -> Exception | None:
            return left.pop() if left else None

        if after:
            self.gateway.after = lost
        else:
            self.gateway.before = lost


class TestMoySkladGateway(GatewayContract):
    @pytest.fixture
    async def crm(self) -> AsyncIterator[Crm]:
        async with facing_sandbox() as rig:
            yield Sandbox(rig=rig, account=rig.account)


class TestModelGateway(GatewayContract):
    @pytest.fixture
    def crm(self) -> Crm:
        model = Model()
        model.gateway.model.employees = {"101": "uuid-101", "102": "uuid-102"}
        return model
