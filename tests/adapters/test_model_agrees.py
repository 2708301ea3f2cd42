"""The pure model of MoySklad and the sandbox behind the real gateway hold the same after the same effects.

Thousands of generated histories run against the model; this is what makes their verdict count.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from msgspec import structs

from core.effects import (
    CardAction,
    CardEvent,
    ConfirmCall,
    CreateContact,
    Effect,
    FindContact,
    FindEmployees,
    InspectCall,
    Refused,
    RegisterCall,
    UpdateCall,
)
from tests.adapters.moysklad.support import NOW_MS, Rig, facing_sandbox
from tests.moysklad_model import MoySkladModel, Repeated

NUMBER = "+79160000099"  # nobody's in the demo account
BEGAN_MS = NOW_MS - 60_000
BEHAVIOURS = list(Repeated)
Held = dict[str, Any]


class Both:
    """The model and the sandbox side by side: performs an effect on each and keeps the ids apart."""

    def __init__(self, rig: Rig, repeated: Repeated) -> None:
        self.rig = rig
        self.model = MoySkladModel(
            repeated=repeated, employees={extension: rig.employee_id(extension) for extension in rig.inside.by_extension}
        )
        self.calls: dict[str, str] = {}
        self.contacts: dict[str, str] = {}

    async def perform(self, *effects: Effect) -> list[Held]:
        """What each effect came to, the same for both; asserts that it is."""
        results: list[Held] = []
        for effect in effects:
            ours = self.model.perform(effect).result
            theirs = (await self.rig.perform(self._translated(effect))).result
            self._learn(ours, theirs)
            results.append(self._agreed(effect, ours, theirs))
        return results

    async def refused(self, effect: Effect) -> None:
        """Both say no for good."""
        with pytest.raises(Refused):
            self.model.perform(effect)
        with pytest.raises(Refused):
            await self.rig.perform(effect)

    def same(self) -> list[Held]:
        """Every row that both hold; asserts that they do."""
        ours = [
            {
                "id": self.calls.get(row.id, row.id),
                "external_id": row.external_id,
                "number": row.number,
                "incoming": row.incoming,
                "start_ms": row.start_ms,
                "contact": self.contacts.get(row.contact, row.contact) or None,
                "extension": row.extension or None,
                "employee": row.employee or None,
                "end_ms": row.end_ms,
                "comment": row.comment or None,
                "recordings": row.recordings,
                "events": [(event.action.value, event.sequence, event.extension or None) for event in row.events],
                "screens": row.screens(),
            }
            for row in self.model.rows
        ]
        theirs = [self._row(row) for row in self.rig.calls()]
        assert ours == theirs
        return ours

    def _row(self, row: Any) -> Held:
        return {
            "id": row.id,
            "external_id": row.external_id,
            "number": row.number,
            "incoming": row.is_incoming,
            "start_ms": row.start_ms,
            "contact": row.counterparty_id,
            "extension": row.extension,
            "employee": row.employee_id,
            "end_ms": row.end_ms,
            "comment": row.comment,
            "recordings": row.record_urls,
            "events": [(event.event_type, event.sequence, event.extension) for event in row.events],
            "screens": {
                screen: "timing" if cards[row.id].timer_started_ms is not None else "shown"
                for screen, cards in self.rig.inside.open_cards.items()
                if row.id in cards
            },
        }

    def _translated(self, effect: Effect) -> Effect:
        match effect:
            case UpdateCall() | InspectCall():
                return structs.replace(effect, call=self.calls.get(effect.call, effect.call))
            case RegisterCall() if effect.contact:
                return structs.replace(effect, contact=self.contacts[effect.contact])
            case _:
                return effect

    def _learn(self, ours: Held, theirs: Held) -> None:
        for key, known in (("call", self.calls), ("contact", self.contacts)):
            if ours.get(key) and theirs.get(key):
                assert known.setdefault(ours[key], theirs[key]) == theirs[key]

    def _agreed(self, effect: Effect, ours: Held, theirs: Held) -> Held:
        assert (ours.get("call") is None) == (theirs.get("call") is None)
        assert (ours.get("contact") is None) == (theirs.get("contact") is None)
        if isinstance(effect, InspectCall):
            assert ours["recordings"] == theirs["recordings"]
        if isinstance(effect, FindEmployees):
            there = {extension: {"id": employee["id"]} if employee else None for extension, employee in theirs["employees"].items()}
            assert ours["employees"] == there
        return {"model": ours, "sandbox": theirs}


@pytest.fixture(params=BEHAVIOURS, ids=[behaviour.value for behaviour in BEHAVIOURS])
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    """Both, under each behaviour of a repeated externalId; the sandbox matches no numbers by itself, as the model does not."""
    async with facing_sandbox(repeated_external_id=request.param.value, number_match="off") as rig:
        yield Both(rig, request.param)


def show(extension: str, sequence: int) -> CardEvent:
    return CardEvent(action=CardAction.SHOW, sequence=sequence, extension=extension)


def card(action: CardAction, extension: str, sequence: int) -> CardEvent:
    return CardEvent(action=action, sequence=sequence, extension=extension)


def registration(*cards: CardEvent, **fields: Any) -> RegisterCall:
    fields = {"external_id": "0367-1.1", "number": NUMBER, "incoming": True, "start_ms": BEGAN_MS, **fields}
    return RegisterCall(cards=cards, **fields)


def update(*cards: CardEvent, **fields: Any) -> UpdateCall:
    return UpdateCall(external_id="0367-1.1", call="call-1", cards=cards, start_ms=BEGAN_MS, **fields)


def only(rows: Sequence[Held]) -> Held:
    (row,) = rows
    return row


async def test_a_whole_call_with_its_cards(both: Both) -> None:
    await both.perform(registration(show("101", 1), show("102", 2)))
    assert only(both.same())["screens"] == {"101": "shown", "102": "shown"}
    await both.perform(update(card(CardAction.STARTTIME, "101", 3), card(CardAction.HIDE, "102", 4)))
    assert only(both.same())["screens"] == {"101": "timing"}
    await both.perform(
        update(
            CardEvent(action=CardAction.HIDE_ALL, sequence=5),
            extension="101",
            employee=both.rig.employee_id("101"),
            end_ms=BEGAN_MS + 30_000,
            comment="x",
            recordings=("https://rec.example/1",),
        )
    )
    row = only(both.same())
    assert (row["screens"], row["end_ms"], row["extension"]) == ({}, BEGAN_MS + 30_000, "101")


async def test_a_complete_registration(both: Both) -> None:
    employee = both.rig.employee_id("102")
    await both.perform(
        registration(
            extension="102", employee=employee, end_ms=BEGAN_MS + 5_123, comment="y", recordings=("https://rec.example/1",)
        )
    )
    row = only(both.same())
    assert (row["end_ms"], row["employee"], row["recordings"]) == (BEGAN_MS + 5_123, employee, ["https://rec.example/1"])


async def test_what_is_filled_is_not_overwritten_but_the_comment_and_recordings_are_appended(both: Both) -> None:
    first, second = both.rig.employee_id("101"), both.rig.employee_id("102")
    await both.perform(
        registration(),
        update(extension="101", employee=first, end_ms=BEGAN_MS + 1_000, comment="one", recordings=("https://rec.example/1",)),
        update(extension="102", employee=second, end_ms=BEGAN_MS + 2_000, comment="two", recordings=("https://rec.example/1",)),
    )
    row = only(both.same())
    assert (row["extension"], row["employee"], row["end_ms"], row["comment"]) == ("101", first, BEGAN_MS + 1_000, "two")
    assert row["recordings"] == ["https://rec.example/1"] * 2


async def test_repeated_card_events_show_nothing_twice(both: Both) -> None:
    again = update(card(CardAction.STARTTIME, "101", 2))
    await both.perform(registration(show("101", 1)), again, again)
    row = only(both.same())
    assert (row["screens"], len(row["events"])) == ({"101": "timing"}, 3)


async def test_a_card_that_is_hidden_comes_back_without_its_timer(both: Both) -> None:
    await both.perform(
        registration(show("101", 1)),
        update(card(CardAction.STARTTIME, "101", 2), card(CardAction.HIDE, "101", 3)),
        update(show("101", 4)),
    )
    assert only(both.same())["screens"] == {"101": "shown"}


async def test_showing_a_card_whose_timer_runs(both: Both) -> None:
    await both.perform(registration(show("101", 1)), update(card(CardAction.STARTTIME, "101", 2)), update(show("101", 3)))
    both.same()


async def test_a_repeated_registration(both: Both) -> None:
    first = registration(show("101", 1))
    repeated = registration(show("102", 2), start_ms=BEGAN_MS + 5_000, end_ms=BEGAN_MS + 9_000)
    results = await both.perform(first, repeated)
    rows = both.same()
    if both.model.repeated is Repeated.DOUBLED:
        assert len(rows) == 2
        assert not results[1]["sandbox"].get("existed")
    else:
        assert only(rows)["end_ms"] is None  # nothing of the second one arrived
        assert results[1]["model"]["existed"]
        assert results[1]["sandbox"]["existed"]


async def test_an_identical_registration_that_is_answered_with_the_first_row_cannot_be_told_from_a_new_one(both: Both) -> None:
    results = await both.perform(registration(show("101", 1)), registration(show("101", 1)))
    both.same()
    told = bool(results[1]["sandbox"].get("existed"))
    assert told is (both.model.repeated is Repeated.REFUSED)


async def test_looking_for_a_call_changes_nothing_and_finds_it_only_when_it_is_there(both: Both) -> None:
    (absent,) = await both.perform(ConfirmCall(external_id="0367-1.1"))
    assert absent["sandbox"]["call"] is None
    await both.perform(registration(show("101", 1), comment="x"))
    before = both.same()
    (found,) = await both.perform(ConfirmCall(external_id="0367-1.1"))
    assert found["sandbox"]["call"] == before[0]["id"]
    assert both.same() == before


async def test_recordings_are_read_back(both: Both) -> None:
    await both.perform(registration(), InspectCall(call="call-1"))
    await both.perform(update(recordings=("https://rec.example/1", "https://rec.example/2")))
    (result,) = await both.perform(InspectCall(call="call-1"))
    assert result["sandbox"]["recordings"] == ["https://rec.example/1", "https://rec.example/2"]


async def test_a_call_that_is_not_there_is_refused(both: Both) -> None:
    nowhere = "00000000-0000-4000-8000-00000000dead"
    await both.refused(InspectCall(call=nowhere))
    await both.refused(structs.replace(update(comment="x"), call=nowhere))


async def test_the_same_sync_id_makes_one_customer_who_is_found_and_linked(both: Both) -> None:
    create = CreateContact(number=NUMBER, sync_id="0f9b5b0e-0000-4000-8000-000000000001")
    missing, created, again, found = await both.perform(FindContact(number=NUMBER), create, create, FindContact(number=NUMBER))
    assert missing["sandbox"]["contact"] is None
    assert created["sandbox"]["contact"] == again["sandbox"]["contact"] == found["sandbox"]["contact"]
    (registered,) = await both.perform(registration(contact=created["model"]["contact"]))
    assert registered["sandbox"]["contact"] == created["sandbox"]["contact"]
    assert only(both.same())["contact"] == created["sandbox"]["contact"]


async def test_who_has_an_extension(both: Both) -> None:
    (result,) = await both.perform(FindEmployees(extensions=("101", "107")))
    assert result["sandbox"]["employees"]["107"] is None
