"""Which instance holds which PBX: what every implementation of ``adapters.asterisk.duty.Claims`` keeps to."""

from __future__ import annotations

import asyncio
from typing import Protocol

from adapters.asterisk.duty import Claims


class Nodes(Protocol):
    """The instances that live, under a test's control."""

    async def live(self, node_id: str) -> None:
        """From now on it lives."""
        ...

    async def die(self, node_id: str) -> None:
        """From now on it does not."""
        ...


class ClaimsContract:
    """Subclasses provide ``claims`` and the ``nodes`` they know."""

    async def test_the_first_gets_it_and_keeps_it(self, claims: Claims, nodes: Nodes) -> None:
        await nodes.live("a")
        await nodes.live("b")
        assert sorted(await claims.claim("a", ["one", "two"])) == ["one", "two"]
        assert await claims.claim("b", ["one", "two", "three"]) == ["three"]
        assert sorted(await claims.claim("a", ["one", "two", "three"])) == ["one", "two"]

    async def test_only_what_is_asked_for_is_told(self, claims: Claims, nodes: Nodes) -> None:
        await nodes.live("a")
        await claims.claim("a", ["one", "two"])
        assert await claims.claim("a", ["two"]) == ["two"]
        assert await claims.claim("a", []) == []

    async def test_what_a_dead_one_held_is_free(self, claims: Claims, nodes: Nodes) -> None:
        await nodes.live("a")
        await nodes.live("b")
        await claims.claim("a", ["one"])
        await nodes.die("a")
        assert await claims.claim("a", ["one"]) == [], "it is counted as gone, and holds nothing"
        assert await claims.claim("b", ["one"]) == ["one"]
        await nodes.live("a2")
        assert await claims.claim("a2", ["one"]) == []

    async def test_one_that_nobody_knows_gets_nothing(self, claims: Claims, nodes: Nodes) -> None:
        assert await claims.claim("nobody", ["one"]) == []

    async def test_what_is_given_back_is_free(self, claims: Claims, nodes: Nodes) -> None:
        await nodes.live("a")
        await nodes.live("b")
        await claims.claim("a", ["one", "two"])
        await claims.release("a")
        assert sorted(await claims.claim("b", ["one", "two"])) == ["one", "two"]

    async def test_it_is_told_for_how_long_the_last_to_take_it_has_had_it(self, claims: Claims, nodes: Nodes) -> None:
        await nodes.live("a")
        await nodes.live("b")
        await claims.claim("a", ["one", "two"])
        await asyncio.sleep(0.1)
        await nodes.die("a")
        await claims.claim("b", ["two"])
        held_for_ms = await claims.held_for_ms(["one", "two", "nobody's"])
        assert set(held_for_ms) == {"one", "two"}
        assert 0 <= held_for_ms["two"] <= held_for_ms["one"] - 100

    async def test_of_many_at_once_one_gets_it(self, claims: Claims, nodes: Nodes) -> None:
        names = [f"n{number}" for number in range(8)]
        for name in names:
            await nodes.live(name)
        got = await asyncio.gather(*(claims.claim(name, ["one", "two"]) for name in names))
        assert sorted(each for found in got for each in found) == ["one", "two"]
