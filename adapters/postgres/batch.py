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
    """The arguments of ``sql/append_batch.sql`` for these items, in their order; columns of whole numbers as text."""
    streams: dict[tuple[str, str], int] = {}
    marks: dict[tuple[str, bytes], int] = {}
    item_stream: list[int] = []
    item_mark: list[int] = []
    event_item: list[int] = []
    event_nth: list[int] = []
    event_schema: list[int] = []
    events: list[tuple[str, str, UUID, str]] = []
    for number, item in enumerate(items, 1):
        append = item.append
        enterprise, name, digest = append.stream.enterprise, append.stream.name, append.digest
        item_stream.append(streams.setdefault((enterprise, name), len(streams) + 1))
        item_mark.append(0 if digest is None else marks.setdefault((enterprise, digest), len(marks) + 1))
        for nth, event in enumerate(append.events, 1):
            event_item.append(number)
            event_nth.append(nth)
            event_schema.append(event.schema)
            events.append((enterprise, name, event.id, event.type))
    return (
        *_columns(streams, 2),
        *_columns(marks, 2),
        _whole_numbers(item_stream),
        _whole_numbers(item_mark),
        _whole_numbers([len(item.data) for item in items]),
        _whole_numbers([item.append.expected_version for item in items]),
        _whole_numbers([item.append.due_ms for item in items]),
        _whole_numbers(event_item),
        _whole_numbers(event_nth),
        *_columns(events, 4),
        _whole_numbers(event_schema),
        [data for item in items for data in item.data],
        check_ids,
    )


def _whole_numbers(values: Sequence[int | None]) -> str:
    """An array as PostgreSQL reads it from text. asyncpg asks of each element whether it is an array itself, of a number twice."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


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
