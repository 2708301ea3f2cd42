"""What befalls the connection, Asterisk, the service and the database in mid-call; each call ends right, once, no card open."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.lab.asterisk import SUITES
from adapters.lab.sip import Leg, answering
from tests.asterisk.stage import ENTERPRISE, Lab, lab
from tests.faults import report
from tests.faults.postgres import Postgres, own_postgres

pytestmark = pytest.mark.slow

SUITE = SUITES[16]
NOTICED_S = 6.0
"""A peer that hangs is noticed within five seconds; one more for a busy machine."""

TAKEN_OVER_S = 10.0
LETS_GO_S = 5.0
"""An instance that goes on finds out with its next beat and its next claim that another has its PBX."""

MINSK_S = 3 * 3_600
ONE, ANOTHER = "74951110001", "74951110011"
GOES_ON, ENDS_UNHEARD = "79160005001", "79160005002"


@contextlib.asynccontextmanager
async def database() -> AsyncIterator[Postgres]:
    """A running server that outlives every instance."""
    async with own_postgres() as server:
        await server.start(fsync="off")
        yield server


async def in_talk(made: Lab, number: str, extension: str = "101", dialled: str = ONE) -> Leg:
    """A customer who talks with an employee, whose screen shows it."""
    made.pbx[extension].behave = answering(0.3)
    leg = made.pbx.trunk.call(dialled, caller=number)
    await leg.until("up")
    await made.card(number, extension)
    return leg


async def test_a_connection_that_is_cut_in_mid_call(tmp_path: Path) -> None:
    """One call ends while nobody hears it, one goes on, one begins unheard; nothing hangs open."""
    async with lab(tmp_path, SUITE) as made:
        goes_on, ends = await in_talk(made, GOES_ON), await in_talk(made, ENDS_UNHEARD, "102", ANOTHER)
        made.relays[0].cut()
        began = time.monotonic()
        await made.until_pbx("waiting", NOTICED_S + 2)
        noticed_s = time.monotonic() - began
        ends.hang_up()
        begins = made.pbx.trunk.call(ONE, caller="79160005003")
        await begins.until("up")
        made.relays[0].heal()
        await made.until_pbx("connected", 40)
        assert (await made.settled(ENDS_UNHEARD))["extension"] == "102"
        await made.card("79160005003", "101")
        await made.card(GOES_ON, "101")
        goes_on.hang_up()
        begins.hang_up()
        assert (await made.settled(GOES_ON))["extension"] == "101"
        assert (await made.settled("79160005003"))["extension"] == "101"
        state = await made.pbx_state()
        report.record(report.FIGURES, f"connection cut in mid-call: noticed after {noticed_s:.1f} s, {state['closed']} call closed")
        assert noticed_s < NOTICED_S
        assert len(await made.stage.calls()) == 3


async def test_an_asterisk_that_hangs_and_goes_on(tmp_path: Path) -> None:
    async with lab(tmp_path, SUITE) as made:
        leg = await in_talk(made, GOES_ON)
        made.pbx.asterisk.freeze()
        began = time.monotonic()
        await made.until_pbx("waiting", NOTICED_S + 2)
        noticed_s = time.monotonic() - began
        made.pbx.asterisk.thaw()
        await made.until_pbx("connected", 40)
        await made.card(GOES_ON, "101")
        leg.hang_up()
        call = await made.settled(GOES_ON)
        report.record(report.FIGURES, f"Asterisk stopped in mid-call: noticed after {noticed_s:.1f} s")
        assert noticed_s < NOTICED_S
        assert call["extension"] == "101"
        assert call["effective_duration_ms"] / 1_000 == pytest.approx(leg.said[-1][0] - leg.said[0][0], abs=1.0)


@pytest.mark.parametrize("how", ["killed", "restarted"])
async def test_an_asterisk_that_ends_in_mid_call(how: str, tmp_path: Path) -> None:
    """Its calls are over, whatever the telephones think; the card goes as soon as it is back, and the next call is heard."""
    async with lab(tmp_path, SUITE) as made:
        await in_talk(made, GOES_ON)
        await (made.pbx.asterisk.kill() if how == "killed" else made.pbx.asterisk.stop())
        began = time.monotonic()
        await made.pbx.asterisk.start()
        call = await made.settled(GOES_ON)
        report.record(report.FIGURES, f"Asterisk {how} in mid-call: its call closed {time.monotonic() - began:.1f} s after")
        assert call["extension"] == "101"
        made.pbx.fresh()
        await made.until_pbx("connected", 40)
        leg = await in_talk(made, ENDS_UNHEARD)
        leg.hang_up()
        await made.settled(ENDS_UNHEARD)


async def test_a_service_that_is_killed_in_mid_call(tmp_path: Path) -> None:
    """One call ends while it is away, one goes on."""
    async with lab(tmp_path, SUITE) as made:
        goes_on, ends = await in_talk(made, GOES_ON), await in_talk(made, ENDS_UNHEARD, "102", ANOTHER)
        await made.service.kill()
        ends.hang_up()
        await asyncio.sleep(0.5)
        await made.service.start()
        assert (await made.settled(ENDS_UNHEARD))["extension"] == "102"
        await made.card(GOES_ON, "101")
        goes_on.hang_up()
        assert (await made.settled(GOES_ON))["extension"] == "101"
        assert len(await made.stage.calls()) == 2


async def test_of_two_instances_the_other_takes_over(tmp_path: Path) -> None:
    async with database() as postgres, lab(tmp_path, SUITE, instances=2, database=[postgres.port]) as made:
        goes_on, ends = await in_talk(made, GOES_ON), await in_talk(made, ENDS_UNHEARD, "102", ANOTHER)
        connected = [await made.connections(instance) for instance in made.stage.instances]
        assert sorted(connected) == [0, 1], "one of them keeps the connection"
        victim, other = sorted(made.stage.instances, key=lambda each: connected[made.stage.instances.index(each)], reverse=True)
        await victim.kill()
        ends.hang_up()
        began = time.monotonic()
        assert (await made.settled(ENDS_UNHEARD))["extension"] == "102"
        taken_s = time.monotonic() - began
        await made.until_pbx("connected", instance=other)
        goes_on.hang_up()
        assert (await made.settled(GOES_ON))["extension"] == "101"
        await victim.start()
        last = await in_talk(made, "79160005003")
        last.hang_up()
        await made.settled("79160005003")
        report.record(report.FIGURES, f"two instances, one killed in mid-call: its PBX's call closed after {taken_s:.1f} s")
        assert taken_s < TAKEN_OVER_S
        assert len(await made.stage.calls()) == 3


async def test_an_instance_that_is_stopped_for_a_while_and_goes_on(tmp_path: Path) -> None:
    """Another has taken over meanwhile; what both have heard is there once."""
    async with database() as postgres, lab(tmp_path, SUITE, instances=2, database=[postgres.port]) as made:
        leg = await in_talk(made, GOES_ON)
        connected = [await made.connections(instance) for instance in made.stage.instances]
        victim, other = sorted(made.stage.instances, key=lambda each: connected[made.stage.instances.index(each)], reverse=True)
        victim.freeze()
        deadline = time.monotonic() + 20
        while not await made.connections(other):
            assert time.monotonic() < deadline, made.stage.tails()
            await asyncio.sleep(0.1)
        leg.hang_up()
        await made.settled(GOES_ON)
        victim.thaw()
        last = await in_talk(made, ENDS_UNHEARD)
        last.hang_up()
        await made.settled(ENDS_UNHEARD)
        deadline = time.monotonic() + LETS_GO_S
        while await made.connections(victim):
            assert time.monotonic() < deadline, made.stage.tails()
            await asyncio.sleep(0.1)
        assert len(await made.stage.calls()) == 2


async def test_a_database_that_is_away_in_mid_call(tmp_path: Path) -> None:
    """What is said meanwhile waits, and nothing of it is lost; the connection stays."""
    async with (
        database() as postgres,
        lab(tmp_path, SUITE, database=[postgres.port], cuttable=True) as made,
    ):
        leg = await in_talk(made, GOES_ON)
        made.service.cut(database_only=True)
        made.pbx["102"].behave = answering(0.3)
        employee = await made.pbx["101"].called()
        employee.send_to("102")
        other = await made.pbx["102"].called()
        await other.until("up")
        await asyncio.sleep(6.0)
        leg.hang_up()
        await other.until("over")
        made.service.heal()
        call = await made.settled(GOES_ON, 60)
        assert call["extension"] == "102"
        assert (await made.pbx_state())["connections"] == 1
        assert await made.outcome(GOES_ON) == "answered"


async def test_a_pbx_that_tells_both_ways(tmp_path: Path) -> None:
    """The PBX script's events of the same call come by the dispatcher, later and in their own form: it stays one call."""
    async with lab(tmp_path, SUITE) as made:
        leg = await in_talk(made, GOES_ON)
        (call,) = await made.moysklad(GOES_ON)
        unique_id = call["external_id"].removeprefix(f"{ENTERPRISE}-")
        dial = {"UniqueId": unique_id, "Phone": GOES_ON, "Extensions": ["101"], "CallType": 0, "Trunk": "trunk-alpha"}
        await made.post({"event": "dial", "raw": dial})
        await asyncio.sleep(0.5)
        leg.hang_up()
        began, ended = (time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at + MINSK_S)) for at in (leg.said[0][0], leg.said[-1][0]))
        hangup = {**dial, "CallStatus": "2", "DateReceived": began, "StartTime": began, "EndTime": ended}
        await made.post({"event": "hangup", "raw": hangup, "record_url": "https://records.example.org/1.mp3"})
        call = await made.settled(GOES_ON)
        assert call["extension"] == "101"
        assert await made.outcome(GOES_ON) == "answered"
        assert len(await made.stage.calls()) == 1
        await made.until(lambda: _has_record(made))
        assert sum(len(each["open_cards"]) for each in await made.stage.calls()) == 0


async def _has_record(made: Lab) -> bool:
    (call,) = await made.moysklad(GOES_ON)
    return bool(call["record_urls"]) and not call["open_cards"]
