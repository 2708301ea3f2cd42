"""One recorded call judged: what would have been otherwise under other settings, or by today's code, and why (PRODUCT F3). Pure.

Three histories are laid side by side: the record, the call run again as it was, and the call run again under the other
settings. Where already the first two differ, the settings are not the reason: the code has changed since, or the service was
held up then. Such differences are reported separately (``anyway``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from core import conclusions
from core.call import Call
from core.decisions import Limits
from core.difference import Change, compare, facts, folded_facts, is_same, reason_for, reasons
from core.events import Event
from core.known_as import Known, known_as
from core.rerun import Rerun, rerun
from core.settings import Settings
from core.stand_in import learned


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A recorded call and what is asked of it. ``other``: the settings to try; None: the same ones, by today's code."""

    enterprise: str
    call: str
    events: tuple[Event, ...]
    settings: Settings
    other: Settings | None = None
    limits: Limits
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What would be different. ``anyway``: what is different even when the call is run again under its own settings.

    ``assumed``: what had to be assumed because the record does not say it. ``parted`` and ``parted_ms``: what went differently
    first, and when; for whoever looks for the reason in the code. ``stuck``: the run never came to rest, which no run should.
    ``known``: how people know whom the ids in the differences mean.
    """

    enterprise: str
    call: str
    start_ms: int
    number: str
    direction: str
    outcome: str | None
    changes: tuple[Change, ...] = ()
    anyway: tuple[Change, ...] = ()
    assumed: tuple[str, ...] = ()
    stuck: bool = False
    parted_ms: int | None = None
    parted: str = ""
    known: Mapping[str, Known] = field(default_factory=dict)

    @property
    def differs(self) -> bool:
        """Whether anything is otherwise because of what is asked about."""
        return bool(self.changes) or self.stuck


def judge(question: Question) -> Verdict:
    """Run the call again, and say what would be otherwise."""
    ask = question
    state, was = folded_facts(ask.events, enterprise=ask.enterprise, call=ask.call, settings=ask.settings)
    settings = ask.settings if ask.other is None else ask.other
    run = _rerun(ask, settings)
    would = facts(run.events, enterprise=ask.enterprise, call=ask.call, settings=settings)
    changes = compare(was, would)
    anyway: tuple[Change, ...] = ()
    if changes and ask.other is not None:
        again = _rerun(ask, ask.settings)
        same = compare(was, facts(again.events, enterprise=ask.enterprise, call=ask.call, settings=ask.settings))
        anyway = tuple(change for change in changes if any(is_same(change, each) for each in same))
        changes = tuple(change for change in changes if change not in anyway)
    if changes or anyway:
        changes, anyway = _explained(ask, run, settings, changes), _explained(ask, run, settings, anyway)
    return _verdict(ask, state, run, changes, anyway)


def _rerun(ask: Question, settings: Settings) -> Rerun:
    return rerun(
        ask.events, enterprise=ask.enterprise, call=ask.call, settings=settings, limits=ask.limits, until_ms=ask.until_ms
    )


def _explained(ask: Question, run: Rerun, settings: Settings, changes: Sequence[Change]) -> tuple[Change, ...]:
    """The changes with a reason for what is not there: what was remarked about it on that side."""
    before = reasons(ask.events, enterprise=ask.enterprise, call=ask.call, settings=ask.settings, limits=ask.limits)
    after = reasons(run.events, enterprise=ask.enterprise, call=ask.call, settings=settings, limits=ask.limits)
    return tuple(
        replace(
            change,
            was_because=reason_for(change.about, before) if change.was is None else change.was_because,
            would_because=reason_for(change.about, after) if change.would is None else change.would_because,
        )
        for change in changes
    )


def _verdict(ask: Question, state: Call, run: Rerun, changes: tuple[Change, ...], anyway: tuple[Change, ...]) -> Verdict:
    outcome = conclusions.outcome(state)
    return Verdict(
        enterprise=ask.enterprise,
        call=ask.call,
        start_ms=conclusions.start_ms(state) if state.first_heard_ms is not None else 0,
        number=conclusions.shown_number(state),
        direction=state.direction.value,
        outcome=outcome.value if outcome is not None else None,
        changes=changes,
        anyway=anyway,
        assumed=run.assumed if changes else (),
        stuck=run.stuck,
        parted_ms=run.parted_ms if changes or anyway else None,
        parted=run.parted if changes or anyway else "",
        known=known_as(learned(ask.events), (ask.settings, ask.other or ask.settings)) if changes or anyway else {},
    )
