"""Recognising a phone number however somebody typed it into MoySklad (CONTRACT-MOYSKLAD 2.4, PRODUCT C5).

The rule: a number is known by its *national significant number* (``9161234567`` of +79161234567, ``290000001`` of
+375290000001). A text holds the number when some run of whole digit groups in it, read together, is that national
number by itself or after one of the ways to begin it: the country code, ``00``/``810`` before it, a trunk ``8``, ``80`` or
``0``. Whole groups and known beginnings, so +7 429 000 00 01 is not taken for +375 29 000 00 01, several numbers may share
one field, and an extension ("доб. 12") does no harm. Numbers that are not international are compared as a whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers

MAX_TEXT_CHARS = 1_000
MAX_SEARCH_DIGITS = 10
MIN_TAIL_DIGITS = 7
_GROUP = re.compile(r"(\+?)\s*\(?([0-9]+)")
_SEPARATOR = re.compile(r"[,;/|\n\r\t]")


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberKey:
    """What to look for: ``digits`` for a server that compares digits, ``tails`` for one that compares text."""

    digits: str
    spellings: frozenset[str]
    whole: bool
    tails: tuple[str, ...]

    def is_in(self, text: object) -> bool:
        """Whether ``text``, a phone field as typed, holds this number."""
        if not isinstance(text, str) or not text:
            return False
        return any(self._in_part(part) for part in _SEPARATOR.split(text[:MAX_TEXT_CHARS]))

    def _in_part(self, part: str) -> bool:
        groups = [(bool(plus), digits) for plus, digits in _GROUP.findall(part)]
        if self.whole:
            return "".join(digits for _, digits in groups) in self.spellings
        longest = max(map(len, self.spellings))
        for start in range(len(groups)):
            # what follows "+44" is not a number by itself
            if start and groups[start - 1][0] and len(groups[start - 1][1]) <= 3:
                continue
            run = ""
            for _, digits in groups[start:]:
                run += digits
                if run in self.spellings:
                    return True
                if len(run) >= longest:
                    break
        return False


@lru_cache(maxsize=4096)
def number_key(number: str) -> NumberKey | None:
    """How to find ``number`` (E.164 with plus, or raw); None when it has no digits (a hidden caller)."""
    digits = "".join(char for char in number if char in "0123456789")
    if not digits:
        return None
    country, national, last_group = _parts(number, digits)
    spellings = {national}
    if country:
        starts = (country, "00" + country, "810" + country, country + "0", "0", "8", "80")
        spellings |= {start + national for start in starts} | {digits}
    return NumberKey(
        digits=national[-MAX_SEARCH_DIGITS:],
        spellings=frozenset(spellings),
        whole=not country,
        tails=_tails(national, last_group),
    )


def _parts(number: str, digits: str) -> tuple[str, str, int]:
    """Country code, national significant number, and how many digits its customary last group has."""
    international = number.lstrip().startswith("+")
    try:
        parsed = phonenumbers.parse("+" + digits, None)
    except phonenumbers.NumberParseException:
        return "", digits, 0
    national = phonenumbers.national_significant_number(parsed)
    if len(national) < MIN_TAIL_DIGITS or not (international or phonenumbers.is_valid_number(parsed)):
        return "", digits, 0
    written = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    return str(parsed.country_code), national, len(re.split(r"[^0-9]+", written)[-1])


def _tails(national: str, last_group: int) -> tuple[str, ...]:
    """The last four digits as people type them: ``4567``, ``45-67``, ``45 67``, and by the country's own grouping."""
    if len(national) < MIN_TAIL_DIGITS:
        return ()
    tail = national[-4:]
    cuts = [2] if last_group in (0, 2, 4) or last_group > 4 else [2, 4 - last_group]
    forms = [tail]
    for cut in cuts:
        forms += [f"{tail[:cut]}-{tail[cut:]}", f"{tail[:cut]} {tail[cut:]}"]
    return tuple(dict.fromkeys(forms))
