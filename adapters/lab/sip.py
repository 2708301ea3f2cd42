"""A small SIP telephone for the tests and the demo: it rings, answers, refuses, hangs up, holds and transfers as it is told.

Our own, and not ``sipp``: each telephone is told from the outside what to do next while the others' states are looked at, so a
run waits for what happened instead of for guessed times, and every telephone can say afterwards what really happened on it.
Only what Asterisk needs on loopback is there: UDP without loss, no registration, no passwords, no media (RFC 3261, 3515, 3891).
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

REPEAT_S: Final = 0.5
"""A request without any answer is sent again: an Asterisk that is starting may not listen yet."""

_ids = itertools.count(1)
_HEADER: Final = re.compile(r"([^:\s]+)\s*:\s*(.*)")
_TAG: Final = re.compile(r";tag=([^;>\s]+)")
_URI: Final = re.compile(r"<?(sips?:[^>;\s]+[^>\s]*)>?")
_USER: Final = re.compile(r"sips?:([^@;>]+)@")
WORDS: Final = {
    100: "Trying", 180: "Ringing", 200: "OK", 404: "Not Found", 480: "Temporarily Unavailable",
    481: "No Such Call", 486: "Busy Here", 487: "Request Terminated", 501: "Not Implemented", 503: "Service Unavailable",
    603: "Decline",
}  # fmt: skip


@dataclass(slots=True)
class Message:
    """A request (``method`` and ``uri``) or a response (``code``). Header names are lower-case; repeated ones stay apart."""

    method: str = ""
    uri: str = ""
    code: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""

    def get(self, name: str) -> str:
        """The first header of that name; empty when there is none."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def sequence(self) -> tuple[int, str]:
        """The number and the method of ``CSeq``."""
        number, _, method = self.get("cseq").partition(" ")
        return int(number or 0), method


def parse(data: bytes) -> Message:
    """Read one datagram. Raises ValueError when it is no SIP."""
    head, _, body = data.decode(errors="replace").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    message = Message(body=body)
    if first.startswith("SIP/2.0 "):
        message.code = int(first.split(" ")[1])
    else:
        message.method, message.uri, _ = first.split(" ")
    for line in lines:
        if found := _HEADER.fullmatch(line):
            message.headers.append((found[1].lower(), found[2]))
    return message


def tag_of(header: str) -> str:
    """The tag of a From or To."""
    found = _TAG.search(header)
    return found[1] if found else ""


def user_of(header: str) -> str:
    """The user part of the address in a header or URI."""
    found = _USER.search(header)
    return found[1] if found else ""


class Leg:
    """One call as one telephone has it. ``said`` is what happened on it: (seconds since the epoch, word)."""

    def __init__(self, phone: Phone, *, call_id: str, number: str, outgoing: bool) -> None:
        self.phone = phone
        self.call_id = call_id
        self.number = number
        """Who is called (or, of an incoming call, the number that was dialled: a trunk has many)."""
        self.caller = ""
        self.outgoing = outgoing
        self.state = "calling" if outgoing else "offered"
        self.code = 0
        """How a call that was never up was refused."""
        self.ended_by = ""
        """``us`` or ``them``, once it is over."""
        self.said: list[tuple[float, str]] = []
        self.local = self.remote = self.target = ""
        self.invite = Message()
        self.sequence = itertools.count(1)
        self._changed = asyncio.Condition()

    async def until(self, *states: str, within_s: float = 20.0) -> str:
        """Return once it is in one of these states (``offered calling ringing up over``). Raises TimeoutError in words."""
        try:
            async with asyncio.timeout(within_s), self._changed:
                await self._changed.wait_for(lambda: self.state in states)
        except TimeoutError:
            raise TimeoutError(f"{self.phone.user}: the call is {self.state}, not {' or '.join(states)}: {self.said}") from None
        return self.state

    def ring(self) -> None:
        """Say that it rings."""
        self._answer(180)
        self.became("ringing")

    def answer(self) -> None:
        """Pick up."""
        self._answer(200, self.phone.media())
        self.became("up")

    def refuse(self, code: int = 486) -> None:
        """Turn it down: 486 busy, 603 declined."""
        self._answer(code)
        self.code, self.ended_by = code, "us"
        self.became("over")

    def hang_up(self) -> None:
        """End it, in whatever state it is."""
        if self.state == "over":
            return
        self.ended_by = "us"
        if self.state == "up":
            self.request("BYE")
            self.became("over")
        elif self.outgoing:
            self.phone.send_cancel(self)
        else:
            self.refuse(480)

    def hold(self, *, on: bool = True) -> None:
        """Put the other end on hold, or take it back."""
        self.request("INVITE", body=self.phone.media("sendonly" if on else "sendrecv"))
        self.note("hold" if on else "unhold")

    def send_to(self, number: str) -> None:
        """Transfer without asking (REFER)."""
        refer = f"<sip:{number}@{self.phone.pbx_text}>"
        self.request("REFER", headers=[("Refer-To", refer), ("Referred-By", f"<{self.phone.uri}>")])
        self.note(f"refer {number}")

    def join_with(self, other: Leg) -> None:
        """Transfer with asking (REFER with Replaces): connect this call's other end with that of ``other``."""
        ours, theirs = tag_of(other.local), tag_of(other.remote)
        replaces = f"{quote(other.call_id)}%3Bto-tag%3D{theirs}%3Bfrom-tag%3D{ours}"
        refer = f"<sip:{other.number}@{self.phone.pbx_text}?Replaces={replaces}>"
        self.request("REFER", headers=[("Refer-To", refer), ("Referred-By", f"<{self.phone.uri}>")])
        self.note(f"refer to the call with {other.number}")

    def press(self, digits: str) -> None:
        """Press keys (SIP INFO)."""
        for digit in digits:
            self.request("INFO", headers=[("Content-Type", "application/dtmf-relay")], body=f"Signal={digit}\r\nDuration=120\r\n")

    def request(self, method: str, *, headers: list[tuple[str, str]] | None = None, body: str = "") -> None:
        """Send a request inside this dialogue."""
        self.phone.send_request(self, method, next(self.sequence), headers or [], body)

    def transfer_is(self, status: str) -> None:
        """The other end said how a transfer goes. Where it succeeded we hang up, as telephones do."""
        if " 200" in status and self.state == "up":
            self.hang_up()
        else:
            self.phone.spawn(self._tell())

    def note(self, word: str) -> None:
        """Remember that something happened."""
        self.said.append((time.time(), word))

    def became(self, state: str) -> None:
        """Move to a state, and tell whoever waits."""
        if self.state != "over":
            self.state = state
            self.note(state)
        self.phone.spawn(self._tell())

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _answer(self, code: int, body: str = "") -> None:
        self.phone.send_response(self.invite, code, self.local, body)


Behaviour = Callable[[Leg], Coroutine[Any, Any, None]]


async def nothing(leg: Leg) -> None:
    """Ring for ever."""
    leg.ring()


def answering(after_s: float = 0.0) -> Behaviour:
    """Ring, then pick up."""

    async def behave(leg: Leg) -> None:
        leg.ring()
        await asyncio.sleep(after_s)
        if leg.state == "ringing":
            leg.answer()

    return behave


def refusing(code: int, after_s: float = 0.0) -> Behaviour:
    """Turn every call down: at once, or after it rang a while."""

    async def behave(leg: Leg) -> None:
        if after_s:
            leg.ring()
            await asyncio.sleep(after_s)
        if leg.state != "over":
            leg.refuse(code)

    return behave


class Phone(asyncio.DatagramProtocol):
    """A telephone, or the far end of a trunk, at an address of its own. ``legs``: every call it ever had, in order.

    ``behave``: what it does when it is called, until somebody says otherwise.
    """

    def __init__(self, user: str, pbx: tuple[str, int], behave: Behaviour = nothing) -> None:
        self.user = user
        self.behave = behave
        self.legs: list[Leg] = []
        self.where = ("", 0)
        self.pbx = pbx
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: dict[tuple[str, int, str], asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._came = asyncio.Condition()

    @property
    def uri(self) -> str:
        """Its address."""
        return f"sip:{self.user}@{self.where[0]}:{self.where[1]}"

    @property
    def pbx_text(self) -> str:
        """The exchange's address, as it is written in a URI."""
        return f"{self.pbx[0]}:{self.pbx[1]}"

    async def open(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Begin to listen; where it does not matter, on any port."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, port))
        self.where = self._transport.get_extra_info("sockname")[:2]

    def close(self) -> None:
        """Say nothing any more."""
        for task in [*self._waiting.values(), *self._tasks]:
            task.cancel()
        if self._transport is not None:
            self._transport.close()

    def forget(self) -> None:
        """Hang up whatever is still up, and begin anew."""
        for leg in self.legs:
            leg.hang_up()
        self.legs = []

    def media(self, direction: str = "sendrecv") -> str:
        """What is offered and accepted: one audio stream that nobody will send."""
        host = self.where[0]
        return (
            f"v=0\r\no=- {next(_ids)} 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
            f"m=audio {self.where[1]} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na={direction}\r\n"
        )

    def call(self, number: str, *, caller: str = "", name: str = "") -> Leg:
        """Call a number; ``caller`` is the number that is shown (its own by default)."""
        shown = caller or self.user
        leg = Leg(self, call_id=f"{next(_ids)}-{time.time_ns()}@{self.where[0]}", number=number, outgoing=True)
        quoted = f'"{name}" ' if name else ""
        leg.local = f"{quoted}<sip:{shown}@{self.where[0]}:{self.where[1]}>;tag=t{next(_ids)}"
        leg.remote = f"<sip:{number}@{self.pbx_text}>"
        leg.target = f"sip:{number}@{self.pbx_text}"
        leg.caller = shown
        self.legs.append(leg)
        leg.request("INVITE", body=self.media())
        leg.note("calling")
        return leg

    async def called(self, nth: int = 1, within_s: float = 20.0) -> Leg:
        """The ``nth`` call that came in; waits for it. Raises TimeoutError in words."""
        try:
            async with asyncio.timeout(within_s), self._came:
                await self._came.wait_for(lambda: len(self._incoming()) >= nth)
        except TimeoutError:
            raise TimeoutError(f"{self.user} was called {len(self._incoming())} times, not {nth}") from None
        return self._incoming()[nth - 1]

    def _incoming(self) -> list[Leg]:
        return [leg for leg in self.legs if not leg.outgoing]

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside everything else."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- what goes out -----------------------------------------------------------------------------------------------

    def send_request(self, leg: Leg, method: str, number: int, headers: list[tuple[str, str]], body: str) -> None:
        """Send a request of a dialogue, and again until it is answered."""
        branch = f"z9hG4bK{leg.call_id.partition('@')[0]}-{number}-{method}"
        lines = [
            f"{method} {leg.target} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.where[0]}:{self.where[1]};branch={branch};rport",
            *self._dialogue(leg, number, method),
            f"Contact: <{self.uri}>",
            *(f"{name}: {value}" for name, value in headers),
        ]
        data = _wire(lines, body, typed=any(name == "Content-Type" for name, _ in headers))
        if method == "INVITE":
            leg.invite = parse(data)
        self._send(data)
        if method != "ACK":
            key = (leg.call_id, number, method)
            task = asyncio.get_running_loop().create_task(self._repeat(data))
            self._waiting[key] = task
            task.add_done_callback(lambda _: self._waiting.pop(key, None))

    def send_cancel(self, leg: Leg) -> None:
        """Take an INVITE back."""
        number, _ = leg.invite.sequence
        via = leg.invite.get("via")
        lines = [f"CANCEL {leg.invite.uri} SIP/2.0", f"Via: {via}", *self._dialogue(leg, number, "CANCEL")]
        self._send(_wire(lines, ""))

    def send_response(self, request: Message, code: int, to: str, body: str = "") -> None:
        """Answer a request."""
        lines = [f"SIP/2.0 {code} {WORDS[code]}"]
        lines += [f"Via: {value}" for key, value in request.headers if key == "via"]
        lines += [f"Record-Route: {value}" for key, value in request.headers if key == "record-route"]
        lines += [f"From: {request.get('from')}", f"To: {to or request.get('to')}", f"Call-ID: {request.get('call-id')}"]
        lines += [f"CSeq: {request.get('cseq')}", f"Contact: <{self.uri}>", "Allow: INVITE, ACK, BYE, CANCEL, REFER, NOTIFY, INFO"]
        self._send(_wire(lines, body))

    def _dialogue(self, leg: Leg, number: int, method: str) -> list[str]:
        return [
            "Max-Forwards: 70",
            f"From: {leg.local}",
            f"To: {leg.remote}",
            f"Call-ID: {leg.call_id}",
            f"CSeq: {number} {method}",
            "User-Agent: lab",
        ]

    async def _repeat(self, data: bytes) -> None:
        while True:
            await asyncio.sleep(REPEAT_S)
            self._send(data)

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, self.pbx)

    # -- what comes in -----------------------------------------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Something came. What is no SIP is nobody's."""
        try:
            message = parse(data)
        except ValueError:
            return
        leg = next((leg for leg in self.legs if leg.call_id == message.get("call-id")), None)
        if message.code:
            self._answered(leg, message)
        else:
            self._asked(leg, message)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens at the exchange (now): what was sent is sent again."""

    def _answered(self, leg: Leg | None, response: Message) -> None:
        number, method = response.sequence
        if (waiting := self._waiting.pop((response.get("call-id"), number, method), None)) is not None:
            waiting.cancel()
        if leg is None or method != "INVITE" or response.code == 100:
            return
        if response.code < 200:
            if leg.state == "calling":
                leg.became("ringing")
            return
        leg.remote = response.get("to")
        if response.code < 300 and (contact := _URI.search(response.get("contact"))):
            leg.target = contact[1]
        self.send_request(leg, "ACK", number, [], "")
        if leg.state in ("calling", "ringing"):
            if response.code < 300 and not leg.ended_by:
                leg.became("up")
            elif response.code < 300:  # it was answered while we gave up
                leg.request("BYE")
                leg.became("over")
            else:
                leg.code = response.code
                leg.ended_by = leg.ended_by or "them"
                leg.became("over")

    def _asked(self, leg: Leg | None, request: Message) -> None:
        match request.method:
            case "INVITE" if leg is None:
                self._offered(request)
            case "INVITE" if leg is not None and request.sequence == leg.invite.sequence and leg.state in ("offered", "ringing"):
                pass  # a repeat; the answer will come
            case "INVITE":
                self.send_response(request, 200, "", self.media())
            case "ACK":
                pass
            case "CANCEL" if leg is not None and leg.state in ("offered", "ringing"):
                self.send_response(request, 200, leg.local)
                self.send_response(leg.invite, 487, leg.local)
                leg.ended_by = "them"
                leg.became("over")
            case "BYE" if leg is not None:
                self.send_response(request, 200, "")
                leg.ended_by = leg.ended_by or "them"
                leg.became("over")
            case "NOTIFY" if leg is not None:
                self.send_response(request, 200, "")
                leg.transfer_is(request.body.strip())
            case "OPTIONS" | "INFO" | "UPDATE" | "NOTIFY" | "CANCEL":
                self.send_response(request, 200, "")
            case "BYE":
                self.send_response(request, 481, "")
            case _:
                self.send_response(request, 501, "")

    def _offered(self, invite: Message) -> None:
        leg = Leg(self, call_id=invite.get("call-id"), number=user_of(invite.uri), outgoing=False)
        leg.invite = invite
        leg.caller = user_of(invite.get("from"))
        leg.local, leg.remote = f"{invite.get('to')};tag=t{next(_ids)}", invite.get("from")
        if contact := _URI.search(invite.get("contact")):
            leg.target = contact[1]
        leg.note("offered")
        self.legs.append(leg)
        self.send_response(invite, 100, "")
        self.spawn(self._behave(leg))

    async def _behave(self, leg: Leg) -> None:
        async with self._came:
            self._came.notify_all()
        await self.behave(leg)


def _wire(lines: list[str], body: str, *, typed: bool = False) -> bytes:
    if body and not typed:
        lines = [*lines, "Content-Type: application/sdp"]
    return "\r\n".join([*lines, f"Content-Length: {len(body.encode())}", "", body]).encode()
