"""The JSON API's webhooks (CONTRACT-MOYSKLAD 2.8): which of them are wanted, and what a delivery tells. Pure.

Deliveries hold links only, and UPDATE names the fields that changed: what has nothing to do with a name, a number or the
responsible employee changes nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

ENTITIES: Final = ("counterparty", "contactperson", "employee")
ACTIONS: Final = ("CREATE", "UPDATE", "DELETE")
WANTED: Final = tuple((entity, action) for entity in ENTITIES for action in ACTIONS)

MAX_EVENTS: Final = 1_000
"""Of one delivery; what is beyond is counted as everything."""

_TELLING: Final = frozenset(
    {"name", "phone", "owner", "archived", "contactpersons", "agent", "companyType", "tags"}
    | {"legalLastName", "legalFirstName", "legalMiddleName", "firstName", "lastName", "middleName", "fullName"}
)
_PHONES: Final = frozenset({"phone", "contactpersons", "archived", "name"})
"""Fields by which a customer becomes the one whom a number names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What MoySklad told of: which customers, contact persons and employees. ``phones``: a number may belong to somebody now;
    ``staff``: an employee came, went or changed. ``made``: customers worth having ready."""

    contacts: frozenset[str] = frozenset()
    persons: frozenset[str] = frozenset()
    employees: frozenset[str] = frozenset()
    made: frozenset[str] = frozenset()
    phones: bool = False
    staff: bool = False

    def __bool__(self) -> bool:
        return bool(self.contacts or self.persons or self.employees or self.phones or self.staff)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A webhook as the account has it. ``is_right``: on, and telling the fields that changed."""

    id: str
    url: str
    entity: str
    action: str
    is_right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairs:
    """What is to be done so that an account's webhooks are right."""

    create: tuple[tuple[str, str], ...] = ()
    mend: tuple[Hook, ...] = ()
    remove: tuple[Hook, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.create or self.mend or self.remove)


def repairs(there: Iterable[Hook], url: str, former: str = "") -> Repairs:
    """How to come from what is there to what is wanted at ``url``. Webhooks of others are left alone.

    ``former``: the secret of before, whose webhooks are ours too.
    """
    ours: dict[tuple[str, str], Hook] = {}
    surplus: list[Hook] = []
    for hook in sorted(there, key=lambda each: each.id):
        if secret_in(hook.url) not in (secret_in(url), former.lower() or None):
            continue
        kind = (hook.entity, hook.action)
        if hook.url == url and kind in WANTED and kind not in ours:
            ours[kind] = hook
        else:
            surplus.append(hook)
    return Repairs(
        create=tuple(kind for kind in WANTED if kind not in ours),
        mend=tuple(hook for hook in ours.values() if not hook.is_right),
        remove=tuple(surplus),
    )


def secret_in(url: str) -> str:
    """What ends an address of ours: it tells ours from others' also after the service has moved."""
    return url.rstrip("/").rpartition("/")[2].lower()


def told(body: object) -> Changed:
    """What a delivery tells. Total: what cannot be understood tells nothing."""
    events = body.get("events") if isinstance(body, Mapping) else None
    if not isinstance(events, list):
        return Changed()
    contacts: set[str] = set()
    persons: set[str] = set()
    employees: set[str] = set()
    made: set[str] = set()
    phones = len(events) > MAX_EVENTS
    staff = False
    for event in events[:MAX_EVENTS]:
        match _understood(event):
            case ("counterparty", action, path, fields):
                if action == "UPDATE" and not fields & _TELLING:
                    continue
                contacts.add(path[-1])
                if action == "DELETE":
                    made.discard(path[-1])
                elif action == "CREATE" or fields & _PHONES:
                    phones = True
                    made.add(path[-1])
            case ("contactperson", action, path, fields):
                if action == "UPDATE" and not fields & _TELLING:
                    continue
                persons.add(path[-1])
                phones = phones or action != "DELETE"
                if (customer := _above(path)) is not None:
                    contacts.add(customer)
            case ("employee", _, path, _):
                employees.add(path[-1])
                staff = True
    return Changed(
        contacts=frozenset(contacts),
        persons=frozenset(persons),
        employees=frozenset(employees),
        made=frozenset(made),
        phones=phones,
        staff=staff,
    )


def _understood(event: Any) -> tuple[str, str, tuple[str, ...], frozenset[str]] | None:
    """Type, action, the path's parts, and the fields that changed: all of them where the delivery does not say."""
    meta = event.get("meta") if isinstance(event, Mapping) else None
    href = meta.get("href") if isinstance(meta, Mapping) else None
    if not isinstance(href, str) or not isinstance(meta, Mapping):
        return None
    path = tuple(part for part in urlsplit(href[:1_000]).path.split("/") if part)
    action, kind = str(event.get("action") or ""), str(meta.get("type") or "")
    if not path or action not in ACTIONS or len(path[-1]) > 64:
        return None
    named = event.get("updatedFields")
    fields = frozenset(str(name) for name in named) if action == "UPDATE" and isinstance(named, list) else _TELLING
    return kind, action, path, fields


def _above(path: tuple[str, ...]) -> str | None:
    """The customer in the address of a contact person, where it is there."""
    if "counterparty" in path[:-2]:
        return path[path.index("counterparty") + 1][:64]
    return None
