"""Instances that share enterprises through a lease store, in virtual time, with everything that can happen on the way to it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from adapters.membership import BEAT_S, SETTLED_S
from adapters.memory_leases import MemoryLeaseStore
from adapters.ownership import Ownership
from core.errors import StoreUnavailable
from core.ports import LEASE_MS, Claim, Node

SOON_S = 2 * BEAT_S
HAND_OVER_S = LEASE_MS / 1_000 + SOON_S
PATIENCE_S = 1.0
TICK_S = 0.02

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0
        selector: Any = self._selector  # type: ignore[attr-defined]
        really = selector.select

        def select(timeout: float | None = None) -> Any:
            self.now_s += timeout or 0.0
            return really(0)

        selector.select = select

    def time(self) -> float:
        """Seconds."""
        return self.now_s


def virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run it in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def now_s() -> float:
    """Virtual seconds."""
    return asyncio.get_running_loop().time()


class Wire:
    """A node's way to the store, with all that can happen to a statement: late, lost, or effective after its caller gave up."""

    def __init__(self, inner: MemoryLeaseStore, chance: random.Random) -> None:
        self._inner = inner
        self._chance = chance
        self.asked: Counter[str] = Counter()
        self.slow_s = 0.0
        self.cut: Collection[str] = ()  # never arrive
        self.deaf: Collection[str] = ()  # take effect, and nobody hears of it
        self.freeze_at: Collection[str] = ()  # the process is stopped before it reads the answer
        self.running = asyncio.Event()
        self.running.set()

    async def join(self, node_id: str, address: str) -> None:
        """See ``LeaseStore``."""
        await self._ask("join", lambda: self._inner.join(node_id, address))

    async def beat(self, node_id: str, report: Mapping[str, Any]) -> list[Node] | None:
        """See ``LeaseStore``."""
        return await self._ask("beat", lambda: self._inner.beat(node_id, report))

    async def claim(self, node_id: str, enterprises: Mapping[str, str]) -> list[Claim]:
        """See ``LeaseStore``."""
        assert len(enterprises) <= 200
        return await self._ask("claim", lambda: self._inner.claim(node_id, enterprises))

    async def waiting(self, now_ms: int) -> list[str]:
        """See ``LeaseStore``."""
        return await self._ask("waiting", lambda: self._inner.waiting(now_ms))

    async def release(self, node_id: str, enterprises: Collection[str]) -> None:
        """See ``LeaseStore``."""
        await self._ask("release", lambda: self._inner.release(node_id, enterprises))

    async def leave(self, node_id: str) -> None:
        """See ``LeaseStore``."""
        await self._ask("leave", lambda: self._inner.leave(node_id))

    async def owners(self) -> dict[str, str]:
        """See ``LeaseStore``."""
        return await self._ask("owners", self._inner.owners)

    async def _ask(self, what: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self.asked[what] += 1
        deadline = now_s() + PATIENCE_S
        arrives, answered = self._delay(), self._delay()
        if what in self.cut:
            await asyncio.sleep(PATIENCE_S)
            await self.running.wait()
            raise StoreUnavailable("cut")
        task = asyncio.ensure_future(self._arrive(arrives, ask))
        await asyncio.wait((task,), timeout=PATIENCE_S)
        if what in self.freeze_at:
            self.freeze_at = ()
            self.running.clear()
        await self.running.wait()
        await asyncio.sleep(answered)
        await self.running.wait()
        # An answer that came while the process was stopped may be read all the same, however late that is.
        if not task.done() or what in self.deaf or (now_s() > deadline and self._chance.random() < 0.5):
            raise StoreUnavailable("no answer in time")
        return task.result()

    async def _arrive(self, delay_s: float, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        await asyncio.sleep(delay_s)
        return await ask()

    def _delay(self) -> float:
        return self._chance.random() * self.slow_s


@dataclass(eq=False)
class Instance:
    """One instance: its clock shows something else than the others'."""

    world: World
    wire: Wire
    offset_s: float
    ownership: Ownership = field(init=False)
    task: asyncio.Task[None] = field(init=False)
    busy: set[str] = field(default_factory=set)
    claimed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    dead: bool = False
    away: bool = False
    """Nothing of MoySklad answers it."""

    def __post_init__(self) -> None:
        self.ownership = Ownership(
            leases=self.wire,
            address="",
            account_key=self.world.account,
            busy=self.busy.__contains__,
            now_ms=lambda: 1_000_000,
            clock=lambda: now_s() + self.offset_s,
            new_id=self.world.new_id,
            away=lambda: self.away,
            on_claimed=self._claimed,
            on_lost=self.lost.append,
        )
        self.task = asyncio.ensure_future(self.ownership.run())

    def _claimed(self, enterprise: str) -> None:
        self.claimed.append(enterprise)
        self.world.claimed(self, enterprise)

    def owned(self) -> set[str]:
        """What it may act for at this moment."""
        return set() if self.dead else {name for name in self.world.accounts if self.ownership.owns(name)}

    def kill(self) -> None:
        """SIGKILL."""
        self.dead = True
        self.task.cancel()

    async def leave(self, patience_s: float = 5.0) -> None:
        """An orderly end."""
        await self.ownership.leave(patience_s)
        self.kill()


class World:
    """The store, the instances, and a watcher that fails when two may act for one enterprise or one account."""

    def __init__(self, accounts: Mapping[str, str], seed: int = 0) -> None:
        self.chance = random.Random(seed)
        self.accounts = dict(accounts)
        self.due: set[str] = set()
        self.store = MemoryLeaseStore(lambda: int(now_s() * 1_000) + 77_777, lambda _: self.due)
        self.instances: list[Instance] = []
        self._ids = 0
        self._acted: dict[tuple[str, Instance], float] = {}
        self._found: list[str] = []
        self._account_errors: dict[str, Exception] = {}

    def new_id(self) -> str:
        """An id that was never used."""
        self._ids += 1
        return f"node{self._ids}"

    async def account(self, enterprise: str) -> str:
        """The account of an enterprise."""
        await asyncio.sleep(0)
        if (error := self._account_errors.get(enterprise)) is not None:
            raise error
        return self.accounts[enterprise]

    def unreadable(self, enterprise: str, error: Exception) -> None:
        """From now on its account cannot be told, for that reason."""
        self._account_errors[enterprise] = error

    def start(self) -> Instance:
        """One instance more."""
        instance = Instance(world=self, wire=Wire(self.store, self.chance), offset_s=self.chance.random() * 1_000)
        self.instances.append(instance)
        return instance

    async def started(self, count: int) -> list[Instance]:
        """So many, each long enough ago to be trusted."""
        instances = [self.start() for _ in range(count)]
        await self.pass_s(SETTLED_S + SOON_S)
        return instances

    def living(self) -> list[Instance]:
        """Those that were not killed."""
        return [instance for instance in self.instances if not instance.dead]

    def owner(self, enterprise: str) -> Instance | None:
        """Whose it is at this moment."""
        return next((each for each in self.living() if enterprise in each.owned()), None)

    async def pass_s(self, seconds: float) -> None:
        """Let time pass, and watch."""
        end = now_s() + seconds
        while now_s() < end:
            self.watch()
            await asyncio.sleep(min(TICK_S, max(0.0, end - now_s())))
        self.watch()

    async def until(self, true: Callable[[], bool], within_s: float) -> float:
        """How long it took until something came about; fails when it takes longer."""
        start = now_s()
        while not true():
            assert now_s() - start <= within_s, f"not within {within_s} s"
            await self.pass_s(TICK_S)
        return now_s() - start

    def watch(self) -> None:
        """Nobody shares anything with anybody, and what was said at each claim was true."""
        assert not self._found, self._found[0]
        for instance in self.living():
            if instance.task.done():
                instance.task.result()
        enterprises: Counter[str] = Counter()
        accounts: Counter[str] = Counter()
        for instance in self.living():
            owned = instance.owned()
            enterprises.update(owned)
            accounts.update({self.accounts[name] for name in owned})
            for name in owned:
                self._acted[self.accounts[name], instance] = now_s()
        assert all(count == 1 for count in enterprises.values()), f"two own one: {enterprises}"
        assert all(count == 1 for count in accounts.values()), f"two own enterprises of one account: {accounts}"

    def claimed(self, instance: Instance, enterprise: str) -> None:
        """What is said of the quiet before must be true of everybody else."""
        account = self.accounts[enterprise]
        others = [at for (name, who), at in self._acted.items() if name == account and who is not instance]
        quiet_ms = instance.ownership.quiet_ms(enterprise)
        if others and (quiet_ms is None or quiet_ms > (now_s() - max(others) + TICK_S) * 1_000):
            self._found.append(f"{enterprise} was not quiet for {quiet_ms} ms")

    async def end(self) -> None:
        """Stop everything."""
        self.watch()
        for instance in self.living():
            instance.kill()
        await asyncio.gather(*(instance.task for instance in self.instances), return_exceptions=True)


def enterprises(count: int) -> dict[str, str]:
    """So many, each with an account of its own."""
    return {f"{number:04}": f"account of {number:04}" for number in range(count)}
