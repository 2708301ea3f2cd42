"""A call's history as a story: told from its events alone, the same whenever it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import msgspec
import pytest

from core.cards import Note
from core.contact_state import CONTACT_ATTEMPTS
from core.decisions import Limits
from core.effects import (
    CardAction,
    CardEvent,
    ConfirmCall,
    CreateContact,
    CreateOrder,
    FindContact,
    FindEmployees,
    RegisterCall,
    UpdateCall,
)
from core.events import (
    BridgeEntered,
    BridgeOpened,
    CallerIdObserved,
    CallOverdue,
    CallSettled,
    CallWrittenOff,
    ClickJoined,
    ConsultationObserved,
    EffectDone,
    EffectStarted,
    Event,
    Exchange,
    HandoverObserved,
    HangupObserved,
    LegAbsorbed,
    RingEnded,
    encode,
)
from core.ports import RecordedEvent, StreamId
from core.settings import Settings
from core.values import Direction
from projections.story import Story, at_ms, tell
from tests.scenario import NUMBER, deferred, done, events, failed, given, ms, refused, retry, started
from tests.settings import SETTINGS, settings_with
from tests.world import Fault

RING = "0 A start\n0.5 A dial 101 102\n"
TALK = RING + "5 A enter b1 customer\n5 A enter b1 101\n"
PARTED = TALK + "35 A leave b1 101\n35 A leave b1 customer\n35 A close b1\n"
ANSWERED = PARTED + "35.4 A hangup 101 answered rec=https://rec.example/1\n"


def recorded(history: Sequence[Event]) -> list[RecordedEvent]:
    """The history as the store gives it back."""
    stream = StreamId(enterprise="0367", name="call/A")
    found = []
    for number, event in enumerate(history, start=1):
        type_, schema, data = encode(event)
        found.append(
            RecordedEvent(
                stream=stream,
                version=number,
                position=number * 10,
                id=UUID(int=number),
                type=type_,
                schema=schema,
                data=data,
                recorded_ms=at_ms(event) + 7,
            )
        )
    return found


def story(history: Sequence[Event], settings: Settings = SETTINGS) -> Story:
    return tell("0367", "A", recorded(history), settings, Limits())


def lived(table: str, settings: Settings = SETTINGS) -> Story:
    """The story of a call that MoySklad was told of."""
    scenario = given(table, settings=settings, contacts={NUMBER: "ann"}).finished()
    return story(scenario.world.streams["call/A"], settings)


def titles(told: Story, kind: str) -> list[str]:
    return [entry.title for entry in told.entries if entry.kind == kind]


def title(*history: Event) -> tuple[str, str, str]:
    """Kind, title and why of the last event."""
    entry = story(history).entries[-1]
    return entry.kind, entry.title, entry.why


def test_an_answered_call_from_its_first_ring_to_its_record() -> None:
    told = lived(ANSWERED)
    assert titles(told, "heard") == [
        f"incoming call from {NUMBER} on t",
        f"ringing 101, 102 for {NUMBER}",
        "the customer entered bridge b1",
        "PJSIP/101 entered bridge b1",
        "PJSIP/101 left bridge b1",
        "the customer left bridge b1",
        "bridge b1 closed",
        "hangup: answered, 101 (CallStatus 2), with a recording",
    ]
    assert titles(told, "asked") == [
        "register the call (cards SHOW 101, SHOW 102)",
        "update the call (cards STARTTIME 101, HIDE 102)",
        "update the call (cards HIDE_ALL; extension 101; end; 1 recording(s))",
    ]
    assert titles(told, "answered")[0] == f"look up whose number {NUMBER} is: a client without a name, client ann"
    assert [(entry.title, entry.why) for entry in told.entries if entry.kind == "time"] == [
        ("the record is settled", "every bridge was heard to its end and the hangup confirms who talked")
    ]


def test_the_head_says_what_became_of_the_call() -> None:
    told = lived(ANSWERED)
    assert (told.enterprise, told.call, told.phase, told.direction, told.number) == ("0367", "A", "settled", "in", NUMBER)
    assert (told.outcome, told.rang, told.talked) == ("answered", ("101", "102"), ("101",))
    assert (told.attributed, told.attributed_because) == ("101", "talked with the customer last")
    assert (told.start_ms, told.end_ms) == (ms(0), ms(35))
    assert told.moysklad == {
        "call": "call-1",
        "contact": "ann",
        "client": "",
        "extension": "101",
        "end_ms": ms(35),
        "comment": "",
        "recordings": ["https://rec.example/1"],
        "order": None,
        "order_name": "",
        "task": None,
    }
    assert (told.open_cards, told.parked) == ((), "")


def test_a_call_that_goes_on_has_no_outcome_yet_and_shows_its_cards() -> None:
    told = story(given(TALK, contacts={NUMBER: "ann"}).world.streams["call/A"])
    assert (told.phase, told.outcome, told.attributed, told.attributed_because, told.end_ms) == ("talking", None, "", "", None)
    assert told.open_cards == ("101",)


def test_every_step_says_how_the_phase_and_the_cards_stood_after_it() -> None:
    told = lived(ANSWERED)
    moves = [(entry.phase_before, entry.phase_after) for entry in told.entries if entry.phase_before != entry.phase_after]
    assert moves == [
        ("unheard", "arrived"),
        ("arrived", "ringing"),
        ("ringing", "talking"),
        ("talking", "on_hold"),
        ("on_hold", "ending"),
        ("ending", "settled"),
    ]
    stood = [entry.cards for entry in told.entries if entry.kind == "answered" and "the call" in entry.title]
    assert stood == [
        {"101": "shown", "102": "shown"},
        {"101": "timing", "102": "hidden"},
        {"101": "hidden", "102": "hidden"},
    ]


def test_places_and_times_are_those_of_the_record() -> None:
    entry = lived(ANSWERED).entries[1]
    assert (entry.version, entry.position, entry.recorded_ms) == (2, 20, entry.at_ms + 7)


def test_a_note_is_told_where_it_changed_and_not_again() -> None:
    told = lived(ANSWERED, settings_with(notify="none"))
    noted = [(entry.title, note.text) for entry in told.entries for note in entry.notes if note.about == "cards"]
    assert noted == [(f"ringing 101, 102 for {NUMBER}", "the settings show no cards for incoming calls")]


def test_what_is_told_depends_on_the_settings_only_where_nothing_was_done() -> None:
    history = given(ANSWERED, contacts={NUMBER: "ann"}).finished().world.streams["call/A"]
    one, other = story(history), story(history, settings_with(enabled=False))
    assert [entry.title for entry in one.entries] == [entry.title for entry in other.entries]
    assert other.entries[0].notes == (Note(about="call", text="the integration is switched off"),)
    assert story(history) == one


def test_an_internal_call_and_an_empty_history() -> None:
    told = story(events("0 A dial 102 internal number=101\n9 A hangup 102 internal answered number=101"))
    assert (told.outcome, told.attributed_because, told.moysklad["call"]) == ("internal", "", None)
    assert titles(told, "heard")[0] == "ringing 102 for 101 (internal)"
    empty = story([])
    assert (empty.phase, empty.entries, empty.start_ms, empty.end_ms) == ("unheard", (), None, None)


def test_the_wire_form_and_the_raw_body_are_kept_and_only_for_what_was_heard() -> None:
    raw = {"UniqueId": "1.1"}
    heard = BridgeOpened(heard_ms=ms(1), bridge="0123456789", wire="call_event", raw=raw)
    first, second = story([heard, CallOverdue(at_ms=ms(2))]).entries
    assert (first.wire, first.raw, first.title) == ("call_event", raw, "bridge …456789 opened")
    assert (second.wire, second.raw) == ("", {})


EFFECT = UpdateCall(external_id="x", call="m", cards=(CardEvent(action=CardAction.HIDE_ALL, sequence=3),), comment="c")
REGISTER = RegisterCall(external_id="x", number=NUMBER, incoming=True, start_ms=0)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (events("0 A dial 101 out")[0], ("heard", f"101 dials {NUMBER} by t", "")),
        (events("0 A dial out")[0], ("heard", f"? dials {NUMBER} by t", "")),
        (events("0 A dial")[0], ("heard", f"ringing nobody for {NUMBER}", "")),
        (
            CallerIdObserved(heard_ms=0, channel="A", channel_name="PJSIP/101-1", caller_id="101"),
            ("heard", "channel PJSIP/101-1 is known as 101", ""),
        ),
        (events("0 A card 101 102")[0], ("heard", "a card was asked for on 101, 102", "")),
        (
            events("9 A hangup 103 internal downloaded status=0")[0],
            ("heard", "hangup: not answered, 103 (CallStatus 0, CallType 2, downloaded later)", ""),
        ),
        (events("9 A hangup status=1")[0], ("heard", "hangup: not answered, no extension (CallStatus 1)", "")),
        (LegAbsorbed(heard_ms=0, into="B", why="so"), ("heard", "this is a leg of call B: so", "")),
        (
            ConsultationObserved(heard_ms=0, leg="L", extensions=("103",)),
            ("heard", "leg L ended with this customer: 103 took over", ""),
        ),
        (
            ConsultationObserved(heard_ms=0, leg="L", extensions=("103",), record_url="https://rec.example.invalid/9"),
            ("heard", "leg L ended with this customer: 103 took over, with a recording", ""),
        ),
        (ConsultationObserved(heard_ms=0, leg="L"), ("heard", "leg L ended with this customer: nobody took over", "")),
        (
            ClickJoined(heard_ms=0, click="a", extension="101", number=NUMBER, uid="ivanov@demo"),
            ("heard", "this call came of a click in MoySklad", f"101 asked to call {NUMBER}: click a"),
        ),
        (
            ClickJoined(heard_ms=0, click="a", extension="101", number=NUMBER, own_leg=True),
            ("heard", "only the telephone of whoever clicked rings", f"101 asked to call {NUMBER}: click a"),
        ),
        (CallSettled(at_ms=0, reason="so"), ("time", "the record is settled", "so")),
        (CallOverdue(at_ms=0), ("time", "no hangup within the maximum: the cards go, the end stays open", "")),
        (CallWrittenOff(at_ms=0), ("time", "no hangup even after the long grace: recorded with what is known", "")),
        (EffectStarted(key="k", at_ms=0, effect={"type": "odd"}, why="so"), ("asked", "odd", "so")),
        (started(EFFECT, 0), ("asked", "update the call (cards HIDE_ALL; comment)", "")),
        (
            done(REGISTER, 0, call="m", contact=None, existed=True),
            ("answered", "register the call: call m (it was there before)", ""),
        ),
        (done(ConfirmCall(external_id="x"), 0, call=None), ("answered", "ask whether MoySklad has the call: no", "")),
        (
            failed(REGISTER, 0),
            ("failed", "register the call: connection lost", "MoySklad may have acted all the same; it is tried again"),
        ),
        (
            failed(FindContact(number=NUMBER), 0, ambiguous=False),
            ("failed", f"look up whose number {NUMBER} is: connection lost", "MoySklad did not act; it is tried again"),
        ),
        (
            deferred(EFFECT, 0, until=5, reason="MoySklad is away (503)"),
            ("deferred", "not asked yet: update the call (cards HIDE_ALL; comment)", "MoySklad is away (503)"),
        ),
        (retry(0, by="anna", reason="the key was mended"), ("ordered", "asked again by anna", "the key was mended")),
        (retry(0, by="", reason=""), ("ordered", "asked again by somebody", "")),
        (
            refused(EFFECT, 0, error="no", remedy="ask"),
            ("refused", "MoySklad refused: update the call (cards HIDE_ALL; comment): no", "ask"),
        ),
    ],
)
def test_every_event_in_words(event: Event, told: tuple[str, str, str]) -> None:
    assert title(event) == told


ORDER = CreateOrder(sync_id="s", contact="c-1", number=NUMBER, incoming=True, start_ms=0)
CREATE = CreateContact(number=NUMBER, sync_id="s")


@pytest.mark.parametrize(
    ("known", "name"),
    [
        (done(FindContact(number=NUMBER), 0, contact="c-1", name="ООО «Радуга»"), "ООО «Радуга»"),
        (done(CREATE, 0, contact="c-1"), NUMBER),
        (done(FindContact(number=NUMBER), 0, contact="c-1", name=""), "c-1"),
        (done(FindContact(number=NUMBER), 0, contact="c-2", name="ООО «Радуга»"), "c-1"),
        (done(FindContact(number=NUMBER), 0, contact=None), "c-1"),
        (refused(CREATE, 0, error="no", remedy="ask"), "c-1"),
    ],
)
def test_a_client_is_named_where_the_call_s_own_history_says_his_name(known: Event, name: str) -> None:
    registered = done(REGISTER, 1, call="m", contact="c-1", existed=False)
    told = story([*events(RING), known, registered, started(ORDER, 2), done(ORDER, 3, order="o-1", name="00001")])
    assert [entry.title for entry in told.entries[-3:]] == [
        f"register the call: call m, linked to client {name}",
        f"create an order for client {name}",
        f"create an order for client {name}: order 00001",
    ]
    assert (told.moysklad["contact"], told.moysklad["client"]) == ("c-1", name if name != "c-1" else "")


def test_a_name_is_not_told_before_it_was_heard() -> None:
    found = done(FindContact(number=NUMBER), 2, contact="c-1", name="ООО «Радуга»")
    told = story([*events(RING), done(REGISTER, 1, call="m", contact="c-1", existed=False), found])
    assert titles(told, "answered")[0] == "register the call: call m, linked to client c-1"


def test_requests_and_answers_are_told_with_their_durations() -> None:
    exchange = Exchange(method="POST", path="/call", request={"a": 1}, status=200, response={"id": "m"}, duration_ms=12)
    entry = story([EffectDone(key="k", at_ms=0, effect={"type": "odd"}, exchanges=(exchange,))]).entries[0]
    assert entry.exchanges == (
        {"method": "POST", "path": "/call", "request": {"a": 1}, "status": 200, "response": {"id": "m"}, "duration_ms": 12},
    )


def test_what_needs_a_person_is_said() -> None:
    told = [*events(RING), refused(REGISTER, 1, error="no", remedy="ask")]
    assert story(told).parked == "no ask"
    assert story([*told, retry(2)]).parked == ""


def test_when_it_is_tried_again_is_told_of_what_failed_or_was_put_off() -> None:
    history = [*events(RING), failed(REGISTER, 1, retry=4), deferred(REGISTER, 5, until=65), refused(REGISTER, 66)]
    assert [entry.again_ms for entry in story(history).entries[-3:]] == [ms(5), ms(65), None]
    assert story(history).entries[0].again_ms is None


def test_a_client_who_was_made_after_the_registration_is_told_as_a_step_and_not_as_linked() -> None:
    """MoySklad links a call to a client only when the call is created (PRODUCT C5)."""
    world = given(ANSWERED, troubled={FindContact.type: (Fault.NOT_SENT,) * 2}).finished().world
    told = story(world.streams["call/A"])
    assert (told.moysklad["call"], told.moysklad["contact"], told.moysklad["client"]) == ("call-1", None, "")
    assert f"create a client for {NUMBER}: client contact-1" in titles(told, "answered")


def test_why_a_call_was_registered_without_a_client_is_told_with_its_registration() -> None:
    world = given(ANSWERED, troubled={FindContact.type: (Fault.NOT_SENT,) * 2}).finished().world
    (registered,) = (each for each in story(world.streams["call/A"]).entries if each.title.startswith("register") and each.notes)
    assert (registered.kind, registered.notes) == ("asked", (Note(about="contact", text="the card did not wait longer for it"),))


WAITS_NO_LONGER = "the card or the record that waited for it waits no longer"


@pytest.mark.parametrize("effect", [FindContact(number=NUMBER), CREATE])
def test_a_contact_is_said_to_be_tried_again_only_where_somebody_still_waits(effect: FindContact | CreateContact) -> None:
    def told(*history: Event) -> tuple[str, int | None]:
        entry = story([*events(RING), *history]).entries[-1]
        return entry.why, entry.again_ms

    hurried = msgspec.structs.replace(effect, deadline_ms=ms(3))
    assert told(failed(hurried, 1, ambiguous=False)) == ("MoySklad did not act; it is tried again", ms(2))
    # Another ring may let a card wait for longer.
    if_so = "it is tried again if a card or the record still waits for it then"
    assert told(failed(hurried, 2, ambiguous=False)) == (f"MoySklad did not act; {if_so}", None)
    assert told(failed(hurried, 3, ambiguous=False)) == (f"MoySklad did not act; {WAITS_NO_LONGER}", None)
    assert told(deferred(hurried, 1, until=2, reason="no room")) == ("no room", ms(2))
    assert told(deferred(hurried, 1, until=3, reason="no room")) == (f"no room; {WAITS_NO_LONGER}", None)
    # So often that the record does not wait either, though there would be time.
    patient = msgspec.structs.replace(effect, deadline_ms=ms(60))
    tries = [failed(patient, at, ambiguous=False) for at in range(1, CONTACT_ATTEMPTS + 1)]
    assert told(*tries[:-1])[0].endswith("it is tried again")
    assert told(*tries) == (f"MoySklad did not act; {WAITS_NO_LONGER}", None)
    # After the call nothing waits for it: it is asked for until it is there.
    assert told(failed(effect, 90, ambiguous=False)) == ("MoySklad did not act; it is tried again", ms(91))
    assert told(deferred(effect, 90, until=99, reason="no room")) == ("no room", ms(99))


def test_a_card_does_not_wait_for_the_directory_twice_and_a_task_asks_it_again() -> None:
    who = FindEmployees(extensions=("101", "102"))
    hurried = msgspec.structs.replace(who, deadline_ms=ms(3))
    for outcome, again_ms in (
        (failed(hurried, 1), None),
        (deferred(hurried, 1, until=3), None),
        (deferred(hurried, 1, until=2), ms(2)),
        (failed(who, 90), ms(91)),
    ):
        entry = story([*events(RING), outcome]).entries[-1]
        assert (entry.again_ms, entry.why.endswith(WAITS_NO_LONGER)) == (again_ms, again_ms is None)


def test_a_missed_call_says_why_nobody_has_it() -> None:
    told = lived(RING + "9 A hangup")
    assert (told.outcome, told.attributed, told.attributed_because) == ("missed", "", "several were rung and nobody answered")
    assert told.moysklad["comment"] == "Пропущенный вызов (звонили: 101, 102)"


def test_what_ami_tells_is_told_in_words() -> None:
    assert title(RingEnded(heard_ms=ms(1), extensions=("101", "102"), how="busy"))[1] == "101, 102 rings no more: busy"
    assert title(RingEnded(heard_ms=ms(1), extensions=("101",)))[1] == "101 rings no more: nobody heard why"
    assert title(RingEnded(heard_ms=ms(1), trunk="alpha", how="failed"))[1] == "alpha did not get through: failed"
    for kind, words in (
        ("blind", "101 transfers the call to 102 without asking"),
        ("attended", "101 transfers the call to 102 after asking"),
        ("pickup", "102 picks up the call that rings at 101"),
        ("parked", "101 parks the call at 102"),
        ("retrieved", "102 takes the call that was parked at 101"),
        ("?", "the call passes from 101 to 102"),
    ):
        assert title(HandoverObserved(heard_ms=ms(1), kind=kind, source="101", target="102"))[1] == words
    hangup = HangupObserved(heard_ms=ms(9), channel="A", direction=Direction.INCOMING, extensions=("101",), verdict="busy")
    assert title(replace(hangup, hung_up_by="101", cause=17))[1] == "over: busy, 101; 101 hung up, cause 17"
    assert title(replace(hangup, hung_up_by="external"))[1] == "over: busy, 101; the other side hung up"
    assert title(replace(hangup, hung_up_by="pbx"))[1] == "over: busy, 101; the PBX ended it"
    assert title(replace(hangup, hung_up_by=""))[1] == "over: busy, 101; nobody heard who hung up"
    assert title(replace(hangup, verdict="", wire="ami/lab"))[1] == "over: it ended while the PBX was not heard"


def test_the_head_says_who_hung_up_and_who_talked_inside() -> None:
    told = story(events("0 A dial internal 102 number=101\n9 A hangup internal 102 verdict=answered by=101 cause=16"))
    assert (told.hung_up_by, told.cause, told.talked, told.outcome) == ("101", 16, ("102",), "internal")
    script = story(events(ANSWERED))
    assert (script.hung_up_by, script.cause) == ("", None)


def test_a_call_names_its_legs_and_a_leg_its_call() -> None:
    history = events(TALK)
    consultation = ConsultationObserved(heard_ms=ms(30), leg="L-1", extensions=("102",))
    told = story((*history, consultation))
    assert (told.leg_of, told.legs[-1]) == ("", "L-1")
    assert set(told.legs[:-1]) == {each.channel for each in history if isinstance(each, BridgeEntered)} - {"A"}
    leg = story((*events("0 A hangup 102\n"), LegAbsorbed(heard_ms=ms(1), into="B", why="it was a consultation")))
    assert (leg.leg_of, leg.legs) == ("B", ())
