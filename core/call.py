"""A call as folded from its stream: what is known of it, where it stands, and what follows from that.

``fold`` is total: history has happened, so no event may raise. Events may come twice, late and in any order;
whatever is derived here depends on what was said, not on the order in which it arrived, as far as the wire allows.

To be read from its end: :data:`STEPS` says for each event what is done with it, each step is a function that changes a
:class:`Draft`, and the phase is moved through the table of ``core/lifecycle.py`` and in no other way. ``fold`` makes the draft,
which nobody else ever sees, and a :class:`Call` of it when it is done: changing one object in place, instead of making a new call
at each step, is what lets a history of millions of events be folded in seconds (docs/decisions/0024).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct, msgpack
from msgspec.structs import astuple

from core import remote, talk
from core.dials import Dial, dial_beside, is_echo
from core.events import (
    AnyOutcome,
    ArrivalObserved,
    BridgeClosed,
    BridgeEntered,
    BridgeLeft,
    BridgeOpened,
    CallerIdObserved,
    CallOverdue,
    CallSettled,
    CallWrittenOff,
    CardRequested,
    ClickJoined,
    ConsultationObserved,
    DialObserved,
    EffectDeferred,
    EffectDone,
    EffectFailed,
    EffectRefused,
    EffectStarted,
    Event,
    HandoverObserved,
    HangupObserved,
    LegAbsorbed,
    Observation,
    RetryRequested,
    RingEnded,
)
from core.hangups import AMI_WIRE, better_hangup, hangup_beside, is_ami, is_own_telephone
from core.lifecycle import LIVE, RINGING, TALKING, Phase, Trigger, next_phase
from core.phone import as_extension, is_external_number, is_helper, strip_technology
from core.remote import Remote, RemoteDraft
from core.talk import Bridges, Parties, Talk
from core.values import ANONYMOUS, INCOMING, INTERNAL, OUTGOING, CallId, Direction, Enterprise


class _Known(Struct, gc=False, omit_defaults=True):
    """Everything known of one call. ``*_ms`` are UTC milliseconds, as heard by this service unless said otherwise.

    ``over_ami``: something of it was heard over AMI, which will say how it ended. ``stopped``: extensions whose telephones were
    heard to stop ringing, and when. ``requested``: who was ever to be shown a card (PRODUCT A5), ``asked``: since somebody last
    answered, for that ends what a card was asked for. ``inner``: the extension that calls another one. ``own``: who its own channel
    belongs to, as that tells of itself. ``certainly_leg``: no dial makes it a call.
    """

    enterprise: Enterprise
    id: CallId
    phase: Phase = Phase.UNHEARD
    settings_revision: int = 0
    first_heard_ms: int | None = None
    last_heard_ms: int | None = None
    live_heard_ms: int | None = None
    over_ami: bool = False
    arrival_ms: int | None = None
    number: str = ANONYMOUS
    inner: str = ""
    own: str = ""
    trunk: str = ""
    dials: tuple[Dial, ...] = ()
    stopped: tuple[tuple[str, int], ...] = ()
    requested: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    bridges: Bridges = Bridges()
    hangup: HangupObserved | None = None
    hangup_ms: int | None = None
    consultations: tuple[ConsultationObserved, ...] = ()
    click: ClickJoined | None = None
    recordings: tuple[str, ...] = ()
    absorbed_into: str = ""
    certainly_leg: bool = False
    settled_ms: int | None = None
    overdue_ms: int | None = None
    remote: Remote = Remote()
    version: int = 0

    @property
    def direction(self) -> Direction:
        """The direction that the strongest evidence names: trunk evidence beats CallType 2 (quirks 1 and 2)."""
        if self.arrival_ms is not None:
            return INCOMING
        if self.click is not None:
            # Whatever rang before the customer was dialled was the telephone of whoever clicked (quirk 10).
            return OUTGOING if self.is_dialled_out else INTERNAL
        for dial in self.dials:
            if dial.direction is not INTERNAL:
                return dial.direction
        if self.hangup is not None and self.hangup.direction is not INTERNAL:
            return self.hangup.direction
        if self.dials:
            return INTERNAL
        if self.hangup is not None:
            return INCOMING if is_external_number(self.hangup.number) else INTERNAL
        return INCOMING

    @property
    def is_rewritten(self) -> bool:
        """Whether a transfer rewrote the final hangup: CallType 2 on a customer's call (CONTRACT-ASTERISK, quirk 1)."""
        if self.hangup is None or is_own_telephone(self.hangup, self.click):
            return False
        return self.hangup.direction is INTERNAL and self.direction is not INTERNAL

    @property
    def is_dialled_out(self) -> bool:
        """Whether it was heard that a customer was dialled."""
        ended_out = self.hangup is not None and self.hangup.direction is OUTGOING
        return ended_out or any(dial.direction is OUTGOING for dial in self.dials)

    @property
    def is_doubtful(self) -> bool:
        """Whether all that shows this to be a customer's call is a CallType 2 hangup: it may be another call's leg (quirk 2)."""
        return self.is_rewritten and self.arrival_ms is None and not self.steps

    @property
    def caller(self) -> str:
        """The extension that is calling, for an outgoing call; empty when not known."""
        return self._caller() if self.direction is OUTGOING else ""

    def _caller(self) -> str:
        for dial in self.dials:
            if dial.direction is OUTGOING and dial.extensions:
                return dial.extensions[0]
        if self.hangup is not None and self.hangup.extensions:
            return self.hangup.extensions[0]
        return self.click.extension if self.click is not None else self.own

    @property
    def rung(self) -> tuple[str, ...]:
        """Every extension that was rung, in the order heard; for an outgoing call the one who is calling.

        Whoever was only to be shown a card (PRODUCT A5) counts as rung where no dial was heard, for nothing better is known.
        """
        if self.direction is OUTGOING:
            return (self.caller,) if self.caller else ()
        seen = [extension for dial in self.steps for extension in dial.extensions]
        return tuple(dict.fromkeys(seen or self.requested))

    @property
    def ringing(self) -> tuple[str, ...]:
        """Who is rung by the latest step and has not stopped, or is asked for a card; of an outgoing call in its first ringing
        the one who calls."""
        if self.direction is OUTGOING and self.phase is RINGING:
            return (self.caller,) if self.caller else ()
        latest = max(reversed(self.steps), key=lambda step: step.heard_ms, default=None)  # of those heard at once the last told
        if latest is None:
            return self.asked
        quiet = {extension for extension, at_ms in self.stopped if at_ms >= latest.heard_ms}
        return tuple(dict.fromkeys([*(each for each in latest.extensions if each not in quiet), *self.asked]))

    @property
    def steps(self) -> tuple[Dial, ...]:
        """The Dial steps that count: an internal one inside a customer's call is a service leg (PRODUCT B4)."""
        direction = self.direction
        return tuple([dial for dial in self.dials if dial.direction is direction])

    @property
    def parties(self) -> Parties:
        """How to tell the customer's channel from the employees' in a bridge."""
        direction, dials = self.direction, self.dials
        return Parties(
            anchor=self.id,
            direction=direction,
            number=self.number,
            dialled=dials[0].extensions if len(dials) == 1 else tuple(each for dial in dials for each in dial.extensions),
            caller=self._caller() if direction is OUTGOING else "",
            clicked=self.click is not None,
        )

    @property
    def talks(self) -> tuple[Talk, ...]:
        """Who talked with the customer, in order; empty for an internal call."""
        if self.direction is INTERNAL or not self.bridges.stays:
            return ()
        return talk.talks(self.bridges, self.parties)

    @property
    def talking(self) -> tuple[str, ...]:
        """Extensions that talk with the customer now."""
        return tuple(dict.fromkeys(each.extension for each in self.talks if each.end_ms is None))

    @property
    def is_live(self) -> bool:
        """Whether the call goes on, as far as is known."""
        return self.phase in LIVE


class Call(_Known, frozen=True, gc=False, omit_defaults=True):  # type: ignore[misc]
    """A call as everybody sees it: a value. The fields are :class:`_Known`'s, and so are those of a draft, in the same order."""


class Draft(_Known, gc=False, omit_defaults=True):
    """A call while it is being folded: whoever folds it has it to himself, and hands on what :func:`value_of` makes of it.

    ``told``: ``remote`` as it is by now, once an outcome was folded; ``remote`` itself is as it was.
    ``known``: the parties, for as long as nothing but bridges is heard.
    """

    told: RemoteDraft | None = None
    known: Parties | None = None

    def now_known(self) -> Parties:
        """The parties, found out once: each bridge event asks for them."""
        if self.known is None:
            self.known = self.parties
        return self.known


def initial(enterprise: str, call: str) -> Call:
    """A call of which nothing was heard yet."""
    return Call(Enterprise(enterprise), CallId(call))


def fold(state: Call, events: Iterable[Event]) -> Call:
    """The call after ``events``, in stream order. Total: never raises, whatever the order."""
    call, version = draft_of(state), state.version
    for event in events:  # as ``take`` does, without a call for each of millions
        for step in STEPS[type(event)]:
            step(call, event)
        version += 1
    call.version = version
    return value_of(call)


def draft_of(call: Call) -> Draft:
    """A copy to take events in, for whoever looks at the call in between (and for ``fold``)."""
    return Draft(*astuple(call))


def take(call: Draft, event: Event) -> None:
    """One event more. Total."""
    for step in STEPS[type(event)]:
        step(call, event)
    call.version += 1


def value_of(call: Draft) -> Call:
    """The call that a draft has come to; the draft may go on."""
    if call.told is not None:
        call.remote = remote.value_of(call.told)
    return Call(*astuple(call)[:-2])


def evolve(state: Call, event: Event) -> Call:
    """The call after one more event."""
    return fold(state, (event,))


def pack(call: Call) -> bytes:
    """The least a call can be kept in, a quarter of what its objects take: for whoever keeps many. It is no storage format."""
    return _PACK.encode(call)


def unpack(packed: bytes) -> Call:
    """The same call again."""
    return _UNPACK.decode(packed)


_PACK: Final = msgpack.Encoder()
_UNPACK: Final = msgpack.Decoder(Call)


# -- the steps: each takes the draft and the event, and says what it does to the draft -----------------------------


def _heard(call: Draft, event: Observation, live: bool = True) -> None:
    """What every signal tells besides what it says. ``live`` False: it was downloaded later, and nobody heard it then."""
    heard_ms = event.heard_ms
    if live and ((live_ms := call.live_heard_ms) is None or heard_ms < live_ms):
        call.live_heard_ms = heard_ms
    if call.first_heard_ms is None or heard_ms < call.first_heard_ms:
        call.first_heard_ms = heard_ms
    if heard_ms > (last_ms := call.last_heard_ms or 0):
        call.last_heard_ms = heard_ms
    elif call.last_heard_ms is None:
        call.last_heard_ms = last_ms
    if not call.over_ami and event.wire.startswith(AMI_WIRE):
        call.over_ami = True
    if not call.settings_revision:
        call.settings_revision = event.settings_revision


def _concluded(call: Draft, event: Observation) -> None:
    """What the house itself concluded is no signal."""
    call.last_heard_ms = max(call.last_heard_ms or 0, event.heard_ms)


def _arrived(call: Draft, event: ArrivalObserved) -> None:
    call.known = None
    call.arrival_ms = _least(call.arrival_ms, event.heard_ms)
    call.number = _known_number(call.number, event.number)
    call.trunk = call.trunk or event.trunk
    _move_on_its_own(call, Trigger.ARRIVE)


def _dialled(call: Draft, event: DialObserved) -> None:
    call.known = None
    step = Dial(
        direction=event.direction,
        extensions=event.extensions,
        heard_ms=event.heard_ms,
        trunk=event.trunk,
        exact=is_ami(event),
    )
    step = dial_beside(step, call.click)
    internal = step.direction is INTERNAL
    if step.direction is not INTERNAL or call.direction is INTERNAL:
        call.dials = tuple([dial for dial in call.dials if not dial.asked])  # who is really rung is told now
    if not is_echo(call.dials, step):
        call.dials = (*call.dials, step)
    if not internal:
        call.number = _known_number(call.number, event.number)
    else:
        call.inner = call.inner or as_extension(event.number)
    call.trunk = call.trunk or event.trunk
    if call.phase is Phase.ON_HOLD and _has_overtaken_its_dial(call, call.talks):
        return
    _move_on_its_own(call, Trigger.DIAL_INTERNAL if internal else Trigger.DIAL)


def _move_on_its_own(call: Draft, trigger: Trigger) -> None:
    """Move a call that was wrongly taken for a leg or for an internal one; if its end is known already, it ends at once."""
    before = call.phase
    if call.certainly_leg and trigger is Trigger.DIAL:
        return
    _move(call, trigger)
    if before in (Phase.ABSORBED, Phase.INTERNAL_ENDED) and call.phase is not before:
        call.absorbed_into, call.certainly_leg = "", False
        if call.hangup is not None:
            _move(call, Trigger.HANG_UP)


def _card_requested(call: Draft, event: CardRequested) -> None:
    call.known = None
    internal = event.direction is INTERNAL
    if not internal:
        call.number = _known_number(call.number, event.number)
    else:
        call.inner = call.inner or as_extension(event.number)
    if call.hangup is not None:
        return  # the call is over: no card is shown any more, and nobody is rung
    call.requested = tuple(dict.fromkeys([*call.requested, *event.extensions]))
    call.asked = tuple(dict.fromkeys([*call.asked, *event.extensions]))
    if call.phase is Phase.UNHEARD:
        call.dials = (Dial(direction=event.direction, extensions=event.extensions, heard_ms=event.heard_ms, asked=True),)
        _move(call, Trigger.DIAL_INTERNAL if internal else Trigger.DIAL)


def _named(call: Draft, event: CallerIdObserved) -> None:
    """The telephone that the call's own channel belongs to; of a Local channel the name tells whom it leads to."""
    if event.channel == call.id and not call.own and not event.channel_name.startswith("Local/"):
        call.known = None
        call.own = "" if is_helper(event.channel_name) else as_extension(strip_technology(event.channel_name))


def _ring_ended(call: Draft, event: RingEnded) -> None:
    call.stopped = (*call.stopped, *((each, event.heard_ms) for each in event.extensions))


def _entered(call: Draft, event: BridgeEntered) -> None:
    call.bridges = talk.enter(call.bridges, event)


def _left(call: Draft, event: BridgeLeft) -> None:
    call.bridges = talk.leave(call.bridges, event)


def _closed(call: Draft, event: BridgeClosed) -> None:
    call.bridges = talk.close(call.bridges, event)


def _follow(call: Draft, _: Observation) -> None:
    """Let the phase follow the bridges: somebody talks with the customer now, or nobody does any more."""
    phase = call.phase
    if call.hangup is not None and phase in _HEARD_TO_END:
        _move(call, Trigger.TALK_ON if _is_handed_on(call) else Trigger.HANG_UP)
        return
    bridges = call.bridges
    if not bridges.stays or phase not in LIVE:
        return
    if phase is not TALKING and phase is not RINGING and not talk.is_anybody_in(bridges):
        return
    parties = call.now_known()
    if parties.direction is INTERNAL:
        if phase is TALKING:
            _move(call, Trigger.PART)
    elif talk.is_talking(bridges, parties):
        _move(call, Trigger.ANSWER)
    elif phase is TALKING:
        _move(call, Trigger.PART)
        if _is_dialled_on(call):
            _move(call, Trigger.DIAL)
    elif phase is RINGING and _has_talked_since_dialled(call):
        # Answer and parting were both overtaken: the customer has talked all the same.
        _move(call, Trigger.ANSWER)
        _move(call, Trigger.PART)


_HEARD_TO_END: Final = frozenset({TALKING, Phase.ENDING, Phase.OVERDUE})
"""Where a call may stand whose hangup was heard live and which has not settled."""


def _is_handed_on(call: Draft) -> bool:
    """Whether the hangup that was heard is only the employee's: whom he had called, he had handed on, or set aside.

    An outgoing call's own channel is the employee's. Over AMI a hangup is the whole call's; a downloaded one is of long ago.
    """
    hangup = call.hangup
    if hangup is None or hangup.downloaded or is_ami(hangup) or call.direction is not OUTGOING:
        return False
    return talk.is_handed_on(call.bridges, call.now_known())


def _is_dialled_on(call: Draft) -> bool:
    """Whether the parting is a blind transfer whose dial was heard already: a leg's events join a little later than a dial."""
    dialled_ms = max([dial.heard_ms for dial in call.dials], default=0)
    if not [stay for stay in call.bridges.stays if talk.since_ms(stay) < dialled_ms]:
        return False  # as in most calls: nobody was dialled since anybody talked
    last, steps = talk.last_talk(talk.talks(call.bridges, call.now_known())), call.steps
    if last is None or last.end_ms is None or not steps:
        return False
    dialled_ms = max([step.heard_ms for step in steps])
    return dialled_ms > last.start_ms and dialled_ms >= last.end_ms - talk.OVERLAP_SLACK_MS


def _has_talked_since_dialled(call: Draft) -> bool:
    if not [stay for stay in call.bridges.stays if stay.left_ms is not None]:
        return False  # nobody talks, so whoever has talked has left
    talks, steps = talk.talks(call.bridges, call.now_known()), call.steps
    if not talks or not steps or _has_overtaken_its_dial(call, talks):
        return bool(talks)
    return steps[-1].heard_ms <= talks[-1].start_ms + talk.OVERLAP_SLACK_MS


def _has_overtaken_its_dial(call: Draft, talks: Sequence[Talk]) -> bool:
    """Whether the last talk was with somebody whom the only dial there was rang, and was heard before it: nobody rings now."""
    steps = call.steps
    if len(steps) != 1 or not talks:
        return False
    return talks[-1].extension in steps[0].extensions and talks[-1].start_ms < steps[0].heard_ms


def _hung_up(call: Draft, event: HangupObserved) -> None:
    call.known = None
    _heard(call, event, not event.downloaded)
    if call.click is not None:
        own = hangup_beside(event, call.click)
        if own is None:
            return
        event = own
    call.hangup = event if call.hangup is None else better_hangup(call.hangup, event)
    call.hangup_ms = _least(call.hangup_ms, event.heard_ms)
    call.trunk = call.trunk or event.trunk
    _recorded(call, event.record_url)
    if call.direction is INTERNAL:
        call.inner = call.inner or as_extension(event.number)
        _move(call, Trigger.HANG_UP_INTERNAL)
        return
    only_asked = all(dial.asked for dial in call.dials)
    if is_external_number(event.number) or (event.direction is not INTERNAL and call.arrival_ms is None and only_asked):
        # A short number, such as a taxi's, is the customer's where nothing else names him.
        call.number = _known_number(call.number, event.number)
    if call.phase is Phase.INTERNAL and only_asked:
        _move(call, Trigger.DIAL)  # it looked internal by what a card was asked for alone, and its end says that it is not
    has_talked = call.phase in (TALKING, Phase.ON_HOLD, Phase.TRANSFERRING)
    _move(call, Trigger.ANSWER if has_talked and _is_handed_on(call) else Trigger.HANG_UP)


def _absorbed(call: Draft, event: LegAbsorbed) -> None:
    listed = (call.told or call.remote).call is not None  # found out too late: what MoySklad has gets its end
    certain = event.certain and not listed
    if call.arrival_ms is not None or (not certain and any(dial.direction is not INTERNAL for dial in call.dials)):
        return  # it came in from outside itself: whoever took it for a leg had not heard that yet
    _move(call, Trigger.ABSORB)
    if call.phase is Phase.ABSORBED:
        call.absorbed_into, call.certainly_leg = event.into, call.certainly_leg or certain


def _consulted(call: Draft, event: ConsultationObserved) -> None:
    call.consultations = (*call.consultations, event)
    _recorded(call, event.record_url)


def _recorded(call: Draft, url: str | None) -> None:
    if url and url not in call.recordings:
        call.recordings = (*call.recordings, url)


def _clicked(call: Draft, event: ClickJoined) -> None:
    """What is known turns out to be of a click: what rang before the customer was dialled was only the employee's telephone."""
    if call.arrival_ms is not None or (event.own_leg and call.is_dialled_out):
        return  # it came in from outside itself, or is known for the call: whoever took it for a leg had not heard that
    call.known = None
    call.click = event
    call.dials = tuple(dial_beside(dial, event) for dial in call.dials)
    call.hangup = hangup_beside(call.hangup, event)
    if call.hangup is None:
        call.hangup_ms = None
    if not is_external_number(call.number):
        call.number = event.number
    if call.direction is not OUTGOING:
        _move(call, Trigger.ABSORB)
    elif not call.talks:
        _move(call, Trigger.UNSAY_TALK)


def _settled(call: Draft, event: CallSettled) -> None:
    call.settled_ms = event.at_ms
    if call.phase is TALKING and call.hangup is not None:
        _move(call, Trigger.HANG_UP)  # it was settled when a call that was handed on still ended with the caller's channel
    _move(call, Trigger.SETTLE)


def _overdue(call: Draft, event: CallOverdue) -> None:
    call.overdue_ms = event.at_ms
    _move(call, Trigger.EXPIRE)


def _written_off(call: Draft, _: CallWrittenOff) -> None:
    _move(call, Trigger.WRITE_OFF)


def _outcome(call: Draft, event: AnyOutcome) -> None:
    if call.told is None:
        call.told = remote.draft_of(call.remote)
    remote.tell(call.told, event)


def _forgiven(call: Draft, _: RetryRequested) -> None:
    if call.told is None:
        call.told = remote.draft_of(call.remote)
    remote.forgive(call.told)


Step = Callable[[Draft, Any], None]

STEPS: Final[Mapping[type[Event], tuple[Step, ...]]] = {
    # signals
    ArrivalObserved: (_heard, _arrived, _follow),
    DialObserved: (_heard, _dialled, _follow),
    CardRequested: (_heard, _card_requested),
    RingEnded: (_heard, _ring_ended),
    BridgeEntered: (_heard, _entered, _follow),
    BridgeLeft: (_heard, _left, _follow),
    BridgeClosed: (_heard, _closed, _follow),
    HangupObserved: (_hung_up,),
    CallerIdObserved: (_heard, _named),
    BridgeOpened: (_heard,),  # who is in a bridge is told by its own events
    HandoverObserved: (_heard,),
    # what the house concluded
    LegAbsorbed: (_concluded, _absorbed),
    ConsultationObserved: (_concluded, _consulted),
    ClickJoined: (_concluded, _clicked),
    # what passing time decided
    CallSettled: (_settled,),
    CallOverdue: (_overdue,),
    CallWrittenOff: (_written_off,),
    # what was asked of MoySklad, and what a person asked of us
    EffectStarted: (_outcome,),
    EffectDone: (_outcome,),
    EffectFailed: (_outcome,),
    EffectRefused: (_outcome,),
    EffectDeferred: (_outcome,),
    RetryRequested: (_forgiven,),
}
"""What is done with each event, step by step. Each event has its row, which a test sees to."""


def _move(call: Draft, trigger: Trigger) -> None:
    before, call.phase = call.phase, next_phase(call.phase, trigger)
    if call.phase is TALKING and before is not TALKING:
        call.asked = ()


def _known_number(known: str, said: str) -> str:
    return known if known != ANONYMOUS else said


def _least(one: int | None, other: int) -> int:
    return other if one is None or other < one else one
