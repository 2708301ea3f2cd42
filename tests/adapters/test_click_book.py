"""The book of clicks: the same click is one over all instances, and limits hold over all of them."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from adapters.click_book import Line, Placed, PostgresClickBook, TooMany, place
from core.click_request import Wish
from core.clicks import EACH_HOUR, EACH_MINUTE, ENTERPRISE_MINUTE, REPEAT_MS

T0 = 1_795_436_000_000
WISH = Wish(extension="101", number="+375290000001", uid="ivanov@demo")


def line(click: str = "a", extension: str = "101", number: str = WISH.number, uid: str = WISH.uid, at_ms: int = T0) -> Line:
    return Line(click=click, extension=extension, number=number, uid=uid, at_ms=at_ms)


def test_the_same_within_the_window_is_a_repeat() -> None:
    assert place(WISH, T0 + REPEAT_MS - 1, [line()], ()) == Placed(click="a", repeated=True)
    fresh = place(WISH, T0 + REPEAT_MS, [line()], ())
    assert isinstance(fresh, Placed)
    assert not fresh.repeated


def test_another_instance_s_clock_may_be_ahead() -> None:
    assert place(WISH, T0, [line(at_ms=T0 + 1_500)], ()) == Placed(click="a", repeated=True)


@pytest.mark.parametrize("other", [line(extension="102"), line(number="+375290000002"), line(uid="petrov@demo")])
def test_anything_else_is_a_click_of_its_own(other: Line) -> None:
    found = place(WISH, T0, [other], ())
    assert isinstance(found, Placed)
    assert not found.repeated


def test_what_is_spent_repeats_nothing_but_counts() -> None:
    found = place(WISH, T0, [line()], ("a",))
    assert isinstance(found, Placed)
    assert not found.repeated
    many = [line(str(number)) for number in range(EACH_MINUTE)]
    assert isinstance(place(WISH, T0, many, [each.click for each in many]), TooMany)


def test_limits() -> None:
    def numbered(count: int, *, extension: str = "101", at_ms: int = T0) -> list[Line]:
        return [line(f"{extension}-{n}", extension, f"+37529111{n:04}", at_ms=at_ms) for n in range(count)]

    assert isinstance(place(WISH, T0, numbered(EACH_MINUTE - 1), ()), Placed)
    assert isinstance(place(WISH, T0, numbered(EACH_MINUTE), ()), TooMany)
    assert isinstance(place(WISH, T0 + 60_000, numbered(EACH_MINUTE), ()), Placed)
    assert isinstance(place(WISH, T0 + 90_000, numbered(EACH_HOUR), ()), TooMany)
    assert isinstance(place(WISH, T0, numbered(ENTERPRISE_MINUTE, extension="102"), ()), TooMany)
    assert isinstance(place(WISH, T0, numbered(ENTERPRISE_MINUTE - 1, extension="102"), ()), Placed)


# -- in the database -----------------------------------------------------------------------------------------------


@pytest.fixture
def book(pg_pool: asyncpg.Pool) -> PostgresClickBook:
    return PostgresClickBook(pg_pool)


async def test_deliveries_at_once_get_one_place(book: PostgresClickBook, pg_pool: asyncpg.Pool) -> None:
    other = PostgresClickBook(pg_pool)
    places = await asyncio.gather(*(each.place("0367", WISH, T0, ()) for each in (book, other) * 10))
    assert len({each.click for each in places if isinstance(each, Placed)}) == 1
    assert sum(not each.repeated for each in places if isinstance(each, Placed)) == 1


async def test_enterprises_are_apart(book: PostgresClickBook) -> None:
    first, second = await book.place("0367", WISH, T0, ()), await book.place("0368", WISH, T0, ())
    assert first != second
    assert await book.place("0367", WISH, T0, ()) == Placed(click=getattr(first, "click", ""), repeated=True)


async def test_a_flood_at_once_is_let_through_up_to_the_limit(book: PostgresClickBook) -> None:
    wishes = [Wish(extension="101", number=f"+3752900000{n:02}", uid="") for n in range(3 * EACH_MINUTE)]
    places = await asyncio.gather(*(book.place("0367", wish, T0, ()) for wish in wishes))
    assert sum(isinstance(each, Placed) for each in places) == EACH_MINUTE


async def test_what_no_limit_needs_is_forgotten(book: PostgresClickBook, pg_pool: asyncpg.Pool) -> None:
    await book.place("0367", WISH, T0, ())
    await book.prune(T0 + 3_600_000)
    assert await pg_pool.fetchval("SELECT count(*) FROM click_book") == 1
    await book.prune(T0 + 3 * 3_600_000)
    assert await pg_pool.fetchval("SELECT count(*) FROM click_book") == 0
