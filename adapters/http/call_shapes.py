"""What the addresses about calls answer, as types: search, clicks, what if, missed calls, reports, the board (``shapes.py``)."""

from __future__ import annotations

from typing import Any, Literal

from adapters.http.shapes import Ms, Shape
from core.values import Outcome


class CallRow(Shape, frozen=True, kw_only=True):
    """A call as the index has it. ``number``: of an internal call the extension that calls, if it was heard; ``clicked``: somebody
    asked for the call by a click in MoySklad."""

    enterprise: str
    call: str
    phase: str
    direction: str
    outcome: Outcome | None
    number: str
    client: str
    extensions: list[str]
    extension: str
    started_ms: Ms
    ended_ms: Ms | None
    talk_ms: int
    wait_ms: int | None
    moysklad_call: str | None
    open_cards: int
    failures: int
    parked: str
    remedy: str
    clicked: bool
    link: str


class CallsFound(Shape, frozen=True, kw_only=True):
    """Calls that match, newest first. ``after``: asks for the next page; null: there is none."""

    calls: list[CallRow]
    after: str | None


class ClickTaken(Shape, frozen=True, kw_only=True):
    """The click is durable; the telephone rings next."""

    success: Literal[True]


class ClickRow(Shape, frozen=True, kw_only=True):
    """A click in MoySklad. ``stage``: how far it came; ``signature``: the reading that fitted, ``absent`` or ``wrong``; ``way``:
    ``ami`` or ``http``; ``ambiguous``: it may have rung; ``call``: what came of it; ``repeats``: further deliveries."""

    click: str
    at_ms: Ms
    stage: Literal["waiting", "ordering", "ordered", "doubted", "joined", "silent", "failed", "expired", "refused", "unheard"]
    extension: str
    number: str
    uid: str
    signature: str
    way: str
    error: str
    remedy: str
    ambiguous: bool
    call: str
    repeats: int
    link: str


class SignatureSeen(Shape, frozen=True, kw_only=True):
    """How MoySklad signs: the reading that fitted last, and the verdict on the last click; null: there was none."""

    fitted: str | None
    fitted_ms: Ms | None
    last: str | None
    last_ms: Ms | None


class ClicksFound(Shape, frozen=True, kw_only=True):
    """Clicks, newest first. ``before`` and ``before_click`` together: ask for older ones; null: there are none. ``names``:
    extension -> employee."""

    clicks: list[ClickRow]
    before: int | None
    before_click: str | None
    signature: SignatureSeen
    names: dict[str, str]


class WhatIfSettings(Shape, frozen=True, kw_only=True):
    """Settings as they were stored, without secrets."""

    ms: dict[str, Any]


class WhatIfGroup(Shape, frozen=True, kw_only=True):
    """One kind of difference: what, why, how many calls, a few of them."""

    what: str
    because: str
    calls: int
    examples: list[dict[str, str]]


class WhatIfFound(Shape, frozen=True, kw_only=True):
    """Many calls as a sum. ``anyway``: calls with differences that are not the settings' doing."""

    calls: int
    differing: int
    anyway: int
    unreadable: int
    groups: list[WhatIfGroup]


class WhatIfDayShown(Shape, frozen=True, kw_only=True):
    """A day that is run again: how far it has come (``done`` of ``whole`` calls), and what was found."""

    id: str
    day: str
    state: Literal["running", "done", "cancelled", "failed"]
    done: int
    whole: int
    found: WhatIfFound


class MissedShown(Shape, frozen=True, kw_only=True):
    """A customer who waits for a call back. ``call``: the last attempt; ``rang``: extensions."""

    number: str
    client: str
    attempts: int
    first_ms: Ms
    last_ms: Ms
    call: str
    outcome: Outcome
    rang: list[str]
    link: str


class MissedShownAll(Shape, frozen=True, kw_only=True):
    """Who waits. ``hidden``, ``internal``: missed calls left out: without a number, a colleague's. ``complete``: no older ones."""

    missed: list[MissedShown]
    hidden: int
    internal: int
    since_ms: Ms
    complete: bool
    names: dict[str, str]


class Names(Shape, frozen=True, kw_only=True):
    """Extension -> employee."""

    names: dict[str, str]


class PeriodShown(Shape, frozen=True, kw_only=True, rename={"coming": "in", "coming_answered": "in_answered"}):
    """Calls of one period: came in and went out, answered, of which the end is not known; how long was talked, in so many talks
    that were heard; how long callers waited."""

    coming: int
    coming_answered: int
    out: int
    out_answered: int
    lost: int
    talk_ms: int
    talks: int
    waits: int
    wait_ms: int


class RequestsShown(Shape, frozen=True, kw_only=True):
    """How MoySklad answered in one period."""

    period: int
    api: Literal["phone", "json"]
    requests: int
    failures: int
    mean_ms: int
    p50_ms: int | None
    p95_ms: int | None


class PersonShown(Shape, frozen=True, kw_only=True):
    """One employee's calls of one direction in one period. ``missed``: nobody took them."""

    period: int
    extension: str
    direction: str
    calls: int
    answered: int
    missed: int
    talk_ms: int
    waits: int
    wait_ms: int


class Report(Shape, frozen=True, kw_only=True):
    """Numbers over time. ``bounds_ms``: where periods begin, and where the last one ends."""

    by: Literal["day", "hour"]
    bounds_ms: list[Ms]
    periods: list[PeriodShown]
    requests: list[RequestsShown]
    people: list[PersonShown]
    names: dict[str, str]


class LiveCall(Shape, frozen=True, kw_only=True):
    """A call that goes on. ``phase_ms``: since when it stands so; ``cards``: on whose screen its card is."""

    enterprise: str
    call: str
    phase: str
    phase_ms: Ms
    direction: str
    number: str
    client: str
    ringing: list[str]
    talking: list[str]
    cards: list[str]
    started_ms: Ms
    failures: int
    parked: str


class Behind(Shape, frozen=True, kw_only=True):
    """How far behind: calls that wait, the oldest of them, how long it takes at least."""

    calls: int
    oldest_s: float
    estimate_s: float


class HealthOfAccounts(Shape, frozen=True, kw_only=True):
    """Accounts in trouble, backlog, calls that need a person."""

    accounts: list[dict[str, Any]]
    behind: Behind
    parked: int


class BoardShown(Shape, frozen=True, kw_only=True):
    """What goes on now. ``more``: there are more calls than are told; ``away``: why the database cannot be read (empty: it can)."""

    now_ms: Ms
    calls: list[LiveCall]
    more: bool
    away: str
    health: HealthOfAccounts
