"""The network between the nodes and MoySklad, and all accounts there: what becomes of each request, and what must hold for it."""

from __future__ import annotations

import random
from asyncio import Future
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final

import aiohttp

from adapters.moysklad.errors import Api
from core.ports import StreamId
from tests.simulation.calls import enterprise_name
from tests.simulation.database import Database
from tests.simulation.loop import ProcessLoop, drive
from tests.simulation.moysklad import BROKEN, LIMITED, UNKNOWN_KEY, Account, Answer, Fate, good_fate, split
from tests.simulation.network import Request
from tests.simulation.scenario import MAX_ENTERPRISES, OF_MOYSKLAD, Fault, Scenario, Trouble

FOREVER_S: Final = 1e9
REFUSED_S: Final = 0.003

STALE_MS: Final = 3_000
"""A request may have been decided on this much earlier than it leaves: the database's patience, and a moment."""

HEARD_US: Final = 1_500_000
"""A request whose connection breaks takes effect so soon after it left, or never: what the service assumes too
(``core/plan.py``, REPOST_GUARD_MS)."""

ACCIDENTS: Final = (
    Trouble.LOST_BEFORE,
    Trouble.LOST_AFTER,
    Trouble.ERRORS,
    Trouble.ERRORS_AFTER,
    Trouble.SLOW,
    Trouble.LIMITED,
    Trouble.HANGS,
)

_TOLD: Final = ("externalId", "extension", "endTime", "comment", "recordUrl", "phone", "description", "done")


class Cloud:
    """MoySklad. ``faults``: those that are active now. ``shown``, ``cleared``: (enterprise, external id) -> when cards came,
    and whose; when the last one went. ``screens``: external id -> when the cards changed, and how they stood then.
    ``busy``: requests that have not come to their end. ``handed_on``: calls whose own hangup is not their end.
    """

    def __init__(
        self,
        scenario: Scenario,
        server: ProcessLoop,
        database: Database,
        *,
        handed_on: Collection[str] = (),
        now_ms: Callable[[], int],
        tell: Callable[[str, str], None],
        object_to: Callable[[str], None],
    ) -> None:
        self.faults: dict[Fault, None] = {}
        self.accounts: dict[str, Account] = {}
        self.shown: dict[tuple[str, str], list[tuple[int, str]]] = {}
        self.cleared: dict[tuple[str, str], int] = {}
        self.screens: dict[str, list[tuple[int, dict[str, str]]]] = {}
        self.busy = 0
        self._scenario = scenario
        self._server = server
        self._database = database
        self._handed_on = handed_on
        self._now_ms = now_ms
        self._tell = tell
        self._object_to = object_to
        self._rng = random.Random(scenario.noise)
        self._by_credential: dict[tuple[Api, str], Account] = {}
        names = tuple(enterprise_name(index) for index in range(MAX_ENTERPRISES))
        for together in (names,) if scenario.shared else [(name,) for name in names]:
            account = Account(
                together,
                repeated=scenario.repeated,
                refusing=scenario.refused,
                tight=scenario.tight,
                object_to=object_to,
            )
            self.accounts |= dict.fromkeys(together, account)
            self._by_credential[Api.PHONE, account.phone_key] = account
            self._by_credential[Api.JSON, account.api_token] = account

    def concerned(self, fault: Fault) -> Collection[str]:
        """The enterprises whose MoySklad, or whose settings, a fault concerns."""
        if fault.where < 0:
            return tuple(self.accounts)
        named = enterprise_name(fault.where % MAX_ENTERPRISES)
        return (named,) if fault.trouble is Trouble.WRONG_KEY else self.accounts[named].enterprises

    # -- the network ----------------------------------------------------------------------------------------------

    def connects(self, request: Request) -> float | None:
        """See ``tests.simulation.network.Net``."""
        return REFUSED_S if Trouble.DOWN in self._troubles(self._account(request)) else None

    def sends(self, node: str, request: Request, gone: Future[Answer]) -> None:
        """See ``tests.simulation.network.Net``."""
        account = self._account(request)
        fate = self._fate(account)
        path, query = split(request.api, request.url)
        self._tell(node, f"{request.method} {path} {_brief(request.body)}")
        if account is not None:
            self._watch(node, account, request)
        left_us = self._server.clock.now_us
        if fate.arrives_us >= 0:
            self.busy += 1
            self._server.call_at_us(left_us + fate.arrives_us, self._arrives, account, request, path, query, fate, gone)
        if fate.lost:
            self._server.call_at_us(left_us + 30_000 + max(0, fate.arrives_us), _fail, gone)

    def _account(self, request: Request) -> Account | None:
        return self._by_credential.get((request.api, request.credential))

    def _troubles(self, account: Account | None) -> set[Trouble]:
        return {
            fault.trouble
            for fault in self.faults
            if fault.trouble in OF_MOYSKLAD and (
                fault.where < 0 if account is None else not set(account.enterprises).isdisjoint(self.concerned(fault))
            )
        }

    def _fate(self, account: Account | None) -> Fate:
        fate = good_fate(self._rng)
        chance = self._rng.randrange(1_000)
        active = self._troubles(account)
        if chance < self._scenario.broken:
            active |= {ACCIDENTS[chance % len(ACCIDENTS)]}
        if not active:
            return fate
        times: dict[str, Any] = {"arrives_us": fate.arrives_us, "takes_us": fate.takes_us, "back_us": fate.back_us}
        if Trouble.SLOW in active:
            times["takes_us"] = self._rng.randint(self._scenario.slow_ms * 300, self._scenario.slow_ms * 1_000)
        if Trouble.HANGS in active:
            return Fate(**times | {"arrives_us": -1}, silent=True)
        if Trouble.LOST_BEFORE in active:
            return Fate(**times | {"arrives_us": -1}, lost=True)
        if Trouble.LIMITED in active:
            return Fate(**times, acts=False, answer=LIMITED)
        if Trouble.ERRORS in active:
            return Fate(**times, acts=False, answer=BROKEN)
        if Trouble.ERRORS_AFTER in active:
            return Fate(**times, answer=BROKEN)
        if Trouble.LOST_AFTER in active:
            return Fate(**times | {"takes_us": self._rng.randint(10_000, HEARD_US)}, lost=True)
        return Fate(**times)

    # -- the server -----------------------------------------------------------------------------------------------

    def _arrives(
        self,
        account: Account | None,
        request: Request,
        path: str,
        query: Mapping[str, list[str]],
        fate: Fate,
        gone: Future[Answer],
    ) -> None:
        if account is None:
            self._answer(UNKNOWN_KEY, fate, gone)
            return
        door = account.doors[request.api]
        answer = account.admit(request.api, gone.get_loop(), self._now_ms()) or fate.answer
        if answer is not None and not fate.acts:
            account.count_failure(request.api, self._now_ms())
            self._answer(answer, fate, gone)
            return
        door.inside.append(gone)
        act = partial(self._acts, account, request, path, query, fate, gone)
        self._server.call_at_us(self._server.clock.now_us + fate.takes_us, act)

    def _acts(
        self, account: Account, request: Request, path: str, query: Mapping[str, list[str]], fate: Fate, gone: Future[Answer]
    ) -> None:
        account.doors[request.api].inside.remove(gone)
        answer = account.act(request.api, request.method, path, query, request.body)
        self._screens(account, request)
        late = " (nobody waits)" if gone.done() else ""
        self._tell("MoySklad", f"{account.name} {request.method} {path}: {answer[0]}{late}")
        answer = fate.answer or answer
        if answer[0] >= 400:
            account.count_failure(request.api, self._now_ms())
        self._answer(answer, fate, gone)

    def _answer(self, answer: Answer, fate: Fate, gone: Future[Answer]) -> None:
        self.busy -= 1
        if not fate.silent and not fate.lost:
            self._server.call_at_us(self._server.clock.now_us + fate.back_us, _succeed, gone, answer)

    # -- what must hold, and what is remembered ----------------------------------------------------------------------

    def _watch(self, node: str, account: Account, request: Request) -> None:
        """A request leaves: whose the enterprise is, and whether a card is still wanted."""
        owners = drive(self._database.leases.owners())
        for enterprise in account.enterprises:
            owner = owners.get(enterprise)
            if owner is not None and not owner.startswith(f"{node}/"):
                self._object_to(f"{node} acts for {account.name}, and {enterprise} is {owner}'s")
        if request.api is not Api.PHONE:
            return
        if any(event["eventType"] == "SHOW" for event in _events(request)):
            self._watch_shown(account, request)

    def _watch_shown(self, account: Account, request: Request) -> None:
        call = self._row_of(account, request)
        external_id = request.body.get("externalId") or next((row.external_id for row in account.model.rows if row.id == call), "")
        if external_id in self._handed_on:
            return  # its own hangup is only that of whoever called
        enterprise, _, name = external_id.partition("-")
        stream = StreamId(enterprise=enterprise, name=f"call/{name}")
        heard = [each.recorded_ms for each in drive(self._database.store.read(stream)) if each.type == "hangup_observed"]
        if heard and self._now_ms() - heard[0] > STALE_MS:
            self._object_to(f"{external_id}: a card is shown {self._now_ms() - heard[0]} ms after the hangup was recorded")

    def _screens(self, account: Account, request: Request) -> None:
        """Remember when cards came and went."""
        if request.method == "GET" or request.api is not Api.PHONE or not (events := _events(request)):
            return
        row = next((row for row in account.model.rows if row.id == self._row_of(account, request)), None)
        if row is None:
            return
        key = (row.external_id.partition("-")[0], row.external_id)
        shows = [(self._now_ms(), event["extension"]) for event in events if event["eventType"] == "SHOW"]
        self.shown.setdefault(key, []).extend(shows)
        self.screens.setdefault(row.external_id, []).append((self._now_ms(), row.screens()))
        if not row.screens():
            self.cleared.setdefault(key, self._now_ms())
        else:
            self.cleared.pop(key, None)

    def _row_of(self, account: Account, request: Request) -> str:
        if request.method == "PUT" and "/extid/" not in request.url:
            return request.url.rpartition("/")[2]
        name = request.body.get("externalId") or request.url.rpartition("/")[2]
        return next((row.id for row in account.model.rows if row.external_id == name), "")


def _events(request: Request) -> Any:
    return request.body.get("events", ()) if isinstance(request.body, dict) else ()


def _succeed(gone: Future[Answer], answer: Answer) -> None:
    if not gone.done():
        gone.set_result(answer)


def _fail(gone: Future[Answer]) -> None:
    if not gone.done():
        gone.set_exception(aiohttp.ServerDisconnectedError())


def _brief(body: Any) -> str:
    """A body in a few words."""
    if not isinstance(body, dict):
        return ""
    words = [f"{event['eventType']} {event.get('extension', '')}#{event['sequence']}" for event in body.get("events", ())]
    words += [f"{name}={body[name]}" for name in _TOLD if body.get(name)]
    return " ".join(words).replace(" #", "#")
