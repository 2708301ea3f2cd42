"""Links between entities as both APIs write them: ``{"href", "type", "mediaType"}`` (CONTRACT-MOYSKLAD 1.4, 2.1)."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from adapters.sandbox.errors import ErrorItem, item, refuse_all

MEDIA_TYPE = "application/json"
REMAP_PATH = "/api/remap/1.2"
PHONE_PATH = "/api/phone/1.0"
_ENTITY_HREF = re.compile(r"^(https?://[^/]+)/api/remap/1\.2/entity/(?:[\w/]+/)?(\w+)/([^/?#]+)$")


def is_uuid(text: str) -> bool:
    """Whether a path segment is a UUID in its usual form."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def meta(origin: str, kind: str, entity_id: str) -> dict[str, Any]:
    """The flat link to an entity, as calls and events hold it."""
    return {
        "href": f"{origin}{REMAP_PATH}/entity/{kind}/{entity_id}",
        "type": kind,
        "mediaType": MEDIA_TYPE,
    }


def read_flat_meta(value: Any, *, field: str, kind: str, origin: str) -> str:
    """The entity id a flat link of the Phone API names.

    Raises 2010 and 2011 together for a wrapper or an empty object (both are missing then), 2013 for a link that
    leads nowhere, 1060 for a type that cannot stand here, 1051 when type and link disagree.
    """
    given = value if isinstance(value, dict) else {}
    href, named = given.get("href"), given.get("type")
    missing: list[ErrorItem] = []
    if not isinstance(href, str) or not href:
        missing.append(item(2010, field, parameter=field))
    if not isinstance(named, str) or not named:
        missing.append(item(2011, field, parameter=field))
    if missing:
        raise refuse_all(missing)
    assert isinstance(href, str)
    match = _ENTITY_HREF.match(href)
    if match is None or match[1] != origin or not is_uuid(match[3]):
        raise refuse_all([item(2013, field, parameter=field)])
    if named != kind:
        raise refuse_all([item(1060, parameter=field)])
    if match[2] != kind:
        raise refuse_all([item(1051, match[2], named, parameter=field)])
    return match[3].lower()


def read_wrapped_meta(value: Any, *, field: str, kinds: tuple[str, ...], origin: str) -> tuple[str, str]:
    """The (type, id) that a JSON API link ``{"meta": {...}}`` names; 1059 when it names another server (2.1)."""
    inner = value.get("meta") if isinstance(value, dict) else None
    given = inner if isinstance(inner, dict) else {}
    href, named = given.get("href"), given.get("type")
    if not isinstance(href, str) or not href:
        raise refuse_all([item(2010, field, parameter=field)])
    if not isinstance(named, str) or not named:
        raise refuse_all([item(2011, field, parameter=field)])
    match = _ENTITY_HREF.match(href)
    if match is not None and match[1] != origin:
        raise refuse_all([item(1059, parameter=field)])
    if match is None or not is_uuid(match[3]):
        raise refuse_all([item(2013, field, parameter=field)])
    if named not in kinds:
        raise refuse_all([item(1060, parameter=field)])
    # states and attributes live below metadata: .../entity/customerorder/metadata/states/{id}
    in_href = {"states": "state", "attributes": "attributemetadata"}.get(match[2], match[2])
    if in_href != named:
        raise refuse_all([item(1051, in_href, named, parameter=field)])
    return named, match[3].lower()
