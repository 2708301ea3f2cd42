"""Turn the appends of many callers into the arrays of one ``append_batch`` call, and its answer into each one's result.

Pure: no connection is touched here. The arrays and outcomes are described in ``migrations/0002_append_batch.sql``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from core.errors import VersionConflict
from core.ports import Append, Appended, StreamId

APPENDED: Final = 0
DIGEST_KNOWN: Final = 1
IDS_KNOWN: Final = 2
CONFLICT: Final = 3


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """An append with the data of its events already as JSON."""

    append: Append
    data: tuple[bytes, ...]


def arguments(items: Sequence[Item], *, check_ids: bool) -> tuple[Any, ...]:
    """The arguments of ``append_batch`` for these items, in their order."""
    streams: dict[tuple[str, str], int] = {}
    marks: dict[tuple[str, bytes], int] = {}
    item_stream: list[int] = []
    item_mark: list[int] = []
    events: list[tuple[int, int, str, str, UUID, str, int, bytes]] = []
    for number, item in enumerate(items, 1):
        append = item.append
        enterprise, name, digest = append.stream.enterprise, append.stream.name, append.digest
        item_stream.append(streams.setdefault((enterprise, name), len(streams) + 1))
        item_mark.append(0 if digest is None else marks.setdefault((enterprise, digest), len(marks) + 1))
        for nth, (event, data) in enumerate(zip(append.events, item.data, strict=True), 1):
            events.append((number, nth, enterprise, name, event.id, event.type, event.schema, data))
    return (
        *_columns(streams, 2),
        *_columns(marks, 2),
        item_stream,
        item_mark,
        [len(item.data) for item in items],
        [item.append.expected_version for item in items],
        [item.append.due_ms for item in items],
        *_columns(events, 8),
        check_ids,
    )


def _columns(rows: Collection[tuple[Any, ...]], width: int) -> Sequence[Sequence[Any]]:
    return tuple(zip(*rows, strict=True)) if rows else ((),) * width


def results(items: Sequence[Item], row: Mapping[str, Any], *, own: Sequence[bool]) -> list[Appended | VersionConflict]:
    """Each item's result. ``own``: an earlier attempt of ours may have recorded it, so known ids are no duplicate."""
    answers: list[Appended | VersionConflict] = []
    for item, mine, outcome, version, position, stream in zip(
        items, own, row["outcome"], row["found_version"], row["found_position"], row["found_stream"], strict=True
    ):
        named = item.append.stream
        if outcome == APPENDED:
            answers.append(Appended(stream=named, version=version, position=position))
            continue
        if outcome == CONFLICT:
            expected = item.append.expected_version
            answers.append(VersionConflict(named, -1 if expected is None else expected, version))
            continue
        duplicate = outcome == DIGEST_KNOWN or not mine
        if stream != named.name:
            named = StreamId(enterprise=named.enterprise, name=stream)
        answers.append(Appended(stream=named, version=version, position=position, duplicate=duplicate))
    return answers
