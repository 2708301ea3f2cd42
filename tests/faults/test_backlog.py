"""Started anew with a backlog: everything was heard, nothing was joined or told. Reactor and switchboard begin at once."""

from __future__ import annotations

import pytest

from tests.playback import TRUTH, as_call_event, recording
from tests.rig import running


@pytest.mark.parametrize("name", ["attended_transfer", "blind_transfer"])
async def test_a_backlog_that_the_reactor_sees_first_ends_as_it_happened(name: str, database_url: str) -> None:
    lines = recording(name)
    async with running(database_url) as rig:
        for line in lines:
            rig.clock.now_ms = line.at_ms
            status, answer = await rig.post(*as_call_event(line))
            assert status == 200, answer
        rig.clock.now_ms += 600
        for due in await rig.service.store.due(rig.clock.now_ms, 100):
            rig.service.reactor.wake(due.stream)
        await rig.service.reactor.idle()
        assert await rig.requests() == [], "nothing is told before the legs are joined"
        await rig.settle()
        await rig.wait(60_000)
        (row,) = await rig.rows()
        assert row["extension"] == TRUTH[name][0]["talked"][-1]
        assert row["open_cards"] == []
