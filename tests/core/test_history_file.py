"""A history leaves the house as a file and comes back as it was, without secrets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.decisions import Limits
from core.history_file import HERE, BadHistory, HistoryFile, Stored, dump, load, stored_of, without_secrets
from tests.scenario import given
from tests.settings import MS_CONFIG, SETTINGS
from tests.world import ENTERPRISE

RING = "0 A start\n0.5 A dial 101 102\n20 A hangup - end=20\n"


def history(table: str = RING) -> HistoryFile:
    world = given(table).finished().world
    return HistoryFile(
        enterprise=ENTERPRISE,
        call="A",
        config=MS_CONFIG,
        stored=stored_of(world.streams["call/A"]),
        limits=Limits(call_max_ms=60_000),
        until_ms=world.now_ms,
        about="a missed call",
        expect={"outcome": "missed", "card 101": ["shown", "hidden"], "parked": None},
    )


def test_it_comes_back_as_it_was() -> None:
    found = load(dump(history()))
    assert [each.type for each in found.events] == [each.type for each in history().events]
    assert found.folded == history().folded
    assert (found.limits, found.until_ms, found.about, found.expect) == (
        Limits(call_max_ms=60_000), history().until_ms, "a missed call", history().expect,
    )  # fmt: skip
    assert found.settings == SETTINGS
    assert load(dump(found)) == found


def test_no_secret_and_no_address_leaves_the_house() -> None:
    config = {**MS_CONFIG, "webhook_uuid": "9c9c", "webhook_url": "https://x/9c9c", "other": {"password": "p4ss"}}
    text = dump(replace(history(), config=config)).decode()
    assert not any(secret in text for secret in (MS_CONFIG["api_token"], MS_CONFIG["integration_code"], "9c9c", "p4ss"))
    assert without_secrets({"api_token": "", "integration_code": "k"}) == {"api_token": "", "integration_code": HERE}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "line 1"),
        (b"{}\n", "line 1"),
        (b'{"history": 2}\n', "line 1"),
        (b"nonsense", "line 1 is not JSON"),
        (b'{"history": 1, "enterprise": "1"}\n', "cannot be read"),
        (b'{"history": 1, "enterprise": "1", "call": "A"}\n[]\n', "line 2 is not an object"),
        (b'{"history": 1, "enterprise": "1", "call": "A"}\n{"type": 3}\n', "cannot be read"),
        (b'{"history": 1, "enterprise": "1", "call": "A", "limits": {"call_max_ms": "x"}}\n', "cannot be read"),
    ],
)
def test_what_is_no_history_is_said_to_be_none(content: bytes, says: str) -> None:
    with pytest.raises(BadHistory, match=says):
        load(content)


@pytest.mark.parametrize(
    "stored",
    [
        Stored(type="from_the_future", schema=1, data={}),
        Stored(type="call_overdue", schema=99, data={}),
        Stored(type="call_overdue", schema=1, data={"at_ms": "noon"}),
    ],
)
def test_an_event_that_cannot_be_read_is_named(stored: Stored) -> None:
    with pytest.raises(BadHistory, match=rf"event 1 \({stored.type}"):
        _ = HistoryFile(enterprise="1", call="A", config={}, stored=(stored,)).events
