"""Bad input of every kind: 4xx in words, kept without its secrets, and nothing else disturbed."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.http.answers import BODY_LIMIT
from adapters.ingest import mask_text
from adapters.sandbox import SANDBOX_API_TOKEN, SANDBOX_PHONE_KEY
from tests.adapters.http.support import INLINE, SECRETS, dial, dial_body, heads, rejected
from tests.rig import ENTERPRISE, TOKEN, Rig

CALLS = "/internal/ms/call-event"
ENDPOINTS = ("incoming-call", "hangup-call", "recovery-call", "call-event", "notify-incoming", "log-call")
JSON_TYPE = {"Content-Type": "application/json"}


async def send(rig: Rig, path: str, raw: bytes, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    async with rig.http.post(path, data=raw, headers=headers or JSON_TYPE) as answer:
        return answer.status, json.loads(await answer.read())


def in_words(answer: Any) -> bool:
    return set(answer) == {"error", "field", "hint"} and bool(answer["error"]) and all(isinstance(v, str) for v in answer.values())


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_what_is_not_json_or_no_object(rig: Rig, endpoint: str) -> None:
    bodies = [
        b"",
        b"not json",
        b"[]",
        b"[{}]",
        b'"text"',
        b"5",
        b"null",
        b"true",
        b"{}",
        b'{"a": 1',
        b"\xff\xfe\x00",
        b'{"phone": "\xff"}',
        b'{"phone": "\\ud800"}',
        b"NaN",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"raw":' * 600 + b"{}" + b"}" * 600,
        b"Token=" + TOKEN.encode() + b"&UniqueId=1.1",
    ]
    for raw in bodies:
        status, answer = await send(rig, f"/internal/ms/{endpoint}", raw)
        assert (status, in_words(answer)) == (400, True), raw[:40]
    kept = await rejected(rig)
    assert len(kept) == len(bodies)
    assert {row["endpoint"] for row in kept} == {endpoint}
    assert TOKEN not in str(kept)
    assert await heads(rig) == 0


async def test_a_charset_or_encoding_that_is_none_is_bad_input(rig: Rig) -> None:
    for headers, raw in (
        ({"Content-Type": "application/json; charset=klingon"}, b"not json"),
        ({"Content-Type": "application/json; charset=ascii"}, b"\xd0\xbf"),
        ({"Content-Type": "text/plain"}, b"\x00"),
        ({**JSON_TYPE, "Content-Encoding": "gzip", "Connection": "close"}, b"not gzip"),
        ({**JSON_TYPE, "Content-Encoding": "deflate", "Connection": "close"}, b"not deflate"),
    ):
        status, answer = await send(rig, CALLS, raw, headers)
        assert (status, in_words(answer)) == (400, True), headers


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_body_over_the_limit(rig: Rig, endpoint: str) -> None:
    status, answer = await send(rig, f"/internal/ms/{endpoint}", b'{"a": "' + b"x" * 2 * BODY_LIMIT + b'"}')
    assert (status, in_words(answer)) == (413, True)
    (kept,) = await rejected(rig)
    assert len(kept["body"]) <= 16_384


async def test_a_small_body_that_unpacks_to_a_large_one(rig: Rig) -> None:
    bomb = gzip.compress(b" " * (20 * BODY_LIMIT))
    status, answer = await send(rig, CALLS, bomb, {**JSON_TYPE, "Content-Encoding": "gzip"})
    assert (status, in_words(answer)) == (413, True)


WRONG_FIELDS: list[tuple[str, Any, str | None]] = [
    ("DateReceived", "yesterday", "DateReceived"),
    ("StartTime", "2026-02-30 10:00:00", "StartTime"),
    ("EndTime", "9999-12-31 23:59:59", "EndTime"),
    ("EndTime", "0001-01-01 00:00:00", "EndTime"),
    ("StartTime", "1999-12-31 23:59:59", "StartTime"),
    ("StartTime", 10**30, None),
    ("CallType", "3", "CallType"),
    ("CallType", True, "CallType"),
    ("Extensions", {"a": 1}, "Extensions"),
    ("Extensions", ["1"] * 201, "Extensions"),
    ("Extensions", [["150"]], "Extensions"),
    ("Phone", ["375290000001"], "Phone"),
    ("Phone", "3" * 513, "Phone"),
    ("Phone", "37529\x000000001", "Phone"),
    ("UniqueId", "1" * 101, "UniqueId"),
    ("UniqueId", "1\x00", "UniqueId"),
    ("UniqueId", "", "UniqueId"),
    ("UniqueId", {}, "UniqueId"),
    ("event", "ringing", "event"),
    ("event", 5, "event"),
    ("event", None, "event"),
    ("enterprise_number", "0\x0036", "enterprise_number"),
    ("enterprise_number", [], "enterprise_number"),
    ("token", "t\x00", "token"),
    ("raw", "text", "raw"),
    ("raw", [], "raw"),
]


async def test_the_field_that_is_wrong_is_named(rig: Rig) -> None:
    for key, value, named in WRONG_FIELDS:
        body = {"event": "hangup", "enterprise_number": ENTERPRISE, **dial_body(), key: value}
        status, answer = await rig.post(CALLS, body) if value != 10**30 else await send(rig, CALLS, json.dumps(body).encode())
        assert (status, in_words(answer)) == (400, True), (key, answer)
        assert named is None or answer["field"] == named, key
        assert TOKEN not in str(await rejected(rig))
        assert await heads(rig) == 0


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = (
    "enterprise_number", "token", "Token", "event", "event_type", "unique_id", "UniqueId", "phone", "Phone", "extension",
    "Extensions", "extensions", "direction", "CallType", "CallStatus", "DateReceived", "StartTime", "EndTime", "Trunk", "raw",
    "record_url", "origin", "ms_config", "BridgeUniqueid", "BridgeNumChannels", "start_time", "end_time", "duration", "answered",
)  # fmt: skip


async def test_no_body_whatsoever_is_a_server_error(rig: Rig) -> None:
    """Every field with anything in it, through every endpoint: 2xx or 4xx in words, the service as well as before."""
    spoilt = st.tuples(
        st.sampled_from(ENDPOINTS),
        st.dictionaries(st.sampled_from(KEYS), anything, min_size=1, max_size=4),
        st.booleans(),
        st.sampled_from(["dial", "hangup", "bridge", "bridge_leave", "bridge_create", "new_callerid", "start"]),
    )
    cases: list[tuple[str, dict[str, Any], bool, str]] = []

    @settings(max_examples=150, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(spoilt)
    def collect(case: tuple[str, dict[str, Any], bool, str]) -> None:
        cases.append(case)

    collect()
    refused = 0
    for endpoint, changed, inside, event in cases:
        body = {**dial(event=event), **({"raw": {**dial_body(), **changed}} if inside else changed)}
        raw = json.dumps(body).encode("utf-8", "replace")
        status, answer = await send(rig, f"/internal/ms/{endpoint}", raw)
        assert status in (200, 400, 404), (endpoint, body, answer)
        assert status == 200 or in_words(answer)
        refused += status != 200
    assert refused > 20
    assert len(await rejected(rig)) == refused
    assert (await rig.post("/internal/ms/incoming-call", dial("2.2", phone="+375290000009", raw=None)))[0] == 200
    await rig.settle()
    assert any(row["number"].endswith("375290000009") for row in await rig.rows())


async def test_secrets_are_not_kept_with_what_is_refused(rig: Rig) -> None:
    own = {"integration_code": SANDBOX_PHONE_KEY, "api_token": SANDBOX_API_TOKEN}
    for body in (
        {"Token": TOKEN, "ms_config": INLINE},
        {"token": TOKEN, "event": "dial", "raw": {"Token": TOKEN, "deep": [{"a": {"config": own}}]}},
        [{"Token": TOKEN, **own}],
        {"enterprise_number": {"Token": TOKEN, **own}},
        {"enterprise_number": [own]},
        json.dumps(own),
        SANDBOX_PHONE_KEY,
        {"event": "dial", "clientId": TOKEN, "headers": {"Authorization": f"Bearer {SANDBOX_API_TOKEN}"}},
    ):
        assert (await rig.post(CALLS, body))[0] in (400, 404)
    for raw in (json.dumps(own)[:-1], f"{{'api_token': '{SANDBOX_API_TOKEN}', Token: {TOKEN}", f"api_token={SANDBOX_API_TOKEN}"):
        assert (await send(rig, CALLS, raw.encode()))[0] == 400
    kept = str(await rejected(rig))
    for secret in SECRETS:
        assert secret not in kept


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"Token": "abc", "Phone": "375290000001"', '{"Token": ***, "Phone": "375290000001"'),
        ("token=abc&Phone=375290000001", "token=***&Phone=375290000001"),
        ("Authorization: Bearer abc", "Authorization: ***"),
        ('"UniqueId": "1757840723.6"', '"UniqueId": "1757840723.6"'),
        ("see 5a0db0c0ffee0000 there", "see *** there"),
        ("enterprise_number 0367", "enterprise_number 0367"),
    ],
)
def test_text_that_is_no_object_is_shown_without_secrets(text: str, shown: str) -> None:
    assert mask_text(text) == shown


@given(st.text(max_size=200))
def test_masking_takes_any_text(text: str) -> None:
    assert isinstance(mask_text(text), str)


async def test_what_does_not_exist_is_told_in_words(rig: Rig) -> None:
    for method, path, expected in (
        ("GET", "/nowhere", 404),
        ("GET", "/internal/ms/incoming-call", 405),
        ("POST", "/internal/ms/unknown", 404),
        ("POST", "/internal/ms/incoming-call/", 404),
        ("DELETE", "/ms-admin/api/calls", 405),
    ):
        async with rig.http.request(method, path) as answer:
            assert answer.status == expected
            assert in_words(json.loads(await answer.read()))
