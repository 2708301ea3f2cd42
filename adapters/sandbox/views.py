"""What the sandbox shows of itself: accounts, calls and screens as JSON for tests, the demo and the page. Pure.

Times are epoch milliseconds (``_ms``) with Moscow texts beside them where MoySklad itself would write one.
"""

from __future__ import annotations

from dataclasses import asdict

from adapters.sandbox.moscow import format_moscow
from adapters.sandbox.requests_log import RequestEntry
from adapters.sandbox.state import Account, CallRow, Card, Change, Employee, Entity, Json


def person(employee: Employee | None) -> Json | None:
    """A colleague in one line."""
    if employee is None:
        return None
    return {"id": employee.id, "name": employee.name, "extension": employee.extension}


def account_view(account: Account) -> Json:
    """An account without its credentials."""
    return {
        "id": account.id,
        "name": account.name,
        "crm": account.crm,
        "phone_solution_installed": account.phone_solution_installed,
        "employees": [{**asdict(employee), "admin": employee.id == account.admin_id} for employee in account.employees.values()],
        "calls": len(account.calls),
        "entities": {kind: len(shelf) for kind, shelf in account.entities.items()},
    }


def contact_of(account: Account, call: CallRow) -> Json | None:
    """The counterparty a call is linked to."""
    if call.counterparty_id is None:
        return None
    found = account.of_type("counterparty")[call.counterparty_id]
    return {"id": found.id, "name": found.fields["name"]}


def call_view(account: Account, call: CallRow) -> Json:
    """A call with all that happened to it. ``effective_duration_ms``: what the journal would show."""
    length_ms = call.end_ms - call.start_ms if call.end_ms is not None else call.duration_ms
    employee = account.employees.get(call.employee_id) if call.employee_id is not None else None
    return {
        "account": account.name,
        "id": call.id,
        "external_id": call.external_id,
        "number": call.number,
        "is_incoming": call.is_incoming,
        "start_ms": call.start_ms,
        "start_time": format_moscow(call.start_ms),
        "end_ms": call.end_ms,
        "end_time": format_moscow(call.end_ms) if call.end_ms is not None else None,
        "duration_ms": call.duration_ms,
        "effective_duration_ms": length_ms,
        "counterparty": contact_of(account, call),
        "extension": call.extension,
        "employee": person(employee),
        "record_urls": list(call.record_urls),
        "comment": call.comment,
        "created_ms": call.created_ms,
        "updated_ms": call.updated_ms,
        "events": [asdict(event) for event in call.events],
        "out_of_order": sum(event.out_of_order for event in call.events),
        "cards": [asdict(card) for card in call.cards],
        "open_cards": sorted(screen for screen, cards in account.open_cards.items() if call.id in cards),
        "request_ids": list(call.request_ids),
    }


def card_view(account: Account, call: CallRow, card: Card) -> Json:
    """A card as the person in front of it sees it."""
    contact = contact_of(account, call)
    return {
        "call_id": call.id,
        "external_id": call.external_id,
        "number": call.number,
        "is_incoming": call.is_incoming,
        "contact_name": contact["name"] if contact is not None else None,
        "timer_started": card.timer_started_ms is not None,
        "timer_started_ms": card.timer_started_ms,
        "shown_at_ms": card.shown_ms,
    }


def screens_view(account: Account) -> list[Json]:
    """Every colleague's screen and every other one that shows a card, by extension."""
    screens: dict[str, Json] = {
        employee.extension: _screen(account, employee.extension, employee)
        for employee in account.employees.values()
        if employee.extension is not None
    }
    for screen, cards in account.open_cards.items():
        if screen not in screens:
            owner = next(iter(cards.values())).employee_id
            screens[screen] = _screen(account, screen, account.employees.get(owner) if owner else None)
    return [screens[key] for key in sorted(screens, key=lambda key: (len(key), key))]


def _screen(account: Account, screen: str, employee: Employee | None) -> Json:
    cards = account.open_cards.get(screen, {})
    return {
        "account": account.name,
        "extension": screen,
        "employee": person(employee),
        "active": employee.active if employee is not None else None,
        "cards": [card_view(account, account.calls[call_id], card) for call_id, card in cards.items()],
    }


def entity_view(account: Account, entity: Entity) -> Json:
    """An entity's fields, links as ids, without the JSON API's wrapping."""
    return {
        "account": account.name,
        "id": entity.id,
        "sync_id": entity.sync_id,
        **entity.fields,
        **{name: target for name, (_, target) in entity.links.items()},
        "attributes": dict(entity.attributes),
        "created_ms": entity.created_ms,
        "updated_ms": entity.updated_ms,
    }


def counterparty_view(account: Account, entity: Entity) -> Json:
    """A counterparty with its contact persons and notes."""
    view = entity_view(account, entity)
    for name, kind in (("contact_persons", "contactperson"), ("notes", "note")):
        shelf = account.of_type(kind)
        view[name] = [entity_view(account, shelf[one]) for one in account.children.get((kind, entity.id), [])]
    return view


def request_view(entry: RequestEntry) -> Json:
    """A remembered request."""
    return asdict(entry)


def change_view(account: Account, change: Change) -> Json | None:
    """A change for the live stream; None for kinds that only webhooks care about."""
    match change.kind, change.data:
        case (("call_created" | "call_updated"), CallRow() as call):
            return {"kind": change.kind, "account": account.name, "call": call_view(account, call)}
        case (("card_shown" | "card_timer" | "card_hidden"), (CallRow() as call, Card() as card)):
            return {
                "kind": change.kind,
                "account": account.name,
                "extension": card.screen,
                "employee": person(account.employees.get(card.employee_id or "")),
                "card": card_view(account, call, card),
            }
        case _:
            return None
