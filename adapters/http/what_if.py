"""«А если бы…» over HTTP (PRODUCT F3): a call, or a day of an enterprise, run again under other settings. Nothing changes."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from adapters.call_search import is_known
from adapters.http.answers import Problem, answer, not_understood
from adapters.http.bodies import WhatIfDayWanted, WhatIfWanted, read_body
from adapters.http.call_shapes import WhatIfDayShown, WhatIfSettings
from adapters.http.described import described
from adapters.http.services import services
from adapters.http.who import note
from adapters.time_machine import Unreadable
from adapters.what_ifs import MOST_CALLS, Busy, Day, TooMany
from core.other_settings import Against
from core.settings import SettingsError, merge_update


def routes() -> list[web.RouteDef]:
    """One call, and days."""
    return [
        web.get("/ms-admin/api/what-if/{enterprise}/{call}", get_settings),
        web.post("/ms-admin/api/what-if/{enterprise}/{call}", ask_call),
        web.post("/ms-admin/api/what-if-day/{enterprise}", begin_day),
        web.get("/ms-admin/api/what-if-day/{enterprise}/{day}", get_day),
        web.delete("/ms-admin/api/what-if-day/{enterprise}/{day}", cancel_day),
    ]


@described("calls", WhatIfSettings)
async def get_settings(request: web.Request) -> web.Response:
    """The settings under which a call began, to begin with; secrets are words that say whether there is one."""
    enterprise, call = request.match_info["enterprise"], request.match_info["call"]
    config = await services(request).what_if.began_under(enterprise, call)
    if config is None:
        raise _unknown()
    return answer({"ms": config})


@described("calls", "Difference", body=WhatIfWanted)
async def ask_call(request: web.Request) -> web.Response:
    """Run a call again under other settings, or by today's code: what would be otherwise. Changes nothing, sends nothing."""
    wanted = await read_body(request, WhatIfWanted)
    enterprise, call = request.match_info["enterprise"], request.match_info["call"]
    try:
        found = await services(request).what_if.one(enterprise, call, _against(wanted))
    except Unreadable as unreadable:
        raise Problem(422, unreadable.reason, field="call", hint="Эту историю нельзя разыграть заново.") from unreadable
    if found is None:
        raise _unknown()
    return answer(found)


@described("calls", WhatIfDayShown, status=202, body=WhatIfDayWanted)
async def begin_day(request: web.Request) -> web.Response:
    """Begin the same for all calls of a day; it goes on in the background."""
    wanted, enterprise = await read_body(request, WhatIfDayWanted), request.match_info["enterprise"]
    if not await is_known(services(request).pool, enterprise):
        raise Problem(404, "the enterprise is unknown", field="enterprise_number", hint="Проверьте номер предприятия.")
    try:
        day = await services(request).what_if.begin(enterprise, wanted.day, _against(wanted), zone=wanted.zone)
    except ValueError as error:
        raise not_understood(error) from error
    except Busy:
        hint = "Такая проверка уже идёт: дождитесь её или остановите."
        raise Problem(429, "too many days are under way", hint=hint, retry_after_s=10) from None
    except TooMany as error:
        hint = f"В этом дне {error.calls} звонков, а здесь проверяется не больше {MOST_CALLS}. Спросите ./ms.sh replay --day."
        raise Problem(400, str(error), field="day", hint=hint) from None
    await note(request, "what_if_day", enterprise=enterprise, object_=wanted.day, calls=day.whole)
    return answer(_told(day), 202)


@described("calls", WhatIfDayShown)
async def get_day(request: web.Request) -> web.Response:
    """How far it has come, and what it has found until now."""
    return answer(_told(_known(services(request).what_if.find(request.match_info["enterprise"], request.match_info["day"]))))


@described("calls", WhatIfDayShown)
async def cancel_day(request: web.Request) -> web.Response:
    """Stop it; what was found stays for a while."""
    found = await services(request).what_if.cancel(request.match_info["enterprise"], request.match_info["day"])
    return answer(_told(_known(found)))


def _against(wanted: WhatIfWanted) -> Against:
    """What is to be tried. Raises Problem 400 for a field that could not be saved either."""
    if wanted.ms:
        try:
            merge_update({}, wanted.ms)
        except SettingsError as error:
            raise Problem(400, error.error, field=error.field, hint=error.hint) from error
    return Against(revision=wanted.revision, files=(wanted.ms,) if wanted.ms else ())


def _told(day: Day) -> dict[str, Any]:
    return {
        "id": day.id,
        "day": day.day,
        "state": day.state,
        "done": day.done,
        "whole": day.whole,
        "found": day.sum.as_json(russian=True),
    }


def _known(day: Day | None) -> Day:
    if day is None:
        hint = "Такой проверки здесь нет: начните её снова."
        raise Problem(404, "this instance knows no such day", field="day", hint=hint)
    return day


def _unknown() -> Problem:
    return Problem(404, "the call is unknown", field="call", hint="name it by UniqueId")
