"""Telephone numbers and extensions as the wire writes them (CONTRACT-ASTERISK: Phone, Extensions). Total: nothing here raises."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import phonenumbers

from core.values import ANONYMOUS

_HIDDEN: Final = frozenset({"", "unknown", "anonymous", "restricted", "private", "withheld", "unavailable", "hidden", "none"})
_NOT_DIGITS: Final = re.compile(r"\D")
_EXTENSION: Final = re.compile(r"\d{2,6}")
_CHANNEL_SUFFIX: Final = re.compile(r"-[0-9a-fA-F]{4,}(;\d)?$")
_SIGNIFICANT: Final = 9
"""How many last digits tell numbers apart: what is left of a Belarusian or Russian number without its prefix is longer."""

_SHORTEST_WHOLE: Final = 11
"""A possible number shorter than this with its country code is rather a local number or a trunk's name."""

_OTHER_COUNTRIES: Final = ("BY", "RU", "KZ", "UZ")
"""Countries whose national way of writing (trunk 8) is understood beside the enterprise's own, in this order."""


def digits(text: str) -> str:
    """Only the digits."""
    return _NOT_DIGITS.sub("", text)


def looks_like_extension(text: str) -> bool:
    """Whether this is an employee's short number: 2 to 6 digits. A trunk such as ``0001001`` has seven."""
    return _EXTENSION.fullmatch(text) is not None


def strip_technology(text: str) -> str:
    """The peer behind ``SIP/150``, ``PJSIP/101-0000001c`` or ``Local/152@ctx-0002;2``: ``150``, ``101``, ``152``."""
    peer = text.strip()
    _, slash, rest = peer.partition("/")
    peer = rest if slash else peer
    peer, at, _ = peer.partition("@")
    return peer if at else _CHANNEL_SUFFIX.sub("", peer)


def is_hidden(raw: str) -> bool:
    """Whether the caller hid the number (``<unknown>``, ``Restricted``, empty, only zeros): never matched to a person."""
    word = raw.strip().strip("<>").strip().lower()
    number = digits(word)
    return word in _HIDDEN or (bool(number) and not number.strip("0"))


@lru_cache(maxsize=20_000)
def normalise_number(raw: str, country: str = "BY") -> str:
    """E.164 with a plus where the number is valid, else its digits as said; ``anonymous`` for hidden callers.

    ``country`` is the enterprise's: it decides how a national number is read. Extensions stay as they are.
    """
    text = raw.strip()
    if is_hidden(text):
        return ANONYMOUS
    number = digits(text)
    if not number:
        return ANONYMOUS
    if looks_like_extension(number):
        return number
    # A number that is in nobody's numbering plan (yet) still has its country: possible is enough when nothing is valid.
    for judge in (phonenumbers.is_valid_number, _is_possible):
        for candidate, region in _readings(text, number, country):
            parsed = _parse(candidate, region)
            if parsed is not None and judge(parsed):
                return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return f"+{number}" if text.startswith("+") else number


def _readings(text: str, number: str, country: str) -> list[tuple[str, str | None]]:
    """How the digits may be meant, the likeliest first."""
    if text.startswith("+"):
        return [(f"+{number}", None)]
    readings: list[tuple[str, str | None]] = []
    for prefix in ("00", "810"):
        if number.startswith(prefix) and len(number) > len(prefix) + 9:
            readings.append((f"+{number[len(prefix):]}", None))
    # An 11-digit number with the trunk 8 is national: read as international it would be somebody else's.
    national = [(number, region) for region in dict.fromkeys((country, *_OTHER_COUNTRIES))]
    if number.startswith(("8", "0")):
        return [*readings, *national, (f"+{number}", None)]
    return [*readings, (f"+{number}", None), *national]


def _is_possible(parsed: phonenumbers.PhoneNumber) -> bool:
    whole = len(str(parsed.country_code)) + len(phonenumbers.national_significant_number(parsed))
    reason = phonenumbers.is_possible_number_with_reason(parsed)
    return whole >= _SHORTEST_WHOLE and reason == phonenumbers.ValidationResult.IS_POSSIBLE


def _parse(candidate: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(candidate, region)
    except phonenumbers.NumberParseException:
        return None


def same_number(one: str, other: str) -> bool:
    """Whether two spellings are one number: their last nine digits agree (all of them, when shorter)."""
    first, second = digits(one), digits(other)
    if not first or not second:
        return False
    if len(first) < _SIGNIFICANT or len(second) < _SIGNIFICANT:
        return first == second
    return first[-_SIGNIFICANT:] == second[-_SIGNIFICANT:]
