"""Looking at calls (PRODUCT F1, F2, F9): search, the replay of one, who was missed, and numbers over time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from datetime import tzinfo
from typing import Any, Final
from urllib.parse import quote

import orjson
from aiohttp import web

from adapters.call_search import TOO_WIDE
from adapters.http.answers import Problem, answer, not_understood
from adapters.http.bodies import CallsQuery, MissedQuery, ReplayQuery, ReportQuery
from adapters.http.call_shapes import CallsFound, MissedShownAll, Names, Report
from adapters.http.described import described
from adapters.http.services import Services, services
from adapters.http.who import for_links, note, scoped, who
from adapters.looking import TooMuch
from adapters.missed import MAX_DAYS, missed_calls
from adapters.reports import names, report, span, zone_named
from adapters.zones import zone_of

DAYS: Final = 14

LOOK_S: Final = 600.0
"""Looking at one call for so long is one line in the journal of actions."""

MAX_LOOKED: Final = 5_000
LOOKED: web.AppKey[dict[tuple[str, str, str, str], float]] = web.AppKey("looked", dict)
"""Who looked at which call, and when that was written down."""


def routes() -> list[web.RouteDef]:
    """Everything that tells of calls that were."""
    return [
        web.get("/ms-admin/api/calls", search_calls),
        web.get("/ms-admin/api/calls/{enterprise}/{call}", get_call),
        web.get("/ms-admin/api/missed/{enterprise}", get_missed),
        web.get("/ms-admin/api/names/{enterprise}", get_names),
        web.get("/ms-admin/api/reports", get_report),
    ]


@described("calls", CallsFound, query=CallsQuery)
@for_links
async def search_calls(request: web.Request) -> web.Response:
    """Find calls, newest first, by any of what is known of them."""
    query = dict(request.query)
    query["enterprise"] = scoped(request, query.get("enterprise")) or ""
    parts = services(request)
    try:
        found = await parts.search(query, await _local(parts, query["enterprise"]))
    except ValueError as error:
        raise not_understood(error) from error
    calls = [{**call, "link": link_to(call["enterprise"], call["call"])} for call in found.calls]
    return answer({"calls": calls, "after": found.after})


async def _local(parts: Services, enterprise: str) -> tzinfo:
    """The zone of days and hours that name none: the PBX's of the enterprise that is asked for; of all, the service's."""
    current = await parts.settings.current(enterprise) if enterprise and enterprise.isprintable() else None
    return zone_of(current.settings.timezone, parts.zone) if current is not None else parts.zone


def link_to(enterprise: str, call: str) -> str:
    """Where the page of one call is."""
    return f"/ms-admin/calls/{quote(enterprise, safe='')}/{quote(call, safe='')}"


@described("calls", "Replay", query=ReplayQuery)
async def get_call(request: web.Request) -> web.Response:
    """The replay of one call: every step with reasons, requests and answers, and its picture. Never touches the network.

    ``numbers=hide``: without anybody's number or name. ``download=1``: as a file for a ticket; there is no secret in either.
    ``lang=ru``: its sentences in Russian.
    """
    enterprise, numbers = request.match_info["enterprise"], request.query.get("numbers", "")
    if numbers not in ("", "hide"):  # whoever misspells it must not be given the numbers
        raise Problem(400, "numbers is not understood", field="numbers", hint="numbers=hide, or leave it out")
    disguised = numbers == "hide"
    russian = request.query.get("lang") == "ru"
    try:
        replay = await services(request).replay(enterprise, request.match_info["call"], disguised=disguised, russian=russian)
    except ValueError as error:
        raise not_understood(error) from error
    if replay is None:
        raise Problem(404, "the call is unknown", field="call", hint="name it by UniqueId or by MoySklad's id of the call")
    if request.query.get("download", "") in ("", "0"):
        if who(request).is_person and _news(request, enterprise, replay["call"]):
            await note(request, "replay_viewed", enterprise=enterprise, object_=replay["call"])
        return answer(replay)
    await note(request, "replay_exported", enterprise=enterprise, object_=replay["call"], without_numbers=disguised)
    name = quote(f"call-{enterprise}-{replay['call']}.json", safe="")
    return web.Response(
        body=orjson.dumps(replay, option=orjson.OPT_INDENT_2),
        content_type="application/json",
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}"},
    )


def _news(request: web.Request, enterprise: str, call: str) -> bool:
    """Whether this person has not looked at this call lately: the page of a call that goes on asks again and again."""
    lately, now_s = request.app[LOOKED], asyncio.get_running_loop().time()
    key = (who(request).actor, who(request).address, enterprise, call)
    seen_s = lately.pop(key, float("-inf"))
    news = now_s - seen_s > LOOK_S
    lately[key] = now_s if news else seen_s
    while len(lately) > MAX_LOOKED:
        lately.pop(next(iter(lately)))
    return news


@described("calls", MissedShownAll, query=MissedQuery)
async def get_missed(request: web.Request) -> web.Response:
    """Customers whose missed calls nobody has called back: attempts, first and last, who was rung."""
    days = request.query.get("days", str(DAYS))
    if not days.isascii() or not days.isdigit() or len(days) > 3 or not 1 <= int(days) <= MAX_DAYS:
        raise Problem(400, "days is not understood", field="days", hint=f"a number from 1 to {MAX_DAYS}")
    parts, enterprise = services(request), _enterprise(request)
    try:
        found = await missed_calls(parts.pool, enterprise, days=int(days), now_ms=parts.now_ms())
    except TooMuch:
        raise not_understood(ValueError("days", "fewer")) from None
    told = asdict(found)
    told["missed"] = [{**each, "link": link_to(enterprise, each["call"])} for each in told["missed"]]
    return answer({**told, "names": await _names(parts, enterprise)})


@described("calls", Names)
async def get_names(request: web.Request) -> web.Response:
    """Extension -> employee's name, as the settings and MoySklad say; asks nobody."""
    return answer({"names": await _names(services(request), _enterprise(request))})


@described("calls", Report, query=ReportQuery)
@for_links
async def get_report(request: web.Request) -> web.Response:
    """Numbers over time: calls, talks, waits, employees, MoySklad's answers."""
    parts, query = services(request), request.query
    enterprise = scoped(request, _plain(query, "enterprise"))
    try:
        over = span(
            query.get("from", ""),
            query.get("to", ""),
            query.get("by", "day"),
            zone_named(query.get("zone", ""), parts.zone),
            everybody=enterprise is None,
            now_ms=parts.now_ms(),
        )
        told = await report(parts.pool, enterprise, over, parts.quantile)
    except ValueError as error:
        raise not_understood(error) from error
    except TooMuch:
        raise not_understood(ValueError(*TOO_WIDE)) from None
    return answer({**told, "names": await _names(parts, enterprise) if enterprise is not None else {}})


async def _names(parts: Services, enterprise: str) -> dict[str, str]:
    current = await parts.settings.current(enterprise)
    return await names(parts.pool, enterprise, current.settings if current is not None else None)


def _enterprise(request: web.Request) -> str:
    enterprise = request.match_info["enterprise"]
    if not enterprise.isprintable() or len(enterprise) > 64:
        raise Problem(400, "the enterprise number is odd", field="enterprise", hint="Проверьте номер предприятия.")
    return enterprise


def _plain(query: Mapping[str, Any], field: str) -> str:
    text = str(query.get(field, ""))
    if not text.isprintable():
        raise Problem(400, f"{field} is not understood", field=field, hint="plain text")
    return text
