"""What an administrator asks of a customer's MoySklad: does it work, who is there, show me a card (PRODUCT D1)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from adapters.moysklad.errors import Api, ApiRefusal
from adapters.moysklad.explain import explain_failure_ru
from adapters.moysklad.json_api import Employee, JsonApi
from adapters.moysklad.phone_api import PhoneApi, PhoneEmployee, update_body
from adapters.moysklad.terms import Named, chosen, named
from adapters.moysklad.transport import Trail
from core.effects import Account, CardAction, CardEvent, Refused, RegisterCall, Unavailable, UpdateCall
from core.self_test import NUMBER
from core.settings import Settings

TEST_COMMENT: Final = "Проверка карточки из настроек интеграции. Это не настоящий звонок."
SOLUTION_TOKEN: Final = 55006

CRM: Final = "tariff_crm"
"""The permission that tells of the CRM option, without which there are no tasks (2.6, 2.7)."""

MANY: Final = 100
"""Legal entities offered to choose from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a test found: ``ok``, and Russian words for a person. ``details`` are for programs and the page."""

    ok: bool
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmployeeRow:
    """One colleague as both APIs together know one; what an API did not say is empty."""

    employee_id: str
    extension: str = ""
    name: str = ""
    email: str = ""
    login: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmployeeList:
    """Colleagues, and Russian words about each API that could not be asked (empty: both answered)."""

    employees: tuple[EmployeeRow, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCard:
    """A test card on somebody's screen; give it to :meth:`Accounts.hide_test_card`. ``call``: empty as long as MoySklad has not
    said its own name of it."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    external_id: str
    extension: str
    employee_id: str
    start_ms: int
    call: str = ""


def trial_card(extension: str, employee_id: str, now_ms: int) -> TestCard:
    """One clearly marked test call's card for one employee (uuid, or empty: by extension), which nobody sees yet."""
    return TestCard(external_id=f"test-{now_ms}-{extension}", extension=extension, employee_id=employee_id, start_ms=now_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class _User:
    """Whoever the token speaks for; ``crm``: whether the account has that option (None: it does not say)."""

    name: str = ""
    crm: bool | None = None


class Accounts:
    """The administrator's questions, over the same clients and limits as the calls."""

    def __init__(self, phone: PhoneApi, json: JsonApi) -> None:
        self._phone = phone
        self._json = json

    async def check_phone_api(self, account: Account) -> Verdict:
        """Whether the Phone API key works and anybody has an extension. Never raises Refused or Unavailable.

        It is really asked, whatever was refused before; if it works again, what waits for it goes on.
        """
        self._phone.transport.forget(account.phone_key)
        try:
            employees = await self._phone.employees(account.phone_key, Trail(enterprise=account.enterprise))
        except (Refused, Unavailable) as failure:
            return _bad(failure, Api.PHONE)
        details = {"employees_with_extension": len(employees)}
        if not employees:
            return Verdict(
                ok=True,
                text="Ключ Phone API принят, но ни у одного сотрудника нет добавочного номера: карточки показывать некому. "
                "Задайте добавочные номера сотрудникам в МоёмСкладе.",
                details=details,
            )
        return Verdict(
            ok=True,
            text=f"Ключ Phone API принят. Сотрудников с добавочным номером: {len(employees)}.",
            details=details,
        )

    async def check_json_api(self, account: Account, settings: Settings) -> Verdict:
        """Whether the main token works, and what it lacks for what the settings ask. Asks as :meth:`check_phone_api` does."""
        token, trail = account.api_token, Trail(enterprise=account.enterprise)
        self._json.transport.forget(token)
        try:
            user = await self._user(token, trail)
            customers = await self._json.get("/entity/counterparty", token, trail, query=(("limit", "1"),))
        except (Refused, Unavailable) as failure:
            return _bad(failure, Api.JSON)
        organizations, for_customers, for_orders = await asyncio.gather(
            self._look("/entity/organization", token, (("limit", str(MANY)),)),
            self._look("/entity/counterparty/metadata", token, (("expand", "attributes"),)),
            self._look("/entity/customerorder/metadata", token, (("expand", "attributes"),)),
        )
        warnings = [
            *_required("контрагента", for_customers),
            *_required("заказа", for_orders),
            *_for_whom(organizations, account, settings),
            *_states_missing(for_orders, settings),
            *_for_tasks(user, account, settings),
        ]
        details = {
            "user": user.name,
            "counterparties": _count(customers),
            "organizations": None if isinstance(organizations, str) else _count(organizations),
            "warnings": warnings,
        }
        who = f" Пользователь: {user.name}." if user.name else ""
        return Verdict(ok=True, text=" ".join([f"Токен основного API принят.{who}", *warnings]), details=details)

    async def _user(self, token: str, trail: Trail) -> _User:
        """Who the token speaks for; nobody for a solution's token, which has no user (2.6)."""
        try:
            body = await self._json.get("/context/employee", token, trail)
        except ApiRefusal as refusal:
            if SOLUTION_TOKEN in refusal.codes:
                return _User()
            raise
        if not isinstance(body, dict):
            return _User()
        permissions = body.get("permissions")
        crm = CRM in permissions if isinstance(permissions, dict) else None
        return _User(name=str(body.get("name") or body.get("uid") or ""), crm=crm)

    async def _look(self, path: str, token: str, query: tuple[tuple[str, str], ...]) -> Any:
        """The answer, or Russian words why there is none: what is looked at here is wanted, not needed."""
        try:
            return await self._json.get(path, token, Trail(), query=query)
        except (Refused, Unavailable) as failure:
            return explain_failure_ru(failure, Api.JSON)

    async def list_employees(self, account: Account) -> EmployeeList:
        """Everybody, with the extension from one API and the name from the other; what one cannot say is said in words."""
        with_extension, colleagues = await asyncio.gather(self.with_extensions(account), self._colleagues(account))
        problems: list[str] = []
        if isinstance(with_extension, str):
            problems.append(f"Добавочные номера не получены. {with_extension}")
            with_extension = ()
        if isinstance(colleagues, str):
            problems.append(f"Имена сотрудников не получены. {colleagues}")
            colleagues = ()
        return EmployeeList(employees=join_employees(with_extension, colleagues), problems=tuple(problems))

    async def order_states(self, account: Account) -> tuple[tuple[str, ...], str]:
        """The names of the states that a customer order may have, and Russian words if they cannot be had."""
        answer = await self._look("/entity/customerorder/metadata", account.api_token, ())
        if isinstance(answer, str):
            return (), answer
        states = answer.get("states") if isinstance(answer, dict) else None
        return tuple(each.name for each in named(states if isinstance(states, list) else []) if each.name), ""

    async def organizations(self, account: Account) -> tuple[tuple[str, ...], str]:
        """The names of the account's legal entities, and Russian words if they cannot be had."""
        answer = await self._look("/entity/organization", account.api_token, (("limit", str(MANY)),))
        if isinstance(answer, str):
            return (), answer
        return tuple(each.name for each in _rows_of(answer) if each.name), ""

    async def with_extensions(self, account: Account) -> tuple[PhoneEmployee, ...] | str:
        """Who has an extension; Russian words if that cannot be had."""
        try:
            return await self._phone.employees(account.phone_key, Trail())
        except (Refused, Unavailable) as failure:
            return explain_failure_ru(failure, Api.PHONE)

    async def _colleagues(self, account: Account) -> tuple[Employee, ...] | str:
        try:
            return await self._json.employees(account.api_token, Trail())
        except (Refused, Unavailable) as failure:
            return explain_failure_ru(failure, Api.JSON)

    async def send_test_card(self, account: Account, card: TestCard) -> TestCard:
        """Register its call and show it; the card with MoySklad's name of the call.

        Raises Refused or Unavailable (it may stand all the same where that is ambiguous);
        ``explain.explain_failure_ru(failure, Api.PHONE)`` has the words for them.
        """
        show = CardEvent(action=CardAction.SHOW, sequence=1, extension=card.extension, employee=card.employee_id)
        call = await self._phone.register(
            RegisterCall(
                external_id=card.external_id,
                number=NUMBER,
                incoming=True,
                start_ms=card.start_ms,
                cards=(show,),
                comment=TEST_COMMENT,
            ),
            account.phone_key,
            Trail(),
        )
        return replace(card, call=call.id)

    async def hide_test_card(self, account: Account, card: TestCard, now_ms: int) -> None:
        """Take the test card off the screen and end the test call. Raises Refused or Unavailable."""
        hide = CardEvent(action=CardAction.HIDE, sequence=2, extension=card.extension, employee=card.employee_id)
        effect = UpdateCall(
            external_id=card.external_id,
            call=card.call,
            cards=(hide,),
            start_ms=card.start_ms,
            end_ms=max(now_ms, card.start_ms),
        )
        body = update_body(effect, self._phone.zone)
        if card.call:
            await self._phone.update(card.call, card.external_id, body, account.phone_key, Trail())
        else:
            await self._phone.update_by_external_id(card.external_id, body, account.phone_key, Trail())


def join_employees(with_extension: tuple[PhoneEmployee, ...], colleagues: tuple[Employee, ...]) -> tuple[EmployeeRow, ...]:
    """One row per extension and per colleague without one; archived colleagues only if they still have an extension."""
    by_id = {one.id: one for one in colleagues}
    rows = [
        _row(by_id.get(phone.id), phone.id, phone.extension)
        for phone in sorted(with_extension, key=lambda phone: (len(phone.extension), phone.extension))
    ]
    placed = {phone.id for phone in with_extension}
    rest = (one for one in colleagues if one.id not in placed and not one.archived)
    return (*rows, *(_row(one, one.id, "") for one in sorted(rest, key=lambda one: one.name)))


def _row(employee: Employee | None, employee_id: str, extension: str) -> EmployeeRow:
    if employee is None:
        return EmployeeRow(employee_id=employee_id, extension=extension)
    return EmployeeRow(
        employee_id=employee_id,
        extension=extension,
        name=employee.name,
        email=employee.email,
        login=employee.login,
    )


def _bad(failure: Refused | Unavailable, api: Api) -> Verdict:
    code = getattr(failure, "code", None) or next(iter(getattr(failure, "codes", ())), None)
    return Verdict(
        ok=False,
        text=explain_failure_ru(failure, api),
        details={"error": failure.error, "code": code, "status": getattr(failure, "status", None)},
    )


def _asks_for_orders(settings: Settings) -> bool:
    return any(actions.create_order != "none" for actions in (settings.incoming, settings.outgoing))


def _rows_of(body: Any) -> tuple[Named, ...]:
    rows = body.get("rows") if isinstance(body, dict) else None
    return named(rows if isinstance(rows, list) else [])


def _for_whom(organizations: Any, account: Account, settings: Settings) -> list[str]:
    """Warnings about the legal entity that orders are made for."""
    if isinstance(organizations, str):
        return [f"Юридические лица недоступны, заказы создать не получится. {organizations}"]
    rows = _rows_of(organizations)
    if not rows:
        return ["В МоёмСкладе нет юридического лица: заказы создать не получится."]
    if len(rows) == 1 or not _asks_for_orders(settings) or chosen(rows, account.organization):
        return []
    if account.organization:
        return [f"Юридического лица «{account.organization}» в МоёмСкладе нет: выберите другое, иначе заказы не создаются."]
    names = ", ".join(row.name for row in rows[:5])
    return [f"Юридических лиц несколько ({names}), а для заказов не выбрано ни одно: выберите, иначе заказы не создаются."]


def _states_missing(metadata: Any, settings: Settings) -> list[str]:
    """A warning for each chosen state that orders cannot have: they are made without it."""
    states = metadata.get("states") if isinstance(metadata, dict) else None
    if isinstance(metadata, str):
        return []
    known = named(states if isinstance(states, list) else [])
    wanted = {
        actions.order_state: None
        for actions in (settings.incoming, settings.outgoing)
        if actions.create_order != "none" and actions.order_state and not chosen(known, actions.order_state)
    }
    return [f"Статуса заказа «{state}» в МоёмСкладе нет: заказы создаются без него." for state in wanted]


def _for_tasks(user: _User, account: Account, settings: Settings) -> list[str]:
    """Warnings about tasks, where the settings ask for them."""
    if settings.incoming.create_task == "none":
        return []
    found = []
    if user.crm is False:
        found.append("В тарифе МоегоСклада нет опции CRM: задачи «Перезвонить» ставить нельзя. Подключите её или отключите задачи.")
    if not (account.assignee or settings.unrecognized_extension):
        found.append(
            "Не выбрано, кому ставить задачу, когда у клиента нет ответственного, а звонило у нескольких: выберите сотрудника."
        )
    return found


def _count(body: Any) -> int | None:
    meta = body.get("meta") if isinstance(body, dict) else None
    size = meta.get("size") if isinstance(meta, dict) else None
    return size if isinstance(size, int) else None


def _required(of_what: str, metadata: Any) -> list[str]:
    """A warning per required additional field: the minimal create would be refused because of it (2.7)."""
    attributes = metadata.get("attributes") if isinstance(metadata, dict) else None
    if isinstance(attributes, dict):
        attributes = attributes.get("rows")
    names = [
        str(attribute.get("name"))
        for attribute in (attributes if isinstance(attributes, list) else [])
        if isinstance(attribute, dict) and attribute.get("required") is True
    ]
    if not names:
        return []
    return [f"Обязательные дополнительные поля {of_what} помешают создавать его автоматически: {', '.join(names)}."]
