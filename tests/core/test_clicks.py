"""A click's life: it is dialled in time or never, once or never, and its end is known in words."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clicks import (
    CALL_WITHIN_MS,
    CLICK_EVENTS,
    FRESH_MS,
    LOST_MS,
    OUTCOMES,
    REPEAT_MS,
    Click,
    ClickEvent,
    ClickExpired,
    ClickMatched,
    ClickRefused,
    ClickRepeated,
    ClickRequested,
    ClickUnmatched,
    OriginateDone,
    OriginateFailed,
    OriginateStarted,
    Stage,
    deadline,
    decide_click,
    decode_click,
    encode_click,
    evolve_click,
    fold_click,
    initial_click,
    is_fresh,
    is_spent,
)
from core.origination import ORIGINATE_S

T0 = 1_795_436_000_000
REQUESTED = ClickRequested(at_ms=T0, extension="101", number="+375290000001", uid="ivanov@demo", signature="absent")
STARTED = OriginateStarted(at_ms=T0 + 20, way="http", channel_id="click-a", extension="101", number="+375290000001")
DONE = OriginateDone(at_ms=T0 + 200)
FAILED = OriginateFailed(at_ms=T0 + 200, error="refused")
DOUBTED = OriginateFailed(at_ms=T0 + 200, error="no answer", ambiguous=True)
MATCHED = ClickMatched(at_ms=T0 + 3_000, call="1.2")
OWN = ClickMatched(at_ms=T0 + 1_000, call="1.1", own_leg=True)
UNMATCHED = ClickUnmatched(at_ms=T0 + CALL_WITHIN_MS)
EXPIRED = ClickExpired(at_ms=T0 + FRESH_MS)
REFUSED = ClickRefused(at_ms=T0, error="too many")
REPEATED = ClickRepeated(at_ms=T0 + 1_000)
EVERY = (REQUESTED, STARTED, DONE, FAILED, DOUBTED, MATCHED, OWN, UNMATCHED, EXPIRED, REFUSED, REPEATED)

STORED_TYPES = {
    "click_requested",
    "click_refused",
    "click_repeated",
    "click_expired",
    "originate_started",
    "originate_done",
    "originate_failed",
    "click_matched",
    "click_unmatched",
}


def after(*events: ClickEvent) -> Click:
    return fold_click(initial_click("0367", "a"), events)


@pytest.mark.parametrize(
    ("events", "stage"),
    [
        ((), Stage.UNHEARD),
        ((REQUESTED,), Stage.WAITING),
        ((REQUESTED, REPEATED), Stage.WAITING),
        ((REQUESTED, STARTED), Stage.ORDERING),
        ((REQUESTED, STARTED, DONE), Stage.ORDERED),
        ((REQUESTED, STARTED, FAILED), Stage.FAILED),
        ((REQUESTED, STARTED, DOUBTED), Stage.DOUBTED),
        ((REQUESTED, FAILED), Stage.FAILED),
        ((REQUESTED, EXPIRED), Stage.EXPIRED),
        ((REQUESTED, STARTED, EXPIRED), Stage.EXPIRED),
        ((REFUSED,), Stage.REFUSED),
        ((REQUESTED, STARTED, DONE, MATCHED), Stage.JOINED),
        ((REQUESTED, STARTED, MATCHED, DONE), Stage.JOINED),
        ((REQUESTED, STARTED, MATCHED, DOUBTED), Stage.JOINED),
        ((REQUESTED, STARTED, DOUBTED, MATCHED), Stage.JOINED),
        ((REQUESTED, STARTED, DONE, OWN), Stage.ORDERED),
        ((REQUESTED, STARTED, DONE, OWN, MATCHED), Stage.JOINED),
        ((REQUESTED, STARTED, DONE, UNMATCHED), Stage.SILENT),
        ((REQUESTED, STARTED, DONE, UNMATCHED, MATCHED), Stage.JOINED),
    ],
)
def test_stages(events: tuple[ClickEvent, ...], stage: Stage) -> None:
    assert after(*events).stage is stage


@given(st.lists(st.sampled_from(EVERY), max_size=8))
def test_folding_never_fails_and_stages_only_change_as_the_table_says(events: list[ClickEvent]) -> None:
    state = initial_click("0367", "a")
    for event in events:
        before, state = state, evolve_click(state, event)
        allowed = OUTCOMES.get((before.stage, type(event)), before.stage)
        assert state.stage in (before.stage, allowed, Stage.DOUBTED)
        assert state.version == before.version + 1


@given(st.lists(st.sampled_from(EVERY), max_size=8), st.integers(T0, T0 + 10 * CALL_WITHIN_MS))
def test_deciding_again_decides_nothing(events: list[ClickEvent], now_ms: int) -> None:
    state = after(*events)
    facts = decide_click(state, now_ms)
    settled = fold_click(state, facts)
    assert decide_click(settled, now_ms) == () or settled.stage is Stage.DOUBTED
    assert not facts or deadline(state) is not None


@given(st.lists(st.sampled_from(EVERY), max_size=8))
def test_every_click_comes_to_an_end_by_itself(events: list[ClickEvent]) -> None:
    state = after(*events)
    for _ in range(4):
        due_ms = deadline(state)
        if due_ms is None:
            break
        assert decide_click(state, due_ms - 1) == ()
        state = fold_click(state, decide_click(state, due_ms))
    assert deadline(state) is None


def test_time_decides() -> None:
    assert decide_click(after(REQUESTED), T0 + FRESH_MS) == (
        ClickExpired(at_ms=T0 + FRESH_MS, extension="101", number="+375290000001"),
    )
    (lost,) = decide_click(after(REQUESTED, STARTED), T0 + 20 + LOST_MS)
    assert isinstance(lost, OriginateFailed)
    assert lost.ambiguous
    for ordered in (DONE, DOUBTED):
        (silent,) = decide_click(after(REQUESTED, STARTED, ordered), T0 + 20 + CALL_WITHIN_MS)
        assert isinstance(silent, ClickUnmatched)


def test_a_start_without_an_outcome_waits_longer_than_an_order_can_take() -> None:
    assert LOST_MS > ORIGINATE_S * 1_000 + 2_000


def test_only_what_certainly_rings_nobody_may_be_clicked_again_within_the_window() -> None:
    assert [is_spent(after(*events)) for events in ((REQUESTED, STARTED, FAILED), (REQUESTED, EXPIRED), (REFUSED,))] == [True] * 3
    waiting = ((REQUESTED,), (REQUESTED, STARTED), (REQUESTED, STARTED, DONE), (REQUESTED, STARTED, DOUBTED))
    assert not any(is_spent(after(*events)) for events in (*waiting, (REQUESTED, STARTED, DONE, MATCHED)))


def test_freshness_has_an_end_before_repeats_do() -> None:
    click = after(REQUESTED)
    assert is_fresh(click, T0 + FRESH_MS - 1)
    assert not is_fresh(click, T0 + FRESH_MS)
    assert FRESH_MS < REPEAT_MS


def test_the_first_call_stays_and_the_own_telephone_is_none() -> None:
    state = after(REQUESTED, STARTED, DONE, OWN, MATCHED, replace(MATCHED, call="9.9"))
    assert (state.call, state.own_leg) == ("1.2", "1.1")


def test_the_channel_id_is_the_click_s() -> None:
    assert after(REQUESTED).channel_id == "click-a"


# -- what is kept --------------------------------------------------------------------------------------------------


def test_the_names_of_facts_are_the_storage_format() -> None:
    assert set(CLICK_EVENTS) == STORED_TYPES


@pytest.mark.parametrize("event", EVERY, ids=lambda event: event.type)
def test_what_is_written_reads_back(event: ClickEvent) -> None:
    type_, schema, data = encode_click(event)
    assert schema == 1
    assert decode_click(type_, data) == event


def test_what_a_newer_service_wrote_is_passed_over_and_counted() -> None:
    assert decode_click("click_waved_at", {"at_ms": 1}) is None
    assert fold_click(initial_click("0367", "a"), [REQUESTED, None]).version == 2


def test_every_pair_of_the_table_changes_something() -> None:
    for stage, kind in product(Stage, CLICK_EVENTS.values()):
        assert OUTCOMES.get((stage, kind)) is not stage
