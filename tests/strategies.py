"""Hypothesis strategies for call histories: what happened on the phones, and what the wire said of it.

A *script* is what people did (who rang, who answered, who was transferred to whom). ``Wire`` turns it into signals the
way the PBX does, quirks included: the answerer's half of a bridge comes first or second, a blind transfer rewrites the
hangup, an attended one adds a leg of its own. Disorder (repeats, neighbours swapped within 1.5 s) comes on top.

To state a new property, five lines are enough::

    @given(histories())
    def test_my_property(history: History) -> None:
        world = hear_all(World(settings=SETTINGS), history.heard)
        world.finish()
        assert ...

``history.truth`` says for each customer call what really happened. ``disordered(history)`` draws a delivery of the
same history with repeats and swaps; ``faults()`` draws what goes wrong with requests (see ``tests.world.Fault``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from core.events import (
    AnyObservation,
    ArrivalObserved,
    BridgeClosed,
    BridgeEntered,
    BridgeLeft,
    BridgeOpened,
    DialObserved,
    HandoverObserved,
    HangupObserved,
    RingEnded,
)
from core.history_file import HistoryFile
from core.values import ANONYMOUS, Direction
from tests.world import Fault

EXTENSIONS = ("101", "102", "103")
NUMBERS = ("+375290000001", "+375290000002", "+79161234567", ANONYMOUS)
EPOCH_MS = 1_795_437_000_000
SWAP_WITHIN_MS = 1_500

Heard = tuple[str, AnyObservation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What really happened in one customer call. ``talked`` in order; times in ms."""

    call: str
    direction: Direction
    number: str
    rang: tuple[str, ...]
    talked: tuple[str, ...]
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Signals in the order of their times, and the truth about every customer call among them."""

    heard: tuple[Heard, ...]
    truth: tuple[Truth, ...]


@dataclass(slots=True)
class Wire:
    """Writes one call's signals as the PBX would say them; ``at_ms`` moves with ``wait``. ``ami``: as heard over AMI."""

    call: str
    number: str
    direction: Direction
    at_ms: int
    customer_first: bool = False
    ami: bool = False
    heard: list[Heard] = field(default_factory=list)
    rang: list[str] = field(default_factory=list)
    talked: list[str] = field(default_factory=list)
    start_ms: int = 0
    _bridges: int = 0
    _channels: int = 0
    _open: tuple[str, str, str] | None = None
    _ringing: tuple[str, ...] = ()

    def wait(self, ms: int) -> None:
        """Let time pass."""
        self.at_ms += ms

    def arrive(self) -> None:
        """An incoming call enters the trunk."""
        self.start_ms = self.at_ms
        self._say(f"call/{self.call}", ArrivalObserved(heard_ms=self.at_ms, channel=self.call, number=self.number, trunk="t"))

    def dial(self, extensions: tuple[str, ...]) -> None:
        """One Dial step: these extensions ring, or for an outgoing call this one calls."""
        self.start_ms = self.start_ms or self.at_ms
        if self.ami and self._ringing and self.direction is Direction.INCOMING:
            ended = RingEnded(heard_ms=self.at_ms, extensions=self._ringing, how="unanswered")
            self._say(f"call/{self.call}", ended)
        self._ringing = extensions
        self.rang.extend(extensions)
        event = DialObserved(
            heard_ms=self.at_ms,
            channel=self.call,
            direction=self.direction,
            number=self.number,
            extensions=extensions,
            trunk="t",
        )
        self._say(f"call/{self.call}", event)

    def talk(self, extension: str) -> None:
        """The customer and this extension are put into one bridge."""
        self._ringing = ()
        self._bridges += 1
        bridge, channel = f"b{self._bridges}-{self.call}", self._channel()
        self._open = (bridge, channel, extension)
        self._say(f"bridge/{bridge}", BridgeOpened(heard_ms=self.at_ms, bridge=bridge))
        halves = [self._enter(bridge, channel, extension), self._enter_customer(bridge, extension)]
        for event in reversed(halves) if self.customer_first else halves:
            self._say(f"bridge/{bridge}", event)
        self.talked.append(extension)

    def part(self) -> None:
        """Both leave the bridge, and it closes."""
        if self._open is None:
            return
        bridge, channel, extension = self._open
        self._open = None
        for name, label, caller in self._halves(channel, extension):
            event = BridgeLeft(heard_ms=self.at_ms, bridge=bridge, channel=name, channel_name=label, caller_id=caller)
            self._say(f"bridge/{bridge}", event)
        self._say(f"bridge/{bridge}", BridgeClosed(heard_ms=self.at_ms, bridge=bridge))

    def attended(self, target: str) -> None:
        """The one who talks asks ``target`` first, then leaves the customer with him: a leg of its own (quirk 2)."""
        assert self._open is not None
        _, _, extension = self._open
        leg, other, bridge = self._channel(), self._channel(), f"c{self._bridges}-{self.call}"
        self._say(
            f"call/{leg}",
            DialObserved(
                heard_ms=self.at_ms,
                channel=leg,
                direction=Direction.INTERNAL,
                number=extension,
                extensions=(target,),
            ),
        )
        self.wait(1_600)
        self._say(f"bridge/{bridge}", self._enter(bridge, other, target))
        self._say(f"bridge/{bridge}", self._enter(bridge, leg, extension))
        self.wait(2_000)
        self.part()
        self._say(f"bridge/{bridge}", self._enter_customer(bridge, extension))
        gone = BridgeLeft(
            heard_ms=self.at_ms, bridge=bridge, channel=leg, channel_name=f"PJSIP/{extension}-0000", caller_id=extension
        )
        self._say(f"bridge/{bridge}", gone)
        self._open = (bridge, other, target)
        self.talked.append(target)
        if self.ami:
            told = HandoverObserved(heard_ms=self.at_ms, kind="attended", source=extension, target=target)
            self._say(f"call/{self.call}", told)
        self.wait(400)
        if self.number != ANONYMOUS and not self.ami:
            hangup = HangupObserved(
                heard_ms=self.at_ms,
                channel=leg,
                direction=Direction.INTERNAL,
                number=self.number,
                extensions=(target,),
                answered=True,
                status="2",
                ended_ms=_second(self.at_ms - 400),
            )
            self._say(f"call/{leg}", hangup)

    def hang_up(self, *, named: tuple[str, ...], answered: bool, rewritten: bool = False) -> Truth:
        """Everybody leaves; the hangup follows 0.4 s later. Returns the truth."""
        self.part()
        end_ms = self.at_ms
        self.wait(400)
        event = HangupObserved(
            heard_ms=self.at_ms,
            channel=self.call,
            direction=Direction.INTERNAL if rewritten else self.direction,
            number=self.number,
            extensions=named,
            answered=answered,
            status="2" if answered else "0",
            received_ms=_second(self.start_ms),
            ended_ms=_second(end_ms),
            trunk="" if rewritten else "t",
        )
        self._say(f"call/{self.call}", self._exactly(event, end_ms) if self.ami else event)
        return Truth(
            call=self.call,
            direction=self.direction,
            number=self.number,
            rang=tuple(dict.fromkeys(self.rang)),
            talked=tuple(self.talked),
            start_ms=self.start_ms,
            end_ms=end_ms,
        )

    def _exactly(self, event: HangupObserved, end_ms: int) -> HangupObserved:
        """The end as AMI tells it: no transfer rewrites it."""
        answered = bool(self.talked)
        unanswered = "missed" if self.direction is Direction.INCOMING else "unanswered"
        return replace(
            event,
            direction=self.direction,
            extensions=tuple(dict.fromkeys(self.talked)) or event.extensions,
            answered=answered,
            ended_ms=end_ms,
            precise=True,
            verdict="answered" if answered else unanswered,
            hung_up_by="external" if answered else "pbx",
            trunk="t",
        )

    def _say(self, stream: str, event: AnyObservation) -> None:
        self.heard.append((stream, replace(event, wire="ami/lab") if self.ami else event))

    def _channel(self) -> str:
        self._channels += 1
        return f"{self.call}-{self._channels}"

    def _customer_channel(self) -> tuple[str, str]:
        if self.direction is Direction.INCOMING:
            return self.call, "PJSIP/trunk-0001"
        return f"{self.call}-trunk", "PJSIP/trunk-0002"

    def _enter(self, bridge: str, channel: str, extension: str) -> BridgeEntered:
        if self.direction is Direction.OUTGOING and extension == self.rang[0]:
            channel = self.call
        return BridgeEntered(
            heard_ms=self.at_ms,
            bridge=bridge,
            channel=channel,
            channel_name=f"PJSIP/{extension}-0000",
            caller_id=extension,
            connected=self.number,
        )

    def _enter_customer(self, bridge: str, connected: str) -> BridgeEntered:
        channel, name = self._customer_channel()
        return BridgeEntered(
            heard_ms=self.at_ms,
            bridge=bridge,
            channel=channel,
            channel_name=name,
            caller_id=self.number,
            connected=connected,
        )

    def _halves(self, channel: str, extension: str) -> list[tuple[str, str, str]]:
        entered = self._enter("", channel, extension).channel
        customer, name = self._customer_channel()
        return [(customer, name, self.number), (entered, f"PJSIP/{extension}-0000", extension)]


def _second(ms: int) -> int:
    return ms // 1_000 * 1_000


_pause = st.integers(min_value=1_600, max_value=20_000)
_extension = st.sampled_from(EXTENSIONS)
_group = st.lists(_extension, min_size=1, max_size=3, unique=True).map(tuple)


@st.composite
def incoming(draw: st.DrawFn, call: str = "1795437000.1", at_ms: int = EPOCH_MS) -> History:
    """An incoming customer call: ring steps, perhaps an answer (also a pick-up), perhaps transfers."""
    wire = Wire(
        call=call,
        number=draw(st.sampled_from(NUMBERS)),
        direction=Direction.INCOMING,
        at_ms=at_ms,
        customer_first=draw(st.booleans()),
        ami=draw(st.booleans()),
    )
    wire.arrive()
    for group in draw(st.lists(_group, min_size=1, max_size=3, unique=True)):
        wire.wait(draw(_pause))
        wire.dial(group)
    wire.wait(draw(_pause))
    if not draw(st.booleans()):
        truth = wire.hang_up(named=(), answered=False)
        return History(heard=tuple(wire.heard), truth=(truth,))
    first = draw(_extension)
    wire.talk(first)
    wire.wait(draw(_pause))
    how = draw(st.sampled_from(("none", "blind", "blind unanswered", "attended")))
    target = draw(_extension.filter(lambda extension: extension != first))
    match how:
        case "blind":
            wire.part()
            wire.dial((target,))
            wire.wait(draw(_pause))
            wire.talk(target)
            wire.wait(draw(_pause))
            truth = wire.hang_up(named=(target,), answered=True, rewritten=True)
        case "blind unanswered":
            wire.part()
            wire.dial((target,))
            wire.wait(draw(_pause))
            truth = wire.hang_up(named=(target,), answered=False, rewritten=True)
        case "attended":
            wire.attended(target)
            wire.wait(draw(_pause))
            truth = wire.hang_up(named=(first,), answered=True)
        case _:
            truth = wire.hang_up(named=(first,), answered=True)
    return History(heard=tuple(wire.heard), truth=(truth,))


@st.composite
def outgoing(draw: st.DrawFn, call: str = "1795437000.1", at_ms: int = EPOCH_MS) -> History:
    """An outgoing call: one or two trunks tried, perhaps an answer."""
    number = draw(st.sampled_from([number for number in NUMBERS if number != ANONYMOUS]))
    wire = Wire(
        call=call,
        number=number,
        direction=Direction.OUTGOING,
        at_ms=at_ms,
        customer_first=draw(st.booleans()),
        ami=draw(st.booleans()),
    )
    caller = draw(_extension)
    wire.dial((caller,))
    wire.wait(draw(_pause))
    if draw(st.booleans()):
        wire.talk(caller)
        wire.wait(draw(_pause))
        truth = wire.hang_up(named=(caller,), answered=True)
    else:
        truth = wire.hang_up(named=(), answered=False)
    return History(heard=tuple(wire.heard), truth=(truth,))


@st.composite
def internal(draw: st.DrawFn, call: str = "1795437000.1", at_ms: int = EPOCH_MS) -> History:
    """Extension to extension: recorded, never sent."""
    caller, callee = draw(st.lists(_extension, min_size=2, max_size=2, unique=True))
    dial = DialObserved(heard_ms=at_ms, channel=call, direction=Direction.INTERNAL, number=caller, extensions=(callee,))
    hangup = HangupObserved(
        heard_ms=at_ms + draw(_pause),
        channel=call,
        direction=Direction.INTERNAL,
        number=caller,
        extensions=(callee,),
        answered=draw(st.booleans()),
        status="2",
    )
    heard: tuple[Heard, ...] = ((f"call/{call}", dial), (f"call/{call}", hangup))
    return History(heard=heard, truth=())


def calls(call: str = "1795437000.1", at_ms: int = EPOCH_MS) -> st.SearchStrategy[History]:
    """One call of any kind."""
    return st.one_of(incoming(call, at_ms), outgoing(call, at_ms), internal(call, at_ms))


@st.composite
def histories(draw: st.DrawFn, max_calls: int = 3) -> History:
    """Up to ``max_calls`` calls of one enterprise that overlap in time, also from one number at once."""
    parts = [
        draw(calls(f"1795437000.{1000 * number}", EPOCH_MS + draw(st.integers(0, 30_000))))
        for number in range(1, draw(st.integers(1, max_calls)) + 1)
    ]
    heard = sorted((each for part in parts for each in part.heard), key=lambda each: each[1].heard_ms)
    return History(heard=tuple(heard), truth=tuple(truth for part in parts for truth in part.truth))


@st.composite
def disordered(draw: st.DrawFn, history: History) -> tuple[Heard, ...]:
    """The same history as it may be delivered: some signals twice, some neighbours within 1.5 s swapped.

    A swapped signal is heard at the other one's time, as on the wire.
    """
    heard = list(history.heard)
    index = 0
    while index + 1 < len(heard):
        (one, first), (other, second) = heard[index], heard[index + 1]
        if second.heard_ms - first.heard_ms <= SWAP_WITHIN_MS and draw(st.booleans()):
            heard[index] = (other, replace(second, heard_ms=first.heard_ms))
            heard[index + 1] = (one, replace(first, heard_ms=second.heard_ms))
            index += 2
        else:
            index += 1
    repeated: list[Heard] = []
    for each in heard:
        repeated.append(each)
        if draw(st.integers(0, 4)) == 0:
            repeated.append(each)
    return tuple(repeated)


def faults() -> st.SearchStrategy[dict[int, Fault]]:
    """What goes wrong with which write (0 is the first)."""
    return st.dictionaries(st.integers(0, 8), st.sampled_from(list(Fault)), max_size=4)


def parts_of(history: HistoryFile) -> st.SearchStrategy[HistoryFile]:
    """A recorded history without some of its events; Hypothesis shrinks towards fewer.

    ``hypothesis.find(parts_of(history), is_wrong)`` is the shortest one that is still wrong.
    """
    mostly_kept = st.integers(0, 15)  # 0, towards which it shrinks, leaves one out
    choices = st.tuples(*(mostly_kept for _ in history.stored))
    return choices.map(
        lambda kept: replace(history, stored=tuple(each for each, keep in zip(history.stored, kept, strict=True) if keep))
    )
