"""Cards: a dial is matched with the first SHOW after it, a hangup with the first HIDE; the API's own time is taken off."""

from __future__ import annotations

from typing import Any

import pytest

from bench.cards import calm, matched, play
from bench.ground import child, ground
from bench.load import external_id
from bench.sizes import TINY
from bench.stage import configure_enterprises, running

MS = 1_000_000


def load(*moments: list[int]) -> dict[str, Any]:
    told = [[nth, *times] for nth, times in enumerate(moments)]
    return {"began_ns": 0, "moments": told, "answers": {}, "per_s": 1.0, "latest_ns": 0}


def name(nth: int) -> str:
    return external_id("m", nth, 5)


def test_the_first_show_after_the_dial_and_the_first_hide_after_the_hangup() -> None:
    asked = [
        [12 * MS, name(0), ["SHOW", "SHOW"], 13 * MS],
        [30 * MS, name(0), ["STARTTIME", "HIDE"], 31 * MS],
        [47 * MS, name(0), ["HIDE_ALL", "END"], 48 * MS],
        [15 * MS, name(1), ["SHOW"], 16 * MS],
    ]
    seen = matched("m", 5, load([10 * MS, 40 * MS], [11 * MS, 0]), asked, from_s=0.0)
    assert (seen.show_ms, seen.hide_ms, seen.unseen) == ([2.0, 4.0], [7.0], 0)


def test_what_the_api_itself_took_in_between_is_not_ours() -> None:
    """A HIDE that had to wait for the answer to an earlier request: only the rest is ours."""
    asked = [[38 * MS, name(0), ["STARTTIME"], 45 * MS], [46 * MS, name(0), ["HIDE_ALL"], 47 * MS]]
    seen = matched("m", 5, load([0, 40 * MS]), asked, from_s=0.001)
    assert seen.hide_ms == [1.0]


def test_the_warming_up_does_not_count_and_a_card_that_never_came_does() -> None:
    seen = matched("m", 5, load([1 * MS, 0], [2_000 * MS, 0]), [[3 * MS, name(0), ["SHOW"], 4 * MS]], from_s=1.0)
    assert (seen.show_ms, seen.unseen) == ([], 1)


@pytest.mark.slow
async def test_a_load_leads_to_its_cards(postgres_server: str) -> None:
    async with (
        ground(lambda _: None, postgres_server) as place,
        child(place, "senders") as senders,
        child(place, "local_api") as api,
        place.database() as dsn,
    ):
        await configure_enterprises(dsn, TINY.enterprises)
        async with running(place, dsn, (await api.ask("port"))["port"]) as (made,):
            seen = await play(senders, api, [made.port], TINY, mark="m", per_s=40, seconds=1.5)
            assert await calm(dsn) < 60.0
    assert set(seen.answers) == {"200"}
    assert len(seen.show_ms) >= 3
    assert all(took > 0 for took in (*seen.show_ms, *seen.hide_ms))
