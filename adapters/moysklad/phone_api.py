"""The Phone API as functions: calls, card events, extensions (CONTRACT-MOYSKLAD 1).

Bodies are built here and nowhere else, so its traps live here: flat links, ``extension`` in calls but ``extention`` of
employees, ``recordUrl`` an array, ``duration`` in milliseconds, Moscow time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final
from urllib.parse import quote

from adapters.moysklad.errors import ApiRefusal, ApiUnavailable
from adapters.moysklad.moments import to_moscow
from adapters.moysklad.transport import Outgoing, Trail, Transport
from core.effects import CardEvent, RegisterCall, UpdateCall

PHONE_API_URL: Final = "https://api.moysklad.ru/api/phone/1.0"
HREF_BASE: Final = "https://api.moysklad.ru/api/remap/1.2"
"""What hrefs in bodies begin with, whatever server is spoken to (2.1, error 1059)."""

MAX_COMMENT_CHARS: Final = 4096
MAX_FILTERED_EXTENSIONS: Final = 50
"""Beyond this many the whole list is asked for: URL and headers share 8 KB (2.2)."""

NOTHING_TO_CHANGE: Final[Mapping[str, Any]] = {"comment": None}
"""A PUT body that changes nothing: ``null`` means "do not change" (1.4). It asks whether the call exists."""


def flat_meta(kind: str, entity_id: str) -> dict[str, str]:
    """A link as calls and events take it, without the ``meta`` wrapper (1.4)."""
    return {"href": f"{HREF_BASE}/entity/{kind}/{entity_id}", "type": kind, "mediaType": "application/json"}


def event_body(event: CardEvent) -> dict[str, Any]:
    """One card event (1.5)."""
    body: dict[str, Any] = {"eventType": str(event.action)}
    if event.extension:
        body["extension"] = event.extension
    body["sequence"] = event.sequence
    if event.employee:
        body["employee"] = flat_meta("employee", event.employee)
    return body


def register_body(effect: RegisterCall, zone: tzinfo) -> dict[str, Any]:
    """The body of POST /call: what is known, nothing else."""
    body: dict[str, Any] = {"externalId": effect.external_id, "number": effect.number}
    if effect.contact:
        body["counterparty"] = flat_meta("counterparty", effect.contact)
    body |= _person(effect)
    body |= {"isIncoming": effect.incoming, "startTime": to_moscow(effect.start_ms, zone)}
    return body | _rest(effect, zone)


def update_body(effect: UpdateCall, zone: tzinfo) -> dict[str, Any]:
    """The body of PUT /call: only what the effect sets, because what is filled cannot be corrected (1.4)."""
    return _person(effect) | _rest(effect, zone)


def _person(effect: RegisterCall | UpdateCall) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if effect.extension:
        body["extension"] = effect.extension
    if effect.employee:
        body["employee"] = flat_meta("employee", effect.employee)
    return body


def _rest(effect: RegisterCall | UpdateCall, zone: tzinfo) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if effect.end_ms is not None:
        body["endTime"] = to_moscow(effect.end_ms, zone)
        if effect.start_ms:
            body["duration"] = max(0, effect.end_ms - effect.start_ms)
    if effect.recordings:
        body["recordUrl"] = list(effect.recordings)
    if effect.comment:
        body["comment"] = effect.comment[:MAX_COMMENT_CHARS]
    if effect.cards:
        body["events"] = [event_body(event) for event in effect.cards]
    return body


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteCall:
    """A call as MoySklad answers it. ``contact`` and ``owner``, who is responsible, are uuids or None; ``start`` is local."""

    id: str
    contact: str | None
    recordings: tuple[str, ...]
    start: str
    owner: str | None = None
    owner_extension: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneEmployee:
    """Who has an extension: all that the Phone API knows of employees (1.6)."""

    id: str
    extension: str


class PhoneApi:
    """The Phone API over a transport. Every method raises Refused or Unavailable; times are in ``zone``."""

    def __init__(self, transport: Transport, *, zone: tzinfo) -> None:
        self.transport = transport
        self.zone = zone

    async def register(self, effect: RegisterCall, key: str, trail: Trail) -> RemoteCall:
        """POST /call."""
        body = register_body(effect, self.zone)
        return await self._call(Outgoing(method="POST", path="/call", body=body), key, trail)

    async def update(self, call: str, external_id: str, body: Mapping[str, Any], key: str, trail: Trail) -> RemoteCall:
        """PUT /call/{id}. ``external_id`` is not sent: it names the call for the guard whichever way it is reached."""
        outgoing = Outgoing(method="PUT", path=f"/call/{_segment(call)}", body=body, entity=external_id)
        return await self._call(outgoing, key, trail)

    async def update_by_external_id(self, external_id: str, body: Mapping[str, Any], key: str, trail: Trail) -> RemoteCall:
        """PUT /call/extid/{extid}."""
        path = f"/call/extid/{_segment(external_id)}"
        return await self._call(Outgoing(method="PUT", path=path, body=body, entity=external_id), key, trail)

    async def read(self, call: str, key: str, trail: Trail) -> RemoteCall:
        """GET /call/{id}."""
        return await self._call(Outgoing(method="GET", path=f"/call/{_segment(call)}"), key, trail)

    async def employees(self, key: str, trail: Trail, *, extensions: Iterable[str] = ()) -> tuple[PhoneEmployee, ...]:
        """GET /employee: everybody with an extension, or those with one of ``extensions`` (several ``=`` mean OR, 1.6)."""
        wanted = tuple(dict.fromkeys(extensions))
        if not wanted or len(wanted) > MAX_FILTERED_EXTENSIONS:
            found = await self._employees(key, trail, ())
        else:
            conditions = ";".join("extention=" + name.replace("\\", "\\\\").replace(";", "\\;") for name in wanted)
            try:
                found = await self._employees(key, trail, (("filter", conditions),))
            except ApiRefusal as refusal:
                if 1034 not in refusal.codes:
                    raise
                # An odd extension may be more than the filter can say; the whole list says it too.
                found = await self._employees(key, trail, ())
        return tuple(one for one in found if not wanted or one.extension in wanted)

    async def _employees(self, key: str, trail: Trail, query: tuple[tuple[str, str], ...]) -> tuple[PhoneEmployee, ...]:
        answer = await self.transport.send(Outgoing(method="GET", path="/employee", query=query), key, trail)
        rows = answer.get("employees") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise ApiUnavailable("the answer holds no list of employees", ambiguous=False)
        found: list[PhoneEmployee] = []
        for row in rows:
            employee_id = linked_id(row)
            extension = row.get("extention") if isinstance(row, dict) else None
            if employee_id is not None and extension is not None and str(extension):
                found.append(PhoneEmployee(id=employee_id, extension=str(extension)))
        return tuple(found)

    async def _call(self, outgoing: Outgoing, key: str, trail: Trail) -> RemoteCall:
        answer = await self.transport.send(outgoing, key, trail)
        call_id = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(call_id, str) or not call_id:
            raise ApiUnavailable("the answer names no call", ambiguous=outgoing.write)
        urls = answer.get("recordUrl")
        urls = [urls] if isinstance(urls, str) else urls if isinstance(urls, list) else []
        return RemoteCall(
            id=call_id,
            contact=linked_id(answer.get("counterparty")),
            recordings=tuple(str(url) for url in urls),
            start=str(answer.get("startTime") or ""),
            owner=linked_id(answer.get("counterpartyowner")),
            owner_extension=_owner_extension(answer.get("counterpartyowner")),
        )


def _owner_extension(owner: Any) -> str:
    """``extention`` as the API spells it here (1.4)."""
    extension = owner.get("extention") if isinstance(owner, Mapping) else None
    return str(extension) if isinstance(extension, str | int) and not isinstance(extension, bool) else ""


def linked_id(link: Any) -> str | None:
    """The uuid at the end of a link's href, flat or wrapped in ``meta``; None when there is none."""
    if not isinstance(link, Mapping):
        return None
    meta = link.get("meta") if isinstance(link.get("meta"), Mapping) else link
    href = meta.get("href") if isinstance(meta, Mapping) else None
    if not isinstance(href, str):
        return None
    return href.split("?", 1)[0].rstrip("/").rsplit("/", 1)[-1] or None


def _segment(text: str) -> str:
    """One path segment, escaped: a slash would break the extid routes (1.9)."""
    return quote(text, safe="")
