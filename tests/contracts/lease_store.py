"""What every lease store keeps to: one class, run by each implementation (``tests/adapters/test_lease_stores.py``)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from core.ports import LEASE_MS, SELF_MS, Claim, EventStore, LeaseStore
from tests.contracts.event_store import CALL, SAME_NAME_ELSEWHERE, append

TOLERANCE_MS = 20_000
"""A real database's clock goes on during a test, on a busy machine for long: figures are between what is right and this more."""

Passing = Callable[[int], Awaitable[None]]


def names(claims: list[Claim]) -> set[str]:
    """Whose they are, however quiet."""
    return {claim.enterprise for claim in claims}


async def quiet_ms(leases: LeaseStore, node_id: str, enterprise: str, account: str = "") -> int | None:
    """Claim one enterprise and say how quiet it was; fails if it was not to be had."""
    (claim,) = await leases.claim(node_id, {enterprise: account or enterprise})
    return claim.quiet_ms


class LeaseStoreContract:
    """Subclasses provide ``leases`` (fresh), the event ``store`` beside it, and ``passing``: let so many ms pass for it."""

    async def test_whoever_joined_lives_and_says_so(self, leases: LeaseStore) -> None:
        await leases.join("a", "http://127.0.0.1:8023")
        await leases.join("b", "")
        await leases.beat("b", {"calls": 3})

        nodes = await leases.beat("a", {"версия": [1, None]})

        assert nodes is not None
        assert {(node.id, node.address) for node in nodes} == {("a", "http://127.0.0.1:8023"), ("b", "")}
        assert {node.id: node.report for node in nodes} == {"a": {"версия": [1, None]}, "b": {"calls": 3}}
        assert all(node.started_ms > 1_600_000_000_000 for node in nodes)

    async def test_whoever_never_joined_is_gone(self, leases: LeaseStore) -> None:
        assert await leases.beat("nobody", {}) is None
        assert await leases.claim("nobody", {"0367": "x"}) == []
        await leases.release("nobody", ["0367"])
        await leases.leave("nobody")
        assert await leases.owners() == {}

    async def test_beats_keep_a_lease(self, leases: LeaseStore, passing: Passing) -> None:
        await leases.join("a", "")
        await leases.claim("a", {"0367": "x"})
        for _ in range(2 * LEASE_MS // 1_000):
            await passing(1_000)
            assert await leases.beat("a", {}) is not None

        assert await leases.owners() == {"0367": "a"}

    async def test_whoever_is_not_heard_of_is_gone_for_good(self, leases: LeaseStore, passing: Passing) -> None:
        await leases.join("a", "")
        await leases.join("b", "")
        await leases.claim("a", {"0367": "x"})
        await passing(LEASE_MS - 2_000)
        await leases.beat("b", {})
        await passing(2_001)

        nodes = await leases.beat("b", {})
        assert nodes is not None
        assert [node.id for node in nodes] == ["b"]
        assert await leases.owners() == {}
        assert await leases.beat("a", {}) is None
        assert await leases.claim("a", {"0367": "x"}) == []
        assert names(await leases.claim("b", {"0367": "x"})) == {"0367"}
        assert await leases.beat("a", {}) is None

    async def test_an_enterprise_is_one_instance_s(self, leases: LeaseStore) -> None:
        await leases.join("a", "")
        await leases.join("b", "")

        assert names(await leases.claim("a", {"0367": "x", "0368": "y"})) == {"0367", "0368"}
        assert names(await leases.claim("b", {"0367": "x", "0369": "z"})) == {"0369"}
        assert names(await leases.claim("a", {"0367": "x", "0369": "z"})) == {"0367"}
        assert await leases.owners() == {"0367": "a", "0368": "a", "0369": "b"}
        assert await leases.claim("a", {}) == []

    async def test_of_many_who_claim_at_once_one_gets_each(self, leases: LeaseStore) -> None:
        nodes = [f"node{number}" for number in range(6)]
        wanted = {f"{number:04}": f"account{number}" for number in range(40)}
        for node in nodes:
            await leases.join(node, "")

        answers = await asyncio.gather(*(leases.claim(node, wanted) for node in nodes for _ in range(3)))

        owners = await leases.owners()
        assert set(owners) == set(wanted)
        for node, claims in zip([node for node in nodes for _ in range(3)], answers, strict=True):
            assert names(claims) == {name for name, owner in owners.items() if owner == node}

    async def test_an_account_is_one_instance_s(self, leases: LeaseStore) -> None:
        """Two enterprises with one MoySklad: the second one is not to be had elsewhere, until the first is given back."""
        await leases.join("a", "")
        await leases.join("b", "")
        await leases.claim("a", {"0367": "shared"})

        assert names(await leases.claim("b", {"0368": "shared", "0369": "own"})) == {"0369"}
        assert names(await leases.claim("a", {"0368": "shared"})) == {"0368"}
        await leases.release("a", ["0367"])
        assert await leases.claim("b", {"0367": "shared"}) == []
        await leases.release("a", ["0368"])
        assert names(await leases.claim("b", {"0367": "shared", "0368": "shared"})) == {"0367", "0368"}

    async def test_of_many_who_claim_one_account_one_gets_it(self, leases: LeaseStore) -> None:
        nodes = [f"node{number}" for number in range(6)]
        for node in nodes:
            await leases.join(node, "")

        await asyncio.gather(*(leases.claim(node, {f"{number:04}": "shared"}) for number, node in enumerate(nodes)))

        assert len(set((await leases.owners()).values())) == 1

    async def test_an_account_may_change_while_it_is_held(self, leases: LeaseStore) -> None:
        await leases.join("a", "")
        await leases.join("b", "")
        await leases.claim("a", {"0367": "old", "0368": "other"})
        await leases.claim("b", {"0369": "new"})

        assert names(await leases.claim("a", {"0367": "new"})) == {"0367"}, "what is held stays held"
        assert names(await leases.claim("b", {"0370": "old"})) == {"0370"}
        assert await leases.claim("b", {"0371": "new"}) == [], "now two have it: neither gets more"

    async def test_what_nobody_had_is_quiet_for_ever(self, leases: LeaseStore, passing: Passing) -> None:
        await leases.join("a", "")

        assert await quiet_ms(leases, "a", "0367") is None
        await passing(1_000)
        assert await quiet_ms(leases, "a", "0367") is None

    async def test_what_was_given_back_is_quiet_since_then(self, leases: LeaseStore, passing: Passing) -> None:
        await leases.join("a", "")
        await leases.join("b", "")
        await leases.claim("a", {"0367": "x", "0368": "y"})
        await passing(1_000)
        await leases.release("b", ["0367"])
        assert await leases.owners() == {"0367": "a", "0368": "a"}, "not the other's to give"

        await leases.release("a", ["0367"])
        assert await leases.owners() == {"0368": "a"}
        await passing(700)

        assert 700 <= (await quiet_ms(leases, "b", "0367", "x") or 0) < 700 + TOLERANCE_MS
        await passing(500)
        assert 1_200 <= (await quiet_ms(leases, "b", "0367", "x") or 0) < 1_200 + TOLERANCE_MS, "also of what is held already"

    async def test_quiet_is_a_matter_of_the_account(self, leases: LeaseStore, passing: Passing) -> None:
        await leases.join("a", "")
        await leases.join("b", "")
        await leases.claim("a", {"0367": "shared", "0368": "shared"})
        await leases.release("a", ["0367"])
        await passing(60_000 - LEASE_MS)
        await leases.join("c", "")
        await leases.leave("a")
        await passing(100)

        assert 100 <= (await quiet_ms(leases, "c", "0367", "shared") or 0) < 100 + TOLERANCE_MS
        assert 100 <= (await quiet_ms(leases, "c", "0369", "shared") or 0) < 100 + TOLERANCE_MS

    async def test_the_lapsed_may_have_asked_until_they_stopped_believing(self, leases: LeaseStore, passing: Passing) -> None:
        await leases.join("a", "")
        await leases.claim("a", {"0367": "x"})
        await leases.beat("a", {})
        await passing(60_000)
        await leases.join("b", "")

        assert 60_000 - SELF_MS <= (await quiet_ms(leases, "b", "0367", "x") or 0) < 60_000 - SELF_MS + TOLERANCE_MS

    async def test_whoever_leaves_gives_everything_back(self, leases: LeaseStore) -> None:
        await leases.join("a", "")
        await leases.join("b", "")
        await leases.claim("a", {"0367": "x", "0368": "y"})

        await leases.leave("a")

        assert await leases.owners() == {}
        assert await leases.beat("a", {}) is None
        assert names(await leases.claim("b", {"0367": "x"})) == {"0367"}
        assert (await quiet_ms(leases, "b", "0368", "y") or 0) < TOLERANCE_MS

    async def test_due_work_without_an_owner_waits(self, leases: LeaseStore, store: EventStore, passing: Passing) -> None:
        await leases.join("a", "")
        await store.append(append(CALL, due_ms=500))
        await store.append(append(SAME_NAME_ELSEWHERE, due_ms=900))
        assert await leases.waiting(499) == []
        assert await leases.waiting(500) == [CALL.enterprise]
        assert set(await leases.waiting(900)) == {CALL.enterprise, SAME_NAME_ELSEWHERE.enterprise}

        await leases.claim("a", {CALL.enterprise: "x"})
        assert await leases.waiting(900) == [SAME_NAME_ELSEWHERE.enterprise]
        await store.set_due(SAME_NAME_ELSEWHERE, 1, None)
        assert await leases.waiting(900) == []

        await passing(LEASE_MS + 1)
        assert await leases.waiting(900) == [CALL.enterprise]
