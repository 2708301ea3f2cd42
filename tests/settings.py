"""The settings most tests work under: cards on, clients created, employees for the recordings' extensions."""

from __future__ import annotations

from core.settings import Settings, parse_settings

MS_CONFIG = {
    "enabled": True,
    "integration_code": "0" * 40,
    "api_token": "1" * 40,
    "notifications": {"call_notify_mode": "during", "notify_incoming": True, "notify_outgoing": True},
    "incoming_call_actions": {"create_client": True, "create_order": "none"},
    "outgoing_call_actions": {"create_client": True, "create_order": "none"},
    "employee_mapping": {
        extension: {"name": f"Сотрудник {extension}", "employee_id": f"00000000-0000-4000-8000-000000000{extension}"}
        for extension in ("101", "102", "103", "150", "151", "152")
    },
}

SETTINGS: Settings = parse_settings(MS_CONFIG)
