"""What the rest of the telephony asks (PRODUCT E1 to E3): who is calling, who should answer, tell me more.

A telephone that rings waits for these answers, so an honest empty one in time is a success, not an error: 200 with the reason.
"""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from adapters.directory.desk import Found, UnknownEnterprise
from adapters.http.answers import Problem, answer, read_json
from adapters.http.described import described
from adapters.http.directory_shapes import (
    Caller,
    CallerQuery,
    CustomerAnswer,
    CustomerName,
    CustomerProfile,
    Enriched,
    EnrichQuery,
    Explained,
    ResponsibleAnswer,
    ResponsibleShown,
)
from adapters.http.services import services
from adapters.moysklad.contacts import NOBODY, RULE, Candidate
from adapters.moysklad.numbers import number_key
from core.contacts import Contact, Responsible, as_raw, numbers_of
from core.events import Exchange
from core.settings import Settings
from core.values import ANONYMOUS

UID: Final = "ms:"
NO_NAME: Final = "the customer's only name is the number"
MAX_PHONE: Final = 200


def routes() -> list[web.RouteDef]:
    """The questions, under ``/internal/ms/`` and, where the telephony asks there, at the root."""
    return [
        web.get("/internal/ms/customer-name", customer_name),
        web.get("/internal/ms/customer-profile", customer_profile),
        web.get("/internal/ms/customer-debug", customer_debug),
        web.get("/internal/ms/customer-by-phone", customer_by_phone),
        web.post("/internal/ms/customer-by-phone", post_customer_by_phone),
        web.post("/customer-by-phone", post_customer_by_phone),
        web.get("/internal/ms/responsible-extension", responsible_extension),
        web.post("/internal/ms/responsible-extension", post_responsible_extension),
        web.post("/responsible-extension", post_responsible_extension),
        web.post("/internal/ms/enrich-customer", enrich_customer),
    ]


@described("directory", CustomerName, query=CallerQuery)
async def customer_name(request: web.Request) -> web.Response:
    """The client's name for a telephone's display, within 0.3 s when it is known already and 1.5 s otherwise."""
    found = await _who(request, "customer-name", *_asked(request.query))
    contact = _contact(found)
    name = contact.display if contact is not None else ""
    told: dict[str, Any] = {"name": name or None, "source": str(found.where)}
    if not name and (reason := found.reason or (NO_NAME if contact is not None else _nobody(found))):
        told["reason"] = reason
    return answer({**told, **_choice(found)})


@described("directory", CustomerProfile, query=CallerQuery)
async def customer_profile(request: web.Request) -> web.Response:
    """The parts of the client's name, and what MoySklad has of him."""
    found = await _who(request, "customer-profile", *_asked(request.query))
    contact = _contact(found)
    last, first, middle = contact.full_name if contact is not None else ("", "", "")
    raw = dict(as_raw(contact)) if contact is not None else {}
    told: dict[str, Any] = {
        "last_name": last or None,
        "first_name": first or None,
        "middle_name": middle or None,
        "enterprise_name": (contact.company if contact is not None else "") or None,
        "source": {"raw": raw, "where": str(found.where)},
    }
    if contact is None:
        told["reason"] = found.reason or _nobody(found)
    return answer({**told, **({"rule": found.known.rule} if found.known is not None else {})})


@described("directory", CustomerAnswer, query=CallerQuery)
async def customer_by_phone(request: web.Request) -> web.Response:
    """The client with this number."""
    return await _customer(request, *_asked(request.query))


@described("directory", CustomerAnswer, body=Caller)
async def post_customer_by_phone(request: web.Request) -> web.Response:
    """The client with this number, asked for by a body."""
    return await _customer(request, *_asked(await _body(request)))


@described("directory", ResponsibleShown, query=CallerQuery)
async def responsible_extension(request: web.Request) -> web.Response:
    """The extension of the client's responsible manager, for the smart redirect (``algorithm`` ``ms``)."""
    _, responsible = await _responsible(request, *_asked(request.query))
    return answer(_responsible_told(responsible))


@described("directory", ResponsibleAnswer, body=Caller)
async def post_responsible_extension(request: web.Request) -> web.Response:
    """The same, asked for by a body."""
    found, responsible = await _responsible(request, *_asked(await _body(request)))
    if not responsible.manager_id:
        return answer(_not_found(found, responsible.reason))
    return answer({"success": True, "manager_name": "", **_responsible_told(responsible)})


@described("directory", Enriched, query=EnrichQuery, body=Caller, body_needed=False)
async def enrich_customer(request: web.Request) -> web.Response:
    """Ask MoySklad anew for a client (5 s at most), and say his other numbers; query fields or a body."""
    fields: dict[str, Any] = dict(request.query)
    if request.can_read_body:
        fields = {**await _body(request), **fields}
    phone, enterprise = _asked(fields)
    desk = services(request).desk
    with _known_enterprise():
        found = await desk.closely("enrich-customer", enterprise, phone)
    contact = _contact(found)
    others, updated = await desk.retell(found)
    told: dict[str, Any] = {
        "success": contact is not None and found.reason == "",
        "full_name": (contact.display if contact is not None else "") or None,
        "source": "moysklad",
        "external_id": contact.id if contact is not None else None,
        "person_uid": UID + contact.id if contact is not None else None,
        "linked_phones": list(others),
        "updated_count": updated,
    }
    if not told["success"]:
        told["error"] = found.reason or _nobody(found)
    return answer(told)


@described("directory", Explained, query=CallerQuery)
async def customer_debug(request: web.Request) -> web.Response:
    """Why the telephones say what they say: what was searched, what was found, which rule chose, what the cache had."""
    phone, enterprise = _asked(request.query)
    parts = services(request)
    with _known_enterprise():
        found = await parts.desk.closely("customer-debug", enterprise, phone)
    responsible = await parts.desk.owner_of(found)
    contact, known = _contact(found), found.known
    settings = found.current.settings if found.current is not None else Settings()
    watched, words = parts.keeper.in_words(enterprise, settings)
    return answer(
        {
            "enterprise_number": enterprise,
            "phone": phone,
            "number": found.number,
            "searched": _searched(found.number, digits_alone=parts.moysklad.gateway.contacts.compares_digits),
            "cache": _cache(found, parts.now_ms()),
            "requests": [_request(each) for each in (found.lookup.exchanges if found.lookup is not None else ())],
            "found": [_candidate(each) for each in (found.lookup.candidates if found.lookup is not None else ())],
            "chosen": dict(as_raw(contact)) if contact is not None else None,
            "display_name": (contact.display if contact is not None else "") or None,
            "rule": known.rule if known is not None else "",
            "responsible": _responsible_told(responsible),
            "reason": found.reason,
            "webhooks": {"on": watched, "text": words},
            "timing": {"settings_ms": found.settings_ms, "took_ms": found.took_ms, "answer_from": str(found.where)},
        }
    )


# -- what was asked ------------------------------------------------------------------------------------------------


async def _body(request: web.Request) -> dict[str, Any]:
    body = await read_json(request)
    if not isinstance(body, dict):
        raise Problem(400, "the body is not an object", hint='send {"enterprise_number": "0367", "phone": "+375…"}')
    return body


def _asked(fields: Any) -> tuple[str, str]:
    """Phone and enterprise. Raises Problem 400 that names the field which is missing.

    An empty ``phone`` is a hidden caller (CONTRACT-ASTERISK, Phone), whom nobody knows.
    """
    found = []
    for name, most in (("phone", MAX_PHONE), ("enterprise_number", 64)):
        value = fields.get(name)
        text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if not text and name == "phone" and value == "":
            text = ANONYMOUS
        if not text:
            raise Problem(400, f"{name} is missing", field=name, hint=f"say {name}, as text")
        if len(text) > most or not text.isprintable():
            raise Problem(400, f"{name} is not understood", field=name, hint=f"plain text of at most {most} characters")
        found.append(text)
    return found[0], found[1]


class _known_enterprise:
    """Turns an enterprise that nobody knows into its answer."""

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UnknownEnterprise):
            hint = "check the number; an enterprise without settings is unknown too"
            raise Problem(404, "the enterprise is unknown", field="enterprise_number", hint=hint) from None


async def _who(request: web.Request, question: str, phone: str, enterprise: str) -> Found:
    with _known_enterprise():
        return await services(request).desk.who(question, enterprise, phone)


async def _responsible(request: web.Request, phone: str, enterprise: str) -> tuple[Found, Responsible]:
    with _known_enterprise():
        return await services(request).desk.responsible("responsible-extension", enterprise, phone)


# -- what is answered ----------------------------------------------------------------------------------------------


async def _customer(request: web.Request, phone: str, enterprise: str) -> web.Response:
    found = await _who(request, "customer-by-phone", phone, enterprise)
    contact = _contact(found)
    if contact is None or found.known is None or found.current is None:
        return answer(_not_found(found, ""))
    last, first, middle = contact.full_name
    owner = contact.owner
    return answer(
        {
            "success": True,
            "customer": {
                "id": contact.id,
                "name": contact.name,
                "company": contact.company,
                "person": contact.person_name,
                "last_name": last,
                "first_name": first,
                "middle_name": middle,
                "phones": list(numbers_of(contact, found.current.settings.country)),
                "archived": contact.is_archived,
                "manager_id": owner.id if owner is not None else None,
                "manager_name": owner.name if owner is not None else "",
                "link": contact.page,
            },
            "display_name": contact.display or None,
            "person_uid": UID + contact.id,
            "rule": found.known.rule,
            "matches": found.known.matches,
            "source": str(found.where),
        }
    )


def _contact(found: Found) -> Contact | None:
    return found.known.contact if found.known is not None else None


def _nobody(found: Found) -> str:
    return NOBODY if found.known is not None else "not known"


def _not_found(found: Found, reason: str) -> dict[str, Any]:
    told: dict[str, Any] = {"success": False, "error": reason or found.reason or _nobody(found)}
    return {**told, "late": True} if found.is_late else told


def _choice(found: Found) -> dict[str, Any]:
    known = found.known
    return {"rule": known.rule, "matches": known.matches} if known is not None and known.contact is not None else {}


def _responsible_told(responsible: Responsible) -> dict[str, Any]:
    told: dict[str, Any] = {"extension": responsible.extension or None, "manager_id": responsible.manager_id or None}
    extras = {"manager_name": responsible.manager_name, "rule": responsible.rule, "reason": responsible.reason}
    return {**told, **{name: text for name, text in extras.items() if text}}


def _searched(number: str, *, digits_alone: bool) -> dict[str, Any]:
    """What MoySklad is asked for; ``then``: where that finds nobody, unless it was seen to compare digits."""
    key = number_key(number)
    if key is None:
        return {"digits": "", "then": [], "spellings": [], "rule": RULE}
    then = [] if digits_alone else [tail for tail in key.tails if tail != key.digits]
    return {"digits": key.digits, "then": then, "spellings": sorted(key.spellings), "rule": RULE}


def _cache(found: Found, now_ms: int) -> dict[str, Any]:
    before = found.before
    if before is None:
        return {"state": str(found.trust), "from": str(found.before_from)}
    known = before.known
    return {
        "state": str(found.trust),
        "from": str(found.before_from),
        "asked_ms": known.asked_ms,
        "age_s": max(0, now_ms - known.asked_ms) // 1000,
        "changed_ms": before.changed_ms,
        "learned_from": str(known.source),
        "contact": known.contact.id if known.contact is not None else None,
        "rule": known.rule,
    }


def _request(exchange: Exchange) -> dict[str, Any]:
    """A request without what it was answered, but for how much that was."""
    response = exchange.response if isinstance(exchange.response, dict) else {}
    sizes = {name: response[name] for name in ("size", "received") if isinstance(response.get(name), int)}
    matching = response.get("matching")
    return {
        "method": exchange.method,
        "path": exchange.path,
        "status": exchange.status,
        "took_ms": exchange.duration_ms,
        **sizes,
        **({"matching": len(matching)} if isinstance(matching, list) else {}),
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    contact = candidate.contact
    return {
        "id": contact.id,
        "name": contact.name,
        "person": contact.person_name,
        "own_phone": candidate.is_own,
        "archived": contact.is_archived,
        "name_made_of_a_number": candidate.is_automatic,
        "updated": contact.updated,
    }


