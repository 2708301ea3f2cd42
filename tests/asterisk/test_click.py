"""A click in MoySklad becomes a call on a real Asterisk: the employee's telephone rings, then the customer's (PRODUCT E5)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from adapters.asterisk.originate import AmiOriginator
from adapters.lab.asterisk import SUITES
from adapters.lab.exchange import opened
from adapters.lab.sip import answering, refusing
from core.origination import Origination, OriginationRefused
from tests.asterisk.stage import ENTERPRISE, Lab, config_of, lab, now_ms

pytestmark = pytest.mark.slow

CUSTOMER = "79160006001"


async def click(made: Lab, extension: str = "101", number: str = CUSTOMER) -> dict[str, Any]:
    """Press the number in MoySklad, as the employee with this extension; what MoySklad was answered."""
    async with made.stage.http.get(f"{made.service.url}/ms-admin/api/config/{ENTERPRISE}") as answer:
        url = (await answer.json())["ms"]["webhook_url"]
    path = url[url.index("/ms/webhook/") :]
    body = {"url": f"{made.service.url}{path}", "srcNumber": extension, "destNumber": number}
    async with made.stage.http.post(f"{made.stage.sandbox}/sandbox/click", json=body) as answer:
        told: dict[str, Any] = await answer.json()
        return told


@pytest.mark.parametrize("version", sorted(SUITES))
async def test_a_click_is_one_outgoing_call(version: int, tmp_path: Path) -> None:
    """Delivered twice, it rings once; the employee's own pick-up is not the customer's answer."""
    async with lab(tmp_path, SUITES[version]) as made:
        made.pbx["101"].behave = answering(0.5)
        made.pbx.trunk.behave = answering(0.5)
        told = await asyncio.gather(click(made), click(made))
        assert [each["status"] for each in told] == [200, 200], told
        employee = await made.pbx["101"].called()
        far = await made.pbx.trunk.called()
        await far.until("up")
        await made.card(CUSTOMER, "101")
        await asyncio.sleep(1.0)
        far.hang_up()
        await employee.until("over")
        call = await made.settled(CUSTOMER)
        assert (call["is_incoming"], call["extension"]) == (False, "101")
        assert call["effective_duration_ms"] / 1_000 == pytest.approx(far.said[-1][0] - employee.said[0][0], abs=0.8)
        assert await made.outcome(CUSTOMER) == "answered"
        assert len(made.pbx["101"].legs) == len(made.pbx.trunk.legs) == 1
        assert len(await made.stage.calls()) == 1


async def test_a_click_of_an_employee_who_does_not_pick_up_rings_no_customer(tmp_path: Path) -> None:
    async with lab(tmp_path, SUITES[16]) as made:
        made.pbx["101"].behave = refusing(486)
        assert (await click(made))["status"] == 200
        employee = await made.pbx["101"].called()
        await employee.until("over")
        await asyncio.sleep(1.0)
        assert made.pbx.trunk.legs == []
        assert sum(len(call["open_cards"]) for call in await made.stage.calls()) == 0


async def test_what_asterisk_cannot_do_is_a_refusal_in_words(tmp_path: Path) -> None:
    async with opened(tmp_path, SUITES[16]) as pbx:
        originator = AmiOriginator([config_of(pbx.asterisk)], now_ms=now_ms)
        nobody = Origination(enterprise=ENTERPRISE, extension="555", number="79160006002", channel_id="click-1")
        with pytest.raises(OriginationRefused, match="no such telephone"):
            await originator.originate(nobody)
        pbx["101"].behave = answering(0.2)
        order = Origination(enterprise=ENTERPRISE, extension="101", number="+79160006002", channel_id="click-2")
        await originator.originate(order)
        with pytest.raises(OriginationRefused, match="could not call the employee"):
            await originator.originate(order)  # the id is in use
        far = await pbx.trunk.called()
        assert len(pbx["101"].legs) == 1
        assert (far.number, far.caller) == ("79160006002", "74951110001")
