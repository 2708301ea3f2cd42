"""``./ms.sh doctor``: what it says of a healthy service and of one that needs a person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapters import doctor
from adapters.doctor import examine
from adapters.environment import Environment
from adapters.postgres.leases import PostgresLeases
from adapters.sandbox import SANDBOX_API_TOKEN, SANDBOX_PHONE_KEY
from adapters.spool import SPOOL, Kept, Spool
from adapters.vault import Vault
from core.signals import Wire
from tests.adapters.asterisk.peer import SECRET, Manager, config_of, listening
from tests.adapters.test_parked import parked_history, record
from tests.rig import ENTERPRISE, KEY, TOKEN, Rig, running


async def told(rig: Rig, folder: Path) -> tuple[bool, str]:
    said: list[str] = []
    env = Environment.from_env({"MS_DATA_DIR": str(folder), "DATABASE_URL": rig.dsn})
    good = await examine(rig.service, env, said.append)
    return good, "\n".join(said)


async def test_a_healthy_service(database_url: str, tmp_path: Path) -> None:
    async with running(database_url) as rig:
        good, said = await told(rig, tmp_path)
        assert good, said
        assert "the configured database" in said
        assert "1 enabled of 1, 0 problems" in said
        assert "look at this" not in said


async def test_a_database_that_is_new_is_said_to_be(database_url: str, tmp_path: Path) -> None:
    async with running(database_url) as rig:
        await rig.service.pool.execute("UPDATE schema_migrations SET applied_at = to_timestamp($1)", rig.clock() / 1000 - 300)
        good, said = await told(rig, tmp_path)
        assert good
        assert "new, made 5 min ago at DATABASE_URL" in said


async def test_a_server_that_is_too_old_is_named(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(database_url) as rig:
        monkeypatch.setattr(doctor, "TRANSACTION_TIMEOUT_SINCE", 99)
        good, said = await told(rig, tmp_path)
        assert not good
        assert "(the configured database)   <- look at this" in said
        assert "bring it to PostgreSQL 99 or newer" in said


async def test_refused_input_and_settings_that_cannot_work_are_shown(database_url: str, tmp_path: Path) -> None:
    async with running(database_url) as rig:
        await rig.post("/internal/ms/hangup-call", {"enterprise_number": ENTERPRISE, "phone": "+375290000001", "Token": TOKEN})
        await rig.service.settings.save(ENTERPRISE, {"integration_code": ""}, by="test", reason="test")
        good, said = await told(rig, tmp_path)
        assert not good
        assert f"hangup-call {ENTERPRISE}: unique_id is missing (unique_id)" in said
        assert f"{ENTERPRISE}: enabled without a Phone API key" in said
        await rig.service.pool.execute("UPDATE rejected_input SET at = '2026-11-28 21:30:00+00'")
        _, said = await told(rig, tmp_path)
        assert "2026-11-29 00:30:00 hangup-call" in said, "in the PBXes' time, as a replay tells it"
        for secret in (TOKEN, SANDBOX_PHONE_KEY, SANDBOX_API_TOKEN, "+375290000001"):
            assert secret not in said


async def test_calls_that_wait_for_long_are_shown(database_url: str, tmp_path: Path) -> None:
    async with running(database_url) as rig:
        await rig.post("/internal/ms/incoming-call", {"enterprise_number": ENTERPRISE, "phone": "1", "unique_id": "1.1"})
        rig.clock.now_ms += 300_000
        good, said = await told(rig, tmp_path)
        assert not good
        assert "work            1 call waits (1 live), the oldest for 5 min; at least 0 s of work   <- look at this" in said


async def test_signals_that_the_service_has_not_taken_in_are_shown(database_url: str, tmp_path: Path) -> None:
    spool = Spool(tmp_path / SPOOL, Vault([KEY]))
    async with running(database_url, spool=spool) as rig:
        await spool.keep(Kept(wire=Wire.CALL_EVENT, body={}, heard_ms=1))
        good, said = await told(rig, tmp_path)
        assert not good
        assert "spool           1 file, " in said
        await spool.take_in(rig.service.ingest.take_kept)
        assert "spool" not in (await told(rig, tmp_path))[1]


async def test_what_the_service_takes_in_meanwhile_is_no_fault(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.doctor.files_in", lambda folder: [folder / "gone.signals"])
    async with running(database_url) as rig:
        assert "spool" not in (await told(rig, tmp_path))[1]


async def test_instances_and_the_accounts_they_are_in_trouble_with_are_shown(database_url: str, tmp_path: Path) -> None:
    async with running(database_url) as rig, PostgresLeases(database_url) as leases:
        _, said = await told(rig, tmp_path)
        assert "instances       0: the service does not run" in said
        assert "accounts        all well" in said
        revoked = {
            "enterprise": ENTERPRISE, "api": "phone", "state": "refused", "reason": "key revoked", "waiting": 0,
            "since_ms": rig.clock.now_ms - 240_000, "until_ms": rig.clock.now_ms + 60_000,
        }  # fmt: skip
        await leases.join("n1", "10.0.0.1:8023")
        await leases.beat("n1", {"accounts": [revoked], "away": True})
        good, said = await told(rig, tmp_path)
        assert not good
        assert "instances       1: 10.0.0.1:8023" in said
        assert "accounts        1 in trouble   <- look at this" in said
        assert "network         nothing of MoySklad answers" in said
        words = "MoySklad has refused everything of it for 4 min (key revoked); tried again in 60 s"
        assert f"{ENTERPRISE}, phone API: {words}" in said


async def test_calls_that_need_a_person_are_counted_by_reason(database_url: str, tmp_path: Path) -> None:
    async with running(database_url) as rig:
        for call in ("A", "B"):
            await record(rig.service.store, call, parked_history(call))
        await rig.service.runner.catch_up()
        good, said = await told(rig, tmp_path)
        assert not good
        assert "need a person   2 calls (./ms.sh parked)   <- look at this" in said
        assert f"{ENTERPRISE}, 2 calls: key revoked: enter it again" in said


async def test_a_pbx_is_tried_and_what_is_wrong_is_said(database_url: str, tmp_path: Path) -> None:
    async with running(database_url) as rig, listening(Manager()) as manager, listening(Manager(lets_in=False)) as strict:
        new = config_of(manager, name="new", enterprise="0999")
        configs = (config_of(manager, name="main"), config_of(strict, name="strict"), new)
        rig.service.options = replace(rig.service.options, pbxes=configs)
        good, said = await told(rig, tmp_path)
        assert not good
        assert f"pbx main        127.0.0.1:{manager.port} lets 'ms' in (Asterisk Call Manager/5.0.4); 0 channels are up\n" in said
        assert "pbx strict      Asterisk at" in said
        assert "refuses the login of 'ms': Authentication failed; check user and secret here" in said
        assert "pbx new         enterprise 0999 is unknown here: create it, or correct MS_PBX_FILE   <- look at this" in said
        assert SECRET not in said
