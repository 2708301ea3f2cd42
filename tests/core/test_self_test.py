"""The test call is an ordinary call; only its comment differs, and it makes nobody a client."""

from __future__ import annotations

from typing import Any

import pytest

from core.call import Call, fold, initial
from core.decisions import Limits
from core.effects import FindContact, RegisterCall
from core.events import DialObserved, EffectDone, HangupObserved
from core.phone import normalise_number
from core.plan import plan
from core.record import final_record
from core.self_test import COMMENT, NUMBER, PREFIX, is_test
from core.settings import Settings, parse_settings
from core.values import Direction

SETTINGS: Settings = parse_settings(
    {
        "enabled": True,
        "integration_code": "key",
        "api_token": "token",
        "notifications": {"call_notify_mode": "during"},
        "incoming_call_actions": {"create_client": True},
        "employee_mapping": {"101": "0c0d1b5c-0a5c-4c3e-8f0e-000000000001"},
    }
)


def ringing(call_id: str, *more: Any) -> Call:
    dial = DialObserved(heard_ms=1_000, channel=call_id, direction=Direction.INCOMING, number=NUMBER, extensions=("101",))
    return fold(initial("0367", call_id), [dial, *more])


def looked_up(call: Call) -> EffectDone:
    step = plan(call, SETTINGS, 1_000, Limits()).step
    assert step is not None
    assert isinstance(step.effect, FindContact)
    effect = {"type": "find_contact", "number": NUMBER, "deadline_ms": 2_500}
    return EffectDone(key=step.key, at_ms=1_010, effect=effect, result={"contact": None})


@pytest.mark.parametrize(("call_id", "is_marked"), [(f"{PREFIX}0001795436000-abc123", True), ("1757840723.6", False)])
def test_it_is_marked_from_the_beginning_and_makes_no_client(call_id: str, is_marked: bool) -> None:
    call = ringing(call_id, looked_up(ringing(call_id)))
    step = plan(call, SETTINGS, 1_020, Limits()).step
    assert step is not None
    assert is_test(call_id) is is_marked
    if is_marked:
        assert isinstance(step.effect, RegisterCall)
        assert step.effect.comment == COMMENT
        assert step.effect.cards
    else:
        assert step.effect.type == "create_contact"


def test_its_record_says_what_it_is_however_it_ended() -> None:
    for answered in (True, False):
        hangup = HangupObserved(
            heard_ms=5_000, channel="x", direction=Direction.INCOMING, number=NUMBER, extensions=("101",), answered=answered
        )
        assert final_record(ringing(f"{PREFIX}1-a", hangup), SETTINGS).comment == COMMENT


def test_its_number_is_kept_as_it_is() -> None:
    assert normalise_number(NUMBER) == NUMBER
