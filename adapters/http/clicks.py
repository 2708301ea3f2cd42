"""Clicks in MoySklad (PRODUCT E5): the address that MoySklad calls, and what administrators see of it.

Whoever calls the webhook learns as little as possible: a UUID that is nobody's and one whose integration is switched off are the
same 404, and a refusal for the signature does not say so. The history does.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from adapters.click_desk import Answer, Delivery
from adapters.click_list import FOREVER_MS, recent_clicks, signature_seen
from adapters.http.answers import Problem, answer, read_within
from adapters.http.bodies import Click, ClickQuery, ClicksQuery
from adapters.http.call_shapes import ClicksFound, ClickTaken
from adapters.http.described import FORM, JSON, described
from adapters.http.services import services
from adapters.http.who import address_of
from adapters.reports import names
from core.webhook_signature import HEADER

BODY_LIMIT: Final = 16_384
"""A click has three short fields."""

UNKNOWN_MINUTE: Final = 30
"""Unknown UUIDs of one address in a minute before it is told to go slow. Guessing one takes longer than the world has."""

ADDRESSES: Final = 10_000
"""Addresses that are counted, those heard of last."""

UNKNOWN: web.AppKey[OrderedDict[str, tuple[float, int]]] = web.AppKey("unknown_webhooks", OrderedDict)


def routes() -> list[web.RouteDef]:
    """The webhook, the list of clicks, and the story of one."""
    return [
        web.post("/ms/webhook/{uuid}", take_click),
        web.get("/ms-admin/api/clicks/{enterprise}", get_clicks),
        web.get("/ms-admin/api/clicks/{enterprise}/{click}", get_click),
    ]


@described("webhook", ClickTaken, body=Click, body_media=(JSON, FORM))
async def take_click(request: web.Request) -> web.Response:
    """Take a click in, as MoySklad sends it (JSON or a form): 200 once it is durable; the telephone rings afterwards."""
    parts, address = services(request), address_of(request)
    arrival = parts.clicks.arrival()
    current = await parts.clicks.whose(request.match_info["uuid"], arrival)
    if current is None:
        raise _unknown(request.app[UNKNOWN], address)
    raw = await read_within(request, most_bytes=BODY_LIMIT, seconds=arrival.left_s())
    delivery = Delivery(arrival=arrival, raw=raw, signature=request.headers.get(HEADER, ""), address=address)
    match await parts.clicks.take(current, delivery):
        case Answer.TAKEN | Answer.REPEATED:
            return answer({"success": True})
        case Answer.SWITCHED_OFF:
            raise _nothing()
        case Answer.UNSIGNED:
            raise Problem(403, "forbidden")
        case Answer.TOO_MANY:
            hint = "Слишком много звонков подряд. Подождите минуту."
            raise Problem(429, "too many clicks", hint=hint, retry_after_s=60)
        case Answer.REFUSED:
            hint = "Проверьте добавочный номер сотрудника и номер клиента в МоёмСкладе."
            raise Problem(400, "the click cannot be dialled", hint=hint)


def _nothing() -> Problem:
    return Problem(404, "not found")


def _unknown(counted: OrderedDict[str, tuple[float, int]], address: str) -> Problem:
    """The answer to a UUID that is nobody's; an address that shows many is told to go slow."""
    now_s = asyncio.get_running_loop().time()
    since_s, count = counted.pop(address, (now_s, 0))
    if now_s - since_s >= 60.0:
        since_s, count = now_s, 0
    counted[address] = (since_s, count + 1)
    while len(counted) > ADDRESSES:
        counted.popitem(last=False)
    return Problem(429, "too many requests", retry_after_s=60) if count >= UNKNOWN_MINUTE else _nothing()


@described("calls", ClicksFound, query=ClicksQuery)
async def get_clicks(request: web.Request) -> web.Response:
    """An enterprise's clicks in MoySklad, newest first: what was asked and what became of it; and how they are signed."""
    parts, enterprise = services(request), request.match_info["enterprise"]
    before = request.query.get("before", "")
    if before and not (before.isascii() and before.isdigit() and len(before) <= 17):
        raise Problem(400, "before is not understood", field="before", hint="a number of milliseconds")
    before_click = request.query.get("before_click", "")
    if before_click and not (before_click.isascii() and before_click.isalnum() and len(before_click) <= 40):
        raise Problem(400, "before_click is not understood", field="before_click", hint="the name of a click")
    found = await recent_clicks(
        parts.pool,
        enterprise,
        before_ms=int(before) if before else FOREVER_MS,
        before_click=before_click,
        bad=request.query.get("bad", "") not in ("", "0"),
    )
    current = await parts.settings.current(enterprise)
    words = parts.in_russian if request.query.get("lang") == "ru" else str
    seen = await signature_seen(parts.pool, enterprise)
    clicks = [
        {
            **each,
            "error": words(each["error"]),
            "remedy": words(each["remedy"]),
            "link": _link_to(enterprise, each["call"]),
        }
        for each in found["clicks"]
    ]
    return answer(
        {
            "clicks": clicks,
            "before": found["before"],
            "before_click": found["before_click"],
            "signature": {**seen, "fitted": seen["fitted"] and words(seen["fitted"])},
            "names": await names(parts.pool, enterprise, current.settings if current is not None else None),
        }
    )


def _link_to(enterprise: str, call: str) -> str:
    return f"/ms-admin/calls/{quote(enterprise, safe='')}/{quote(call, safe='')}" if call else ""


@described("calls", "ClickStory", query=ClickQuery)
async def get_click(request: web.Request) -> web.Response:
    """One click's history: what MoySklad asked, what was done and why not, what came of it. ``lang=ru``: in Russian."""
    enterprise, click = request.match_info["enterprise"], request.match_info["click"]
    told: dict[str, Any] | None = await services(request).click_story(
        enterprise, click, russian=request.query.get("lang") == "ru"
    )
    if told is None:
        raise Problem(404, "the click is unknown", field="click", hint="Такого нажатия нет.")
    return answer(told)
