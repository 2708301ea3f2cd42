"""What the administrator's page asks besides the settings: the enterprise, states of orders, the test call."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.http.support import ask
from tests.rig import ENTERPRISE, Rig

CONFIG = f"/ms-admin/api/config/{ENTERPRISE}"
TEST = f"/ms-admin/api/self-test/{ENTERPRISE}"


async def test_settings_come_with_the_name_and_the_primary_integration(rig: Rig, http: Any) -> None:
    await rig.service.pool.execute(
        "UPDATE public.enterprises SET name = 'Ромашка', integrations_config = integrations_config || $1::jsonb",
        {"smart": {"primary": "ms"}},
    )
    _, shown = await ask(http, "GET", CONFIG)
    assert (shown["name"], shown["primary"]) == ("Ромашка", "ms")


async def test_older_forms_are_shown_as_they_are_understood(rig: Rig, http: Any) -> None:
    await rig.service.pool.execute(
        "UPDATE public.enterprises SET integrations_config = $1::jsonb",
        {"ms": {"enabled": "1", "create_customers": True, "create_orders": True, "default_extension": "150"}},
    )
    rig.service.settings._current.clear()
    _, shown = await ask(http, "GET", CONFIG)
    effective = shown["effective"]
    assert (effective["enabled"], effective["unrecognized_extension"]) == (True, "150")
    assert (effective["incoming"]["create_client"], effective["outgoing"]["create_order"]) == (True, "always")


async def test_states_of_orders_by_name(http: Any) -> None:
    status, told = await ask(http, "GET", f"/ms-admin/api/order-states/{ENTERPRISE}")
    assert (status, told["problem"]) == (200, "")
    assert all(isinstance(each, str) for each in told["states"])


async def test_legal_entities_by_name(http: Any) -> None:
    status, told = await ask(http, "GET", f"/ms-admin/api/organizations/{ENTERPRISE}")
    assert (status, told) == (200, {"organizations": ["ООО «Песочница»", "ИП Песочный А. А."], "problem": ""})


async def test_without_a_good_token_the_states_are_words(http: Any) -> None:
    await ask(http, "PUT", CONFIG, {"api_token": "a-wrong-token-of-some-length"})
    _, told = await ask(http, "GET", f"/ms-admin/api/order-states/{ENTERPRISE}")
    assert (told["states"], "Токен основного API не принят" in told["problem"]) == ([], True)


async def test_a_test_call_is_begun_and_told(rig: Rig, http: Any) -> None:
    status, begun = await ask(http, "POST", TEST, {"extension": "101"})
    assert status == 202
    await rig.settle()
    status, told = await ask(http, "GET", f"{TEST}/{begun['test']}")
    assert (status, told["state"], told["extension"]) == (200, "running", "101")
    assert [step["key"] for step in told["steps"]] == ["store", "employee", "contact", "register", "card", "hide", "end"]
    assert (await ask(http, "POST", TEST, {"extension": "102"}))[0] == 409, "one at a time"
    assert (await ask(http, "GET", f"/ms-admin/api/self-test/0999/{begun['test']}"))[0] == 404, "it is 0367's"


@pytest.mark.parametrize("body", [{}, [], {"extension": ""}, {"extension": "10a"}, {"extension": "1" * 21}, {"extension": 101}])
async def test_a_test_call_needs_an_extension(http: Any, body: Any) -> None:
    status, told = await ask(http, "POST", TEST, body)
    assert (status, told["field"]) == (400, "extension" if isinstance(body, dict) else "")


async def test_a_test_call_where_there_is_nothing_to_test(http: Any) -> None:
    assert (await ask(http, "POST", "/ms-admin/api/self-test/0999", {"extension": "101"}))[0] == 404
    assert (await ask(http, "GET", f"{TEST}/1757840723.6"))[0] == 404
    await ask(http, "PUT", CONFIG, {"enabled": False})
    status, told = await ask(http, "POST", TEST, {"extension": "101"})
    assert (status, told["field"]) == (409, "enabled")
