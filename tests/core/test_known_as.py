"""Whom ids mean, from a record and from settings."""

from __future__ import annotations

from core.known_as import Known, known_as
from core.settings import parse_settings
from core.stand_in import StandIn


def test_names_and_extensions_of_both_and_customers() -> None:
    settings = parse_settings({"employee_mapping": {"101": {"employee_id": "u-1", "name": "Анна"}, "103": "u-1", "104": "u-9"}})
    record = StandIn(
        employees={"101": {"id": "u-1", "name": "Другая"}, "102": {"id": "u-2", "name": "Пётр"}, "105": None, "106": {"id": ""}},
        contacts=(("+375290000001", "c-1", "Ромашка"), ("+375290000002", "c-2", ""), ("+375290000003", None, "")),
    )
    assert known_as(record, (settings,)) == {
        "u-1": Known(name="Анна", extensions=("101", "103")),
        "u-9": Known(extensions=("104",)),
        "u-2": Known(name="Пётр", extensions=("102",)),
        "c-1": Known(name="Ромашка"),
        "c-2": Known(name="+375290000002"),
    }


def test_nothing_is_known_of_nobody() -> None:
    assert known_as(StandIn(), ()) == {}
