"""The signature of a click in MoySklad: every reading is known, none is taken for another's, no key fits nothing."""

from __future__ import annotations

import hashlib
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.webhook_signature import Reading, is_admitted, is_same_uuid, reading_of, values_of

KEY, OTHER = "a-phone-api-key", "a-main-token"
BODY = b'{"destNumber": "+74959999999", "srcNumber": "100", "uid": "admin@companyname"}'
TEXTS = {
    Reading.BODY_ORDER: "+74959999999100admin@companyname",
    Reading.NAMED_ORDER: "100+74959999999admin@companyname",
    Reading.RAW_BODY: BODY.decode(),
}


def signed(key: str, text: str) -> str:
    return hashlib.md5((key + text).encode(), usedforsecurity=False).hexdigest().upper()


@pytest.mark.parametrize("reading", TEXTS)
def test_each_reading_is_recognised_and_named(reading: Reading) -> None:
    assert reading_of(signed(KEY, TEXTS[reading]), BODY, [KEY]) is reading
    assert reading_of(signed(KEY, TEXTS[reading]).lower(), BODY, ["", OTHER, KEY]) is reading


def test_sorted_readings() -> None:
    body = b'{"uid": "1", "srcNumber": "3", "destNumber": "2"}'
    assert reading_of(signed(KEY, "231"), body, [KEY]) is Reading.BY_NAME
    assert reading_of(signed(KEY, "123"), body, [KEY]) is Reading.BY_VALUE
    assert reading_of(signed(KEY, "132"), body, [KEY]) is Reading.BODY_ORDER


@pytest.mark.parametrize("shown", ["", "0" * 32, "Ы" * 32, *(signed(key, TEXTS[Reading.BODY_ORDER]) for key in (OTHER, ""))])
def test_nothing_else_fits(shown: str) -> None:
    assert reading_of(shown, BODY, [KEY, ""]) is None


def test_without_a_key_nothing_fits() -> None:
    assert reading_of(signed("", TEXTS[Reading.BODY_ORDER]), BODY, []) is None
    assert reading_of(signed("", TEXTS[Reading.BODY_ORDER]), BODY, [""]) is None


@given(st.binary(max_size=200), st.text(max_size=80))
def test_whatever_comes_is_answered(raw: bytes, shown: str) -> None:
    assert reading_of(shown, raw, [KEY]) in (None, *Reading)


def test_only_enforcing_refuses() -> None:
    assert is_admitted("log", None)
    assert not is_admitted("enforce", None)
    assert is_admitted("enforce", Reading.RAW_BODY)


def test_uuids_are_compared_whole_and_an_absent_one_is_nobody_s() -> None:
    stored = str(uuid4())
    assert is_same_uuid(stored.upper(), stored)
    assert not is_same_uuid(stored[:-1], stored)
    assert not is_same_uuid("", "")


def test_a_form_is_read_in_its_order_too() -> None:
    raw = b"destNumber=%2B7+495+9999999&srcNumber=100&uid=admin%40companyname"
    assert values_of(raw) == {"destNumber": "+7 495 9999999", "srcNumber": "100", "uid": "admin@companyname"}
    assert reading_of(signed(KEY, "+7 495 9999999100admin@companyname"), raw, [KEY]) is Reading.BODY_ORDER
    assert reading_of(signed(KEY, raw.decode()), raw, [KEY]) is Reading.RAW_BODY


@pytest.mark.parametrize("raw", [b"", b"[1]", b"null", b"\xff\xfe", b"&" * 100, b"a=1&" * 50])
def test_what_is_neither_has_no_values(raw: bytes) -> None:
    assert values_of(raw) == {}
