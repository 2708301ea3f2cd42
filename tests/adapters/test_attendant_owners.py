"""Whose a client is that a call makes: asked for within the limits of its record, also where MoySklad is away."""

from __future__ import annotations

from core.decisions import Limits
from core.effects import CreateContact, Deferred, Effect, FindContact, FindEmployees, RegisterCall, Way, way_of
from core.events import CallSettled, EffectStarted
from tests.adapters.reactor_rig import reactor_rig
from tests.adapters.test_attendant import calls_away, outcomes
from tests.scenario import ms
from tests.settings import settings_with

LIMITS = Limits()


async def test_whose_a_client_is_can_be_asked_for_after_the_outage_in_which_he_was_called() -> None:
    at = reactor_rig(door=calls_away, away=lambda effect: way_of(effect) is not Way.JSON)
    at.settings.settings = settings_with(mapped=(), notify_outgoing=False)
    at.gateway.model.employees["101"] = "uuid-101"
    stream = await at.hear_and_attend("A", "0 A dial out 101\n9 A hangup out 101 answered")
    await at.let_pass(ms(3_600))
    at.gateway.door, at.gateway.away = (lambda effect, nth: None), (lambda effect: False)
    await at.let_pass(ms(3_700))
    assert [type(effect) for effect in at.gateway.asked] == [FindContact, FindEmployees, CreateContact, RegisterCall]
    assert [effect.owner for effect in at.gateway.asked if isinstance(effect, CreateContact)] == ["uuid-101"]
    assert len(outcomes(await at.history(stream))) <= 8, "an hour away does not fill the history"


async def test_a_record_waits_for_whose_its_client_is_only_once_however_often_that_is_put_off() -> None:
    def busy(effect: Effect, nth: int) -> Exception | None:
        return Deferred("no room", retry_after_ms=400) if isinstance(effect, FindEmployees) else None

    at = reactor_rig(door=busy)
    at.settings.settings = settings_with(mapped=(), notify_outgoing=False)
    stream = await at.hear_and_attend("A", "0 A dial out 101\n9 A hangup out 101 answered")
    await at.let_pass(ms(60))
    history = await at.history(stream)
    (settled,) = [event for event in history if isinstance(event, CallSettled)]
    made, registered = [event for event in history if isinstance(event, EffectStarted)]
    assert (made.effect["type"], registered.effect["type"]) == (CreateContact.type, RegisterCall.type)
    assert registered.at_ms <= settled.at_ms + LIMITS.record_wait_ms
    assert len(outcomes(history)) <= 8, "each time it is put off is no news"
