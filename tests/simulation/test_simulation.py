"""The service as a whole in virtual time: whatever breaks, nothing is lost and nothing is doubled (``docs/simulation.md``).

Seeds are played in groups, so that several cores share them. What a seed finds, ``python -m tests.simulation SEED`` tells.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings

from tests.moysklad_model import Repeated
from tests.simulation.findings import FINDINGS, Finding, unexplained
from tests.simulation.invariants import found_in, violations
from tests.simulation.run import Run
from tests.simulation.scenario import Fault, Kind, Scenario, Script, Trouble, from_seed, scenarios
from tests.thorough import of

ROOT = Path(__file__).resolve().parents[2]
GROUP = 15
GROUPS = of(quick=3, thorough=4)
MANY_GROUPS = 80
MANY = 50


def wrong(seeds: range) -> dict[int, str]:
    """Seed -> the first thing that is wrong, and not known to be."""
    scenarios_of = {seed: from_seed(seed) for seed in seeds}
    found = {seed: unexplained(scenario, found_in(scenario)) for seed, scenario in scenarios_of.items()}
    return {seed: what[0] for seed, what in found.items() if what}


@pytest.mark.parametrize("group", range(GROUPS))
def test_nothing_is_lost_and_nothing_is_doubled(group: int) -> None:
    assert wrong(range(GROUP * group, GROUP * (group + 1))) == {}


BEGINNING_AND_HANGUP_LOST = Scenario(
    noise=576,
    calls=(Script(at_ms=785, pauses=(2_617,), downloaded_ms=6_000), Script(pauses=(1_600,))),
    jitter_ms=7_000,
    lost=60,
    slow_ms=500,
)
"""What is left of one call is a late dial and a downloaded hangup: the length it tells includes what was lost."""


@given(scenarios())
@example(BEGINNING_AND_HANGUP_LOST)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_nothing_goes_wrong_in_any_scenario(scenario: Scenario) -> None:
    assert unexplained(scenario, found_in(scenario)) == []


@pytest.mark.slow
@pytest.mark.parametrize("group", range(MANY_GROUPS))
def test_nothing_goes_wrong_in_thousands_of_runs(group: int) -> None:
    """``MS_TEST_SEED`` chooses where they begin; otherwise every day has its own."""
    first = int(os.environ.get("MS_TEST_SEED") or time.time() // 86_400 * 10_000) + MANY * group
    assert wrong(range(first, first + MANY)) == {}


@pytest.mark.slow
@given(scenarios())
@settings(max_examples=1_500, deadline=None, suppress_health_check=list(HealthCheck))
def test_nothing_goes_wrong_in_any_of_many_scenarios(scenario: Scenario) -> None:
    assert unexplained(scenario, found_in(scenario)) == []


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding.what)
def test_what_was_found_is_mended_or_open(finding: Finding) -> None:
    """An open one that does not show any more is mended: say so, and it is a test from then on."""
    found = found_in(finding.scenario)
    assert bool(found) == finding.open, found
    assert all(finding.explains(finding.scenario, said) for said in found[:1])


@pytest.mark.slow
def test_the_same_seed_is_the_same_run_in_every_process() -> None:
    """Also where texts hash differently: nothing may depend on the order of a set."""
    seeds = range(5)
    program = (
        "from tests.simulation.run import Run; from tests.simulation.scenario import from_seed;"
        f"print([Run(from_seed(seed)).play().digest() for seed in range({seeds.start}, {seeds.stop})])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": number},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for number in ("1", "2")
    }
    assert told == {str([Run(from_seed(seed)).play().digest() for seed in seeds])}


def test_the_same_scenario_is_the_same_run_whenever_the_garbage_collector_comes() -> None:
    """A statement or a ``finally`` that only it would end would make the run depend on what was played before in the process."""
    scenario = Scenario(
        nodes=2,
        calls=tuple(Script(at_ms=1_000 * number, answered=True) for number in range(5)),
        faults=(Fault(trouble=Trouble.CRASH, at_ms=4_000, for_ms=4_000), Fault(trouble=Trouble.CRASH, at_ms=9_000, for_ms=4_000)),
        store_broken=60,
    )
    usual = gc.get_threshold()
    try:
        gc.disable()
        never = Run(scenario).play().digest()
        gc.enable()
        gc.set_threshold(20, 2, 2)
        all_the_time = Run(scenario).play().digest()
    finally:
        gc.enable()
        gc.set_threshold(*usual)
    assert never == all_the_time


def test_a_quiet_day_costs_what_it_should() -> None:
    """One call, nothing broken: told by its story, so that a person sees what a run is."""
    run = Run(Scenario(calls=(Script(answered=True),))).play()
    assert violations(run) == []
    asked = [what for _, who, what in run.story if who == "node0.1" and "/call" in what]
    assert [what.split()[:3] for what in asked] == [
        ["POST", "/call", "SHOW"],
        ["PUT", "/call/call-1", "STARTTIME"],
        ["PUT", "/call/call-1", "HIDE_ALL#3"],
    ]


def test_the_scenarios_hold_everything_that_is_to_be_tried() -> None:
    """Nothing here is vacuous: in a few hundred seeds every trouble, every kind of call and every behaviour occurs."""
    many = [from_seed(seed) for seed in range(400)]
    troubles = Counter(fault.trouble for scenario in many for fault in scenario.faults)
    assert min(troubles[each] for each in Trouble) >= 5
    kinds = Counter(script.kind for scenario in many for script in scenario.calls)
    assert min(kinds[each] for each in Kind) >= 20
    assert {scenario.repeated for scenario in many} == set(Repeated)
    assert {scenario.nodes for scenario in many} == {1, 2, 3}
    for name in ("lag_ms", "jitter_ms", "twice", "lost", "broken", "store_broken", "backlog", "tight", "refused", "unmapped"):
        assert sum(bool(getattr(scenario, name)) for scenario in many) >= 5, name


@pytest.mark.parametrize("trouble", list(Trouble)[:: of(quick=3, thorough=1)])
def test_every_trouble_really_happens(trouble: Trouble) -> None:
    """No fault is an empty word: with it the story is another one than without, and it still ends well."""
    quiet = Scenario(nodes=2, calls=(Script(answered=True), Script(at_ms=900, enterprise=1, answered=True)))
    broken = Scenario(nodes=2, calls=quiet.calls, faults=(Fault(trouble=trouble, at_ms=1_500, for_ms=9_000, where=0),))
    other = Scenario(nodes=2, calls=quiet.calls, faults=(Fault(trouble=trouble, at_ms=1_500, for_ms=9_000, where=1),))
    stories = [
        [(at_us, what) for at_us, who, what in Run(scenario).play().story if who != "fault"] for scenario in (quiet, broken, other)
    ]
    assert stories[0] != stories[1] or stories[0] != stories[2]
    assert found_in(broken) == []
    assert found_in(other) == []


def test_two_nodes_share_the_work_and_one_takes_over_what_the_other_leaves() -> None:
    """The node that attends to the enterprise dies in the middle of a call; the other one goes on, and hides the card."""
    calls = (Script(answered=True, pauses=(2_000, 2_000, 9_000)),)
    before = [who for _, who, what in Run(Scenario(nodes=2, calls=calls)).play().story if what.startswith("PUT")]
    dies = Fault(trouble=Trouble.CRASH, at_ms=5_000, for_ms=60_000, where=int(before[0][4]))
    run = Run(Scenario(nodes=2, calls=calls, faults=(dies,))).play()
    assert violations(run) == []
    who_wrote = {who for _, who, what in run.story if what.startswith(("POST /call", "PUT"))}
    assert len(who_wrote) == 2
