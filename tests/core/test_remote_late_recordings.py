"""A recording in doubt whose call is told something else meanwhile, or cannot be looked at: it is neither lost nor listed twice."""

from __future__ import annotations

from core.attempts import UNHURRIED_GUARD_MS
from core.call import Call, fold
from core.effects import FindContact, InspectCall, RegisterCall, UpdateCall
from core.events import AnyOutcome, CallSettled
from core.plan import parked, parked_reason
from core.remote import Written
from tests.core.test_remote import HIDE_ALL, REGISTERED, after, update
from tests.scenario import NUMBER, call_of, done, failed, look, ms, refused, retry, started, step_of

URL, OTHER = "https://r/1", "https://r/2"
LOOK = InspectCall(call="m")
REGISTER = RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0), contact="ann")
TABLE = f"""0 A start
0.5 A dial 101
5 A enter b1 customer
5 A enter b1 101
35 A leave b1 101
35 A leave b1 customer
35 A close b1
35.4 A hangup 101 answered rec={URL}
"""
FINAL = UpdateCall(external_id="0367-A", call="m", cards=(HIDE_ALL,), recordings=(URL,), end_ms=ms(35), extension="101")
SENT: list[AnyOutcome] = [
    done(FindContact(number=NUMBER), 0.5, contact="ann"),
    done(REGISTER, 1, call="m"),
    started(FINAL, 36, "w"),
    failed(FINAL, 36.1, "w"),
]
REVOKED = refused(LOOK, 40, error="key revoked", code=1056)
SURE = 36 + UNHURRIED_GUARD_MS / 1000


def sent(*more: AnyOutcome) -> Call:
    return call_of(TABLE, *SENT[:2], CallSettled(at_ms=ms(36), reason=""), *SENT[2:], *more)


def test_an_update_that_takes_the_place_of_one_in_doubt_leaves_its_recordings_in_doubt() -> None:
    remote = after(started(update(recordings=("r1", "r2")), 2, "a"), started(update(HIDE_ALL), 3, "b"), remote=REGISTERED)
    assert (remote.late, remote.late_until_ms) == (("r1", "r2"), ms(2) + UNHURRIED_GUARD_MS)
    assert remote.recordings_in_doubt == ("r1", "r2")


def test_what_the_update_in_its_place_sends_itself_is_not_waited_for() -> None:
    both, one = update(recordings=("r1", "r2")), update(recordings=("r2", "r3"))
    remote = after(started(both, 2, "a"), started(one, 3, "b"), remote=REGISTERED)
    assert (remote.late, remote.recordings_in_doubt) == (("r1",), ("r1", "r2", "r3"))
    all_of_it = after(started(both, 2, "a"), started(update(HIDE_ALL, recordings=("r1", "r2")), 3, "b"), remote=REGISTERED)
    assert (all_of_it.late, all_of_it.late_until_ms) == ((), None)


def test_an_update_without_recordings_makes_nobody_wait_longer() -> None:
    first = after(started(update(recordings=("r1",)), 2, "a"), started(update(HIDE_ALL), 3, "b"), remote=REGISTERED)
    again = after(started(update(comment="c"), 20, "c"), remote=first)
    assert (again.late, again.late_until_ms) == (("r1",), ms(2) + UNHURRIED_GUARD_MS)


def test_recordings_of_several_updates_are_waited_for_together() -> None:
    remote = after(
        started(update(recordings=("r1",)), 2, "a"),
        started(update(recordings=("r2",)), 10, "b"),
        done(LOOK, 12, recordings=[]),
        remote=REGISTERED,
    )
    assert (remote.late, remote.late_until_ms) == (("r1", "r2"), ms(10) + UNHURRIED_GUARD_MS)
    one = after(done(LOOK, 20, recordings=["r2"]), remote=remote)
    assert (one.late, one.attempt) == (("r1",), None), "the second update was carried out"


def test_a_look_settles_nothing_of_an_update_that_carried_no_recording() -> None:
    hidden = after(started(update(recordings=("r1",)), 2, "a"), started(update(HIDE_ALL), 3, "b"), remote=REGISTERED)
    seen = after(done(LOOK, 4, recordings=["r1"]), remote=hidden)
    assert seen.attempt is not None
    assert seen.attempt.in_doubt
    assert (seen.late, seen.late_until_ms, seen.written) == ((), None, Written(recordings=("r1",)))


def test_while_the_account_is_refused_the_recording_waits_and_a_person_is_told() -> None:
    call = sent(REVOKED)
    assert "rec=" not in step_of(look(call, 41)), "it would be listed twice if it had arrived"
    assert parked_reason(call).startswith("key revoked")
    found = parked(call)
    assert found is not None
    assert (found.since_ms, found.code) == (ms(40), 1056)


def test_what_is_written_meanwhile_goes_without_it_and_it_is_looked_for_later() -> None:
    call = sent(REVOKED)
    rest = look(call, 41).step
    assert rest is not None
    told = fold(call, [started(rest.effect, 41, "x"), done(rest.effect, 41, "x")])
    assert (step_of(look(told, 42)), parked_reason(told)) == ("nothing", "key revoked")
    notes = {note.about: note.text for note in look(told, 42).notes}
    assert notes["recording"] == "whether it arrived cannot be looked for: key revoked"
    asked = fold(told, [retry(50)])
    assert (step_of(look(asked, SURE)), parked_reason(asked)) == ("inspect", "")
    there = fold(asked, [done(LOOK, SURE, recordings=[URL])])
    assert step_of(look(there, SURE)) == "nothing"
    gone = fold(asked, [done(LOOK, SURE, recordings=[])])
    assert step_of(look(gone, SURE)) == "update rec=1"


def test_a_refusal_of_the_account_says_nothing_where_no_recording_is_in_doubt() -> None:
    call = sent(done(LOOK, 37, recordings=[URL]), REVOKED)
    assert (call.remote.cannot_look, parked(call)) == (None, None)


def test_where_looking_itself_is_refused_it_is_sent_rather_than_lost() -> None:
    call = sent(refused(LOOK, 40, error="no right"))
    assert call.remote.cannot_look is None
    assert "rec=1" in step_of(look(call, 41))
