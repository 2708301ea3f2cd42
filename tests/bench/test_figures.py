"""Figures: the middle of the rounds, ratios round by round, what counts as met, and what a person and a program are told."""

from __future__ import annotations

import math

import pytest

from bench.figures import Figure, Report, Spread, as_json, as_markdown, as_text, number, quantile, ratio, spread


def figure(value: float, target: float | None, *, at_most: bool = False) -> Figure:
    return Figure(
        row="append",
        what="ours / theirs",
        value=Spread(median=value, low=value, high=value, rounds=1),
        unit="×",
        target=target,
        at_most=at_most,
        beside={"ours": "10/s"},
        limit="a flush",
        doubt="it was loud",
    )


def test_a_spread_is_the_middle_the_least_and_the_greatest() -> None:
    assert spread([3.0, 1.0, 2.0, 9.0, 4.0]) == Spread(median=3.0, low=1.0, high=9.0, rounds=5)


def test_ratios_are_taken_round_by_round() -> None:
    """The machine was half as fast in the second round: the ratio does not show it."""
    assert ratio([10.0, 5.0, 10.0], [20.0, 10.0, 20.0]) == Spread(median=0.5, low=0.5, high=0.5, rounds=3)


def test_a_baseline_that_did_nothing_is_not_beaten_by_any_number() -> None:
    assert math.isinf(ratio([1.0], [0.0]).median)


def test_rounds_without_a_partner_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio([1.0, 2.0], [1.0])


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 50), (0.99, 99), (1.0, 100)])
def test_a_quantile_is_one_of_the_values(share: float, expected: int) -> None:
    assert quantile(list(range(100, 0, -1)), share) == expected


def test_nothing_measured_is_no_figure() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])
    with pytest.raises(ValueError, match="nothing was measured"):
        quantile([], 0.5)


@pytest.mark.parametrize(
    ("value", "target", "at_most", "met"),
    [
        (0.7, 0.7, False, True),
        (0.69, 0.7, False, False),
        (5.0, 5.0, True, True),
        (5.1, 5.0, True, False),
        (math.nan, 5.0, True, False),
        (1.0, None, False, None),
    ],
)
def test_what_counts_as_met(value: float, target: float | None, at_most: bool, met: bool | None) -> None:
    assert figure(value, target, at_most=at_most).met is met


def test_the_report_says_everything_in_every_form() -> None:
    report = Report(
        at="now",
        machine={"machine": "2 cores"},
        size="tiny",
        figures=(figure(0.5, 0.7), figure(0.9, 0.7), figure(1.0, None)),
        failed={"disk": "it was full"},
    )
    text = as_text(report)
    for said in ("2 cores", "NOT MET", "≥ 0.7 ×", "ours: 10/s", "the machine: a flush", "but: it was loud", "disk: NOT MEASURED"):
        assert said in text
    assert text.endswith("1 of 2 targets met\n")
    told = as_json(report)
    assert [each["met"] for each in told["figures"]] == [False, True, None]
    assert told["failed"] == {"disk": "it was full"}
    table = as_markdown(report)
    assert table.count("\n| append |") == 3
    assert "**no**" in table
    assert "| disk | not measured |" in table


@pytest.mark.parametrize(("value", "said"), [(12_345.6, "12,346"), (0.7341, "0.734"), (math.inf, "inf"), (5.0, "5")])
def test_numbers_have_as_many_digits_as_one_needs(value: float, said: str) -> None:
    assert number(value) == said
