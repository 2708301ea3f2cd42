"""AMI by hand: writes the messages that an Asterisk says when people do this or that, for what the recordings do not show.

Made by hand from knowledge of Asterisk's sources and of the recordings, not recorded: the order and the fields of each step are
those of the recordings (``tests/recordings/ami``). ``version`` 16 leaves out what only newer ones say (``TechCause``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, str]
Line = tuple[int, Message]
"""When it was read (unix ms), and what."""

EPOCH_MS = 1_795_437_000_000
CAUSES = {"BUSY": 17, "CONGESTION": 34, "CHANUNAVAIL": 20, "NOANSWER": 0, "CANCEL": 26, "ANSWER": 16}


@dataclass(slots=True)
class Chan:
    """A channel as the lab knows it; ``cid`` and ``connected`` are numbers."""

    id: str
    name: str
    linked: str
    cid: str
    connected: str = "<unknown>"
    state: int = 0
    exten: str = "s"
    bridge: str = ""


@dataclass(slots=True)
class Lab:
    """One Asterisk with its clock. Every method says what Asterisk would; the lines pile up in ``lines``."""

    version: int = 22
    at_ms: int = EPOCH_MS
    lag_ms: int = 1
    lines: list[Line] = field(default_factory=list)
    _channels: int = 0
    _bridges: int = 0
    _linked: dict[str, list[Chan]] = field(default_factory=dict)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.at_ms += round(seconds * 1_000)

    def say(self, event: str, chan: Chan | None = None, *parts: Message, **more: Any) -> None:
        """One message, about a channel; ``parts`` say the same of others (see ``of``)."""
        message = {"Event": event, "Privilege": "call,all", "Timestamp": f"{self.at_ms / 1_000:.6f}", "SystemName": "lab"}
        if chan is not None:
            message |= self.of(chan)
        for part in parts:
            message |= part
        message |= {key: str(value) for key, value in more.items()}
        self.lines.append((self.at_ms + self.lag_ms, message))

    def of(self, chan: Chan, prefix: str = "") -> Message:
        """What a message says of a channel, under a prefix."""
        return {
            f"{prefix}Channel": chan.name,
            f"{prefix}ChannelState": str(chan.state),
            f"{prefix}CallerIDNum": chan.cid,
            f"{prefix}ConnectedLineNum": chan.connected,
            f"{prefix}Exten": chan.exten,
            f"{prefix}Uniqueid": chan.id,
            f"{prefix}Linkedid": chan.linked,
        }

    # -- channels and dials ---------------------------------------------------------------------------------------

    def channel(
        self, peer: str, *, cid: str | None = None, state: int = 4, exten: str = "s", linked: Chan | None = None, name: str = ""
    ) -> Chan:
        """A new channel: state 4 is somebody who calls, 0 is somebody who is going to be called."""
        self._channels += 1
        id_ = f"lab-{EPOCH_MS // 1_000}.{self._channels}"
        chan = Chan(
            id=id_,
            name=name or f"PJSIP/{peer}-{self._channels:08x}",
            linked=linked.linked if linked is not None else id_,
            cid=peer if cid is None else cid,
            state=state,
            exten=exten,
        )
        self._linked.setdefault(chan.linked, []).append(chan)
        self.say("Newchannel", chan)
        return chan

    def arrives(self, number: str = "79161234567", trunk: str = "trunk-alpha") -> Chan:
        """A customer calls."""
        return self.channel(trunk, cid=number, exten="74951110001")

    def dial(self, source: Chan | None, peer: str, *, number: str = "", name: str = "", string: str = "") -> Chan:
        """Somebody is dialled: an extension, or ``number`` through a trunk."""
        called = self.channel(peer, cid=number or peer, state=0, linked=source, name=name)
        called.connected = source.cid if source is not None else "<unknown>"
        self.say("NewConnectedLine", called)
        self.begin(source, called, string or (f"{number}@{peer}" if number else peer))
        return called

    def begin(self, source: Chan | None, called: Chan, string: str) -> None:
        """DialBegin alone."""
        self.say("DialBegin", source, self.of(called, "Dest"), DialString=string)

    def rings(self, source: Chan | None, *called: Chan) -> None:
        """The telephones ring, a tenth of a second later."""
        self.wait(0.1)
        for each in called:
            each.state = 5
            self.say("Newstate", each)
            self.say("DialState", source, self.of(each, "Dest"), DialStatus="RINGING")

    def answers(self, source: Chan | None, called: Chan) -> None:
        """Somebody answers; whoever calls is up then, too."""
        called.state = 6
        self.say("Newstate", called)
        self.say("DialEnd", source, self.of(called, "Dest"), DialStatus="ANSWER")
        if source is not None and source.state != 6:
            source.state = 6
            self.say("Newstate", source)

    def ends(self, source: Chan | None, called: Chan, status: str, *, cause: int | None = None, sip: int | None = None) -> None:
        """A dial ends without an answer. With a ``sip`` answer it was the called side's doing."""
        cause = CAUSES[status] if cause is None else cause
        tech: dict[str, int] = {"TechCause": sip} if sip is not None and self.version > 16 else {}
        if sip is not None:
            self.say("HangupRequest", called, Cause=cause, **tech)
        self.say("DialEnd", source, self.of(called, "Dest"), DialStatus=status)
        self.say("Hangup", called, Cause=cause, **tech)

    def asks(self, chan: Chan, cause: int = 16) -> None:
        """This side hangs up."""
        self.say("HangupRequest", chan, Cause=cause)

    def gone(self, *channels: Chan, cause: int = 16) -> None:
        """Channels end."""
        for chan in channels:
            self.say("SoftHangupRequest", chan, Cause=16)
            self.say("Hangup", chan, Cause=cause)

    # -- bridges --------------------------------------------------------------------------------------------------

    def join(self, *channels: Chan, technology: str = "simple_bridge") -> str:
        """These channels are put into a bridge of their own."""
        self._bridges += 1
        bridge = f"00000000-0000-4000-8000-{self._bridges:012d}"
        self.say("BridgeCreate", BridgeUniqueid=bridge, BridgeTechnology=technology, BridgeNumChannels="0")
        for chan in channels:
            self.enter(bridge, chan, technology=technology)
        return bridge

    def enter(self, bridge: str, chan: Chan, *, technology: str = "simple_bridge") -> None:
        """A channel enters a bridge; the Linkedids of all in it become the oldest one, as Asterisk has it."""
        chan.bridge = bridge
        members = self.members(bridge)
        self.say("BridgeEnter", chan, BridgeUniqueid=bridge, BridgeTechnology=technology, BridgeNumChannels=len(members))
        oldest = min((each.linked for each in members), key=lambda linked: int(linked.rpartition(".")[2]))
        for each in members:
            if each.linked != oldest:
                self._linked[each.linked].remove(each)
                each.linked = oldest
                self._linked[oldest].append(each)

    def members(self, bridge: str) -> list[Chan]:
        """Who is in a bridge."""
        return [each for group in self._linked.values() for each in group if each.bridge == bridge]

    def leave(self, *channels: Chan) -> None:
        """Channels leave their bridge."""
        for chan in channels:
            bridge, chan.bridge = chan.bridge, ""
            left = len(self.members(bridge))
            self.say("BridgeLeave", chan, BridgeUniqueid=bridge, BridgeTechnology="simple_bridge", BridgeNumChannels=left)

    def close(self, bridge: str) -> None:
        """A bridge is gone."""
        self.say("BridgeDestroy", BridgeUniqueid=bridge, BridgeTechnology="simple_bridge", BridgeNumChannels="0")

    def part(self, bridge: str, *channels: Chan) -> None:
        """Everybody leaves, and the bridge is gone."""
        self.leave(*channels)
        self.close(bridge)

    def hangs_up(self, bridge: str, who: Chan, other: Chan) -> None:
        """One of two who talk hangs up, and both channels end."""
        self.asks(who)
        self.part(bridge, who, other)
        self.gone(other, who)

    # -- transfers ------------------------------------------------------------------------------------------------

    def blind(self, transferer: Chan, transferee: Chan, target: str) -> None:
        """A blind transfer, up to where the first one is gone."""
        bridge = transferee.bridge
        self.say(
            "BlindTransfer", None, self.of(transferer, "Transferer"), self.of(transferee, "Transferee"),
            Result="Success", BridgeUniqueid=bridge, IsExternal="Yes", Context="from-internal", Extension=target,
        )  # fmt: skip
        transferee.exten = target
        self.part(bridge, transferee, transferer)
        self.gone(transferer)

    def attended(self, first: Chan, second: Chan, transferee: Chan, target: Chan) -> None:
        """An attended transfer: the transferee goes into the bridge of the target, both channels of the transferer end."""
        bridge, asked = transferee.bridge, target.bridge
        self.leave(transferee)
        self.leave(second)
        self.enter(asked, transferee)
        self.say(
            "AttendedTransfer", None, self.of(first, "OrigTransferer"), self.of(second, "SecondTransferer"),
            self.of(transferee, "Transferee"), self.of(target, "TransferTarget"), Result="Success", DestType="Bridge",
        )  # fmt: skip
        self.gone(second)
        self.part(bridge, first)
        self.gone(first)


def core_show_channels(lines: Sequence[Line], at_ms: int | None = None) -> list[Message]:
    """What CoreShowChannels would list after these messages, then (None: at once)."""
    up: dict[str, Message] = {}
    for began_ms, message in lines:
        id_, event = message.get("Uniqueid", ""), message["Event"]
        if event == "Newchannel":
            lasted_s = ((lines[-1][0] if at_ms is None else at_ms) - began_ms) // 1_000
            lasted = f"{lasted_s // 3_600:02}:{lasted_s // 60 % 60:02}:{lasted_s % 60:02}"
            up[id_] = {"Event": "CoreShowChannel", "Application": "", "BridgeId": "", "Duration": lasted}
        if id_ not in up:
            continue
        known = up[id_]
        for key in ("Channel", "ChannelState", "CallerIDNum", "ConnectedLineNum", "Uniqueid", "Linkedid", "Exten"):
            known[key] = message.get(key, known.get(key, ""))
        match event:
            case "Hangup":
                del up[id_]
            case "BridgeEnter":
                known["BridgeId"] = message["BridgeUniqueid"]
            case "BridgeLeave":
                known["BridgeId"] = ""
            case "QueueCallerJoin":
                known["Application"] = "Queue"
            case "DialBegin":
                known["Application"] = known["Application"] or "Dial"
        if event == "DialBegin" and message["DestUniqueid"] in up:
            up[message["DestUniqueid"]]["Application"] = "AppDial"
    return list(up.values())
