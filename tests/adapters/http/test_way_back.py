"""An earlier revision of the settings brought back as a new one (PRODUCT D3)."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.sandbox import SANDBOX_PHONE_KEY
from tests.adapters.http.support import ask
from tests.rig import ENTERPRISE, Rig

CONFIG = f"/ms-admin/api/config/{ENTERPRISE}"


async def test_it_is_a_new_revision_with_today_s_keys(rig: Rig, http: Any) -> None:
    _, first = await ask(http, "GET", CONFIG)
    change = {
        "notifications": {"call_notify_mode": "none"},
        "employee_mapping": {"999": {"employee_id": "x"}},
        "integration_code": "a-new-key-of-some-length",
        "organization": "ООО «Радуга»",
    }
    await ask(http, "PUT", CONFIG, change)
    status, restored = await ask(http, "POST", f"{CONFIG}/restore", {"restore": 1, "revision": 2})
    assert (status, restored["revision"]) == (200, 3)
    assert {**restored["ms"], "integration_code": ""} == {**first["ms"], "integration_code": ""}
    current = await rig.service.settings.current(ENTERPRISE)
    assert current is not None
    assert current.account.phone_key == "a-new-key-of-some-length", "a key that was replaced was replaced for a reason"
    assert SANDBOX_PHONE_KEY not in str(current.config)
    _, past = await ask(http, "GET", f"{CONFIG}/history")
    assert (past["history"][0]["reason"], len(past["history"])) == ("restored revision 1", 3)


async def test_somebody_else_s_change_is_not_overwritten(http: Any) -> None:
    await ask(http, "PUT", CONFIG, {"country": "RU"})
    status, told = await ask(http, "POST", f"{CONFIG}/restore", {"restore": 1, "revision": 1})
    assert (status, told["field"]) == (409, "revision")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [({"restore": 99, "revision": 1}, 404, "restore"), ({"restore": 1}, 400, "revision"), ({}, 400, "restore"), ([], 400, ""),
     ({"restore": "1", "revision": 1}, 400, "restore"), ({"restore": 2**40, "revision": 1}, 400, "restore"),
     ({"restore": True, "revision": 1}, 400, "restore")],
)  # fmt: skip
async def test_what_cannot_be_brought_back(http: Any, body: Any, status: int, field: str) -> None:
    told = await ask(http, "POST", f"{CONFIG}/restore", body)
    assert (told[0], told[1]["field"]) == (status, field)


async def test_settings_that_were_removed_come_back(http: Any) -> None:
    _, first = await ask(http, "GET", CONFIG)
    await ask(http, "DELETE", CONFIG)
    status, restored = await ask(http, "POST", f"{CONFIG}/restore", {"restore": 1, "revision": 2})
    assert status == 200
    assert restored["ms"]["notifications"] == first["ms"]["notifications"]
    assert restored["ms"]["webhook_url"] == first["ms"]["webhook_url"], "MoySklad knows this one"
    assert "integration_code" not in restored["ms"], "the keys are gone with the settings: they have to be entered again"
