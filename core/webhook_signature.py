"""Whether a click in MoySklad was signed by who knows the key (CONTRACT-MOYSKLAD 1.10).

MoySklad documents an MD5 over the user's key and the values of the request, but neither their order nor what stands between
them. So every reading that integrators met is tried, and which one fitted is told, to be recorded with the first live click. The
unguessable address is the real protection; the signature may be enforced once its form is known (``webhook_signature``).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

HEADER: Final = "Lognex-Content-MD5"
MAX_VALUES: Final = 20
MAX_SIGNATURE: Final = 64


class Reading(StrEnum):
    """How key and request were put together."""

    BODY_ORDER = "key + values in the body's order"
    NAMED_ORDER = "key + srcNumber + destNumber + uid"
    BY_NAME = "key + values sorted by name"
    BY_VALUE = "key + values sorted"
    RAW_BODY = "key + raw body"


def reading_of(signature: str, raw: bytes, keys: Sequence[str]) -> Reading | None:
    """The reading by which one of the keys signed this body; None when no reading fits, or nothing was signed.

    Every reading is computed and compared, whichever fits, so that the time taken says nothing.
    """
    shown = signature.strip().upper()[:MAX_SIGNATURE].encode("ascii", "replace")
    found: Reading | None = None
    for key in (each for each in keys if each):
        for reading, text in _texts(raw):
            made = hashlib.md5(key.encode("utf-8", "surrogatepass") + text, usedforsecurity=False).hexdigest().upper().encode()
            if hmac.compare_digest(made, shown) and found is None:
                found = reading
    return found


def is_admitted(mode: str, reading: Reading | None) -> bool:
    """Whether a click may go on: always, or only with a signature that fits."""
    return mode != "enforce" or reading is not None


def is_same_uuid(shown: str, stored: str) -> bool:
    """Whether an address's UUID is the stored one, in a time that does not depend on where they differ."""
    return bool(stored) and hmac.compare_digest(_octets(shown.lower()), _octets(stored.lower()))


def _texts(raw: bytes) -> Iterator[tuple[Reading, bytes]]:
    values = values_of(raw)
    named = [values.get(name, "") for name in ("srcNumber", "destNumber", "uid")]
    yield Reading.BODY_ORDER, _octets("".join(values.values()))
    yield Reading.NAMED_ORDER, _octets("".join(named))
    yield Reading.BY_NAME, _octets("".join(value for _, value in sorted(values.items())))
    yield Reading.BY_VALUE, _octets("".join(sorted(values.values())))
    yield Reading.RAW_BODY, raw


def values_of(raw: bytes) -> dict[str, str]:
    """The body's values as texts, in its order: of a JSON object or of a form (contract 1.10), whatever it calls itself."""
    try:
        body: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _form(raw)
    if not isinstance(body, dict):
        return {}
    first = list(body.items())[:MAX_VALUES]
    return {name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in first}


def _form(raw: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_VALUES)
    except ValueError:  # not ASCII, or too many
        return {}
    return dict(pairs)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
