"""What makes whoever waits for a call's customer wait, and when it ends. What is planned by it: ``test_contact_plan.py``."""

from __future__ import annotations

import pytest
from msgspec import structs

from core.contact_state import CONTACT_AGAIN_MS, CONTACT_ATTEMPTS
from core.effects import Effect, RegisterCall
from core.events import AnyOutcome
from tests.core.test_remote import (
    CREATE,
    CREATE_FOR_THE_RECORD,
    FIND,
    FIND_FOR_THE_RECORD,
    REGISTER,
    REGISTERED,
    after,
)
from tests.scenario import deferred, done, failed, ms, refused, started


@pytest.mark.parametrize("effect", [FIND, CREATE])
def test_at_the_deadline_the_card_gives_the_contact_up_and_nothing_is_held_back(effect: Effect) -> None:
    before = after(started(CREATE, 1), failed(effect, 1.4, retry=9))
    assert before.contact.gave_up == ""
    assert before.contact.retry_ms == ms(10.4)
    late = after(started(CREATE, 1), failed(effect, 1.5, error="slow", retry=9))
    assert (late.contact.gave_up, late.contact.exhausted) == ("slow", "")
    assert (late.attempt, late.contact.failures, late.contact.retry_ms) == (None, 0, None)
    assert after(failed(effect, 1.5, error="")).contact.gave_up == "deadline"


@pytest.mark.parametrize("effect", [FIND_FOR_THE_RECORD, CREATE_FOR_THE_RECORD])
def test_the_record_waits_for_the_contact_only_so_often(effect: Effect) -> None:
    assert CONTACT_ATTEMPTS == 4
    tries = [failed(effect, number, error="down", retry=1) for number in range(1, CONTACT_ATTEMPTS + 1)]
    waiting = after(*tries[:-1])
    assert (waiting.contact.exhausted, waiting.contact.failures) == ("", CONTACT_ATTEMPTS - 1)
    assert waiting.contact.retry_ms == ms(CONTACT_ATTEMPTS)
    tired = after(*tries)
    assert (tired.contact.exhausted, tired.contact.failures, tired.contact.retry_ms, tired.attempt) == ("down", 0, None, None)


def test_a_registered_call_goes_on_asking_for_its_contact() -> None:
    remote = after(*[failed(FIND_FOR_THE_RECORD, number) for number in range(1, 9)], remote=REGISTERED)
    assert (remote.contact.exhausted, remote.contact.failures) == ("", 8)


def test_failures_of_the_contact_and_of_the_call_are_counted_apart() -> None:
    """Where both APIs fail, a registration's waits would begin anew with each contact that is given up."""
    unsent = [failed(REGISTER, at, ambiguous=False, retry=60) for at in range(1, 6)]
    remote = after(*unsent, failed(FIND_FOR_THE_RECORD, 6, retry=30))
    for effect, failures in ((REGISTER, 5), (FIND, 1), (CREATE, 1)):
        assert remote.failures_of(effect) == failures
    assert (remote.retry_ms, remote.retry_of) == (ms(65), RegisterCall.type)
    given_up: tuple[AnyOutcome, ...] = (
        *[failed(FIND_FOR_THE_RECORD, at) for at in range(7, 7 + CONTACT_ATTEMPTS)],
        failed(FIND, 7),
        deferred(FIND, 7, until=60),
        refused(FIND, 7),
        done(FIND, 7, contact="c"),
        done(CREATE, 7, contact="c"),
    )
    for outcome in given_up:
        without = after(outcome, remote=remote)
        assert (without.failures, without.retry_ms) == (5, ms(65))
    assert after(*given_up[:CONTACT_ATTEMPTS], remote=remote).contact.exhausted


@pytest.mark.parametrize("effect", [FIND, CREATE])
@pytest.mark.parametrize("outcome", [done(REGISTER, 2, call="m"), refused(REGISTER, 2)])
def test_what_comes_of_the_call_leaves_the_contact_waiting(effect: Effect, outcome: AnyOutcome) -> None:
    waiting = after(failed(effect, 1, retry=60)).contact
    assert after(failed(effect, 1, retry=60), outcome).contact == waiting


@pytest.mark.parametrize("effect", [FIND, CREATE])
def test_until_when_it_is_waited_for_is_known_from_the_last_time_it_was_asked_for_in_vain(effect: Effect) -> None:
    for outcome in (failed(effect, 1), deferred(effect, 1, until=1.2)):
        assert after(outcome).contact.waits_until_ms == ms(1.5)
    for answered in (done(FIND, 1.3, contact=None), done(CREATE, 1.3, contact="c"), refused(FIND, 1.3), failed(effect, 1.6)):
        assert after(failed(effect, 1), answered).contact.waits_until_ms is None


@pytest.mark.parametrize("effect", [FIND, CREATE])
def test_a_record_waits_for_a_contact_that_the_card_could_not_wait_for(effect: Effect) -> None:
    late = after(failed(effect, 1.5))
    assert late.contact.gave_up
    asked_for_the_record = structs.replace(effect, deadline_ms=ms(30))
    for outcome in (failed(asked_for_the_record, 20), deferred(asked_for_the_record, 20, until=21)):
        waits = after(outcome, remote=late).contact
        assert (waits.gave_up, waits.waits_until_ms) == ("", ms(30))


def test_where_nothing_of_the_account_can_be_told_nothing_waits_for_the_contact() -> None:
    assert after(deferred(FIND, 1, until=1.2), deferred(FIND_FOR_THE_RECORD, 1.2, until=9)).contact.waits_until_ms is None


def test_a_look_up_that_comes_too_late_leaves_another_writes_attempt_alone() -> None:
    """A registration that is tried again has the key and the sequence numbers of its last attempt."""
    unsent = after(started(REGISTER, 0.5, "r"), failed(REGISTER, 0.6, "r", ambiguous=False))
    assert after(failed(FIND, 1.5), remote=unsent).attempt == unsent.attempt


def test_when_the_contact_failed_last_is_known_however_it_did() -> None:
    tries = [failed(FIND_FOR_THE_RECORD, at) for at in range(1, CONTACT_ATTEMPTS + 1)]
    for count in range(1, CONTACT_ATTEMPTS + 1):
        assert after(*tries[:count]).contact.failed_ms == ms(count)
    assert after(started(CREATE_FOR_THE_RECORD, 1), failed(CREATE_FOR_THE_RECORD, 7)).contact.failed_ms == ms(7)


def test_a_card_that_gave_its_contact_up_leaves_no_failure_behind() -> None:
    given_up = after(failed(FIND, 1), deferred(FIND, 1.2, until=1.5))
    assert (given_up.contact.failures, given_up.contact.retry_ms, given_up.contact.failed_ms) == (0, None, ms(1.2))


@pytest.mark.parametrize("outcome", [failed(REGISTER, 9), deferred(REGISTER, 9, 12)])
def test_a_contact_that_failed_is_tried_once_more_where_the_call_could_not_be_registered_either(outcome: AnyOutcome) -> None:
    tired = after(*[failed(FIND_FOR_THE_RECORD, at) for at in range(1, CONTACT_ATTEMPTS + 1)], started(REGISTER, 8.9))
    again = after(outcome, remote=tired).contact
    assert (again.exhausted, again.failed_ms, again.again_ms) == ("", None, ms(9))
    found = after(done(FIND_FOR_THE_RECORD, 1, contact="c"), started(REGISTER, 8.9), outcome).contact
    assert found.again_ms is None, "whoever was found needs no look-up"
    untried = after(started(REGISTER, 8.9), outcome).contact
    assert untried.again_ms is None, "nothing was given up"


def test_so_is_one_that_was_put_off_until_the_record_waited_no_longer() -> None:
    """The JSON API was known to be away before the other was."""
    put_off = after(deferred(structs.replace(FIND_FOR_THE_RECORD, deadline_ms=ms(11)), 1, until=2))
    again = after(deferred(REGISTER, 11, 20), remote=put_off).contact
    assert (again.waits_until_ms, again.again_ms) == (None, ms(11))
    once = after(started(REGISTER, 11), failed(REGISTER, 11.2), remote=put_off).contact
    assert once == put_off.contact, "one failure of the other API is no outage of all: its record does not wait for an hour"


def test_it_is_asked_for_right_before_its_record_is_sent_again() -> None:
    tired = after(*[failed(FIND_FOR_THE_RECORD, at) for at in range(1, CONTACT_ATTEMPTS + 1)])
    record = structs.replace(REGISTER, end_ms=ms(8))
    for registering, asked_for_ms in ((record, ms(309)), (REGISTER, None)):  # the latter shows a card
        again = after(started(registering, 8.9), failed(registering, 9, retry=300), remote=tired).contact
        assert (again.again_ms, again.retry_ms) == (ms(9), asked_for_ms)


def test_a_long_outage_is_told_of_the_contact_now_and_then() -> None:
    tired = after(*[failed(FIND_FOR_THE_RECORD, at) for at in range(1, CONTACT_ATTEMPTS + 1)], deferred(REGISTER, 9, 12))
    later = 9 + CONTACT_AGAIN_MS / 1_000
    assert after(deferred(REGISTER, later - 1, later), remote=tired).contact == tired.contact
    assert after(deferred(REGISTER, later, later + 9), remote=tired).contact.again_ms == ms(later)
