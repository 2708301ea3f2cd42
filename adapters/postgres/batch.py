"""Turn the appends of many callers into the arrays of one ``append_batch`` call, and its answer into each one's result.

Pure: no connection is touched here. The arrays and outcomes are described in ``migrations/0002_append_batch.sql``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.errors import VersionConflict
from core.ports import Append, Appended, StreamId

APPENDED: Final = 0
DIGEST_KNOWN: Final = 1
IDS_KNOWN: Final = 2
CONFLICT: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An append with the data of its events already as JSON."""

    append: Append
    data: tuple[bytes, ...]


@dataclass(slots=True)
class _Arrays:
    """The arguments of ``append_batch`` in their order."""

    stream_enterprise: list[str] = field(default_factory=list)
    stream_name: list[str] = field(default_factory=list)
    mark_enterprise: list[str] = field(default_factory=list)
    mark_digest: list[bytes] = field(default_factory=list)
    item_stream: list[int] = field(default_factory=list)
    item_mark: list[int] = field(default_factory=list)
    item_events: list[int] = field(default_factory=list)
    item_expected: list[int | None] = field(default_factory=list)
    item_due: list[int | None] = field(default_factory=list)
    event_item: list[int] = field(default_factory=list)
    event_nth: list[int] = field(default_factory=list)
    event_enterprise: list[str] = field(default_factory=list)
    event_stream: list[str] = field(default_factory=list)
    event_id: list[Any] = field(default_factory=list)
    event_type: list[str] = field(default_factory=list)
    event_schema: list[int] = field(default_factory=list)
    event_data: list[bytes] = field(default_factory=list)


def arguments(items: Sequence[Item], *, check_ids: bool) -> tuple[Any, ...]:
    """The arguments of ``append_batch`` for these items, in their order."""
    arrays = _Arrays()
    streams: dict[tuple[str, str], int] = {}
    marks: dict[tuple[str, bytes], int] = {}
    for number, item in enumerate(items, 1):
        append = item.append
        enterprise, name = append.stream.enterprise, append.stream.name
        place = streams.setdefault((enterprise, name), len(streams) + 1)
        mark = 0 if append.digest is None else marks.setdefault((enterprise, append.digest), len(marks) + 1)
        arrays.item_stream.append(place)
        arrays.item_mark.append(mark)
        arrays.item_events.append(len(append.events))
        arrays.item_expected.append(append.expected_version)
        arrays.item_due.append(append.due_ms)
        for nth, (event, data) in enumerate(zip(append.events, item.data, strict=True), 1):
            arrays.event_item.append(number)
            arrays.event_nth.append(nth)
            arrays.event_enterprise.append(enterprise)
            arrays.event_stream.append(name)
            arrays.event_id.append(event.id)
            arrays.event_type.append(event.type)
            arrays.event_schema.append(event.schema)
            arrays.event_data.append(data)
    for enterprise, name in streams:
        arrays.stream_enterprise.append(enterprise)
        arrays.stream_name.append(name)
    for enterprise, digest in marks:
        arrays.mark_enterprise.append(enterprise)
        arrays.mark_digest.append(digest)
    return (*(getattr(arrays, name) for name in _Arrays.__slots__), check_ids)


def results(items: Sequence[Item], row: Mapping[str, Any], *, own: Sequence[bool]) -> list[Appended | VersionConflict]:
    """Each item's result. ``own``: an earlier attempt of ours may have recorded it, so known ids are no duplicate."""
    answers: list[Appended | VersionConflict] = []
    for item, mine, outcome, version, position, stream in zip(
        items, own, row["outcome"], row["found_version"], row["found_position"], row["found_stream"], strict=True
    ):
        named = item.append.stream
        if outcome == CONFLICT:
            expected = item.append.expected_version
            answers.append(VersionConflict(named, -1 if expected is None else expected, version))
            continue
        duplicate = outcome == DIGEST_KNOWN or (outcome == IDS_KNOWN and not mine)
        if stream is not None and stream != named.name:
            named = StreamId(enterprise=named.enterprise, name=stream)
        answers.append(Appended(stream=named, version=version, position=position, duplicate=duplicate))
    return answers
