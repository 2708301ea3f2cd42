"""Bytes into lines: however they come in pieces, and never more of them held than allowed."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from adapters.http.lines import HEAD_BYTES, Backlog, Line, Splitter

LIMIT = 10
texts = st.binary(max_size=40) | st.lists(st.sampled_from([b"\n", b"\r\n", b" ", b"a", b"x" * LIMIT, b"{}"]), max_size=30).map(
    b"".join
)


def split(pieces: list[bytes], limit: int = LIMIT) -> list[Line]:
    splitter = Splitter(limit)
    return [line for piece in pieces for line in splitter.feed(piece)] + list(splitter.end())


@given(texts, st.lists(st.integers(0, 300), max_size=12))
def test_however_the_bytes_come_the_lines_are_the_same(text: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    assert split([text[start:end] for start, end in pairwise(places)]) == split([text])


@given(texts)
def test_the_lines_are_those_of_the_text(text: bytes) -> None:
    told = [line for line in text.split(b"\n") if line.strip() or len(line) > LIMIT]
    found = split([text])
    assert [line.number for line in found] == list(range(1, len(told) + 1))
    assert [(line.text if line.whole else None) for line in found] == [line if len(line) <= LIMIT else None for line in told]


def test_a_blank_line_is_no_line_and_the_last_one_needs_no_end() -> None:
    found = split([b"\n  \r\n\t\na\n\r\n\nb"])
    assert found == [Line(number=1, text=b"a"), Line(number=2, text=b"b")]


def test_a_line_over_the_limit_is_skipped_to_its_end_and_its_beginning_is_kept() -> None:
    splitter = Splitter(1_000_000)
    for _ in range(100):
        assert list(splitter.feed(b"x" * 60_000)) == []
        assert len(splitter._part) <= 1_000_000
    assert list(splitter.feed(b"y\nz\n")) == [
        Line(number=1, text=b"x" * HEAD_BYTES, whole=False),
        Line(number=2, text=b"z"),
    ]


async def test_whoever_reads_waits_for_room() -> None:
    backlog = Backlog(2, 100)
    for number in (1, 2):
        await backlog.put(Line(number=number, text=b"x"))
    third = asyncio.create_task(backlog.put(Line(number=3, text=b"x")))
    assert not (await asyncio.wait({third}, timeout=0))[0]
    assert [line.number for line in await backlog.take(1)] == [1]
    await third
    backlog.end()
    assert [line.number for line in await backlog.take(9)] == [2, 3]
    assert await backlog.take(9) == []


async def test_bytes_count_too_but_one_line_always_finds_room() -> None:
    backlog = Backlog(100, 10)
    await backlog.put(Line(number=1, text=b"x" * 50))
    second = asyncio.create_task(backlog.put(Line(number=2, text=b"x")))
    assert not (await asyncio.wait({second}, timeout=0))[0]
    assert [line.number for line in await backlog.take(9)] == [1]
    await second
    assert len(backlog) == 1


async def test_whoever_works_waits_for_a_line_or_the_end() -> None:
    backlog = Backlog(100, 100)
    taking = asyncio.create_task(backlog.take(9))
    assert not (await asyncio.wait({taking}, timeout=0))[0]
    await backlog.put(Line(number=1, text=b"x"))
    assert [line.number for line in await taking] == [1]
    taking = asyncio.create_task(backlog.take(9))
    assert not (await asyncio.wait({taking}, timeout=0))[0]
    backlog.end()
    assert await taking == []
