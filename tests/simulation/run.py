"""Plays one scenario: nodes, database, MoySklad and the senders of signals on one virtual clock, until all is at rest."""

from __future__ import annotations

import contextvars
import hashlib
import random
from asyncio import Future
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Final, NoReturn
from unittest.mock import patch

import structlog

from adapters.moysklad import registry, transport
from adapters.moysklad.limits import PHONE_LIMIT
from core.decisions import Limits
from tests.simulation.calls import Delivery, deliveries, signals_of, truths_of
from tests.simulation.cloud import FOREVER_S, Cloud
from tests.simulation.database import Database
from tests.simulation.loop import Clock, StepsExhausted, drive, process
from tests.simulation.moysklad import TIGHT_REQUESTS, Answer
from tests.simulation.network import Request
from tests.simulation.node import Node
from tests.simulation.office import Office
from tests.simulation.scenario import OF_A_NODE, Fault, Scenario, Trouble
from tests.strategies import EPOCH_MS

LIMITS: Final = Limits(call_max_ms=90_000, write_off_ms=120_000)
"""Short, so that a call whose hangup is lost is over in a few minutes too."""

END_S: Final = 4 * 3_600
"""By then everything must have come to rest."""

SENDER_S: Final = 3.0
"""The dispatcher waits this long for an answer (CONTRACT-ASTERISK)."""

AGAIN_S: Final = 0.7
MAX_OBJECTIONS: Final = 50
SLOW_US: Final = 400_000
"""What a statement takes longer while the database is slow."""

WARNING: Final = 30


@dataclass(slots=True)
class Slot:
    """Where a node lives, one life after the other; and how many faults hold it just now."""

    node: Node
    lives: int = 1
    frozen: int = 0
    dead: int = 0
    cut_from_database: int = 0
    cut_from_moysklad: int = 0


class Run:
    """A scenario as it is played. ``objections``: what must not have happened. ``story``: (µs, who, what).

    ``acknowledged``: a signal's key -> when the signal was on disk first. ``rested``: nothing was left to do at the end.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.clock = Clock()
        self.limits = LIMITS
        self.objections: list[str] = []
        self.story: list[tuple[int, str, str]] = []
        self.signals = signals_of(scenario)
        self.truths = truths_of(scenario)
        self.acknowledged: dict[tuple[str, bytes, int], int] = {}
        self.rested = False
        self.server = process(self.clock, "server", self._complain)
        self.server.context = contextvars.Context()
        self.database = Database(self.now_ms, self._notify)
        handed_on = [name for truths in self.truths.values() for name, truth in truths.items() if truth.handed_on_ms]
        self.cloud = Cloud(
            scenario,
            self.server,
            self.database,
            handed_on=handed_on,
            now_ms=self.now_ms,
            tell=self.tell,
            object_to=self.object_to,
        )
        self.office = Office(
            scenario,
            self.server,
            self.database,
            self.cloud.accounts,
            nodes=lambda: [slot.node for slot in self.slots],
            tell=self.tell,
        )
        self.slots = [Slot(node=self._born(index, 1)) for index in range(scenario.nodes)]
        self._open = 0
        self._database_faults: Counter[Trouble] = Counter()
        self._faults: Counter[Fault] = Counter()

    # -- the surroundings of a node -----------------------------------------------------------------------------

    def now_ms(self) -> int:
        """The time of day; a node's own clock may be a little off."""
        return EPOCH_MS + self.clock.now_us // 1_000

    def account_of(self, enterprise: str) -> str:
        """See ``tests.simulation.node.Surroundings``."""
        return self.cloud.accounts[enterprise].phone_key

    def account_works(self, enterprise: str) -> None:
        """See ``tests.simulation.node.Surroundings``."""
        self.office.account_works(enterprise)

    # -- what is told ---------------------------------------------------------------------------------------------

    def tell(self, who: str, what: str) -> None:
        """One more line of the story."""
        self.story.append((self.clock.now_us, who, what))

    def object_to(self, what: str) -> None:
        """This must not happen."""
        self.tell("!!", what)
        if len(self.objections) < MAX_OBJECTIONS:
            self.objections.append(f"{self.clock.now_us / 1e6:.3f} s: {what}")

    def digest(self) -> str:
        """What tells one run from another: everything that was told, and how many steps it took."""
        return hashlib.blake2b(repr((self.story, self.clock.steps, self.clock.now_us)).encode(), digest_size=16).hexdigest()

    def _complain(self, what: str, error: BaseException | None) -> None:
        self.object_to(f"{what}: {error!r}")

    # -- playing --------------------------------------------------------------------------------------------------

    def play(self) -> Run:
        """From the beginning to rest."""
        with _quiet(self), _arranged(self.scenario, self.clock):
            for slot in self.slots:
                slot.node.start()
            for fault in self.scenario.faults:
                self._later(fault.at_ms, self._begin, fault)
            for number, delivery in enumerate(deliveries(self.scenario, self.signals)):
                self._later(delivery.at_ms - EPOCH_MS, self._deliver, delivery, number)
            try:
                self.clock.run(END_S * 1_000_000, done=self._at_rest)
            except StepsExhausted as error:
                self.object_to(str(error))
            self.rested = self._at_rest()
            for slot in self.slots:
                slot.node.loop.kill()
                slot.node.loop.bury()
        return self

    def _at_rest(self) -> bool:
        if self._open or self.cloud.busy or self.office.open:
            return False
        store = self.database.store
        return drive(store.next_due_ms()) is None and drive(self.database.switchboard.position()) == drive(store.head())

    def _later(self, in_ms: int, what: Callable[..., object], *args: Any) -> None:
        self._open += 1
        self.server.call_at_us(in_ms * 1_000, what, *args)

    def _born(self, index: int, life: int) -> Node:
        loop = process(self.clock, f"node{index}.{life}", self._complain)
        rng = random.Random(f"{self.scenario.noise} {index} {life}")
        net = _Net(self, index, loop.name)
        skew_ms = random.Random(f"{self.scenario.noise} {index}").randint(-self.scenario.skew_ms, self.scenario.skew_ms)
        settings = self.office.as_seen_by(self.clock)
        return Node(loop.name, loop, self, settings, net, rng, self.scenario.store_broken, skew_ms)

    def _notify(self, position: int) -> None:
        for slot in self.slots:
            if not slot.cut_from_database:
                slot.node.loop.call_soon(slot.node.notice, {"position": position})

    # -- signals --------------------------------------------------------------------------------------------------

    def _deliver(self, delivery: Delivery, attempt: int) -> None:
        """Post it to the next node that takes connections; without a good answer in time, to the one after."""
        node, signal = self.slots[attempt % len(self.slots)].node, delivery.signal
        if node.loop.dead or node.leaving:
            self.server.call_later(AGAIN_S, self._deliver, delivery, attempt + 1)
            return
        over = False

        def reply(kept: bool) -> None:
            nonlocal over
            if kept and not over:
                over = True
                self._open -= 1
                if signal.key not in self.acknowledged:
                    self.acknowledged[signal.key] = self.now_ms()
                    self.tell("sender", f"{signal.enterprise} {signal.stream} {signal.event.type} is on disk at {node.name}")

        def no_answer() -> None:
            nonlocal over
            if not over:
                over = True
                self._deliver(delivery, attempt + 1)

        node.take(signal, reply)
        self.server.call_later(SENDER_S, no_answer)

    # -- faults ---------------------------------------------------------------------------------------------------

    def _begin(self, fault: Fault) -> None:
        self.tell("fault", f"{fault.trouble} {fault.where} for {fault.for_ms / 1000} s")
        self._change(fault, 1)
        self.server.call_later(fault.for_ms / 1000, self._end, fault)

    def _end(self, fault: Fault) -> None:
        self._open -= 1
        self.tell("fault", f"{fault.trouble} {fault.where} is over")
        self._change(fault, -1)

    def _change(self, fault: Fault, by: int) -> None:
        self._faults[fault] += by
        if self._faults[fault]:
            self.cloud.faults[fault] = None
        else:
            self.cloud.faults.pop(fault, None)
        match fault.trouble:
            case Trouble.DATABASE_DOWN:
                self._database_faults[fault.trouble] += by
                self.database.up = not self._database_faults[fault.trouble]
                for slot in self.slots:
                    slot.node.board.lose_session()
            case Trouble.DATABASE_SLOW:
                self._database_faults[fault.trouble] += by
                self.database.slow_us = SLOW_US if self._database_faults[fault.trouble] else 0
            case Trouble.WRONG_KEY:
                for enterprise in self.cloud.concerned(fault):
                    self.office.change_key(enterprise, by)
            case trouble if trouble in OF_A_NODE:
                self._change_node(trouble, fault.where % len(self.slots), by)
            case _:
                pass

    def _change_node(self, trouble: Trouble, index: int, by: int) -> None:
        slot = self.slots[index]
        match trouble:
            case Trouble.CRASH | Trouble.RESTART:
                slot.dead += by
                if by > 0 and trouble is Trouble.CRASH:
                    self._kill(slot.node)
                elif by > 0 and not (slot.node.loop.dead or slot.node.leaving):
                    slot.node.stop()
                elif slot.dead == 0:
                    self._kill(slot.node)  # it has had its time to end by itself
                    slot.lives += 1
                    slot.node = self._born(index, slot.lives)
                    slot.node.start()
            case Trouble.FREEZE:
                slot.frozen += by
            case Trouble.CUT_FROM_DATABASE:
                slot.cut_from_database += by
            case _:
                slot.cut_from_moysklad += by
        slot.node.link.cut = slot.cut_from_database > 0
        if slot.frozen and not slot.node.loop.frozen:
            slot.node.loop.freeze()
        elif not slot.frozen and slot.node.loop.frozen:
            slot.node.loop.thaw()

    @staticmethod
    def _kill(node: Node) -> None:
        if not node.loop.dead:
            node.loop.kill()
            node.board.lose_session()
            node.loop.bury()


class _Net:
    """The way to MoySklad as one node has it (``tests.simulation.network.Net``)."""

    def __init__(self, run: Run, index: int, name: str) -> None:
        self._run = run
        self._index = index
        self._name = name

    def connects(self, request: Request) -> float | None:
        """See ``Net``."""
        return FOREVER_S if self._run.slots[self._index].cut_from_moysklad else self._run.cloud.connects(request)

    def sends(self, request: Request, gone: Future[Answer]) -> None:
        """See ``Net``."""
        self._run.cloud.sends(self._name, request, gone)


@contextmanager
def _arranged(scenario: Scenario, clock: Clock) -> Iterator[None]:
    """Where the clients look at the clock themselves they see ours; and perhaps the Phone API allows a tenth only, so that
    a handful of calls meets its limits.
    """
    limit = replace(PHONE_LIMIT, requests=TIGHT_REQUESTS) if scenario.tight else PHONE_LIMIT
    ours = SimpleNamespace(monotonic=lambda: clock.now_us / 1_000_000)
    with patch.object(registry, "PHONE_LIMIT", limit), patch.object(transport, "time", ours):
        yield


@contextmanager
def _quiet(run: Run) -> Iterator[None]:
    """The service's log goes into the story; what it calls an error is a bug."""

    def heard(logger: Any, method: str, event: MutableMapping[str, Any]) -> NoReturn:
        error = event.pop("exc_info", None)
        what = " ".join([str(event.pop("event")), *(f"{key}={value}" for key, value in sorted(event.items()))])
        if method == "error":
            run.object_to(f"error in the log: {what} {error!r}")
        else:
            run.tell("log", what)
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[heard], wrapper_class=structlog.make_filtering_bound_logger(WARNING), cache_logger_on_first_use=False
    )
    try:
        yield
    finally:
        structlog.configure(**before)
