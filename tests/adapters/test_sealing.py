"""Tokens that somebody wrote by SQL are encrypted where they stand; everything else in the row stays."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import asyncpg
import orjson
import pytest
from structlog.testing import capture_logs

from adapters.sealing import seal
from adapters.vault import PREFIX, Vault
from core.settings import read_object
from tests.adapters.test_settings_store import API_TOKEN, ENTERPRISE, KEY, OTHERS, PHONE_KEY, UPDATE, another, row, write_row
from tests.adapters.test_settings_store import Clock as Seconds
from tests.eventually import until
from tests.rig import running

VAULT = Vault([KEY])


@pytest.mark.parametrize("form", ["jsonb", "string", "string inside"])
async def test_what_stands_in_the_clear_is_encrypted_whatever_the_form(pg_pool: asyncpg.Pool, form: str) -> None:
    store = another(pg_pool, Seconds())
    config: Any = {**OTHERS, "ms": {**UPDATE, "unknown": "kept"}}
    if form == "string":
        config = orjson.dumps(config).decode()
    elif form == "string inside":
        config = {**OTHERS, "ms": orjson.dumps(config["ms"]).decode()}
    await write_row(pg_pool, config)
    before = await store.current(ENTERPRISE)
    assert await seal(pg_pool, VAULT) == [ENTERPRISE]
    stored = await row(pg_pool)
    assert isinstance(stored, str) is (form == "string")
    whole = read_object(stored)
    ours = whole.pop("ms")
    assert whole == OTHERS, "another integration's token is not ours to touch"
    assert all(ours[name].startswith(PREFIX) for name in ("integration_code", "api_token"))
    assert {name: value for name, value in ours.items() if name not in ("integration_code", "api_token")} == {
        name: value for name, value in {**UPDATE, "unknown": "kept"}.items() if name not in ("integration_code", "api_token")
    }
    after = await another(pg_pool, Seconds()).current(ENTERPRISE)
    assert before is not None
    assert after is not None
    assert (after.account.phone_key, after.account.api_token, after.revision) == (PHONE_KEY, API_TOKEN, before.revision)
    assert await seal(pg_pool, VAULT) == []


@pytest.mark.parametrize(
    "config",
    [None, {}, OTHERS, "not json", [], {"ms": {"api_token": ""}}, {"ms": {"api_token": None}}, {"ms": {"api_token": f"{PREFIX}x"}}],
)
async def test_a_row_without_our_tokens_is_left_alone(pg_pool: asyncpg.Pool, config: Any) -> None:
    await write_row(pg_pool, config)
    assert await seal(pg_pool, VAULT) == []
    assert await row(pg_pool) == config


async def test_the_service_does_so_by_itself(database_url: str) -> None:
    async with running(database_url) as rig:
        await write_row(rig.service.pool, {"ms": UPDATE}, number="0999")
        with capture_logs() as said:
            task = asyncio.create_task(rig.service._seal())
            await until(lambda: said)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert [(each["event"], each["enterprise"]) for each in said] == [("tokens_encrypted", "0999")]
        assert (await row(rig.service.pool, "0999"))["ms"]["api_token"].startswith(PREFIX)
