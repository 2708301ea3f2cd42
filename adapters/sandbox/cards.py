"""Call cards: what SHOW, STARTTIME, HIDE and HIDE_ALL do to people's screens (CONTRACT-MOYSKLAD 1.5).

Pure. Every event is recorded with its effect, also one that changed nothing, so that a test can ask for both: what a
person saw, and whether anything superfluous or out of order was sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.sandbox.errors import item, refuse, refuse_all
from adapters.sandbox.hrefs import read_flat_meta
from adapters.sandbox.state import Account, CallRow, Card, CardEvent, Employee, Json, State

EVENT_TYPES = ("SHOW", "STARTTIME", "HIDE", "HIDE_ALL")
INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRequest:
    """A card event that was understood and may happen."""

    event_type: str
    extension: str | None
    employee: Employee | None
    sequence: int


def read_event(state: State, account: Account, body: Json) -> EventRequest:
    """The event a body asks for; raises 3000 per missing field, 3005, 3045, 2017 or a meta error."""
    event_type = body.get("eventType")
    required = ("eventType", "sequence") if event_type == "HIDE_ALL" else ("eventType", "extension", "sequence")
    missing = [item(3000, name, parameter=name) for name in required if body.get(name) in (None, "")]
    if missing:
        raise refuse_all(missing)
    if event_type not in EVENT_TYPES:
        raise refuse(3005, event_type, "eventType", ", ".join(EVENT_TYPES), parameter="eventType")
    extension = body.get("extension")
    if extension is not None and not isinstance(extension, str):
        raise refuse(2017, parameter="extension")
    employee = _addressee(state, account, body, extension)
    if state.switches.inactive_employee_3045 and employee is not None and not employee.active:
        raise refuse(3045, parameter="employee")
    return EventRequest(event_type=event_type, extension=extension, employee=employee, sequence=_sequence(state, body))


def _addressee(state: State, account: Account, body: Json, extension: str | None) -> Employee | None:
    if body.get("employee") is not None:
        origin = state.options.href_origin
        employee_id = read_flat_meta(body["employee"], field="employee", kind="employee", origin=origin)
        if employee_id not in account.employees:
            raise refuse(1021, "employee", employee_id, parameter="employee")
        return account.employees[employee_id]
    found = account.employee_at(extension)
    if found is None and extension and state.switches.unknown_extension == "reject-3007":
        raise refuse(3007, f"сотрудник с добавочным номером {extension} не найден", parameter="extension")
    return found


def _sequence(state: State, body: Json) -> int:
    value = body["sequence"]
    limit = INT32_MAX if state.switches.sequence_int32_only else INT64_MAX
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > limit:
        raise refuse(2017, parameter="sequence")
    return value


def apply_event(state: State, account: Account, call: CallRow, event: EventRequest, *, now_ms: int, request_id: int) -> None:
    """Do to the screens what the event asks for, and record it.

    A sequence that is not above the call's last one is marked ``out_of_order``; it is still obeyed unless
    ``sequence_drops_late`` is on (6.4: the server's use of it is not established).
    """
    late = call.last_sequence is not None and event.sequence <= call.last_sequence
    dropped = late and state.switches.sequence_drops_late
    effect = "dropped" if dropped else _perform(state, account, call, event, now_ms=now_ms)
    if not late:
        call.last_sequence = event.sequence
    call.events.append(
        CardEvent(
            event_type=event.event_type,
            extension=event.extension,
            employee_id=event.employee.id if event.employee is not None else None,
            sequence=event.sequence,
            arrived_ms=now_ms,
            request_id=request_id,
            out_of_order=late,
            effect=effect,
        )
    )


def screen_of(event: EventRequest) -> tuple[str, str | None]:
    """On whose screen an event acts: (screen, employee id). The employee takes precedence over the extension."""
    if event.employee is not None:
        return event.employee.extension or event.extension or event.employee.id, event.employee.id
    return event.extension or "", None


def _perform(state: State, account: Account, call: CallRow, event: EventRequest, *, now_ms: int) -> str:
    if event.event_type == "HIDE_ALL":
        open_now = [cards[call.id] for cards in account.open_cards.values() if call.id in cards]
        for one in open_now:
            _hide(state, account, call, one)
        return "hidden" if open_now else "nothing"
    screen, employee_id = screen_of(event)
    card = account.open_cards.get(screen, {}).get(call.id)
    match event.event_type:
        case "SHOW" if card is None:
            card = Card(screen=screen, employee_id=employee_id, shown_ms=now_ms)
            account.open_cards.setdefault(screen, {})[call.id] = card
            call.cards.append(card)
            state.tell("card_shown", account, (call, card))
            return "shown"
        case "STARTTIME" if card is not None and card.timer_started_ms is None:
            card.timer_started_ms = now_ms
            state.tell("card_timer", account, (call, card))
            return "timer_started"
        case "HIDE" if card is not None:
            _hide(state, account, call, card)
            return "hidden"
        case _:
            return "nothing"


def _hide(state: State, account: Account, call: CallRow, card: Card) -> None:
    account.take_card_off(card.screen, call.id)
    state.tell("card_hidden", account, (call, card))
