"""What the scenes are made of: how one is written down, and what happens in many of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.ami_lab import EPOCH_MS, Chan, Lab, Line

NUMBER = "79161234567"
MOBILE = "79260000002"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The messages, and what happened to each call that is a call."""

    lines: tuple[Line, ...]
    truth: tuple[dict[str, Any], ...]


Script = Callable[[Lab], list[dict[str, Any]]]
SCRIPTS: dict[str, Script] = {}


def scene(name: str, version: int = 22) -> Scene:
    """One scene, as said by this version of Asterisk."""
    lab = Lab(version=version)
    truth = SCRIPTS[name](lab)
    return Scene(lines=tuple(lab.lines), truth=tuple(truth))


def script(written: Script) -> Script:
    """Make a function one of the scenes, by its name."""
    SCRIPTS[written.__name__] = written
    return written


def was(
    lab: Lab,
    chan: Chan,
    outcome: str,
    *,
    rang: list[str],
    talked: list[str] | None = None,
    by: str = "external",
    cause: int = 16,
    direction: str = "in",
    phone: str | None = NUMBER,
    trunk: str | None = "trunk-alpha",
    answered_s: float | None = None,
    end_s: float | None = None,
) -> dict[str, Any]:
    """The truth of a call that began with ``chan`` when the scene did and ends now; ``answered_s`` after the beginning."""
    duration_s = (lab.at_ms - EPOCH_MS) / 1_000 if end_s is None else end_s
    return {
        "call": chan.id,
        "direction": direction,
        "phone": phone,
        "trunk": trunk,
        "outcome": outcome,
        "answered": outcome == "answered",
        "rang": rang,
        "talked": talked or [],
        "hung_up_by": by,
        "cause": cause,
        "duration_s": round(duration_s, 3),
        "talk_s": 0 if answered_s is None else round(duration_s - answered_s, 3),
    }


def talk(lab: Lab, customer: Chan, extension: str, ring_s: float = 1.9, talk_s: float = 3.0) -> tuple[Chan, str]:
    """The customer rings an extension, which answers; they talk."""
    phone = lab.dial(customer, extension)
    lab.rings(customer, phone)
    lab.wait(ring_s)
    lab.answers(customer, phone)
    bridge = lab.join(phone, customer)
    lab.wait(talk_s)
    return phone, bridge


def group(lab: Lab, customer: Chan, *extensions: str) -> list[Chan]:
    """A ring group: all channels are made before the first is dialled."""
    made = [lab.channel(each, state=0, linked=customer) for each in extensions]
    for each, extension in zip(made, extensions, strict=True):
        lab.begin(customer, each, extension)
    lab.rings(customer, *made)
    return made


def calls_out(lab: Lab, trunk: str = "trunk-alpha") -> tuple[Chan, Chan]:
    """101 calls a customer: the dialplan has put the company's number in the place of the extension."""
    caller = lab.channel("101", exten=NUMBER)
    caller.cid = "74951110001"
    lab.say("NewCallerid", caller)
    return caller, lab.dial(caller, trunk, number=NUMBER)


def went(lab: Lab, caller: Chan, outcome: str, **more: Any) -> dict[str, Any]:
    """The truth of an outgoing call of 101."""
    return was(lab, caller, outcome, rang=["101"], direction="out", **more)


def asks(lab: Lab, extension: str, target: str) -> tuple[Chan, Chan, str]:
    """``extension`` calls ``target`` on a second line."""
    second = lab.channel(extension, exten=target)
    phone = lab.dial(second, target)
    lab.rings(second, phone)
    lab.wait(1)
    lab.answers(second, phone)
    return second, phone, lab.join(phone, second)


def consultation(second: Chan, by: str, start_s: float, answered_s: float, end_s: float) -> dict[str, Any]:
    """The truth of an internal call to 102 that was answered."""
    return {
        "call": second.id,
        "direction": "internal",
        "phone": None,
        "trunk": None,
        "outcome": "answered",
        "answered": True,
        "rang": ["102"],
        "talked": ["102"],
        "hung_up_by": by,
        "cause": 16,
        "duration_s": round(end_s - start_s, 3),
        "talk_s": round(end_s - answered_s, 3),
    }
