"""A click's row: what the page shows, folded from its events alone."""

from __future__ import annotations

import re
from pathlib import Path

from core.clicks import ClickEvent, ClickMatched, ClickRefused, ClickRequested, OriginateDone, OriginateFailed, OriginateStarted
from projections import clicks

UPSERT = (Path(clicks.__file__).parent / "sql" / "clicks_upsert.sql").read_text()
COLUMNS = tuple(re.findall(r"\w+", UPSERT.partition("(")[2].partition(")")[0]))
T0 = 1_795_436_000_000
NUMBER = "+375290000001"
REQUESTED = ClickRequested(at_ms=T0, extension="101", number=NUMBER, uid="ivanov@demo", signature="wrong")
STARTED = OriginateStarted(at_ms=T0 + 20, way="http", channel_id="click-a", extension="101", number=NUMBER)


def row(*events: ClickEvent | None) -> dict[str, object]:
    return dict(zip(COLUMNS, clicks._row("0367", "click/a", events), strict=True))


def test_who_wanted_whom_and_what_became_of_it() -> None:
    found = row(REQUESTED, STARTED, OriginateDone(at_ms=T0 + 60), ClickMatched(at_ms=T0 + 99, call="1.1"))
    assert found == {
        "enterprise": "0367", "click": "a", "at_ms": T0, "stage": "joined", "extension": "101", "number": NUMBER,
        "uid": "ivanov@demo", "signature": "wrong", "way": "http", "error": "", "remedy": "", "ambiguous": False, "call": "1.1",
        "repeats": 0, "version": 4,
    }  # fmt: skip


def test_why_it_rang_nobody() -> None:
    failed = OriginateFailed(at_ms=T0 + 60, error="no", remedy="do", ambiguous=True)
    assert [row(REQUESTED, STARTED, failed)[name] for name in ("stage", "error", "remedy", "ambiguous")] == [
        "doubted", "no", "do", True,
    ]  # fmt: skip
    refused = row(ClickRefused(at_ms=T0, error="no", remedy="do", extension="x", number="*72"))
    assert [refused[name] for name in ("stage", "extension", "number", "error")] == ["refused", "x", "*72", "no"]


def test_what_a_newer_service_wrote_is_passed_over() -> None:
    assert row(REQUESTED, None)["stage"] == "waiting"
