"""What one enterprise wants of the integration: the jsonb under ``integrations_config -> 'ms'`` as a value.

The shape and its older forms are in CONTRACT-ASTERISK ("Settings, as stored"). Reading is total: an odd row gives
settings with ``problems``, never an exception, because a call must not be lost to a typing error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import phonenumbers

from core.settings_secrets import MASK, SECRET_FIELDS, fingerprint, is_masked, is_secret_field, map_secrets, mask, masked
from core.settings_update import MAX_TASK_MINUTES, ORDERS, PATHS, SettingsError, merge_update, restored
from core.values import Direction

__all__ = [
    "DEFAULT_COUNTRY",
    "MASK",
    "OLDER_PATHS",
    "PATHS",
    "SECRET_FIELDS",
    "Actions",
    "EmployeeRef",
    "Settings",
    "SettingsError",
    "fingerprint",
    "is_masked",
    "is_secret_field",
    "map_secrets",
    "mask",
    "masked",
    "merge_update",
    "parse_settings",
    "read_object",
    "restored",
]

DEFAULT_COUNTRY: Final = "BY"
DEFAULT_TASK_MINUTES: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class EmployeeRef:
    """A MoySklad employee: ``id`` is the uuid, empty when the mapping names a person without one."""

    id: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """What to do on calls of one direction (PRODUCT C5, C6, C11). ``order_source``: a sales channel's name; ``order_state``: a
    state's name or id; ``order_unanswered``: an order also where nobody talked with the client."""

    create_client: bool = False
    create_order: str = "none"
    order_unanswered: bool = False
    order_source: str = ""
    order_state: str = ""
    create_task: str = "none"
    task_minutes: int = DEFAULT_TASK_MINUTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One revision of an enterprise's settings, without secrets. ``problems`` says in words what could not be understood.

    ``main_api_sealed``: there is a token of the main API, but it was stored under a key that this program does not have.
    """

    enabled: bool = False
    has_phone_api: bool = False
    has_main_api: bool = False
    main_api_sealed: bool = False
    notify_mode: str = "none"
    notify_incoming: bool = True
    notify_outgoing: bool = False
    incoming: Actions = field(default_factory=Actions)
    outgoing: Actions = field(default_factory=Actions)
    employees: tuple[tuple[str, EmployeeRef], ...] = ()
    unrecognized_extension: str = ""
    organization: str = ""
    task_assignee: str = ""
    country: str = DEFAULT_COUNTRY
    timezone: str = ""
    webhook_uuid: str = ""
    webhook_signature: str = "log"
    problems: tuple[str, ...] = ()

    def employee_for(self, extension: str) -> EmployeeRef | None:
        """The employee whom the settings' own mapping gives this extension."""
        return next((employee for number, employee in self.employees if number == extension), None)

    def cards_for(self, direction: Direction) -> bool:
        """Whether cards are shown for calls of this direction (PRODUCT C4): this never decides about recording."""
        if self.notify_mode != "during":
            return False
        return self.notify_outgoing if direction is Direction.OUTGOING else self.notify_incoming

    def create_client(self, direction: Direction) -> bool:
        """Whether an unknown number becomes a client."""
        return self.actions(direction).create_client

    def actions(self, direction: Direction) -> Actions:
        """What to do on calls of this direction."""
        return self.outgoing if direction is Direction.OUTGOING else self.incoming


def read_object(stored: object) -> dict[str, Any]:
    """A jsonb value as an object, also where it was stored as a JSON string (CONTRACT-ASTERISK); anything else is empty."""
    if isinstance(stored, str | bytes):
        try:
            stored = orjson.loads(stored)
        except orjson.JSONDecodeError:
            return {}
    return {str(key): value for key, value in stored.items()} if isinstance(stored, Mapping) else {}


def parse_settings(stored: object) -> Settings:
    """Read the ``ms`` object, also when it is still wrapped in ``{"ms": …}``. Total. Problems are Russian: the page shows them."""
    config = read_object(stored)
    if isinstance(config.get("ms"), Mapping | str):
        config = read_object(config["ms"])
    problems: list[str] = []
    notifications = read_object(config.get("notifications"))
    mode = _choice(notifications.get("call_notify_mode"), ("none", "during"), "notifications.call_notify_mode", problems)
    return Settings(
        enabled=_truth(config.get("enabled"), default=False),
        has_phone_api=bool(_text(config.get("integration_code"))),
        has_main_api=bool(_text(config.get("api_token"))),
        notify_mode=mode,
        notify_incoming=_truth(notifications.get("notify_incoming"), default=True),
        notify_outgoing=_truth(notifications.get("notify_outgoing"), default=False),
        incoming=_actions(config, "incoming_call_actions", problems),
        outgoing=_actions(config, "outgoing_call_actions", problems),
        employees=_employees(config.get("employee_mapping"), problems),
        unrecognized_extension=_first_text(config, *_UNRECOGNISED),
        organization=_first_text(config, "organization"),
        task_assignee=_first_text(config, "task_assignee"),
        country=_country(config, problems),
        timezone=_first_text(config, "timezone"),
        webhook_uuid=_first_text(config, "webhook_uuid"),
        webhook_signature=_choice(config.get("webhook_signature"), ("log", "enforce"), "webhook_signature", problems),
        problems=tuple(problems),
    )


_UNRECOGNISED: Final = (
    "unrecognized_extension",
    "unrecognised_extension",
    "unrecognized_calls_extension",
    "unrecognized_number",
    "default_extension",
)

OLDER_PATHS: Final = frozenset(
    {
        *_UNRECOGNISED,
        *("create_orders", "create_customers"),
        *(f"{way}_call_actions.{name}" for way in ("incoming", "outgoing") for name in ("create_orders", "create_customers")),
    }
)
"""Names that older rows have and that are understood as well (CONTRACT-ASTERISK)."""


def _choice(value: object, choices: tuple[str, ...], name: str, problems: list[str]) -> str:
    """One of the words; the first of them, with a problem, for anything else."""
    word = _text(value).lower()
    if word in choices:
        return word
    if value is not None and value != "":
        problems.append(f"{name}: значение непонятно, принято «{choices[0]}».")
    return choices[0]


def _country(config: Mapping[str, Any], problems: list[str]) -> str:
    said = _first_text(config, "country").upper()
    if said and said not in phonenumbers.SUPPORTED_REGIONS:
        problems.append(f"country: такой страны нет, принято «{DEFAULT_COUNTRY}».")
        return DEFAULT_COUNTRY
    return said or DEFAULT_COUNTRY


def _actions(config: Mapping[str, Any], key: str, problems: list[str]) -> Actions:
    actions = read_object(config.get(key))
    order = actions.get("create_order", actions.get("create_orders", config.get("create_orders")))
    if isinstance(order, bool | int):
        order = "always" if order else "none"
    client = actions.get("create_client", actions.get("create_customers", config.get("create_customers", False)))
    task = actions.get("create_task", config.get("create_task"))
    minutes = actions.get("task_minutes", config.get("task_minutes"))
    if isinstance(minutes, bool) or not isinstance(minutes, int) or not 0 < minutes <= MAX_TASK_MINUTES:
        minutes = DEFAULT_TASK_MINUTES
    return Actions(
        create_client=_truth(client, default=False),
        create_order=_choice(order, ORDERS, f"{key}.create_order", problems),
        order_unanswered=_truth(actions.get("order_unanswered"), default=False),
        order_source=_text(actions.get("order_source")),
        order_state=_text(actions.get("order_state")),
        create_task=_choice(task, ("none", "on_missed"), f"{key}.create_task", problems),
        task_minutes=minutes,
    )


def _employees(mapping: object, problems: list[str]) -> tuple[tuple[str, EmployeeRef], ...]:
    found: dict[str, EmployeeRef] = {}
    for number, employee in read_object(mapping).items():
        extension, name = number.strip(), ""
        id_ = _text(employee)
        if isinstance(employee, Mapping):
            id_ = _text(employee.get("employee_id")) or _text(employee.get("id"))
            name = _text(employee.get("name"))
        if id_ and extension:
            found[extension] = EmployeeRef(id=id_, name=name)
        elif employee:
            problems.append(f"employee_mapping.{extension}: сотрудник не указан, строка пропущена.")
    return tuple(found.items())


def _truth(value: object, *, default: bool) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value != 0
    if isinstance(value, str):
        return value.strip().lower() in ("1", "true", "yes", "on", "да")
    return default


def _text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 64:
        return str(value)
    return value.strip() if isinstance(value, str) else ""


def _first_text(config: Mapping[str, Any], *keys: str) -> str:
    return next((text for key in keys if (text := _text(config.get(key)))), "")
