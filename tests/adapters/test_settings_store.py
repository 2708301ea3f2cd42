"""Settings in a real PostgreSQL: the row that is shared with others, its history, and what a call works under."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson
import pytest
from cryptography.fernet import Fernet

from adapters.postgres import database
from adapters.postgres.database import close_pool, create_pool
from adapters.retries import FORGET_BEFORE_S
from adapters.service import SETTINGS_CONNECTIONS
from adapters.settings_store import (
    FRESH_S,
    INLINE_ENTERPRISE,
    LOOKED_TOGETHER,
    LOOKS_AT_ONCE,
    PHONE_API_URL,
    RETRY_AFTER_S,
    Current,
    SettingsConflict,
    SettingsStore,
)
from adapters.vault import PREFIX, Vault
from core.errors import StoreUnavailable
from core.settings import SettingsError, masked
from core.values import Direction
from tests.adapters.postgres.support import waiting_for_locks
from tests.eventually import until

KEY = Fernet.generate_key()
ENTERPRISE = "0367"
PHONE_KEY, API_TOKEN = "fictional-phone-key-1a2b", "fictional-api-token-3c4d"
UPDATE: dict[str, Any] = {
    "enabled": True,
    "integration_code": PHONE_KEY,
    "api_token": API_TOKEN,
    "notifications": {"call_notify_mode": "during", "notify_incoming": True, "notify_outgoing": False},
}
OTHERS = {"smart": {"primary": "ms", "lines": {"gsm:0001001": {"enabled": True}}}, "retailcrm": {"api_token": "theirs"}}


@dataclass(slots=True)
class Clock:
    at_s: float = 1_000.0

    def __call__(self) -> float:
        return self.at_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(pg_pool: asyncpg.Pool, clock: Clock) -> SettingsStore:
    return another(pg_pool, clock)


def another(pool: asyncpg.Pool, clock: Clock, key: bytes = KEY, *, records: bool = True) -> SettingsStore:
    """The store as a second process has it."""
    vault = Vault([key])
    return SettingsStore(pool, vault, public_url="https://calls.example.invalid/", monotonic_s=clock, records=records)


async def write_row(pool: asyncpg.Pool, config: Any, *, number: str = ENTERPRISE, secret: str | None = None) -> None:
    """What another program does to the row by SQL. A text is stored as a JSON string, as some programs do."""
    await pool.execute(
        "INSERT INTO public.enterprises (number, secret, integrations_config) VALUES ($1, $2, $3)"
        " ON CONFLICT (number) DO UPDATE SET integrations_config = $3, secret = coalesce($2, enterprises.secret)",
        number,
        secret,
        config,
    )


async def row(pool: asyncpg.Pool, number: str = ENTERPRISE) -> Any:
    return await pool.fetchval("SELECT integrations_config FROM public.enterprises WHERE number = $1", number)


# -- reading -------------------------------------------------------------------------------------------------------


async def test_nobody_knows_an_enterprise_that_is_not_there(store: SettingsStore) -> None:
    assert await store.current("0999") is None
    assert await store.by_token("nobody's") is None
    assert not await store.delete("0999", by="test")


@pytest.mark.parametrize("form", ["jsonb", "string", "string inside"])
async def test_a_row_of_others_is_read_in_every_form(store: SettingsStore, pg_pool: asyncpg.Pool, form: str) -> None:
    config: Any = {**OTHERS, "ms": UPDATE}
    if form == "string":
        config = orjson.dumps(config).decode()
    elif form == "string inside":
        config = {**OTHERS, "ms": orjson.dumps(UPDATE).decode()}
    await write_row(pg_pool, config)
    current = await store.current(ENTERPRISE)
    assert current is not None
    assert current.settings.enabled
    assert (current.account.phone_key, current.account.api_token) == (PHONE_KEY, API_TOKEN)
    assert current.revision == 1
    assert PHONE_KEY not in repr(current)
    assert API_TOKEN not in repr(current)


@pytest.mark.parametrize("config", [None, {}, OTHERS, {"ms": None}, {"ms": []}, [], "not json", 7])
async def test_a_row_without_settings_is_switched_off(store: SettingsStore, pg_pool: asyncpg.Pool, config: Any) -> None:
    await write_row(pg_pool, config)
    current = await store.current(ENTERPRISE)
    assert current is not None
    assert (current.revision, current.settings.enabled) == (0, False)


async def test_the_token_of_a_host_names_its_enterprise(store: SettingsStore, pg_pool: asyncpg.Pool) -> None:
    await write_row(pg_pool, None, secret="unit-token-0367")
    await write_row(pg_pool, None, number="0368", secret="")
    assert await store.by_token("unit-token-0367") == ENTERPRISE
    assert await store.by_token("unit-token-036") is None
    assert await store.by_token("") is None


async def test_a_burst_of_signals_costs_one_query(store: SettingsStore, pg_pool: asyncpg.Pool) -> None:
    await write_row(pg_pool, {"ms": UPDATE})
    found = await asyncio.gather(*(store.current(ENTERPRISE) for _ in range(200)))
    assert len({id(each) for each in found}) == 1
    assert await pg_pool.fetchval("SELECT count(*) FROM settings_revisions") == 1


async def test_what_was_in_force_serves_while_the_database_is_away(
    store: SettingsStore, pg_pool: asyncpg.Pool, clock: Clock
) -> None:
    await write_row(pg_pool, {"ms": UPDATE})
    before = await store.current(ENTERPRISE)
    pg_pool.terminate()
    clock.at_s += 60
    assert await store.current(ENTERPRISE) == before
    with pytest.raises(StoreUnavailable):
        await store.current("0368")
    with pytest.raises(StoreUnavailable):
        await store.save(ENTERPRISE, {"enabled": False}, by="a", reason="r")


# -- saving --------------------------------------------------------------------------------------------------------


async def test_saving_makes_the_row_and_the_webhook_once(store: SettingsStore, pg_pool: asyncpg.Pool) -> None:
    first = await store.save(ENTERPRISE, {"ms": UPDATE}, by="Мария", reason="set up")
    second = await store.save(ENTERPRISE, {"enabled": False}, by="Мария", reason="pause")
    assert (first.revision, second.revision) == (1, 2)
    assert second.config["webhook_uuid"] == first.config["webhook_uuid"]
    assert second.config["webhook_url"] == f"https://calls.example.invalid/ms/webhook/{first.config['webhook_uuid']}"
    assert second.config["phone_api_url"] == PHONE_API_URL
    assert second.account == first.account
    assert not second.settings.enabled
    assert await store.of_webhook(str(first.config["webhook_uuid"]).upper()) == second
    assert await store.of_webhook("6f0c4c5e-6f0a-4d8e-9a57-6a2b8a3d9c11") is None
    assert await store.of_webhook("%") is None


async def test_a_webhook_is_found_however_the_row_is_stored_and_not_after_it_is_gone(
    store: SettingsStore, pg_pool: asyncpg.Pool
) -> None:
    saved = await store.save(ENTERPRISE, {"ms": UPDATE}, by="Мария", reason="set up")
    uuid = str(saved.config["webhook_uuid"])
    await pg_pool.execute(
        "UPDATE public.enterprises SET integrations_config = to_jsonb(integrations_config::text) WHERE number = $1", ENTERPRISE
    )
    found = await store.of_webhook(uuid)
    assert found is not None
    assert found.enterprise == ENTERPRISE
    await store.delete(ENTERPRISE, by="Мария")
    assert await store.of_webhook(uuid) is None


async def test_the_enterprise_s_secret_is_read_as_it_is_now(store: SettingsStore, pg_pool: asyncpg.Pool) -> None:
    await store.save(ENTERPRISE, {"ms": UPDATE}, by="Мария", reason="set up")
    assert await store.secret_of(ENTERPRISE) == ""
    await pg_pool.execute("UPDATE public.enterprises SET secret = 'unit-token' WHERE number = $1", ENTERPRISE)
    assert await store.secret_of(ENTERPRISE) == "unit-token"
    assert await store.secret_of("unknown") == ""


async def test_tokens_are_encrypted_wherever_they_are_stored(store: SettingsStore, pg_pool: asyncpg.Pool) -> None:
    await store.save(ENTERPRISE, UPDATE, by="a", reason="r")
    await store.inline(INLINE_ENTERPRISE, {**UPDATE, "api_token": "fictional-inline-5e6f"})
    stored = (await row(pg_pool))["ms"]
    assert stored["integration_code"].startswith(PREFIX)
    assert stored["api_token"].startswith(PREFIX)
    everything = str(await pg_pool.fetch("SELECT * FROM settings_revisions")) + str(
        await pg_pool.fetch("SELECT * FROM public.enterprises")
    )
    for secret in (PHONE_KEY, API_TOKEN, "fictional-inline-5e6f"):
        assert secret not in everything


@pytest.mark.parametrize("as_string", [False, True])
async def test_other_keys_of_the_column_are_left_alone(store: SettingsStore, pg_pool: asyncpg.Pool, as_string: bool) -> None:
    await write_row(pg_pool, orjson.dumps(OTHERS).decode() if as_string else OTHERS)
    await store.save(ENTERPRISE, UPDATE, by="a", reason="r")
    stored = await row(pg_pool)
    assert isinstance(stored, str) == as_string
    whole = orjson.loads(stored) if as_string else stored
    assert {key: value for key, value in whole.items() if key != "ms"} == OTHERS
    assert whole["ms"]["enabled"] is True
    assert await store.delete(ENTERPRISE, by="a")
    stored = await row(pg_pool)
    assert (orjson.loads(stored) if as_string else stored) == OTHERS


@pytest.mark.parametrize("config", ["not json", [1], 7])
async def test_a_column_that_cannot_be_read_is_not_overwritten(store: SettingsStore, pg_pool: asyncpg.Pool, config: Any) -> None:
    await write_row(pg_pool, config)
    with pytest.raises(SettingsError):
        await store.save(ENTERPRISE, UPDATE, by="a", reason="r")
    assert await row(pg_pool) == config


async def test_a_masked_token_keeps_the_stored_one(store: SettingsStore) -> None:
    saved = await store.save(ENTERPRISE, UPDATE, by="a", reason="r")
    again = await store.save(ENTERPRISE, {**masked(saved.config), "enabled": False}, by="a", reason="r")
    assert again.account == saved.account


async def test_a_refused_update_changes_nothing(store: SettingsStore, pg_pool: asyncpg.Pool) -> None:
    for update, field in (({"enabled": "yes"}, "enabled"), ({"timezone": "Europe/Nowhere"}, "timezone")):
        with pytest.raises(SettingsError) as caught:
            await store.save(ENTERPRISE, update, by="a", reason="r")
        assert caught.value.field == field
    assert await pg_pool.fetchval("SELECT count(*) FROM public.enterprises") == 0
    assert await pg_pool.fetchval("SELECT count(*) FROM settings_revisions") == 0


async def test_of_two_administrators_the_second_is_told(store: SettingsStore) -> None:
    seen = (await store.save(ENTERPRISE, UPDATE, by="a", reason="r")).revision
    await store.save(ENTERPRISE, {"enabled": False}, by="first", reason="r", expected_revision=seen)
    with pytest.raises(SettingsConflict):
        await store.save(ENTERPRISE, {"country": "RU"}, by="second", reason="r", expected_revision=seen)
    current = await store.current(ENTERPRISE)
    assert current is not None
    assert (current.revision, current.settings.country) == (seen + 1, "BY")


async def test_of_many_at_once_each_gets_a_revision(store: SettingsStore, pg_pool: asyncpg.Pool) -> None:
    updates = ({"employee_mapping": {str(100 + number): "e"}} for number in range(8))
    saved = await asyncio.gather(*(store.save(ENTERPRISE, each, by="a", reason="r") for each in updates))
    assert sorted(each.revision for each in saved) == list(range(1, 9))
    last = await another(pg_pool, Clock()).current(ENTERPRISE)
    assert last is not None
    assert last.revision == 8
    assert last.config == max(saved, key=lambda each: each.revision).config


# -- history -------------------------------------------------------------------------------------------------------


async def test_a_change_by_sql_is_a_revision_of_its_own(store: SettingsStore, pg_pool: asyncpg.Pool, clock: Clock) -> None:
    await store.save(ENTERPRISE, UPDATE, by="Мария", reason="set up")
    changed = await row(pg_pool)
    changed["ms"]["enabled"] = False
    await write_row(pg_pool, changed)
    seen_late = await store.current(ENTERPRISE)
    assert seen_late is not None
    assert seen_late.revision == 1
    clock.at_s += 3
    for _ in range(2):
        current = await store.current(ENTERPRISE)
        assert current is not None
        assert (current.revision, current.settings.enabled) == (2, False)
        clock.at_s += 3
    history = await store.history(ENTERPRISE)
    assert [(each.revision, each.by) for each in history] == [(2, "outside"), (1, "Мария")]


async def test_a_call_works_under_its_revision_with_the_credentials_of_now(store: SettingsStore) -> None:
    began = await store.save(ENTERPRISE, UPDATE, by="a", reason="r")
    update = {"api_token": "fictional-new-token", "notifications": {"call_notify_mode": "none"}}
    await store.save(ENTERPRISE, update, by="a", reason="key changed")
    settings, account = await store.for_call(ENTERPRISE, began.revision)
    assert settings.cards_for(Direction.INCOMING)
    assert account.api_token == "fictional-new-token"
    assert (await store.at_revision(ENTERPRISE, began.revision)) == began.settings
    assert not (await store.at_revision(ENTERPRISE, 99)).enabled


async def test_deleting_switches_off_and_keeps_the_history(store: SettingsStore, pg_pool: asyncpg.Pool) -> None:
    saved = await store.save(ENTERPRISE, UPDATE, by="a", reason="r")
    assert await store.delete(ENTERPRISE, by="b")
    current = await another(pg_pool, Clock()).current(ENTERPRISE)
    assert current is not None
    assert (current.settings.enabled, current.account.phone_key) == (False, "")
    assert "ms" not in await row(pg_pool)
    assert [each.by for each in await store.history(ENTERPRISE)] == ["b", "a"]
    assert (await store.at_revision(ENTERPRISE, saved.revision)).enabled


async def test_settings_that_come_with_a_call_are_kept_once_and_are_nobodys_own(
    store: SettingsStore, pg_pool: asyncpg.Pool
) -> None:
    own = await store.save(ENTERPRISE, UPDATE, by="a", reason="r")
    inline = {**UPDATE, "api_token": "fictional-inline-5e6f", "enabled": True}
    before = await row(pg_pool)
    first, settings = await store.inline(ENTERPRISE, inline)
    repeated = await asyncio.gather(*(store.inline(ENTERPRISE, dict(reversed(inline.items()))) for _ in range(5)))
    assert {revision for revision, _ in repeated} == {first}
    assert first != own.revision
    assert settings.enabled
    assert (await store.for_call(ENTERPRISE, first))[1].api_token == "fictional-inline-5e6f"
    assert (await store.for_call(ENTERPRISE, own.revision))[1].api_token == API_TOKEN
    assert await row(pg_pool) == before
    fresh = await another(pg_pool, Clock()).current(ENTERPRISE)
    assert fresh is not None
    assert fresh.revision == own.revision
    assert [each.revision for each in await store.history(ENTERPRISE)] == [own.revision]
    with pytest.raises(SettingsError):
        await store.inline(ENTERPRISE, {"enabled": "maybe"})


# -- keys ----------------------------------------------------------------------------------------------------------


async def test_a_lost_key_loses_no_call_and_asks_for_the_token(store: SettingsStore, pg_pool: asyncpg.Pool, clock: Clock) -> None:
    await store.save(ENTERPRISE, UPDATE, by="a", reason="r")
    other = another(pg_pool, clock, key=Fernet.generate_key())
    current = await other.current(ENTERPRISE)
    assert current is not None
    assert current.settings.enabled
    assert not current.settings.has_phone_api
    assert (current.account.phone_key, current.account.api_token) == ("", "")
    assert (current.settings.has_main_api, current.settings.main_api_sealed) == (False, True)
    assert any("api_token" in problem and "MS_SECRET_KEY" in problem for problem in current.settings.problems)
    entered = await other.save(ENTERPRISE, {"integration_code": "fictional-entered-again"}, by="a", reason="r")
    assert entered.account.phone_key == "fictional-entered-again"
    clock.at_s += 3
    back = await store.current(ENTERPRISE)
    assert back is not None
    assert back.account.api_token == API_TOKEN
    assert (back.settings.has_main_api, back.settings.main_api_sealed) == (True, False)


async def test_a_tool_that_has_another_key_changes_nothing_by_looking(
    store: SettingsStore, pg_pool: asyncpg.Pool, clock: Clock
) -> None:
    saved = await store.save(ENTERPRISE, UPDATE, by="a", reason="r")
    tool = another(pg_pool, clock, Fernet.generate_key(), records=False)
    seen = await tool.current(ENTERPRISE)
    assert seen is not None
    assert any("MS_SECRET_KEY" in problem for problem in seen.settings.problems)
    clock.at_s += 3
    now = await store.current(ENTERPRISE)
    assert now is not None
    assert now.revision == saved.revision
    assert [each.revision for each in await store.history(ENTERPRISE)] == [saved.revision]
    assert await pg_pool.fetchval("SELECT count(*) FROM retry_orders") == 0


async def test_calls_have_the_tokens_of_a_row_that_a_tool_saw_before_the_service(
    store: SettingsStore, pg_pool: asyncpg.Pool, clock: Clock
) -> None:
    await write_row(pg_pool, {"ms": UPDATE})
    tool = another(pg_pool, clock, Fernet.generate_key(), records=False)
    seen = await tool.current(ENTERPRISE)
    assert seen is not None
    assert (seen.revision, seen.settings.has_main_api) == (0, True)
    now = await store.current(ENTERPRISE)
    assert now is not None
    settings, _ = await store.for_call(ENTERPRISE, now.revision)
    assert (settings.has_main_api, settings.main_api_sealed) == (True, False)


# -- what was refused is asked again -------------------------------------------------------------------------------


async def orders(pool: asyncpg.Pool) -> list[tuple[Any, ...]]:
    """Orders to ask again: whose, what, by whom, why, and in how many seconds."""
    rows = await pool.fetch("SELECT *, extract(epoch FROM ripe_at - requested_at) AS wait_s FROM retry_orders ORDER BY id")
    return [(row["enterprise"], row["call"], row["by"], row["reason"], round(float(row["wait_s"]), 1)) for row in rows]


async def test_a_change_orders_a_retry_with_its_revision_and_the_first_settings_do_not(
    store: SettingsStore, pg_pool: asyncpg.Pool
) -> None:
    await store.save(ENTERPRISE, UPDATE, by="Мария", reason="set up")
    await store.save(ENTERPRISE, {"enabled": True}, by="Мария", reason="nothing changed")
    assert await orders(pg_pool) == []
    await store.save(ENTERPRISE, {"integration_code": "fictional-new-key"}, by="Мария", reason="key")
    assert await orders(pg_pool) == [(ENTERPRISE, "", "Мария", "the settings were changed (revision 2)", RETRY_AFTER_S)]
    assert RETRY_AFTER_S > FRESH_S + FORGET_BEFORE_S, "no instance uses the old key when the account gets its new chance"


async def test_a_change_by_sql_orders_a_retry_once(store: SettingsStore, pg_pool: asyncpg.Pool, clock: Clock) -> None:
    await store.save(ENTERPRISE, UPDATE, by="Мария", reason="set up")
    await write_row(pg_pool, {"ms": {**UPDATE, "integration_code": "fictional-new-key"}})
    clock.at_s += 3
    instances = [store, another(pg_pool, clock), another(pg_pool, clock)]
    await asyncio.gather(*(each.current(ENTERPRISE) for each in instances))
    (made,) = await orders(pg_pool)
    assert made[:4] == (ENTERPRISE, "", "outside", "the settings were changed (revision 2)")


async def test_a_call_that_began_before_its_settings_were_deleted_is_ended_with_the_key_it_began_with(store: SettingsStore) -> None:
    """Its card stands on a screen."""
    began = await store.save(ENTERPRISE, UPDATE, by="a", reason="r")
    assert await store.delete(ENTERPRISE, by="b")
    settings, account = await store.for_call(ENTERPRISE, began.revision)
    assert settings.enabled
    assert (account.phone_key, account.api_token, account.ends_only) == (PHONE_KEY, "", True)
    assert not settings.has_main_api, "it makes no order and no client any more"
    await store.save(ENTERPRISE, {**UPDATE, "api_token": "fictional-new-token"}, by="c", reason="back again")
    assert (await store.for_call(ENTERPRISE, began.revision))[1].api_token == "fictional-new-token"


async def test_deleted_settings_and_those_of_a_single_call_order_no_retry(store: SettingsStore, pg_pool: asyncpg.Pool) -> None:
    await store.save(ENTERPRISE, UPDATE, by="a", reason="r")
    await store.inline(ENTERPRISE, {**UPDATE, "api_token": "fictional-inline-5e6f"})
    assert await store.delete(ENTERPRISE, by="b")
    assert await orders(pg_pool) == []
    await store.save(ENTERPRISE, UPDATE, by="c", reason="back again")
    assert [made[2] for made in await orders(pg_pool)] == ["c"]


async def test_a_change_that_fails_orders_nothing(store: SettingsStore, pg_pool: asyncpg.Pool) -> None:
    await store.save(ENTERPRISE, UPDATE, by="a", reason="r")
    await pg_pool.execute("ALTER TABLE retry_orders ADD CONSTRAINT full_disk CHECK (false) NOT VALID")
    with pytest.raises(SettingsError):
        await store.save(ENTERPRISE, {"country": "RU"}, by="b", reason="r")
    assert [each.by for each in await store.history(ENTERPRISE)] == ["a"], "a revision and its order are one"


async def test_changes_one_after_the_other_put_the_order_off(store: SettingsStore, pg_pool: asyncpg.Pool) -> None:
    await store.save(ENTERPRISE, UPDATE, by="a", reason="r")
    await store.save(ENTERPRISE, {"country": "RU"}, by="b", reason="r")
    first = await pg_pool.fetchval("SELECT ripe_at FROM retry_orders")
    await store.save(ENTERPRISE, {"country": "BY"}, by="c", reason="r")
    (made,) = await orders(pg_pool)
    assert made[2:4] == ("c", "the settings were changed (revision 3)")
    assert await pg_pool.fetchval("SELECT ripe_at FROM retry_orders") > first


# -- what is in use ------------------------------------------------------------------------------------------------


class Line:
    """A pool whose connections can be held up: each first read stands still until it is let on."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.on = asyncio.Event()
        self.on.set()
        self.waiting = 0
        self.acquired = 0

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        self.waiting += 1
        self.acquired += 1
        try:
            await self.on.wait()
            async with self.pool.acquire() as connection:
                yield connection
        finally:
            self.waiting -= 1

    async def fetch(self, query: str, *values: Any) -> list[Any]:
        assert self.waiting <= LOOKS_AT_ONCE < SETTINGS_CONNECTIONS, "no connection is left for confirming"
        rows: list[Any] = await self.pool.fetch(query, *values)
        return rows


async def test_what_is_in_use_is_confirmed_however_many_are_read_for_the_first_time(pg_pool: asyncpg.Pool, clock: Clock) -> None:
    """Otherwise it is read again, too, and the line of those who read never ends."""
    names = [f"{number:04}" for number in range(1_000, 1_000 + 3 * LOOKED_TOGETHER)]
    for name in (ENTERPRISE, *names):
        await write_row(pg_pool, {"ms": UPDATE}, number=name)
    line = Line(pg_pool)
    store = SettingsStore(line, Vault([KEY]), public_url="https://calls.example.invalid/", monotonic_s=clock)
    assert await store.current(ENTERPRISE) is not None
    line.on.clear()
    reading = [asyncio.create_task(store.current(name)) for name in names]
    clock.at_s += 0.6 * FRESH_S
    assert store.fresh(ENTERPRISE) is not None
    await until(lambda: store._current[ENTERPRISE][0] > clock.at_s + 0.9 * FRESH_S)
    clock.at_s += 0.6 * FRESH_S
    assert store.fresh(ENTERPRISE) is not None, "it was confirmed in time"
    assert line.waiting == LOOKS_AT_ONCE
    line.on.set()
    assert all(await asyncio.gather(*reading))


# -- many at once --------------------------------------------------------------------------------------------------


async def test_many_that_are_asked_for_at_once_are_read_together(pg_pool: asyncpg.Pool, clock: Clock) -> None:
    """As after a start under load: a connection for each would keep all of them waiting."""
    names = [f"{number:04}" for number in range(1_000, 1_000 + 3 * LOOKED_TOGETHER)]
    for nth, name in enumerate(names):
        await write_row(pg_pool, {"ms": {**UPDATE, "enabled": nth % 2 == 0}}, number=name)
    line = Line(pg_pool)
    store = SettingsStore(line, Vault([KEY]), public_url="https://calls.example.invalid/", monotonic_s=clock)
    for _ in range(2):  # revisions are made, and then found
        found = await asyncio.gather(*(store.current(name) for name in (*names, "nobody's", *names)))
        assert found.pop(len(names)) is None
        assert [each and (each.enterprise, each.revision, each.settings.enabled) for each in found] == [
            (name, 1, nth % 2 == 0) for nth, name in enumerate(names)
        ] * 2
        clock.at_s += 60
    assert line.acquired <= 2 * (len(names) // LOOKED_TOGETHER + 1)
    assert await pg_pool.fetchval("SELECT count(*) FROM settings_revisions") == len(names)


async def test_two_instances_that_read_many_in_another_order_make_one_revision_of_each(pg_pool: asyncpg.Pool, clock: Clock) -> None:
    names = [f"{number:04}" for number in range(1_000, 1_000 + LOOKED_TOGETHER)]
    for name in names:
        await write_row(pg_pool, {"ms": UPDATE}, number=name)
    one, other = another(pg_pool, clock), another(pg_pool, clock)
    asked = [*(one.current(name) for name in names), *(other.current(name) for name in reversed(names))]
    assert {each and each.revision for each in await asyncio.gather(*asked)} == {1}
    assert await pg_pool.fetchval("SELECT count(*) FROM settings_revisions") == len(names)


async def test_one_that_somebody_holds_keeps_nobody_else_waiting(
    database_url: str, pg_pool: asyncpg.Pool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1000", "1001", "1002"):
        await write_row(pg_pool, {"ms": UPDATE}, number=name)
    monkeypatch.setattr(database, "LOCK_S", 0.2)
    pool = await create_pool(database_url)
    store = another(pool, clock)
    async with pg_pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('1001', 8023))")
        asked = (store.current(name) for name in ("1000", "1001", "1002"))
        free, held, free_too = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(free, Current)
    assert isinstance(held, StoreUnavailable)
    assert isinstance(free_too, Current)
    assert await store.current("1001") is not None
    await close_pool(pool)


async def test_what_was_read_before_somebody_saved_is_no_change_by_sql(pg_pool: asyncpg.Pool, clock: Clock) -> None:
    """One who saves and one who reads wait for the same enterprise; the reader, whose turn comes second, has read the old row."""
    await write_row(pg_pool, {"ms": UPDATE})
    one, other = another(pg_pool, clock), another(pg_pool, clock)
    async with pg_pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 8023))", ENTERPRISE)
        saving = asyncio.create_task(one.save(ENTERPRISE, {"enabled": False}, by="Мария", reason="off"))
        await waiting_for_locks(pg_pool, 1, "advisory")
        reading = asyncio.create_task(other.current(ENTERPRISE))
        await waiting_for_locks(pg_pool, 2, "advisory")
    saved, read = await saving, await reading
    assert read is not None
    assert (saved.revision, read.revision, read.settings.enabled) == (2, 2, False)
    assert [each.by for each in await one.history(ENTERPRISE)] == ["Мария", "outside"]


async def test_one_row_that_is_a_bug_of_its_own_keeps_nobody_else_waiting(
    store: SettingsStore, pg_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1000", "1001", "1002"):
        await write_row(pg_pool, {"ms": UPDATE}, number=name)
    as_current = SettingsStore._as_current

    def breaks(self: SettingsStore, enterprise: str, revision: int, config: Any) -> Any:
        if enterprise == "1001":
            raise KeyError(enterprise)
        return as_current(self, enterprise, revision, config)

    monkeypatch.setattr(SettingsStore, "_as_current", breaks)
    asked = (store.current(name) for name in ("1000", "1001", "1002"))
    good, bad, good_too = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(good, Current)
    assert isinstance(bad, KeyError)
    assert isinstance(good_too, Current)
