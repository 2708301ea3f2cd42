"""What the tests of the directory share: a desk that is in a hurry, trouble at MoySklad, clients in the sandbox."""

from __future__ import annotations

from typing import Any, Final

from adapters.directory.desk import Desk, Times
from adapters.directory.table import Table
from adapters.directory.wiring import Directory
from adapters.sandbox import SANDBOX_API_TOKEN, SANDBOX_PHONE_KEY
from adapters.settings_store import SettingsStore
from tests.eventually import PATIENCE_S, until
from tests.rig import ENTERPRISE, Rig

KNOWN: Final = "+375290000001"
KNOWN_NAME: Final = "ОДО «Белтрейд»"
PERSON: Final = "+375290000002"
STRANGER: Final = "+375290000077"
PATIENT: Final = Times(cold_s=PATIENCE_S, close_s=PATIENCE_S, settings_s=PATIENCE_S)
"""For a machine that is busy with other tests: whatever comes is waited for."""
HURRIED: Final = Times(cold_s=0.1, close_s=0.1, settings_s=0.05)
"""For what never comes."""


def desk_of(rig: Rig, *, times: Times = PATIENT, table: Table | None = None, settings: SettingsStore | None = None) -> Desk:
    """The service's own desk with another patience, or over another table or other settings."""
    directory = rig.service.directory
    return Desk(
        settings=settings or rig.service.settings,
        memory=directory.memory,
        table=table or directory.table,
        lookups=directory.lookups,
        now_ms=rig.clock,
        times=times,
    )


def patient(directory: Directory) -> Directory:
    """A table and a desk that are waited for, on a machine that is busy with other tests."""
    directory.table._read_s = PATIENCE_S
    directory.desk._times = PATIENT
    return directory


async def asked(rig: Rig, api: str = "remap") -> list[str]:
    """``METHOD path`` of what was asked of an API, queries left out."""
    return [f"{each['method']} {each['path'].partition('?')[0]}" for each in await rig.requests(api)]


async def searches(rig: Rig) -> int:
    """How many searches for a customer there were."""
    return (await asked(rig)).count("GET /entity/counterparty")


async def trouble(rig: Rig, **rule: Any) -> None:
    """Order trouble at MoySklad."""
    async with rig.sandbox.post("/sandbox/faults", json=rule) as answer:
        assert answer.status == 200, await answer.text()


async def mended(rig: Rig) -> None:
    """MoySklad is well again, and nothing of ours waits for it."""
    async with rig.sandbox.delete("/sandbox/faults") as answer:
        assert answer.status == 200
    await until(lambda: rig.service.directory.lookups.open == 0)


async def moysklad(rig: Rig, method: str, path: str, body: Any = None) -> Any:
    """Do something in MoySklad as its user does."""
    headers = {"Authorization": f"Bearer {SANDBOX_API_TOKEN}", "Accept-Encoding": "gzip"}
    async with rig.sandbox.request(method, f"/api/remap/1.2{path}", json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json() if answer.content_length != 0 else None


async def client(rig: Rig, name: str, phone: str, **fields: Any) -> str:
    """Enter a client in MoySklad; the uuid."""
    made = await moysklad(rig, "POST", "/entity/counterparty", {"name": name, "phone": phone, **fields})
    return str(made["id"])


async def configure(rig: Rig, **changed: Any) -> None:
    """Save settings as an administrator does."""
    keys = {"integration_code": SANDBOX_PHONE_KEY, "api_token": SANDBOX_API_TOKEN}
    await rig.service.settings.save(ENTERPRISE, {**keys, **changed}, by="test", reason="test")
