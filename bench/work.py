"""What is played: calls as the PBX's script tells them, line by line, each with ids, a number and an enterprise of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID
from zlib import crc32
from zoneinfo import ZoneInfo

import orjson

PBX_ZONE: Final = ZoneInfo("Europe/Minsk")
EXTENSIONS: Final = ("101", "102", "103")
SEQUENCE: Final = "BenchNth"
"""A field of our own in each body: the sender and the place in what it sent, so that losses and swaps can be found afterwards."""

KINDS: Final = ("answered", "missed", "outgoing", "answered", "internal", "answered", "outgoing", "answered", "missed", "answered")
"""What ten calls in a row are: half of them answered, a fifth missed, a fifth outgoing, a tenth internal."""


def employee_id(extension: str) -> str:
    """The uuid of whoever has this extension at the fake API."""
    return str(UUID(int=int(extension)))


def enterprise_name(nth: int) -> str:
    """The number of an enterprise of the bench, from 0."""
    return f"{nth + 1_000:04}"


def phone_key(nth: int) -> str:
    """Its key for the Phone API: each enterprise has an account of its own, because limits are an account's."""
    return f"a{nth:039}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call to be played. ``start_s``: unix seconds."""

    id: str
    enterprise: str
    number: str
    start_s: float

    @property
    def unique_id(self) -> str:
        """The channel that placed it."""
        return f"{self.id}.1"

    def bodies(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """``(event, body)`` in the PBX's order. Raises KeyError for an unknown kind."""
        maker = {"answered": self._answered, "missed": self._missed, "outgoing": self._outgoing, "internal": self._internal}
        for event, body in maker[kind]():
            yield event, {"event": event, "enterprise_number": self.enterprise, **body}

    def _answered(self) -> Iterator[tuple[str, dict[str, Any]]]:
        yield "start", self._own({"CallType": 0, "Trunk": "trunk-alpha"})
        yield "dial", self._dial(EXTENSIONS, 0)
        yield from self._talk("102")
        yield "hangup", self._hangup(["102"], 0, "2")

    def _missed(self) -> Iterator[tuple[str, dict[str, Any]]]:
        yield "start", self._own({"CallType": 0, "Trunk": "trunk-alpha"})
        yield "dial", self._dial(EXTENSIONS[:2], 0)
        yield "hangup", self._hangup(list(EXTENSIONS[:2]), 0, "0")

    def _outgoing(self) -> Iterator[tuple[str, dict[str, Any]]]:
        yield "new_callerid", {
            "UniqueId": self.unique_id, "Channel": "PJSIP/101-0000004d", "CallerIDNum": "74951110001", "CallerIDName": "Ext 101",
            "ConnectedLineNum": "<unknown>", "ConnectedLineName": "<unknown>", "Context": "from-internal", "Exten": self.number,
        }  # fmt: skip
        yield "dial", self._dial(EXTENSIONS[:1], 1)
        yield from self._talk("101", outgoing=True)
        yield "hangup", self._hangup(["101"], 1, "2")

    def _internal(self) -> Iterator[tuple[str, dict[str, Any]]]:
        yield "dial", {**self._dial(("103",), 2), "Phone": "101", "Trunk": ""}
        yield "hangup", {**self._hangup(["103"], 2, "2"), "Phone": "101", "Trunk": ""}

    def _own(self, rest: dict[str, Any]) -> dict[str, Any]:
        return {"UniqueId": self.unique_id, "Phone": self.number, **rest}

    def _dial(self, extensions: Sequence[str], call_type: int) -> dict[str, Any]:
        rest = {
            "Extensions": list(extensions),
            "CallType": call_type,
            "Trunk": "trunk-alpha",
            "ExtTrunk": "",
            "ExtPhone": self.number,
        }
        return self._own(rest)

    def _hangup(self, extensions: list[str], call_type: int, status: str) -> dict[str, Any]:
        began, ended = (
            datetime.fromtimestamp(at, PBX_ZONE).strftime("%Y-%m-%d %H:%M:%S") for at in (self.start_s, self.start_s + 3)
        )
        times = {"DateReceived": began, "StartTime": began, "EndTime": ended}
        return self._own({"Extensions": extensions, "CallType": call_type, **times, "CallStatus": status, "Trunk": "trunk-alpha"})

    def _talk(self, extension: str, *, outgoing: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
        bridge = f"b-{self.id}"
        own, other = f"PJSIP/{extension}-0000000e", "PJSIP/trunk-alpha-0000000d"
        employee = {
            "UniqueId": f"{self.id}.{1 if outgoing else 2}",
            "Channel": own,
            "CallerIDNum": extension,
            "ConnectedLineNum": self.number,
        }
        customer = {
            "UniqueId": f"{self.id}.{2 if outgoing else 1}",
            "Channel": other,
            "CallerIDNum": self.number,
            "ConnectedLineNum": extension,
        }
        frame = {
            "UniqueId": "", "BridgeUniqueid": bridge, "BridgeType": "", "BridgeTechnology": "simple_bridge",
            "BridgeCreator": "<unknown>", "BridgeName": "<unknown>", "BridgeNumChannels": "0",
        }  # fmt: skip
        yield "bridge_create", frame
        for party in (employee, customer):
            yield "bridge", {**party, "BridgeUniqueid": bridge, "CallerIDName": "", "ConnectedLineName": "<unknown>", "Exten": ""}
        for party, left in ((customer, "1"), (employee, "0")):
            yield "bridge_leave", {**party, "BridgeUniqueid": bridge, "CallerIDName": "", "BridgeNumChannels": left}
        yield "bridge_destroy", frame


def enterprise_of(nth: int, enterprises: int) -> str:
    """Whose the nth call of a load is: by chance, but the same each time. In turn, with as many live calls as companies, each call
    would begin in the very moment in which its company's last one ends."""
    return enterprise_name(crc32(b"%d" % nth) % enterprises)


def call(nth: int, *, mark: str, enterprises: int, start_s: float) -> Call:
    """The nth call of a load that ``mark`` (letters and digits) tells apart from others."""
    return Call(
        id=f"{mark}{nth:08}",
        enterprise=enterprise_of(nth, enterprises),
        number=f"37529{nth % 10_000_000:07}",
        start_s=start_s,
    )


def numbered(body: dict[str, Any], sender: int, nth: int) -> bytes:
    """The body as it is sent, with its place among all that this sender sends."""
    return orjson.dumps({**body, SEQUENCE: f"{sender}:{nth}"})


def settings(nth: int, *, json_api: bool = False) -> dict[str, Any]:
    """An enterprise's settings: cards on, employees known. ``json_api``: contacts are looked up, before the card."""
    return {
        "enabled": True,
        "integration_code": phone_key(nth),
        "api_token": f"b{nth:039}" if json_api else "",
        "notifications": {"call_notify_mode": "during", "notify_incoming": True, "notify_outgoing": True},
        "incoming_call_actions": {"create_client": False, "create_order": "none"},
        "outgoing_call_actions": {"create_client": False, "create_order": "none"},
        "employee_mapping": {
            extension: {"name": f"E{extension}", "employee_id": employee_id(extension)} for extension in EXTENSIONS
        },
    }
