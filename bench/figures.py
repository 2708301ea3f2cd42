"""What a measurement says: figures with their target, spread, physical limit and baseline, as text and as JSON. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

WIDTH: Final = 118


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Several rounds of one thing: the middle one, the least and the greatest."""

    median: float
    low: float
    high: float
    rounds: int


def spread(values: Sequence[float]) -> Spread:
    """Of at least one round. Raises ValueError for none: nothing was measured."""
    if not values:
        raise ValueError("nothing was measured")
    return Spread(median=statistics.median(values), low=min(values), high=max(values), rounds=len(values))


def ratio(ours: Sequence[float], baseline: Sequence[float]) -> Spread:
    """Ours by the baseline's, round by round, then the median: what disturbs the machine for a while disturbs both."""
    return spread([mine / theirs if theirs else float("inf") for mine, theirs in zip(ours, baseline, strict=True)])


def quantile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of them do not exceed (nearest rank). Raises ValueError for none."""
    if not values:
        raise ValueError("nothing was measured")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure. ``target`` is what it should reach (``at_most``: should not exceed); None: measured for information.

    ``limit``: what the machine itself allows, measured in the same run. ``beside``: the sides' own values and whatever else
    belongs to it. ``doubt``: why the figure proves less than it seems to, in this very run.
    """

    row: str
    what: str
    value: Spread
    unit: str
    target: float | None = None
    at_most: bool = False
    limit: str = ""
    beside: Mapping[str, str] = field(default_factory=dict)
    doubt: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target; None without one."""
        if self.target is None:
            return None
        return self.value.median <= self.target if self.at_most else self.value.median >= self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A run: when, where, how large, and what came of it. ``failed``: rows that could not be measured, and why."""

    at: str
    machine: Mapping[str, str]
    size: str
    figures: tuple[Figure, ...]
    failed: Mapping[str, str] = field(default_factory=dict)


def as_json(report: Report) -> dict[str, Any]:
    """The report for programs; each figure says whether it was met."""
    told: dict[str, Any] = msgspec.to_builtins(report)
    for line, figure in zip(told["figures"], report.figures, strict=True):
        line["met"] = figure.met
    return told


def number(value: float) -> str:
    """A figure in as many digits as a person needs."""
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def verdict(figure: Figure) -> str:
    """``met``, ``NOT MET``, or nothing where there is no target."""
    return {None: "", True: "met", False: "NOT MET"}[figure.met]


def wanted(figure: Figure) -> str:
    """The target in words."""
    if figure.target is None:
        return ""
    return f"{'≤' if figure.at_most else '≥'} {number(figure.target)} {figure.unit}".strip()


def as_text(report: Report) -> str:
    """The report for a person, row by row."""
    lines = [f"{report.at}, {report.size}", *(f"{name}: {value}" for name, value in report.machine.items())]
    row = ""
    for figure in report.figures:
        if figure.row != row:
            row = figure.row
            lines += ["", f"-- {row} {'-' * (WIDTH - len(row) - 4)}"]
        lines += _lines(figure)
    for name, reason in report.failed.items():
        lines += ["", f"-- {name}: NOT MEASURED: {reason}"]
    counted = [figure.met for figure in report.figures if figure.met is not None]
    lines += ["", f"{counted.count(True)} of {len(counted)} targets met"]
    return "\n".join(lines) + "\n"


def _lines(figure: Figure) -> list[str]:
    value = figure.value
    said = f"{number(value.median)} {figure.unit}"
    if value.rounds > 1:
        said += f"  ({number(value.low)} to {number(value.high)}, {value.rounds} rounds)"
    lines = [f"{figure.what}", f"    {said:<52} {wanted(figure):<24} {verdict(figure)}".rstrip()]
    lines += [f"    {name}: {text}" for name, text in figure.beside.items()]
    if figure.limit:
        lines.append(f"    the machine: {figure.limit}")
    if figure.doubt:
        lines.append(f"    but: {figure.doubt}")
    return lines


def as_markdown(report: Report) -> str:
    """The table for docs/performance.md."""
    lines = ["| row | what | figure | rounds | to reach | met | beside |", "|---|---|---|---|---|---|---|"]
    for figure in report.figures:
        value = figure.value
        rounds = f"{number(value.low)}–{number(value.high)} of {value.rounds}" if value.rounds > 1 else "1"
        beside = "; ".join([*(f"{name}: {text}" for name, text in figure.beside.items()), figure.limit, figure.doubt]).strip("; ")
        met = {None: "–", True: "yes", False: "**no**"}[figure.met]
        cells = (figure.row, figure.what, f"{number(value.median)} {figure.unit}", rounds, wanted(figure) or "–", met, beside)
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"| {name} | not measured | – | – | – | – | {reason} |" for name, reason in report.failed.items()]
    return "\n".join(lines) + "\n"
