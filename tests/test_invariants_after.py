"""What must hold of orders and tasks for every history: never two orders of a call, never two tasks of a client."""

from __future__ import annotations

from collections import Counter
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from core.effects import CompleteTask, CreateContact, CreateOrder, CreateTask
from core.events import EffectRefused
from core.follow_up_plan import order_sync_id, task_mark, waits_for_tasks
from core.plan import parked_reason
from core.settings import Settings
from core.values import ANONYMOUS, Direction
from tests.moysklad_model import NO_CRM, MoySkladModel, Repeated
from tests.settings import settings_with
from tests.strategies import History, Truth, disordered, faults, histories
from tests.world import Fault, World, hear_all

FULL: Final = settings_with(order="always", task="on_missed", unrecognized="101")
THRIFTY: Final = settings_with(order="unless_open", task="on_missed", create_incoming=False, create_outgoing=False)


def played(history: History, under: Settings = FULL, **options: object) -> World:
    world = hear_all(World(settings=under, **options), history.heard)  # type: ignore[arg-type]
    world.finish()
    return world


def trouble() -> st.SearchStrategy[dict[str, tuple[Fault, ...]]]:
    """What goes wrong with the first tries to make an order, a task, a client, or to end a task."""
    kinds = [kind.type for kind in (CreateOrder, CreateTask, CompleteTask, CreateContact)]
    return st.dictionaries(st.sampled_from(kinds), st.lists(st.sampled_from(list(Fault)), max_size=3).map(tuple))


def waiting(history: History) -> set[str]:
    """Numbers of customers who were missed, and with whom nobody has talked since."""
    talked = {
        number: max((truth.end_ms for truth in history.truth if truth.number == number and truth.talked), default=-1)
        for number in {truth.number for truth in history.truth}
    }
    return {truth.number for truth in history.truth if is_missed(truth) and truth.start_ms > talked[truth.number]}


def is_missed(truth: Truth) -> bool:
    return truth.direction is Direction.INCOMING and not truth.talked and truth.number != ANONYMOUS


def agrees(world: World, history: History) -> None:
    """Orders and tasks are those that the calls ask for."""
    wanted = [truth.call for truth in history.truth if truth.talked and truth.number != ANONYMOUS]
    assert Counter(order.sync_id for order in world.moysklad.orders) == Counter(order_sync_id(world.calls[call]) for call in wanted)
    assert Counter(task.number for task in world.moysklad.tasks if not task.done) == Counter(waiting(history))
    marks = Counter(task.mark for task in world.moysklad.tasks)
    assert set(marks) <= {task_mark(world.calls[truth.call]) for truth in history.truth if is_missed(truth)}
    assert not [mark for mark, count in marks.items() if count > 1]
    assert [world.planned(call).step for call in world.calls] == [None] * len(world.calls)


@given(histories(), st.sampled_from(list(Repeated)), faults(), trouble())
def test_each_talk_has_its_order_and_each_client_who_waits_his_task(
    history: History, repeated: Repeated, faulty: dict[int, Fault], troubled: dict[str, tuple[Fault, ...]]
) -> None:
    agrees(played(history, moysklad=MoySkladModel(repeated=repeated), faults=faulty, troubled=troubled), history)


@given(histories().flatmap(lambda history: st.tuples(st.just(history), disordered(history))), faults())
def test_disorder_changes_nothing(both: tuple[History, tuple[object, ...]], faulty: dict[int, Fault]) -> None:
    history, delivered = both
    agrees(played(History(heard=delivered, truth=history.truth), faults=faulty), history)  # type: ignore[arg-type]


@given(histories(), faults(), st.frozensets(st.integers(0, 16)))
def test_what_is_put_off_is_done_in_the_end(history: History, faulty: dict[int, Fault], put_off: frozenset[int]) -> None:
    agrees(played(history, faults=faulty, deferrals=put_off), history)


@given(histories(), faults())
def test_a_client_has_one_open_order_where_the_settings_ask_for_that(history: History, faulty: dict[int, Fault]) -> None:
    world = played(history, THRIFTY, faults=faulty)
    assert Counter(order.contact for order in world.moysklad.orders if order.open) == Counter(
        {world.moysklad.contacts[truth.number]: 1 for truth in history.truth if truth.talked and truth.number != ANONYMOUS}
    )
    assert [world.planned(call).step for call in world.calls] == [None] * len(world.calls)


@given(histories(), faults())
def test_rebuilt_equals_live(history: History, faulty: dict[int, Fault]) -> None:
    world = played(history, faults=faulty)
    assert world.refold() == world.calls


@given(histories(), faults(), st.data())
@settings(deadline=None)
def test_what_a_revoked_key_left_undone_is_done_after_a_retry(
    history: History, faulty: dict[int, Fault], data: st.DataObject
) -> None:
    world = World(settings=FULL, faults=faulty)
    begin = data.draw(st.integers(0, len(history.heard)))
    hear_all(world, history.heard[:begin])
    world.revoked = True
    hear_all(world, history.heard[begin:])
    world.finish(data.draw(st.integers(0, 200_000_000)))
    world.revoked = False
    for call in world.calls:
        world.retry(call)
    world.finish()
    assert not any(parked_reason(call) for call in world.calls.values())
    agrees(world, history)


@given(histories(), faults())
@settings(deadline=None)
def test_an_account_that_takes_no_tasks_is_told_once_and_served_afterwards(history: History, faulty: dict[int, Fault]) -> None:
    world = played(history, faults=faulty, moysklad=MoySkladModel(task_refusal=("Тариф", NO_CRM)))
    told = [call for call, state in world.calls.items() if parked_reason(state)]
    assert len(told) <= 1
    assert len(told) == 1 or not any(waits_for_tasks(state) for state in world.calls.values())
    asked = [event for stream in world.streams.values() for event in stream if isinstance(event, EffectRefused)]
    assert all(event.effect["type"] == CreateTask.type for event in asked)
    world.moysklad.task_refusal = None
    for call in told:
        world.retry(call)
    world.ask_again()
    world.finish()
    world.ask_again()
    agrees(world, history)
