"""A verdict on one call: what would be otherwise, why, and what is not the settings' doing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.decisions import Limits
from core.events import EffectDone, EffectStarted, Event
from core.known_as import Known
from core.settings import Settings, parse_settings
from core.what_if import Question, Verdict, judge
from tests.scenario import given, ms
from tests.settings import MS_CONFIG, SETTINGS, employee_id, settings_with
from tests.world import ENTERPRISE

TALK = (
    "0 A start\n0.5 A dial 101 102\n5 A enter b1 customer\n5 A enter b1 101\n35 A leave b1 101\n35 A leave b1 customer\n"
    "35.4 A hangup 101 answered end=35\n"
)
MISSED = "0 A start\n0.5 A dial 101 102\n20 A hangup - end=20\n"


def asked(other: Settings | None, *, settings: Settings = SETTINGS, events: list[Event] | None = None) -> Verdict:
    world = given(TALK, settings=settings).finished().world
    return judge(
        Question(
            enterprise=ENTERPRISE,
            call="A",
            events=tuple(events or world.streams["call/A"]),
            settings=settings,
            other=other,
            limits=Limits(),
            until_ms=world.now_ms,
        )
    )


def test_the_same_settings_and_the_same_code_change_nothing() -> None:
    for other in (None, SETTINGS):
        verdict = asked(other)
        assert not verdict.differs
        assert (verdict.changes, verdict.anyway, verdict.assumed, verdict.parted) == ((), (), (), "")
    assert (verdict.start_ms, verdict.number, verdict.direction, verdict.outcome) == (ms(0), "+375290000001", "in", "answered")


def test_a_card_that_would_also_be_shown_with_both_reasons() -> None:
    verdict = asked(SETTINGS, settings=settings_with(notify_incoming=False))
    change = next(each for each in verdict.changes if each.about == "card 102")
    assert (change.was, change.was_because) == (None, "the settings show no cards for incoming calls")
    assert [each["card"] for each in change.would] == ["shown", "hidden"]
    assert change.would_because == "the card belongs on a screen: SHOW 101, SHOW 102"


def test_who_is_meant_is_known_where_something_differs() -> None:
    other = parse_settings({**MS_CONFIG, "employee_mapping": {**MS_CONFIG["employee_mapping"], "101": employee_id("102")}})
    verdict = asked(other)
    (change,) = (each for each in verdict.changes if each.about == "whose card 101")
    assert verdict.known[change.was] == Known(name="Сотрудник 101", extensions=("101",))
    assert verdict.known[change.would] == Known(name="Сотрудник 102", extensions=("102", "101"))
    assert asked(None).known == {}


def test_a_client_who_would_not_be_made() -> None:
    (contact, client) = asked(settings_with(create_incoming=False)).changes
    assert (contact.about, client.about, client.would) == ("contact", "client made", None)
    assert client.would_because == "not in MoySklad, and the settings do not create clients for this direction"


def test_an_order_and_a_task_that_would_be_made() -> None:
    (order,) = asked(settings_with(order="always")).changes
    assert (order.about, order.was, order.would["contact"]) == ("create order", None, "contact-1")
    world = given(MISSED).finished().world
    question = Question(
        enterprise=ENTERPRISE,
        call="A",
        events=tuple(world.streams["call/A"]),
        settings=SETTINGS,
        other=settings_with(task="on_missed"),
        limits=Limits(),
        until_ms=world.now_ms,
    )
    verdict = judge(question)
    (task,) = verdict.changes
    assert (task.about, task.would["number"]) == ("create task", "+375290000001")
    assert verdict.assumed == ("the record does not say whose task it would be: taken as this call's",)


@pytest.mark.parametrize(
    ("was", "other", "because"),
    [
        ({"order": "always"}, {"order": "none"}, ""),  # the settings do not ask for it: nothing is remarked
        ({"order": "always"}, {"order": "always", "main_api": False}, "no order without a main API token in the settings"),
        ({"order": "always"}, {"order": "always", "enabled": False}, "the integration is switched off"),
        ({"task": "on_missed"}, {"task": "none"}, ""),
        ({"task": "on_missed"}, {"task": "on_missed", "main_api": False}, "no task without a main API token in the settings"),
    ],
)
def test_an_order_and_a_task_that_would_not_be_made(was: dict[str, Any], other: dict[str, Any], because: str) -> None:
    about, table = ("create order", TALK) if "order" in was else ("create task", MISSED)
    settings = settings_with(**was)
    world = given(table, settings=settings).finished().world
    verdict = judge(
        Question(
            enterprise=ENTERPRISE,
            call="A",
            events=tuple(world.streams["call/A"]),
            settings=settings,
            other=settings_with(**other),
            limits=Limits(),
            until_ms=world.now_ms,
        )
    )
    (change,) = (each for each in verdict.changes if each.about == about)
    assert (change.would, change.would_because) == (None, because)


def old_code() -> list[Event]:
    """The record of a code that never started a card's timer."""
    events: list[Event] = []
    for event in given(TALK).finished().world.streams["call/A"]:
        if isinstance(event, EffectStarted | EffectDone) and event.effect.get("cards"):
            kept = [card for card in event.effect["cards"] if card["action"] != "STARTTIME"]
            events.append(replace(event, effect={**event.effect, "cards": kept}))
        else:
            events.append(event)
    return events


def test_what_today_s_code_does_otherwise_is_found() -> None:
    verdict = asked(None, events=old_code())
    (change,) = verdict.changes
    assert change.about == "card 101"
    assert [each["card"] for each in change.was] == ["shown", "hidden"]
    assert [each["card"] for each in change.would] == ["shown", "timing", "hidden"]
    assert verdict.parted == "the record asks for another update_call than the run"


def test_what_is_not_the_settings_doing_is_told_apart() -> None:
    verdict = asked(settings_with(create_incoming=False), events=old_code())
    assert {change.about for change in verdict.changes} == {"contact", "client made"}
    assert [change.about for change in verdict.anyway] == ["card 101"]
    assert verdict.differs
    only = asked(SETTINGS, events=old_code())
    assert (only.changes, only.differs, [each.about for each in only.anyway]) == ((), False, ["card 101"])
