"""The administrator's JSON API (PRODUCT D1): settings, connection test, employees, test card, parked calls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import msgspec
from aiohttp import web

from adapters.call_search import is_known
from adapters.http.answers import Problem, answer, not_understood, read_json
from adapters.http.bodies import (
    EmployeesQuery,
    ParkedQuery,
    Restore,
    SelfTestWanted,
    SettingsUpdate,
    TestCardWanted,
    read_body,
)
from adapters.http.described import described
from adapters.http.services import Services, services
from adapters.http.settings_shapes import (
    Changes,
    Connection,
    Employees,
    OrderStates,
    Organizations,
    Retried,
    SelfTestBegun,
    SelfTestShown,
    SettingsShown,
    TestCardShown,
)
from adapters.http.shapes import Done
from adapters.http.who import for_links, note, scoped, who
from adapters.moysklad.errors import Api
from adapters.moysklad.explain import explain_failure_ru, nobody_has_ru
from adapters.parked import MAX_SHOWN, Ordered, Parked
from adapters.self_test import Busy, SwitchedOff
from adapters.settings_store import Current, SettingsConflict
from adapters.trial_cards import STANDS_S, TooManyShown
from core.effects import Refused, Unavailable
from core.settings import SettingsError, masked
from core.settings_names import no_settings


def routes() -> list[web.RouteDef]:
    """Everything under ``/ms-admin/`` that answers JSON."""
    return [
        web.get("/ms-admin/api/config/{enterprise}", get_config),
        web.put("/ms-admin/api/config/{enterprise}", put_config),
        web.delete("/ms-admin/api/config/{enterprise}", delete_config),
        web.get("/ms-admin/api/config/{enterprise}/history", get_history),
        web.post("/ms-admin/api/config/{enterprise}/restore", restore_config),
        web.get("/ms-admin/api/test/{enterprise}", test_connection),
        web.post("/ms-admin/test/{enterprise}", test_connection),
        web.get("/ms-admin/api/employees/{enterprise}", get_employees),
        web.get("/ms-admin/api/order-states/{enterprise}", get_order_states),
        web.get("/ms-admin/api/organizations/{enterprise}", get_organizations),
        web.post("/ms-admin/api/test-manager/{enterprise}", test_manager),
        web.post("/ms-admin/api/self-test/{enterprise}", begin_self_test),
        web.get("/ms-admin/api/self-test/{enterprise}/{test}", get_self_test),
        web.get("/ms-admin/api/parked", get_parked),
        web.post("/ms-admin/api/retry/{enterprise}", retry_enterprise),
        web.post("/ms-admin/api/retry/{enterprise}/{call}", retry_call),
    ]


@described("settings", SettingsShown)
async def get_config(request: web.Request) -> web.Response:
    """The settings in force, tokens masked, with their revision."""
    current = await _known(request)
    name, primary = await services(request).settings.about(current.enterprise)
    return answer({**_shown(request, current), "name": name, "primary": primary})


@described("settings", SettingsShown, body=SettingsUpdate)
async def put_config(request: web.Request) -> web.Response:
    """Store settings; creates the enterprise's row if there is none. A masked or absent token stays as it is.

    A name that is no setting is kept, as what other programs keep there is, and told in ``unknown`` with the nearest ones.
    """
    body = await read_json(request)
    parts = services(request)
    expected = body.get("revision") if isinstance(body, dict) else None
    if expected is not None and (isinstance(expected, bool) or not isinstance(expected, int)):
        raise Problem(400, "revision is not a number", field="revision", hint="Отправьте номер редакции, которую вы видели.")
    enterprise = _enterprise(request)
    stored = await parts.settings.current(enterprise)
    with _refusals():
        current = await parts.settings.save(
            enterprise,
            body,
            by=_by(request),
            reason="saved by the administrator",
            expected_revision=expected,
        )
    parts.moysklad.gateway.forget(current.account)
    await note(request, "settings_saved", enterprise=current.enterprise, revision=current.revision)
    unknown = no_settings(stored.config if stored is not None else {}, body)
    return answer({**_shown(request, current), "unknown": [asdict(each) for each in unknown]})


@described("settings", SettingsShown, body=Restore)
async def restore_config(request: web.Request) -> web.Response:
    """Bring back the settings of an earlier revision as a new one; keys and tokens stay as they are now."""
    body, parts, enterprise = await read_body(request, Restore), services(request), _enterprise(request)
    with _refusals():
        current = await parts.settings.restore(enterprise, body.restore, by=_by(request), expected_revision=body.revision)
    if current is None:
        raise Problem(404, "the revision is unknown", field="restore", hint="Такой редакции нет: обновите страницу.")
    parts.moysklad.gateway.forget(current.account)
    await note(request, "settings_restored", enterprise=enterprise, restored=body.restore, revision=current.revision)
    return answer(_shown(request, current))


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        raise Problem(400, error.error, field=error.field, hint=error.hint) from error
    except SettingsConflict as error:
        hint = "Настройки изменил кто-то другой: обновите страницу и внесите изменения снова."
        raise Problem(409, str(error), field="revision", hint=hint) from error


@described("settings", Done)
async def delete_config(request: web.Request) -> web.Response:
    """Remove the integration's settings; the history of changes and of calls stays."""
    if not await services(request).settings.delete(_enterprise(request), by=_by(request)):
        raise _no_such_enterprise()
    await note(request, "settings_deleted", enterprise=_enterprise(request))
    return answer({"status": "deleted"})


@described("settings", Changes)
async def get_history(request: web.Request) -> web.Response:
    """Who changed what and when, newest first, tokens masked."""
    await _known(request)
    revisions = await services(request).settings.history(_enterprise(request))
    return answer(
        {
            "history": [
                {
                    "revision": each.revision,
                    "at": each.at.isoformat(),
                    "by": each.by,
                    "reason": each.reason,
                    "ms": masked(each.config),
                }
                for each in revisions
            ]
        }
    )


@described("checks", Connection)
async def test_connection(request: web.Request) -> web.Response:
    """Try both APIs and say in words what is right and what is wrong."""
    parts = services(request)
    current, accounts = await _known(request), parts.moysklad.accounts
    phone, main = await asyncio.gather(
        accounts.check_phone_api(current.account), accounts.check_json_api(current.account, current.settings)
    )
    told, words = parts.keeper.in_words(current.enterprise, current.settings)
    verdicts = {
        "phone_api": {"ok": phone.ok, "text": phone.text, "details": dict(phone.details)},
        "main_api": {"ok": main.ok, "text": main.text, "details": dict(main.details)},
        "changes": {"ok": told, "text": words, "details": {}},
    }
    return answer({"success": phone.ok and main.ok, **verdicts, "problems": list(current.settings.problems)})


@described("checks", Employees, query=EmployeesQuery)
async def get_employees(request: web.Request) -> web.Response:
    """The account's employees with their extensions; ``?refresh=1`` asks MoySklad anew for calls too."""
    current, parts = await _known(request), services(request)
    if request.query.get("refresh"):
        parts.moysklad.gateway.directory.forget(current.account)
        parts.desk.lookups.extensions(current.account)
    found = await parts.moysklad.accounts.list_employees(current.account)
    mapping = {number: employee.id for number, employee in current.settings.employees}
    return answer(
        {
            "employees": [
                {
                    "employee_id": each.employee_id,
                    "extension": each.extension,
                    "name": each.name,
                    "email": each.email,
                    "login": each.login,
                    "mapped_to": [number for number, id_ in mapping.items() if id_ == each.employee_id],
                }
                for each in found.employees
            ],
            "problems": list(found.problems),
        }
    )


@described("checks", OrderStates)
async def get_order_states(request: web.Request) -> web.Response:
    """The states that a customer order may have at the account's MoySklad, by name."""
    current = await _known(request)
    states, problem = await services(request).moysklad.accounts.order_states(current.account)
    return answer({"states": list(states), "problem": problem})


@described("checks", Organizations)
async def get_organizations(request: web.Request) -> web.Response:
    """The legal entities of the account, by name: for one of them orders are made."""
    current = await _known(request)
    names, problem = await services(request).moysklad.accounts.organizations(current.account)
    return answer({"organizations": list(names), "problem": problem})


@described("checks", TestCardShown, body=TestCardWanted, also={502: TestCardShown})
async def test_manager(request: web.Request) -> web.Response:
    """Show one marked test card to one employee; it goes by itself."""
    body = await read_body(request, TestCardWanted)
    current, parts = await _known(request), services(request)
    extension, employee = body.extension.strip(), body.employee_id.strip()
    if not extension and not employee:
        raise Problem(400, "extension is missing", field="extension", hint="Укажите добавочный номер сотрудника.")
    extension, employee = await _who_is_shown(parts, current, extension, employee)
    try:
        card = await parts.trial_cards.show(current.account, extension, employee)
    except TooManyShown as error:
        raise Problem(429, "too many test cards are shown", hint="Подождите полминуты и попробуйте снова.") from error
    except (Refused, Unavailable) as error:
        return answer({"success": False, "message": explain_failure_ru(error, Api.PHONE)}, 502)
    await note(request, "test_card_shown", enterprise=current.enterprise, object_=extension)
    message = f"Тестовая карточка показана сотруднику с номером {extension}; через {STANDS_S:.0f} с она исчезнет."
    return answer({"success": True, "message": message, "call": card.call})


async def _who_is_shown(parts: Services, current: Current, extension: str, employee: str) -> tuple[str, str]:
    """Extension and uuid of whom a test card is for, from the settings or from MoySklad. Raises Problem 400 for nobody's."""
    extension = extension or next((number for number, each in current.settings.employees if each.id == employee), "")
    if (mapped := current.settings.employee_for(extension)) is not None:
        return extension, employee or mapped.id
    everybody = await parts.moysklad.accounts.with_extensions(current.account)
    if isinstance(everybody, str):  # MoySklad says so itself when the card is sent
        return extension, employee
    extension = extension or next((each.extension for each in everybody if each.id == employee), "")
    if not any(each.extension == extension for each in everybody):
        raise Problem(400, "nobody has this extension", field="extension", hint=nobody_has_ru(extension))
    return extension, employee


@described("checks", SelfTestBegun, status=202, body=SelfTestWanted)
async def begin_self_test(request: web.Request) -> web.Response:
    """Play one marked test call through everything; how far it comes is told under the name in the answer."""
    body, current = await read_body(request, SelfTestWanted), await _known(request)
    try:
        test = await services(request).self_tests.start(current.enterprise, body.extension)
    except SwitchedOff as error:
        hint = "Интеграция выключена: включите её и сохраните настройки."
        raise Problem(409, "the integration is switched off", field="enabled", hint=hint) from error
    except Busy as error:
        raise Problem(409, "a test is going on", hint="Проверка уже идёт: дождитесь её конца.", retry_after_s=5) from error
    await note(request, "self_test", enterprise=current.enterprise, object_=test, extension=body.extension)
    return answer({"test": test}, 202)


@described("checks", SelfTestShown)
async def get_self_test(request: web.Request) -> web.Response:
    """How far a test call has come, step by step, in words."""
    report = await services(request).self_tests.look(_enterprise(request), request.match_info["test"])
    if report is None:
        raise Problem(404, "the test is unknown", field="test", hint="Начните проверку заново.")
    return answer(msgspec.to_builtins(report))


@described("parked", Parked, query=ParkedQuery)
@for_links
async def get_parked(request: web.Request) -> web.Response:
    """Calls that need a person: why, since when, what helps; counted by reason. ``lang=ru``: in Russian."""
    limit = request.query.get("limit", "200")
    if not limit.isascii() or not limit.isdigit() or len(limit) > 9 or not 1 <= int(limit) <= MAX_SHOWN:
        raise Problem(400, "limit is not understood", field="limit", hint=f"a number from 1 to {MAX_SHOWN}")
    enterprise = request.query.get("enterprise", "")
    if not enterprise.isprintable():
        raise Problem(400, "enterprise is not understood", field="enterprise", hint="plain text")
    parts = services(request)
    told = msgspec.to_builtins(await parts.parked.listing(scoped(request, enterprise), int(limit)))
    if request.query.get("lang") == "ru":
        for each in (*told["reasons"], *told["calls"]):
            each["reason"], each["remedy"] = parts.in_russian(each["reason"]), parts.in_russian(each["remedy"])
    return answer(told)


@described("parked", Retried)
async def retry_enterprise(request: web.Request) -> web.Response:
    """Ask MoySklad again for everything of an enterprise that is parked."""
    enterprise = _enterprise(request)
    if not await is_known(services(request).pool, enterprise):
        raise _no_such_enterprise()
    ordered, count = await services(request).parked.retry_enterprise(enterprise, by=_by(request))
    await note(request, "retry_ordered", enterprise=enterprise, calls=count)
    return answer({"status": ordered.value, "enterprise_number": enterprise, "calls": count})


@described("parked", Retried)
async def retry_call(request: web.Request) -> web.Response:
    """Ask MoySklad again for one parked call, named as in the replay."""
    enterprise, parts = _enterprise(request), services(request)
    try:
        call = await parts.find_call(enterprise, request.match_info["call"])
    except ValueError as error:
        raise not_understood(error) from error
    if call is None:
        raise Problem(404, "the call is unknown", field="call", hint="name it by UniqueId or by MoySklad's id of the call")
    ordered = await parts.parked.retry_call(enterprise, call, by=_by(request))
    await note(request, "retry_ordered", enterprise=enterprise, object_=call)
    calls = 0 if ordered is Ordered.NOT_PARKED else 1
    return answer({"status": ordered.value, "enterprise_number": enterprise, "call": call, "calls": calls})


def _by(request: web.Request) -> str:
    """Whoever changes something, as the history of changes shows it to administrators."""
    asker = who(request)
    return f"{asker.actor}, {asker.address}"


async def _known(request: web.Request) -> Current:
    current = await services(request).settings.current(_enterprise(request))
    if current is None:
        raise _no_such_enterprise()
    return current


def _no_such_enterprise() -> Problem:
    return Problem(404, "the enterprise is unknown", field="enterprise_number", hint="Проверьте номер предприятия.")


def _enterprise(request: web.Request) -> str:
    enterprise = request.match_info["enterprise"]
    if not 1 <= len(enterprise) <= 64 or not enterprise.isprintable():
        raise Problem(400, "the enterprise number is odd", field="enterprise_number", hint="Проверьте номер предприятия.")
    return enterprise


def _shown(request: web.Request, current: Current) -> dict[str, Any]:
    return {
        "enterprise_number": current.enterprise,
        "revision": current.revision,
        "ms": _with_address(request, masked(current.config)),
        "effective": msgspec.to_builtins(current.settings),
        "problems": list(current.settings.problems),
    }


def _with_address(request: web.Request, config: dict[str, Any]) -> dict[str, Any]:
    """The settings with the webhook's address as it is now."""
    return {**config, "webhook_url": services(request).settings.webhook_url(config)} if config.get("webhook_uuid") else config
