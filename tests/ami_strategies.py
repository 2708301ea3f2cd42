"""Hypothesis strategies for calls as AMI tells them: what people did is drawn, ``tests/ami_lab.py`` writes what Asterisk says.

``calls()`` draws one call with its truth, ``offices()`` several at once on one Asterisk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.ami_lab import EPOCH_MS, Chan, Lab
from tests.ami_scenes.stage import MOBILE, NUMBER, Scene, asks, calls_out, was

EXTENSIONS = ("101", "102", "103")
PAUSES = st.sampled_from((0.2, 0.9, 1.7, 4.0, 12.0))


@dataclass(slots=True)
class _Life:
    """One incoming call as it goes on."""

    lab: Lab
    draw: st.DrawFn
    customer: Chan
    rang: list[str] = field(default_factory=list)
    talked: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    answered_s: float | None = None

    def pause(self) -> None:
        self.lab.wait(self.draw(PAUSES))

    def ring(self, extension: str) -> Chan:
        """One telephone more; a mobile is reached through the other trunk."""
        self.rang.append(extension)
        if extension == MOBILE:
            return self.lab.dial(self.customer, "trunk-beta", number=MOBILE)
        return self.lab.dial(self.customer, extension)

    def stops(self, phone: Chan, how: str) -> None:
        self.ends.append(how)
        match how:
            case "busy":
                self.lab.ends(self.customer, phone, "BUSY", sip=486)
            case "declined":
                self.lab.ends(self.customer, phone, "NOANSWER", cause=21, sip=603)
            case "failed":
                self.lab.ends(self.customer, phone, "CONGESTION", cause=34, sip=503)
            case _:
                self.lab.ends(self.customer, phone, "NOANSWER")

    def talks(self, phone: Chan, extension: str) -> str:
        """They talk: the bridge."""
        self.lab.answers(self.customer, phone)
        if self.answered_s is None:
            self.answered_s = (self.lab.at_ms - EPOCH_MS) / 1_000
        if extension not in self.talked:
            self.talked.append(extension)
        halves = self.draw(st.permutations([phone, self.customer]))
        return self.lab.join(*halves)

    def truth(self, outcome: str, by: str, cause: int = 16) -> dict[str, Any]:
        return was(
            self.lab, self.customer, outcome, rang=list(dict.fromkeys(self.rang)), talked=self.talked, by=by, cause=cause,
            answered_s=self.answered_s,
        )  # fmt: skip


_VERDICTS = (("unanswered", "missed"), ("declined", "declined"), ("busy", "busy"), ("failed", "failed"))


@st.composite
def incoming(draw: st.DrawFn) -> Scene:
    """A customer calls: steps of a ring plan, perhaps an answer, perhaps a transfer, and somebody hangs up."""
    lab = Lab(version=draw(st.sampled_from((16, 22))))
    life = _Life(lab=lab, draw=draw, customer=lab.arrives())
    people = [*EXTENSIONS, MOBILE]
    for extension in draw(st.lists(st.sampled_from(people), max_size=3, unique=True)):
        phone = life.ring(extension)
        quiet = draw(st.booleans())
        if not quiet:
            lab.rings(life.customer, phone)
        life.pause()
        life.stops(phone, draw(st.sampled_from(("busy", "failed"))) if quiet else draw(st.sampled_from(("declined", "unanswered"))))
    how = draw(st.sampled_from(("given up", "ended", "answered")))
    if how == "ended":
        life.lab.gone(life.customer, cause=16)
        outcome = next((word for end, word in _VERDICTS if end in life.ends), "missed")
        last = {"unanswered": "pbx"}.get(life.ends[-1], life.rang[-1]) if life.ends else "pbx"
        return Scene(lines=tuple(lab.lines), truth=(life.truth(outcome, last),))
    group = draw(st.lists(st.sampled_from(EXTENSIONS), min_size=1, max_size=3, unique=True))
    life.rang.extend(group)
    phones = [lab.channel(each, state=0, linked=life.customer) for each in group]
    for phone, extension in zip(phones, group, strict=True):
        lab.begin(life.customer, phone, extension)
    lab.rings(life.customer, *phones)
    life.pause()
    if how == "given up":
        lab.asks(life.customer, 127)
        for phone in phones:
            lab.ends(life.customer, phone, "CANCEL", cause=127)
        lab.gone(life.customer, cause=127)
        return Scene(lines=tuple(lab.lines), truth=(life.truth("abandoned", "external", 127),))
    winner = draw(st.integers(0, len(group) - 1))
    for index, phone in enumerate(phones):
        if index != winner:
            lab.say("DialEnd", life.customer, lab.of(phone, "Dest"), DialStatus="CANCEL")
            lab.gone(phone, cause=26)
    bridge = life.talks(phones[winner], group[winner])
    life.pause()
    return _goes_on(draw, life, phones[winner], group[winner], bridge)


def _goes_on(draw: st.DrawFn, life: _Life, phone: Chan, extension: str, bridge: str) -> Scene:
    """The customer and somebody talk; what then."""
    lab, customer = life.lab, life.customer
    internal: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(0, 2))):
        target = draw(st.sampled_from([each for each in EXTENSIONS if each != extension]))
        how = draw(st.sampled_from(("hold", "blind", "blind unanswered", "attended", "asked in vain")))
        if how == "hold":
            lab.say("Hold", phone)
            life.pause()
            lab.say("Unhold", phone)
        elif how == "asked in vain":
            second, other, asked = asks(lab, extension, target)
            life.pause()
            lab.hangs_up(asked, second, other)
        elif how == "attended":
            second, other, asked = asks(lab, extension, target)
            life.pause()
            lab.attended(phone, second, customer, other)
            phone, extension, bridge = other, target, asked
            if target not in life.talked:
                life.talked.append(target)
        else:
            lab.blind(phone, customer, target)
            other = life.ring(target)
            lab.rings(customer, other)
            life.pause()
            if how == "blind unanswered":
                life.stops(other, "unanswered")
                lab.gone(customer)
                return Scene(lines=tuple(lab.lines), truth=(life.truth("answered", "pbx"), *internal))
            phone, extension, bridge = other, target, life.talks(other, target)
        life.pause()
    by_customer = draw(st.booleans())
    first, second = (customer, phone) if by_customer else (phone, customer)
    lab.hangs_up(bridge, first, second)
    truth = life.truth("answered", "external" if by_customer else extension)
    return Scene(lines=tuple(lab.lines), truth=(truth, *internal))


@st.composite
def outgoing(draw: st.DrawFn) -> Scene:
    """101 calls a customer, perhaps by a click, perhaps through the second trunk."""
    lab = Lab(version=draw(st.sampled_from((16, 22))))
    own_s = None
    if draw(st.booleans()):
        caller = lab.dial(None, "101")
        lab.rings(None, caller)
        lab.wait(draw(PAUSES))
        lab.answers(None, caller)
        own_s = (lab.at_ms - EPOCH_MS) / 1_000
        caller.exten = NUMBER
        trunk, name = lab.dial(caller, "trunk-alpha", number=NUMBER), "trunk-alpha"
    else:
        caller, trunk = calls_out(lab)
        name = "trunk-alpha"
    if draw(st.booleans()):
        lab.wait(0.3)
        lab.ends(caller, trunk, "CONGESTION", cause=34, sip=503)
        trunk, name = lab.dial(caller, "trunk-beta", number=NUMBER), "trunk-beta"
    how = draw(st.sampled_from(("answered", "busy", "rejected", "declined", "unanswered", "cancelled", "failed")))
    if how not in ("rejected", "failed", "busy"):
        lab.rings(caller, trunk)
    lab.wait(draw(PAUSES))
    by, cause = "external", 16
    match how:
        case "answered":
            lab.answers(caller, trunk)
            own_s = own_s if own_s is not None else (lab.at_ms - EPOCH_MS) / 1_000
            bridge = lab.join(*draw(st.permutations([trunk, caller])))
            lab.wait(draw(PAUSES))
            by = draw(st.sampled_from(("external", "101")))
            lab.hangs_up(bridge, trunk if by == "external" else caller, caller if by == "external" else trunk)
        case "cancelled":
            by, cause = "101", 127
            lab.asks(caller, 127)
            lab.ends(caller, trunk, "CANCEL", cause=127)
            lab.gone(caller, cause=127)
        case "unanswered":
            by = "pbx"
            lab.ends(caller, trunk, "NOANSWER")
            lab.gone(caller)
        case _:
            cause, sip, status = {
                "busy": (17, 486, "BUSY"), "rejected": (21, 403, "NOANSWER"), "declined": (21, 603, "NOANSWER"),
                "failed": (1, 404, "NOANSWER"),
            }[how]  # fmt: skip
            lab.ends(caller, trunk, status, cause=cause, sip=sip)
            lab.gone(caller, cause=cause)
    truth = was(
        lab, caller, how, rang=["101"], talked=["101"] if how == "answered" else [], by=by, cause=cause, direction="out",
        trunk=name, answered_s=own_s,
    )  # fmt: skip
    return Scene(lines=tuple(lab.lines), truth=(truth,))


def calls() -> st.SearchStrategy[Scene]:
    """One call with a customer."""
    return st.one_of(incoming(), outgoing())


@st.composite
def offices(draw: st.DrawFn) -> Scene:
    """Two or three calls at once on one Asterisk: their messages come as they happen."""
    scenes = draw(st.lists(calls(), min_size=2, max_size=3))
    shifts = [draw(st.integers(0, 8_000)) for _ in scenes]
    lines, truth = [], []
    for number, (each, shift) in enumerate(zip(scenes, shifts, strict=True)):
        for at_ms, message in each.lines:
            moved = {key: _renamed(key, value, number) for key, value in message.items()}
            moved["Timestamp"] = f"{float(message['Timestamp']) + shift / 1_000:.6f}"
            lines.append((at_ms + shift, moved))
        truth += [{**told, "call": _renamed("Uniqueid", told["call"], number)} for told in each.truth]
    lines.sort(key=lambda line: line[0])
    return Scene(lines=tuple(lines), truth=tuple(truth))


def _renamed(key: str, value: str, number: int) -> str:
    if key.endswith(("Uniqueid", "Linkedid")):
        return value.replace("lab-", f"lab{number}-").replace("00000000-", f"0000000{number}-", 1)
    if key.endswith("Channel") and "Local" not in value:
        return f"{value[:-8]}{number}{value[-7:]}"
    return value
