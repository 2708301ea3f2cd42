"""Who lives in a sandbox: accounts with employees, counterparties and organizations, as values and as JSON.

``POST /sandbox/seed`` takes ``{"accounts": [AccountSeed, ...]}``; an account that is already there (same name) is
extended: employees by extension (or name), counterparties by name and phone. Unknown fields are refused.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SANDBOX_PHONE_KEY = "5a0db0c0ffee00000000000000000000000000a1"
SANDBOX_API_TOKEN = "5a0db0c0ffee00000000000000000000000000b2"
SANDBOX_LOGIN = "admin@sandbox"
SANDBOX_PASSWORD = "sandbox"


class EmployeeSeed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A colleague; ``login`` like ``anna@sandbox`` (absent: cannot log in), ``active=False`` as in error 3045."""

    name: str
    extension: str | None = None
    login: str | None = None
    active: bool = True
    email: str | None = None
    phone: str | None = None
    id: str | None = None


class ContactPersonSeed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody at a counterparty, with a phone as typed."""

    name: str
    phone: str | None = None
    email: str | None = None


class CounterpartySeed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A customer; ``phone`` is kept exactly as typed, ``owner_extension`` names the responsible employee."""

    name: str
    phone: str | None = None
    owner_extension: str | None = None
    contact_persons: tuple[ContactPersonSeed, ...] = ()
    tags: tuple[str, ...] = ()
    archived: bool = False
    id: str | None = None


class AttributeSeed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An additional field of counterparties or orders, as metadata shows it."""

    name: str
    entity: str = "customerorder"
    type: str = "string"
    required: bool = False


class StateSeed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A state of orders or counterparties: whether whoever has it is still being worked on (contract 2.5)."""

    name: str
    type: Literal["Regular", "Successful", "Unsuccessful"] = "Regular"


Right = Literal["view", "create", "edit", "delete", "tariff"]
"""What a user may be refused: 1016, 1045, 1017, 1018; by the account's tariff: 1070."""


class Denied(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that the account's users may not do."""

    entity: str
    right: Right


class AccountSeed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One customer's MoySklad: its credentials for both APIs and what is in it."""

    name: str
    phone_key: str
    api_token: str
    login: str | None = None
    password: str | None = None
    token_extension: str | None = None
    """Whose token it is; absent: the administrator's. Anybody else may have no webhooks (contract 2.8)."""
    crm: bool = True
    """The paid CRM option: tasks may be created (contract 2.7)."""
    phone_solution_installed: bool = True
    """False: every Phone API request with the key is refused with 55008."""
    employees: tuple[EmployeeSeed, ...] = ()
    counterparties: tuple[CounterpartySeed, ...] = ()
    organizations: tuple[str, ...] = ()
    sales_channels: tuple[str, ...] = ()
    order_states: tuple[str | StateSeed, ...] = ()
    counterparty_states: tuple[str | StateSeed, ...] = ()
    attributes: tuple[AttributeSeed, ...] = ()
    """One that is there already becomes required, or not, as it says here."""
    denied: tuple[Denied, ...] = ()
    """Replaces what was denied before."""


class SeedRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /sandbox/seed``."""

    accounts: tuple[AccountSeed, ...]


def demo_account() -> AccountSeed:
    """The account a demo starts with: two teams, customers whose phones were typed in every way people type them."""
    return AccountSeed(
        name="sandbox",
        phone_key=SANDBOX_PHONE_KEY,
        api_token=SANDBOX_API_TOKEN,
        login=SANDBOX_LOGIN,
        password=SANDBOX_PASSWORD,
        employees=(
            EmployeeSeed(name="Анна Ковалёва", extension="101", login="anna@sandbox"),
            EmployeeSeed(name="Борис Литвинов", extension="102", login="boris@sandbox"),
            EmployeeSeed(name="Вера Синицына", extension="103", login="vera@sandbox"),
            EmployeeSeed(name="Григорий Мельник", extension="150", login="grigory@sandbox"),
            EmployeeSeed(name="Дарья Орлова", extension="151", login="darya@sandbox"),
            EmployeeSeed(name="Егор Шевчук", extension="152", login="egor@sandbox"),
        ),
        counterparties=(
            CounterpartySeed(name="ООО «Радуга»", phone="+7 495 331 22 33", owner_extension="101"),
            CounterpartySeed(name="ИП Смирнова О. В.", phone="+7 (916) 123-45-67", owner_extension="102"),
            CounterpartySeed(name="Магазин «Уют»", phone="8 800 250-04-32", owner_extension="151"),
            CounterpartySeed(name="ОДО «Белтрейд»", phone="+375 29 000-00-01", owner_extension="152"),
            CounterpartySeed(
                name="ТД «Северный склад»",
                phone="8(812)741-87-90",
                owner_extension="103",
                contact_persons=(
                    ContactPersonSeed(name="Игорь Павлов, закупки", phone="+7 (999) 888-77-66"),
                    ContactPersonSeed(name="Ольга, бухгалтерия", phone="375290000002"),
                ),
            ),
        ),
        organizations=("ООО «Песочница»", "ИП Песочный А. А."),
        sales_channels=("Телефонный звонок",),
        order_states=(
            "Новый",
            "Подтверждён",
            StateSeed(name="Отгружен", type="Successful"),
            StateSeed(name="Отменён", type="Unsuccessful"),
        ),
        counterparty_states=("Новый", "Постоянный"),
    )
