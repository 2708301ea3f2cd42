"""``./ms.sh import``: old logs in, what would have happened out (PRODUCT F3). No request is sent, whatever the settings say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final

import orjson

from adapters.counted import counted
from adapters.importing import Import, imported, keep, refuse_unless_empty
from adapters.service import Service
from core.decisions import Limits
from core.history_file import HistoryFile
from core.rerun import Rerun
from core.settings import is_secret_field, read_object

TOLD_SKIPPED: Final = 20
"""Lines told one by one that could not be understood; the rest are counted."""

EVERY: Final = 10_000
"""Signals between two words about how far it has come."""

USUAL: Final[Mapping[str, Any]] = {
    "enabled": True,
    "integration_code": "(set)",
    "notifications": {"call_notify_mode": "during", "notify_incoming": True, "notify_outgoing": True},
}
"""The settings where none are given: cards for everybody, every call recorded, no clients made."""

Echo = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How an imported call is told, as text and as JSON; ``echo`` gets the answer, ``complain`` the rest."""

    lines: Callable[[HistoryFile, Rerun, tzinfo], Iterator[str]]
    as_json: Callable[[HistoryFile, Rerun], dict[str, Any]]
    echo: Echo
    complain: Echo
    json: bool = False


async def import_logs(
    files: tuple[Path, ...],
    enterprise: str,
    settings: Path | None,
    told: Told,
    *,
    zone: tzinfo,
    limits: Limits,
    opened: Callable[[], AbstractAsyncContextManager[Service]] | None = None,
) -> int:
    """Tell what would have happened; with ``opened`` put it into that database, which must be empty. Returns the exit status."""
    config = dict(USUAL) if settings is None else _config(settings)

    def progress(count: int) -> None:
        if count % EVERY == 0:
            told.complain(counted(count, "signal"))

    found = await imported(files, enterprise, config, zone=zone, limits=limits, done=progress)
    for each in found.calls:
        if told.json:
            told.echo(orjson.dumps(told.as_json(each.history, each.run)).decode())
        else:
            for line in told.lines(each.history, each.run, zone):
                told.echo(line)
    for line in _sum(found):
        told.complain(line)
    if opened is not None:
        async with opened() as service:
            told.complain(await _kept(found, service, enterprise, config))
    return 0 if found.calls else 1


async def _kept(found: Import, service: Service, enterprise: str, config: Mapping[str, Any]) -> str:
    # Calls keep the settings that they began under, and under these nothing is left to do, whatever is set later.
    known = await service.settings.current(enterprise)
    if known is not None and known.config:
        raise ValueError(f"enterprise {enterprise} has settings in this database: import into a new one")
    await refuse_unless_empty(service.store)
    plain = {name: value for name, value in config.items() if not is_secret_field(name)}
    current = await service.settings.save(enterprise, plain, by="import", reason="the settings of an import")
    count = await keep(found, service.store, enterprise, revision=current.revision)
    await service.runner.catch_up()
    return f"kept under revision {current.revision}: {counted(count, 'event')}; ./ms.sh serve shows them, and sends nothing"


def _config(path: Path) -> dict[str, Any]:
    try:
        config = read_object(orjson.loads(path.read_bytes()))
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    inner = config.get("ms")
    return dict(inner) if isinstance(inner, Mapping) else config


def _sum(found: Import) -> Iterator[str]:
    wrong = [(file, each) for file, each in found.skipped if not each.passed_over]
    for file, each in wrong[:TOLD_SKIPPED]:
        yield f"{file}, line {each.line}: left out: {each.reason}"
    if len(wrong) > TOLD_SKIPPED:
        yield f"… and {counted(len(wrong) - TOLD_SKIPPED, 'more line')} that could not be understood"
    passed = Counter(each.reason for _, each in found.skipped if each.passed_over)
    for reason, count in passed.most_common(TOLD_SKIPPED):
        yield f"{counted(count, 'row')} passed over: {reason}"
    yield (
        f"{counted(found.signals, 'signal')}, {found.repeated:,} of them repeated, {counted(len(found.calls), 'call')}; "
        f"{counted(len(wrong), 'line')} left out; no request was sent"
    )
