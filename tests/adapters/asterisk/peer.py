"""An Asterisk Manager under a test's control: it speaks AMI well, badly, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from adapters.asterisk.config import Originate, PbxConfig
from core.ami import Pbx

USER, SECRET = "ms", "fictional-secret-17"
CHALLENGE = "324876"


def text_of(message: Mapping[str, str]) -> bytes:
    """A message as it crosses the wire."""
    return "".join(f"{name}: {value}\r\n" for name, value in message.items()).encode() + b"\r\n"


@dataclass(slots=True, eq=False)
class Manager:
    """``actions``: what it was asked, in order. The rest is how it behaves."""

    banner: bytes = b"Asterisk Call Manager/5.0.4\r\n"
    offers_challenge: bool = True
    lets_in: bool = True
    channels: list[dict[str, str]] = field(default_factory=list)
    lists_channels: bool = True
    while_listing: list[dict[str, str]] = field(default_factory=list)
    """Said between the entries of the list and its end."""
    originate: str = "ring"
    """``ring``, ``refuse``, ``no telephone``, ``silent`` (rings all the same), ``hang up`` (likewise)."""
    ignores_pings: bool = False
    actions: list[dict[str, str]] = field(default_factory=list)
    rung: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    async def say(self, *messages: Mapping[str, str]) -> None:
        """Tell everybody who is connected."""
        for writer in self._writers:
            writer.write(b"".join(map(text_of, messages)))
            await writer.drain()

    def say_raw(self, data: bytes) -> None:
        """Send bytes that may be anything."""
        for writer in self._writers:
            writer.write(data)

    def cut(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def stop_listening(self) -> None:
        """From now on nobody listens."""
        assert self._server is not None
        self._server.close()
        self.cut()

    def asked(self, action: str) -> list[dict[str, str]]:
        """The actions of that name."""
        return [each for each in self.actions if each["Action"] == action]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._writers.add(writer)
        try:
            writer.write(self.banner)
            while headers := await _action(reader):
                self.actions.append(headers)
                self._answer(headers, writer)
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    def _answer(self, asked: dict[str, str], writer: asyncio.StreamWriter) -> None:
        id_ = {"ActionID": asked["ActionID"]}
        match asked["Action"]:
            case "Challenge" if self.offers_challenge:
                answer = {"Response": "Success", **id_, "Challenge": CHALLENGE}
            case "Login" if self.lets_in and self._is_right(asked):
                answer = {"Response": "Success", **id_, "Message": "Authentication accepted"}
            case "Login":
                answer = {"Response": "Error", **id_, "Message": "Authentication failed"}
            case "Ping" if self.ignores_pings:
                return
            case "Ping":
                answer = {"Response": "Success", **id_, "Ping": "Pong", "Timestamp": "1795850000.000000"}
            case "CoreShowChannels" if self.lists_channels:
                self._list(id_, writer)
                return
            case "Originate":
                self._originate(asked, id_, writer)
                return
            case _:
                answer = {"Response": "Error", **id_, "Message": "Permission denied"}
        writer.write(text_of(answer))

    def _is_right(self, asked: dict[str, str]) -> bool:
        if asked["Username"] != USER:
            return False
        if "Secret" in asked:
            return asked["Secret"] == SECRET
        return asked["Key"] == hashlib.md5((CHALLENGE + SECRET).encode(), usedforsecurity=False).hexdigest()

    def _list(self, id_: dict[str, str], writer: asyncio.StreamWriter) -> None:
        writer.write(text_of({"Response": "Success", **id_, "EventList": "start", "Message": "Channels will follow"}))
        for channel in self.channels:
            writer.write(text_of({"Event": "CoreShowChannel", **id_, **channel}))
        for message in self.while_listing:
            writer.write(text_of(message))
        writer.write(text_of({"Event": "CoreShowChannelsComplete", **id_, "EventList": "Complete", "ListItems": "0"}))

    def _originate(self, asked: dict[str, str], id_: dict[str, str], writer: asyncio.StreamWriter) -> None:
        if self.originate == "refuse":
            writer.write(text_of({"Response": "Error", **id_, "Message": "Permission denied"}))
            return
        unique = {"Uniqueid": asked["ChannelId"]}
        if self.originate != "no telephone":
            self.rung.append((asked["Channel"].removeprefix("PJSIP/"), asked["Exten"]))
        if self.originate == "silent":
            return
        if self.originate == "hang up":
            writer.transport.abort()
            return
        writer.write(text_of({"Response": "Success", **id_, "Message": "Originate successfully queued"}))
        failure = {"Event": "OriginateResponse", **id_, "Response": "Failure", "Reason": "0"}
        writer.write(text_of({**failure, "Uniqueid": "another-call"}))
        if self.originate == "no telephone":
            writer.write(text_of({**failure, **unique}))
        else:
            writer.write(text_of({"Event": "Newchannel", **unique, "Channel": f"{asked['Channel']}-00000001"}))


async def _action(reader: asyncio.StreamReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    while line := (await reader.readline()).decode().rstrip("\r\n"):
        name, _, value = line.partition(": ")
        headers[name] = value
    return headers


@contextlib.asynccontextmanager
async def listening(manager: Manager, tls: ssl.SSLContext | None = None) -> AsyncIterator[Manager]:
    """It listens on a loopback port for as long as the block runs; on the same one when it did before."""
    manager._server = await asyncio.start_server(manager.serve, "127.0.0.1", manager.port, ssl=tls)
    manager.port = manager._server.sockets[0].getsockname()[1]
    try:
        yield manager
    finally:
        manager._server.close()
        manager.cut()


def config_of(manager: Manager, secret: str = SECRET, enterprise: str = "0367", name: str = "lab") -> PbxConfig:
    """How the service is told of it."""
    return PbxConfig(
        pbx=Pbx(name=name, enterprise=enterprise, trunks=("trunk-alpha", "trunk-beta")),
        host="127.0.0.1",
        port=manager.port,
        user=USER,
        secret=secret,
        originate=Originate(),
    )
