"""An administrator's change of the settings: checked field by field, merged into what is stored (PRODUCT D1, D2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import phonenumbers

from core.settings_secrets import is_masked, is_secret_field


class SettingsError(ValueError):
    """Settings that cannot be stored: which field, and in Russian what is wrong with it and what would be right."""

    def __init__(self, error: str, field_: str, hint: str) -> None:
        super().__init__(error)
        self.error = error
        self.field = field_
        self.hint = hint


TEXT_LIMIT: Final = 1_000
MAPPING_LIMIT: Final = 5_000
DEPTH_LIMIT: Final = 6
NAME_LIMIT: Final = 100
FIELDS_LIMIT: Final = 500
MAX_TASK_MINUTES: Final = 10_080
NAME_CHARS: Final = 255
"""What MoySklad takes as a name (CONTRACT-MOYSKLAD 2.5)."""

ORDERS: Final = ("none", "always", "unless_open")
"""Whether a call gets an order: never, always, or only if its client has none that is open."""

OWNED: Final = ("webhook_uuid", "webhook_url", "phone_api_url", "revision", "problems", "enterprise_number")
"""Fields that the service itself adds to its answers; sent back by a page, they change nothing."""

SECTIONS: Final = ("notifications", "incoming_call_actions", "outgoing_call_actions")
"""Objects in which what is absent stays; any other object is replaced as a whole, so that an entry can be removed."""

_ODD: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_TOKEN: Final = re.compile(r"[!-~]*")
_EXTENSION: Final = re.compile(r"\+?[0-9]{0,20}")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ZONE: Final = re.compile(r"[A-Za-z0-9_+/-]{0,64}")

Check = Callable[[str, Any], None]


def merge_update(current: Mapping[str, Any], body: object) -> dict[str, Any]:
    """The settings after an administrator's update, the inner object or ``{"ms": {…}}``.

    What is absent stays, a secret that comes back masked stays, what the service owns stays, null removes a field (a
    secret that is null stays), unknown fields are kept (see ``core/settings_names.py``). Raises SettingsError that names the field.
    """
    if not isinstance(body, Mapping):
        raise SettingsError("the body is not an object", "", "Отправьте объект с настройками.")
    update = body.get("ms", body)
    if not isinstance(update, Mapping):
        raise SettingsError("ms is not an object", "ms", "Отправьте объект с настройками.")
    changed = dict(current)
    for key, value in update.items():
        if not key.isprintable() or len(key) > NAME_LIMIT:
            raise SettingsError("a field's name is odd", key[:NAME_LIMIT], f"Имя поля: не длиннее {NAME_LIMIT} обычных символов.")
        if key in OWNED or (is_secret_field(key) and (value is None or is_masked(value))):
            continue
        if value is None:
            changed.pop(key, None)
            continue
        _check(key, value)
        changed[key] = _merged(key, current.get(key), value)
    if len(changed) > FIELDS_LIMIT:
        raise SettingsError("there are too many fields", "", f"Не больше {FIELDS_LIMIT} полей.")
    return changed


def restored(current: Mapping[str, Any], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """Earlier settings with today's secrets, and what the service owns as it is today."""

    def keeps(name: str) -> bool:
        return name in OWNED or is_secret_field(name)

    def walk(was: Any, now: Any) -> Any:
        if not isinstance(was, Mapping):
            return was
        today = now if isinstance(now, Mapping) else {}
        kept = {name: value for name, value in today.items() if is_secret_field(name)}
        return {**{name: walk(value, today.get(name)) for name, value in was.items() if not is_secret_field(name)}, **kept}

    kept = {name: value for name, value in current.items() if keeps(name)}
    return {**{name: walk(value, current.get(name)) for name, value in earlier.items() if not keeps(name)}, **kept}


def _merged(key: str, stored: Any, value: Any) -> Any:
    if isinstance(value, str):
        return value.strip()
    if not isinstance(value, Mapping):
        return value
    known = stored if isinstance(stored, Mapping) else {}
    fresh = {name: known.get(name, "") if is_secret_field(name) and is_masked(item) else item for name, item in value.items()}
    if key not in SECTIONS:
        return {name: _merged("", known.get(name), item) for name, item in fresh.items() if item is not None}
    return {name: item for name, item in {**known, **fresh}.items() if item is not None}


def _check(key: str, value: Any) -> None:
    _storable(key, value, 0)
    if is_secret_field(key):
        _secret(key, value)
    elif key in _FIELDS:
        _FIELDS[key](key, value)


def _storable(path: str, value: Any, depth: int) -> None:
    """Refuse what the database cannot store, or what nobody can have meant, whatever the field is for. Raises SettingsError."""
    if depth > DEPTH_LIMIT:
        raise SettingsError(f"{path} is nested too deep", path, "Слишком глубокая вложенность.")
    if isinstance(value, str):
        if len(value) > TEXT_LIMIT:
            raise SettingsError(f"{path} is too long", path, f"Не длиннее {TEXT_LIMIT} символов.")
        if _ODD.search(value):
            raise SettingsError(f"{path} contains control characters", path, "Уберите непечатаемые символы.")
    elif isinstance(value, Mapping | list):
        if len(value) > MAPPING_LIMIT:
            raise SettingsError(f"{path} is too large", path, f"Не больше {MAPPING_LIMIT} записей.")
        for name, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            if isinstance(name, str) and _ODD.search(name):
                raise SettingsError(f"{path} has an odd field name", path, "Уберите непечатаемые символы из названия поля.")
            _storable(f"{path}.{str(name)[:40]}", item, depth + 1)


def _yes_or_no(key: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise SettingsError(f"{key} is not true or false", key, "Здесь нужно: true или false.")


def _text(key: str, value: Any) -> None:
    if not isinstance(value, str):
        raise SettingsError(f"{key} is not a text", key, "Здесь нужна строка.")


def _name(key: str, value: Any) -> None:
    _text(key, value)
    if len(value.strip()) > NAME_CHARS or "\n" in value.strip():
        raise SettingsError(f"{key} is not a name", key, f"Укажите название в одну строку, не длиннее {NAME_CHARS} символов.")


def _person(key: str, value: Any) -> None:
    """An employee's uuid, or an extension."""
    _text(key, value)
    if not (_EXTENSION.fullmatch(value.strip()) or _UUID.fullmatch(value.strip())):
        raise SettingsError(f"{key} is not an employee", key, "Выберите сотрудника или укажите добавочный номер, например 151.")


def _secret(key: str, value: Any) -> None:
    _text(key, value)
    if not _TOKEN.fullmatch(value.strip()):
        raise SettingsError(
            f"{key} is not a token", key, "Ключ состоит из латинских букв и цифр без пробелов: скопируйте его целиком."
        )


def _extension(key: str, value: Any) -> None:
    _text(key, value)
    if not _EXTENSION.fullmatch(value.strip()):
        raise SettingsError(f"{key} is not an extension", key, "Укажите добавочный номер цифрами, например 151.")


def _country(key: str, value: Any) -> None:
    _text(key, value)
    if value.strip() and value.strip().upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise SettingsError(f"{key} is not a country", key, "Укажите код страны двумя буквами, например BY или RU.")


def _zone(key: str, value: Any) -> None:
    _text(key, value)
    if not _ZONE.fullmatch(value.strip()):
        raise SettingsError(f"{key} is not a time zone", key, "Укажите часовой пояс, например Europe/Minsk.")


def _one_of(*choices: str) -> Check:
    def check(key: str, value: Any) -> None:
        if value not in choices:
            words = ", ".join(choices)
            raise SettingsError(f"{key} is not one of {words}", key, f"Допустимо: {words}.")

    return check


def _minutes(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_TASK_MINUTES:
        raise SettingsError(f"{key} is not a number of minutes", key, f"Укажите целое число минут от 1 до {MAX_TASK_MINUTES}.")


def _section(fields: Mapping[str, Check]) -> Check:
    def check(key: str, value: Any) -> None:
        if not isinstance(value, Mapping):
            raise SettingsError(f"{key} is not an object", key, "Здесь нужен объект.")
        for name, item in value.items():
            if item is not None and name in fields:
                fields[name](f"{key}.{name}", item)

    return check


def _mapping(key: str, value: Any) -> None:
    """Extension -> employee, each an object with ``employee_id`` or the bare uuid (CONTRACT-ASTERISK)."""
    if not isinstance(value, Mapping):
        raise SettingsError(f"{key} is not an object", key, "Здесь нужен объект: добавочный номер и сотрудник.")
    for extension, employee in value.items():
        path = f"{key}.{str(extension)[:40]}"
        if not isinstance(extension, str) or not extension.strip() or not _EXTENSION.fullmatch(extension.strip()):
            raise SettingsError(f"{path} is not an extension", path, "Добавочный номер состоит из цифр, например 151.")
        id_ = employee.get("employee_id", "") if isinstance(employee, Mapping) else employee
        if id_ is not None and not isinstance(id_, str):
            raise SettingsError(f"{path} names no employee", path, "Выберите сотрудника МоегоСклада для этого номера.")


_ACTIONS: Final[Mapping[str, Check]] = {
    "create_client": _yes_or_no,
    "create_order": _one_of(*ORDERS),
    "order_unanswered": _yes_or_no,
    "order_source": _name,
    "order_state": _name,
    "create_task": _one_of("none", "on_missed"),
    "task_minutes": _minutes,
}
_NOTIFICATIONS: Final[Mapping[str, Check]] = {
    "call_notify_mode": _one_of("none", "during"),
    "notify_incoming": _yes_or_no,
    "notify_outgoing": _yes_or_no,
}
_FIELDS: Final[Mapping[str, Check]] = {
    "enabled": _yes_or_no,
    "notifications": _section(_NOTIFICATIONS),
    "incoming_call_actions": _section(_ACTIONS),
    "outgoing_call_actions": _section(_ACTIONS),
    "employee_mapping": _mapping,
    "unrecognized_extension": _extension,
    "organization": _name,
    "task_assignee": _person,
    "country": _country,
    "timezone": _zone,
    "webhook_signature": _one_of("log", "enforce"),
    "create_task": _one_of("none", "on_missed"),
    "task_minutes": _minutes,
}

PATHS: Final = tuple(
    sorted(
        {
            *(_FIELDS.keys() - set(SECTIONS)),
            *(f"notifications.{name}" for name in _NOTIFICATIONS),
            *(f"{section}.{name}" for section in ("incoming_call_actions", "outgoing_call_actions") for name in _ACTIONS),
        }
    )
)
"""Every setting that the service understands as an administrator writes it, secrets apart; in an object, with its name first."""
