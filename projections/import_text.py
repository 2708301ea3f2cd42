"""What would have happened to the calls of an old log, as a person reads it, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import Any

from core import conclusions
from core.difference import Facts, facts
from core.history_file import HistoryFile
from core.rerun import Rerun
from projections.difference_text import detail, with_whom


def told(history: HistoryFile, run: Rerun, zone: tzinfo) -> Iterator[str]:
    """One call: its head, then what would be at MoySklad and on the screens."""
    state, found = run.call, _facts(history, run)
    began = datetime.fromtimestamp(conclusions.start_ms(state) / 1000, zone).strftime("%Y-%m-%d %H:%M:%S")
    outcome = found["outcome"].value if "outcome" in found else "going on"
    yield f"{began}  {with_whom(state.direction, conclusions.shown_number(state))}: {outcome}  ({history.call})"
    for about, fact in found.items():
        if about not in ("outcome", "start"):
            yield f"    {about}: {detail(about, fact.value, zone)}{f' ({fact.because})' if fact.because else ''}"
    if run.stuck:
        yield "    ! it never comes to rest"


def as_json(history: HistoryFile, run: Rerun) -> dict[str, Any]:
    """The same for programs."""
    state = run.call
    return {
        "enterprise": history.enterprise,
        "call": history.call,
        "start_ms": conclusions.start_ms(state),
        "direction": state.direction.value,
        "number": conclusions.shown_number(state),
        "phase": state.phase.value,
        "facts": {about: fact.value for about, fact in _facts(history, run).items()},
        "because": {about: fact.because for about, fact in _facts(history, run).items() if fact.because},
        "assumed": list(run.assumed),
    }


def _facts(history: HistoryFile, run: Rerun) -> Facts:
    return facts(run.events, enterprise=history.enterprise, call=history.call, settings=history.settings)
