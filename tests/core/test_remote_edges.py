"""What we believe MoySklad has where an outcome says little: doubtful cards, a reason that is missing, whose refusal it was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.attempts import UNHURRIED_GUARD_MS, Attempt
from core.contact_state import CONTACT_ATTEMPTS, Contact
from core.effects import CreateOrder, FindEmployees, InspectCall, RegisterCall, UpdateCall
from core.events import EffectRefused, Exchange
from core.remote import Card, Written, is_account_wide
from tests.core.test_remote import (
    CREATE_FOR_THE_RECORD,
    FIND,
    FIND_FOR_THE_RECORD,
    REGISTER,
    REGISTERED,
    after,
    forgiven,
    timer,
    update,
)
from tests.scenario import deferred, done, failed, ms, refused, started


def test_only_a_write_in_doubt_makes_cards_doubtful() -> None:
    """What may stand counts both ways: it is hidden as well, and shown again."""
    assert REGISTERED.doubtful_cards == REGISTERED.cards_by_extension
    lost = after(started(update(timer("101", 3)), 2), remote=REGISTERED)
    assert lost.doubtful_cards == {"101": Card.UNSURE, "102": Card.SHOWN}
    not_sent = after(failed(update(timer("101", 3)), 2.1, ambiguous=False), remote=lost)
    assert not_sent.doubtful_cards == REGISTERED.cards_by_extension


ORDER = CreateOrder(sync_id="s", contact="c", number="n", incoming=True, start_ms=ms(0))


@pytest.mark.parametrize(
    ("refusal", "forgotten"),
    [
        (refused(ORDER, 2, code=1021), True),
        (refused(ORDER, 2, code=1045), False),
        (refused(update(comment="x"), 2, code=1021), False),
    ],
)
def test_a_retry_order_looks_for_the_customer_anew_only_where_an_order_did_not_find_him(
    refusal: EffectRefused, forgotten: bool
) -> None:
    remote = forgiven(after(done(FIND, 1, contact="c"), refusal, remote=REGISTERED))
    assert (remote.contact.id, remote.linked) == ((None, None) if forgotten else ("c", "c"))


def test_a_retry_order_waits_no_longer_for_a_contact_that_failed_before_it() -> None:
    assert forgiven(after(failed(FIND_FOR_THE_RECORD, 1))).contact.failed_ms is None


def test_whatever_gave_no_reason_has_one() -> None:
    assert after(deferred(FIND_FOR_THE_RECORD, 1, 2, reason="")).deferred == "deferred"
    tries = [failed(FIND_FOR_THE_RECORD, at, error="") for at in range(1, CONTACT_ATTEMPTS + 1)]
    assert after(*tries).contact.exhausted == "unavailable"
    nameless: dict[str, Any] = {"101": {}}
    assert after(done(FindEmployees(extensions=("101",), deadline_ms=9), 1, employees=nameless)).employees == (("101", ""),)
    assert after(done(FindEmployees(extensions=("101",)), 1, employees=nameless)).employees == (("101", None),)


@pytest.mark.parametrize(
    ("code", "status", "of_everything"),
    [
        *((code, 400, True) for code in (1056, 1061, 55008)),
        (None, 401, True),
        (1000, 401, False),
        (None, 402, False),
        (1000, 400, False),
    ],
)
def test_which_refusals_are_of_the_whole_account(code: int | None, status: int, of_everything: bool) -> None:
    refusal = replace(refused(REGISTER, 1, code=code), exchanges=(Exchange(status=status),))
    assert is_account_wide(refusal) is of_everything
    assert is_account_wide(refused(REGISTER, 1, code=code, sent=False)), "nothing was sent any more"


def test_a_registration_without_an_owner_names_nobody() -> None:
    remote = after(started(REGISTER, 1, "r"), done(REGISTER, 1.1, "r", call="m", contact="c"))
    assert (remote.linked, remote.linked_owner) == ("c", "")


def test_whoever_was_made_need_not_be_looked_for() -> None:
    assert after(done(CREATE_FOR_THE_RECORD, 1, contact="c")).contact == Contact(id="c", searched=True)


def test_recordings_that_are_late_stay_so_while_something_else_is_written_until_they_come_or_cannot_any_more() -> None:
    sent, rest, look = update(recordings=("r1", "r2")), update(comment="c"), InspectCall(call="m")
    tried = (started(sent, 2, "a"), failed(sent, 2.1, "a"), done(look, 3, recordings=[]))
    late = after(*tried, started(rest, 3), done(rest, 4), remote=REGISTERED)
    until = 2 + UNHURRIED_GUARD_MS / 1000
    assert (late.attempt, late.late, late.late_until_ms) == (None, ("r1", "r2"), ms(until))
    one = after(done(look, 10, recordings=["r2"]), remote=late)
    assert (one.late, one.late_until_ms) == (("r1",), ms(until))
    for gone in (after(done(look, 11, recordings=["r2", "r1"]), remote=one), after(done(look, until, recordings=[]), remote=one)):
        assert (gone.late, gone.late_until_ms) == ((), None)


def test_recordings_of_a_row_that_existed_are_looked_for_as_if_they_had_been_sent_now() -> None:
    complete = RegisterCall(external_id="x", number="n", incoming=True, start_ms=ms(0), recordings=("r1",))
    remote = after(started(complete, 1), done(complete, 2, call="m", existed=True))
    told = UpdateCall(external_id="x", call="m", recordings=("r1",))
    assert remote.attempt == Attempt(key="existed", effect=told, at_ms=ms(2))


@pytest.mark.parametrize(
    "field", [{"extension": "101"}, {"employee": "e"}, {"comment": "c"}, {"recordings": ("r1",)}, {"end_ms": ms(9)}]
)
def test_each_field_that_was_written_is_known_to_be(field: dict[str, Any]) -> None:
    assert after(done(update(**field), 2), remote=REGISTERED).written == Written(**field)
