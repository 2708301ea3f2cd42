"""Which enterprises this instance attends to, and for how long it may believe so (docs/decisions/0010).

One beat keeps everything it holds. What nobody holds is taken when there is work of it, by the instance that a hash prefers,
so that enterprises spread evenly, mostly stay where they are when instances come and go, and those with one MoySklad account
stay together. Whoever holds what another should have gives it back in a moment when nothing of it is under way.

Single-threaded: ``owns`` is asked by whoever is about to act, in the same breath as it acts.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from uuid import uuid4

import structlog

from adapters.membership import BEAT_S, Membership, boottime
from core.errors import StoreUnavailable
from core.ports import Claim, LeaseStore, Node

log = structlog.get_logger("ownership")

LOOK_S: Final = 2.0
"""Between two looks for work that nobody attends to; at once when an instance came or went."""

LEAST_LOOK_S: Final = 0.25
"""The same when others say that work came up: they may say so a hundred times a second."""

AHEAD_MS: Final = 3_000
"""Work that becomes due within this time is claimed already, so that the pause between two looks makes no deadline late."""

NOBODY_S: Final = 3.0
"""After waiting this long work may be claimed by any instance: the preferred one lives, but does not attend to it."""

KEPT_S: Final = 60.0
"""An enterprise that was claimed in place of the preferred instance is kept at least this long, so that it does not go back and
forth."""

ELSEWHERE_S: Final = 0.5
"""Once a claim failed, signals of that enterprise claim nothing for this long: five hundred a second would all try."""

SETTLE_S: Final = 30.0
DOUBT_S: Final = 5.0
"""Between two comparisons of what we hold with what the database says that we hold; and for how long, after a statement got no
answer, to compare with every beat: on a slow server it may still take effect."""

BATCH: Final = 200
"""Enterprises in one claim, and given back in one go: short statements, and no stampede when an instance joins."""

RECHECKED: Final = 20
"""Enterprises checked with each beat for a new account: with a new key one may belong together with another's."""

MAX_WANTED: Final = 20_000
"""Enterprises asked for and not yet claimed; what is beyond is found by the next look, because work is durable."""

HURRY_S: Final = 0.1
"""While others reach MoySklad and this instance does not: between two looks for a moment in which nothing is under way, to give
the enterprises away."""

LEAVE_S: Final = 5.0
LEAVE_LOOK_S: Final = 0.05


def preferred(account: str, nodes: Iterable[str]) -> str:
    """The node that should hold an account's enterprises: the one with the highest hash. When a node comes or goes, only its
    own accounts move."""
    return max(nodes, key=lambda node: hashlib.blake2b(f"{node}\0{account}".encode(), digest_size=8).digest(), default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """An enterprise of ours. ``quiet_ms``: as claimed, at ``since``; ``kept_until``: not given back before (own clock)."""

    account: str
    quiet_ms: int | None
    since: float
    kept_until: float


def _nothing(_: str) -> None:
    return None


def _never() -> bool:
    return False


class Ownership:
    """One instance's part. ``owns`` may be asked at any time; ``run`` keeps it true, until cancelled."""

    def __init__(
        self,
        *,
        leases: LeaseStore,
        address: str,
        account_key: Callable[[str], Awaitable[str]],
        busy: Callable[[str], bool],
        now_ms: Callable[[], int],
        clock: Callable[[], float] = boottime,
        new_id: Callable[[], str] = lambda: uuid4().hex,
        report: Callable[[], Mapping[str, Any]] = dict,
        away: Callable[[], bool] = _never,
        on_claimed: Callable[[str], None] = _nothing,
        on_lost: Callable[[str], None] = _nothing,
    ) -> None:
        """``account_key``: names an enterprise's MoySklad account; raises StoreUnavailable when it cannot be told now.

        ``busy``: whether anything of an enterprise is under way. ``now_ms``: the clock that work is due by. ``clock``: seconds, for
        leases. ``report``: what the others are shown. ``away``: whether nothing of MoySklad answers here. ``on_claimed``: it is
        ours now, look at its work; ``on_lost``: no more.
        """
        self._leases = leases
        self._account_key = account_key
        self._busy = busy
        self._now_ms = now_ms
        self._clock = clock
        self._on_claimed = on_claimed
        self._on_lost = on_lost
        self._me = Membership(
            leases=leases,
            address=address,
            clock=clock,
            new_id=new_id,
            report=report,
            lost=self._drop_all,
            changed=self._nodes_changed,
            away=away,
        )
        self._held: dict[str, _Held] = {}
        self._wanted: dict[str, None] = {}
        self._waiting_since: dict[str, float] = {}
        self._elsewhere: dict[str, float] = {}
        self._preferred: dict[str, str] = {}
        self._recheck: Iterator[str] = iter(())
        self._chores = False
        self._look_at = float("-inf")
        self._looked_at = float("-inf")
        self._look_soon = False
        self._hurry = False
        self._settle_at = float("-inf")
        self._doubt_until = float("-inf")
        self._bell = asyncio.Event()

    def owns(self, enterprise: str) -> bool:
        """Whether this instance, and certainly no other, may act for an enterprise at this moment."""
        return enterprise in self._held and self._me.certain

    def owned(self) -> Collection[str]:
        """The enterprises that are ours; none while the lease is not certain."""
        return self._held.keys() if self._me.certain else ()

    def quiet_ms(self, enterprise: str) -> int | None:
        """For how long, at least, no other instance has asked MoySklad under its account; None: none ever did. Not ours: 0."""
        held = self._held.get(enterprise)
        if held is None:
            return 0
        return None if held.quiet_ms is None else held.quiet_ms + int((self._clock() - held.since) * 1_000)

    def request(self, enterprise: str) -> None:
        """There is work of an enterprise here: take it, if it is nobody's and preferred here. Cheap, for every signal."""
        if enterprise in self._held or self._elsewhere.get(enterprise, float("-inf")) > self._clock():
            return
        if self._me.leaving or len(self._wanted) >= MAX_WANTED:
            return
        self._wanted[enterprise] = None
        self._bell.set()

    def look(self) -> None:
        """Work came up somewhere (a notice): look soon whether it is nobody's. Cheap, for every notice."""
        self._look_at = min(self._look_at, self._looked_at + LEAST_LOOK_S)
        self._look_soon = True
        self._bell.set()

    def nodes(self) -> tuple[Node, ...]:
        """The living instances at the last beat, this one included."""
        return self._me.nodes

    def others(self) -> tuple[Node, ...]:
        """The other ones."""
        return self._me.others()

    @property
    def alone(self) -> bool:
        """Whether there is certainly an instance here, and as far as it knows no other."""
        return bool(self._me.nodes) and not self._me.others()

    @property
    def node_id(self) -> str:
        """The id of this instance now; empty: it takes no part."""
        return self._me.id

    @property
    def certain(self) -> bool:
        """Whether nobody can have taken this instance for gone yet."""
        return self._me.certain

    async def run(self) -> None:
        """Beat and deal until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beats(), name="ownership beats")
            group.create_task(self._deals(), name="ownership deals")

    async def leave(self, patience_s: float = LEAVE_S) -> None:
        """An orderly end: take nothing more, give back what is idle, and be gone when everything is, or patience ends."""
        self._me.leaving = True
        self._wanted.clear()
        deadline = self._clock() + patience_s
        try:
            while self._held and self._clock() < deadline:
                if not await self._release([name for name in self._held if not self._busy(name)]):
                    await asyncio.sleep(LEAVE_LOOK_S)
        except StoreUnavailable as error:
            log.warning("enterprises_not_given_back", reason=str(error))
        try:
            await self._me.leave()
        except StoreUnavailable as error:
            log.warning("lease_is_left_to_run_out", reason=str(error))

    async def beat(self) -> None:
        """Keep the lease; whenever that succeeds there is something to be done by ``deal``."""
        if await self._me.beat():
            self._chores = True
            self._bell.set()

    async def deal(self) -> None:
        """Take what is asked for; after a beat also settle doubts, look for what waits, and give back what is others'."""
        if not self._me.certain:
            return  # the next beat rings again
        try:
            if self._chores and self._clock() >= self._settle_at:
                await self._settle()
            if self._wanted and not self._me.leaving:
                await self._take(list(islice(self._wanted, BATCH)))
            if (self._chores or self._look_soon) and not self._me.leaving:
                await self._look()
            if self._chores and not self._me.leaving:
                self._chores = False
                await self._give_back()
                await self._recheck_accounts()
            elif self._hurry and not self._me.leaving:
                await self._give_back()
        except StoreUnavailable as error:
            self._doubt()
            self._look_at = max(self._look_at, self._clock() + LEAST_LOOK_S)  # one that refuses at once is not asked without end
            log.warning("deals_wait_for_database", reason=str(error))
        else:
            if self._wanted and not self._me.leaving:
                self._bell.set()

    async def _beats(self) -> None:
        while True:
            started = self._clock()
            await self.beat()
            await asyncio.sleep(max(0.0, BEAT_S - (self._clock() - started)))

    async def _deals(self) -> None:
        while True:
            pause_s = max(0.0, self._look_at - self._clock()) if self._look_soon and self._me.certain else None
            if self._hurry and self._me.certain:
                pause_s = HURRY_S if pause_s is None else min(pause_s, HURRY_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._bell.wait()
            self._bell.clear()
            await self.deal()

    def _nodes_changed(self) -> None:
        self._preferred.clear()
        self._elsewhere.clear()
        self._look_at = float("-inf")

    def _prefers(self, account: str) -> str:
        found = self._preferred.get(account)
        if found is None:
            found = preferred(account, self._me.fit()) or self._me.id
            self._preferred[account] = found
        return found

    async def _take(self, names: list[str], *, stale: Collection[str] = ()) -> None:
        """Claim what is preferred here, or goes with an account of ours, or is ``stale``; the rest is left to others."""
        accounts = await self._accounts(names)
        ours = {held.account for held in self._held.values()}
        wanted = {
            name: account
            for name, account in accounts.items()
            if name in stale or account in ours or self._prefers(account) == self._me.id
        }
        claims = await self._claim(wanted, stale) if wanted else []
        until = self._clock() + ELSEWHERE_S
        for name in set(names) - {claim.enterprise for claim in claims}:
            self._elsewhere[name] = until
        for remembered in (self._elsewhere, self._preferred):
            if len(remembered) > MAX_WANTED:
                remembered.clear()
        for name in names:
            self._wanted.pop(name, None)

    async def _claim(self, wanted: Mapping[str, str], stale: Collection[str]) -> list[Claim]:
        node_id = self._me.id
        claims = await self._leases.claim(node_id, wanted)
        if self._me.id != node_id or not self._me.certain:
            self._doubt()  # an answer to an instance that was stopped meanwhile: others may have come and gone
            return []
        now = self._clock()
        for claim in claims:
            name = claim.enterprise
            kept_until = now + KEPT_S if name in stale else now
            known = name in self._held
            self._held[name] = _Held(account=wanted[name], quiet_ms=claim.quiet_ms, since=now, kept_until=kept_until)
            if not known:
                self._on_claimed(name)
        return claims

    async def _look(self) -> None:
        """Find due work that nobody attends to: what an instance left behind, what was not signalled."""
        now = self._clock()
        if now < self._look_at:
            return
        self._looked_at, self._look_at, self._look_soon = now, now + LOOK_S, False
        waiting = [name for name in await self._leases.waiting(self._now_ms() + AHEAD_MS) if name not in self._held]
        self._waiting_since = {name: self._waiting_since.get(name, now) for name in waiting}
        waiting.sort(key=self._waiting_since.__getitem__)
        fit = self._me.id in self._me.fit()
        stale = {name for name, since in self._waiting_since.items() if fit and now - since >= NOBODY_S}
        for start in range(0, len(waiting), BATCH):
            if not self._me.certain or self._wanted:
                self._look_at = float("-inf")  # a fresh signal goes first; the rest is found again
                return
            await self._take(waiting[start : start + BATCH], stale=stale)

    async def _give_back(self) -> None:
        """Give back what another instance should hold. An account's enterprises go together, at a moment when all of them are
        idle."""
        self._hurry = False
        if not self.others():
            return
        now = self._clock()
        fit = self._me.id in self._me.fit()
        accounts: dict[str, list[str]] = {}
        for name, held in self._held.items():
            accounts.setdefault(held.account, []).append(name)
        leaving: list[str] = []
        for account, names in accounts.items():
            target = self._prefers(account)
            if target == self._me.id or not self._me.settled(target):
                continue
            if fit and any(self._held[name].kept_until > now for name in names):
                continue
            if any(self._busy(name) for name in names):
                self._hurry = self._hurry or not fit
                continue
            leaving += names
            if len(leaving) >= BATCH:
                break
        await self._release(leaving)

    async def _release(self, names: Collection[str]) -> int:
        """Give enterprises back. They are not ours from this moment, even if the statement fails."""
        for name in names:
            self._drop(name)
        if names:
            try:
                await self._leases.release(self._me.id, names)
            except StoreUnavailable:
                self._doubt()
                raise
        return len(names)

    def _doubt(self) -> None:
        self._settle_at, self._doubt_until = float("-inf"), self._clock() + DOUBT_S

    async def _settle(self) -> None:
        """Compare with the database. What only it counts as ours is given back: after a lost answer nobody would attend to it.

        What is about to be taken is not. But it may be left to others yet, who came meanwhile: so it is looked at once more.
        """
        now = self._clock()
        owners, node_id = await self._leases.owners(), self._me.id
        mine = {name for name, owner in owners.items() if owner == node_id}
        for name in [name for name in self._held if name not in mine]:
            self._drop(name)
        unheld = mine - self._held.keys()
        if forgotten := unheld - self._wanted.keys():
            await self._leases.release(node_id, forgotten)
        is_settled = now >= self._doubt_until and unheld == forgotten
        self._settle_at = now + SETTLE_S if is_settled else now

    async def _recheck_accounts(self) -> None:
        """Look for changed keys: enterprises that share an account from now on must be held by one instance. A lone instance
        holds them all."""
        if not self.others():
            return
        names = list(islice(self._recheck, RECHECKED))
        if not names:
            self._recheck = iter(list(self._held))
        accounts = await self._accounts(names)
        changed = {
            name: account
            for name, account in accounts.items()
            if name in self._held and self._held[name].account != account
        }
        if changed:
            await self._claim(changed, ())

    async def _accounts(self, names: list[str]) -> dict[str, str]:
        """The accounts of those enterprises whose settings can be read now; the others are left out."""
        told = await asyncio.gather(*map(self._account_key, names), return_exceptions=True)
        accounts = {}
        for name, account in zip(names, told, strict=True):
            if isinstance(account, str):
                accounts[name] = account
            elif not isinstance(account, Exception):
                raise account
            elif not isinstance(account, StoreUnavailable):  # one enterprise's trouble is not the others'
                log.error("account_cannot_be_told", enterprise=name, error=type(account).__name__, exc_info=account)
        return accounts

    def _drop(self, name: str) -> None:
        if self._held.pop(name, None) is not None:
            self._on_lost(name)

    def _drop_all(self) -> None:
        for name in list(self._held):
            self._drop(name)
