"""One AMI connection: banner, login, questions with their answers, everything else into a bounded queue, and a pulse.

It reconnects to nothing and knows no calls: ``source.py`` does. It ends with ``ConnectionEnded``, in words.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from adapters.asterisk.config import PbxConfig
from adapters.asterisk.wire import BadWire, Message, Reader, action

CONNECT_S: Final = 5.0
ANSWER_S: Final = 5.0
"""For the banner, the login, and any other question."""

TICK_S: Final = 0.5
PING_TICKS: Final = 3
SILENT_TICKS: Final = 9
"""A peer that says nothing is pinged, and given up when it says nothing all the same: within five seconds. Counted in ticks of our
own, so that a pause of this process is not taken for the peer's."""

USER_TIMEOUT_MS: Final = 10_000
"""What was sent and is not acknowledged by the other machine's kernel for so long ends the connection."""

MAX_WAITING: Final = 20_000
"""Messages that were heard and not yet recorded (some 20 MB): at a busy PBX's 200 a second more than a minute of a database
that is away. What comes on top ends the connection: a resync finds out what it would have said."""

MAX_LISTED: Final = 20_000
"""Entries of one list: channels of one Asterisk. It has fewer by far."""

CHUNK: Final = 65_536
EVENTS: Final = "call,agent"
"""The classes of events that are asked for: without them every variable that is set and every RTCP report would come."""


class ConnectionEnded(Exception):
    """The connection is over, or never came about: what happened, to be read by a person. ``refused``: the login was."""

    def __init__(self, reason: str, remedy: str = "", *, refused: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.refused = refused


class ActionRefused(Exception):
    """Asterisk answered an action with an error: its own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardMessage:
    """A message and when it was read from the socket (unix ms)."""

    message: Message
    heard_ms: int


@dataclass(slots=True)
class _Question:
    """An action under way; ``items``: the entries of the list that answers it."""

    answer: asyncio.Future[Message]
    is_list: bool
    items: list[Message] = field(default_factory=list)


class Connection:
    """A logged-in connection. ``messages``: what was heard, in order, ended by None once it is over and ``ended`` says why."""

    def __init__(
        self, config: PbxConfig, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, now_ms: Callable[[], int]
    ) -> None:
        self._config = config
        self._reader = reader
        self._writer = writer
        self._now_ms = now_ms
        self._wire = Reader()
        self._questions: dict[str, _Question] = {}
        self._ids = itertools.count(1)
        self._quiet = True
        self._pings: set[str] = set()
        self._greeted = asyncio.Event()
        self.messages: asyncio.Queue[HeardMessage | None] = asyncio.Queue()
        self.ended: ConnectionEnded | None = None

    @property
    def banner(self) -> str:
        """What the manager said of itself first."""
        return self._wire.banner

    def give_up(self, reason: str, remedy: str = "") -> None:
        """End it; what was heard so far may still be taken from ``messages``. If several are given, the first reason stands."""
        if self.ended is None:
            self.ended = ConnectionEnded(reason, remedy)
            self.messages.put_nowait(None)
            for question in self._questions.values():
                if not question.answer.done():
                    question.answer.set_exception(ConnectionEnded(reason, remedy))
                    question.answer.exception()  # whoever asked may have given up too
            self._questions.clear()
        self._greeted.set()
        self._writer.transport.abort()

    async def listen(self) -> None:
        """Read until the connection is over."""
        try:
            while data := await self._reader.read(CHUNK):
                self._quiet = False
                for message in self._wire.feed(data):
                    self._take(message)
                if self._wire.banner:
                    self._greeted.set()
            self.give_up("Asterisk ended the connection")
        except BadWire as error:
            self.give_up(str(error), "check host and port")
        except OSError as error:
            self.give_up(f"the connection was lost ({error.strerror or type(error).__name__})")

    async def pulse(self) -> None:
        """Ask for a sign of life when nothing is heard, and end the connection when there is none."""
        silent = 0
        while self.ended is None:
            await asyncio.sleep(TICK_S)
            silent, self._quiet = silent + 1 if self._quiet else 0, True
            if silent >= SILENT_TICKS:
                self.give_up(f"nothing was heard of Asterisk for {silent * TICK_S:.1f} s: it hangs, or the network does")
            elif silent and silent % PING_TICKS == 0:
                self._ping()

    async def greeted(self) -> None:
        """Return once the banner came. Raises ConnectionEnded."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._greeted.wait()
        except TimeoutError:
            self.give_up(f"whatever listens there said nothing for {ANSWER_S:.0f} s", "check host and port")
        if self.ended is not None:
            raise self.ended

    async def ask(self, name: str, headers: Mapping[str, str | list[str]] | None = None) -> Message:
        """Do an action; its answer. Raises ActionRefused, ConnectionEnded, and ValueError for a value that is no header."""
        return await self._ask(name, headers or {}, is_list=False, sent=lambda: None)

    async def listing(self, name: str) -> list[Message]:
        """Do an action that is answered by a list; its entries. Raises as ``ask`` does."""
        items: list[Message] = []
        await self._ask(name, {}, is_list=True, sent=lambda: None, items=items)
        return items

    async def order(self, name: str, headers: Mapping[str, str | list[str]], sent: Callable[[], None]) -> Message:
        """As ``ask``; ``sent`` is called just before the action goes out: from then on it may have been done."""
        return await self._ask(name, headers, is_list=False, sent=sent)

    async def _ask(
        self,
        name: str,
        headers: Mapping[str, str | list[str]],
        *,
        is_list: bool,
        sent: Callable[[], None],
        items: list[Message] | None = None,
    ) -> Message:
        if self.ended is not None:
            raise self.ended
        id_ = f"ms-{next(self._ids)}"
        data = action(name, {**headers, "ActionID": id_})
        question = _Question(asyncio.get_running_loop().create_future(), is_list)
        if items is not None:
            question.items = items
        self._questions[id_] = question
        try:
            sent()
            self._writer.write(data)
            async with asyncio.timeout(ANSWER_S):
                answer = await question.answer
        except TimeoutError:
            raise ConnectionEnded(f"Asterisk did not answer {name} within {ANSWER_S:.0f} s") from None
        finally:
            self._questions.pop(id_, None)
        if answer.get("Response") == "Error":
            raise ActionRefused(answer.get("Message") or "no reason given")
        return answer

    def _ping(self) -> None:
        id_ = f"ms-ping-{next(self._ids)}"
        self._pings = {id_}
        if not self._writer.is_closing():
            self._writer.write(action("Ping", {"ActionID": id_}))

    def _take(self, message: Message) -> None:
        id_ = message.get("ActionID", "")
        question = self._questions.get(id_)
        if question is not None and self._belongs(question, message):
            return
        if is_answer(message) and id_ not in self._pings:
            return  # the answer to a question that nobody waits for any more
        if self.messages.qsize() >= MAX_WAITING:
            self.give_up(
                f"{MAX_WAITING} messages waited to be recorded", "the database has been away for long: what was missed is found out"
            )
            return
        self.messages.put_nowait(HeardMessage(message=message, heard_ms=self._now_ms()))

    def _belongs(self, question: _Question, message: Message) -> bool:
        """Whether a message that carries a question's ``ActionID`` is (part of) its answer. An event that the action caused
        carries it too."""
        if is_answer(message):
            if not question.is_list or message["Response"] == "Error":
                _answered(question, message)
            return True
        if not question.is_list:
            return False
        if message.get("EventList") == "Complete" or message["Event"].endswith("Complete"):
            _answered(question, message)
        elif len(question.items) >= MAX_LISTED:
            self.give_up(f"Asterisk sent a list of more than {MAX_LISTED} entries")
        else:
            question.items.append(message)
        return True


def is_answer(message: Message) -> bool:
    """Whether it answers an action. An event may have a ``Response`` too: what became of an order."""
    return "Event" not in message


def _answered(question: _Question, message: Message) -> None:
    if not question.answer.done():
        question.answer.set_result(message)


@contextlib.asynccontextmanager
async def connected(config: PbxConfig, now_ms: Callable[[], int], events: str = EVENTS) -> AsyncIterator[Connection]:
    """A connection that is logged in, for as long as the block runs. Raises ConnectionEnded, also when it could not begin."""
    reader, writer = await _open(config)
    connection = Connection(config, reader, writer, now_ms)
    tasks = [asyncio.create_task(connection.listen(), name=f"ami {config.pbx.name}")]
    try:
        await connection.greeted()
        await _log_in(connection, config, events)
        tasks.append(asyncio.create_task(connection.pulse(), name=f"ami pulse {config.pbx.name}"))
        yield connection
    finally:
        connection.give_up("this end let go of the connection")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _open(config: PbxConfig) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    where, tls = config.where, config.tls
    try:
        options: dict[str, Any] = {}
        if tls is not None:
            context = await asyncio.to_thread(ssl.create_default_context, cafile=tls.ca or None)
            options = {"ssl": context, "server_hostname": tls.name or config.host}
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(config.host, config.port, **options)
    except TimeoutError:
        raise ConnectionEnded(f"{where} did not answer within {CONNECT_S:.0f} s", "check host, port and firewall") from None
    except ConnectionRefusedError:
        raise ConnectionEnded(f"nobody listens at {where}", "is Asterisk running, and its manager enabled there?") from None
    except ssl.SSLCertVerificationError as error:
        reason = f"the certificate of {where} is not trusted: {error.verify_message}"
        raise ConnectionEnded(reason, "set tls.ca or tls.name") from None
    except ssl.SSLError:
        raise ConnectionEnded(f"{where} does not speak TLS as we do", "is it the port of tlsbindaddr?") from None
    except OSError as error:
        raise ConnectionEnded(f"{where} cannot be reached ({error.strerror or error})", "check host, port and network") from None
    _watch_over(writer.get_extra_info("socket"))
    return reader, writer


def _watch_over(sock: Any) -> None:
    """Let the kernel notice a machine that is gone, beside our own pings."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", USER_TIMEOUT_MS)):
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


async def _log_in(connection: Connection, config: PbxConfig, events: str) -> None:
    """By challenge, so that the secret itself never crosses the network; plainly only where Asterisk offers no challenge."""
    proof: dict[str, str | list[str]]
    try:
        challenge = (await connection.ask("Challenge", {"AuthType": "MD5"})).get("Challenge", "")
        proof = {"AuthType": "MD5", "Key": hashlib.md5((challenge + config.secret).encode(), usedforsecurity=False).hexdigest()}
    except ActionRefused:
        proof = {"Secret": config.secret}
    try:
        await connection.ask("Login", {"Username": config.user, **proof, "Events": events})
    except ActionRefused as error:
        raise ConnectionEnded(
            f"Asterisk at {config.where} refuses the login of {config.user!r}: {error}",
            "check user and secret here, and permit, deny and enabled in its manager.conf",
            refused=True,
        ) from None
