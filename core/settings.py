"""What one enterprise wants of the integration: the jsonb under ``integrations_config -> 'ms'`` as a value.

The shape and its older forms are in CONTRACT-ASTERISK ("Settings, as stored"). Reading is total: an odd row gives
settings with ``problems``, never an exception, because a call must not be lost to a typing error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from core.values import Direction

SECRET_FIELDS: Final = ("integration_code", "api_token")
DEFAULT_COUNTRY: Final = "BY"
MASK: Final = "••••"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmployeeRef:
    """A MoySklad employee: ``id`` is the uuid, empty when the mapping names a person without one."""

    id: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """What to do on calls of one direction (PRODUCT C5, C6, C11)."""

    create_client: bool = False
    create_order: str = "none"
    order_source: str = ""
    order_state: str = ""
    create_task: str = "none"
    task_minutes: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One revision of an enterprise's settings, without secrets. ``problems`` says in words what could not be understood."""

    enabled: bool = False
    has_phone_api: bool = False
    has_main_api: bool = False
    notify_mode: str = "none"
    notify_incoming: bool = True
    notify_outgoing: bool = False
    incoming: Actions = field(default_factory=Actions)
    outgoing: Actions = field(default_factory=Actions)
    employees: tuple[tuple[str, EmployeeRef], ...] = ()
    unrecognized_extension: str = ""
    country: str = DEFAULT_COUNTRY
    timezone: str = ""
    webhook_uuid: str = ""
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
    return dict(stored) if isinstance(stored, Mapping) else {}


def parse_settings(stored: object) -> Settings:
    """Read the ``ms`` object. Total."""
    config = read_object(stored)
    problems: list[str] = []
    notifications = read_object(config.get("notifications"))
    mode = str(notifications.get("call_notify_mode", "none")).lower()
    if mode not in ("none", "during"):
        problems.append(f"call_notify_mode {mode!r} is neither none nor during: read as none")
        mode = "none"
    return Settings(
        enabled=_truth(config.get("enabled"), default=False),
        has_phone_api=bool(config.get("integration_code")),
        has_main_api=bool(config.get("api_token")),
        notify_mode=mode,
        notify_incoming=_truth(notifications.get("notify_incoming"), default=True),
        notify_outgoing=_truth(notifications.get("notify_outgoing"), default=False),
        incoming=_actions(config, "incoming_call_actions", problems),
        outgoing=_actions(config, "outgoing_call_actions", problems),
        employees=_employees(config.get("employee_mapping"), problems),
        unrecognized_extension=_first_text(config, "unrecognized_extension", "unrecognized_calls_extension", "default_extension"),
        country=(_first_text(config, "country") or DEFAULT_COUNTRY).upper(),
        timezone=_first_text(config, "timezone"),
        webhook_uuid=_first_text(config, "webhook_uuid"),
        problems=tuple(problems),
    )


def _actions(config: Mapping[str, Any], key: str, problems: list[str]) -> Actions:
    actions = read_object(config.get(key))
    order = actions.get("create_order", actions.get("create_orders", config.get("create_orders", "none")))
    order = {True: "always", False: "none"}.get(order, order) if isinstance(order, bool) else str(order or "none").lower()
    if order not in ("none", "always"):
        problems.append(f"{key}.create_order {order!r} is neither none nor always: read as none")
        order = "none"
    client = actions.get("create_client", actions.get("create_customers", config.get("create_customers", False)))
    minutes = actions.get("task_minutes", 30)
    return Actions(
        create_client=_truth(client, default=False),
        create_order=order,
        order_source=_text(actions.get("order_source")),
        order_state=_text(actions.get("order_state")),
        create_task=_text(actions.get("create_task")) or "none",
        task_minutes=minutes if isinstance(minutes, int) and not isinstance(minutes, bool) and 0 < minutes <= 10_080 else 30,
    )


def _employees(mapping: object, problems: list[str]) -> tuple[tuple[str, EmployeeRef], ...]:
    found: list[tuple[str, EmployeeRef]] = []
    for extension, employee in read_object(mapping).items():
        if isinstance(employee, str) and employee:
            found.append((extension, EmployeeRef(id=employee)))
        elif isinstance(employee, Mapping) and (employee.get("employee_id") or employee.get("id")):
            id_ = _text(employee.get("employee_id") or employee.get("id"))
            found.append((extension, EmployeeRef(id=id_, name=_text(employee.get("name")))))
        elif employee:
            problems.append(f"employee_mapping {extension!r} names no employee: left out")
    return tuple(found)


def _truth(value: object, *, default: bool) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value != 0
    if isinstance(value, str):
        return value.strip().lower() in ("1", "true", "yes", "on", "да")
    return default


def _text(value: object) -> str:
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _first_text(config: Mapping[str, Any], *keys: str) -> str:
    return next((text for key in keys if (text := _text(config.get(key)))), "")


def fingerprint(config: Mapping[str, Any]) -> str:
    """Names this content: a change made by somebody else is seen by it. Not reversible."""
    return hashlib.sha256(orjson.dumps(config, option=orjson.OPT_SORT_KEYS)).hexdigest()


def mask(secret: str) -> str:
    """A secret as it may be shown: at most its last four characters, and nothing of a short one."""
    if not secret:
        return ""
    return MASK + secret[-4:] if len(secret) >= 12 else MASK


def masked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they may be shown: every secret masked (PRODUCT D4)."""
    return {key: mask(value) if key in SECRET_FIELDS and isinstance(value, str) else value for key, value in config.items()}


class SettingsError(ValueError):
    """Settings that cannot be stored: which field, and in Russian what is wrong with it and what would be right."""

    def __init__(self, error: str, field_: str, hint: str) -> None:
        super().__init__(error)
        self.error = error
        self.field = field_
        self.hint = hint


_SHAPES: Final[Mapping[str, tuple[type, ...]]] = {
    "enabled": (bool,),
    "integration_code": (str,),
    "api_token": (str,),
    "notifications": (dict,),
    "incoming_call_actions": (dict,),
    "outgoing_call_actions": (dict,),
    "employee_mapping": (dict,),
    "unrecognized_extension": (str,),
    "country": (str,),
    "timezone": (str,),
    "phone_api_url": (str,),
}
_CHOICES: Final[Mapping[tuple[str, str], tuple[object, ...]]] = {
    ("notifications", "call_notify_mode"): ("none", "during"),
    ("notifications", "notify_incoming"): (True, False),
    ("notifications", "notify_outgoing"): (True, False),
    ("incoming_call_actions", "create_client"): (True, False),
    ("outgoing_call_actions", "create_client"): (True, False),
    ("incoming_call_actions", "create_order"): ("none", "always"),
    ("outgoing_call_actions", "create_order"): ("none", "always"),
}
_OWNED: Final = ("webhook_uuid", "webhook_url", "revision")
_TEXT_LIMIT: Final = 1_000
_MAPPING_LIMIT: Final = 5_000


def merge_update(current: Mapping[str, Any], body: object) -> dict[str, Any]:
    """The settings after an administrator's update: what is absent stays, a masked token stays, what we own stays.

    Raises SettingsError that names the field.
    """
    if not isinstance(body, dict):
        raise SettingsError("the body is not an object", "", "Отправьте объект с настройками.")
    update = body.get("ms", body)
    if not isinstance(update, dict):
        raise SettingsError("ms is not an object", "ms", "Отправьте объект с настройками.")
    for key, value in update.items():
        _check(key, value)
    kept = {key: value for key, value in update.items() if key not in _OWNED and not _is_masked(key, value)}
    return {**current, **kept}


def _is_masked(key: str, value: object) -> bool:
    return key in SECRET_FIELDS and isinstance(value, str) and value.startswith(MASK)


def _check(key: str, value: object) -> None:
    shapes = _SHAPES.get(key)
    if shapes is not None and not isinstance(value, shapes):
        wanted = {"bool": "true или false", "str": "строка", "dict": "объект"}[shapes[0].__name__]
        raise SettingsError(f"{key} has the wrong type", key, f"Здесь нужно: {wanted}.")
    if isinstance(value, str) and len(value) > _TEXT_LIMIT:
        raise SettingsError(f"{key} is too long", key, f"Не длиннее {_TEXT_LIMIT} символов.")
    if isinstance(value, str) and key in SECRET_FIELDS and not _is_masked(key, value) and not value.isascii():
        raise SettingsError(f"{key} is not a token", key, "Ключ состоит из латинских букв и цифр: скопируйте его целиком.")
    if key == "employee_mapping" and isinstance(value, dict) and len(value) > _MAPPING_LIMIT:
        raise SettingsError("employee_mapping is too large", key, f"Не больше {_MAPPING_LIMIT} сотрудников.")
    if isinstance(value, dict):
        for (section, name), choices in _CHOICES.items():
            if section == key and name in value and not any(value[name] is one or value[name] == one for one in choices):
                words = ", ".join(str(choice).lower() for choice in choices)
                raise SettingsError(f"{key}.{name} is not one of {words}", f"{key}.{name}", f"Допустимо: {words}.")
