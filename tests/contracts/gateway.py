"""What every gateway to a CRM keeps to (``core.effects.Gateway``): one class, run by each with a far side of its own.

These are the promises the plan leans on: a call is registered once whatever is lost on the way, a look-up answers for everything it
was asked, a refusal is for good and says what helps, and whatever else goes wrong says whether it may have taken effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pytest
from msgspec import structs

from core.effects import (
    Account,
    CardAction,
    CardEvent,
    ConfirmCall,
    CreateContact,
    Effect,
    FindContact,
    FindEmployees,
    Gateway,
    InspectCall,
    Performed,
    Refused,
    RegisterCall,
    Turn,
    Unavailable,
    UpdateCall,
)

NUMBER = "+79160000099"  # nobody's customer yet
BEGAN_MS = 1_784_192_340_000
RECORDING = "https://records.example/1"
REGISTER = RegisterCall(external_id="0367-1.1", number=NUMBER, incoming=True, start_ms=BEGAN_MS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One call as the CRM has it; ``screens``: whose card is up."""

    external_id: str
    contact: str
    extension: str
    end_ms: int | None
    recordings: tuple[str, ...]
    screens: frozenset[str]


class Crm(Protocol):
    """A CRM under a test's control, and the gateway to it. ``101`` is somebody's extension, ``999`` nobody's."""

    @property
    def gateway(self) -> Gateway:
        """What is tested."""
        ...

    @property
    def account(self) -> Account:
        """Whose calls they are."""
        ...

    def calls(self) -> list[Kept]:
        """Every call it has, the first registered first."""
        ...

    def revoke(self) -> None:
        """From now on the account's key is no longer accepted."""
        ...

    def lose_one(self, *, after: bool) -> None:
        """The next request gets no answer; ``after``: it has taken effect all the same."""
        ...


async def perform(crm: Crm, effect: Effect, turn: Turn | None = None) -> Performed:
    """As the reactor does it."""
    async with crm.gateway.admitted(effect, crm.account, turn or Turn()) as admission:
        return await admission.perform(effect)


def card(action: CardAction, sequence: int, extension: str = "") -> CardEvent:
    """A card event."""
    return CardEvent(action=action, sequence=sequence, extension=extension)


class GatewayContract:
    """Subclass it and give a ``crm`` fixture."""

    async def test_a_call_is_found_once_it_is_registered_and_not_before(self, crm: Crm) -> None:
        assert (await perform(crm, ConfirmCall(external_id="0367-1.1"))).result["call"] is None
        registered = (await perform(crm, REGISTER)).result["call"]
        assert registered
        assert (await perform(crm, ConfirmCall(external_id="0367-1.1"))).result["call"] == registered
        assert [call.external_id for call in crm.calls()] == ["0367-1.1"]

    async def test_a_repeated_registration_names_the_same_call_and_makes_no_other(self, crm: Crm) -> None:
        first = (await perform(crm, REGISTER)).result
        again = (await perform(crm, structs.replace(REGISTER, start_ms=BEGAN_MS + 5_000))).result
        assert (again["call"], again["existed"]) == (first["call"], True)
        assert len(crm.calls()) == 1

    async def test_what_is_known_at_the_end_arrives_with_one_update(self, crm: Crm) -> None:
        call = (await perform(crm, REGISTER)).result["call"]
        end = UpdateCall(
            external_id="0367-1.1", call=call, extension="101", end_ms=BEGAN_MS + 60_000, recordings=(RECORDING,), comment="c"
        )
        await perform(crm, end)
        (kept,) = crm.calls()
        assert (kept.extension, kept.end_ms, kept.recordings) == ("101", BEGAN_MS + 60_000, (RECORDING,))
        assert (await perform(crm, InspectCall(call=call))).result["recordings"] == [RECORDING]

    async def test_cards_come_and_go(self, crm: Crm) -> None:
        shown = structs.replace(REGISTER, cards=(card(CardAction.SHOW, 1, "101"), card(CardAction.SHOW, 2, "102")))
        call = (await perform(crm, shown)).result["call"]
        assert crm.calls()[0].screens == {"101", "102"}
        hide = UpdateCall(external_id="0367-1.1", call=call, cards=(card(CardAction.HIDE, 3, "102"),))
        await perform(crm, hide)
        await perform(crm, hide)  # a request in doubt is repeated under its own numbers
        assert crm.calls()[0].screens == {"101"}
        await perform(crm, UpdateCall(external_id="0367-1.1", call=call, cards=(card(CardAction.HIDE_ALL, 4),)))
        assert crm.calls()[0].screens == frozenset()

    async def test_a_call_that_is_not_there_is_refused_for_good(self, crm: Crm) -> None:
        with pytest.raises(Refused) as caught:
            await perform(crm, UpdateCall(external_id="0367-9", call="00000000-0000-4000-8000-000000000009", comment="c"))
        assert caught.value.error

    async def test_a_customer_is_made_once_for_one_key_and_found_and_linked(self, crm: Crm) -> None:
        assert (await perform(crm, FindContact(number=NUMBER))).result["contact"] is None
        create = CreateContact(number=NUMBER, sync_id="6f0c9a4e-3d57-5a8f-9b50-0d6b0a4f3c11")
        made = (await perform(crm, create)).result["contact"]
        assert made
        assert (await perform(crm, create)).result["contact"] == made
        assert (await perform(crm, FindContact(number=NUMBER))).result["contact"] == made
        await perform(crm, structs.replace(REGISTER, contact=made))
        assert crm.calls()[0].contact == made

    async def test_every_extension_that_was_asked_for_is_answered(self, crm: Crm) -> None:
        found = (await perform(crm, FindEmployees(extensions=("101", "999")))).result["employees"]
        assert set(found) == {"101", "999"}
        assert found["101"]["id"]
        assert found["999"] is None

    async def test_a_key_that_is_no_longer_accepted_is_a_refusal_that_says_what_helps(self, crm: Crm) -> None:
        crm.revoke()
        for _ in range(2):  # also when it is known, and not asked for any more
            with pytest.raises(Refused) as caught:
                await perform(crm, REGISTER)
            assert caught.value.remedy
        assert crm.calls() == []

    @pytest.mark.parametrize("after", [False, True])
    async def test_a_lost_answer_is_in_doubt_and_looking_resolves_it(self, crm: Crm, after: bool) -> None:
        crm.lose_one(after=after)
        with pytest.raises(Unavailable) as caught:
            await perform(crm, REGISTER)
        assert caught.value.ambiguous
        found = (await perform(crm, ConfirmCall(external_id="0367-1.1"))).result["call"]
        assert (found is not None) is after
        assert len(crm.calls()) == after

    async def test_whoever_may_not_act_any_more_sends_nothing(self, crm: Crm) -> None:
        with pytest.raises(Unavailable) as caught:
            await perform(crm, REGISTER, Turn(permit=lambda: False))
        assert not caught.value.ambiguous
        assert crm.calls() == []

    async def test_nobody_is_away_who_has_just_answered(self, crm: Crm) -> None:
        await perform(crm, REGISTER)
        assert not crm.gateway.is_away(REGISTER, crm.account)
