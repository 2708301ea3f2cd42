"""One order per call, from the wire to MoySklad: what it holds, when there is none, and what happens to one that is refused."""

from __future__ import annotations

from typing import Any

from tests.phone import BELTRADE, STRANGER, Phone, phone
from tests.rig import ENTERPRISE

ORGANIZATION = {"organization": "ооо «песочница»"}


def asking(**actions: Any) -> dict[str, Any]:
    """Settings that ask for an order on each incoming call."""
    return {**ORGANIZATION, "incoming_call_actions": {"create_client": False, "create_order": "always", **actions}}


async def employee(at: Phone, extension: str) -> str:
    """The uuid of whoever has this extension."""
    found = await at.rig.service.moysklad.accounts.list_employees(await at.account())
    return next(each.employee_id for each in found.employees if each.extension == extension)


async def test_an_answered_call_has_one_order_that_says_where_it_comes_from(database_url: str) -> None:
    async with phone(database_url, asking(order_state="Подтверждён")) as at:
        await at.call(BELTRADE, answers="101")

        (order,) = await at.see("orders")
        (row,) = await at.rig.rows()
        names = await at.names()
        assert order["agent"] == row["counterparty"]["id"]
        assert order["owner"] == await employee(at, "101")
        assert names[order["organization"]] == "ООО «Песочница»"
        assert names[order["salesChannel"]] == "Телефонный звонок"
        assert order["description"] == f"Телефонный звонок. Входящий звонок 23.11.2026 15:13, номер {BELTRADE}."
        assert await at.state_of(order) == "Подтверждён"
        assert await at.parked() == []


async def test_a_stranger_becomes_a_client_for_the_sake_of_the_order(database_url: str) -> None:
    async with phone(database_url, asking()) as at:
        call = await at.call(STRANGER, answers="101")

        (order,) = await at.see("orders")
        (client,) = [each for each in await at.see("counterparties") if each["id"] == order["agent"]]
        assert (client["name"], client["phone"]) == (STRANGER, STRANGER)
        assert await at.told(call) == [
            "effect_done find_contact", "effect_done find_employees",
            "effect_started register_call", "effect_done register_call",
            "effect_started update_call", "effect_done update_call",
            "effect_started update_call", "effect_done update_call",
            "effect_started update_call", "effect_done update_call",
            "effect_started create_contact", "effect_done create_contact",
            "effect_started create_order", "effect_done create_order",
        ]  # fmt: skip


async def test_whom_nobody_talked_with_gets_one_only_if_the_settings_say_so(database_url: str) -> None:
    async with phone(database_url, asking()) as at:
        await at.call(BELTRADE)
        await at.call("anonymous", answers="101")
        assert await at.see("orders") == []

        await at.save(asking(order_unanswered=True))
        await at.call(BELTRADE)
        assert len(await at.see("orders")) == 1


async def test_a_client_with_an_open_order_gets_no_second_one(database_url: str) -> None:
    async with phone(database_url, asking(create_order="unless_open")) as at:
        await at.call(BELTRADE, answers="101")
        second = await at.call(BELTRADE, answers="102")
        (order,) = await at.see("orders")
        assert (await at.results(second))[-1] == {"order": None, "name": "", "open": order["name"]}

        for state, orders in (("Подтверждён", 1), ("Отменён", 2), ("Отгружен", 2)):
            await at.set_state(order["id"], state)
            await at.call(BELTRADE, answers="101")
            assert len(await at.see("orders")) == orders  # the second is open


async def test_two_calls_of_one_client_that_end_together_make_one_order_between_them(database_url: str) -> None:
    async with phone(database_url, asking(create_order="unless_open")) as at:
        calls = [await at.call(BELTRADE, answers=extension, ends=False) for extension in ("101", "102")]
        for call, extension in zip(calls, ("101", "102"), strict=True):
            await at.end(call, BELTRADE, extension)
        await at.rig.wait(30_000)

        assert len(await at.see("orders")) == 1


async def test_a_source_nobody_had_becomes_a_sales_channel_once(database_url: str) -> None:
    async with phone(database_url, asking(order_source="Горячая линия")) as at:
        for _ in range(3):
            await at.call(BELTRADE, answers="101")

        orders = await at.see("orders")
        names = await at.names()
        assert [names[order["salesChannel"]] for order in orders] == ["Горячая линия"] * 3
        assert len([each for each in await at.listed("saleschannel") if each["name"] == "Горячая линия"]) == 1


async def test_an_order_does_without_what_the_account_does_not_have(database_url: str) -> None:
    async with phone(database_url, asking(order_state="Космос", order_source="Новый канал")) as at:
        await at.seed(denied=[{"entity": "saleschannel", "right": "create"}])
        call = await at.call(BELTRADE, answers="101")

        (order,) = await at.see("orders")
        assert await at.state_of(order) == "Новый"
        assert order.get("salesChannel") is None
        assert (await at.results(call))[-1]["without"] == (
            "the state: Космос is none of the account's; the sales channel: Нет прав на создание данного объекта"
        )
        assert await at.parked() == []


async def test_several_legal_entities_and_none_chosen_is_said_in_words_until_one_is(database_url: str) -> None:
    async with phone(database_url, {**asking(), "organization": ""}) as at:
        call = await at.call(BELTRADE, answers="101")
        assert await at.see("orders") == []
        assert len(await at.rig.rows()) == 1
        assert await at.parked() == [
            (
                call,
                "MoySklad has 2 legal entities and the settings choose none of them: ООО «Песочница», ИП Песочный А. А."
                " | choose the legal entity for orders in the integration's settings",
            )
        ]

        await at.save({"organization": "ИП Песочный А. А."})
        await at.orders_worked_off()
        (order,) = await at.see("orders")
        assert (await at.names())[order["organization"]] == "ИП Песочный А. А."
        assert await at.parked() == []


async def test_a_missing_right_and_a_required_field_park_the_order_and_not_the_call(database_url: str) -> None:
    async with phone(database_url, asking()) as at:
        for changed, mended, told in (
            (
                {"denied": [{"entity": "customerorder", "right": "create"}]},
                {},
                "Нет прав на создание данного объекта | give the API user the right to create this kind of object in MoySklad",
            ),
            (
                {"denied": [{"entity": "customerorder", "right": "tariff"}]},
                {},
                "Ваш тарифный план не позволяет выполнить это действие | the customer's tariff does not allow this request",
            ),
            (
                {"attributes": [{"name": "Источник рекламы", "required": True}]},
                {"attributes": [{"name": "Источник рекламы", "required": False}]},
                "Ошибка сохранения объекта: поле 'Источник рекламы' не может быть пустым или отсутствовать | a required field is"
                " missing: an additional field of the customer's MoySklad may be marked as required",
            ),
        ):
            before = len(await at.see("orders"))
            await at.seed(**changed)
            call = await at.call(BELTRADE, answers="101")
            assert await at.parked() == [(call, told)]
            assert (await at.rig.rows())[-1]["end_ms"] is not None

            await at.seed(**mended)
            await at.rig.service.parked.retry_call(ENTERPRISE, call, by="anna")
            await at.orders_worked_off()
            assert len(await at.see("orders")) == before + 1
            assert await at.parked() == []


async def test_a_second_instance_or_a_crash_makes_no_second_order(database_url: str) -> None:
    async with phone(database_url, asking()) as at:
        await at.fault(action="drop_after", api="remap", method="POST", path_regex="^/entity/customerorder$", times=1)
        await at.call(BELTRADE, answers="101")
        await at.rig.wait(60_000)

        assert len(await at.see("orders")) == 1
        asked = [(each["method"], each["path"]) for each in await at.rig.requests("remap")]
        assert asked.count(("POST", "/entity/customerorder")) == 2


async def test_no_card_and_no_record_waits_for_an_order(database_url: str) -> None:
    async with phone(database_url, asking()) as at:
        await at.fault(action="status", api="remap", method="POST", path_regex="^/entity/customerorder$", status=503, code=1999)
        await at.call(BELTRADE, answers="101")
        await at.call(BELTRADE, answers="102")

        assert [row["extension"] for row in await at.rig.rows()] == ["101", "102"]
        assert await at.see("orders") == []
