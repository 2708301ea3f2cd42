"""Who is behind a channel's name: an employee's telephone, the outside world, half of a Local channel, or a helper of Asterisk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from core.hangups import AMI_WIRE
from core.phone import digits, is_helper, looks_like_extension

_CACHED: Final = 20_000
_SHORTEST_WHOLE: Final = 7
"""A number of fewer digits may be another one's end by chance."""

_SUFFIX: Final = re.compile(r"-[0-9a-fA-F]+\Z")
_ASYNC: Final = "AsyncGoto/"
_ZOMBIE: Final = "<ZOMBIE>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pbx:
    """One Asterisk, as configured. ``name`` is unique among all connections and marks what was heard through this one.

    ``trunks``: peers through which the outside world is reached, as they stand in channel names: ``trunk-alpha`` for
    ``PJSIP/trunk-alpha-0000000d``; with its technology (``DAHDI/i1``) where the peer alone would be ambiguous.
    ``extensions``: a regular expression of peers that are employees' telephones; its first group, if it has one, is the
    extension. Empty: 2 to 6 digits. A peer that is neither is a telephone if it calls with an extension, else a trunk.
    """

    name: str
    enterprise: str
    trunks: tuple[str, ...] = ()
    country: str = "BY"
    extensions: str = ""

    @property
    def wire(self) -> str:
        """What ``Observation.wire`` says of everything heard through this connection."""
        return f"{AMI_WIRE}{self.name}"


class Side(StrEnum):
    """Which side of the company's wall a channel is on."""

    PHONE = "phone"
    OUTSIDE = "outside"
    LOCAL = "local"
    HELPER = "helper"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Who is behind a channel. ``who``: the extension, the trunk's peer, or for a Local half the pair's name.

    ``shown``: the channel's name as observations carry it: what reads an extension out of it reads the right one.
    """

    side: Side
    who: str
    shown: str


@lru_cache(maxsize=_CACHED)
def party_of(name: str, caller_id: str, pbx: Pbx) -> Party:
    """The party behind a channel of this name that was made with this caller id. Total."""
    plain = name.strip().removesuffix(_ZOMBIE)
    while plain.startswith(_ASYNC):
        plain = plain.removeprefix(_ASYNC)
    technology, slash, rest = plain.partition("/")
    if not slash or is_helper(plain):
        return Party(side=Side.HELPER, who="", shown=plain)
    if technology == "Local":
        return Party(side=Side.LOCAL, who=rest.rpartition(";")[0] or rest, shown=plain)
    peer, suffix = _split(rest)
    trunks = {trunk.strip().lower() for trunk in pbx.trunks}
    if peer.lower() in trunks or f"{technology}/{peer}".lower() in trunks:
        shown = f"{technology}/trunk-{peer}{suffix}" if looks_like_extension(peer) else plain
        return Party(side=Side.OUTSIDE, who=peer, shown=shown)
    extension = _extension(peer, pbx.extensions)
    if not extension and trunks and looks_like_extension(caller_id):
        extension = caller_id  # a telephone named by a word; its trunks are known
    if extension:
        return Party(side=Side.PHONE, who=extension, shown=plain if peer == extension else f"{technology}/{extension}{suffix}")
    return Party(side=Side.OUTSIDE, who=peer, shown=plain)


def _split(rest: str) -> tuple[str, str]:
    """``trunk-alpha`` and ``-0000000d``; of DAHDI's ``i1/79161234567-5`` the span counts."""
    found = _SUFFIX.search(rest)
    peer = rest[: found.start()] if found else rest
    return peer.partition("/")[0], found.group() if found else ""


def _extension(peer: str, pattern: str) -> str:
    if not pattern:
        return peer if looks_like_extension(peer) else ""
    compiled = _compiled(pattern)
    found = compiled.fullmatch(peer) if compiled is not None else None
    if found is None:
        return ""
    return (found.group(1) or "") if found.re.groups else peer


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:
        return None  # refused where settings are read; here it recognises nobody


def other_half(name: str) -> str:
    """The name of a Local channel's other half; empty for any other channel."""
    plain = name.strip().removesuffix(_ZOMBIE)
    if plain.startswith("Local/") and plain[-2:] in (";1", ";2"):
        return f"{plain[:-1]}{'2' if plain.endswith('1') else '1'}"
    return ""


def dialled_number(dial_string: str, *others: str) -> str:
    """The number that a trunk was asked for: ``7916…@trunk-alpha``, ``trunk-alpha/7916…``, ``PJSIP/trunk/sip:7916…@host``.

    ``others`` are what else may hold it, in order, where the dial string has no number in it, or has a technical prefix before it
    (``98#7916…``).
    """
    text = dial_string.partition("@")[0] if "@" in dial_string and "/" not in dial_string.partition("@")[0] else dial_string
    parts = [part.partition("@")[0].rpartition(":")[2] for part in text.split("/")]
    found = next((part for part in (*reversed(parts), *others) if _is_number(part)), "")
    plain = (digits(other) for other in others if _is_number(other))
    return next((other for other in plain if len(other) >= _SHORTEST_WHOLE and _is_after_prefix(other, found)), found)


def _is_after_prefix(number: str, found: str) -> bool:
    return digits(found) != number and digits(found).endswith(number) and not found.lstrip().startswith("+")


def _is_number(text: str) -> bool:
    found = digits(text)
    return len(found) >= 3 and all(char.isdigit() or char in "+-() *#" for char in text.strip())
