"""What is known of a call's order and of its task, fold by fold: the answers, an attempt's fate, and what a retry forgets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from core.attempts import Attempt
from core.effects import (
    ClaimCallback,
    CloseCallback,
    CompleteTask,
    CreateOrder,
    CreateTask,
    FollowUp,
    HoldTasks,
    InspectTask,
    KeepTask,
)
from core.events import EffectDone, EffectFailed, EffectRefused, EffectStarted
from core.follow_up import NOTHING_YET, After, Order, Task, apply, forgiven
from tests.scenario import NUMBER, done, failed, ms, refused, started

ORDER = CreateOrder(sync_id="s", contact="ann", number=NUMBER, incoming=True, start_ms=ms(0))
TASK = CreateTask(mark="m", number=NUMBER, missed_ms=ms(0), due_ms=ms(9))
CLAIM = ClaimCallback(call="A", number=NUMBER, missed_ms=ms(0))
KEEP, HOLD = KeepTask(call="A", task="t-1"), HoldTasks(call="A")
CLOSE = CloseCallback(call="A", number=NUMBER, talked_ms=ms(9))

Outcome = EffectStarted | EffectDone | EffectFailed | EffectRefused


def after(effect: FollowUp, *outcomes: Outcome, known: After = NOTHING_YET) -> After:
    for event in outcomes:
        known = apply(known, event, effect)
    return known


# -- answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "order"),
    [
        ({"order": "o-1", "name": "00001", "open": None}, Order(done=True, id="o-1", name="00001")),
        ({"order": "o-1", "name": "00001", "without": "the owner"}, Order(done=True, id="o-1", name="00001", without="the owner")),
        ({"order": None, "name": None, "open": "00002"}, Order(done=True, open="00002")),
    ],
)
def test_an_order_is_known_with_all_that_was_said_of_it(result: dict[str, Any], order: Order) -> None:
    assert after(ORDER, started(ORDER, 1), done(ORDER, 2, **result)).order == order


@pytest.mark.parametrize(
    ("effect", "result", "task"),
    [
        (CLAIM, {"granted": True}, Task(asked=True, granted=True)),
        (CLAIM, {"granted": False, "by": "B"}, Task(asked=True, by="B")),
        (CLAIM, {"granted": False, "talked_ms": 5}, Task(asked=True, talked=True)),
        (CLAIM, {"granted": True, "held_by": "B"}, Task(asked=True, granted=True, held_by="B")),
        (TASK, {"task": "t-1"}, Task(id="t-1")),
        (TASK, {}, Task()),
        (KEEP, {"open": True}, Task(kept=True)),
        (KEEP, {}, Task(kept=True)),
        (KEEP, {"open": False}, Task(kept=True, ended=("t-1",))),
        (HOLD, {"told_by": "B"}, Task(told_by="B")),
        (HOLD, {}, Task()),
        (CLOSE, {"tasks": ["t-1", "t-2", "t-1"]}, Task(closed=True, ended=("t-1", "t-2"))),
        (CLOSE, {}, Task(closed=True)),
        (CompleteTask(task="t-1"), {"gone": True}, Task(completed=("t-1",))),
        (CLAIM, {"granted": False, "by": "B", "task": "t-1"}, Task(asked=True, by="B", others="t-1")),
        (InspectTask(task="t-1"), {"open": True}, Task(looked=True)),
        (InspectTask(task="t-1"), {}, Task(looked=True)),
        (InspectTask(task="t-1"), {"open": False}, Task(over="t-1")),
        (InspectTask(task="t-1"), {"open": False, "ended_ms": 5}, Task(over="t-1", over_ms=5)),
    ],
)
def test_of_a_task_is_known_what_the_house_and_moysklad_said(effect: FollowUp, result: dict[str, Any], task: Task) -> None:
    assert after(effect, started(effect, 1), done(effect, 2, **result)).task == task


# -- an attempt's fate --------------------------------------------------------------------------------------------


def attempt_of(*outcomes: Outcome) -> Attempt | None:
    """The same is kept of an order and of a task, each in its place."""
    found = after(TASK, *outcomes)
    assert found.order == Order()
    ordered = after(ORDER, *outcomes)
    assert ordered.task == Task()
    assert (ordered.order.attempt is None) is (found.task.attempt is None)
    return found.task.attempt


BEGUN = Attempt(key="k", effect=TASK, at_ms=ms(1))
AGAIN = Attempt(key="k", effect=TASK, at_ms=ms(5), doubted=True)
TWICE = (started(TASK, 1), failed(TASK, 2), started(TASK, 5))
KNOWN_BEFOREHAND = refused(TASK, 6, sent=False)


@pytest.mark.parametrize(
    ("outcomes", "attempt"),
    [
        ((started(TASK, 1),), BEGUN),
        ((started(TASK, 1), failed(TASK, 2)), Attempt(key="k", effect=TASK, at_ms=ms(1), ended_ms=ms(2))),
        (
            (started(TASK, 1), failed(TASK, 2, ambiguous=False)),
            Attempt(key="k", effect=TASK, at_ms=ms(1), in_doubt=False, ended_ms=ms(2)),
        ),
        (TWICE, AGAIN),
        ((started(TASK, 1), failed(TASK, 2, ambiguous=False), started(TASK, 5)), Attempt(key="k", effect=TASK, at_ms=ms(5))),
        # a refusal settles what it answers
        ((started(TASK, 1), refused(TASK, 6)), None),
        ((started(TASK, 1), replace(KNOWN_BEFOREHAND, started=True)), None),
        # one that was known beforehand settles nothing, and no refusal an earlier try
        ((started(TASK, 1), KNOWN_BEFOREHAND), Attempt(key="k", effect=TASK, at_ms=ms(1), ended_ms=ms(6))),
        (
            (*TWICE, refused(TASK, 6)),
            Attempt(key="k", effect=TASK, at_ms=ms(5), in_doubt=False, ended_ms=ms(6), doubted=True),
        ),
        ((*TWICE, KNOWN_BEFOREHAND), Attempt(key="k", effect=TASK, at_ms=ms(5), ended_ms=ms(6), doubted=True)),
        # what was never started is in no doubt
        ((failed(TASK, 2),), None),
        ((refused(TASK, 6),), None),
    ],
)
def test_what_an_attempt_leaves(outcomes: tuple[Outcome, ...], attempt: Attempt | None) -> None:
    assert attempt_of(*outcomes) == attempt


def test_of_a_question_no_attempt_is_kept() -> None:
    assert after(CLAIM, started(CLAIM, 1), failed(CLAIM, 2), refused(CLAIM, 3)) == NOTHING_YET


# -- a retry ------------------------------------------------------------------------------------------------------

TOLD = Task(asked=True, granted=True, by="B", talked=True, held_by="B", told_by="C", closed=True, ended=("t-9",))


@pytest.mark.parametrize("there", [{"id": "t-1"}, {"attempt": BEGUN}, {"attempt": AGAIN}])
def test_a_task_that_is_there_or_may_be_stays_the_calls_when_it_is_asked_again(there: dict[str, Any]) -> None:
    known = structs.replace(TOLD, **there)
    assert forgiven(After(task=known)).task == structs.replace(known, held_by="", told_by="")


@pytest.mark.parametrize("attempt", [None, structs.replace(BEGUN, in_doubt=False)])
def test_otherwise_the_house_is_asked_anew(attempt: Attempt | None) -> None:
    known = After(order=Order(done=True, id="o-1"), task=structs.replace(TOLD, attempt=attempt))
    assert forgiven(known) == After(order=Order(done=True, id="o-1"), task=Task(closed=True, ended=("t-9",)))
