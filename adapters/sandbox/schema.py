"""What each entity of the JSON API may hold, as tables: CONTRACT-MOYSKLAD 2.5 to 2.8 in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

COMPANY_TYPES = (
    "legal", "entrepreneur", "individual",
    "legalUZ", "entrepreneurUZ", "individualUZ",
    "legalKZ", "entrepreneurKZ", "individualKZ",
)  # fmt: skip
CHANNEL_TYPES = (
    "MESSENGER", "SOCIAL_NETWORK", "MARKETPLACE", "ECOMMERCE",
    "CLASSIFIED_ADS", "DIRECT_SALES", "RETAIL_SALES", "OTHER",
)  # fmt: skip
ACTIONS = ("CREATE", "UPDATE", "DELETE", "PROCESSED")
DIFF_TYPES = ("NONE", "FIELDS")
WEBHOOK_TYPES = ("counterparty", "contactperson", "customerorder", "employee", "organization", "saleschannel", "task")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """One entity type. ``texts`` maps a field to its greatest length, ``links`` to the types it may lead to."""

    kind: str
    required: tuple[str, ...]
    texts: Mapping[str, int]
    flags: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    text_lists: tuple[str, ...] = ()
    defaults: Mapping[str, object] = field(default_factory=dict)
    searched: tuple[str, ...] = ()
    """Texts that ``search=`` looks into, phones apart."""

    @property
    def filterable(self) -> tuple[str, ...]:
        """What ``filter=`` takes for this type."""
        own = (*self.texts, *self.flags, *self.times, *self.choices, *self.links, *self.text_lists)
        by_state = ("state.name",) if "state" in self.links else ()
        return (*own, *by_state, *ALWAYS_FILTERABLE)


ALWAYS_FILTERABLE = ("id", "created", "updated", "archived", "syncId")
TIME_FIELDS = ("created", "updated", "moment", "deliveryPlannedMoment", "dueToDate")

SCHEMAS: Mapping[str, Schema] = {
    schema.kind: schema
    for schema in (
        Schema(
            kind="counterparty",
            required=("name",),
            texts={
                "name": 255, "phone": 255, "email": 255, "fax": 255, "code": 255, "externalCode": 255,
                "description": 4096, "legalTitle": 4096, "actualAddress": 255, "legalAddress": 255, "inn": 255,
                "discountCardNumber": 255,
            },
            flags=("shared", "archived"),
            choices={"companyType": COMPANY_TYPES},
            links={"owner": ("employee",), "group": ("group",), "state": ("state",)},
            text_lists=("tags",),
            defaults={"companyType": "legal", "tags": [], "shared": False, "archived": False},
            searched=("name", "code", "legalTitle", "discountCardNumber", "email"),
        ),
        Schema(
            kind="contactperson",
            required=("name",),
            texts={
                "name": 255, "phone": 255, "email": 255, "position": 255, "externalCode": 255,
                "description": 4096,
            },
            searched=("name", "email"),
        ),
        Schema(kind="note", required=("description",), texts={"description": 4096}),
        Schema(
            kind="organization",
            required=("name",),
            texts={"name": 255, "code": 255, "externalCode": 255, "description": 4096, "legalTitle": 4096},
            flags=("shared", "archived"),
            choices={"companyType": COMPANY_TYPES},
            links={"owner": ("employee",)},
            searched=("name", "legalTitle"),
        ),
        Schema(
            kind="saleschannel",
            required=("name", "type"),
            texts={"name": 255, "code": 255, "externalCode": 255, "description": 4096},
            flags=("shared", "archived"),
            choices={"type": CHANNEL_TYPES},
            links={"owner": ("employee",), "group": ("group",)},
            defaults={"shared": True, "archived": False},
            searched=("name",),
        ),
        Schema(
            kind="customerorder",
            required=("organization", "agent"),
            texts={"name": 255, "code": 255, "externalCode": 255, "description": 4096},
            flags=("shared", "applicable", "vatEnabled", "vatIncluded"),
            times=("moment", "deliveryPlannedMoment"),
            links={
                "organization": ("organization",),
                "agent": ("counterparty", "organization"),
                "state": ("state",),
                "salesChannel": ("saleschannel",),
                "owner": ("employee",),
                "group": ("group",),
                "store": ("store",),
                "project": ("project",),
                "contract": ("contract",),
            },
            defaults={"shared": False, "applicable": True, "vatEnabled": True, "vatIncluded": True},
            searched=("name", "description"),
        ),
        Schema(
            kind="task",
            required=("description", "assignee"),
            texts={"description": 4096},
            flags=("done",),
            times=("dueToDate",),
            links={
                "assignee": ("employee",),
                "agent": ("counterparty", "organization"),
                "operation": ("customerorder",),
            },
            defaults={"done": False},
            searched=("description",),
        ),
        Schema(
            kind="webhook",
            required=("url", "action", "entityType"),
            texts={"url": 255},
            flags=("enabled",),
            choices={
                "action": ACTIONS,
                "entityType": WEBHOOK_TYPES,
                "diffType": DIFF_TYPES,
                "method": ("POST",),
            },
            defaults={"enabled": True, "diffType": "NONE", "method": "POST"},
        ),
    )
}  # fmt: skip
"""Every type a client may write, by name."""
