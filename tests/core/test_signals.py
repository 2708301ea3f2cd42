"""Every wire form becomes one observation; whatever cannot be understood becomes an error that names the field."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from core.events import (
    ArrivalObserved,
    BridgeClosed,
    BridgeEntered,
    BridgeLeft,
    BridgeOpened,
    CallerIdObserved,
    CardRequested,
    DialObserved,
    HangupObserved,
    decode,
    encode,
)
from core.signals import EVENTS, EXTENSIONS_LIMIT, ID_LIMIT, Wire, derived_call_ids, envelope
from core.values import ANONYMOUS, Direction
from tests.core.wire import BERLIN, HEARD_MS, TOKEN, dispatched, event, heard, pbx, refused, utc_ms
from tests.playback import NAMES, Line, as_dispatcher, recording

# -- the recordings ------------------------------------------------------------------------------------------------

KINDS = {
    "start": ArrivalObserved,
    "dial": DialObserved,
    "new_callerid": CallerIdObserved,
    "bridge_create": BridgeOpened,
    "bridge": BridgeEntered,
    "bridge_leave": BridgeLeft,
    "bridge_destroy": BridgeClosed,
    "hangup": HangupObserved,
}


def forms(line: Line) -> list[tuple[Wire, dict[str, Any]]]:
    """Every way in which one recorded signal may be delivered."""
    wrapped = {"event": line.event, "enterprise_number": "0367", "raw": line.body}
    found = [
        (Wire.CALL_EVENT, {"event": line.event, **line.body}),
        (Wire.CALL_EVENT, {"event_type": line.event, **dict(reversed(line.body.items())), "_seen": 1, "ExternalInitiated": True}),
        (Wire.CALL_EVENT, wrapped),
        (Wire.CALL_EVENT, {"event": line.event, "token": TOKEN, "raw": line.body}),
    ]
    if "CallType" in line.body:
        found.append((Wire.CALL_EVENT, {**wrapped, "raw": {**line.body, "CallType": str(line.body["CallType"])}}))
    if (posted := as_dispatcher(line)) is not None:
        path, body = posted
        found.append((Wire(path.rpartition("/")[2]), body))
        if line.event == "hangup":
            found.append((Wire.RECOVERY_CALL, {**body, "origin": "download"}))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_signal_is_one_observation_in_every_form(name: str) -> None:
    for line in recording(name):
        deliveries = [heard(wire, body, heard_ms=line.at_ms + late) for late, (wire, body) in enumerate(forms(line), start=1)]
        assert {type(each.event) for each in deliveries} == {KINDS[line.event]}
        assert len({each.stream for each in deliveries}) == 1
        assert len({each.digest for each in deliveries}) == 1
        assert TOKEN not in repr(deliveries)
        for each in deliveries:
            stored = json.loads(orjson.dumps(encode(each.event)[2]))
            assert decode(each.event.type, 1, stored) == each.event


@pytest.mark.parametrize("name", NAMES)
def test_different_signals_of_a_recording_have_different_digests(name: str) -> None:
    told = {json.dumps([line.event, line.body], sort_keys=True) for line in recording(name)}
    assert len({heard(Wire.CALL_EVENT, {"event": json.loads(each)[0], **json.loads(each)[1]}).digest for each in told}) == len(told)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("production")])
def test_a_recorded_hangup_ends_when_it_was_heard(name: str) -> None:
    for line in recording(name):
        if line.event == "hangup":
            said = event(Wire.CALL_EVENT, {"event": "hangup", **line.body}, heard_ms=line.at_ms)
            assert isinstance(said, HangupObserved)
            assert said.ended_ms is not None
            assert line.at_ms - 3_000 <= said.ended_ms <= line.at_ms


# -- what each event says ------------------------------------------------------------------------------------------


def test_every_event_of_the_pbx_is_read_as_what_it_is() -> None:
    said = {name: type(heard(Wire.CALL_EVENT, pbx(name, BridgeUniqueid="b-1")).event) for name in EVENTS}
    assert said == KINDS, "a new one is named in EVENTS and in KINDS, and read"


def test_a_start_is_an_arrival() -> None:
    said = heard(Wire.CALL_EVENT, pbx("start"))
    assert said.event == ArrivalObserved(
        heard_ms=HEARD_MS,
        wire="call-event",
        channel="1757840723.6",
        number="+375290000001",
        trunk="0001001",
        raw={**pbx("start"), "Token": "***"},
    )
    assert said.stream == "call/1757840723.6"


def test_a_bridge_belongs_to_its_own_stream() -> None:
    said = heard(Wire.CALL_EVENT, pbx("bridge", BridgeUniqueid="b/1"))
    assert said.stream == "bridge/b_2f_1"
    assert isinstance(said.event, BridgeEntered)
    assert (said.event.bridge, said.event.channel, said.event.channel_name) == ("b_2f_1", "1757840723.6", "SIP/151-00000015")


def test_a_bridge_that_is_made_or_gone_has_no_channel() -> None:
    for name, kind in (("bridge_create", BridgeOpened), ("bridge_destroy", BridgeClosed)):
        said = heard(Wire.CALL_EVENT, pbx(name, UniqueId="", BridgeUniqueid="b-1", BridgeNumChannels="0"))
        assert isinstance(said.event, kind)
        assert said.stream == "bridge/b-1"


@pytest.mark.parametrize(("told", "remaining"), [("1", 1), (0, 0), ("", None), ("many", None), (..., None)])
def test_who_is_left_in_a_bridge(told: Any, remaining: int | None) -> None:
    said = event(Wire.CALL_EVENT, {**pbx("bridge", BridgeNumChannels=told), "event": "bridge_leave"})
    assert isinstance(said, BridgeLeft)
    assert said.remaining == remaining


def test_a_caller_id_belongs_to_its_channel() -> None:
    said = heard(Wire.CALL_EVENT, pbx("new_callerid", Channel="SIP/151-1", CallerIDNum="151", ConnectedLineNum="152", Exten="s"))
    assert said.stream == "channel/1757840723.6"
    assert isinstance(said.event, CallerIdObserved)
    assert (said.event.caller_id, said.event.connected, said.event.exten) == ("151", "152", "s")


def test_an_id_with_a_system_name_is_safe_and_stays_itself() -> None:
    one, other = (heard(Wire.CALL_EVENT, pbx(UniqueId=unique_id)).stream for unique_id in ("pbx/1757.6", "pbx:1757.6"))
    assert one == "call/pbx_2f_1757.6"
    assert one != other


def test_the_longest_id_fits_a_stream() -> None:
    assert len(heard(Wire.CALL_EVENT, pbx(UniqueId="\U0010ffff" * ID_LIMIT)).stream.encode()) <= 1_000
    assert refused(Wire.CALL_EVENT, pbx(UniqueId="1" * (ID_LIMIT + 1))).field == "UniqueId"


@pytest.mark.parametrize(
    ("told", "extensions"),
    [
        ([""], ()),
        ([], ()),
        (["150", "375291112233"], ("150", "375291112233")),
        (["SIP/150", "SIP/151", "SIP/150"], ("150", "151")),
        (["PJSIP/152-0000001c", " 151 ", "", 150, None], ("152", "151", "150")),
        (["152", "150", "151"], ("152", "150", "151")),
        ("SIP/151", ("151",)),
    ],
)
def test_extensions_lose_their_technology_and_keep_their_order(told: Any, extensions: tuple[str, ...]) -> None:
    said = event(Wire.CALL_EVENT, pbx("hangup", Extensions=told))
    assert isinstance(said, HangupObserved)
    assert said.extensions == extensions


def test_only_status_two_is_an_answer() -> None:
    answers = {}
    for status in ("0", "1", "2", "5", "", 2, 0):
        said = event(Wire.CALL_EVENT, pbx("hangup", CallStatus=status))
        assert isinstance(said, HangupObserved)
        answers[status] = said.answered
    assert answers == {"0": False, "1": False, "2": True, "5": False, "": False, 2: True, 0: False}


def test_a_lost_dial_names_nobody_whatever_the_dispatcher_guesses() -> None:
    said = event(Wire.HANGUP_CALL, dispatched(pbx("hangup", Extensions=[""]), extension="151"))
    assert isinstance(said, HangupObserved)
    assert said.extensions == ()


def test_a_rewritten_hangup_stays_internal_and_keeps_the_customers_number() -> None:
    said = event(Wire.CALL_EVENT, pbx("hangup", CallType=2, Trunk=..., Extensions=["152"], CallStatus="0", StartTime=""))
    assert isinstance(said, HangupObserved)
    assert (said.direction, said.number, said.extensions, said.started_ms) == (Direction.INTERNAL, "+375290000001", ("152",), None)


# -- direction -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "direction"),
    [
        ({"CallType": 0}, Direction.INCOMING),
        ({"CallType": "0"}, Direction.INCOMING),
        ({"CallType": 1}, Direction.OUTGOING),
        ({"CallType": "1"}, Direction.OUTGOING),
        ({"CallType": 2, "Phone": "150", "Trunk": ""}, Direction.INTERNAL),
        # an employee calls the office from a mobile that the ring plan dials: he came in through a trunk all the same
        ({"CallType": 0, "Phone": "375290000001", "Extensions": ["375290000001"]}, Direction.INCOMING),
        ({"CallType": 0, "Phone": "150", "Trunk": ""}, Direction.INTERNAL),
        ({"CallType": 0, "Phone": "150", "Trunk": ...}, Direction.INTERNAL),
        ({"CallType": 0, "Phone": "7575", "Trunk": "0001001"}, Direction.INCOMING),
        ({"CallType": 1, "Phone": "103", "Trunk": "0001001"}, Direction.OUTGOING),
        ({"CallType": 0, "Phone": "<unknown>", "Trunk": ""}, Direction.INCOMING),
    ],
)
def test_the_pbx_says_the_direction(body: dict[str, Any], direction: Direction) -> None:
    said = event(Wire.CALL_EVENT, pbx("dial", **body))
    assert isinstance(said, DialObserved)
    assert said.direction is direction


@pytest.mark.parametrize(
    ("body", "direction"),
    [
        (dispatched(direction="in"), Direction.INCOMING),
        (dispatched(direction="out"), Direction.OUTGOING),
        (dispatched(direction="in", phone="+151", extension="152"), Direction.INTERNAL),
        (dispatched(direction="out", phone="+151", extension="152"), Direction.INTERNAL),
        (dispatched(pbx("dial", Phone="151", Extensions=["152"], CallType=2, Trunk=""), phone="+151"), Direction.INTERNAL),
        (dispatched(pbx("dial", CallType=1), direction="in"), Direction.OUTGOING),
    ],
)
def test_the_dispatcher_only_guesses_it(body: dict[str, Any], direction: Direction) -> None:
    said = event(Wire.INCOMING_CALL, body)
    assert isinstance(said, DialObserved)
    assert said.direction is direction


def test_an_outgoing_dial_names_the_number_and_who_calls() -> None:
    said = event(Wire.CALL_EVENT, pbx("dial", CallType=1, Phone="80291234567", Extensions=["SIP/150"]))
    assert isinstance(said, DialObserved)
    assert (said.number, said.extensions) == ("+375291234567", ("150",))


def test_the_pbx_body_is_the_truth() -> None:
    raw = pbx("dial", Phone="79161234567", Extensions=["150", "152"], UniqueId="1.1")
    said = heard(Wire.INCOMING_CALL, dispatched(raw, unique_id="9.9"))
    assert isinstance(said.event, DialObserved)
    assert (said.event.number, said.event.extensions, said.stream) == ("+79161234567", ("150", "152"), "call/1.1")


@pytest.mark.parametrize("raw", [None, {}, ...])
def test_without_it_the_guesses_count(raw: Any) -> None:
    said = heard(Wire.INCOMING_CALL, dispatched(raw))
    assert isinstance(said.event, DialObserved)
    assert (said.event.number, said.event.extensions, said.stream) == ("+375290000001", ("151",), "call/1757840723.6")
    assert said.event.raw["phone"] == "+375290000001"


@pytest.mark.parametrize("phone", ["<unknown>", "anonymous", "Anonymous", "Restricted", "", "0000"])
def test_a_hidden_caller_is_anonymous_and_the_guess_is_not_taken(phone: str) -> None:
    said = event(Wire.INCOMING_CALL, dispatched(pbx("dial", Phone=phone), phone="+375290000009"))
    assert isinstance(said, DialObserved)
    assert said.number == ANONYMOUS


# -- times ---------------------------------------------------------------------------------------------------------


def test_times_are_the_zones_local_time() -> None:
    said = event(Wire.CALL_EVENT, pbx("hangup"))
    assert isinstance(said, HangupObserved)
    assert said.received_ms == utc_ms("2026-11-23 12:30:08")
    assert said.started_ms == utc_ms("2026-11-23 12:30:09")
    assert said.ended_ms == utc_ms("2026-11-23 12:30:18")


@pytest.mark.parametrize(
    ("local", "heard_at", "ended"),
    [
        # the repeated hour of 2026-10-25: what is heard in its first pass, in its second, and much later
        ("2026-10-25 02:30:00", "2026-10-25 00:30:05", "2026-10-25 00:30:00"),
        ("2026-10-25 02:30:00", "2026-10-25 01:30:05", "2026-10-25 01:30:00"),
        ("2026-10-25 02:50:00", "2026-10-25 01:10:00", "2026-10-25 00:50:00"),
        # the hour that 2026-03-29 leaves out
        ("2026-03-29 02:30:00", "2026-03-29 01:30:05", "2026-03-29 01:30:00"),
        ("2026-07-01 12:00:00", "2026-07-01 10:00:01", "2026-07-01 10:00:00"),
    ],
)
def test_a_change_of_the_clocks_does_not_move_a_call(local: str, heard_at: str, ended: str) -> None:
    said = event(
        Wire.CALL_EVENT, pbx("hangup", DateReceived="", StartTime="", EndTime=local), heard_ms=utc_ms(heard_at), zone=BERLIN
    )
    assert isinstance(said, HangupObserved)
    assert said.ended_ms == utc_ms(ended)


@pytest.mark.parametrize("absent", ["", "  ", None, ...])
def test_an_empty_time_is_not_known(absent: Any) -> None:
    said = event(Wire.CALL_EVENT, pbx("hangup", StartTime=absent))
    assert isinstance(said, HangupObserved)
    assert said.started_ms is None


@pytest.mark.parametrize("field", ["DateReceived", "StartTime", "EndTime"])
@pytest.mark.parametrize(
    "told",
    [
        "2026-13-45 00:00:00",
        "2026-13-45",
        "yesterday",
        "1999-12-31 23:00:00",
        "2026-11-25 15:30:20",
        "9999-12-31 23:59:59",
        "0001-01-01 00:00:00",
        "0000-00-00 00:00:00",
        17,
        [],
        True,
    ],
)
def test_a_time_that_is_none_names_its_field(field: str, told: Any) -> None:
    assert refused(Wire.CALL_EVENT, pbx("hangup", **{field: told})).field == field


# -- recordings and downloads --------------------------------------------------------------------------------------


def test_a_downloaded_hangup_is_marked_and_recognised() -> None:
    body = dispatched(pbx("hangup"), event_type="hangup", record_url="https://records.example.invalid/1.mp3")
    live = heard(Wire.HANGUP_CALL, {**body, "origin": None})
    for later in (heard(Wire.RECOVERY_CALL, body), heard(Wire.HANGUP_CALL, {**body, "origin": "download"})):
        assert isinstance(later.event, HangupObserved)
        assert later.event.downloaded
        assert later.digest == live.digest
    assert isinstance(live.event, HangupObserved)
    assert not live.event.downloaded
    assert live.event.record_url == "https://records.example.invalid/1.mp3"


def test_a_recording_that_comes_later_is_news() -> None:
    body = dispatched(pbx("hangup"), event_type="hangup", record_url=None)
    with_url = {**body, "record_url": "https://records.example.invalid/1.mp3"}
    assert heard(Wire.HANGUP_CALL, body).digest != heard(Wire.HANGUP_CALL, with_url).digest


@pytest.mark.parametrize("told", [None, "", "/var/spool/1.wav", "javascript:alert(1)", ...])
def test_a_recording_without_an_address_loses_no_hangup(told: Any) -> None:
    said = event(Wire.HANGUP_CALL, dispatched(pbx("hangup"), record_url=told))
    assert isinstance(said, HangupObserved)
    assert said.record_url is None


# -- cards and logged calls ----------------------------------------------------------------------------------------


def test_a_card_is_asked_for() -> None:
    said = heard(Wire.NOTIFY_INCOMING, dispatched(extension=..., extensions=["SIP/150", "151"], event_type=...))
    assert isinstance(said.event, CardRequested)
    assert (said.event.extensions, said.event.number, said.stream) == (("150", "151"), "+375290000001", "call/1757840723.6")


def test_a_hangup_is_one_also_at_the_address_of_dials() -> None:
    body = {"enterprise_number": "0367", "event_type": "hangup", "raw": pbx("hangup")}
    assert heard(Wire.INCOMING_CALL, body).digest == heard(Wire.HANGUP_CALL, body).digest


def test_a_card_for_nobody_is_refused() -> None:
    assert refused(Wire.NOTIFY_INCOMING, dispatched(extension=..., extensions=[])).field == "extensions"


LOGGED = {"enterprise_number": "0367", "phone": "80290000001", "extension": "151", "direction": "in", "unique_id": "log-1"}


@pytest.mark.parametrize(
    ("told", "answered", "seconds"),
    [
        ({"start_time": "2026-11-23 15:29:00", "end_time": "2026-11-23 15:30:00"}, True, 60),
        ({"start_time": "2026-11-23 15:29:00", "duration": 60}, True, 60),
        ({"end_time": "2026-11-23 15:30:00", "duration": 60}, True, 60),
        ({"start_time": "2026-11-23 15:29:00", "duration": 60, "answered": False}, False, 60),
        ({"start_time": "2026-11-23 15:29:00", "duration": 0}, False, 0),
    ],
)
def test_a_call_is_logged_as_a_whole(told: dict[str, Any], answered: bool, seconds: int) -> None:
    said = event(Wire.LOG_CALL, {**LOGGED, **told})
    assert isinstance(said, HangupObserved)
    assert said.downloaded
    assert said.answered == answered
    assert said.started_ms == utc_ms("2026-11-23 12:29:00")
    assert said.ended_ms == utc_ms("2026-11-23 12:29:00") + seconds * 1_000
    assert (said.number, said.extensions, said.direction) == ("+375290000001", ("151",), Direction.INCOMING)


def test_a_logged_call_that_tells_only_how_long_it_was_has_just_ended() -> None:
    told = {**LOGGED, "duration": 65}
    first, again = heard(Wire.LOG_CALL, told), heard(Wire.LOG_CALL, told, heard_ms=HEARD_MS + 90_000)
    assert isinstance(first.event, HangupObserved)
    assert (first.event.started_ms, first.event.ended_ms) == (HEARD_MS - 65_000, HEARD_MS)
    assert first.event.answered
    assert again.digest == first.digest, "a repeat is recognised though its times are others"
    assert heard(Wire.LOG_CALL, {**told, "duration": 66}).digest != first.digest


def test_a_logged_call_of_some_length_is_answered_though_nobody_says_by_whom() -> None:
    told = {"enterprise_number": "0367", "phone": "80290000001", "unique_id": "log-1"}
    said = event(Wire.LOG_CALL, {**told, "duration": 52})
    assert isinstance(said, HangupObserved)
    assert (said.answered, said.extensions) == (True, ())
    said = event(Wire.LOG_CALL, {**told, "duration": 52, "answered": False})
    assert isinstance(said, HangupObserved)
    assert not said.answered


def test_a_logged_call_may_be_the_pbx_hangup() -> None:
    said = event(Wire.LOG_CALL, {"enterprise_number": "0367", "raw": pbx("hangup", CallStatus="0")})
    assert isinstance(said, HangupObserved)
    assert said.downloaded
    assert not said.answered
    assert said.ended_ms == utc_ms("2026-11-23 12:30:18")


@pytest.mark.parametrize("length", [-1, 10**9, "long", True, float("nan"), []])
def test_a_length_that_is_none_is_refused(length: Any) -> None:
    assert refused(Wire.LOG_CALL, {**LOGGED, "start_time": "2026-11-23 15:29:00", "duration": length}).field == "duration"


# -- the short form ------------------------------------------------------------------------------------------------

INLINE = {"integration_code": "fictional-phone-key", "api_token": "fictional-api-token", "enabled": True}


def test_the_short_form_brings_its_settings_along() -> None:
    said = envelope(Wire.INCOMING_CALL, {"phone": "+375447777781", "ms_config": INLINE})
    assert (said.enterprise, said.unique_id, said.inline) == ("", "", INLINE)
    assert "fictional" not in repr(said)


def test_settings_that_come_along_leave_the_enterprise_its_name() -> None:
    said = envelope(Wire.HANGUP_CALL, dispatched(ms_config=INLINE))
    assert (said.enterprise, said.inline, said.unique_id) == ("0367", INLINE, "1757840723.6")


def test_a_repeat_within_a_minute_has_the_same_id() -> None:
    body = {"phone": "+375447777781", "ms_config": INLINE}
    first = derived_call_ids(envelope(Wire.INCOMING_CALL, body), 1_795_437_000_000)
    soon = derived_call_ids(envelope(Wire.INCOMING_CALL, {**body, "phone": "375447777781"}), 1_795_437_059_000)
    later = derived_call_ids(envelope(Wire.INCOMING_CALL, body), 1_795_437_060_500)
    hangup = derived_call_ids(envelope(Wire.HANGUP_CALL, {**body, "extension": "151"}), 1_795_437_030_000)
    assert first == soon == hangup
    assert later[1] == first[0]
    assert later[0] not in first


def test_other_numbers_other_accounts_and_other_hidden_callers_are_other_calls() -> None:
    bodies = [
        {"phone": "+375447777781", "ms_config": INLINE},
        {"phone": "+375447777782", "ms_config": INLINE},
        {"phone": "+375447777781", "ms_config": {**INLINE, "integration_code": "another"}},
        {"phone": "+375447777781", "enterprise_number": "0367", "ms_config": INLINE},
        {"phone": "anonymous", "extension": "150", "ms_config": INLINE},
        {"phone": "anonymous", "extension": "151", "ms_config": INLINE},
    ]
    ids = {derived_call_ids(envelope(Wire.INCOMING_CALL, body), HEARD_MS)[0] for body in bodies}
    assert len(ids) == len(bodies)
    assert not any("fictional" in each or "447777781" in each for each in ids)


# -- whose it is ---------------------------------------------------------------------------------------------------


def test_the_pbx_form_is_known_by_its_token() -> None:
    for body in (pbx(), {"event": "dial", "token": TOKEN, "raw": pbx(Token=...)}, {"event": "dial", "raw": pbx()}):
        said = envelope(Wire.CALL_EVENT, body)
        assert (said.enterprise, said.token) == ("", TOKEN)


@pytest.mark.parametrize("wire", [wire for wire in Wire if wire is not Wire.CALL_EVENT])
def test_the_dispatcher_names_the_enterprise(wire: Wire) -> None:
    assert refused(wire, dispatched(pbx(), enterprise_number=...)).field == "enterprise_number"
    assert envelope(wire, dispatched(pbx(), enterprise_number=367)).enterprise == "367"


@pytest.mark.parametrize(
    ("wire", "body", "field"),
    [
        (Wire.CALL_EVENT, pbx(Token=...), "enterprise_number"),
        (Wire.CALL_EVENT, pbx(event=...), "event"),
        (Wire.CALL_EVENT, pbx("conference"), "event"),
        (Wire.CALL_EVENT, pbx(UniqueId=...), "UniqueId"),
        (Wire.CALL_EVENT, pbx(UniqueId=""), "UniqueId"),
        (Wire.CALL_EVENT, pbx(UniqueId=1757840723.6), "UniqueId"),
        (Wire.CALL_EVENT, pbx("bridge", BridgeUniqueid=""), "BridgeUniqueid"),
        (Wire.CALL_EVENT, pbx("bridge_create", BridgeUniqueid=...), "BridgeUniqueid"),
        (Wire.CALL_EVENT, pbx(Phone=["375290000001"]), "Phone"),
        (Wire.CALL_EVENT, pbx(Phone="1" * 600), "Phone"),
        (Wire.CALL_EVENT, pbx(Phone="375\x00"), "Phone"),
        (Wire.CALL_EVENT, pbx(Phone=10**6000), "Phone"),
        (Wire.CALL_EVENT, pbx(Extensions={"151": 1}), "Extensions"),
        (Wire.CALL_EVENT, pbx(Extensions=[["151"]]), "Extensions"),
        (Wire.CALL_EVENT, pbx(Extensions=[True]), "Extensions"),
        (Wire.CALL_EVENT, pbx(Extensions=["1\x00"]), "Extensions"),
        (Wire.CALL_EVENT, pbx(Extensions=["\ud800"]), "Extensions"),
        (Wire.CALL_EVENT, pbx(Extensions=[str(each) for each in range(EXTENSIONS_LIMIT + 1)]), "Extensions"),
        (Wire.CALL_EVENT, pbx(CallType=7), "CallType"),
        (Wire.CALL_EVENT, pbx(CallType=True), "CallType"),
        (Wire.CALL_EVENT, pbx(CallType=[0]), "CallType"),
        (Wire.CALL_EVENT, {"event": "dial", "enterprise_number": "0367", "raw": "text"}, "raw"),
        (Wire.INCOMING_CALL, dispatched(unique_id=...), "unique_id"),
        (Wire.INCOMING_CALL, dispatched(phone=...), "phone"),
        (Wire.INCOMING_CALL, dispatched(direction="sideways"), "direction"),
        (Wire.INCOMING_CALL, dispatched(enterprise_number={}), "enterprise_number"),
        (Wire.INCOMING_CALL, {"phone": "1", "ms_config": "settings"}, "ms_config"),
        (Wire.INCOMING_CALL, {"phone": "1", "ms_config": {}}, "enterprise_number"),
        (Wire.INCOMING_CALL, {}, "enterprise_number"),
        (Wire.HANGUP_CALL, dispatched(phone=...), "phone"),
        (Wire.HANGUP_CALL, dispatched(pbx("hangup"), record_url=7.5), "record_url"),
        (Wire.HANGUP_CALL, dispatched(pbx("hangup"), record_url="https://" + "x" * 5_000), "record_url"),
        (Wire.NOTIFY_INCOMING, dispatched(unique_id=""), "unique_id"),
        (Wire.LOG_CALL, {"enterprise_number": "0367", "unique_id": "1"}, "phone"),
    ],
)
def test_bad_input_names_its_field(wire: Wire, body: object, field: str) -> None:
    error = refused(wire, body)
    assert error.field == field
    assert len(error.error) < 300
    assert TOKEN not in f"{error.error} {error.hint}"


@pytest.mark.parametrize("body", [None, [], "text", 7, 7.5, True])
@pytest.mark.parametrize("wire", list(Wire))
def test_a_body_that_is_no_object_is_refused(wire: Wire, body: object) -> None:
    refused(wire, body)


# -- secrets -------------------------------------------------------------------------------------------------------


def test_the_history_keeps_the_body_without_its_secrets() -> None:
    secrets = {"ms_config": INLINE, "Token": "t-1", "clientId": "c-1", "nested": [{"API_KEY": "k-1", "a": "b"}]}
    said = event(Wire.INCOMING_CALL, {"phone": "+375447777781", "unique_id": "1", **secrets})
    hidden = {"ms_config": "***", "Token": "***", "clientId": "***", "nested": [{"API_KEY": "***", "a": "b"}]}
    assert said.raw == {"phone": "+375447777781", "unique_id": "1", **hidden}


def test_the_pbx_body_is_kept_not_what_stood_around_it() -> None:
    raw = pbx("dial", event=..., Token=..., _extra=1)
    assert event(Wire.INCOMING_CALL, dispatched(raw)).raw == raw
