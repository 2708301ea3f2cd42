"""Plays one scenario: nodes, database, MoySklad and the senders of signals on one virtual clock, until all is at rest."""

from __future__ import annotations

import contextvars
import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NoReturn

import structlog

from adapters.moysklad import limits as turnstiles
from adapters.moysklad.errors import Api
from adapters.moysklad.limits import Limit
from core.decisions import Limits
from core.effects import Account as Credentials
from core.events import RetryRequested, encode
from core.ports import Append, NewEvent, StreamId
from core.settings import Settings
from tests.settings import SETTINGS, settings_with
from tests.simulation.calls import Delivery, Signal, deliveries, enterprise_name, signals_of
from tests.simulation.database import Database
from tests.simulation.loop import Clock, ProcessLoop, StepsExhausted, drive, process
from tests.simulation.moysklad import BROKEN, LIMITED, TIGHT_REQUESTS, UNKNOWN_KEY, Account, Answer, Fate, good_fate, split
from tests.simulation.network import Request
from tests.simulation.node import Node
from tests.simulation.scenario import MAX_ENTERPRISES, OF_A_NODE, OF_MOYSKLAD, Fault, Scenario, Trouble
from tests.strategies import EPOCH_MS

MICRO: Final = 1_000_000
LIMITS: Final = Limits(call_max_ms=90_000, write_off_ms=120_000)
"""Short, so that a call whose hangup is lost is over in a few minutes too."""

END_S: Final = 4 * 3_600
"""By then everything must have come to rest."""

SENDER_S: Final = 3.0
"""The dispatcher waits this long for an answer (CONTRACT-ASTERISK)."""

AGAIN_S: Final = 0.7
FOREVER_S: Final = 1e9
MAX_OBJECTIONS: Final = 50


@dataclass(slots=True)
class Slot:
    """Where a node lives, one life after the other."""

    node: Node
    lives: int = 1
    frozen: int = 0
    dead: int = 0
    cut_from_database: int = 0
    cut_from_moysklad: int = 0


@dataclass(slots=True)
class Run:
    """A scenario as it is played. ``objections``: what must not have happened. ``story``: (µs, who, what).

    ``acknowledged``: when each signal was on disk first; ``shown``: (enterprise, external id) -> when MoySklad was told to show
    a card, and whose; ``cleared``: when the last card of it went.
    """

    scenario: Scenario
    clock: Clock = field(default_factory=Clock)
    objections: list[str] = field(default_factory=list)
    story: list[tuple[int, str, str]] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)
    signals: list[Signal] = field(default_factory=list)
    acknowledged: dict[tuple[str, bytes], int] = field(default_factory=dict)
    faults: dict[Fault, None] = field(default_factory=dict)
    shown: dict[tuple[str, str], list[tuple[int, str]]] = field(default_factory=dict)
    cleared: dict[tuple[str, str], int] = field(default_factory=dict)
    slots: list[Slot] = field(default_factory=list)
    rested: bool = False
    server: ProcessLoop = field(init=False)
    database: Database = field(init=False)
    limits: Limits = LIMITS
    _rng: random.Random = field(init=False)
    _open: int = 0
    _wrong: dict[str, int] = field(default_factory=dict)
    _by_credential: dict[tuple[Api, str], Account] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scenario = self.scenario
        self.server = process(self.clock, "server", self._complain)
        self.server.context = contextvars.Context()
        self.database = Database(self.now_ms, self._notify)
        self._rng = random.Random(scenario.noise)
        for index in range(MAX_ENTERPRISES):
            account = Account(
                enterprise_name(index),
                repeated=scenario.repeated,
                refusing=scenario.refused,
                tight=scenario.tight,
                object_to=self.object_to,
            )
            self.accounts[account.enterprise] = account
            self._by_credential[Api.PHONE, account.phone_key] = account
            self._by_credential[Api.JSON, account.api_token] = account
        self.signals = signals_of(scenario)

    # -- the surroundings of a node -----------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Wall-clock time, the same for everybody."""
        return EPOCH_MS + self.clock.now_us // 1_000

    async def for_call(self, enterprise: str, revision: int) -> tuple[Settings, Credentials]:
        """The settings, as the settings store gives them (``adapters.attendant.CallSettings``)."""
        account = self.accounts[enterprise]
        key = "wrong" if self._wrong.get(enterprise) else account.phone_key
        return settings_of(self.scenario), Credentials(enterprise=enterprise, phone_key=key, api_token=account.api_token)

    def tell(self, who: str, what: str) -> None:
        """One more line of the story."""
        self.story.append((self.clock.now_us, who, what))

    def object_to(self, what: str) -> None:
        """This must not happen."""
        self.tell("!!", what)
        if len(self.objections) < MAX_OBJECTIONS:
            self.objections.append(f"{self.clock.now_us / MICRO:.3f} s: {what}")

    def _complain(self, what: str, error: BaseException | None) -> None:
        self.object_to(f"{what}: {error!r}")

    def _notify(self, position: int) -> None:
        for slot in self.slots:
            if not slot.cut_from_database:
                slot.node.loop.call_soon(slot.node.notice, {"position": position})

    # -- playing --------------------------------------------------------------------------------------------------

    def play(self) -> Run:
        """From the beginning to rest."""
        with _quiet(self), _narrow(self.scenario):
            self.slots = [Slot(node=self._born(index, 1)) for index in range(self.scenario.nodes)]
            for slot in self.slots:
                slot.node.start()
            for fault in self.scenario.faults:
                self._later(fault.at_ms, self._begin, fault)
            for number, delivery in enumerate(deliveries(self.scenario, self.signals)):
                self._later(delivery.at_ms - EPOCH_MS, self._deliver, delivery, number)
            try:
                self.clock.run(END_S * MICRO, done=self._at_rest)
            except StepsExhausted as error:
                self.object_to(str(error))
            self.rested = self._at_rest()
            for slot in self.slots:
                slot.node.loop.kill()
                slot.node.loop.bury()
        return self

    def digest(self) -> str:
        """What tells one run from another: everything that was told, and how many steps it took."""
        return hashlib.blake2b(repr((self.story, self.clock.steps, self.clock.now_us)).encode(), digest_size=16).hexdigest()

    def _at_rest(self) -> bool:
        if self._open:
            return False
        store = self.database.store
        return drive(store.next_due_ms()) is None and drive(self.database.switchboard.position()) == drive(store.head())

    def _later(self, in_ms: int, what: Callable[..., object], *args: Any) -> None:
        self._open += 1
        self.server.call_at_us(max(self.clock.now_us, in_ms * 1_000), what, *args)

    def _born(self, index: int, life: int) -> Node:
        loop = process(self.clock, f"node{index}.{life}", self._complain)
        rng = random.Random(f"{self.scenario.noise} {index} {life}")
        return Node(loop.name, loop, self, self, _Net(self, index), rng, self.scenario.store_broken)

    # -- signals --------------------------------------------------------------------------------------------------

    def _deliver(self, delivery: Delivery, attempt: int) -> None:
        """Post it to the next node that takes connections; without a good answer in time, to the one after."""
        key = (delivery.signal.enterprise, delivery.signal.digest)
        answered = False

        def reply(kept: bool) -> None:
            nonlocal answered
            if answered or not kept:
                return
            answered = True
            self._open -= 1
            if key not in self.acknowledged:
                self.acknowledged[key] = self.now_ms()
                signal = delivery.signal
                self.tell("sender", f"{signal.enterprise} {signal.stream} {signal.event.type} is on disk at {node.name}")

        def again() -> None:
            if not answered:
                reply_to.append(None)
                self._deliver(delivery, attempt + 1)

        reply_to: list[None] = []
        slot = self.slots[attempt % len(self.slots)]
        node = slot.node
        if node.loop.dead:
            self.server.call_later(AGAIN_S, again)
            return
        node.take(delivery.signal, lambda kept: None if reply_to else reply(kept))
        self.server.call_later(SENDER_S, again)

    # -- faults ---------------------------------------------------------------------------------------------------

    def _begin(self, fault: Fault) -> None:
        self.tell("fault", f"{fault.trouble} {fault.where} for {fault.for_ms / 1000} s")
        self.faults[fault] = None
        self._change(fault, 1)
        self.server.call_later(fault.for_ms / 1000, self._end, fault)

    def _end(self, fault: Fault) -> None:
        self._open -= 1
        self.tell("fault", f"{fault.trouble} {fault.where} is over")
        self.faults.pop(fault, None)
        self._change(fault, -1)

    def _change(self, fault: Fault, by: int) -> None:
        if fault.trouble in OF_A_NODE:
            self._change_node(fault, fault.where % len(self.slots), by)
        elif fault.trouble is Trouble.DATABASE_DOWN:
            self.database.up = by < 0
            for slot in self.slots:
                slot.node.board.lose_session()
        elif fault.trouble is Trouble.DATABASE_SLOW:
            self.database.slow_us = 400_000 if by > 0 else 0
        elif fault.trouble is Trouble.WRONG_KEY:
            for enterprise in self._meant(fault):
                self._wrong[enterprise] = self._wrong.get(enterprise, 0) + by
                if not self._wrong[enterprise]:
                    self._mended(enterprise)

    def _change_node(self, fault: Fault, index: int, by: int) -> None:
        slot = self.slots[index]
        match fault.trouble:
            case Trouble.CRASH:
                slot.dead += by
                if by > 0 and not slot.node.loop.dead:
                    slot.node.loop.kill()
                    slot.node.board.lose_session()
                    slot.node.loop.bury()
                elif slot.dead == 0:
                    slot.lives += 1
                    slot.node = self._born(index, slot.lives)
                    slot.node.link.cut = slot.cut_from_database > 0
                    slot.node.start()
                    if slot.frozen:
                        slot.node.loop.freeze()
            case Trouble.FREEZE:
                slot.frozen += by
                if slot.frozen:
                    slot.node.loop.freeze()
                else:
                    slot.node.loop.thaw()
            case Trouble.CUT_FROM_DATABASE:
                slot.cut_from_database += by
                slot.node.link.cut = slot.cut_from_database > 0
            case _:
                slot.cut_from_moysklad += by

    def _mended(self, enterprise: str) -> None:
        """The administrator entered the right key: what was refused is asked again."""
        for stream, events in self.streams().items():
            if stream.enterprise == enterprise and any(each.type == "effect_refused" for each in events):
                type_, schema, data = encode(RetryRequested(at_ms=self.now_ms(), by="settings", reason="a new key"))
                event = NewEvent(id=self.slots[0].node._new_id(), type=type_, schema=schema, data=data)
                drive(self.database.store.append(Append(stream=stream, events=(event,), due_ms=self.now_ms())))

    def _meant(self, fault: Fault) -> list[str]:
        return list(self.accounts) if fault.where < 0 else [enterprise_name(fault.where % MAX_ENTERPRISES)]

    def streams(self) -> Mapping[StreamId, list[Any]]:
        """Every call's stream as it is now."""
        found: dict[StreamId, list[Any]] = {}
        for each in drive(self.database.store.read_log(0, 1_000_000)):
            if each.stream.name.startswith("call/"):
                found.setdefault(each.stream, []).append(each)
        return found

    # -- MoySklad -------------------------------------------------------------------------------------------------

    def connects(self, index: int) -> float | None:
        """How a new connection fares (``tests.simulation.network.Net``)."""
        if self.slots[index].cut_from_moysklad:
            return FOREVER_S
        if any(fault.trouble is Trouble.DOWN for fault in self.faults):
            return 0.003
        return None

    def sends(self, index: int, request: Request, gone: Any) -> Fate:
        """A request leaves: decide what becomes of it."""
        account = self._by_credential.get((request.api, request.credential))
        fate = self._fate(index, request, account)
        path, query = split(request.api, request.url)
        self.tell(self.slots[index].node.name, f"{request.method} {path} {_brief(request.body)}")
        if account is not None:
            self._watch(self.slots[index].node, account, request)
        if fate.arrives_us >= 0:
            self._open += 1
            arrive = partial(self._arrives, account, request, path, query, fate, gone)
            self.server.call_at_us(self.clock.now_us + fate.arrives_us, arrive)
        if fate.lost:
            self.server.call_at_us(self.clock.now_us + 30_000 + max(0, fate.arrives_us), _fail, gone)
        return fate

    def _arrives(
        self, account: Account | None, request: Request, path: str, query: dict[str, list[str]], fate: Fate, gone: Any
    ) -> None:
        if account is None:
            self._answer(UNKNOWN_KEY, fate, gone)
            return
        door = account.doors[request.api]
        answer = account.admit(request.api, gone.get_loop(), self.now_ms()) or fate.answer
        if answer is not None and not fate.acts:
            account.count_failure(request.api, self.now_ms())
            self._answer(answer, fate, gone)
            return
        door.inside.append(gone)
        act = partial(self._acts, account, request, path, query, fate, gone)
        self.server.call_at_us(self.clock.now_us + fate.takes_us, act)

    def _acts(self, account: Account, request: Request, path: str, query: dict[str, list[str]], fate: Fate, gone: Any) -> None:
        account.doors[request.api].inside.remove(gone)
        answer: Answer | None = fate.answer
        if fate.acts:
            done = account.act(request.api, request.method, path, query, request.body)
            self._screens(account, request)
            self.tell(
                "MoySklad", f"{account.enterprise} {request.method} {path}: {done[0]}{'' if not gone.done() else ' (nobody waits)'}"
            )
            answer = answer or done
        if answer is not None:
            if answer[0] >= 400:
                account.count_failure(request.api, self.now_ms())
            self._answer(answer, fate, gone)
        else:
            self._open -= 1

    def _screens(self, account: Account, request: Request) -> None:
        """Remember when cards came and went."""
        events = request.body.get("events", ()) if request.method != "GET" and request.api is Api.PHONE else ()
        if not events:
            return
        row = next((row for row in account.model.rows if row.id == self._row_of(account, request)), None)
        if row is None:
            return
        key = (account.enterprise, row.external_id)
        shows = [(self.now_ms(), event["extension"]) for event in events if event["eventType"] == "SHOW"]
        self.shown.setdefault(key, []).extend(shows)
        if not row.screens():
            self.cleared.setdefault(key, self.now_ms())
        else:
            self.cleared.pop(key, None)

    def _row_of(self, account: Account, request: Request) -> str:
        if request.method == "PUT" and "/extid/" not in request.url:
            return request.url.rpartition("/")[2]
        name = request.body.get("externalId") or request.url.rpartition("/")[2]
        return next((row.id for row in account.model.rows if row.external_id == name), "")

    def _answer(self, answer: Answer, fate: Fate, gone: Any) -> None:
        self._open -= 1
        if not fate.silent and not fate.lost:
            self.server.call_at_us(self.clock.now_us + fate.back_us, _succeed, gone, answer)

    def _fate(self, index: int, request: Request, account: Account | None) -> Fate:
        rng, scenario = self._rng, self.scenario
        fate = good_fate(rng)
        chance = rng.randrange(1_000)
        active: set[Trouble] = {
            fault.trouble
            for fault in self.faults
            if fault.trouble in OF_MOYSKLAD and (account is None or account.enterprise in self._meant(fault))
        }
        if scenario.broken and chance < scenario.broken:
            active |= {_ACCIDENTS[chance % len(_ACCIDENTS)]}
        if not active:
            return fate
        return self._troubled(fate, active)

    def _troubled(self, fate: Fate, active: set[Trouble]) -> Fate:
        times: dict[str, Any] = {"arrives_us": fate.arrives_us, "takes_us": fate.takes_us, "back_us": fate.back_us}
        if Trouble.SLOW in active:
            times["takes_us"] = self._rng.randint(self.scenario.slow_ms * 300, self.scenario.slow_ms * 1_000)
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
            return Fate(**times, lost=True)
        return Fate(**times)

    def _watch(self, node: Node, account: Account, request: Request) -> None:
        """What must hold for a request that leaves."""
        owner = drive(self.database.leases.owners()).get(account.enterprise)
        if owner is not None and not owner.startswith(f"{node.name}/"):
            self.object_to(f"{node.name} acts for {account.enterprise}, which is {owner}'s")
        shown = [each for each in (request.body or {}).get("events", ()) if each["eventType"] == "SHOW"]
        if shown and request.api is Api.PHONE:
            self._watch_shown(account, request)

    def _watch_shown(self, account: Account, request: Request) -> None:
        call = self._row_of(account, request)
        external_id = request.body.get("externalId") or next((row.external_id for row in account.model.rows if row.id == call), "")
        name = external_id.partition("-")[2]
        stream = StreamId(enterprise=account.enterprise, name=f"call/{name}")
        heard = [each.recorded_ms for each in drive(self.database.store.read(stream)) if each.type == "hangup_observed"]
        if heard and self.now_ms() - heard[0] > STALE_MS:
            self.object_to(f"{external_id}: a card is shown {self.now_ms() - heard[0]} ms after the hangup was recorded")


STALE_MS: Final = 3_000
"""A request may have been decided on this much earlier than it leaves: the database's patience, and a moment."""

_ACCIDENTS: Final = (
    Trouble.LOST_BEFORE,
    Trouble.LOST_AFTER,
    Trouble.ERRORS,
    Trouble.ERRORS_AFTER,
    Trouble.SLOW,
    Trouble.LIMITED,
    Trouble.HANGS,
)


class _Net:
    """The network as one node has it."""

    def __init__(self, run: Run, index: int) -> None:
        self._run = run
        self._index = index

    def connects(self) -> float | None:
        """See ``tests.simulation.network.Net``."""
        return self._run.connects(self._index)

    def sends(self, request: Request, gone: Any) -> Fate:
        """See ``tests.simulation.network.Net``."""
        return self._run.sends(self._index, request, gone)


def settings_of(scenario: Scenario) -> Settings:
    """The settings of every enterprise in this scenario."""
    return settings_with(mapped=("101", "102", "150", "151", "152")) if scenario.unmapped else SETTINGS


def _succeed(gone: Any, answer: Answer) -> None:
    if not gone.done():
        gone.set_result(answer)


def _fail(gone: Any) -> None:
    import aiohttp

    if not gone.done():
        gone.set_exception(aiohttp.ServerDisconnectedError())


def _brief(body: Any) -> str:
    if not isinstance(body, dict):
        return ""
    words = [
        f"{event['eventType']} {event.get('extension', '')}#{event['sequence']}".replace(" #", "#")
        for event in body.get("events", ())
    ]
    words += [
        f"{name}={body[name]}" for name in ("externalId", "extension", "endTime", "comment", "recordUrl", "phone") if body.get(name)
    ]
    return " ".join(words)


_TOLD: Final = ("externalId", "extension", "endTime", "comment", "recordUrl", "phone")


@contextmanager
def _narrow(scenario: Scenario) -> Iterator[None]:
    """A Phone API that allows a tenth: the limits are met by a handful of calls."""
    before = turnstiles.PHONE_LIMIT
    if scenario.tight:
        narrow = Limit(requests=TIGHT_REQUESTS, period_ms=before.period_ms, parallel=before.parallel)
        turnstiles.PHONE_LIMIT = narrow  # type: ignore[misc]
    try:
        yield
    finally:
        turnstiles.PHONE_LIMIT = before  # type: ignore[misc]


@contextmanager
def _quiet(run: Run) -> Iterator[None]:
    """The service's log goes into the story; what it calls an error is a bug."""

    def heard(logger: Any, method: str, event: MutableMapping[str, Any]) -> NoReturn:
        what = " ".join([str(event.pop("event")), *(f"{key}={value}" for key, value in sorted(event.items()) if key != "exc_info")])
        if method == "error":
            run.object_to(f"error in the log: {what} {event.get('exc_info')!r}")
        else:
            run.tell("log", what)
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[heard], wrapper_class=structlog.make_filtering_bound_logger(30), cache_logger_on_first_use=False
    )
    try:
        yield
    finally:
        structlog.configure(**before)
