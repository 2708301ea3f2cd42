"""What must hold when a run has come to rest, whatever happened in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from core.call import initial
from core.conclusions import best_known_end_ms, outcome, start_ms
from core.events import DialObserved
from core.follow_up_plan import order_sync_id, task_mark
from core.phone import same_number
from core.repeats import digest_of_ringing_again
from core.values import Outcome
from tests.moysklad_model import Row
from tests.settings import EXTENSIONS, employee_id
from tests.simulation.calls import Signal, enterprise_name
from tests.simulation.exchange import HANGUP_MS
from tests.simulation.histories import histories
from tests.simulation.loop import drive
from tests.simulation.moysklad import Refusing
from tests.simulation.office import settings_of
from tests.simulation.promptness import delays
from tests.simulation.run import Run
from tests.simulation.scenario import Kind, Scenario, Trouble
from tests.simulation.truth import Truth, untrue, untrue_calls, untrue_screens
from tests.strategies import EPOCH_MS
from tests.world import World

TOGETHER_MS: Final = 1_500
"""Signals of a call that come within this time of their order give the same record (``tests/test_disorder.py``)."""

def violations(run: Run) -> list[str]:
    """Everything that is wrong, in words; empty when nothing is."""
    found = list(run.objections)
    if not run.rested:
        found.append("it never came to rest")
        return found
    for index in range(len(run.cloud.accounts)):
        name = enterprise_name(index)
        found += [f"{name}: {each}" for each in _account(run, name)]
    found += _log(run)
    found += delays(run)
    found += histories(run)
    return found


def found_in(scenario: Scenario) -> list[str]:
    """Play it, and say what is wrong."""
    return violations(Run(scenario).play())


def _log(run: Run) -> Iterator[str]:
    """Every acknowledged signal is in the log."""
    counted = Counter(
        (each.stream.enterprise, each.stream.name, each.type)
        for each in drive(run.database.store.read_log(0, 1_000_000))
        if not str(each.data.get("wire", "")).startswith(("relayed", "switchboard"))
    )
    wanted = Counter(
        (signal.enterprise, signal.stream, signal.event.type)
        for signal in run.signals
        if not signal.nth and signal.key in run.acknowledged
    )
    for what, count in wanted.items():
        if counted[what] < count:
            yield f"acknowledged and not in the log: {what} {counted[what]} of {count}"


def _account(run: Run, enterprise: str) -> Iterator[str]:
    account = run.cloud.accounts[enterprise]
    signals = [signal for signal in run.signals if signal.enterprise == enterprise]
    undisturbed = reference(run, signals)
    wanted = {_renamed(row.external_id, enterprise): row for row in undisturbed.moysklad.rows}
    rows: dict[str, list[Row]] = {}
    for row in account.model.rows:
        if not row.external_id.startswith(f"{enterprise}-"):
            continue  # of the other enterprise with the same account
        rows.setdefault(row.external_id, []).append(row)
    lone = {name for name, truth in run.truths[enterprise].items() if truth.lone_leg}
    for name in wanted.keys() - rows.keys() - lone:
        yield f"{name} has no row"
    for name in rows.keys() - wanted.keys():
        yield f"{name} has a row and should have none"
    for name in sorted(wanted.keys() & rows.keys()):
        if len(rows[name]) > 1:
            yield f"{name} has {len(rows[name])} rows"
        got = rows[name][0]
        yield from (f"{name}: {each}" for each in _row(got))
        of = {signal.call for signal in signals if signal.stream == f"call/{name.partition('-')[2]}"}
        spread, late = _lateness(run, [signal for signal in signals if signal.call in of])
        strictly = spread <= TOGETHER_MS and not run.scenario.lost
        slack_ms = late + (2_500 + _unheard_ms(run.scenario, signals, of) if run.scenario.lost else 1_500)
        yield from (f"{name}: {each}" for each in _same(got, wanted[name], strictly, slack_ms, run.truths[enterprise].get(name)))
        named = wanted[name].employee
        if (
            got.extension == wanted[name].extension
            and not run.scenario.refused
            and got.employee != named
            and not (run.scenario.unmapped and not got.employee)
        ):
            # Whoever is refused may be named in time, or not; and without the directory the extension alone must do.
            yield f"{name}: employee {got.employee!r} instead of {named!r}"
    yield from _untrue(run, enterprise, signals, wanted, {name: listed[0] for name, listed in rows.items()})
    if run.scenario.after:
        yield from _after(run, enterprise, signals, undisturbed)
    if not run.scenario.shared:
        numbers = Counter(effect.number for effect in account.model.created)
        yield from (f"{count} contacts of one number" for count in numbers.values() if count > 1)


def _untrue(
    run: Run, enterprise: str, signals: list[Signal], undisturbed: dict[str, Row], rows: dict[str, Row]
) -> Iterator[str]:
    """What a day without trouble, and this one, make MoySklad say, and what is true: that was not asked of the code."""
    scenario = run.scenario
    truths = run.truths[enterprise]
    if scenario.lost:
        return
    stories = {index for index, script in enumerate(scenario.calls) if script.kind in (Kind.STORY, Kind.INTERNAL)}
    names = {f"{enterprise}-{signal.stream.removeprefix('call/')}" for signal in signals if signal.call in stories}
    yield from (f"quiet: {each}" for each in untrue_calls(truths, names, undisturbed))
    yield from untrue_calls(truths, names, rows)
    anybody = ("",) if scenario.refused else ()
    # An instance that stood still brings again what others heard meanwhile: a dial is taken for another one then (decision 0030).
    frozen_ms = max((fault.for_ms for fault in scenario.faults if fault.trouble is Trouble.FREEZE), default=0)
    numbers = Counter(row.number for row in undisturbed.values())
    for name, truth in truths.items():
        several = numbers[truth.shown_number] > 1
        strays = _strays(truth, truths.values())
        if name in undisturbed:
            certain = not several or truth.by_bridges
            found = untrue(truth, undisturbed[name], strictly=True, certain=certain, anybody=anybody, strays=strays)
            yield from (f"quiet: {name} {each}" for each in found)
        if name not in rows:
            continue
        of = {signal.call for signal in signals if signal.stream == f"call/{truth.call}"}
        spread, late_ms = _lateness(run, [signal for signal in signals if signal.call in of])
        strictly = spread <= TOGETHER_MS
        if truth.never_ends:
            late_ms += frozen_ms
        certain = not several or (truth.by_bridges and spread < HANGUP_MS)
        found = untrue(
            truth, rows[name], strictly=strictly, certain=certain, late_ms=late_ms, anybody=anybody, strays=strays
        )
        yield from (f"{name} {each}" for each in found)
        shown = {extension for _, extension in run.cloud.shown.get((enterprise, name), ())}
        yield from (f"{name}: a card was shown at {extension}" for extension in sorted(shown - truth.took_part))
        if _is_quiet(scenario):
            yield from (f"{name}: {each}" for each in untrue_screens(truth, run.cloud.screens.get(name, []), late_ms))


def _strays(truth: Truth, truths: Iterable[Truth]) -> set[str]:
    """Recordings of this customer's other calls that may be taken for this one's: no bridge tells whose leg brought them."""
    found: set[str] = set()
    for other in truths:
        if other is not truth and other.number == truth.number and not other.by_bridges:
            found |= other.others_recordings | (other.recordings if other.lone_leg else set())
    return found


def _is_quiet(scenario: Scenario) -> bool:
    """Whether nothing in it explains a card that is late."""
    if scenario.faults or scenario.broken or scenario.store_broken or scenario.jitter_ms:
        return False
    return not (scenario.tight or scenario.refused or scenario.unmapped or scenario.backlog)


def _after(run: Run, enterprise: str, signals: list[Signal], undisturbed: World) -> Iterator[str]:
    """Never two orders of one call, never two tasks of a client who waits; and those there are, are as on a quiet day."""
    model = run.cloud.accounts[enterprise].model
    calls = {name: initial(enterprise, name) for name in undisturbed.calls}
    ours = {order_sync_id(call): name for name, call in calls.items()}
    made = Counter(ours[order.sync_id] for order in model.orders if order.sync_id in ours)
    yield from (f"{count} orders of {name}" for name, count in made.items() if count > 1)
    tasks = [task for task in model.tasks if task.mark in {task_mark(call) for call in calls.values()}]
    yield from (f"{count} tasks {mark}" for mark, count in Counter(task.mark for task in tasks).items() if count > 1)
    waiting = Counter(task.number for task in tasks if not task.done)
    yield from (f"{count} open tasks of {number}" for number, count in waiting.items() if count > 1)
    spread, late = _lateness(run, signals)
    wanted = {name for name, call in undisturbed.calls.items() if call.remote.after.order.id}
    listed = {row.external_id.partition("-")[2] for row in undisturbed.moysklad.rows}
    for truth in run.truths[enterprise].values():
        if not run.scenario.lost and truth.call in listed and (truth.call in wanted) != (truth.talked and bool(truth.number)):
            yield f"quiet: {truth.call} has {'an' if truth.call in wanted else 'no'} order: talked {truth.talked}, {truth.number}"
    if spread > TOGETHER_MS or run.scenario.lost:
        return
    if set(made) != wanted:
        yield f"orders of {sorted(made)} instead of {sorted(wanted)}"
    waits = {task.number for task in undisturbed.moysklad.tasks if not task.done}
    doubtful = _close_together(undisturbed, spread + late + 3_000)
    if set(waiting) - doubtful != waits - doubtful:
        yield f"tasks for {sorted(waiting)} instead of {sorted(waits)}"


def _close_together(world: World, within_ms: int) -> set[str]:
    """Numbers of which a call was missed about when somebody talked with them: whether before or after may look different."""
    talks = [(call.number, best_known_end_ms(call)) for call in world.calls.values() if outcome(call) is Outcome.ANSWERED]
    return {
        call.number
        for call in world.calls.values()
        for number, ended_ms in talks
        if same_number(call.number, number) and abs(start_ms(call) - ended_ms) <= within_ms
    }


def reference(run: Run, signals: list[Signal]) -> World:
    """The same calls on a day without any trouble."""
    model = Refusing(employees={extension: employee_id(extension) for extension in EXTENSIONS}, refusing=run.scenario.refused)
    world = World(settings=settings_of(run.scenario), moysklad=model, limits=run.limits)
    for signal in signals:
        event = replace(signal.event, heard_ms=signal.said_ms)
        fresh = world.hear(signal.stream, event, digest=signal.digest, at_ms=signal.said_ms)
        if fresh or not isinstance(event, DialObserved):
            continue
        if (again := digest_of_ringing_again(signal.stream, world.streams[signal.stream], event)) is not None:
            world.hear(signal.stream, event, digest=again, at_ms=signal.said_ms)
    world.finish()
    return world


def _renamed(external_id: str, enterprise: str) -> str:
    return f"{enterprise}-{external_id.partition('-')[2]}"


def _lateness(run: Run, signals: list[Signal]) -> tuple[int, int]:
    """How far apart in lateness the signals came at most, and how late the latest of them was."""
    late = [
        run.acknowledged[key] - signal.said_ms
        for signal in signals
        if (key := signal.key) in run.acknowledged
    ]
    return (max(late) - min(late), max(late)) if late else (0, 0)


def _unheard_ms(scenario: Scenario, signals: list[Signal], of: set[int]) -> int:
    """How much of these calls' beginning was lost: there only the PBX's own times are left, and those are whole seconds."""
    begun = [EPOCH_MS + scenario.calls[call].at_ms for call in of if call < len(scenario.calls)]
    first = min((signal.said_ms for signal in signals if signal.call in of), default=0)
    return max(0, first - min(begun, default=first))


def _row(row: Row) -> Iterator[str]:
    """What must hold of a row by itself."""
    in_order = replace(row, events=sorted(row.events, key=lambda event: event.sequence))
    if in_order.screens():
        yield f"cards left open: {in_order.screens()}"
    if row.end_ms is None:
        yield "no end"
    if len(set(row.recordings)) != len(row.recordings):
        yield f"recordings doubled: {row.recordings}"
    numbered: dict[int, object] = {}
    for event in row.events:
        if numbered.setdefault(event.sequence, event) != event:
            yield f"sequence {event.sequence} is used twice: {event} and {numbered[event.sequence]}"


def _same(got: Row, wanted: Row, strictly: bool, slack_ms: int, truth: Truth | None) -> Iterator[str]:
    either = () if truth is None else truth.extensions  # more than one may be right
    for name in ("number", "incoming") if truth is not None else ("number", "incoming", "recordings"):
        if getattr(got, name) != getattr(wanted, name):
            yield f"{name} {getattr(got, name)!r} instead of {getattr(wanted, name)!r}"
    if strictly and got.comment != wanted.comment:
        yield f"comment {got.comment!r} instead of {wanted.comment!r}"
    if strictly and got.extension != wanted.extension and not {got.extension, wanted.extension} <= set(either):
        yield f"extension {got.extension!r} instead of {wanted.extension!r}"
    if abs(got.start_ms - wanted.start_ms) > slack_ms:
        yield f"starts {got.start_ms - wanted.start_ms} ms later"
    if truth is not None:
        return  # it is held to the truth, which knows more
    if got.end_ms is not None and wanted.end_ms is not None and abs(got.end_ms - wanted.end_ms) > slack_ms:
        yield f"ends {got.end_ms - wanted.end_ms} ms later"
