"""The table is the machine: it says what a person reads in it, for every phase and every trigger."""

from __future__ import annotations

import itertools

import pytest

from core.lifecycle import DESCRIPTIONS, FINAL, LIVE, STAYS, TABLE, Phase, Trigger, build_machine, next_phase

P, T = Phase, Trigger
EVERY_PAIR = list(itertools.product(Phase, Trigger))


@pytest.mark.parametrize(("phase", "trigger"), EVERY_PAIR)
def test_every_pair_goes_where_the_table_says_and_stays_where_it_says_nothing(phase: Phase, trigger: Trigger) -> None:
    assert next_phase(phase, trigger) is TABLE.get((phase, trigger), phase)


@pytest.mark.parametrize(("phase", "trigger"), EVERY_PAIR)
def test_transitions_agrees_on_every_pair(phase: Phase, trigger: Trigger) -> None:
    class Model:
        state = ""

    model = Model()
    machine = build_machine()
    machine.add_model(model, initial=phase.value)
    model.trigger(trigger.value)  # type: ignore[attr-defined]
    assert model.state == next_phase(phase, trigger).value


def test_every_phase_can_be_reached() -> None:
    reached = {P.UNHEARD}
    while fresh := {target for (source, _), target in TABLE.items() if source in reached} - reached:
        reached |= fresh
    assert reached == set(Phase)


def test_a_pair_that_is_in_the_table_changes_the_phase() -> None:
    assert [pair for pair, target in TABLE.items() if pair[0] is target] == []


def test_every_trigger_says_why_it_may_change_nothing_and_every_phase_what_it_means() -> None:
    assert set(STAYS) == set(Trigger)
    assert set(DESCRIPTIONS) == set(Phase)
    assert all(text.strip() for text in (*STAYS.values(), *DESCRIPTIONS.values()))


def test_no_live_phase_outlasts_a_hangup_or_its_maximum() -> None:
    assert {next_phase(phase, T.HANG_UP) for phase in LIVE} == {P.ENDING}
    assert {next_phase(phase, T.EXPIRE) for phase in LIVE} == {P.OVERDUE}


def test_nothing_that_is_heard_moves_a_settled_call() -> None:
    assert {next_phase(P.SETTLED, trigger) for trigger in Trigger} == {P.SETTLED}


def test_an_absorbed_leg_stays_one_unless_it_turns_out_to_be_a_customers_own_call() -> None:
    own = {T.ARRIVE: P.ARRIVED, T.DIAL: P.RINGING}
    assert {trigger: next_phase(P.ABSORBED, trigger) for trigger in Trigger} == dict.fromkeys(Trigger, P.ABSORBED) | own


def test_a_late_hangup_ends_an_overdue_and_a_written_off_call() -> None:
    assert next_phase(P.OVERDUE, T.HANG_UP) is P.ENDING
    assert next_phase(P.WRITTEN_OFF, T.HANG_UP) is P.ENDING


@pytest.mark.parametrize("phase", [P.ARRIVED, P.RINGING, P.TALKING, P.ON_HOLD, P.TRANSFERRING])
def test_a_hangup_for_internal_calls_does_not_end_an_external_one(phase: Phase) -> None:
    assert next_phase(phase, T.HANG_UP_INTERNAL) is phase


def test_live_and_final_phases_are_apart() -> None:
    assert LIVE.isdisjoint(FINAL)
    assert P.ENDING not in LIVE | FINAL
    assert P.OVERDUE not in LIVE | FINAL
