"""How people know whom MoySklad's ids mean: by name and extension, as far as a call's record and the settings tell. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.settings import Settings
from core.stand_in import StandIn


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Somebody with an id: an employee by ``name`` and ``extensions``, a customer by his name or number. Either may be missing."""

    name: str = ""
    extensions: tuple[str, ...] = ()


def known_as(record: StandIn, settings: Iterable[Settings]) -> Mapping[str, Known]:
    """Everybody who is named in a call's record or in one of these settings: id -> how he is known."""
    found: dict[str, Known] = {}
    for each in settings:
        for extension, employee in each.employees:
            _meet(found, employee.id, employee.name, extension)
    for extension, colleague in record.employees.items():
        if isinstance(colleague, Mapping):
            _meet(found, str(colleague.get("id") or ""), str(colleague.get("name") or ""), extension)
    for number, contact, name in record.contacts:
        if contact:
            _meet(found, contact, name or number)
    return found


def _meet(found: dict[str, Known], id_: str, name: str, extension: str = "") -> None:
    before = found.get(id_, Known())
    extensions = (*before.extensions, extension) if extension and extension not in before.extensions else before.extensions
    if id_:
        found[id_] = Known(name=before.name or name, extensions=extensions)
