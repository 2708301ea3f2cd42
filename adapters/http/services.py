"""What the routes need, put together by ``server.py``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Protocol

from aiohttp import web

from adapters.access import Access
from adapters.audit import Audit
from adapters.board import Board
from adapters.call_search import Found
from adapters.click_desk import ClickDesk
from adapters.directory.desk import Desk
from adapters.directory.hooks import Hooks
from adapters.directory.integrations import Integrations
from adapters.directory.keeper import Keeper
from adapters.http.answers import Problem
from adapters.http.stream import Streams
from adapters.ingest import Ingest
from adapters.moysklad.wiring import MoySklad
from adapters.parked import ParkedWork
from adapters.reports import Quantile
from adapters.self_test import SelfTests
from adapters.settings_store import SettingsStore
from adapters.spool import Spool
from adapters.trial_cards import TrialCards
from adapters.what_ifs import WhatIfs


class Replay(Protocol):
    """Tells one call, however it is named, as JSON; None for a call nobody knows. ``disguised``: without numbers and names;
    ``russian``: its sentences for a page.

    Raises as :data:`Search` does.
    """

    def __call__(self, enterprise: str, name: str, *, disguised: bool, russian: bool) -> Awaitable[dict[str, Any] | None]:
        """See above."""
        ...


class ClickStory(Protocol):
    """Tells one click in MoySklad as JSON; None for one that nobody knows. ``russian``: its sentences for a page."""

    def __call__(self, enterprise: str, click: str, *, russian: bool) -> Awaitable[dict[str, Any] | None]:
        """See above."""
        ...


FindCall = Callable[[str, str], Awaitable[str | None]]
"""``(enterprise, what a person calls it) -> the call's id``; None for a call nobody knows. Raises as :data:`Search` does."""

Search = Callable[[Mapping[str, str], tzinfo], Awaitable[Found]]
"""Query fields, and the zone of times that name none -> calls, newest first. Raises ValueError whose args are (field, hint)."""

Status = Callable[[], Awaitable[dict[str, Any]]]
"""How the service is, all instances together, as JSON."""


@dataclass(slots=True, kw_only=True)
class Services:
    """The service's parts as the edge sees them. ``in_russian``: a sentence of the history, for a page."""

    ingest: Ingest
    clicks: ClickDesk
    click_story: ClickStory
    settings: SettingsStore
    moysklad: MoySklad
    access: Access
    audit: Audit
    replay: Replay
    in_russian: Callable[[str], str]
    self_tests: SelfTests
    trial_cards: TrialCards
    what_if: WhatIfs
    search: Search
    board: Board
    pool: Any
    quantile: Quantile
    find_call: FindCall
    parked: ParkedWork
    desk: Desk
    hooks: Hooks
    keeper: Keeper
    integrations: Integrations
    status: Status
    metrics: Callable[[], bytes]
    now_ms: Callable[[], int]
    zone: tzinfo


@dataclass(slots=True)
class Holder:
    """The parts once there are any; until then ``waiting`` says in words what the service waits for.

    ``stopping``: no new connections are taken; those that are there are still answered, and told to go. ``spool``: where single
    posts go while there are no parts.
    """

    parts: Services | None = None
    waiting: str = "the service is starting"
    stopping: bool = False
    streams: Streams = field(default_factory=Streams)
    spool: Spool | None = None


SERVICES: web.AppKey[Holder] = web.AppKey("services", Holder)


class StartingUp(Problem):
    """There are no parts yet."""


def services(request: web.Request) -> Services:
    """The parts behind this request. Raises StartingUp (503) while the service is starting or waits for its database."""
    holder = request.app[SERVICES]
    if holder.parts is None:
        raise StartingUp(503, holder.waiting, hint="try again in a moment: nothing was recorded", retry_after_s=1)
    return holder.parts
