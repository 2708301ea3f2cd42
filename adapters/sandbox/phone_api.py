"""The Phone API's routes: the complete list of CONTRACT-MOYSKLAD 1.3 and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adapters.sandbox import calls
from adapters.sandbox.errors import refuse
from adapters.sandbox.filters import matches, parse_filter
from adapters.sandbox.hrefs import is_uuid, meta
from adapters.sandbox.routing import Answer, Ask, Routes, read_object
from adapters.sandbox.state import CallRow, Employee, State


def post_call(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
    """POST /call."""
    body = read_object(state, ask)
    call = calls.create_call(state, ask.account, body, now_ms=ask.now_ms, request_id=ask.request_id)
    return Answer(body=calls.call_answer(state, ask.account, call))


def get_call(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
    """GET /call/{id}."""
    return Answer(body=calls.call_answer(state, ask.account, _by_id(state, ask, params[0])))


def put_call(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
    """PUT /call/{id}."""
    return _put(state, ask, _by_id(state, ask, params[0]))


def post_event(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
    """POST /call/{id}/event."""
    return _event(state, ask, _by_id(state, ask, params[0]))


def get_call_by_extid(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
    """GET /call/extid/{extid}: only where switched on (6.8)."""
    if not state.switches.extid_get:
        raise refuse(1002, ask.path)
    return Answer(body=calls.call_answer(state, ask.account, _by_extid(state, ask, params[0])))


def put_call_by_extid(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
    """PUT /call/extid/{extid}."""
    return _put(state, ask, _by_extid(state, ask, params[0]))


def post_event_by_extid(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
    """POST /call/extid/{extid}/event."""
    return _event(state, ask, _by_extid(state, ask, params[0]))


def get_employees(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
    """GET /employee: everybody who has an extension, filtered by it (1.6; the field is spelt ``extention``)."""
    wanted = ask.query.get("filter")
    conditions = parse_filter(wanted, fields=("extention",)) if wanted is not None else ()
    origin = state.options.href_origin
    rows = [
        {"meta": meta(origin, "employee", employee.id), "extention": employee.extension}
        for employee in ask.account.employees.values()
        if employee.extension is not None and matches(conditions, _extension_reader(employee))
    ]
    return Answer(body={"employees": rows})


def _extension_reader(employee: Employee) -> Callable[[str], Sequence[str]]:
    return lambda _: (employee.extension or "",)


def _put(state: State, ask: Ask, call: CallRow) -> Answer:
    body = read_object(state, ask)
    calls.update_call(state, ask.account, call, body, now_ms=ask.now_ms, request_id=ask.request_id)
    return Answer(body=calls.call_answer(state, ask.account, call))


def _event(state: State, ask: Ask, call: CallRow) -> Answer:
    body = read_object(state, ask)
    calls.add_event(state, ask.account, call, body, now_ms=ask.now_ms, request_id=ask.request_id)
    return Answer(status=204)


def _by_id(state: State, ask: Ask, call_id: str) -> CallRow:
    if not is_uuid(call_id):
        raise refuse(state.switches.bad_id_code)
    call = ask.account.calls.get(call_id.lower())
    if call is None:
        raise refuse(1021, "call", call_id)
    return call


def _by_extid(state: State, ask: Ask, external_id: str) -> CallRow:
    call = state.call_by_external_id(ask.account, external_id)
    if call is None:
        raise refuse(1021, "call", external_id)
    return call


PHONE_ROUTES = Routes(
    (
        ("/call", {"POST": post_call}),
        ("/call/extid/{}", {"GET": get_call_by_extid, "PUT": put_call_by_extid}),
        ("/call/extid/{}/event", {"POST": post_event_by_extid}),
        ("/call/{}/event", {"POST": post_event}),
        ("/call/{}", {"GET": get_call, "PUT": put_call}),
        ("/employee", {"GET": get_employees}),
    )
)
