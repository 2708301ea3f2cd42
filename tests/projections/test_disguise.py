"""A replay without numbers: nobody can be called from it, and it is still of use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from core.effects import CreateContact, CreateOrder, FindContact, FindEmployees, RegisterCall
from core.events import ArrivalObserved, EffectDone, Event, Exchange, HangupObserved
from tests.every_text import SOMEBODYS, every_text, undecided
from tests.playback import NAMES, recording
from tests.scenario import done, events, ms, refused, retry, started
from tests.settings import settings_with
from tests.told import calls_of, hidden, lived, replay

NUMBER = "+375291234567"


def texts(value: Any) -> Iterator[str]:
    """Every text and number of a document, keys included."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if not (isinstance(inner, int) and key.endswith("_ms")):
                yield from texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str | int):
        yield str(value)


def leaks(document: Any, number: str) -> list[str]:
    """Texts from which the number can be read, however it is written there."""
    digits = re.sub(r"\D", "", number)
    return [
        text
        for text in texts(document)
        if digits[-9:] in re.sub(r"\D", "", text) or any(digits[-8:] in run for run in re.findall(r"\d[\d ()]*", text))
    ]


@pytest.mark.parametrize("name", NAMES)
def test_no_number_of_a_recording_is_left(name: str) -> None:
    world = lived(name)
    numbers = {
        str(value)
        for line in recording(name)
        for key, value in line.body.items()
        if key in ("Phone", "CallerIDNum", "ConnectedLineNum", "Exten") and len(re.sub(r"\D", "", str(value))) >= 7
    }
    assert numbers or name in ("internal", "inbound_hidden_cli"), "the recording proves nothing"
    for call in calls_of(world):
        document = hidden(world.streams[f"call/{call}"], call)
        assert {number: leaks(document, number) for number in numbers if leaks(document, number)} == {}
        assert document["call"] == call, "what developers name the call by stays"
        orjson.dumps(document)


def told_of(raw: dict[str, Any], **response: Any) -> dict[str, Any]:
    """The disguised replay of a call with this wire body and this answer of MoySklad's."""
    search = Exchange(
        method="GET",
        path="/api/remap/1.2/entity/counterparty?search=291234567&limit=100",
        status=200,
        response={"meta": {"size": 1}, "rows": [response]},
        duration_ms=5,
    )
    found = EffectDone(
        key="k",
        at_ms=ms(1),
        effect={"type": "find_contact", "number": NUMBER},
        result={"contact": "b80ea81b-7058-11e6-8a84-bae500000000", "name": "ООО «Радуга»"},
        exchanges=(search,),
    )
    return hidden((ArrivalObserved(heard_ms=ms(0), channel="A", number=NUMBER, raw=raw), found))


@pytest.mark.parametrize(
    "typed",
    [
        "375291234567", "+375 (29) 123-45-67", "80291234567", "8 029 123 45 67", "291234567", "sip:375291234567@host", 375291234567,
    ],
)  # fmt: skip
def test_however_it_is_written_the_number_goes_and_is_the_same_one_everywhere(typed: Any) -> None:
    document = told_of({"Phone": "375291234567", "Anything": typed})
    assert leaks(document, NUMBER) == []
    shown = re.sub(r"\D", "", str(document["entries"][0]["raw"]["Anything"]))
    assert re.fullmatch("5+1", shown)
    assert re.fullmatch(r"\+5+1", document["number"])


def test_its_shape_stays() -> None:
    raw = told_of({"Phone": "+375 (29) 123-45-67"})["entries"][0]["raw"]
    assert raw["Phone"] == "+555 (55) 555-55-51"


def test_another_s_number_is_another_and_goes_although_nothing_says_what_it_is() -> None:
    raw = told_of({"Phone": "375291234567", "Odd": "call 375447654321 back", "Again": "375447654321"})["entries"][0]["raw"]
    assert raw["Odd"] == f"call {raw['Again']} back"
    assert raw["Again"] != raw["Phone"]
    assert leaks(raw, "375447654321") == []


def test_names_go_wherever_they_stand() -> None:
    document = told_of({"CallerIDName": "Иван Петров"}, name="ООО «Радуга»", email="a@raduga.example", actualAddress="Минск, 1")
    text = orjson.dumps(document).decode()
    assert not [word for word in ("Радуга", "Иван", "raduga", "Минск") if word in text]
    assert (document["picture"]["names"], document["picture"]["client"]) == ({}, "…")


@pytest.mark.parametrize("name", ["ООО «Радуга»", "Ян", "Анна"])
def test_a_client_s_name_goes_from_every_step_also_where_no_answer_of_moysklad_s_has_it(name: str) -> None:
    contact = "b80ea81b-7058-11e6-8a84-bae500000000"
    order = CreateOrder(sync_id="s", contact=contact, number=NUMBER, incoming=True, start_ms=ms(0))
    history: list[Event] = [
        ArrivalObserved(heard_ms=ms(0), channel="A", number=NUMBER),
        done(FindContact(number=NUMBER), 1, contact=contact, name=name),
        done(RegisterCall(external_id="x", number=NUMBER, incoming=True, start_ms=0), 2, call="m", contact=contact),
        started(order, 3),
    ]
    told, nameless = replay(history), hidden(history)
    assert [name in entry["title"] for entry in told["entries"]] == [False, True, True, True]
    assert name not in orjson.dumps(nameless).decode()
    assert nameless["entries"][3]["title"] == "create an order for client …"


def test_nothing_of_anybody_is_left_of_any_event() -> None:
    for event, words in every_text():
        assert [where for where in words if undecided(where)] == [], "say in tests/every_text.py whether that is somebody's"
        shown = orjson.dumps(hidden([*events("0 A start"), event])).decode()
        assert [where for where, word in words.items() if where in SOMEBODYS and word in shown] == [], event.type


def test_a_colleague_whose_telephone_never_rang_is_not_named() -> None:
    """Known from the directory, so that no answer of MoySklad's has his name; the card is asked for by the dispatcher."""
    found = {"101": {"id": "e-1", "name": "Иванов Иван"}, "205": {"id": "e-2", "name": "Петров Пётр"}}
    look = done(FindEmployees(extensions=("101", "205")), 0.7, employees=found)
    history = [*events("0 A start\n0.5 A dial 101\n0.6 A card 205\n"), look]
    told = hidden(history, settings=settings_with(mapped=()))
    assert told["entries"][-1]["title"] == "look up who has 101, 205: 101 is …, 205 is …"


def test_whoever_ordered_a_retry_is_not_named() -> None:
    ordered = retry(60, by="Анна Петрова (ссылка 3), 203.0.113.7", reason="звонила Ольга")
    entry = hidden([*events("0 A start"), ordered])["entries"][-1]
    assert (entry["kind"], entry["title"], entry["why"]) == ("ordered", "asked again by …", "…")
    assert hidden([*events("0 A start"), retry(60, by="", reason="")])["entries"][-1]["why"] == ""


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("ivanov.petr@romashka has no right to it", "… has no right to it"),
        ("write to a+b@mail.example.com.", "write to …."),
        ("203.0.113.7:5060 does not answer, 203.0.113.8.", "…:5060 does not answer, …."),
        ("Local/FMPR-101@from-internal-00ab;1 is gone", "Local/FMPR-101@from-internal-00ab;1 is gone"),
        ("PJSIP/anna@trunk and lab-1795437008.105 at 1.2.3", "PJSIP/anna@trunk and lab-1795437008.105 at 1.2.3"),
    ],
)
def test_logins_and_addresses_go_from_any_sentence_and_channels_stay(error: str, shown: str) -> None:
    told = hidden([*events("0 A start"), refused(FindContact(number=NUMBER), 1, error=error)])
    assert told["entries"][-1]["title"].endswith(f": {shown}")


def test_a_created_client_is_named_by_a_number_that_goes_too() -> None:
    made = done(CreateContact(number=NUMBER, sync_id="s"), 1, contact="c-1")
    registered = done(RegisterCall(external_id="x", number=NUMBER, incoming=True, start_ms=0), 2, call="m", contact="c-1")
    history: list[Event] = [ArrivalObserved(heard_ms=ms(0), channel="A", number=NUMBER), made, registered]
    told = replay(history)
    assert told["entries"][2]["title"].endswith(f"linked to client {NUMBER}")
    assert leaks(hidden(history), NUMBER) == []


def test_what_ami_says_of_several_channels_goes_as_well() -> None:
    raw = {
        "DestCallerIDNum": "375447654321", "TransfereeCallerIDName": "Иван Петров", "DialString": "375447654321@trunk-alpha",
        "Channel": "PJSIP/101-00000038", "Uniqueid": "lab-1795437008.105", "Timestamp": "1795437008.123456",
    }  # fmt: skip
    told = told_of(raw)["entries"][0]["raw"]
    assert leaks(told, "375447654321") == []
    assert told["TransfereeCallerIDName"] == "…"
    assert {key: told[key] for key in ("Channel", "Uniqueid", "Timestamp")} == {
        key: raw[key] for key in ("Channel", "Uniqueid", "Timestamp")
    }


def test_ids_and_times_stay() -> None:
    bridge = "7b5f1b1e-0c5a-4a53-9d4b-1f5bd1e2d1aa"
    raw = {"UniqueId": "1757840723.6", "DateReceived": "2026-11-23 15:13:20", "BridgeUniqueid": bridge}
    document = told_of(raw, id="b80ea81b-7058-11e6-8a84-bae500000000", externalId="0367-1757840723.6")
    assert document["entries"][0]["raw"] == raw
    (row,) = document["entries"][1]["exchanges"][0]["response"]["rows"]
    assert row == {"id": "b80ea81b-7058-11e6-8a84-bae500000000", "externalId": "0367-1757840723.6"}
    assert document["entries"][0]["at_ms"] == ms(0)


def test_a_recording_s_address_goes() -> None:
    hangup = HangupObserved(heard_ms=ms(9), channel="A", direction="in", number=NUMBER, record_url="https://rec.example/1?key=s3cret")  # type: ignore[arg-type]
    document = hidden((hangup,))
    assert "rec.example" not in orjson.dumps(document).decode()


def test_a_ring_group_with_a_mobile_phone_in_it() -> None:
    raw = {"Phone": "375291234567", "Extensions": ["101", "375447654321"]}
    lanes = told_of(raw)
    assert leaks(lanes, "375447654321") == []
    assert lanes["entries"][0]["raw"]["Extensions"][0] == "101"
