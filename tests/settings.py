"""The settings most tests work under: cards on, clients created, employees for the recordings' extensions.

``MS_CONFIG`` is the row as an administrator left it, ``SETTINGS`` the same as a value; ``settings_with`` changes one
thing at a time.
"""

from __future__ import annotations

from typing import Any, Final

from core.settings import Settings, parse_settings

EXTENSIONS: Final = ("101", "102", "103", "150", "151", "152")


def employee_id(extension: str) -> str:
    """The uuid of whoever has this extension."""
    return f"00000000-0000-4000-8000-000000000{extension}"


MS_CONFIG: dict[str, Any] = {
    "enabled": True,
    "integration_code": "0" * 40,
    "api_token": "1" * 40,
    "notifications": {"call_notify_mode": "during", "notify_incoming": True, "notify_outgoing": True},
    "incoming_call_actions": {"create_client": True, "create_order": "none"},
    "outgoing_call_actions": {"create_client": True, "create_order": "none"},
    "employee_mapping": {
        extension: {"name": f"Сотрудник {extension}", "employee_id": employee_id(extension)} for extension in EXTENSIONS
    },
}


def settings_with(
    *,
    enabled: bool = True,
    notify: str = "during",
    notify_incoming: bool = True,
    notify_outgoing: bool = True,
    create_incoming: bool = True,
    create_outgoing: bool = True,
    main_api: bool = True,
    mapped: tuple[str, ...] = EXTENSIONS,
    unrecognized: str = "",
    order: str = "none",
    order_unanswered: bool = False,
    task: str = "none",
) -> Settings:
    """Settings like :data:`SETTINGS`, except for what is named."""
    mapping = MS_CONFIG["employee_mapping"]
    both = {"create_order": order, "order_unanswered": order_unanswered}
    return parse_settings(
        {
            **MS_CONFIG,
            "enabled": enabled,
            "api_token": MS_CONFIG["api_token"] if main_api else "",
            "notifications": {
                "call_notify_mode": notify,
                "notify_incoming": notify_incoming,
                "notify_outgoing": notify_outgoing,
            },
            "incoming_call_actions": {"create_client": create_incoming, **both, "create_task": task},
            "outgoing_call_actions": {"create_client": create_outgoing, **both},
            "employee_mapping": {extension: mapping[extension] for extension in mapped},
            "unrecognized_extension": unrecognized,
        }
    )


SETTINGS: Final[Settings] = parse_settings(MS_CONFIG)
