"""What would have happened to an imported call, in words and as JSON."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from core.history_file import HistoryFile, stored_of
from core.rerun import Rerun, rerun
from core.stand_in import StandIn
from projections.import_text import as_json, told
from tests.scenario import events, ms
from tests.settings import MS_CONFIG
from tests.world import ENTERPRISE

RING = "0 A start\n0.5 A dial 101 102\n20 A hangup - end=20\n"


def imported(table: str = RING) -> tuple[HistoryFile, Rerun]:
    heard = events(table)
    history = HistoryFile(enterprise=ENTERPRISE, call="A", config=MS_CONFIG, stored=stored_of(heard), until_ms=ms(600))
    run = rerun(
        heard,
        enterprise=ENTERPRISE,
        call="A",
        settings=history.settings,
        limits=history.limits,
        until_ms=history.until_ms,
        moysklad=StandIn(generous=True),
    )
    return history, run


def test_a_call_in_words() -> None:
    lines = list(told(*imported(), ZoneInfo("Europe/Minsk")))
    assert lines[0] == "2026-11-23 15:30:00  from +375290000001: missed  (A)"
    text = "\n".join(lines)
    assert "    comment: Пропущенный вызов (звонили: 101, 102)" in text
    assert "    card 101: shown 15:30:00, hidden 15:30:20 (the card belongs on a screen: SHOW 101, SHOW 102)" in text


def test_an_internal_call_is_from_a_colleague() -> None:
    for said, number, words in (("101", "101", "internal, 101: internal"), ("anonymous", "", "internal: internal")):
        found = imported(f"0 A dial 102 internal number={said}\n20 A hangup 102 internal answered number={said} end=20\n")
        assert next(told(*found, ZoneInfo("Europe/Minsk"))).endswith(f"  {words}  (A)")
        assert as_json(*found)["number"] == number


def test_a_call_as_json() -> None:
    found = as_json(*imported())
    assert (found["call"], found["direction"], found["phase"], found["facts"]["outcome"]) == ("A", "in", "settled", "missed")
    assert [each["card"] for each in found["facts"]["card 102"]] == ["shown", "hidden"]
    assert found["because"]["card 101"] == "the card belongs on a screen: SHOW 101, SHOW 102"
