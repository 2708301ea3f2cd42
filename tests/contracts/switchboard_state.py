"""What every memory of the switchboard keeps to: one class, run by each implementation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Protocol

import pytest

from adapters.click_joiner import NearClicks
from adapters.switchboard import Changes, Near, Nearby, Overtaken, SwitchboardBatch, SwitchboardState
from core.click_joining import KnownClick
from core.errors import StoreUnavailable
from core.legs import Kind, KnownCall, Legs
from core.ports import EventStore, StreamId
from core.values import Urgency
from tests.contracts.event_store import append

ENTERPRISE = "0367"
CALL = StreamId(enterprise=ENTERPRISE, name="call/A")
OTHER = StreamId(enterprise=ENTERPRISE, name="call/B")
QUIET = StreamId(enterprise=ENTERPRISE, name="call/Q")
SLOW = StreamId(enterprise=ENTERPRISE, name="call/S")


class Instances(Protocol):
    """Instances that share one database. ``notices``: positions the others were told of, newest last."""

    store: EventStore
    notices: asyncio.Queue[int]

    def state(self) -> SwitchboardState:
        """The memory as one instance has it."""
        ...

    async def stopped_too_long(self) -> None:
        """So much time passes that an instance which stopped in the middle of a batch has lost it."""
        ...


def known(id_: str, *, number: str = "", first_ms: int = 1_000, ended_ms: int | None = None) -> KnownCall:
    """A customer's call."""
    return KnownCall(id=id_, kind=Kind.CUSTOMER, number=number, first_ms=first_ms, ended_ms=ended_ms)


def changes(
    *calls: KnownCall,
    members: tuple[tuple[str, str, bool], ...] = (),
    links: tuple[tuple[str, str] | tuple[str, str, int], ...] = (),
    heard_ms: int = 1_000,
) -> Changes:
    """Something learned."""
    told = tuple((*link, 0)[:3] for link in links)
    return Changes(calls=calls, members=members, links=told, heard_ms=heard_ms)


def near(
    *legs: str,
    bridges: tuple[str, ...] = (),
    channels: tuple[str, ...] = (),
    numbers: tuple[str, ...] = (),
    first_ms: int = 0,
    ended_ms: int = 0,
) -> Near:
    """A neighbourhood; by default no time bars a call."""
    return Near(legs=legs, bridges=bridges, channels=channels, numbers=numbers, first_ms=first_ms, ended_ms=ended_ms)


@asynccontextmanager
async def batch(state: SwitchboardState, to: int | None = None) -> AsyncIterator[SwitchboardBatch]:
    """The next batch, which must be ours; it moves one position on, or to ``to``."""
    after = await state.position()
    async with state.taken(after) as taken:
        assert taken is not None
        yield taken
        await taken.move(after + 1 if to is None else to, hasten=(), now_ms=0)


async def learned(state: SwitchboardState, what: Changes, enterprise: str = ENTERPRISE) -> None:
    """A batch that learns this."""
    async with batch(state) as taken:
        await taken.save({enterprise: what})


async def recalled(state: SwitchboardState, what: Near, enterprise: str = ENTERPRISE) -> Legs:
    """What the next batch finds."""
    async with batch(state) as taken:
        return (await taken.load({enterprise: what}))[enterprise].legs


async def recalled_at(state: SwitchboardState, position: int, what: Near, enterprise: str = ENTERPRISE) -> Nearby:
    """What is known at this position, without a move."""
    async with state.offered(position) as offered:
        return (await offered.load({enterprise: what}))[enterprise]


async def clicks(taken: SwitchboardBatch, what: NearClicks, enterprise: str = ENTERPRISE) -> dict[str, KnownClick]:
    """The clicks near that."""
    return (await taken.clicks({enterprise: what}))[enterprise]


class SwitchboardStateContract:
    """Subclasses provide fresh, empty ``instances``."""

    async def test_it_begins_at_the_beginning_and_moves(self, instances: Instances) -> None:
        one, other = instances.state(), instances.state()
        assert await one.position() == 0
        async with batch(one, to=17):
            pass
        assert (await one.position(), await other.position()) == (17, 17)

    async def test_what_was_learned_is_found_by_every_instance(self, instances: Instances) -> None:
        call = known("A", number="375290000001", ended_ms=9_000)
        await learned(instances.state(), changes(call, members=(("b1", "A", True),), links=(("bridge/b1", "A"),)))
        found = await recalled(instances.state(), near("bridge/b1", bridges=("b1",)))
        assert found == Legs(calls={"A": call}, members={"b1": {"A": True}}, links={"bridge/b1": frozenset({"A"})})

    async def test_what_is_learned_again_takes_the_old_one_s_place(self, instances: Instances) -> None:
        state = instances.state()
        await learned(state, changes(known("A"), members=(("b1", "A", False),), links=(("channel/A", ""),)))
        await learned(state, changes(known("A", ended_ms=9_000), members=(("b1", "A", True),), links=(("channel/A", "A"),)))
        found = await recalled(state, near("channel/A", channels=("A",)))
        assert found.calls == {"A": known("A", ended_ms=9_000)}
        assert found.members == {"b1": {"A": True}}
        assert found.links == {"channel/A": frozenset({"A"})}

    async def test_a_leg_that_is_nobody_s_is_known_all_the_same(self, instances: Instances) -> None:
        await learned(instances.state(), changes(links=(("channel/x", ""),)))
        assert (await recalled(instances.state(), near("channel/x", "channel/y"))).links == {"channel/x": frozenset()}

    async def test_the_neighbourhood_reaches_the_next_bridge_and_no_further(self, instances: Instances) -> None:
        chain = tuple((f"b{n}", channel, True) for n in range(1, 5) for channel in (f"c{n}", f"c{n + 1}"))
        links = tuple((f"bridge/b{n}", f"call{n}") for n in range(1, 5))
        calls = tuple(known(f"call{n}") for n in range(1, 5))
        await learned(instances.state(), changes(*calls, members=chain, links=links))
        found = await recalled(instances.state(), near("bridge/b1", bridges=("b1",)))
        assert found.members == {"b1": {"c1": True, "c2": True}, "b2": {"c2": True, "c3": True}}
        assert set(found.links) == {"bridge/b1", "bridge/b2"}
        assert set(found.calls) == {"call1", "call2"}
        assert set((await recalled(instances.state(), near(channels=("c1",)))).members) == {"b1"}

    async def test_calls_are_found_by_their_channel_their_links_and_their_number(self, instances: Instances) -> None:
        by_number, hidden = known("N", number="375290000001"), known("H")
        linked = known("L")
        await learned(instances.state(), changes(known("C"), by_number, hidden, linked, links=(("channel/x", "L"),)))
        found = await recalled(instances.state(), near("channel/x", channels=("C",), numbers=("375290000001",)))
        assert set(found.calls) == {"C", "N", "L"}

    async def test_a_number_finds_only_calls_of_that_time(self, instances: Instances) -> None:
        number = "375290000001"
        calls = [
            known("old", number=number, first_ms=99),
            known("up", number=number, first_ms=100),
            known("over", number=number, first_ms=100, ended_ms=199),
            known("just over", number=number, first_ms=100, ended_ms=200),
        ]
        await learned(instances.state(), changes(*calls))
        found = await recalled(instances.state(), near(numbers=(number,), first_ms=100, ended_ms=200))
        assert set(found.calls) == {"up", "just over"}
        by_name = await recalled(instances.state(), near(channels=("old", "over"), numbers=(number,), first_ms=100, ended_ms=200))
        assert set(by_name.calls) == {"old", "over", "up", "just over"}

    async def test_enterprises_have_nothing_to_do_with_each_other(self, instances: Instances) -> None:
        state = instances.state()
        await learned(state, changes(known("A"), members=(("b", "A", True),), links=(("bridge/b", "A", 3),)))
        async with batch(state) as taken:
            found = await taken.load({"0999": near("bridge/b", bridges=("b",), channels=("A",))})
            assert found == {"0999": Nearby(legs=Legs(), relayed={})}

    async def test_one_question_is_about_all_enterprises_of_a_batch(self, instances: Instances) -> None:
        state, number = instances.state(), "375290000001"
        what = {
            "0367": changes(known("A", number=number), members=(("b", "A", True),), links=(("bridge/b", "A", 2),)),
            "0368": changes(known("A"), known("N", number=number), members=(("b", "A", False),), links=(("bridge/b", ""),)),
            "0369": changes(known("A", first_ms=5_000)),
        }
        async with batch(state) as taken:
            await taken.save(what)
        async with batch(state) as taken:
            found = await taken.load(
                {
                    "0367": near("bridge/b", bridges=("b",)),
                    "0368": near("bridge/b", numbers=(number,)),
                    "0369": near(channels=("A",), numbers=(number,)),
                }
            )
            assert await taken.load({}) == {}
        assert found["0367"].legs.members == {"b": {"A": True}}
        assert found["0367"].relayed == {("bridge/b", "A"): 2}
        assert set(found["0367"].legs.calls) == {"A"}
        assert found["0368"] == Nearby(
            legs=Legs(calls={"N": known("N", number=number)}, links={"bridge/b": frozenset()}), relayed={("bridge/b", ""): 0}
        )
        assert found["0369"].legs == Legs(calls={"A": known("A", first_ms=5_000)})

    async def test_how_far_a_leg_was_copied_is_remembered_and_never_goes_back(self, instances: Instances) -> None:
        state = instances.state()

        async def copied() -> dict[str, int]:
            async with batch(state) as taken:
                found = (await taken.load({ENTERPRISE: near("bridge/b")}))[ENTERPRISE].relayed
                return {call: version for (_, call), version in found.items()}

        await learned(state, changes(links=(("bridge/b", "A", 0),)))
        assert await copied() == {"A": 0}
        await learned(state, changes(links=(("bridge/b", "A", 5),)))
        await learned(state, changes(links=(("bridge/b", "A", 3),)))
        assert await copied() == {"A": 5}
        await learned(state, changes(links=(("bridge/b", "A", 0), ("bridge/b", "B", 0))))
        assert await copied() == {"A": 5, "B": 0}

    async def test_a_batch_is_kept_whole_or_not_at_all(self, instances: Instances) -> None:
        state = instances.state()
        await learned(state, changes(links=(("bridge/b", "A"),)))

        async def fails() -> None:
            async with batch(state, to=9) as taken:
                links = (("bridge/b", "B"), ("bridge/b", "A", 5))
                await taken.save({ENTERPRISE: changes(known("A"), members=(("b", "A", True),), links=links)})
                await taken.move(9, hasten=(CALL,), now_ms=1)
                raise LookupError

        with pytest.raises(LookupError):
            await fails()
        assert await state.position() == 1
        assert await recalled(state, near("bridge/b", bridges=("b",), channels=("A",))) == Legs(
            links={"bridge/b": frozenset({"A"})}
        )
        async with batch(state) as taken:
            assert (await taken.load({ENTERPRISE: near("bridge/b")}))[ENTERPRISE].relayed == {("bridge/b", "A"): 0}

    async def test_a_cancelled_batch_is_given_up(self, instances: Instances) -> None:
        inside, state = asyncio.Event(), instances.state()

        async def stuck() -> None:
            async with batch(state) as taken:
                await taken.save({ENTERPRISE: changes(known("A"))})
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(stuck())
        await inside.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await state.position() == 0
        assert (await recalled(state, near(channels=("A",)))).calls == {}

    async def test_one_at_a_time(self, instances: Instances) -> None:
        one, other = instances.state(), instances.state()
        async with batch(one), other.taken(await other.position()) as taken:
            assert taken is None, "the first one is at it"
        async with other.taken(0) as taken:
            assert taken is None, "it has moved on"
        async with other.taken(1) as taken:
            assert taken is not None

    async def test_a_batch_that_is_offered_keeps_what_it_learned_when_it_moves(self, instances: Instances) -> None:
        state = instances.state()
        assert await state.position() == 0
        click = KnownClick(id="a", extension="101", number="+375290000001", uid="i", channel_id="click-a", started_ms=1_000)
        async with state.offered(0) as offered:
            assert (await offered.load({ENTERPRISE: near(channels=("A",))}))[ENTERPRISE] == Nearby(legs=Legs(), relayed={})
            await offered.save({ENTERPRISE: changes(known("A"), links=(("bridge/b", "A", 3),))})
            assert (await recalled_at(state, 0, near(channels=("A",)))).legs == Legs(), "not before it moves"
            await offered.move(7, hasten=(), now_ms=0)
        assert await state.position() == 7
        assert set((await recalled_at(state, 7, near(channels=("A",)))).legs.calls) == {"A"}
        assert (await recalled_at(state, 7, near("bridge/b", bridges=("b",)))).relayed == {("bridge/b", "A"): 3}
        async with state.offered(7) as offered:
            await offered.save_clicks({ENTERPRISE: [click]})
            await offered.move(8, hasten=[CALL], now_ms=5_000)
        async with asyncio.timeout(5):
            assert await instances.notices.get() == 8
        async with batch(state) as taken:
            assert await clicks(taken, NearClicks(extensions=("101",), calls=(), since_ms=0)) == {"a": click}

    async def test_what_is_offered_and_not_moved_leaves_nothing(self, instances: Instances) -> None:
        state = instances.state()
        assert await state.position() == 0
        async with state.offered(0) as offered:
            await offered.save({ENTERPRISE: changes(known("A"))})
        assert await state.position() == 0
        assert (await recalled(state, near(channels=("A",)))).calls == {}

    async def test_whoever_is_first_overtakes_what_was_offered(self, instances: Instances) -> None:
        one, other = instances.state(), instances.state()
        assert await one.position() == 0
        async with one.offered(0) as offered:
            assert (await offered.load({ENTERPRISE: near(channels=("A",))}))[ENTERPRISE].legs == Legs()
            await learned(other, changes(known("first")))
            with pytest.raises(Overtaken):
                await offered.load({ENTERPRISE: near(channels=("A",))})
        late = changes(known("late"), members=(("b", "late", True),), links=(("x", "late"),))
        for hasten in ((), (CALL,)):
            after = await one.position()
            async with one.offered(after) as offered, other.offered(after) as first:
                await offered.save({ENTERPRISE: late})
                await first.move(after + 1, hasten=(), now_ms=0)
                with pytest.raises(Overtaken):
                    await offered.move(9, hasten=hasten, now_ms=0)
        assert await one.position() == 3
        found = await recalled(one, near("x", bridges=("b",), channels=("first", "late")))
        assert found == Legs(calls={"first": known("first")})
        assert instances.notices.empty()

    async def test_whoever_holds_it_is_first(self, instances: Instances) -> None:
        one, other = instances.state(), instances.state()
        assert await one.position() == 0

        async def late() -> None:
            async with other.offered(0) as offered:
                await offered.save({ENTERPRISE: changes(known("late"))})
                await offered.move(5, hasten=(), now_ms=0)

        async with batch(one) as taken:
            waiting = asyncio.create_task(late())
            await taken.save({ENTERPRISE: changes(known("first"))})
            await asyncio.sleep(0)
        with pytest.raises(Overtaken):
            await waiting
        assert await one.position() == 1
        assert set((await recalled(one, near(channels=("first", "late")))).calls) == {"first"}

    async def test_nothing_moves_when_a_batch_does_not_say_so(self, instances: Instances) -> None:
        state = instances.state()
        async with state.taken(await state.position()) as taken:
            assert taken is not None
            await taken.save({ENTERPRISE: changes(known("A"))})
        assert await state.position() == 0
        assert set((await recalled(state, near(channels=("A",)))).calls) == {"A"}

    async def test_whoever_stops_in_the_middle_loses_the_batch_to_the_next(self, instances: Instances) -> None:
        one, other = instances.state(), instances.state()

        async def stops() -> None:
            async with batch(one) as stopped:
                await stopped.save({ENTERPRISE: changes(known("one"))})
                await instances.stopped_too_long()
                async with batch(other) as taken:
                    await taken.save({ENTERPRISE: changes(known("other"))})
                await stopped.move(1, hasten=(), now_ms=0)

        with pytest.raises(StoreUnavailable):
            await stops()
        assert set((await recalled(other, near(channels=("one", "other")))).calls) == {"other"}

    async def test_streams_of_others_are_due_and_the_others_are_told(self, instances: Instances) -> None:
        state, store = instances.state(), instances.store
        for stream, due_ms in ((CALL, 9_000), (OTHER, 9_000), (QUIET, None), (SLOW, 4_000)):
            await store.append(append(stream))
            await store.set_due(stream, 1, due_ms, Urgency.BACKLOG)
        after = await state.position()
        async with state.taken(after) as taken:
            assert taken is not None
            await taken.move(2, hasten=[CALL, QUIET, SLOW], now_ms=5_000)
            assert instances.notices.empty(), "not before it is kept"
        async with asyncio.timeout(5):
            assert await instances.notices.get() == 2
        due = await store.due(9_000, 10)
        assert {each.stream: each.urgency for each in due} == {
            CALL: Urgency.LIVE, QUIET: Urgency.LIVE, SLOW: Urgency.LIVE, OTHER: Urgency.BACKLOG
        }  # fmt: skip
        assert {each.stream for each in due if each.due_ms <= 5_000} == {CALL, QUIET, SLOW}

    async def test_nobody_is_told_when_nothing_is_theirs(self, instances: Instances) -> None:
        async with batch(instances.state()):
            pass
        async with instances.state().taken(1) as taken:
            assert taken is not None
            await taken.move(2, hasten=[CALL], now_ms=5_000)
        async with asyncio.timeout(5):
            assert await instances.notices.get() == 2, "the first batch told nobody"

    @pytest.mark.parametrize("age_ms", [0, 1])
    async def test_what_is_old_is_forgotten(self, age_ms: int, instances: Instances) -> None:
        state = instances.state()
        what = changes(known("A", first_ms=1_000), members=(("b", "A", True),), links=(("bridge/b", "A"),), heard_ms=1_000)
        await learned(state, what)
        await state.forget(1_000 + age_ms)
        found = await recalled(state, near("bridge/b", bridges=("b",), channels=("A",)))
        assert (found == Legs()) == bool(age_ms)

    async def test_clicks_are_found_by_extension_and_by_their_calls(self, instances: Instances) -> None:
        state = instances.state()
        first = KnownClick(id="a", extension="101", number="+375290000001", uid="i", channel_id="click-a", started_ms=1_000)
        second = KnownClick(id="b", extension="102", number="+375290000001", channel_id="click-b", started_ms=5_000)
        async with batch(state) as taken:
            await taken.save_clicks({ENTERPRISE: [first, second]})
        async with batch(state) as taken:
            await taken.save_clicks({ENTERPRISE: [replace(first, call="1.1", own_leg="1.0")]})
        async with batch(state) as taken:
            found = await clicks(taken, NearClicks(extensions=("101", "102"), calls=(), since_ms=0))
            assert found == {"a": replace(first, call="1.1", own_leg="1.0"), "b": second}
            assert set(await clicks(taken, NearClicks(extensions=("101", "102"), calls=(), since_ms=2_000))) == {"b"}
            assert set(await clicks(taken, NearClicks(extensions=(), calls=("1.1",), since_ms=0))) == {"a"}
            assert set(await clicks(taken, NearClicks(extensions=(), calls=("click-b",), since_ms=0))) == {"b"}
            assert await clicks(taken, NearClicks(extensions=("101",), calls=("1.1",), since_ms=0), "0999") == {}
        await state.forget(2_000)
        async with batch(state) as taken:
            assert set(await clicks(taken, NearClicks(extensions=("101", "102"), calls=(), since_ms=0))) == {"b"}

    async def test_whoever_clicked_of_late_is_told(self, instances: Instances) -> None:
        state = instances.state()
        first = KnownClick(id="a", extension="101", number="+375290000001", started_ms=1_000)
        async with batch(state) as taken:
            await taken.save_clicks({ENTERPRISE: [first, replace(first, id="b", started_ms=3_000)], "0999": [first]})
        assert await state.clicked(0) == {ENTERPRISE: 3_000, "0999": 1_000}
        assert await state.clicked(1_001) == {ENTERPRISE: 3_000}
        assert await state.clicked(3_001) == {}

    async def test_clicks_of_a_batch_that_failed_are_not_remembered(self, instances: Instances) -> None:
        state = instances.state()
        click = KnownClick(id="a", extension="101", number="+375290000001", started_ms=1_000)

        async def fail() -> None:
            async with batch(state) as taken:
                await taken.save_clicks({ENTERPRISE: [click]})
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        async with batch(state) as taken:
            assert await clicks(taken, NearClicks(extensions=("101",), calls=(), since_ms=0)) == {}
