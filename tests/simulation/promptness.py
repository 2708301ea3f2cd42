"""How soon a card must come and go: measured where nothing in the scenario explains a delay, with a hand-over where one is due."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from core.events import DialObserved, HangupObserved
from core.values import Direction
from tests.settings import EXTENSIONS
from tests.simulation.calls import Signal, enterprise_name
from tests.simulation.run import Run
from tests.simulation.scenario import MAX_ENTERPRISES, OF_A_NODE, OF_MOYSKLAD, Fault, Kind, Trouble
from tests.strategies import EPOCH_MS

CARD_MS: Final = 2_700
"""1.5 s for the contact (PRODUCT C5), and two requests and the database's commits on a slow network."""

NARROW_MS: Final = 5_500
"""Where the account's limit is used up: a period, and what comes before it; more when there are many calls at once."""

HAND_OVER_MS: Final = 10_000
AFTERMATH_MS: Final = 8_000
"""After a fault of MoySklad's or the database's is over, retries and circuit breakers may still wait so long."""

HUNG_MS: Final = 15_000
"""A request that was sent while MoySklad hung is waited for so long, though it hangs no more (its transport's limit)."""


def delays(run: Run) -> Iterator[str]:
    """Cards that came, or went, too late."""
    scenario = run.scenario
    if scenario.broken or scenario.store_broken or scenario.lost or scenario.refused or scenario.unmapped:
        return
    first: dict[tuple[str, int], Signal] = {}
    for signal in run.signals:
        if isinstance(signal.event, DialObserved | HangupObserved):
            key = (signal.enterprise, signal.call)
            if isinstance(signal.event, DialObserved) and signal.event.direction is not Direction.INTERNAL and key not in first:
                first[key] = signal
                yield from _shown_late(run, signal)
            elif isinstance(signal.event, HangupObserved) and _is_last(run, signal):
                yield from _hidden_late(run, signal)


def _shown_late(run: Run, dial: Signal) -> Iterator[str]:
    assert isinstance(dial.event, DialObserved)
    heard_ms = run.acknowledged.get(dial.key)
    ours = [extension for extension in dial.event.extensions if extension in EXTENSIONS]
    if heard_ms is None or not ours:
        return
    allowed = _allowed_ms(run, dial, heard_ms)
    if allowed is None or _something_else(run, dial, heard_ms - 1_500, heard_ms + allowed):
        return
    shown = run.cloud.shown.get((dial.enterprise, _external_id(dial)), [])
    came = [at_ms - heard_ms for at_ms, extension in shown if extension in ours and at_ms >= heard_ms]
    if not came or min(came) > allowed:
        yield f"{_external_id(dial)}: the card of {ours} came after {min(came, default=None)} ms, not within {allowed} ms"


def _hidden_late(run: Run, hangup: Signal) -> Iterator[str]:
    key = (hangup.enterprise, _external_id(hangup))
    heard_ms = run.acknowledged.get(hangup.key)
    if heard_ms is None or key not in run.cloud.shown:
        return
    allowed = _allowed_ms(run, hangup, heard_ms)
    if allowed is None or max(at_ms for at_ms, _ in run.cloud.shown[key]) > heard_ms:
        return
    went_ms = run.cloud.cleared.get(key)
    if went_ms is None or went_ms - heard_ms > allowed:
        after_ms = None if went_ms is None else went_ms - heard_ms
        yield f"{key[1]}: its cards went {after_ms} ms after the hangup, not within {allowed} ms"


def _external_id(signal: Signal) -> str:
    return f"{signal.enterprise}-{signal.stream.removeprefix('call/')}"


def _is_last(run: Run, hangup: Signal) -> bool:
    """The hangup that ends its call, of which nothing else comes later than it."""
    if hangup.call >= len(run.scenario.calls) or run.scenario.calls[hangup.call].kind is Kind.RECORDING:
        return False
    mine = [signal for signal in run.signals if signal.enterprise == hangup.enterprise and signal.call == hangup.call]
    heard = [run.acknowledged.get(signal.key) for signal in mine if not _downloaded(signal)]
    at_ms = run.acknowledged.get(hangup.key)
    if at_ms is None or _downloaded(hangup) or None in heard:
        return False
    return at_ms >= max(at for at in heard if at is not None)


def _downloaded(signal: Signal) -> bool:
    return isinstance(signal.event, HangupObserved) and signal.event.downloaded


def _something_else(run: Run, dial: Signal, from_ms: int, to_ms: int) -> bool:
    """Whether another signal of the same call was heard meanwhile, or a later one before: then another card may be wanted."""
    for signal in run.signals:
        if signal is not dial and (signal.enterprise, signal.call) == (dial.enterprise, dial.call):
            heard_ms = run.acknowledged.get(signal.key, from_ms)
            if from_ms <= heard_ms <= to_ms or (heard_ms <= from_ms and signal.said_ms >= dial.said_ms):
                return True
    return False


def _allowed_ms(run: Run, signal: Signal, heard_ms: int) -> int | None:
    """How long it may take for what was heard then; None: the scenario explains any delay."""
    allowed = CARD_MS + (NARROW_MS * max(1, len(run.scenario.calls) // 2) if run.scenario.tight else 0)
    at_ms = heard_ms - EPOCH_MS
    troubled: set[int] = set()
    for fault in run.scenario.faults:
        if fault.trouble in OF_A_NODE:
            if fault.at_ms - 1_000 <= at_ms + allowed and at_ms <= fault.at_ms + fault.for_ms + HAND_OVER_MS:
                troubled.add(fault.where % run.scenario.nodes)
        elif _concerns(run, fault, signal.enterprise) and (
            fault.at_ms - allowed - HAND_OVER_MS <= at_ms <= fault.at_ms + fault.for_ms + _aftermath_ms(fault)
        ):
            return None
    if not troubled:
        return allowed
    if len(troubled) == run.scenario.nodes:
        return None
    return allowed + HAND_OVER_MS


def _aftermath_ms(fault: Fault) -> int:
    return AFTERMATH_MS + (HUNG_MS if fault.trouble is Trouble.HANGS else 0)


def _concerns(run: Run, fault: Fault, enterprise: str) -> bool:
    if fault.trouble not in OF_MOYSKLAD or fault.where < 0 or run.scenario.shared:
        return True
    return enterprise_name(fault.where % MAX_ENTERPRISES) == enterprise
