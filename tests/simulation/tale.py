"""A story as it happens: what the PBX tells of it, and what is true of it meanwhile.

The truth is told beside the wire by whoever knows what happened: nothing of ``core`` is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.simulation.exchange import HANGUP_MS, OUTWARD, Channel, Exchange, Part
from tests.simulation.stories import (
    BY_BRIDGES,
    EXTENSIONS,
    LAG_MS,
    MOBILE,
    MOBILE_NUMBER,
    MOST_LATE_MS,
    OWN,
    PHONES,
    Act,
    Step,
    Story,
    Telling,
)
from tests.simulation.truth import Screens

WITHIN_GRACE_MS: Final = 3_500
"""Who is called hangs up, and nothing more is told of the call before somebody answers: within the same five seconds."""

TOLD_MS: Final = LAG_MS + MOST_LATE_MS + 500
"""What happened so long ago has been told."""

RUNG_ANEW_MS: Final = 15_000
"""The same dial sooner than this is a repeat of the first one (decision 0030)."""


@dataclass(slots=True)
class Talker:
    """An employee (or a mobile) in the customer's bridge, since when."""

    extension: str
    channel: Channel
    since_ms: int


@dataclass(slots=True)
class Tale:
    """A story as it is being told, of the call with ``phone`` on the wire."""

    story: Story
    phone: str
    exchange: Exchange
    own: Channel = field(init=False)
    customer: Channel = field(init=False)
    bridge: str = ""
    inside: list[Talker] = field(default_factory=list)
    rung: list[str] = field(default_factory=list)
    steps_rung: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    talks: list[tuple[int, str]] = field(default_factory=list)
    screens: list[Screens] = field(default_factory=list)
    taken_over: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    answered: bool = False
    sent_on_ms: int | None = None
    own_over_ms: int | None = None
    sent_on: list[str] = field(default_factory=list)
    second: tuple[Channel, str, int, str] | None = None
    talks_to_the_end: bool = False
    began_talking_ms: int = 0

    def begin(self) -> None:
        """The first thing that is told of it."""
        caller = EXTENSIONS[self.story.steps[0].who[0] % 3] if self.story.steps and self.story.steps[0].who else EXTENSIONS[0]
        exchange = self.exchange
        if not self.story.outgoing:
            self.own = self.customer = exchange.line(self.phone)
            exchange.start(self.own, self.phone)
            return
        self.own, self.customer = exchange.telephone(caller, OUTWARD), exchange.line(self.phone)
        exchange.caller_id(self.own, "<unknown>", self.phone)
        exchange.caller_id(self.customer, self.own.caller, self.phone)
        exchange.dial(self.own, self.phone, [caller], 1)
        self.rung.append(caller)
        self.steps_rung.append((exchange.now_ms, (caller,)))
        self._show({caller: "shown"})
        exchange.wait(self.story.steps[0].ms if self.story.steps else 2_000)

    def step(self, step: Step) -> None:
        """One act, if it is possible now."""
        others = [EXTENSIONS[each % 3] for each in step.who if EXTENSIONS[each % 3] not in [who.extension for who in self.inside]]
        if step.act is Act.RING:
            self._ring(step)
        elif step.act is Act.ANSWER:
            self._answer(step)
        elif len(self.inside) == 1 and self.inside[0].extension in EXTENSIONS and self.second is None and others:
            acts: dict[Act, Callable[[Step, str], None]] = {
                Act.CONSULT: self._consult,
                Act.ATTENDED: self._attended,
                Act.CONFERENCE: self._conference,
                Act.BLIND: self._blind,
                Act.PARK: self._park,
                Act.CONNECT: self._connect,
            }
            acts[step.act](step, others[0])

    # -- ringing and answering ------------------------------------------------------------------------------------

    def _ring(self, step: Step) -> None:
        if self.inside or self.story.outgoing or not step.who or self.second is not None:
            return
        self._leaves_the_park()
        group = list(dict.fromkeys(self._outside(each) for each in step.who))
        self.exchange.dial(self.own, self.phone, group, 0)
        self._rings(group, step.ms)

    def _rings(self, group: list[str], ms: int) -> None:
        self._show(None if self._repeats(group) else {each: "shown" for each in group if each in EXTENSIONS})
        self.rung.extend(group)
        self.steps_rung.append((self.exchange.now_ms, tuple(group)))
        self.exchange.wait(ms)

    def _repeats(self, group: list[str]) -> bool:
        """Whether the same was dialled so short a time ago that it cannot be told from a signal that came twice."""
        return any(words == tuple(group) and self.exchange.now_ms - at_ms < RUNG_ANEW_MS for at_ms, words in self.steps_rung)

    def _outside(self, who: int) -> str:
        if who == OWN and self.phone[:1].isdigit():
            return self.phone
        return MOBILE_NUMBER if who >= MOBILE else EXTENSIONS[who]

    def _answer(self, step: Step) -> None:
        if self.inside or not self.rung or self.own_over_ms is not None or self.second is not None:
            return
        self._leaves_the_park()
        if self.story.outgoing:
            if not self.talks:
                self.began_talking_ms = self.exchange.now_ms
                self._talk(self.rung[0], self.own, step.ms)
                self.named, self.answered = [self.rung[0]], True
            return
        who = MOBILE_NUMBER if step.who and step.who[0] == MOBILE and MOBILE_NUMBER in self.rung else self._extension(step)
        line = self.exchange.line(who, "trunk-beta") if who == MOBILE_NUMBER else self.exchange.telephone(who)
        self._talk(who, line, step.ms)
        self.named, self.answered = [who], True

    def _leaves_the_park(self) -> None:
        if self.bridge:
            self.exchange.leave(self.bridge, self.customer, "")
            self.exchange.close(self.bridge)
            self.bridge = ""

    @staticmethod
    def _extension(step: Step) -> str:
        return EXTENSIONS[step.who[0] % 3] if step.who else EXTENSIONS[0]

    def _talk(self, who: str, channel: Channel, ms: int) -> None:
        exchange = self.exchange
        self.bridge = exchange.open()
        if exchange.customer_first:
            exchange.enter(self.bridge, self.customer, channel.caller, OUTWARD)
        exchange.enter(self.bridge, channel, self.phone)
        if not exchange.customer_first:
            exchange.enter(self.bridge, self.customer, channel.caller, OUTWARD)
        self._joins(who, channel)
        exchange.wait(ms)

    def _joins(self, who: str, channel: Channel) -> None:
        self.inside.append(Talker(who, channel, self.exchange.now_ms))
        self._show_talking()

    def _goes(self, talker: Talker) -> None:
        self.talks.append((self.exchange.now_ms, talker.extension))
        self.inside.remove(talker)

    # -- handing on -----------------------------------------------------------------------------------------------

    def _consult(self, step: Step, target: str) -> None:
        """As the recording ``production_2_20``: by a feature code, over a Local channel; the customer waits in the bridge."""
        exchange, (talker,) = self.exchange, self.inside
        began_ms, asked = exchange.now_ms, exchange.open()
        local, other = exchange.telephone(target), exchange.telephone(target, talker.extension)
        local.name, other.name = f"Local/{target}@dialexecute-00000002;1", f"Local/{target}@dialexecute-00000002;2"
        exchange.caller_id(other, "<unknown>", target)
        exchange.leave(self.bridge, talker.channel, self.phone, 1)
        self._goes(talker)
        self._show(None)
        exchange.enter(asked, talker.channel, self.phone)
        exchange.wait(700)
        if step.well:
            exchange.enter(asked, local, talker.extension)
        exchange.wait(step.ms)
        exchange.leave(asked, talker.channel, self.phone, int(step.well))
        exchange.enter(self.bridge, talker.channel, target)
        if step.well:
            exchange.leave(asked, local, talker.extension)
        exchange.close(asked)
        self._joins(talker.extension, talker.channel)
        named = [target] if step.well else []
        exchange.hangup(other, talker.extension, named, 2, step.well, began_ms, exchange.now_ms, Part.LEG)
        exchange.wait(2_000)

    def _asks(self, step: Step, talker: Talker, target: str) -> tuple[Channel, Channel, str, int]:
        """A second line of the same telephone calls the other one: the leg, his channel, their bridge, when it began."""
        exchange = self.exchange
        leg, began_ms = exchange.telephone(talker.extension), exchange.now_ms
        exchange.dial(leg, talker.extension, [target], 2, Part.LEG)
        exchange.wait(1_600)
        bridge, other = exchange.open(), exchange.telephone(target)
        exchange.enter(bridge, other, talker.extension)
        exchange.enter(bridge, leg, target, target)
        exchange.wait(2_000)
        return leg, other, bridge, began_ms

    def _attended(self, step: Step, target: str) -> None:
        exchange, (talker,) = self.exchange, self.inside
        if not step.well:
            leg, began_ms = exchange.telephone(talker.extension), exchange.now_ms
            exchange.dial(leg, talker.extension, [target], 2, Part.LEG)
            exchange.wait(step.ms)
            exchange.hangup(leg, talker.extension, [], 2, False, began_ms, exchange.now_ms, Part.LEG)
            return
        leg, other, asked, began_ms = self._asks(step, talker, target)
        if self.story.merges:
            exchange.leave(asked, leg, target, 1)
            exchange.leave(asked, other, talker.extension)
            exchange.close(asked)
            exchange.enter(self.bridge, other, self.phone)
            exchange.leave(self.bridge, talker.channel, self.phone, 2)
        else:
            exchange.leave(self.bridge, self.customer, talker.channel.caller, 1)
            exchange.leave(asked, leg, target, 1)
            exchange.enter(asked, self.customer, talker.channel.caller, OUTWARD)
            exchange.leave(self.bridge, talker.channel, self.phone)
            exchange.close(self.bridge)
            self.bridge = asked
        self._goes(talker)
        self._joins(target, other)
        exchange.hangup(leg, self.phone, [target], 2, True, began_ms, exchange.now_ms, Part.LEG)
        self.taken_over.append(target)
        self._caller_is_out()
        exchange.wait(step.ms)

    def _conference(self, step: Step, target: str) -> None:
        exchange, (talker,) = self.exchange, self.inside
        leg, other, asked, began_ms = self._asks(step, talker, target)
        exchange.leave(asked, leg, target, 1)
        exchange.leave(asked, other, talker.extension)
        exchange.close(asked)
        exchange.enter(self.bridge, other, talker.extension)
        exchange.hangup(leg, talker.extension, [target], 2, True, began_ms, exchange.now_ms, Part.LEG)
        self._joins(target, other)
        exchange.wait(step.ms)
        if step.well:
            exchange.leave(self.bridge, talker.channel, self.phone, 2)
            self._goes(talker)
            self._show_talking()
            self._caller_is_out()
            exchange.wait(step.ms)

    def _blind(self, step: Step, target: str) -> None:
        exchange, (talker,) = self.exchange, self.inside
        if self._sent_as != 2:
            exchange.wait(max(0, self.began_talking_ms + TOLD_MS - exchange.now_ms))
        self._parts(talker)
        self.sent_on_ms, self.sent_on, self.answered = exchange.now_ms, [target], False
        self._caller_is_out()
        if not self.story.silent:
            outgoing = self.story.outgoing
            exchange.dial(self.customer, self.phone, [target], self._sent_as if outgoing else 0, Part.LEG if outgoing else Part.OWN)
        unsaid = self.story.silent or (not self.story.outgoing and self._repeats([target]))
        self._show(None if unsaid else {} if self.story.outgoing else {target: "shown"})
        self.rung.append(target)
        self.steps_rung.append((exchange.now_ms, (target,)))
        exchange.wait(min(step.ms, WITHIN_GRACE_MS) if self.story.outgoing else step.ms)
        if step.well:
            self.named, self.answered = [target], True
            self._talk(target, exchange.telephone(target), step.ms)
        else:
            self.named = [target]

    def _park(self, step: Step, target: str) -> None:
        exchange, (talker,) = self.exchange, self.inside
        exchange.leave(self.bridge, self.customer, talker.channel.caller, 1)
        exchange.leave(self.bridge, talker.channel, self.phone)
        exchange.close(self.bridge)
        self._goes(talker)
        self._show(None)
        self.bridge = exchange.open()
        exchange.enter(self.bridge, self.customer, "", "701")
        self._caller_is_out()
        exchange.wait(min(step.ms, WITHIN_GRACE_MS) if self.story.outgoing else step.ms)
        if step.well:
            self._leaves_the_park()
            self._talk(target, exchange.telephone(target), step.ms)

    def _connect(self, step: Step, target: str) -> None:
        if self.story.outgoing or self.story.telling is not Telling.ALL:
            return
        exchange, (talker,) = self.exchange, self.inside
        phone = PHONES[2] if self.phone == PHONES[0] else PHONES[0]
        other, began_ms = exchange.line(phone), exchange.now_ms
        exchange.start(other, phone)
        exchange.dial(other, phone, [talker.extension], 0)
        exchange.wait(2_000)
        bridge, channel = exchange.open(), exchange.telephone(talker.extension)
        exchange.enter(bridge, channel, phone)
        exchange.enter(bridge, other, talker.extension)
        exchange.wait(step.ms)
        exchange.leave(self.bridge, self.customer, talker.channel.caller, 1)
        exchange.leave(bridge, channel, phone, 1)
        exchange.enter(bridge, self.customer, talker.channel.caller)
        exchange.leave(self.bridge, talker.channel, self.phone)
        exchange.close(self.bridge)
        self._goes(talker)
        self._show(None)
        self.second, self.bridge = (other, phone, began_ms, talker.extension), bridge
        exchange.wait(step.ms)

    @property
    def _sent_as(self) -> int:
        """Where no bridges are told, nothing but CallType 2 tells such a call from one that comes in."""
        return self.story.sent_as if self.story.outgoing and self.story.telling in BY_BRIDGES else 2

    def _parts(self, talker: Talker) -> None:
        exchange = self.exchange
        exchange.leave(self.bridge, self.customer, talker.channel.caller, 1)
        exchange.leave(self.bridge, talker.channel, self.phone)
        exchange.close(self.bridge)
        self.bridge = ""
        self._goes(talker)

    def _caller_is_out(self) -> None:
        """Who called has handed the customer on: his own channel ends, and with it all that the PBX calls the call."""
        if self.story.outgoing and self.own_over_ms is None:
            self.own_over_ms = self.exchange.now_ms
            self.exchange.hangup(self.own, self.phone, self.rung[:1], 1, True, self._began_ms, self.own_over_ms)

    # -- the end --------------------------------------------------------------------------------------------------

    @property
    def _began_ms(self) -> int:
        return self.exchange.lines[0][0].at_ms

    def end(self) -> None:
        """Everybody leaves, and the hangups follow."""
        exchange, end_ms = self.exchange, self.exchange.now_ms
        self.talks_to_the_end = bool(self.inside)
        partner = self.inside[-1].channel.caller if self.inside else ""
        if self.bridge:
            exchange.leave(self.bridge, self.customer, partner, len(self.inside))
            for talker in list(self.inside):
                exchange.leave(self.bridge, talker.channel, self.phone)
                self._goes(talker)
            if self.second is not None:
                exchange.leave(self.bridge, self.second[0], self.second[3])
            exchange.close(self.bridge)
        self._show({})
        if self.story.outgoing:
            if self.own_over_ms is None:
                exchange.hangup(self.own, self.phone, self.named, 1, self.answered, self._began_ms, end_ms)
            elif self.sent_on_ms is not None:
                answered = self.answered
                self.taken_over += self.sent_on if answered else []
                began_ms, as_type = self.sent_on_ms, self._sent_as
                exchange.hangup(self.customer, self.phone, self.sent_on, as_type, answered, began_ms, end_ms, Part.LEG)
        elif self.sent_on_ms is not None:
            exchange.hangup(self.own, self.phone, self.named, 2, self.answered, self.sent_on_ms, end_ms)
        else:
            last = list(self.steps_rung[-1][1]) if self.steps_rung and not self.story.unnamed else []
            exchange.hangup(self.own, self.phone, self.named or last, 0, self.answered, self._began_ms, end_ms)
        if self.second is not None:
            other, phone, began_ms, extension = self.second
            exchange.hangup(other, phone, [extension], 0, True, began_ms, end_ms)
        exchange.wait(HANGUP_MS)

    def _show_talking(self) -> None:
        if self.story.outgoing:
            caller = self.rung[0]
            self._show({caller: "timing"} if caller in [talker.extension for talker in self.inside] else {})
            return
        must = {talker.extension: "timing" for talker in self.inside if talker.extension in EXTENSIONS}
        self._show(must)

    def _show(self, cards: dict[str, str] | None) -> None:
        self.screens.append(Screens(self.exchange.now_ms, cards))
