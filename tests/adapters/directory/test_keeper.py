"""Our webhooks in MoySklad: there while the integration is on, right, and gone when it is off (CONTRACT-MOYSKLAD 2.8)."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from adapters.directory.keeper import NO_ADDRESS, NOT_YET, REFUSED, SWITCHED_OFF, WELL, Keeper, may_register
from adapters.sandbox import SANDBOX_LOGIN, SANDBOX_PASSWORD
from core.contacts import AGED_MS
from core.hooks import WANTED
from core.settings import Settings
from tests.adapters.directory.support import asked, configure, moysklad, trouble
from tests.rig import ENTERPRISE, Rig
from tests.settings import SETTINGS

PREFIX = "https://calls.example.invalid/ms/hooks/"


def keeper_of(rig: Rig, public_url: str = "https://calls.example.invalid") -> Keeper:
    return Keeper(
        rig.service.pool,
        settings=rig.service.settings,
        json=rig.service.moysklad.json,
        integrations=rig.service.directory.integrations,
        turn=rig.service.directory.lookups._turn,
        public_url=public_url,
    )


async def look(rig: Rig, keeper: Keeper) -> int:
    """One look that sees the settings as they are."""
    rig.service.directory.integrations._state.looked_at = float("-inf")
    return await keeper.look()


async def there(rig: Rig) -> set[tuple[str, str, str]]:
    rows = (await moysklad(rig, "GET", "/entity/webhook"))["rows"]
    return {(row["entityType"], row["action"], row["url"]) for row in rows}


async def secret(rig: Rig) -> str:
    return str(await rig.service.pool.fetchval("SELECT secret FROM directory_hooks WHERE enterprise = $1", ENTERPRISE))


async def hasten(rig: Rig) -> None:
    """As if the time to look again had come."""
    await rig.service.pool.execute("UPDATE directory_hooks SET next_at = now() - interval '1 s'")


async def test_they_are_made_once_and_then_only_looked_at_when_it_is_time(rig: Rig) -> None:
    keeper = keeper_of(rig)
    assert keeper.in_words(ENTERPRISE, SETTINGS) == (False, NOT_YET)
    assert await look(rig, keeper) == 1
    url = PREFIX + await secret(rig)
    assert await there(rig) == {(entity, action, url) for entity, action in WANTED}
    assert keeper.watches(ENTERPRISE)
    assert keeper.in_words(ENTERPRISE, SETTINGS) == (True, WELL)
    assert await look(rig, keeper) == 0
    await hasten(rig)
    assert await look(rig, keeper) == 1
    assert (await asked(rig)).count("POST /entity/webhook") == len(WANTED)
    assert keeper.states() == {"on": 1}


async def test_what_somebody_switched_off_or_removed_is_put_right(rig: Rig) -> None:
    keeper = keeper_of(rig)
    await look(rig, keeper)
    rows = (await moysklad(rig, "GET", "/entity/webhook"))["rows"]
    update = next(row for row in rows if row["action"] == "UPDATE")
    await moysklad(rig, "PUT", f"/entity/webhook/{update['id']}", {"enabled": False})
    await moysklad(rig, "DELETE", f"/entity/webhook/{rows[0]['id']}")
    await hasten(rig)
    assert await look(rig, keeper) == 1
    after = (await moysklad(rig, "GET", "/entity/webhook"))["rows"]
    assert len(after) == len(WANTED)
    assert all(row["enabled"] for row in after)


async def test_others_webhooks_stay(rig: Rig) -> None:
    foreign = {"url": "https://shop.example.org/hook", "action": "CREATE", "entityType": "counterparty"}
    await moysklad(rig, "POST", "/entity/webhook", foreign)
    keeper = keeper_of(rig)
    await look(rig, keeper)
    await configure(rig, enabled=False)
    await look(rig, keeper)
    assert await there(rig) == {("counterparty", "CREATE", "https://shop.example.org/hook")}


@pytest.mark.parametrize("how", ["off", "token", "deleted"])
async def test_they_go_with_the_integration(rig: Rig, how: str) -> None:
    keeper = keeper_of(rig)
    await look(rig, keeper)
    match how:
        case "off":
            await configure(rig, enabled=False)
        case "token":
            await configure(rig, api_token="")
        case _:
            await rig.service.settings.delete(ENTERPRISE, by="test")
    assert await look(rig, keeper) == 1
    assert await there(rig) == set(), "asked with the token that made them, where there is none any more"
    assert await rig.service.pool.fetchval("SELECT count(*) FROM directory_hooks") == 0
    assert not keeper.watches(ENTERPRISE)


async def test_while_moysklad_is_away_they_are_remembered_to_be_removed(rig: Rig) -> None:
    keeper = keeper_of(rig)
    await look(rig, keeper)
    await configure(rig, enabled=False)
    await trouble(rig, action="status", status=503, code=1074, api="remap", times=1)
    assert await look(rig, keeper) == 1
    assert len(await there(rig)) == len(WANTED)
    rig.service.moysklad.json.transport.forget("5a0db0c0ffee00000000000000000000000000b2")
    await hasten(rig)
    await look(rig, keeper)
    assert await there(rig) == set()


async def test_a_missing_right_is_said_in_words_and_not_asked_for_again_and_again(rig: Rig) -> None:
    seed = {"name": "other", "phone_key": "b" * 40, "api_token": "c" * 40, "token_extension": "101"}
    seed |= {"employees": [{"name": "Анна", "extension": "101"}]}  # type: ignore[dict-item]
    async with rig.sandbox.post("/sandbox/seed", json={"accounts": [seed]}) as answer:
        assert answer.status == 200, await answer.text()
    await configure(rig, integration_code="b" * 40, api_token="c" * 40)
    keeper = keeper_of(rig)
    assert await look(rig, keeper) == 1
    told, words = keeper.in_words(ENTERPRISE, SETTINGS)
    assert not told
    assert "администратору" in words
    assert "нет права на просмотр" in words
    assert await look(rig, keeper) == 0
    assert await asked(rig) == ["GET /entity/webhook"]
    assert not keeper.watches(ENTERPRISE)


async def test_another_account_gets_an_address_of_its_own(rig: Rig) -> None:
    seed = {"name": "other", "phone_key": "b" * 40, "api_token": "c" * 40}
    async with rig.sandbox.post("/sandbox/seed", json={"accounts": [seed]}) as answer:
        assert answer.status == 200
    keeper = keeper_of(rig)
    await look(rig, keeper)
    before = await secret(rig)
    await configure(rig, integration_code="b" * 40, api_token="c" * 40)
    assert await look(rig, keeper) == 1
    assert await secret(rig) != before
    assert await there(rig) == set(), "nothing is left at the account of before"
    async with rig.sandbox.get("/sandbox/accounts") as answer:
        accounts = {each["name"]: each["entities"].get("webhook", 0) for each in (await answer.json())["accounts"]}
    assert accounts == {"sandbox": 0, "other": len(WANTED)}


async def test_a_new_token_of_the_same_account_takes_over_what_the_revoked_one_made(rig: Rig) -> None:
    """Issuing a token revokes the user's previous ones (CONTRACT-MOYSKLAD 2.1), and an account has five webhooks of a kind."""
    keeper = keeper_of(rig)
    await look(rig, keeper)
    basic = aiohttp.encode_basic_auth(SANDBOX_LOGIN, SANDBOX_PASSWORD)
    headers = {"Authorization": basic, "Accept-Encoding": "gzip"}
    for _ in range(6):
        async with rig.sandbox.post("/api/remap/1.2/security/token", headers=headers) as answer:
            token = (await answer.json())["access_token"]
        await configure(rig, api_token=token)
        assert await look(rig, keeper) == 1
        assert keeper.watches(ENTERPRISE), keeper.in_words(ENTERPRISE, SETTINGS)
        async with rig.sandbox.get("/api/remap/1.2/entity/webhook", headers=headers) as answer:
            hooks = (await answer.json())["rows"]
        assert [each["url"] for each in hooks] == [PREFIX + await secret(rig)] * len(WANTED)


async def test_a_new_token_takes_over_also_where_moysklad_is_away_at_first(rig: Rig) -> None:
    keeper = keeper_of(rig)
    await look(rig, keeper)
    basic = aiohttp.encode_basic_auth(SANDBOX_LOGIN, SANDBOX_PASSWORD)
    headers = {"Authorization": basic, "Accept-Encoding": "gzip"}
    async with rig.sandbox.post("/api/remap/1.2/security/token", headers=headers) as answer:
        token = (await answer.json())["access_token"]
    await configure(rig, api_token=token)
    await trouble(rig, action="status", status=503, code=1074, api="remap")
    assert await look(rig, keeper) == 1
    assert not keeper.watches(ENTERPRISE)
    assert await look(rig, keeper) == 0, "it waits"
    async with rig.sandbox.delete("/sandbox/faults") as answer:
        assert answer.status == 200
    rig.service.moysklad.json.transport.forget(token)
    await hasten(rig)
    assert await look(rig, keeper) == 1
    async with rig.sandbox.get("/api/remap/1.2/entity/webhook", headers=headers) as answer:
        hooks = (await answer.json())["rows"]
    assert [each["url"] for each in hooks] == [PREFIX + await secret(rig)] * len(WANTED)


async def test_two_instances_do_not_do_it_twice(rig: Rig) -> None:
    first = keeper_of(rig)
    await look(rig, first)
    await hasten(rig)
    await rig.service.pool.execute("UPDATE directory_hooks SET claimed_until = now() + interval '1 min'")
    assert await look(rig, keeper_of(rig)) == 0, "another one is at it"


async def test_after_a_move_the_old_address_goes(rig: Rig) -> None:
    await look(rig, keeper_of(rig, "https://old.example.invalid"))
    await hasten(rig)
    await look(rig, keeper_of(rig))
    assert {url for _, _, url in await there(rig)} == {PREFIX + await secret(rig)}


async def test_without_a_public_address_nothing_is_asked_for(rig: Rig) -> None:
    keeper = keeper_of(rig, "")
    assert await look(rig, keeper) == 0
    assert await asked(rig) == []
    assert keeper.in_words(ENTERPRISE, SETTINGS) == (False, NO_ADDRESS)
    assert keeper.in_words(ENTERPRISE, Settings()) == (False, SWITCHED_OFF)


@pytest.mark.parametrize(
    ("public", "main", "may"),
    [
        ("https://calls.example.org", "https://api.moysklad.ru/api/remap/1.2", True),
        ("http://calls.example.org", "https://api.moysklad.ru/api/remap/1.2", False),
        ("http://127.0.0.1:8023", "https://api.moysklad.ru/api/remap/1.2", False),
        ("http://127.0.0.1:8023", "http://127.0.0.1:8024/api/remap/1.2", True),
        ("https://" + "a" * 220, "https://api.moysklad.ru/api/remap/1.2", False),
    ],
)
def test_where_moysklad_can_reach_us(public: str, main: str, may: bool) -> None:
    assert may_register(public, main) == may


def test_words_are_whole_sentences() -> None:
    words: list[Any] = [NO_ADDRESS, NOT_YET, SWITCHED_OFF, WELL]
    assert all(text.endswith(".") for text in words)


def test_no_name_is_promised_sooner_than_it_is_asked_for() -> None:
    assert AGED_MS == 24 * 3_600_000, "so long an old name is said once more"
    assert all("звонил меньше суток назад" in text and "минут" not in text for text in (NO_ADDRESS, REFUSED))
