"""MoySklad on the far side of a simulated network: what the real clients send is answered from ``tests.moysklad_model``.

The nodes speak to it through the real gateway, its two APIs, their limits and transport; only aiohttp's session is
replaced. The server counts what each account asks of each API and says so when it is more than the contract allows; it
acts at its own time, also on a request whose sender has given up long since.
"""

from __future__ import annotations

import random
from asyncio import Future
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from adapters.moysklad.errors import Api
from adapters.moysklad.limits import JSON_PERIOD_MS, JSON_UNITS, PHONE_LIMIT
from adapters.moysklad.phone_api import HREF_BASE, linked_id
from core.effects import (
    CardAction,
    CardEvent,
    CompleteTask,
    CreateContact,
    CreateOrder,
    CreateTask,
    Effect,
    InspectTask,
    Performed,
    Refused,
    RegisterCall,
    UpdateCall,
)
from tests.moysklad_model import MoySkladModel, Repeated, Row
from tests.settings import EXTENSIONS, employee_id

Answer = tuple[int, dict[str, str], Any]
"""Status, headers, JSON."""

TIGHT_REQUESTS: Final = 10
FAILING_PER_MINUTE: Final = 200
MINUTE_MS: Final = 60_000

REFUSED_EMPLOYEE: Final = employee_id("103")
UNKNOWN_KEY: Final[Answer] = (401, {}, {"errors": [{"error": "Ошибка аутентификации", "code": 1056}]})


def refuses(effect: Effect) -> str:
    """What an account says to whoever names the employee of extension 103, when it is to refuse that."""
    if isinstance(effect, RegisterCall | UpdateCall):
        named = {effect.employee, *(card.employee for card in effect.cards)}
        return "Сотрудник не может войти в МойСклад" if REFUSED_EMPLOYEE in named else ""
    return ""


@dataclass(slots=True)
class Refusing(MoySkladModel):
    """The model, perhaps refusing that employee; and it notes when a contact is made twice for one number."""

    refusing: bool = False
    created: list[CreateContact] = field(default_factory=list)

    def perform(self, effect: Effect) -> Performed:
        """Carry the effect out."""
        if self.refusing and (reason := refuses(effect)):
            self.requests.append(effect)
            raise Refused(reason)
        if isinstance(effect, CreateContact) and effect.sync_id not in self.by_sync_id:
            self.created.append(effect)
        return MoySkladModel.perform(self, effect)


@dataclass(slots=True)
class Door:
    """What is counted of one credential at one API: arrivals within the period, requests inside, failures within a minute."""

    arrived: deque[int] = field(default_factory=deque)
    failed: deque[int] = field(default_factory=deque)
    inside: list[Future[Answer]] = field(default_factory=list)

    def inside_of(self, sender: object) -> int:
        """Requests of one process inside that it still waits for: what was given up, or belongs to one that has lost the
        account, cannot be ended from outside."""
        return sum(not gone.done() and gone.get_loop() is sender for gone in self.inside)


class Account:
    """One MoySklad, and whose. ``object_to``: told of what must not happen, in words."""

    def __init__(
        self,
        enterprises: tuple[str, ...],
        *,
        repeated: Repeated,
        refusing: bool,
        tight: bool,
        object_to: Callable[[str], None],
    ) -> None:
        self.enterprises = enterprises
        self.name = " and ".join(enterprises)
        self.phone_key = f"phone-key-of-{enterprises[0]}"
        self.api_token = f"api-token-of-{enterprises[0]}"
        employees = {extension: employee_id(extension) for extension in EXTENSIONS}
        self.model = Refusing(repeated=repeated, employees=employees, refusing=refusing)
        self.doors = {Api.PHONE: Door(), Api.JSON: Door()}
        self.requests: Counter[str] = Counter()
        self._tight = tight
        self._object_to = object_to

    def limit(self, api: Api) -> tuple[int, int]:
        """Requests per so many ms."""
        if api is Api.JSON:
            return JSON_UNITS // 3, JSON_PERIOD_MS
        return TIGHT_REQUESTS if self._tight else PHONE_LIMIT.requests, PHONE_LIMIT.period_ms

    def admit(self, api: Api, sender: object, now_ms: int) -> Answer | None:
        """A request is at the door: count it. The answer that says it is too much; None when it is not."""
        door = self.doors[api]
        requests, period_ms = self.limit(api)
        while door.arrived and door.arrived[0] <= now_ms - period_ms:
            door.arrived.popleft()
        door.arrived.append(now_ms)
        if len(door.arrived) > requests:
            self._object_to(f"{self.name}: {len(door.arrived)} requests to the {api} API within {period_ms} ms")
            return _limited(1049, period_ms)
        if door.inside_of(sender) >= PHONE_LIMIT.parallel:
            self._object_to(f"{self.name}: more than {PHONE_LIMIT.parallel} requests to the {api} API at once")
            return _limited(1073, None)
        return None

    def count_failure(self, api: Api, now_ms: int) -> None:
        """An answer said no: the account is blocked for too many of these (2.2)."""
        failed = self.doors[api].failed
        while failed and failed[0] <= now_ms - MINUTE_MS:
            failed.popleft()
        failed.append(now_ms)
        if len(failed) >= FAILING_PER_MINUTE:
            self._object_to(f"{self.name}: {len(failed)} requests to the {api} API failed within a minute")

    def act(self, api: Api, method: str, path: str, query: Mapping[str, list[str]], body: Any) -> Answer:
        """Do what is asked."""
        self.requests[f"{api} {method}"] += 1
        try:
            return self._phone(method, path, query, body) if api is Api.PHONE else self._json(method, path, query, body)
        except Refused as refusal:
            error = {"error": refusal.error, "code": refusal.code or 3045, "parameter": "employee"}
            return (404 if refusal.code == 1021 else 412), {}, {"errors": [error]}

    def _phone(self, method: str, path: str, query: Mapping[str, list[str]], body: Any) -> Answer:
        if path == "/employee":
            wanted = [part.partition("=")[2] for part in query.get("filter", [""])[0].split(";") if part]
            found = [
                {**_link("employee", employee), "extention": extension}
                for extension, employee in self.model.employees.items()
                if not wanted or extension in wanted
            ]
            return 200, {}, {"employees": found}
        if path == "/call":
            effect = _register(body)
            known = self._by_external_id(effect.external_id)
            if known is not None and self.model.repeated is Repeated.REFUSED:
                error = {"error": "Значение поля externalId не уникально", "code": 3006, "parameter": "externalId"}
                return 412, {}, {"errors": [error]}
            done = self.model.perform(effect)
            row = next(row for row in self.model.rows if row.id == done.result["call"])
            return 200, {}, _call(row)
        by_external_id = path.startswith("/call/extid/")
        name = unquote(path.rpartition("/")[2])
        found_row = self._by_external_id(name) if by_external_id else self._by_id(name)
        if found_row is None:
            return 404, {}, {"errors": [{"error": "Объект не найден", "code": 1021}]}
        if method == "PUT":
            self.model.perform(_update(found_row, body))
        return 200, {}, _call(found_row)

    def _json(self, method: str, path: str, query: Mapping[str, list[str]], body: Any) -> Answer:
        kind = path.split("/")[2]
        if kind in ("employee", "saleschannel") and method == "GET":
            return _rows([])
        if kind == "organization":
            return _rows([{"id": "organization-1", "name": "ООО"}])
        if kind == "saleschannel":
            return 200, {}, {"id": "channel-1", "name": body["name"]}
        if kind == "customerorder":
            order = self.model.perform(_order(body)).result
            return 200, {}, {"id": order["order"], "name": order["name"]}
        if kind == "task":
            return self._task(method, path, query, body)
        if method == "POST":
            done = self.model.perform(CreateContact(number=body["phone"], sync_id=body["syncId"]))
            return 200, {}, {"id": done.result["contact"], "name": body["name"], "phone": body["phone"]}
        text = query["search"][0]
        rows = [
            {"id": contact, "name": number, "phone": number, "contactpersons": {"meta": {"size": 0}, "rows": []}}
            for number, contact in self.model.contacts.items()
            if text in number
        ]
        return 200, {}, {"meta": {"size": len(rows)}, "rows": rows}

    def _task(self, method: str, path: str, query: Mapping[str, list[str]], body: Any) -> Answer:
        if method == "GET" and path.count("/") > 2:
            inspected = self.model.perform(InspectTask(task=path.rpartition("/")[2])).result
            return 200, {}, {"id": path.rpartition("/")[2], "done": not inspected["open"]}
        if method == "GET":
            mark = query["filter"][0].removeprefix("description~")
            return _rows([{"id": task.id, "description": f"… {mark}"} for task in self.model.tasks if task.mark == mark])
        if method == "PUT":
            self.model.perform(CompleteTask(task=path.rpartition("/")[2]))
            return 200, {}, {"id": path.rpartition("/")[2]}
        return 200, {}, {"id": self.model.perform(_new_task(body)).result["task"]}

    def _by_external_id(self, external_id: str) -> Row | None:
        return next((row for row in self.model.rows if row.external_id == external_id), None)

    def _by_id(self, call: str) -> Row | None:
        return next((row for row in self.model.rows if row.id == call), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of one request: when it arrives, whether the server acts, and what the sender gets and when.

    ``answer``: instead of the server's own. ``error``: what the sender's connection does instead of answering. No answer and
    no error: silence, until the sender gives up. Times in microseconds after the first byte left.
    """

    arrives_us: int
    acts: bool = True
    takes_us: int = 0
    back_us: int = 0
    answer: Answer | None = None
    lost: bool = False
    silent: bool = False


def good_fate(rng: random.Random) -> Fate:
    """An ordinary request."""
    return Fate(arrives_us=rng.randint(5_000, 40_000), takes_us=rng.randint(10_000, 150_000), back_us=rng.randint(5_000, 40_000))


def split(api: Api, url: str) -> tuple[str, dict[str, list[str]]]:
    """The path below the API's base, and the query."""
    parts = urlsplit(url)
    base = f"/{api.value}"
    assert parts.path.startswith(base), url
    return parts.path.removeprefix(base), parse_qs(parts.query)


def _limited(code: int, retry_after_ms: int | None) -> Answer:
    headers = {} if retry_after_ms is None else {"X-Lognex-Retry-After": str(retry_after_ms)}
    return 429, headers, {"errors": [{"error": "Превышено ограничение на количество запросов", "code": code}]}


LIMITED: Final = _limited(1049, 3_000)
BROKEN: Final[Answer] = (503, {}, {"errors": [{"error": "Сервис недоступен", "code": 1999}]})


def _register(body: Any) -> RegisterCall:
    return RegisterCall(
        external_id=body["externalId"],
        number=body["number"],
        incoming=body["isIncoming"],
        start_ms=_ms(body["startTime"]),
        contact=linked_id(body.get("counterparty")) or "",
        cards=_cards(body),
        extension=body.get("extension", ""),
        employee=linked_id(body.get("employee")) or "",
        end_ms=_ms(body["endTime"]) if "endTime" in body else None,
        comment=body.get("comment") or "",
        recordings=tuple(body.get("recordUrl", ())),
    )


def _order(body: Any) -> CreateOrder:
    return CreateOrder(
        sync_id=body["syncId"],
        contact=linked_id(body["agent"]) or "",
        number="",
        incoming=True,
        start_ms=0,
        owner=linked_id(body.get("owner")) or "",
    )


def _new_task(body: Any) -> CreateTask:
    text = body["description"]
    return CreateTask(
        mark=text[text.rindex("(") :],
        number=text.partition("Перезвонить: ")[2].partition(". ")[0],
        missed_ms=0,
        due_ms=_ms(body["dueToDate"]),
        contact=linked_id(body.get("agent")) or "",
        assignee=linked_id(body["assignee"]) or "",
    )


def _rows(rows: list[dict[str, Any]]) -> Answer:
    return 200, {}, {"meta": {"size": len(rows)}, "rows": rows}


def _update(row: Row, body: Any) -> UpdateCall:
    return UpdateCall(
        external_id=row.external_id,
        call=row.id,
        cards=_cards(body),
        extension=body.get("extension", ""),
        employee=linked_id(body.get("employee")) or "",
        end_ms=_ms(body["endTime"]) if "endTime" in body else None,
        comment=body.get("comment") or "",
        recordings=tuple(body.get("recordUrl", ())),
    )


def _cards(body: Any) -> tuple[CardEvent, ...]:
    return tuple(
        CardEvent(
            action=CardAction(event["eventType"]),
            sequence=event["sequence"],
            extension=event.get("extension", ""),
            employee=linked_id(event.get("employee")) or "",
        )
        for event in body.get("events", ())
    )


def _call(row: Row) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "id": row.id,
        "externalId": row.external_id,
        "number": row.number,
        "startTime": f"{datetime.fromtimestamp(row.start_ms / 1000, tz=UTC):%Y-%m-%d %H:%M:%S}.{row.start_ms % 1000:03d}",
        "recordUrl": list(row.recordings),
    }
    return answer | ({"counterparty": _link("counterparty", row.contact)} if row.contact else {})


def _link(kind: str, id_: str) -> dict[str, Any]:
    return {"meta": {"href": f"{HREF_BASE}/entity/{kind}/{id_}", "type": kind}}


def _ms(text: str) -> int:
    """A time in a body: the nodes write UTC here, which is as good as Moscow and quicker."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)
