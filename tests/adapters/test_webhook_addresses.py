"""Whose webhook an address is: unknown ones cost the database little, wrong ones nothing is said of."""

from __future__ import annotations

import asyncio

import pytest

from adapters.webhook_addresses import FRESH_S, WebhookAddresses, webhook_url
from core.errors import StoreUnavailable

UUID, OTHER = "6f0c4c5e-6f0a-4d8e-9a57-6a2b8a3d9c11", "6f0c4c5e-6f0a-4d8e-9a57-6a2b8a3d9c12"


class Table:
    """The rows, and how often they were read."""

    def __init__(self) -> None:
        self.rows = [(UUID, "0367")]
        self.reads = 0
        self.away = False
        self.now_s = 100.0
        self.addresses = WebhookAddresses(self.load, lambda: self.now_s)

    async def load(self) -> list[tuple[str, str]]:
        self.reads += 1
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("away")
        return self.rows


@pytest.fixture
def table() -> Table:
    return Table()


BASE = "https://new.example.invalid/base"
OLD = "https://old.example.invalid/ms/webhook/u-1"
HERE = "http://127.0.0.1:8023"


@pytest.mark.parametrize(
    ("public", "known", "shown"),
    [
        (BASE, "", f"{BASE}/ms/webhook/u-1"),
        (BASE, OLD, f"{BASE}/ms/webhook/u-1"),
        (HERE, "", f"{HERE}/ms/webhook/u-1"),
        (HERE, OLD, OLD),
        (HERE, OLD.replace("u-1", "u-2"), f"{HERE}/ms/webhook/u-1"),
    ],
)
def test_the_address_is_the_one_in_force_or_the_one_that_somebody_knew(public: str, known: str, shown: str) -> None:
    assert webhook_url(public, {"webhook_uuid": "u-1", "webhook_url": known}) == shown
    assert webhook_url(public, {"webhook_url": known}) == known


async def test_its_own_and_nobody_s(table: Table) -> None:
    assert await table.addresses.find(UUID.upper()) == "0367"
    for shown in (OTHER, UUID[:-1], UUID + "0", "", "%", "\ud800", "x" * 10_000):
        assert await table.addresses.find(shown) is None
    assert table.reads == 1


async def test_many_unknown_at_once_read_the_table_once(table: Table) -> None:
    assert await asyncio.gather(*(table.addresses.find(f"{n:036}") for n in range(100))) == [None] * 100
    assert table.reads == 1


async def test_a_new_one_is_found_soon(table: Table) -> None:
    assert await table.addresses.find(OTHER) is None
    table.rows.append((OTHER, "0368"))
    assert await table.addresses.find(OTHER) is None
    table.now_s += FRESH_S
    assert await table.addresses.find(OTHER) == "0368"


async def test_what_is_known_needs_no_database(table: Table) -> None:
    await table.addresses.find(UUID)
    table.now_s += 1_000
    table.away = True
    assert await table.addresses.find(UUID) == "0367"
    with pytest.raises(StoreUnavailable):
        await table.addresses.find(OTHER)
    assert await table.addresses.find(UUID) == "0367"


async def test_what_was_known_wrongly_is_looked_for_anew(table: Table) -> None:
    await table.addresses.find(UUID)
    table.rows[:] = [(UUID, "0368")]
    assert await table.addresses.find(UUID) == "0367"
    table.now_s += FRESH_S
    assert await table.addresses.find(UUID, anew=True) == "0368"
