"""``./ms.sh doctor``: what it says of a healthy service and of one that needs a person."""

from __future__ import annotations

from pathlib import Path

from adapters.doctor import examine
from adapters.environment import Environment
from adapters.sandbox import SANDBOX_API_TOKEN, SANDBOX_PHONE_KEY
from tests.rig import ENTERPRISE, TOKEN, Rig, running


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


async def test_refused_input_and_settings_that_cannot_work_are_shown(database_url: str, tmp_path: Path) -> None:
    async with running(database_url) as rig:
        await rig.post("/internal/ms/hangup-call", {"enterprise_number": ENTERPRISE, "phone": "+375290000001", "Token": TOKEN})
        await rig.service.settings.save(ENTERPRISE, {"integration_code": ""}, by="test", reason="test")
        good, said = await told(rig, tmp_path)
        assert not good
        assert f"hangup-call {ENTERPRISE}: unique_id is missing (unique_id)" in said
        assert f"{ENTERPRISE}: enabled without a Phone API key" in said
        for secret in (TOKEN, SANDBOX_PHONE_KEY, SANDBOX_API_TOKEN, "+375290000001"):
            assert secret not in said


async def test_calls_that_wait_for_long_are_shown(database_url: str, tmp_path: Path) -> None:
    async with running(database_url) as rig:
        await rig.post("/internal/ms/incoming-call", {"enterprise_number": ENTERPRISE, "phone": "1", "unique_id": "1.1"})
        rig.clock.now_ms += 300_000
        good, said = await told(rig, tmp_path)
        assert not good
        assert "1 calls wait, the oldest for 300 s" in said or "1 calls wait, the oldest for 299 s" in said
        assert "look at this" in said
