"""Telephone numbers, extensions and channel names as the wire writes them (CONTRACT-ASTERISK: Phone, Extensions, Channel).

Everything here is total: whatever the wire said, there is an answer, and nothing raises. Parsing a number costs tens of
microseconds and the same numbers come again and again, so answers are cached, boundedly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import phonenumbers

from core.values import ANONYMOUS

MAX_NUMBER_CHARS: Final = 200
"""No number is longer: the rest of a longer text is not looked at."""

_CACHED: Final = 20_000
_NOT_DIGITS: Final = re.compile(r"[^0-9]")
_CHANNEL_SUFFIX: Final = re.compile(r"-[0-9a-fA-F]{4,}(;[0-9])?\Z")
_PLAIN: Final = re.compile(r"375[1-79][0-9]{8}|7[1-79][0-9]{9}")
"""Whole numbers of :data:`_PLANS` that no second trunk prefix could be read into."""

_HELPERS: Final = frozenset(
    {
        "announcer", "audiosocket", "bridge", "cbann", "cbrec", "confbridgerecorder", "message", "multicastrtp", "parked",
        "recorder", "snoop", "surrogate", "unicastrtp", "websocket",
    }
)  # fmt: skip
"""Technologies of channels that nobody holds in a hand: announcers, recorders, spies."""

_SCHEME: Final = re.compile(r"\A(?:sips?|tel):", re.IGNORECASE)
_IN_BRACKETS: Final = re.compile(r"<([^<>]*)>\s*\Z")
_SHORTEST_INTERNATIONAL: Final = 11
_SHORTEST_TAIL: Final = 9
"""Digits of a Belarusian number without any prefix; fewer never prove that two spellings are one number."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a country writes its own numbers: calling code, digits of a national number, what is dialled before it."""

    code: str
    national_digits: int
    trunk: str


_PLANS: Final = {"BY": _Plan("375", 9, "80"), "RU": _Plan("7", 10, "8"), "KZ": _Plan("7", 10, "8")}
"""Countries whose national spelling (trunk 8) is understood beside the enterprise's own; tried in this order."""

_INTERNATIONAL: Final = ("00", "810")
"""What is dialled before a calling code, from most of Europe and from here."""


def digits(text: str) -> str:
    """Only the digits (ASCII). Most numbers are nothing else, or follow a plus: that is seen for a third of what looking costs."""
    bare = text[1:] if text[:1] == "+" else text
    return bare if bare.isdigit() and bare.isascii() else _NOT_DIGITS.sub("", text)


def looks_like_extension(text: str) -> bool:
    """Whether this is an employee's short number: 2 to 6 digits. A trunk such as ``0001001`` has seven."""
    return 2 <= len(text) <= 6 and text.isdigit() and text.isascii()


def as_extension(number: str) -> str:
    """The extension that a number is, without its plus; empty where it is none."""
    bare = number.lstrip("+")
    return bare if looks_like_extension(bare) else ""


def is_external_number(number: str) -> bool:
    """Whether this is a customer's number: not hidden, not an extension (CONTRACT-ASTERISK)."""
    return number != ANONYMOUS and not as_extension(number)


def strip_technology(text: str) -> str:
    """The peer behind ``SIP/150``, ``PJSIP/101-0000001c`` or ``Local/152@ctx-0002;2``: ``150``, ``101``, ``152``.

    What has no technology before it is no channel's name and stays as it is; of ``SIP/trunk/375…`` the number is what counts.
    """
    name, slash, rest = text.strip().rpartition("/")
    if not slash or not name:
        return rest
    peer, at, _ = rest.partition("@")
    suffix = peer.rfind("-")
    return peer if at or suffix < 0 or _CHANNEL_SUFFIX.match(peer, suffix) is None else peer[:suffix]


def is_helper(channel_name: str) -> bool:
    """Whether this is a channel of Asterisk's own, such as a conference's announcer: nobody is behind ``CBAnn/600-0001;2``."""
    technology, slash, _ = channel_name.partition("/")
    return bool(slash) and technology.lower() in _HELPERS


def is_hidden(raw: str) -> bool:
    """Whether the caller hid the number: never matched to a person.

    A word instead of digits (``<unknown>``, ``Anonymous``, ``Restricted``, whatever a provider invents), nothing, only zeros.
    """
    return not digits(_bare(raw[:MAX_NUMBER_CHARS])).strip("0")


def normalise_number(raw: str, country: str = "BY") -> str:
    """One spelling for one number: E.164 with a plus, or the digits alone where they are nobody's full number.

    ``country`` is the enterprise's (ISO, two letters): it decides how a national number is read. Extensions and short
    numbers (``103``) stay as they are, hidden callers become :data:`core.values.ANONYMOUS`. The dispatcher puts a plus
    before anything, extensions included, so a plus proves nothing. Applying it twice changes nothing.
    """
    return _normalise(raw[:MAX_NUMBER_CHARS], country)


@lru_cache(maxsize=_CACHED)
def _normalise(raw: str, country: str) -> str:
    if is_hidden(raw):
        return ANONYMOUS
    text = _bare(raw)
    number = digits(text)
    if len(number) <= 6:
        return number
    if country in _PLANS and _PLAIN.fullmatch(number):
        return f"+{number}"  # most of what is ever heard; whether a plan knows it or not, the readings below end here (tested)
    return _read(number, country, plus=text.startswith("+"))


def _read(number: str, country: str, *, plus: bool) -> str:
    for candidate, region in _readings(number, country, plus=plus):
        if (e164 := _valid(candidate, region)) is not None:
            return e164
    return _assumed(number) or number


def _bare(raw: str) -> str:
    """The number itself out of ``"Name" <375…>``, ``sip:375…@host``, ``tel:+375…;ext=1``."""
    text = raw.strip()
    if (inside := _IN_BRACKETS.search(text)) is not None:
        text = inside.group(1).strip()
    text = _SCHEME.sub("", text)
    return text.partition("@")[0].partition(";")[0].strip()


def _readings(number: str, country: str, *, plus: bool) -> Iterator[tuple[str, str | None]]:
    """What the digits may mean, the likeliest first."""
    whole = (f"+{number}", None)
    if plus:
        yield whole
    for prefix in _INTERNATIONAL:
        if number.startswith(prefix) and len(number) - len(prefix) >= _SHORTEST_INTERNATIONAL:
            yield f"+{number[len(prefix) :]}", None
    own = _PLANS.get(country)
    # Without its calling code or behind a trunk prefix a number is national; read as international it would be another's.
    if number.startswith(("8", "0")):
        regions = sorted(dict.fromkeys((country, *_PLANS)), key=lambda region: not _is_national(number, _PLANS.get(region)))
        yield from ((number, region) for region in regions)
        yield whole
    elif len(number) <= (own.national_digits if own else 10):
        yield number, country
        yield whole
    else:
        yield whole
        yield number, country


def _is_national(number: str, plan: _Plan | None) -> bool:
    """Whether this is exactly a trunk prefix and a national number of that country (none of which begins with 0)."""
    if plan is None or not number.startswith(plan.trunk):
        return False
    national = number.removeprefix(plan.trunk)
    return len(national) == plan.national_digits and not national.startswith("0")


def _valid(candidate: str, region: str | None) -> str | None:
    try:
        parsed = phonenumbers.parse(candidate, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def _assumed(number: str) -> str | None:
    """A number that no numbering plan knows (yet), but long enough and shaped so that its country is beyond doubt.

    Plans change more often than this service is updated, and the same caller must not become two.
    """
    for prefix in _INTERNATIONAL:
        rest = number.removeprefix(prefix)
        if rest != number and any(_is_whole(rest, plan) for plan in _PLANS.values()):
            return f"+{rest}"
    for plan in _PLANS.values():
        if _is_whole(number, plan):
            return f"+{number}"
        if _is_national(number, plan):
            return f"+{plan.code}{number.removeprefix(plan.trunk)}"
    if number.startswith(("8", "0")) or len(number) < _SHORTEST_INTERNATIONAL:
        return None
    try:
        parsed = phonenumbers.parse(f"+{number}", None)
    except phonenumbers.NumberParseException:
        return None
    possible = phonenumbers.is_possible_number_with_reason(parsed) == phonenumbers.ValidationResult.IS_POSSIBLE
    return f"+{number}" if possible and digits(phonenumbers.format_number(parsed, 0)) == number else None


def _is_whole(number: str, plan: _Plan) -> bool:
    return number.startswith(plan.code) and len(number) == len(plan.code) + plan.national_digits


def same_number(one: str, other: str) -> bool:
    """Whether two spellings are one number, whichever way its country or trunk prefix is written.

    Equal digits; or the longer one is the shorter one's national part after a calling code or a dialling prefix. So
    ``80291234567`` is ``+375 29 123-45-67``, but not ``+7 929 123-45-67``, whose last nine digits are the same.
    """
    first, second = digits(one[:MAX_NUMBER_CHARS]), digits(other[:MAX_NUMBER_CHARS])
    if not first or not second:
        return False
    return first == second or _same(min(first, second), max(first, second))


@lru_cache(maxsize=_CACHED)
def _same(one: str, other: str) -> bool:
    return any(_begins(tail, other) for tail in _tails(one)) or any(_begins(tail, one) for tail in _tails(other))


def _tails(number: str) -> Iterator[str]:
    for prefix in ("", "8", "80", "0"):
        if number.startswith(prefix) and len(number) - len(prefix) >= _SHORTEST_TAIL:
            yield number[len(prefix) :]


def _begins(tail: str, number: str) -> bool:
    """Whether ``number`` is ``tail`` after something that a number may begin with."""
    if not number.endswith(tail):
        return False
    start = number[: len(number) - len(tail)]
    for prefix in ("810", "00", ""):
        code = start.removeprefix(prefix)
        if start.startswith(prefix) and code.isdigit() and int(code) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            return True
    return start in ("", "8", "80", "0", *_INTERNATIONAL)
