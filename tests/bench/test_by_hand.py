"""Time that is moved by hand: every deadline at its own moment, and an end to what never comes to rest."""

from __future__ import annotations

import pytest

from bench import by_hand
from tests.adapters.reactor_rig import ReactorRig, reactor_rig
from tests.scenario import ms

RINGS_FOR_EVER = """
    0.0   A  start   +375290000001
    0.2   A  dial    101 102
"""


async def ringing() -> tuple[ReactorRig, int]:
    """A call of which nothing more is heard, and when it wants attention next."""
    at = reactor_rig()
    await at.hear_and_attend("A", RINGS_FOR_EVER)
    due_ms = await at.store.next_due_ms()
    assert due_ms is not None
    return at, due_ms


async def test_every_deadline_on_the_way_is_met_at_its_own_time() -> None:
    at, due_ms = await ringing()
    met: list[int] = []

    async def settle() -> None:
        met.append(at.now_ms)
        await at.reactor.idle()

    await by_hand.let_pass(at, due_ms + 60_000, at.store, at.reactor, settle)
    assert met[0] == due_ms, "not later, although a minute more passed at once"
    assert at.now_ms == due_ms + 60_000
    await by_hand.let_pass(at, ms(0), at.store, at.reactor, settle)
    assert at.now_ms == due_ms + 60_000, "never back"


async def test_what_never_comes_to_rest_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    at, due_ms = await ringing()
    monkeypatch.setattr(by_hand, "MOST_ROUNDS", 3)

    async def nothing_is_done() -> None:
        pass

    with pytest.raises(RuntimeError, match="never come to rest"):
        await by_hand.let_pass(at, due_ms + 86_400_000, at.store, at.reactor, nothing_is_done)
