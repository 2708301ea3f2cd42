"""In whatever form an exchange tells of a click's first leg, it is one outgoing call, and the customer's answer is the customer's.

The employee's telephone rings first and is picked up by the employee (CONTRACT-ASTERISK, quirk 10). Each form here is one that a
PBX script may use for that: as nothing, as internal, as incoming with the customer's number on the display, under the same id or
another one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from core.clicks import CALL_WITHIN_MS
from tests.adapters.http.test_clicks import address, listed
from tests.exchange import FakeOriginator
from tests.rig import ENTERPRISE, MINSK, TOKEN, Rig, running

DEST, NUMBER, OWN, CALL, TRUNK_LEG = "375291112233", "+375291112233", "u-own", "u-call", "u-trunk"


@pytest.fixture
async def rig(database_url: str) -> AsyncIterator[Rig]:
    async with running(database_url, ways={"ami": FakeOriginator()}) as rig:
        body = {"srcNumber": "101", "destNumber": NUMBER, "uid": "ivanov@demo"}
        async with rig.http.post(await address(rig), json=body) as answer:
            assert answer.status == 200
        await rig.settle()
        yield rig


@dataclass(slots=True)
class Exchange:
    """Says things of the call at their times, in milliseconds after the click."""

    rig: Rig
    started_ms: int

    async def says(self, after_ms: int, event: str, **body: Any) -> None:
        """One signal of the PBX's script."""
        await self.rig.wait(self.started_ms + after_ms - self.rig.clock.now_ms)
        status, told = await self.rig.post("/internal/ms/call-event", {"event": event, "Token": TOKEN, **body})
        assert status == 200, told
        await self.rig.settle()

    async def dials(self, after_ms: int, unique_id: str, call_type: int, phone: str, trunk: str, **more: Any) -> None:
        """A dial that names 101."""
        fields = {"UniqueId": unique_id, "Phone": phone, "Extensions": ["101"], "CallType": call_type, "Trunk": trunk}
        await self.says(after_ms, "dial", **fields, ExtTrunk="", ExtPhone="", **more)

    async def enters(self, after_ms: int, bridge: str, unique_id: str, channel: str, number: str) -> None:
        """A channel comes into a bridge."""
        fields = {"UniqueId": unique_id, "BridgeUniqueid": bridge, "Channel": channel, "CallerIDNum": number}
        await self.says(after_ms, "bridge", **fields, ConnectedLineNum="")

    async def leaves(self, after_ms: int, bridge: str, unique_id: str, channel: str, number: str) -> None:
        """And goes."""
        fields = {"UniqueId": unique_id, "BridgeUniqueid": bridge, "Channel": channel, "CallerIDNum": number}
        await self.says(after_ms, "bridge_leave", **fields, BridgeNumChannels="0")

    async def hangs_up(
        self, after_ms: int, unique_id: str, call_type: int, phone: str, status: str, began_ms: int, **more: Any
    ) -> None:
        """The hangup that names 101."""
        fields: dict[str, Any] = {"UniqueId": unique_id, "Phone": phone, "Extensions": ["101"], "CallType": call_type}
        times = {"DateReceived": self.local(began_ms), "StartTime": self.local(began_ms), "EndTime": self.local(after_ms)}
        await self.says(after_ms, "hangup", **fields, **times, CallStatus=status, **more)

    def local(self, after_ms: int) -> str:
        """A moment as the PBX writes it."""
        return datetime.fromtimestamp((self.started_ms + after_ms) / 1000, MINSK).strftime("%Y-%m-%d %H:%M:%S")

    async def talks(self) -> None:
        """The customer is dialled, answers after three seconds, talks for ten; then everything comes to rest."""
        await self.dials(6_000, CALL, 1, DEST, "trunk-alpha")
        await self.enters(9_000, "b1", TRUNK_LEG, "PJSIP/trunk-alpha-0a", DEST)
        await self.enters(9_000, "b1", CALL, "PJSIP/101-00000009", "101")
        await self.leaves(19_000, "b1", TRUNK_LEG, "PJSIP/trunk-alpha-0a", DEST)
        await self.leaves(19_000, "b1", CALL, "PJSIP/101-00000009", "101")
        await self.hangs_up(19_200, CALL, 1, DEST, "2", 6_000, Trunk="trunk-alpha")
        await self.rig.wait(30_000)

    async def is_not_answered(self) -> None:
        """The customer is dialled and does not pick up."""
        await self.dials(6_000, CALL, 1, DEST, "trunk-alpha")
        await self.hangs_up(20_000, CALL, 1, DEST, "0", 6_000, Trunk="trunk-alpha")
        await self.rig.wait(30_000)


@pytest.fixture
def exchange(rig: Rig) -> Exchange:
    return Exchange(rig, rig.clock.now_ms)


async def one_call(rig: Rig) -> dict[str, Any]:
    """The only call at MoySklad, and what holds of every clicked one."""
    (row,) = await rig.rows()
    assert (row["is_incoming"], row["number"], row["extension"]) == (False, NUMBER, "101")
    assert row["open_cards"] == []
    assert next((each["event_type"], each["extension"]) for each in row["events"]) == ("SHOW", "101")
    (click,) = await listed(rig)
    assert click["stage"] == "joined"
    return row


def timers(row: dict[str, Any]) -> list[str]:
    return [each["extension"] for each in row["events"] if each["event_type"] == "STARTTIME"]


OWN_LEGS: dict[str, Sequence[dict[str, Any]]] = {
    "nothing": (),
    "internal": ({"call_type": 2, "phone": "101", "trunk": ""},),
    "internal, initiated outside": ({"call_type": 2, "phone": "101", "trunk": "", "ExternalInitiated": True},),
    "incoming from itself": ({"call_type": 0, "phone": "101", "trunk": ""},),
    "incoming from itself by a trunk": ({"call_type": 0, "phone": "+101", "trunk": "trunk-alpha"},),
    "outgoing to itself": ({"call_type": 1, "phone": "101", "trunk": "trunk-alpha"},),
    "incoming with the customer's number": ({"call_type": 0, "phone": DEST, "trunk": "", "ExternalInitiated": True},),
    "twice incoming with the customer's number": (
        {"call_type": 0, "phone": DEST, "trunk": ""},
        {"call_type": 0, "phone": f"+{DEST}", "trunk": ""},
    ),
}


@pytest.mark.parametrize("same_id", [True, False], ids=["one id", "an id of its own"])
@pytest.mark.parametrize("form", OWN_LEGS)
async def test_the_first_leg_is_never_the_call(rig: Rig, exchange: Exchange, form: str, same_id: bool) -> None:
    for index, leg in enumerate(OWN_LEGS[form]):
        await exchange.dials(500 + index * 200, CALL if same_id else OWN, **leg)
    assert await rig.rows() == []  # nothing is said of a customer who has not been dialled
    await exchange.talks()
    row = await one_call(rig)
    assert timers(row) == ["101"]
    assert row["comment"] in ("", None)
    assert 12_000 <= row["effective_duration_ms"] <= 19_000


@pytest.mark.parametrize("status", ["0", "1", "2"])
@pytest.mark.parametrize(("call_type", "phone"), [(2, "101"), (0, "101"), (0, DEST), (2, DEST)])
async def test_the_first_leg_s_end_is_no_end_and_its_answer_no_answer(
    rig: Rig, exchange: Exchange, call_type: int, phone: str, status: str
) -> None:
    await exchange.dials(500, OWN, call_type, phone, "")
    await exchange.hangs_up(5_500, OWN, call_type, phone, status, 500)
    await exchange.is_not_answered()
    row = await one_call(rig)
    assert timers(row) == []
    assert row["comment"] == "Клиент не ответил"


@pytest.mark.parametrize(("call_type", "phone"), [(2, "101"), (0, "101"), (0, DEST), (1, "101")])
async def test_an_employee_who_does_not_pick_up_has_called_nobody(
    rig: Rig, exchange: Exchange, call_type: int, phone: str
) -> None:
    await exchange.dials(500, OWN, call_type, phone, "")
    await exchange.hangs_up(30_000, OWN, call_type, phone, "0", 500)
    await rig.wait(CALL_WITHIN_MS)
    assert await rig.rows() == []
    (click,) = await listed(rig)
    assert click["stage"] == "silent"


async def test_the_exchange_s_own_channel_is_not_the_customer(rig: Rig, exchange: Exchange) -> None:
    """The employee picks up and stands in a bridge with a Local channel that bears the customer's number."""
    await exchange.enters(4_000, "b0", CALL, "PJSIP/101-00000009", "101")
    await exchange.enters(4_000, "b0", "u-local", "Local/375291112233@out-00000001;1", DEST)
    await exchange.dials(6_000, CALL, 1, DEST, "trunk-alpha")
    await rig.wait(4_000)
    (row,) = await rig.rows()
    assert timers(row) == []
    await exchange.hangs_up(20_000, CALL, 1, DEST, "0", 6_000, Trunk="trunk-alpha")
    await rig.wait(30_000)
    assert (await one_call(rig))["comment"] == "Клиент не ответил"


async def test_a_hangup_alone_is_the_click_s_call(rig: Rig, exchange: Exchange) -> None:
    await exchange.hangs_up(20_000, CALL, 1, DEST, "2", 6_000, Trunk="trunk-alpha")
    await rig.wait(30_000)
    (row,) = await rig.rows()
    assert (row["is_incoming"], row["number"], row["extension"]) == (False, NUMBER, "101")
    assert (await listed(rig))[0]["call"] == CALL


async def test_bridges_that_overtake_the_dial(rig: Rig, exchange: Exchange) -> None:
    await exchange.enters(9_000, "b1", TRUNK_LEG, "PJSIP/trunk-alpha-0a", DEST)
    await exchange.enters(9_000, "b1", CALL, "PJSIP/101-00000009", "101")
    await exchange.dials(9_500, CALL, 1, DEST, "trunk-alpha")
    await exchange.leaves(19_000, "b1", TRUNK_LEG, "PJSIP/trunk-alpha-0a", DEST)
    await exchange.leaves(19_000, "b1", CALL, "PJSIP/101-00000009", "101")
    await exchange.hangs_up(19_200, CALL, 1, DEST, "2", 6_000, Trunk="trunk-alpha")
    await rig.wait(30_000)
    assert timers(await one_call(rig)) == ["101"]


async def test_the_dispatcher_s_form(rig: Rig) -> None:
    raw = {"UniqueId": CALL, "Phone": DEST, "Extensions": ["101"], "CallType": 1, "Trunk": "trunk-alpha"}
    outer = {"enterprise_number": ENTERPRISE, "phone": NUMBER, "extension": "101", "direction": "out", "unique_id": CALL}
    await rig.wait(5_000)
    assert (await rig.post("/internal/ms/incoming-call", {**outer, "event_type": "dial", "raw": raw}))[0] == 200
    await rig.settle()
    (row,) = await rig.rows()
    assert (row["is_incoming"], row["number"]) == (False, NUMBER)
    assert (await listed(rig))[0]["call"] == CALL


async def test_a_customer_who_calls_at_that_moment_is_a_call_of_his_own(rig: Rig, exchange: Exchange) -> None:
    await exchange.dials(1_000, "u-other", 0, DEST, "0001001")
    await exchange.talks()
    rows = await rig.rows()
    assert sorted(row["is_incoming"] for row in rows) == [False, True]
