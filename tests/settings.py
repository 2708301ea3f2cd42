"""The settings that tests run under, written as an administrator's row holds them and read by the code that reads those.

``SETTINGS`` is what the invariants run under: everything switched on. ``settings_with`` changes one thing at a time.
Uuids are fictional and readable: the employee with extension 101 is ``e0000000-…-000000000101``.
"""

from __future__ import annotations

from typing import Any

from core.settings import Settings, parse_settings

EXTENSIONS = ("101", "102", "103", "150", "151", "152")


def employee_id(extension: str) -> str:
    """The uuid of whoever has this extension."""
    return f"e0000000-0000-4000-8000-{int(extension):012d}"


def settings_with(
    *,
    enabled: bool = True,
    notify: str = "during",
    notify_incoming: bool = True,
    notify_outgoing: bool = True,
    create_incoming: bool = True,
    create_outgoing: bool = True,
    api_token: str = "fictional-api-token",
    mapped: tuple[str, ...] = EXTENSIONS,
    unrecognized: str = "",
) -> Settings:
    """Settings like :data:`SETTINGS`, except for what is named. An empty ``api_token``: no JSON API."""
    row: dict[str, Any] = {
        "enabled": enabled,
        "integration_code": "fictional-phone-key",
        "api_token": api_token,
        "notifications": {
            "call_notify_mode": notify,
            "notify_incoming": notify_incoming,
            "notify_outgoing": notify_outgoing,
        },
        "incoming_call_actions": {"create_client": create_incoming, "create_order": "none"},
        "outgoing_call_actions": {"create_client": create_outgoing, "create_order": "none"},
        "employee_mapping": {extension: {"name": f"Employee {extension}", "employee_id": employee_id(extension)} for extension in mapped},
        "unrecognized_extension": unrecognized,
    }
    return parse_settings(row)


SETTINGS = settings_with()
