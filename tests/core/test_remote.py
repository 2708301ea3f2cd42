"""What we believe MoySklad has, folded from outcomes: above all, what is in doubt and what resolves it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from core.attempts import UNHURRIED_GUARD_MS
from core.contact_state import CONTACT_ATTEMPTS, Contact
from core.effects import (
    CardAction,
    CardEvent,
    ConfirmCall,
    CreateContact,
    Effect,
    FindContact,
    FindEmployees,
    InspectCall,
    RegisterCall,
    UpdateCall,
)
from core.events import AnyOutcome, EffectDeferred, EffectDone, EffectFailed, EffectRefused, EffectStarted, Exchange
from core.remote import (
    Card,
    Remote,
    Written,
    apply_outcome,
    draft_of,
    forgive,
    is_news,
    value_of,
)
from tests.scenario import deferred, done, failed, ms, refused, started


def show(extension: str, sequence: int = 1) -> CardEvent:
    return CardEvent(action=CardAction.SHOW, sequence=sequence, extension=extension)


def timer(extension: str, sequence: int = 1) -> CardEvent:
    return CardEvent(action=CardAction.STARTTIME, sequence=sequence, extension=extension)


def hide(extension: str, sequence: int = 1) -> CardEvent:
    return CardEvent(action=CardAction.HIDE, sequence=sequence, extension=extension)


HIDE_ALL = CardEvent(action=CardAction.HIDE_ALL, sequence=9)
REGISTER = RegisterCall(external_id="x", number="n", incoming=True, start_ms=ms(0), cards=(show("101", 1), show("102", 2)))
CONFIRM = ConfirmCall(external_id="x")
FIND = FindContact(number="n", deadline_ms=ms(1.5))
FIND_FOR_THE_RECORD = FindContact(number="n")
CREATE = CreateContact(number="n", sync_id="s", deadline_ms=ms(1.5))
CREATE_FOR_THE_RECORD = CreateContact(number="n", sync_id="s")


def update(*cards: CardEvent, recordings: tuple[str, ...] = (), **fields: object) -> UpdateCall:
    return UpdateCall(external_id="x", call="m", cards=cards, recordings=recordings, **fields)  # type: ignore[arg-type]


def forgiven(remote: Remote) -> Remote:
    draft = draft_of(remote)
    forgive(draft)
    return value_of(draft)


def after(*outcomes: AnyOutcome, remote: Remote | None = None) -> Remote:
    state = remote or Remote()
    for outcome in outcomes:
        state = apply_outcome(state, outcome)
    return state


def cards(remote: Remote) -> dict[str, str]:
    return {extension: card.value for extension, card in remote.cards}


REGISTERED = after(started(REGISTER, 1, "r"), done(REGISTER, 1.1, "r", call="m", contact="c"))


# -- a write from start to outcome ----------------------------------------------------------------------------------


def test_a_started_write_is_in_doubt_until_its_outcome() -> None:
    remote = after(started(REGISTER, 1, "r"))
    assert remote.attempt is not None
    assert (remote.attempt.key, remote.attempt.effect, remote.attempt.at_ms, remote.attempt.in_doubt) == (
        "r",
        REGISTER,
        ms(1),
        True,
    )
    assert (remote.started, remote.sequence) == (1, 2)
    assert remote.cards == ()


def test_a_registration_that_succeeded() -> None:
    assert (REGISTERED.call, REGISTERED.linked, REGISTERED.start_ms) == ("m", "c", ms(0))
    assert REGISTERED.attempt is None
    assert cards(REGISTERED) == {"101": "shown", "102": "shown"}
    assert REGISTERED.open_cards == ("101", "102")


def test_whom_moysklad_linked_counts_before_whom_we_asked_for() -> None:
    asked = RegisterCall(external_id="x", number="n", incoming=True, start_ms=0, contact="ours")
    assert after(done(asked, 1, call="m")).linked == "ours"
    assert after(done(asked, 1, call="m", contact="theirs")).linked == "theirs"
    assert after(done(REGISTER, 1, call="m")).linked is None


def test_an_update_moves_the_cards() -> None:
    remote = after(
        started(update(timer("101", 3), hide("102", 4)), 2), done(update(timer("101", 3), hide("102", 4)), 2), remote=REGISTERED
    )
    assert cards(remote) == {"101": "timing", "102": "hidden"}
    assert remote.open_cards == ("101",)
    assert remote.sequence == 4
    assert cards(after(done(update(HIDE_ALL), 3), remote=remote)) == {"101": "hidden", "102": "hidden"}


def test_the_sequence_never_goes_back() -> None:
    remote = after(started(update(hide("101", 7)), 2, "a"), started(update(hide("101", 3)), 3, "b"))
    assert (remote.sequence, remote.started) == (7, 2)
    assert after(started(update(end_ms=5), 4, "c"), remote=remote).sequence == 7


def test_what_is_written_is_never_overwritten_but_the_comment() -> None:
    first = update(extension="101", employee="e1", end_ms=ms(9), comment="one", recordings=("r1",))
    second = update(extension="102", employee="e2", end_ms=ms(10), comment="two", recordings=("r2", "r1"))
    remote = after(done(first, 1), done(second, 2), remote=REGISTERED)
    assert remote.written == Written(extension="101", employee="e1", end_ms=ms(9), comment="two", recordings=("r1", "r2"))
    assert after(done(update(), 3), remote=remote).written == remote.written
    assert after(done(update(end_ms=0), 1), done(update(end_ms=5), 2)).written.end_ms == 0


def test_a_success_clears_the_failures_and_a_look_that_was_answered_does_not() -> None:
    remote = after(failed(FIND_FOR_THE_RECORD, 1, retry=9), done(FIND_FOR_THE_RECORD, 2, contact=None))
    assert (remote.failures, remote.retry_ms) == (0, None)
    once = (started(REGISTER, 1), failed(REGISTER, 1.2, ambiguous=True), done(CONFIRM, 2, call=None))
    twice = after(*once, *once)
    assert (twice.failures, twice.retry_ms) == (2, None), "else the back-off begins anew with each look"
    assert after(*once[:2], done(CONFIRM, 6, call="m"), remote=twice).failures == 0


# -- a POST in doubt ------------------------------------------------------------------------------------------------


def test_a_lost_answer_leaves_the_registration_in_doubt_and_a_clear_failure_does_not() -> None:
    lost = after(started(REGISTER, 1), failed(REGISTER, 1.2, ambiguous=True, retry=3))
    clear = after(started(REGISTER, 1), failed(REGISTER, 1.2, ambiguous=False))
    assert lost.attempt is not None
    assert lost.attempt.in_doubt
    assert (lost.failures, lost.retry_ms) == (1, ms(4.2))
    assert clear.attempt is not None
    assert not clear.attempt.in_doubt


def test_a_confirmed_registration_was_carried_out_with_its_cards() -> None:
    remote = after(started(REGISTER, 1), failed(REGISTER, 1.2), done(CONFIRM, 2, call="m", contact="c"))
    assert (remote.call, remote.linked, remote.attempt) == ("m", "c", None)
    assert cards(remote) == {"101": "shown", "102": "shown"}
    assert remote.start_ms == ms(0)


def test_a_registration_that_is_not_there_is_absent_since_it_was_looked_for() -> None:
    remote = after(started(REGISTER, 1, "r"), failed(REGISTER, 1.2), done(CONFIRM, 2, call=None))
    assert remote.call is None
    assert remote.absent_ms == ms(2)
    assert remote.attempt is not None
    assert (remote.attempt.in_doubt, remote.attempt.key) == (False, "r")


def test_an_answer_that_was_read_late_says_how_it_was_when_it_was_asked() -> None:
    """The instance was stopped for half a minute, in which a slow MoySklad may have made the call after all."""
    late = replace(done(CONFIRM, 40, call=None), exchanges=(Exchange(duration_ms=2_000), Exchange(duration_ms=31_500)))
    remote = after(started(REGISTER, 1, "r"), failed(REGISTER, 6), late)
    assert remote.absent_ms == ms(6.5)


def test_trying_again_makes_the_doubt_anew() -> None:
    remote = after(started(REGISTER, 1, "r"), done(CONFIRM, 4, call=None), started(REGISTER, 5, "r"))
    assert remote.absent_ms is None
    assert remote.attempt is not None
    assert (remote.attempt.in_doubt, remote.attempt.at_ms) == (True, ms(5))
    assert remote.cards == ()


def test_a_confirmation_without_a_registration_in_doubt_changes_nothing() -> None:
    assert after(done(CONFIRM, 2, call="other"), remote=REGISTERED).call == "m"
    held = after(started(CREATE, 1), done(CONFIRM, 2, call="other"))
    assert held.call is None
    assert held.attempt is not None


def test_what_a_row_that_existed_holds_is_not_known() -> None:
    full = RegisterCall(external_id="x", number="n", incoming=True, start_ms=0, cards=(show("101"),), end_ms=5, comment="c")
    remote = after(started(full, 1), done(full, 1, call="m", existed=True))
    assert (remote.call, remote.attempt) == ("m", None)
    assert cards(remote) == {"101": "unsure"}
    assert (remote.written.end_ms, remote.written.comment) == (None, "")


def test_recordings_of_a_row_that_existed_are_in_doubt() -> None:
    full = RegisterCall(external_id="x", number="n", incoming=True, start_ms=0, recordings=("https://r/1",))
    remote = after(started(full, 1), done(full, 1, call="m", existed=True))
    assert remote.attempt is not None
    assert (remote.attempt.in_doubt, remote.attempt.effect) == (
        True,
        UpdateCall(external_id="x", call="m", recordings=("https://r/1",)),
    )


# -- card events in doubt -------------------------------------------------------------------------------------------


def test_card_events_in_doubt_that_a_newer_write_overtakes_are_unsure() -> None:
    remote = after(
        started(update(show("103", 3), hide("101", 4)), 2, "a"),
        failed(update(show("103", 3), hide("101", 4)), 2.1),
        started(update(HIDE_ALL), 3, "b"),
        remote=REGISTERED,
    )
    assert cards(remote) == {"101": "unsure", "102": "shown", "103": "unsure"}
    assert remote.open_cards == ("101", "102", "103")


def test_a_hide_all_in_doubt_makes_the_open_cards_unsure_and_leaves_the_hidden_hidden() -> None:
    remote = after(done(update(hide("102", 3)), 2), started(update(HIDE_ALL), 3, "a"), started(update(), 4, "b"), remote=REGISTERED)
    assert cards(remote) == {"101": "unsure", "102": "hidden"}


def test_repeating_the_same_write_makes_nothing_unsure() -> None:
    remote = after(started(update(hide("101", 3)), 2, "a"), started(update(hide("101", 3)), 3, "a"), remote=REGISTERED)
    assert cards(remote) == {"101": "shown", "102": "shown"}


def test_a_write_that_certainly_did_not_happen_leaves_nothing_unsure() -> None:
    remote = after(
        started(update(hide("101", 3)), 2, "a"),
        failed(update(hide("101", 3)), 2.1, ambiguous=False),
        started(update(HIDE_ALL), 3, "b"),
        remote=REGISTERED,
    )
    assert cards(remote) == {"101": "shown", "102": "shown"}


# -- recordings in doubt --------------------------------------------------------------------------------------------

RECORDED = update(recordings=("r1", "r2"), end_ms=ms(9), extension="101")


def test_recordings_that_arrived_prove_that_the_update_did() -> None:
    remote = after(
        started(RECORDED, 2),
        failed(RECORDED, 2.1),
        done(InspectCall(call="m"), 3, recordings=["r0", "r1", "r2"]),
        remote=REGISTERED,
    )
    assert remote.attempt is None
    assert remote.written == Written(extension="101", end_ms=ms(9), recordings=("r0", "r1", "r2"))


@pytest.mark.parametrize("there", [[], ["r1"], None])
def test_recordings_that_did_not_all_arrive_take_the_update_out_of_doubt(there: list[str] | None) -> None:
    remote = after(
        started(RECORDED, 2, "a"), failed(RECORDED, 2.1, "a"), done(InspectCall(call="m"), 3, recordings=there), remote=REGISTERED
    )
    assert remote.attempt is not None
    assert (remote.attempt.key, remote.attempt.in_doubt) == ("a", False)
    assert remote.written == Written(recordings=tuple(there or ()))


def test_recordings_that_did_not_arrive_are_late_until_the_request_can_no_longer_come() -> None:
    tried = (started(RECORDED, 2, "a"), failed(RECORDED, 2.1, "a"))
    until = 2 + UNHURRIED_GUARD_MS / 1000

    def looked(at: float, *there: str, earlier: Remote | None = None) -> Remote:
        return after(done(InspectCall(call="m"), at, recordings=list(there)), remote=earlier or after(*tried, remote=REGISTERED))

    early = looked(3, "r1")
    assert (early.late, early.late_until_ms) == (("r2",), ms(until))
    assert (looked(until).late, looked(until).late_until_ms) == ((), None)
    still = looked(10, "r1", earlier=early)
    assert (still.late, still.late_until_ms) == (("r2",), ms(until))
    for settled in (looked(10, "r1", "r2", earlier=early), looked(until, "r1", earlier=early)):
        assert (settled.late, settled.late_until_ms) == ((), None)


def test_looking_without_a_doubt_only_tells_the_recordings() -> None:
    remote = after(done(InspectCall(call="m"), 3, recordings=["r1"]), remote=REGISTERED)
    assert remote.written.recordings == ("r1",)
    assert remote.attempt is None


# -- the customer ---------------------------------------------------------------------------------------------------


def test_a_customer_is_found_not_found_or_created() -> None:
    found = after(done(FIND, 1, contact="c", name="Ann")).contact
    assert (found.id, found.name, found.searched) == ("c", "Ann", True)
    missing = after(done(FIND, 1, contact=None, name=None)).contact
    assert (missing.id, missing.name, missing.searched) == (None, "", True)
    created = after(done(FIND, 1, contact=None), started(CREATE, 1.1), done(CREATE, 1.2, contact="new"))
    assert (created.contact.id, created.contact.searched, created.attempt) == ("new", True, None)


def test_a_contact_that_is_refused_is_given_up_with_the_reason() -> None:
    remote = after(refused(FIND, 1, error="no right"))
    assert remote.contact.gave_up == "no right"
    assert remote.refused(FindContact) is not None


# -- who has an extension -------------------------------------------------------------------------------------------

DIRECTORY = FindEmployees(extensions=("101", "102"))
FOR_A_CARD = FindEmployees(extensions=("101", "102"), deadline_ms=ms(3))


def test_the_directory_says_who_has_an_extension_and_that_nobody_has() -> None:
    remote = after(done(DIRECTORY, 1, employees={"101": {"id": "e1", "name": "Ann"}, "102": None}))
    assert remote.employees == (("101", "e1"), ("102", None))
    assert after(done(FindEmployees(extensions=("103",)), 2, employees={"103": {"id": "e3"}}), remote=remote).employees == (
        ("101", "e1"),
        ("102", None),
        ("103", "e3"),
    )
    assert after(done(DIRECTORY, 1, employees="odd")).employees == ()


@pytest.mark.parametrize("outcome", [failed(FOR_A_CARD, 2, retry=60), refused(DIRECTORY, 2)])
def test_without_a_directory_the_extension_alone_must_do(outcome: EffectFailed | EffectRefused) -> None:
    known = after(done(FindEmployees(extensions=("102",)), 1, employees={"102": None}))
    remote = after(outcome, remote=known)
    assert dict(remote.employees) == {"101": "", "102": None}
    assert (remote.failures, remote.retry_ms) == (0, None)


def test_an_order_or_a_task_which_needs_the_employee_asks_again() -> None:
    remote = after(failed(FindEmployees(extensions=("101",)), 2, retry=60))
    assert (remote.employees, remote.failures, remote.retry_ms) == ((), 1, ms(62))


# -- refusals -------------------------------------------------------------------------------------------------------


def test_a_refusal_is_kept_with_its_reason_and_ends_the_attempt() -> None:
    remote = after(
        started(REGISTER, 1),
        failed(REGISTER, 1.1, ambiguous=False),
        started(REGISTER, 2),
        refused(REGISTER, 2.1, error="no", remedy="do", code=3006),
    )
    (refusal,) = remote.refusals
    assert (refusal.effect, refusal.error, refusal.remedy, refusal.at_ms) == (REGISTER, "no", "do", ms(2.1))
    assert (refusal.code, refusal.proves, remote.is_turned_away) == (3006, True, False)
    assert (remote.attempt, remote.failures, remote.retry_ms) == (None, 0, None)


@pytest.mark.parametrize("look", [CONFIRM, InspectCall(call="m"), FIND, DIRECTORY])
def test_a_refused_look_up_settles_nothing(look: Effect) -> None:
    remote = after(started(REGISTER, 1), failed(REGISTER, 1.1), refused(look, 2))
    assert remote.attempt is not None
    assert remote.attempt.in_doubt


def test_refusals_are_told_apart_by_kind_and_by_whether_cards_were_inside() -> None:
    bare = update(end_ms=5)
    remote = after(refused(REGISTER, 1, error="a"), refused(bare, 2, error="b"), refused(update(HIDE_ALL), 3, error="c"))

    def told(kind: type[Effect], with_cards: bool | None = None) -> str:
        found = remote.refused(kind, with_cards=with_cards)
        return found.error if found else ""

    assert told(RegisterCall) == "a"
    assert told(RegisterCall, False) == ""
    assert told(RegisterCall, True) == "a"
    assert told(UpdateCall) == "c"
    assert told(UpdateCall, False) == "b"
    assert told(InspectCall) == ""


# -- a refusal, and what is in doubt --------------------------------------------------------------------------------

HIDING = update(hide("101", 3))


def doubt(remote: Remote) -> tuple[str, bool] | None:
    """The key of the attempt, and whether it may have taken effect."""
    return None if remote.attempt is None else (remote.attempt.key, remote.attempt.in_doubt)


@pytest.mark.parametrize("effect", [REGISTER, HIDING], ids=["register", "update"])
@pytest.mark.parametrize("answer", [None, failed], ids=["crash", "lost answer"])
def test_a_refusal_before_anything_was_sent_leaves_the_earlier_attempt_in_doubt(effect: Effect, answer: object) -> None:
    lost = [failed(effect, 1.2, "w")] if answer is failed else []
    remote = after(started(effect, 1, "w"), *lost, refused(effect, 2, "w", sent=False))
    assert doubt(remote) == ("w", True)
    assert (remote.refusals[0].proves, remote.is_turned_away) == (False, True)


def test_a_refusal_before_anything_was_sent_leaves_no_doubt_where_there_was_none() -> None:
    remote = after(started(HIDING, 1, "w"), failed(HIDING, 1.2, "w", ambiguous=False), refused(HIDING, 2, "w", sent=False))
    assert doubt(remote) is None
    assert doubt(after(refused(HIDING, 2, "w", sent=False))) is None


def test_a_refused_repetition_does_not_prove_that_the_first_try_was_refused_too() -> None:
    remote = after(started(HIDING, 1, "w"), failed(HIDING, 1.2, "w"), started(HIDING, 2, "w"), remote=REGISTERED)
    assert doubt(after(refused(HIDING, 2.1, "w"), remote=remote)) == ("w", True)
    not_sent = after(failed(HIDING, 2.1, "w", ambiguous=False), remote=remote)
    assert doubt(not_sent) == ("w", True)
    assert doubt(after(started(HIDING, 3, "w"), failed(HIDING, 3.1, "w", ambiguous=False), remote=not_sent)) == ("w", True)
    assert doubt(after(done(HIDING, 2.1, "w"), remote=remote)) is None
    overtaken = after(refused(HIDING, 2.1, "w"), started(update(HIDE_ALL), 3, "x"), remote=remote)
    assert cards(overtaken) == {"101": "unsure", "102": "shown"}


def test_a_first_try_that_was_refused_did_nothing() -> None:
    assert doubt(after(started(HIDING, 1, "w"), refused(HIDING, 1.1, "w"))) is None
    other = after(started(update(show("103", 3)), 1, "v"), started(HIDING, 2, "w"), refused(HIDING, 2.1, "w"))
    assert (doubt(other), cards(other)) == (None, {"103": "unsure"})


@pytest.mark.parametrize(
    ("look", "found"),
    [(CONFIRM, {"call": None}), (InspectCall(call="m"), {"recordings": []})],
    ids=["registration", "recordings"],
)
def test_a_doubt_that_a_look_resolved_is_no_doubt_of_the_next_try(look: Effect, found: dict[str, Any]) -> None:
    effect = REGISTER if look is CONFIRM else RECORDED
    twice = after(started(effect, 1, "w"), failed(effect, 1.2, "w"), started(effect, 1.5, "w"))
    looked = after(done(look, 2, "w", **found), started(effect, 3, "w"), remote=twice)
    assert doubt(after(refused(effect, 3.1, "w"), remote=looked)) is None
    assert doubt(after(failed(effect, 3.1, "w", ambiguous=False), remote=looked)) == ("w", False)


def test_a_client_in_doubt_is_no_matter() -> None:
    assert doubt(after(started(CREATE, 1, "c"), failed(CREATE, 1.2, "c"), refused(CREATE, 1.3, "c", sent=False))) is None
    assert doubt(after(started(REGISTER, 1, "w"), refused(CREATE, 1.3, "c", sent=False))) == ("w", True)


def test_a_refusal_of_everything_proves_nothing_against_an_employee_and_leaves_nothing_less_to_ask() -> None:
    named = update(CardEvent(action=CardAction.SHOW, sequence=1, extension="101", employee="e1"))
    everything, this = after(refused(named, 1, sent=False)), after(refused(named, 1))
    assert (everything.employees_refused, this.employees_refused) == (False, True)
    assert everything.refused(UpdateCall, with_cards=False) is not None
    assert everything.refused(UpdateCall, with_cards=True) is None
    assert (this.refused(UpdateCall, with_cards=False), this.is_turned_away) == (None, False)
    assert not after(refused(FIND, 1, sent=False)).is_turned_away


# -- asked again ----------------------------------------------------------------------------------------------------


def test_after_a_retry_order_everything_that_was_refused_may_be_asked_again() -> None:
    named = update(CardEvent(action=CardAction.SHOW, sequence=1, extension="101", employee="e1"))
    remote = after(
        refused(FIND, 1, error="no right"),
        refused(DIRECTORY, 1),
        refused(named, 1),
        refused(REGISTER, 2),
        deferred(REGISTER, 3, until=9),
    )
    again = forgiven(remote)
    assert (again.refusals, again.deferred) == ((), "")
    assert not again.employees_refused
    assert (again.contact, again.employees) == (Contact(), ())
    assert (again.sequence, again.started) == (remote.sequence, remote.started)


def test_a_retry_order_waits_for_nothing_and_forgets_nothing_that_was_found() -> None:
    tries = [failed(CREATE_FOR_THE_RECORD, number, error="down", retry=9) for number in range(1, CONTACT_ATTEMPTS + 1)]
    tired = after(done(DIRECTORY, 1, employees={"101": {"id": "e1"}, "102": None}), *tries, failed(CONFIRM, 6, retry=60))
    assert (tired.contact.exhausted, tired.failures) == ("down", 1)
    again = forgiven(tired)
    assert (again.contact.exhausted, again.failures, again.retry_ms) == ("", 0, None)
    assert again.employees == (("101", "e1"),)
    known = forgiven(after(done(FIND, 1, contact="c", name="Ann"), refused(REGISTER, 2)))
    assert (known.contact.id, known.contact.searched) == ("c", True)


@pytest.mark.parametrize("effect", [REGISTER, HIDING, RECORDED], ids=["register", "update", "recordings"])
def test_a_retry_order_leaves_in_doubt_what_is_in_doubt(effect: Effect) -> None:
    remote = after(started(effect, 1, "w"), failed(effect, 1.2, "w"), refused(effect, 2, "w", sent=False), remote=REGISTERED)
    again = forgiven(remote)
    assert again.attempt == remote.attempt
    assert doubt(again) == ("w", True)


# -- not asked yet --------------------------------------------------------------------------------------------------


def test_a_deferral_is_known_until_something_else_happens() -> None:
    remote = after(deferred(REGISTER, 1, until=9, reason="MoySklad is away"))
    assert remote.deferred == "MoySklad is away"
    for outcome in (started(REGISTER, 2), done(FIND, 2), failed(FIND, 2), refused(FIND, 2)):
        assert after(outcome, remote=remote).deferred == ""
    assert structs.replace(remote, deferred="") == Remote()


def test_only_a_deferral_that_says_something_new_is_news() -> None:
    first = deferred(REGISTER, 1, until=9, reason="MoySklad is away")
    assert is_news(Remote(), first)
    waiting = after(first)
    assert not is_news(waiting, deferred(REGISTER, 2, until=19, reason="the limits are used up"))
    assert is_news(after(failed(FIND, 2), remote=waiting), first)
    assert is_news(waiting, deferred(FIND, 1, until=1.5)), "the card must not wait for the contact"
    assert not is_news(after(deferred(FIND, 1, until=1.5), remote=waiting), deferred(FIND, 1, until=60))
    assert is_news(Remote(), deferred(REGISTER, 1, until=9, reason="")), "without a reason, too, it is written once only"
    assert not is_news(after(deferred(REGISTER, 1, until=9, reason="")), deferred(REGISTER, 2, until=9, reason=""))


@pytest.mark.parametrize("effect", [FIND, CREATE])
def test_a_card_waits_for_no_contact_that_cannot_come_before_its_deadline(effect: Effect) -> None:
    assert after(deferred(effect, 1, until=1.4)).contact.gave_up == ""
    late = after(deferred(effect, 1, until=1.5, reason="MoySklad is away"))
    assert (late.contact.gave_up, late.contact.searched) == ("MoySklad is away", False)
    assert after(deferred(FIND_FOR_THE_RECORD, 1, until=99)).contact == Contact()


def test_a_card_waits_for_no_directory_that_is_away() -> None:
    hurried = structs.replace(DIRECTORY, deadline_ms=ms(1.5))
    assert after(deferred(hurried, 1, until=1.4)).employees == ()
    assert dict(after(deferred(hurried, 1, until=1.5)).employees) == {"101": "", "102": ""}
    assert after(deferred(DIRECTORY, 1, until=99)).employees == ()


def test_a_deferral_leaves_a_doubt_and_a_wait_as_they_are() -> None:
    remote = after(started(REGISTER, 1), failed(REGISTER, 1.1, retry=30))
    assert structs.replace(after(deferred(CONFIRM, 2, until=9), remote=remote), deferred="") == remote


# -- total ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("effect", [{}, {"type": "from_the_future"}, {"type": "inspect_call", "call": 5}])
def test_an_effect_this_code_cannot_read_changes_nothing(effect: dict[str, object]) -> None:
    for outcome in (
        EffectStarted(key="k", at_ms=1, effect=effect),
        EffectDone(key="k", at_ms=1, effect=effect),
        EffectFailed(key="k", at_ms=1, effect=effect, error="", ambiguous=True, retry_ms=2),
        EffectRefused(key="k", at_ms=1, effect=effect, error=""),
        EffectDeferred(at_ms=1, effect=effect, reason="away", until_ms=2),
    ):
        assert apply_outcome(REGISTERED, outcome) == REGISTERED


def test_how_a_card_may_stand() -> None:
    assert {card.value for card in Card} == {"shown", "timing", "hidden", "unsure"}
