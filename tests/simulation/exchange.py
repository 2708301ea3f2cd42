"""The PBX as its script tells of it (CONTRACT-ASTERISK): channels, bridges, dials and hangups as the bodies that it posts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from tests.playback import Line

MINSK: Final = ZoneInfo("Europe/Minsk")
TRUNK: Final = "trunk-alpha"
OUTWARD: Final = "74951110001"
"""What an employee's channel shows of itself when it calls out: the dialplan set it."""

HANGUP_MS: Final = 400
"""The script tells of a hangup this long after it."""


class Part(StrEnum):
    """What a line is of: the call's own channel, a leg with a UniqueId of its own, a bridge, or what else a channel says."""

    OWN = "own"
    LEG = "leg"
    BRIDGE = "bridge"
    CHANNEL = "channel"


@dataclass(slots=True)
class Channel:
    """One channel: its UniqueId, its name, who it says it is."""

    id: str
    name: str
    caller: str


@dataclass(slots=True)
class Exchange:
    """Writes what is told of one call; ``now_ms`` moves with ``wait``. ``first``: the first of the UniqueIds it gives."""

    prefix: str
    first: int
    now_ms: int
    customer_first: bool = False
    lines: list[tuple[Line, Part]] = field(default_factory=list)
    _given: int = 0
    _bridges: int = 0

    def wait(self, ms: int) -> None:
        """Let time pass."""
        self.now_ms += ms

    def telephone(self, extension: str, shows: str = "") -> Channel:
        """A new channel of an employee's telephone."""
        return self._channel(f"PJSIP/{extension}", shows or extension)

    def line(self, number: str, trunk: str = TRUNK) -> Channel:
        """A new channel of a trunk, with somebody outside."""
        return self._channel(f"PJSIP/{trunk}", number)

    def _channel(self, name: str, caller: str) -> Channel:
        self._given += 1
        return Channel(id=f"{self.prefix}.{self.first + self._given - 1}", name=f"{name}-{self._given:08x}", caller=caller)

    # -- what the script tells ------------------------------------------------------------------------------------

    def start(self, channel: Channel, phone: str) -> None:
        """An incoming call enters the trunk."""
        self._say("start", Part.OWN, {"UniqueId": channel.id, "Phone": phone, "CallType": 0, "Trunk": TRUNK})

    def dial(self, channel: Channel, phone: str, extensions: list[str], call_type: int, part: Part = Part.OWN) -> None:
        """Before a Dial step."""
        trunk = "" if call_type == 2 else TRUNK
        body = {"UniqueId": channel.id, "Phone": phone, "Extensions": extensions, "CallType": call_type, "Trunk": trunk}
        self._say("dial", part, body | {"ExtTrunk": "", "ExtPhone": phone if call_type == 0 else ""})

    def caller_id(self, channel: Channel, connected: str, exten: str) -> None:
        """A channel says who it is."""
        body = {"UniqueId": channel.id, "Channel": channel.name, "CallerIDNum": channel.caller, "ConnectedLineNum": connected}
        self._say("new_callerid", Part.CHANNEL, body | {"Exten": exten, "Context": "office"})

    def open(self) -> str:
        """A bridge comes to be."""
        self._bridges += 1
        bridge = f"bridge-{self.first}-{self._bridges}"
        self._say("bridge_create", Part.BRIDGE, {"UniqueId": "", "BridgeUniqueid": bridge, "BridgeNumChannels": "0"})
        return bridge

    def enter(self, bridge: str, channel: Channel, connected: str, exten: str = "") -> None:
        """A channel enters a bridge."""
        self._say("bridge", Part.BRIDGE, self._member(bridge, channel, connected) | {"Exten": exten})

    def leave(self, bridge: str, channel: Channel, connected: str, remaining: int = 0) -> None:
        """A channel leaves a bridge."""
        self._say("bridge_leave", Part.BRIDGE, self._member(bridge, channel, connected) | {"BridgeNumChannels": str(remaining)})

    def close(self, bridge: str) -> None:
        """A bridge is gone."""
        self._say("bridge_destroy", Part.BRIDGE, {"UniqueId": "", "BridgeUniqueid": bridge, "BridgeNumChannels": "0"})

    def hangup(
        self,
        channel: Channel,
        phone: str,
        extensions: list[str],
        call_type: int,
        answered: bool,
        began_ms: int,
        ended_ms: int,
        part: Part = Part.OWN,
    ) -> None:
        """The context that placed the Dial has come to its end, ``HANGUP_MS`` ago or longer; the time does not move."""
        body: dict[str, Any] = {
            "UniqueId": channel.id,
            "Phone": phone,
            "Extensions": extensions or [""],
            "CallType": call_type,
            "DateReceived": _local(began_ms),
            "StartTime": "" if call_type == 2 else _local(began_ms),
            "EndTime": _local(ended_ms),
            "CallStatus": "2" if answered else "0",
        }
        self._say("hangup", part, body if call_type == 2 else body | {"Trunk": TRUNK}, ended_ms + HANGUP_MS)

    def _say(self, event: str, part: Part, body: dict[str, Any], at_ms: int | None = None) -> None:
        self.lines.append((Line(self.now_ms if at_ms is None else at_ms, event, body), part))

    @staticmethod
    def _member(bridge: str, channel: Channel, connected: str) -> dict[str, Any]:
        return {
            "UniqueId": channel.id,
            "BridgeUniqueid": bridge,
            "Channel": channel.name,
            "CallerIDNum": channel.caller,
            "ConnectedLineNum": connected,
        }


def _local(at_ms: int) -> str:
    """The PBX's own time, cut to the second."""
    return f"{datetime.fromtimestamp(at_ms // 1_000, tz=UTC).astimezone(MINSK):%Y-%m-%d %H:%M:%S}"
