"""A replay without anybody's number or name, for a ticket that others read: the same number is the same made-up one throughout.

What could be a telephone number goes, whatever it is called and however it is written; so do names, logins, e-mails, addresses of
recordings and of computers, who ordered a retry and what he wrote of it, and everything in MoySklad's bodies that is not on a list
of what says nothing about a person. Ids and times stay: they are what a developer needs. A number's shape stays too: as many
digits, the same spaces, dashes and brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.ports import RecordedEvent
from projections.story import ORDERED, ORDERED_BY

SHORTEST: Final = 7
"""Digits of the shortest number that is somebody's: extensions have six at most."""

CERTAIN: Final = 9
"""So many digits in a row are taken for a number although nothing says that they are one."""

FILL: Final = "5"
"""Made-up numbers are a row of fives with a count at the end, as in films."""

HIDDEN: Final = "…"
RECORDING: Final = "https://…"

_CHUNK: Final = re.compile(r"\+?\(?\d[\d\s()\-]*\d")
_IDS: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # MoySklad's ids
    r"|\b1[4-9]\d{8}\.\d{1,9}\b"  # the PBX's: seconds since 1970, a dot, a count
    r"|\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?",  # times
    re.IGNORECASE,
)
_URL: Final = re.compile(r"https?://\S+", re.IGNORECASE)
PRIVATE: Final = re.compile(
    r"(?<![\w/.+-])(?=[\w.+-]*[^\W\d_])[\w.+-]+@[\w.-]*\w"  # an e-mail or a login; what stands behind a slash is a channel
    r"|(?<![\w/.-])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\w)"
)
"""What names somebody, or where he sits, in whatever sentence it stands."""

_MOYSKLAD_URL: Final = re.compile(r"https?://api\.moysklad\.ru/", re.IGNORECASE)
_NUMBER_KEYS: Final = frozenset(
    {"phone", "number", "calleridnum", "connectedlinenum", "extphone", "connected", "caller_id", "exten"}
)
_NAME_KEYS: Final = frozenset(
    {
        "name", "legaltitle", "email", "fullname", "shortfio", "firstname", "middlename", "lastname",
        "calleridname", "connectedlinename", "client",
    }
)  # fmt: skip
_TELLS_NOTHING: Final = frozenset(
    {
        "accountid", "archived", "code", "comment", "context", "counterparty", "created", "duration", "employee", "endtime",
        "error", "error_message", "errors", "events", "eventtype", "extension", "externalid", "externalcode", "href", "id",
        "isincoming", "limit", "mediatype", "meta", "metadatahref", "moreinfo", "number", "offset", "owner", "parameter", "phone",
        "rows", "sequence", "size", "starttime", "syncid", "tags", "type", "updated",
    }
)  # fmt: skip
"""Fields of MoySklad's bodies whose text is kept, numbers aside. In lower case."""


def disguise(replay: Mapping[str, Any], history: Sequence[RecordedEvent]) -> dict[str, Any]:
    """The replay (as JSON) without numbers and names.

    ``history``: what it was told from. Sentences hold names that stand nowhere in the replay by themselves: of an employee whose
    telephone never rang, of a client who was renamed meanwhile.
    """
    mask = _Mask()
    for value in _values(replay, _NUMBER_KEYS):
        mask.know_number(value)
    told = [*_values(replay, _NAME_KEYS), *(name for event in history for name in _values(event.data, _NAME_KEYS))]
    named = {value for value in told if re.search(r"[^\W\d_]", value)}
    mask.names = sorted(named, key=len, reverse=True)
    nameless = {
        **replay,
        "picture": {**replay["picture"], "names": {}},
        "entries": [_unsigned(each) if each["kind"] == ORDERED else each for each in replay["entries"]],
    }
    found = _cover(nameless, mask, "", strict=False)
    assert isinstance(found, dict)
    return found


def _unsigned(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An order without who gave it (a person's name and address) and why (whatever he wrote)."""
    return {**entry, "title": f"{ORDERED_BY}{HIDDEN}", "why": entry["why"] and HIDDEN}


@dataclass(slots=True)
class _Mask:
    """The made-up numbers so far, and the names that were seen. ``tails``: the last digits of numbers that are known to be some."""

    made_up: dict[str, int] = field(default_factory=dict)
    tails: set[str] = field(default_factory=set)
    names: list[str] = field(default_factory=list)

    def know_number(self, text: str) -> None:
        digits = _digits(text)
        if len(digits) >= SHORTEST and not _IDS.fullmatch(text):
            self.tails.add(digits[-SHORTEST:])

    def nameless(self, text: str) -> str:
        """A sentence without the names that were seen."""
        for name in self.names:
            # A short one is a part of other words too.
            text = text.replace(name, HIDDEN) if len(name) > 2 else re.sub(rf"\b{re.escape(name)}\b", HIDDEN, text)
        return text

    def text(self, text: str) -> str:
        """A text without numbers, logins and addresses; ids and times in it stay."""
        text = _URL.sub(lambda url: url.group() if _MOYSKLAD_URL.match(url.group()) else RECORDING, text)
        text = PRIVATE.sub(HIDDEN, text)
        parts: list[str] = []
        end = 0
        for known in _IDS.finditer(text):
            parts += [self._chunks(text[end : known.start()]), known.group()]
            end = known.end()
        parts.append(self._chunks(text[end:]))
        return "".join(parts)

    def _chunks(self, text: str) -> str:
        return _CHUNK.sub(lambda chunk: self._chunk(chunk.group()), text)

    def _chunk(self, chunk: str) -> str:
        digits = _digits(chunk)
        tail = next((each for each in self.tails if each in digits), None)
        longest = max(map(len, re.findall(r"\d+", chunk)))
        typed = len(digits) > CERTAIN and (chunk.startswith(("+", "(")) or not set(chunk).isdisjoint(" ()"))
        if tail is None and longest < CERTAIN and not typed:
            return chunk
        return self._other(chunk, digits, tail or digits[-SHORTEST:])

    def _other(self, chunk: str, digits: str, tail: str) -> str:
        nth = self.made_up.setdefault(tail, len(self.made_up) + 1)
        fresh = iter(str(nth).rjust(len(digits), FILL)[-len(digits) :])
        return "".join(next(fresh) if each.isdigit() else each for each in chunk)

    def number(self, value: int) -> int | str:
        """A JSON number that is as long as a telephone number, where no time or place can be meant."""
        digits = str(abs(value))
        return value if len(digits) < SHORTEST else self._other(digits, digits, digits[-SHORTEST:])


def _digits(text: str) -> str:
    return "".join(each for each in text if each.isdigit() and each.isascii())


def _values(value: Any, keys: frozenset[str], key: str = "") -> Iterator[str]:
    """Every text under one of the keys, however deep."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _values(inner, keys, str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _values(inner, keys, key)
    elif isinstance(value, str | int) and not isinstance(value, bool) and _is_one_of(key.lower(), keys) and value:
        yield str(value)


def _is_one_of(key: str, keys: frozenset[str]) -> bool:
    """Also with a prefix: AMI says the same of several channels (``DestCallerIDNum``, ``TransfereeCallerIDName``)."""
    return key in keys or any(key.endswith(ending) and ending in keys for ending in _ENDINGS)


_ENDINGS: Final = ("calleridnum", "connectedlinenum", "calleridname", "connectedlinename")

_SENTENCES: Final = frozenset({"title", "why", "text", "parked", "comment", "error"})
_BODIES: Final = frozenset({"request", "response"})
_WIRE: Final = frozenset({"raw", "request", "response"})


def _cover(value: Any, mask: _Mask, key: str, *, strict: bool, wire: bool = False) -> Any:
    """``strict``: inside a body of MoySklad's, where only what is listed is kept; ``wire``: inside any body from outside."""
    lower = key.lower()
    if isinstance(value, Mapping):
        return {
            mask.text(str(name)): _cover(
                inner, mask, str(name), strict=strict or name in _BODIES, wire=wire or name in _WIRE
            )
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_cover(inner, mask, key, strict=strict, wire=wire) for inner in value]
    if isinstance(value, str):
        if value and ("record" in lower or _is_one_of(lower, _NAME_KEYS) or (strict and lower not in _TELLS_NOTHING | _BODIES)):
            return HIDDEN if "://" not in value else RECORDING
        return mask.text(mask.nameless(value) if lower in _SENTENCES else value)
    if wire and isinstance(value, int) and not isinstance(value, bool) and lower not in _TELLS_NOTHING - _NUMBER_KEYS:
        return mask.number(value)
    return value
