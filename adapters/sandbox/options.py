"""What can be chosen about a sandbox: the open questions of the contract, each as a switch with a name.

Wherever CONTRACT-MOYSKLAD.md says ``[?]`` or lists a point in section 6, the client must be right under every
behaviour; so such a point is a field of :class:`Switches`, can be changed while the sandbox runs
(``PUT /sandbox/switches``), and its comment names the contract section. No field has the Phone API's time zone (6.5), which is
Moscow here, nor the HTTP statuses of its errors (6.6): a fault rule orders any status with any code.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal
from uuid import uuid4

import msgspec

from adapters.sandbox.seed import AccountSeed

Clock = Callable[[], int]
"""Milliseconds since the Unix epoch, UTC."""


def wall_clock_ms() -> int:
    """The clock a sandbox runs on unless a test brings its own."""
    return time.time_ns() // 1_000_000


def random_id() -> str:
    """The source of entity ids unless a test brings its own."""
    return str(uuid4())


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """Behaviours that the contract leaves open, and the weather (latency). Values are what they are called in JSON."""

    # -- Phone API -------------------------------------------------------------------------------------------
    # 1.9: what a second POST /call with a known externalId does
    repeated_external_id: Literal["reject-3006", "return-existing", "update-existing", "create-duplicate"] = "reject-3006"
    # 1.4, 6.7: whose phones the number of a new call is compared with (by the last 10 digits)
    number_match: Literal["off", "phones", "with-contact-persons"] = "with-contact-persons"
    # 6.7: a counterparty created later is linked to the calls from its number
    retroactive_linking: bool = False
    # 6.8: duration = endTime - startTime in answers (and endTime from duration)
    duration_computed: bool = True
    # 6.8: a URL that recordUrl already holds is not added again
    record_url_deduplicated: bool = False
    # 6.12: a card event for an inactive employee is refused with 412/3045
    inactive_employee_3045: bool = False
    # an extension nobody has: taken as it is, or refused
    unknown_extension: Literal["accept", "reject-3007"] = "accept"
    # 6.6: no gzip in Accept-Encoding is 415 with an empty body on the Phone API too
    phone_requires_gzip: bool = True
    # 6.6: X-RateLimit-* and X-Lognex-* limit headers on Phone API answers
    phone_limit_headers: bool = False
    # 1.2: whether a Phone API 429 has an error body
    phone_429_body: bool = True
    # 6.8: GET /call/extid/{extid} exists
    extid_get: bool = False
    # 1.3: which code a path segment that is no UUID gets
    bad_id_code: Literal[1000, 1052] = 1000
    # 1.5, 6.4: a card event whose sequence is not above the call's last one is recorded but shows nothing
    sequence_drops_late: bool = False
    # 6.4: a sequence beyond int32 is refused
    sequence_int32_only: bool = False

    # -- JSON API --------------------------------------------------------------------------------------------
    # 6.10: search= compares digits of phones, however they were typed
    search_normalises_digits: bool = True
    # 6.11: lists and search show archived entities without being asked
    search_includes_archived: bool = False
    # 6.11: X-RateLimit-Limit is 45 or 45 / weight
    rate_limit_header: Literal["raw", "weighted"] = "weighted"
    # 2.2: units one request costs (user token: 3 since 2026-09-01, 4 from 2026-12-01)
    request_weight: Literal[1, 2, 3, 4] = 3
    # 2.5: POST contactpersons and notes answer an array (docs) or an object (OpenAPI)
    subresource_answer: Literal["array", "object"] = "array"
    # 2.7: whether tasks can be filtered by their description (1034 if not)
    task_text_filter: bool = True
    # 2.5: attributes in metadata, inline or as a list envelope that needs expand=attributes
    metadata_attributes: Literal["inline", "envelope"] = "envelope"

    # -- both ------------------------------------------------------------------------------------------------
    # 1.8: a Content-Type that is not JSON: error 1037, error 2001, or nobody minds
    wrong_content_type: Literal["1037", "2001", "accepted"] = "1037"
    # 2.1: "in rare cases the server may not compress"
    answers_compressed: bool = True
    limits_enforced: bool = True
    # requests are counted in a refilling bucket, or over the last seconds (the stricter reading)
    limit_algorithm: Literal["bucket", "sliding"] = "bucket"
    phone_latency_ms: int = 0
    remap_latency_ms: int = 0


class BadSwitch(ValueError):
    """A switch that does not exist or a value it cannot take. ``field`` names it."""

    def __init__(self, name: str, hint: str) -> None:
        super().__init__(f"{name}: {hint}")
        self.field = name
        self.hint = hint


def change_switches(current: Switches, patch: dict[str, Any]) -> Switches:
    """``current`` with the named switches changed; raises :class:`BadSwitch` and changes nothing on a bad one."""
    known = {spec.name for spec in fields(Switches)}
    for name in patch:
        if name not in known:
            raise BadSwitch(name, "no such switch; GET /sandbox/switches lists them")
    values = asdict(current)
    for name, value in patch.items():
        candidate = {**values, name: value}
        try:
            msgspec.convert(candidate, Switches)
        except msgspec.ValidationError as error:
            raise BadSwitch(name, str(error)) from error
        if name.endswith("_latency_ms") and not 0 <= value <= 60_000:
            raise BadSwitch(name, "milliseconds between 0 and 60000")
        values = candidate
    return msgspec.convert(values, Switches)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """How one sandbox is made. The bounds keep a forgotten sandbox from eating the machine."""

    demo: bool = False
    """Start with the demo account (its key and token are constants of ``adapters.sandbox.seed``)."""
    accounts: tuple[AccountSeed, ...] = ()
    switches: Switches = field(default_factory=Switches)
    clock: Clock = wall_clock_ms
    new_id: Callable[[], str] = random_id
    href_origin: str = "https://api.moysklad.ru"
    """What hrefs in bodies begin with, whatever address the sandbox listens on (contract 2.1, error 1059)."""
    max_calls: int = 200_000
    """Calls kept per account; the oldest is forgotten first."""
    max_entities: int = 200_000
    """Entities kept per account and type; one more is refused."""
    max_requests: int = 10_000
    """Requests the read side remembers."""
