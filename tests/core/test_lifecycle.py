"""The table is the machine: it says what a person reads in it, for every phase and every trigger."""

from __future__ import annotations

import itertools
import runpy
from collections.abc import Collection

import pytest

from core import lifecycle
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


# -- the same from the side of the triggers: a row too many, too few or astray contradicts one of these ---------------

IN_THE_PBX = {P.ARRIVED, P.RINGING, P.TALKING, P.ON_HOLD, P.TRANSFERRING}
TALKED = {P.TALKING, P.ON_HOLD, P.TRANSFERRING}
OVER = {P.ENDING, P.SETTLED, P.OVERDUE, P.WRITTEN_OFF}
TAKEN_FOR_ANOTHERS = {P.ABSORBED, P.INTERNAL, P.INTERNAL_ENDED}


LEADS: list[tuple[Trigger, dict[Phase, Collection[Phase]]]] = [
    # who comes from outside is a customer, also when he was taken for a leg or for internal before
    (T.ARRIVE, {P.ARRIVED: {P.UNHEARD, *TAKEN_FOR_ANOTHERS}}),
    # a dial rings where nobody has talked yet; after a talk it hands the customer on, but only one who waits alone
    (T.DIAL, {P.RINGING: {P.UNHEARD, P.ARRIVED, *TAKEN_FOR_ANOTHERS}, P.TRANSFERRING: {P.ON_HOLD}}),
    # an internal dial says what a call is only while nothing else does
    (T.DIAL_INTERNAL, {P.INTERNAL: {P.UNHEARD}}),
    # who is known to be in the PBX can be talked with, whether or not the dial was heard
    (T.ANSWER, {P.TALKING: IN_THE_PBX - {P.TALKING}}),
    (T.PART, {P.ON_HOLD: {P.TALKING}}),
    # a talk that was none leaves a telephone that rings
    (T.UNSAY_TALK, {P.RINGING: TALKED}),
    # the end is believed of every call that is not over, and of one that was given up for lack of it
    (T.HANG_UP, {P.ENDING: {P.UNHEARD, *IN_THE_PBX, P.OVERDUE, P.WRITTEN_OFF}, P.INTERNAL_ENDED: {P.INTERNAL}}),
    (T.HANG_UP_INTERNAL, {P.INTERNAL_ENDED: {P.UNHEARD, P.INTERNAL}}),
    # an end that was only the caller's, until it is written
    (T.TALK_ON, {P.TALKING: {P.ENDING}}),
    # time alone: each of its steps from one place
    (T.SETTLE, {P.SETTLED: {P.ENDING}}),
    (T.EXPIRE, {P.OVERDUE: IN_THE_PBX, P.INTERNAL_ENDED: {P.INTERNAL}}),
    (T.WRITE_OFF, {P.WRITTEN_OFF: {P.OVERDUE}}),
    # a leg may be found out to be one until its record is written
    (T.ABSORB, {P.ABSORBED: {P.UNHEARD, *IN_THE_PBX, P.ENDING, P.OVERDUE, P.INTERNAL, P.INTERNAL_ENDED}}),
]


@pytest.mark.parametrize(("trigger", "leads"), LEADS)
def test_a_trigger_leads_where_it_must_and_leaves_every_other_phase_alone(
    trigger: Trigger, leads: dict[Phase, Collection[Phase]]
) -> None:
    expected = {source: target for target, sources in leads.items() for source in sources}
    assert {phase: next_phase(phase, trigger) for phase in Phase} == {phase: expected.get(phase, phase) for phase in Phase}


def test_every_trigger_is_told_of_here() -> None:
    assert [trigger for trigger, _ in LEADS] == list(Trigger)


def test_a_card_may_stand_wherever_somebody_is_in_the_pbx_and_a_record_is_final_after_the_last_grace() -> None:
    assert set(LIVE) == IN_THE_PBX
    assert set(FINAL) == OVER - {P.ENDING, P.OVERDUE}


def test_the_machine_begins_with_nothing_heard_and_has_the_tables_triggers_and_no_others() -> None:
    machine = build_machine()
    assert machine.initial == P.UNHEARD.value
    assert set(machine.events) == {trigger.value for trigger in Trigger}, "no to_ringing() past the table"
    assert list(machine.models) == [], "a machine that is drawn follows no call"


def test_what_is_compiled_when_the_module_is_imported_is_the_table() -> None:
    """A fresh import: the one the other tests see was compiled before any of them ran."""
    fresh = runpy.run_path(str(lifecycle.__file__), run_name=lifecycle.__name__)
    follow, phases, triggers = fresh["next_phase"], fresh["Phase"], fresh["Trigger"]
    for phase, trigger in EVERY_PAIR:
        assert follow(phases(phase.value), triggers(trigger.value)).value == TABLE.get((phase, trigger), phase).value
