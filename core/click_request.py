"""What MoySklad sends when somebody clicks a number (CONTRACT-MOYSKLAD 1.10), read and checked: who is to call whom.

Whatever is sent, nothing but an employee's short number and an outside telephone number gets through to the exchange.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.phone import digits, looks_like_extension, normalise_number
from core.values import ANONYMOUS

MAX_UID: Final = 255
FEWEST_DIGITS: Final = 7
MOST_DIGITS: Final = 15
"""E.164's limit. Numbers of up to six digits are extensions, emergency and service numbers: those are dialled by hand."""

_WRITTEN: Final = re.compile(r"\+?[0-9()./\s\-\u2010-\u2015]{1,60}")
"""A number as people write one. Letters, ``*``, ``#``, commas, a second plus may be an exchange's commands, or another number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """``extension`` wants to call ``number`` (E.164, or national digits); ``uid`` is the login of whoever clicked."""

    extension: str
    number: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """Why it cannot be dialled, and what a person can do about it."""

    error: str
    remedy: str


def wish_of(values: Mapping[str, str], country: str) -> Wish | Unfit:
    """Read the values of a click. Total."""
    source, wanted = values.get("srcNumber", "").strip(), values.get("destNumber", "").strip()
    extension = source.removeprefix("+")
    if not source:
        return Unfit(error="MoySklad did not say who calls (srcNumber)", remedy="give the employee an extension in MoySklad")
    if not looks_like_extension(extension):
        return Unfit(error="srcNumber is not an extension", remedy="give the employee an extension of 2 to 6 digits in MoySklad")
    if not digits(wanted):
        return Unfit(error="MoySklad did not say whom to call (destNumber)", remedy="check the customer's number in MoySklad")
    if _WRITTEN.fullmatch(wanted) is None:
        return Unfit(
            error="destNumber holds more than a telephone number", remedy="leave one number in the customer's card, in digits"
        )
    number = normalise_number(wanted, country)
    plain = number.removeprefix("+")
    if looks_like_extension(plain):
        return Unfit(error="destNumber is an extension or a short number", remedy="dial colleagues and short numbers by hand")
    if number == ANONYMOUS or not FEWEST_DIGITS <= len(plain) <= MOST_DIGITS or not (plain.isascii() and plain.isdigit()):
        return Unfit(error="destNumber is not a telephone number", remedy="check the customer's number in MoySklad")
    return Wish(extension=extension, number=number, uid=plain_text(values.get("uid", ""))[:MAX_UID])


def plain_text(text: str) -> str:
    """Text that may be kept and shown: without control characters and halves of characters."""
    return "".join(each for each in text.strip() if each.isprintable())


def as_sent(values: Mapping[str, str]) -> dict[str, str]:
    """What was sent, as it may be kept: the known fields, cut."""
    return {name: plain_text(values[name])[:MAX_UID] for name in ("srcNumber", "destNumber", "uid") if name in values}
