"""What the demos print."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from adapters.demo_exchange import PBX_ZONE
from adapters.demo_stage import clock


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine on the other side of the world."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "Pacific/Honolulu")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
def test_the_screens_are_told_at_the_times_of_the_calls_and_replays() -> None:
    now = datetime.now(PBX_ZONE)
    assert clock() in {(now + timedelta(seconds=passed)).strftime("%H:%M:%S") for passed in (0, 1)}
