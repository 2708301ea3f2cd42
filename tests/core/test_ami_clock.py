"""When something happened, by a clock that need not be ours and a connection that need not be quick."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ami_clock import LATEST_MS, SET_BACK_MS, WINDOW_MS, PbxClock, read

NOW_MS = 1_795_437_000_000


def stamp(ms: int) -> str:
    return f"{ms / 1_000:.6f}"


def heard(*pairs: tuple[int, int]) -> list[int]:
    """When messages happened, given each one's stamp (by the PBX's clock) and when it was heard."""
    clock, found = PbxClock(), []
    for said_ms, heard_ms in pairs:
        clock, at_ms = read(clock, stamp(said_ms), heard_ms)
        found.append(at_ms)
    return found


@pytest.mark.parametrize("off_ms", [0, 250, -250, 3_600_000, -3_600_000])
def test_what_comes_late_is_known_to_have_happened_earlier(off_ms: int) -> None:
    pbx = NOW_MS + off_ms
    assert heard((pbx, NOW_MS + 1), (pbx + 2_000, NOW_MS + 12_000)) == [NOW_MS + 1, NOW_MS + 2_001]


def test_the_quickest_message_shows_best_how_far_the_clocks_are_apart() -> None:
    assert heard((NOW_MS, NOW_MS + 400), (NOW_MS + 1_000, NOW_MS + 1_002), (NOW_MS + 2_000, NOW_MS + 2_300)) == [
        NOW_MS + 400,
        NOW_MS + 1_002,
        NOW_MS + 2_002,
    ]


def test_nothing_happens_in_the_future() -> None:
    assert heard((NOW_MS, NOW_MS + 500), (NOW_MS + 60_000, NOW_MS + 700)) == [NOW_MS + 500, NOW_MS + 700]


def test_a_clock_that_was_set_back_is_learned_anew() -> None:
    back = SET_BACK_MS + 1
    assert heard((NOW_MS, NOW_MS), (NOW_MS - back, NOW_MS + 100), (NOW_MS - back + 50, NOW_MS + 5_000)) == [
        NOW_MS,
        NOW_MS + 100,
        NOW_MS + 150,
    ]


def test_a_clock_that_was_set_forward_is_learned_at_once() -> None:
    assert heard((NOW_MS, NOW_MS), (NOW_MS + 3_600_000, NOW_MS + 100), (NOW_MS + 3_600_050, NOW_MS + 5_000))[1:] == [
        NOW_MS + 100,
        NOW_MS + 150,
    ]


def test_a_clock_that_drifts_is_followed() -> None:
    """A second an hour: after a while the lag of an hour ago does not count any more."""
    step_ms = WINDOW_MS // 2
    pairs = [(NOW_MS + n * step_ms - n * 10, NOW_MS + n * step_ms) for n in range(200)]
    assert all(pair[1] - at_ms <= 50 for pair, at_ms in zip(pairs, heard(*pairs), strict=True))


def test_what_is_absurdly_late_happened_now() -> None:
    late_ms = NOW_MS + LATEST_MS + 2_000
    assert heard((NOW_MS, NOW_MS), (NOW_MS + 1, late_ms)) == [NOW_MS, late_ms]


@pytest.mark.parametrize("text", ["", "x", "-1", "1.x", "٣٣٣٣٣٣٣٣٣٣", "9" * 30, "1795437000.", "12"])
def test_a_stamp_that_is_none_is_not_believed(text: str) -> None:
    _, at_ms = read(PbxClock(), text, NOW_MS)
    assert at_ms == NOW_MS


@given(st.lists(st.tuples(st.integers(-5_000, 5_000), st.integers(0, 100_000)), max_size=40))
def test_whatever_the_clock_does_the_moment_is_near_and_never_to_come(steps: list[tuple[int, int]]) -> None:
    clock, heard_ms = PbxClock(), NOW_MS
    for off_ms, later_ms in steps:
        heard_ms += later_ms
        clock, at_ms = read(clock, stamp(heard_ms + off_ms), heard_ms)
        assert heard_ms - LATEST_MS <= at_ms <= heard_ms
