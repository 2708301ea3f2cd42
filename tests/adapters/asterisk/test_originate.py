"""Click-to-call by AMI: the originator's contract, on a manager under a test's control."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.asterisk import connection as connection_module
from adapters.asterisk import originate as module
from adapters.asterisk.config import Originate
from adapters.asterisk.originate import AmiOriginator
from core.origination import ORIGINATE_S, Origination, OriginationRefused
from tests.adapters.asterisk.peer import SECRET, Manager, config_of, listening
from tests.contracts.originator import ENTERPRISE, EXTENSION, NUMBER, OriginatorContract, order


class AmiExchange:
    """See ``tests.contracts.originator.Exchange``."""

    secrets = (SECRET,)

    def __init__(self, manager: Manager) -> None:
        self.manager = manager

    def rung(self) -> list[tuple[str, str]]:
        """See ``Exchange``. Asterisk is given digits; the test's number has a plus."""
        return [(extension, f"+{number}") for extension, number in self.manager.rung]

    async def refuse(self) -> None:
        """See ``Exchange``."""
        self.manager.originate = "refuse"

    async def go_away(self) -> None:
        """See ``Exchange``."""
        await self.manager.stop_listening()

    async def fall_silent(self) -> None:
        """See ``Exchange``."""
        self.manager.originate = "silent"

    async def hang_up_on(self) -> None:
        """See ``Exchange``."""
        self.manager.originate = "hang up"


class TestAmiOriginator(OriginatorContract):
    @pytest.fixture
    async def manager(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Manager]:
        monkeypatch.setattr(connection_module, "ANSWER_S", 0.5)
        async with listening(Manager()) as manager:
            yield manager

    @pytest.fixture
    def exchange(self, manager: Manager) -> AmiExchange:
        return AmiExchange(manager)

    @pytest.fixture
    def originator(self, manager: Manager) -> AmiOriginator:
        return AmiOriginator([config_of(manager)], now_ms=lambda: 0)

    async def test_the_order_is_as_configured(self, originator: AmiOriginator, manager: Manager) -> None:
        await originator.originate(order("click-7"))
        (asked,) = manager.asked("Originate")
        assert {name: value for name, value in asked.items() if name not in ("Action", "ActionID")} == {
            "Channel": f"PJSIP/{EXTENSION}",
            "Context": "from-internal",
            "Exten": NUMBER.lstrip("+"),
            "Priority": "1",
            "CallerID": f"{NUMBER.lstrip('+')} <{EXTENSION}>",
            "Timeout": "30000",
            "ChannelId": "click-7",
            "Async": "true",
        }
        assert manager.asked("Login")[0]["Events"] == "call"

    async def test_a_telephone_that_is_not_there_is_a_refusal(self, originator: AmiOriginator, manager: Manager) -> None:
        manager.originate = "no telephone"
        with pytest.raises(OriginationRefused, match="no such telephone"):
            await originator.originate(order())

    async def test_a_login_that_is_refused_rings_nobody(self, originator: AmiOriginator, manager: Manager) -> None:
        manager.lets_in = False
        with pytest.raises(OriginationRefused, match="refuses the login"):
            await originator.originate(order())
        assert manager.rung == []

    async def test_of_two_pbxes_the_one_that_can_be_reached(self, manager: Manager) -> None:
        async with listening(Manager()) as gone:
            pass
        originator = AmiOriginator([config_of(gone, name="gone"), config_of(manager)], now_ms=lambda: 0)
        await originator.originate(order())
        assert len(manager.rung) == 1

    async def test_a_pbx_that_hangs_leaves_the_next_one_its_part_of_the_time(
        self, manager: Manager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection_module, "ANSWER_S", 60.0)

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent:
            hangs = replace(config_of(manager, name="hangs"), port=silent.sockets[0].getsockname()[1])
            originator = AmiOriginator([hangs, config_of(manager)], now_ms=lambda: 0)
            await originator.originate(replace(order(), within_s=2.0))
        assert len(manager.rung) == 1

    async def test_an_order_that_comes_too_late_rings_nobody(self, originator: AmiOriginator, manager: Manager) -> None:
        """The click was taken up late, and writing that down took its time, too."""
        with pytest.raises(OriginationRefused, match="cannot be reached"):
            await originator.originate(replace(order(), within_s=-0.1))
        assert manager.rung == []

    async def test_a_pbx_without_orders_serves_nobody(self, manager: Manager) -> None:
        originator = AmiOriginator([replace(config_of(manager), originate=None)], now_ms=lambda: 0)
        assert not originator.serves(ENTERPRISE)
        assert not AmiOriginator([config_of(manager)], now_ms=lambda: 0).serves("0999")

    async def test_templates(self, manager: Manager) -> None:
        form = Originate(channel="SIP/{extension}", context="office", exten="9{number}", caller_id="{digits}", timeout_s=20)
        originator = AmiOriginator([replace(config_of(manager), originate=form)], now_ms=lambda: 0)
        await originator.originate(Origination(enterprise=ENTERPRISE, extension="102", number="+375290000001", channel_id="c"))
        (asked,) = manager.asked("Originate")
        assert [asked[name] for name in ("Channel", "Context", "Exten", "CallerID", "Timeout")] == [
            "SIP/102", "office", "9+375290000001", "375290000001", "20000",
        ]  # fmt: skip


def test_the_whole_order_keeps_to_the_port_s_limit() -> None:
    assert module.WHOLE_S < ORIGINATE_S
