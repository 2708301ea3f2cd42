"""Several instances on one lease store, in virtual time: who owns what, and how soon it changes hands."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest
import structlog

from adapters.membership import BEAT_S, SETTLED_S, boottime
from adapters.ownership import AHEAD_MS, HURRY_S, KEPT_S, LEAST_LOOK_S, LOOK_S, NOBODY_S, SETTLE_S, preferred
from core.errors import StoreUnavailable
from core.ports import SELF_MS, Claim
from tests.instances import HAND_OVER_S, PATIENCE_S, SOON_S, TICK_S, Instance, World, enterprises, virtually

SELF_S = SELF_MS / 1_000


async def test_the_clock_is_that_of_the_machine_asleep_or_awake() -> None:
    assert boottime() <= boottime()


def test_alone_a_fresh_signal_waits_for_nothing() -> None:
    async def run() -> None:
        world = World(enterprises(1_000))
        one = world.start()
        await world.pass_s(0.3)  # in the middle between two beats
        assert one.ownership.alone
        one.ownership.request("0000")
        assert not one.ownership.owns("0000")
        for _ in range(20):
            await asyncio.sleep(0)

        assert one.ownership.owns("0000")
        assert one.ownership.quiet_ms("0000") is None
        assert (one.claimed, list(one.ownership.owned())) == (["0000"], ["0000"])
        before = one.wire.asked["claim"]
        for name in world.accounts:
            one.ownership.request(name)
        await world.pass_s(TICK_S)
        assert len(one.owned()) == 1_000
        assert one.wire.asked["claim"] - before == 5, "many together"
        one.wire.asked.clear()
        for name in world.accounts:
            one.ownership.request(name)
        await world.pass_s(10.0)
        assert one.wire.asked["claim"] == one.wire.asked["release"] == one.wire.asked["owners"] == 0
        assert one.wire.asked["beat"] <= 10 / BEAT_S + 1
        assert one.wire.asked["waiting"] <= 10 / LOOK_S + 1
        await world.end()

    virtually(run())


def test_what_an_earlier_process_left_due_is_found_at_the_start() -> None:
    async def run() -> None:
        world = World(enterprises(1_000))
        world.due = set(world.accounts)
        one = world.start()
        await world.pass_s(TICK_S)

        assert len(one.owned()) == 1_000
        assert AHEAD_MS > LOOK_S * 1_000, "work is taken before it is due"
        await world.end()

    virtually(run())


def test_while_the_database_is_away_belief_ends_by_itself_and_resumes() -> None:
    async def run() -> None:
        world = World(enterprises(3))
        (one,) = await world.started(1)
        one.ownership.request("0001")
        await world.pass_s(SOON_S)
        one.wire.cut = ("beat", "claim", "waiting", "owners", "release")

        took = await world.until(lambda: not one.ownership.owns("0001"), SELF_S + TICK_S)
        assert took > SELF_S - BEAT_S - TICK_S
        assert list(one.ownership.owned()) == []
        one.ownership.request("0002")
        await world.pass_s(0.5)
        one.wire.cut = ()
        await world.until(lambda: one.ownership.owns("0001") and one.ownership.owns("0002"), PATIENCE_S + SOON_S)
        assert one.lost == [], "nobody else came: it is still what it was"

        one.wire.cut = ("beat",)
        with structlog.testing.capture_logs() as said:
            await world.pass_s(60.0)
            one.wire.cut = ()
            before = one.ownership.node_id
            await world.pass_s(2 * BEAT_S)
        told = {each["event"]: each for each in said if each["event"].startswith("database_")}
        assert [each["event"] for each in said if each["event"] in told] == ["database_away", "database_back"], "each once"
        assert 60.0 - 2 * BEAT_S < told["database_back"]["away_s"] < 60.0 + 2 * BEAT_S
        world.due = {"0001"}
        await world.until(lambda: one.ownership.owns("0001"), PATIENCE_S + SOON_S)
        assert one.lost == ["0001", "0002"], "it was counted as gone, and began anew"
        assert one.ownership.node_id not in ("", before)
        await world.end()

    virtually(run())


@pytest.mark.parametrize(
    ("end", "within_s"), [("killed here", SOON_S), ("killed elsewhere", HAND_OVER_S), ("frozen", HAND_OVER_S), ("left", SOON_S)]
)
def test_what_an_instance_leaves_behind_is_soon_another_s(end: str, within_s: float) -> None:
    async def run() -> None:
        world = World(enterprises(40))
        world.due = set(world.accounts)
        instances = await world.started(3)
        gone = instances[0]
        mine = gone.owned()
        assert mine
        match end:
            case "killed here":
                gone.kill()
                world.store.bury(gone.ownership.node_id)  # what a beat of a neighbour finds out
            case "killed elsewhere":
                gone.kill()
            case "frozen":
                gone.wire.running.clear()
            case _:
                await gone.leave()

        await world.until(lambda: all(world.owner(name) not in (None, gone) for name in mine), within_s)

        gone.wire.running.set()
        await world.pass_s(30.0)
        assert len({world.owner(name) for name in world.accounts}) == (3 if end == "frozen" else 2)
        await world.end()

    virtually(run())


@pytest.mark.slow
def test_a_newcomer_gets_its_share_and_nothing_else_moves() -> None:
    async def run() -> None:
        world = World(enterprises(300))
        world.due = set(world.accounts)
        await world.started(2)
        before = {name: world.owner(name) for name in world.accounts}
        assert all(110 <= count <= 190 for count in Counter(before.values()).values())

        third = world.start()
        await world.pass_s(2.0)
        assert third.owned() == set(), "not before it has been there for a while"
        await world.pass_s(15.0)

        after = {name: world.owner(name) for name in world.accounts}
        assert None not in after.values()
        assert all(70 <= count <= 130 for count in Counter(after.values()).values())
        assert {owner for name, owner in after.items() if owner is not before[name]} == {third}
        quiet = {name: third.ownership.quiet_ms(name) for name in third.owned()}
        assert None not in quiet.values()
        moves = sum(len(instance.lost) for instance in world.instances)
        assert moves == len(third.owned())
        await world.pass_s(60.0)
        assert {name: world.owner(name) for name in world.accounts} == after
        await third.leave()
        await world.pass_s(SOON_S)
        assert {name: world.owner(name) for name in world.accounts} == before
        await world.end()

    virtually(run())


def test_what_is_under_way_is_not_given_away() -> None:
    async def run() -> None:
        shared = next(name for name in map(str, range(99)) if preferred(name, ["node1", "node2"]) == "node2")
        names = {f"{number:04}": shared if number < 3 else f"account {number}" for number in range(60)}
        world = World(names)
        world.due = set(names) - {"0002"}
        (one,) = await world.started(1)
        one.busy |= {"0001", *list(names)[30:]}
        two = world.start()
        two_should = {name for name, account in names.items() if preferred(account, ["node1", "node2"]) == "node2"}
        await world.pass_s(20.0)

        assert two.owned() == {name for name in two_should if name not in one.busy and names[name] != shared}
        world.due.add("0002")
        await world.until(lambda: {"0000", "0001", "0002"} <= one.owned(), LOOK_S + SOON_S)
        one.busy.clear()
        await world.pass_s(LOOK_S + SOON_S)
        assert two.owned() == two_should
        await world.end()

    virtually(run())


async def shared_by_two(names: Mapping[str, str]) -> tuple[World, Instance, Instance, dict[str, Instance | None]]:
    """Two instances that have been there for a while, all with work, and whose is what."""
    world = World(names)
    world.due = set(names)
    one, two = await world.started(2)
    await world.pass_s(LOOK_S + SOON_S)
    before = {name: world.owner(name) for name in names}
    assert {one, two} == set(before.values())
    return world, one, two, before


def test_whoever_does_not_reach_moysklad_hands_over_to_those_who_do() -> None:
    async def run() -> None:
        names = enterprises(60)
        world, one, two, before = await shared_by_two(names)
        one.away = True
        one.busy.add(next(name for name, owner in before.items() if owner is one))
        await world.pass_s(SOON_S + LOOK_S + SOON_S)
        assert one.owned() == one.busy, "what is under way is not torn off"
        one.busy.clear()
        await world.pass_s(HURRY_S + LOOK_S + SOON_S)
        assert two.owned() == set(names)
        one.away = False
        await world.pass_s(SETTLED_S)
        assert two.owned() == set(names), "not at once: it may be gone again"
        await world.pass_s(SOON_S + LOOK_S + SOON_S)
        assert {name: world.owner(name) for name in names} == before
        await world.end()

    virtually(run())


def test_when_nobody_reaches_moysklad_nothing_moves() -> None:
    async def run() -> None:
        names = enterprises(60)
        world, one, two, before = await shared_by_two(names)
        one.away = two.away = True
        await world.pass_s(30.0)
        assert {name: world.owner(name) for name in names} == before
        three = world.start()
        three.away = True
        await world.pass_s(1.0)
        two.kill()
        await world.until(lambda: all(world.owner(name) for name in names), HAND_OVER_S + LOOK_S + NOBODY_S + SOON_S)
        await world.end()

    virtually(run())


def test_enterprises_of_one_account_are_one_instance_s() -> None:
    async def run() -> None:
        world = World({f"{number:04}": f"account {number // 4}" for number in range(80)})
        world.due = {name for name in world.accounts if name.endswith(("0", "4", "8"))}
        await world.started(3)  # watched all the time
        for name in world.accounts:
            for instance in world.instances:
                instance.ownership.request(name)
        await world.pass_s(SOON_S)

        assert all(world.owner(name) is not None for name in world.accounts)
        assert len({world.owner(name) for name in world.accounts}) == 3
        await world.end()

    virtually(run())


def test_when_two_turn_out_to_share_an_account_they_come_together() -> None:
    async def run() -> None:
        world = World(enterprises(12))
        world.due = set(world.accounts)
        instances = await world.started(2)
        a, b = (sorted(instance.owned())[0] for instance in instances)
        world.accounts[a] = world.accounts[b] = "one key for both"
        await asyncio.sleep(LOOK_S + 4 * BEAT_S)  # unwatched: for so long it may be two

        assert world.owner(a) is world.owner(b) is not None
        await world.pass_s(10.0)
        await world.end()

    virtually(run())


def test_work_that_the_preferred_one_does_not_take_is_taken_by_another() -> None:
    async def run() -> None:
        world = World(enterprises(20))
        one, two = await world.started(2)
        two.wire.cut = ("claim",)
        world.due = set(world.accounts)
        mine = {name for name, account in world.accounts.items() if preferred(account, ["node1", "node2"]) == "node1"}

        await world.pass_s(LOOK_S + TICK_S)
        assert one.owned() == mine
        await world.until(lambda: one.owned() == set(world.accounts), NOBODY_S + LOOK_S)
        two.wire.cut = ()
        await world.pass_s(KEPT_S / 2)
        assert one.owned() == set(world.accounts), "and stays there for a while"
        await world.pass_s(KEPT_S)
        assert one.owned() == mine
        await world.end()

    virtually(run())


def test_signals_of_another_s_enterprise_ask_for_nothing() -> None:
    async def run() -> None:
        world = World(enterprises(2))
        one, two = await world.started(2)
        for name in world.accounts:
            two.ownership.request(name)
            one.ownership.request(name)
        await world.pass_s(SOON_S)
        one.wire.asked.clear()
        for _ in range(1_000):
            for name in world.accounts:
                one.ownership.request(name)
            await world.pass_s(0.002)

        assert one.wire.asked["claim"] == 0
        await world.end()

    virtually(run())


def test_a_notice_makes_the_preferred_one_look_at_once_but_not_a_hundred_times() -> None:
    async def run() -> None:
        world = World(enterprises(20))
        one, two = await world.started(2)
        name = next(each for each, account in world.accounts.items() if preferred(account, ["node1", "node2"]) == "node2")
        await world.until(lambda: two.wire.asked["waiting"] > 3, 10.0)  # it has just looked
        world.due.add(name)
        one.ownership.request(name)
        two.ownership.look()
        await world.until(lambda: two.ownership.owns(name), LEAST_LOOK_S + TICK_S)

        two.wire.asked.clear()
        for _ in range(500):
            two.ownership.look()
            await world.pass_s(0.01)
        assert 5 / LEAST_LOOK_S * 0.8 <= two.wire.asked["waiting"] <= 5 / LEAST_LOOK_S + 1
        two.wire.asked.clear()
        await world.pass_s(10.0)
        assert two.wire.asked["waiting"] <= 10 / LOOK_S + 1
        await world.end()

    virtually(run())


@pytest.mark.parametrize("what", ["claim", "release"])
def test_an_answer_that_never_came_leaves_nothing_with_nobody(what: str) -> None:
    async def run() -> None:
        world = World(enterprises(30))
        world.due = set(world.accounts)
        one = world.start()
        if what == "release":
            await world.pass_s(TICK_S)
            world.start()
        one.wire.deaf = (what,)
        lonely: set[str] = set()
        while not lonely:
            await world.pass_s(TICK_S)
            if one.wire.asked[what]:
                owners = await world.store.owners()
                lonely = {name for name in world.accounts if owners.get(name) in (None, one.ownership.node_id)} - one.owned()
        one.wire.deaf = ()

        await world.until(lambda: all(world.owner(name) is not None for name in lonely), PATIENCE_S + LOOK_S + SOON_S)
        for name, node_id in (await world.store.owners()).items():
            owner = world.owner(name)
            assert owner is not None
            assert owner.ownership.node_id == node_id
        await world.end()

    virtually(run())


def test_a_statement_that_takes_effect_long_after_it_was_given_up_is_noticed() -> None:
    async def run() -> None:
        world = World(enterprises(3))
        (one,) = await world.started(1)
        await world.store.claim(one.ownership.node_id, world.accounts)  # what one asked for an eternity ago
        world.due = set(world.accounts)
        assert one.owned() == set()

        await world.until(lambda: one.owned() == set(world.accounts), SETTLE_S + LOOK_S + SOON_S)
        await world.end()

    virtually(run())


def test_whoever_does_not_know_whether_it_joined_is_no_neighbour_of_its_own() -> None:
    async def run() -> None:
        world = World(enterprises(1))
        one = world.start()
        one.wire.deaf = ("join",)
        await world.pass_s(TICK_S)
        one.wire.deaf = ()

        await world.pass_s(SOON_S)
        assert one.ownership.alone
        assert (one.ownership.node_id, len(one.ownership.nodes())) == ("node2", 1)
        await world.end()

    virtually(run())


@pytest.mark.parametrize(
    "error",
    [StoreUnavailable("the settings cannot be read now"), TypeError("Recursion limit reached")],
    ids=["an outage", "a damaged row"],
)
def test_one_whose_account_cannot_be_told_holds_up_nobody(error: Exception) -> None:
    async def run() -> None:
        world = World(enterprises(10))
        world.unreadable("0003", error)
        one = world.start()
        for name in world.accounts:
            one.ownership.request(name)
        for wait_s in (TICK_S, SOON_S):
            await world.pass_s(wait_s)
            assert one.owned() == set(world.accounts) - {"0003"}
        await world.end()

    virtually(run())


def test_a_database_that_refuses_at_once_is_not_asked_without_end() -> None:
    async def run() -> None:
        world = World(enterprises(2))
        _, two = await world.started(2)
        name = next(each for each, account in world.accounts.items() if preferred(account, ["node1", "node2"]) == "node2")
        asked = 0

        async def refusing(node_id: str, enterprises: Mapping[str, str]) -> list[Claim]:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.001)
            raise StoreUnavailable("nobody listens there")

        two.wire.claim = refusing  # type: ignore[method-assign]
        two.ownership.request(name)
        two.ownership.look()
        await world.pass_s(2.0)
        assert 1 <= asked <= 2.0 / LEAST_LOOK_S + 4
        await world.end()

    virtually(run())


def test_leaving_waits_for_what_is_under_way_but_not_for_ever() -> None:
    async def run() -> None:
        world = World(enterprises(10))
        world.due = set(world.accounts)
        one, two = await world.started(2)
        kept, others = sorted(one.owned())[0], one.owned() - {sorted(one.owned())[0]}
        one.busy.add(kept)
        leaving = asyncio.ensure_future(one.ownership.leave(5.0))
        await world.until(lambda: others <= two.owned(), LOOK_S + SOON_S)
        assert one.owned() == {kept}
        one.ownership.request("0000")
        await world.pass_s(5.0 - LOOK_S - SOON_S - TICK_S)
        await world.until(leaving.done, LOOK_S + SOON_S)
        assert one.owned() == set()
        await world.until(lambda: two.owned() == set(world.accounts), LOOK_S + SOON_S)
        await world.pass_s(10.0)
        assert (one.ownership.node_id, one.owned()) == ("", set()), "it does not come back"
        await world.end()

    virtually(run())
