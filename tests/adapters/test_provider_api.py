"""The provider's HTTP API keeps the originator's contract; an order is sent once, and the secret in its address goes nowhere."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest

from adapters.provider_api import ProviderApi, opened_session
from core.errors import StoreUnavailable
from core.origination import Origination, OriginationError, OriginationInDoubt, OriginationRefused, Originator
from tests.contracts.originator import ENTERPRISE, EXTENSION, NUMBER, Exchange, OriginatorContract, order
from tests.exchange import SECRET, FakeApi, provider


async def secret_of(enterprise: str) -> str:
    return SECRET if enterprise == ENTERPRISE else ""


class HttpExchange:
    """The provider's API as the contract sees an exchange."""

    def __init__(self, api: FakeApi) -> None:
        self._api = api
        self.secrets = (SECRET,)

    def rung(self) -> list[tuple[str, str]]:
        return self._api.orders

    async def refuse(self) -> None:
        self._api.refusing = True

    async def go_away(self) -> None:
        await self._api.stop()

    async def fall_silent(self) -> None:
        self._api.silent = True

    async def hang_up_on(self) -> None:
        self._api.broken = True


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with provider() as api:
        yield api


@pytest.fixture
async def originator(api: FakeApi) -> AsyncIterator[Originator]:
    async with opened_session() as session:
        yield ProviderApi(session, api.url, secret_of)


class TestProviderApi(OriginatorContract):
    @pytest.fixture
    def exchange(self, api: FakeApi) -> Exchange:
        return HttpExchange(api)


async def test_the_order_as_the_contract_writes_it(originator: Originator, api: FakeApi) -> None:
    await originator.originate(order())
    assert api.asked == [{"code": EXTENSION, "phone": NUMBER, "clientId": SECRET}]


@pytest.mark.parametrize(
    "body",
    [
        '{"success": false}',
        '{"success": false, "message": "no such subscriber"}',
        '{"error": "busy"}',
        '{"errors": ["busy"]}',
        '{"status": "error"}',
        '{"status": "Failed", "description": "busy"}',
        '{"result": false}',
        '{"result": "error"}',
        '{"response": "Error", "message": "Extension does not exist."}',
    ],
)
async def test_a_200_may_say_that_it_was_not_done(originator: Originator, api: FakeApi, body: str) -> None:
    api.body = body
    with pytest.raises(OriginationRefused):
        await originator.originate(order())


@pytest.mark.parametrize(
    "body", ['{"success": true}', '{"status": "ok"}', '{"result": "OK"}', '{"error": null}', "", "OK", "[]", "<html></html>"]
)
async def test_any_other_200_is_taken_at_its_word(originator: Originator, api: FakeApi, body: str) -> None:
    api.body = body
    await originator.originate(order())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, OriginationRefused),
        (401, OriginationRefused),
        (403, OriginationRefused),
        (404, OriginationRefused),
        (429, OriginationRefused),
        (500, OriginationInDoubt),
        (502, OriginationInDoubt),
        (504, OriginationInDoubt),
    ],
)
async def test_whether_it_may_ring_all_the_same(
    originator: Originator, api: FakeApi, status: int, kind: type[OriginationError]
) -> None:
    api.status = status
    with pytest.raises(kind) as caught:
        await originator.originate(order())
    assert str(status) in caught.value.error


async def test_it_follows_nobody_elsewhere_with_the_secret(originator: Originator, api: FakeApi) -> None:
    async with provider() as elsewhere:
        api.leads_to = f"{elsewhere.url}/api/makecallexternal?code=101&phone=1&clientId=x"
        with pytest.raises(OriginationRefused):
            await originator.originate(order())
        assert elsewhere.asked == []


@pytest.mark.parametrize("said", [f"bad clientId {SECRET}", "call +375 29 000-00-01 failed", "x" * 5_000, "a\nb\x00c"])
async def test_what_the_api_says_is_shown_without_secrets_numbers_and_length(
    originator: Originator, api: FakeApi, said: str
) -> None:
    api.body = f'{{"success": false, "message": {said!r}}}'.replace("'", '"').replace("\\x00", "")
    with pytest.raises(OriginationRefused) as caught:
        await originator.originate(order())
    assert SECRET not in caught.value.error
    assert "000-00" not in caught.value.error
    assert len(caught.value.error) < 250
    assert caught.value.error.isprintable()


async def test_an_answer_without_end_is_not_waited_for(originator: Originator, api: FakeApi) -> None:
    api.body = "x" * 300_000
    await originator.originate(order())


async def test_the_database_may_be_away(api: FakeApi) -> None:
    async def away(enterprise: str) -> str:
        raise StoreUnavailable("away")

    async with opened_session() as session:
        with pytest.raises(StoreUnavailable):
            await ProviderApi(session, api.url, away).originate(order())
    assert api.asked == []


async def test_nothing_that_is_logged_tells_the_secret(
    originator: Originator, api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await originator.originate(order())
    api.broken = True
    with pytest.raises(OriginationInDoubt) as caught:
        await originator.originate(order())
    client_side = [record for record in caplog.records if not record.name.startswith(("aiohttp.access", "aiohttp.server"))]
    assert SECRET not in "".join(record.getMessage() for record in client_side)
    assert caught.value.__suppress_context__


async def test_it_serves_whoever_has_nothing_better(originator: Originator) -> None:
    assert originator.serves("anybody")
    with pytest.raises(OriginationRefused, match="no secret"):
        await originator.originate(
            Origination(enterprise="anybody", extension=EXTENSION, number=NUMBER, channel_id="click-1")
        )
