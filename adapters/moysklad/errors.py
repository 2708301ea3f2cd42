"""What MoySklad's unhappy answers mean: refused for good, or to be tried again, and whether it may have acted.

Decided by ``code`` and HTTP status, never by text, which changes with ``Accept-Language`` (CONTRACT-MOYSKLAD 1.8, 2.1,
2.3). Pure: an answer goes in, an exception to raise comes out. The Russian sentences for administrators are in
``explain.py``; the remedies here are English, for support, because they are kept with the call's history.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from core.effects import Refused, Unavailable

MAX_ERROR_CHARS: Final = 500
MAX_RETRY_AFTER_MS: Final = 600_000
"""A header may not put a call to sleep for longer than this, whatever it says."""


class Api(StrEnum):
    """Which of the two APIs is spoken to: they differ in credentials, limits and error texts."""

    PHONE = "phone"
    JSON = "json"


class Trouble(StrEnum):
    """What kept a good answer away, where MoySklad said nothing. The values are the words kept in the history."""

    NO_NAME = "the server's name cannot be resolved"
    NO_TLS = "no secure connection (TLS) to the server"
    NO_CONNECTION = "no connection to the server"
    BAD_ADDRESS = "the API address is not a usable URL"
    CUT_BEFORE = "the connection was lost before the request was sent"
    CUT_AFTER = "the connection was lost before an answer came"
    LATE = "no answer in time"
    BROKEN = "the answer broke off or cannot be unpacked"
    BUSY = "the account's request limit is used up; the request was not sent"
    UNANSWERED = "the account's requests before this one are not answered yet; the request was not sent"
    GUARDED = "too many of the account's requests failed of late, and MoySklad blocks whoever goes on; the request was not sent"
    REPEATED = "the same object was changed too often of late, and MoySklad blocks whoever goes on; the request was not sent"
    AWAY = "MoySklad's API is away; the request was not sent"
    NOT_OURS = "this instance lost its lease; the request was not sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer, read defensively. ``body`` is the parsed JSON, or None when it was none; ``kind`` says why."""

    status: int
    headers: Mapping[str, str]
    body: Any
    kind: str
    """``json``, ``empty``, ``html``, ``other`` (neither) or ``cut`` (longer than we are ready to read)."""


class ApiRefusal(Refused):
    """A :class:`Refused` that remembers how it was said, for rules such as "3006 means it exists already"."""

    def __init__(
        self,
        error: str,
        *,
        status: int,
        codes: tuple[int, ...] = (),
        parameters: tuple[str, ...] = (),
        remedy: str = "",
        kind: str = "json",
    ) -> None:
        super().__init__(error, remedy=remedy, code=codes[0] if codes else None)
        self.status = status
        self.codes = codes
        self.parameters = parameters
        self.kind = kind

    def is_about(self, field: str) -> bool:
        """Whether it concerns one field: it names it, or it says "not found" and names nothing.

        That we may not change something, said of what is being made, is about its owner: naming one takes a right (2.5).
        """
        if self.parameters:
            return any(name == field or name.startswith(field + ".") for name in self.parameters)
        return 1021 in self.codes or (field == "owner" and 1017 in self.codes)

    def again(self) -> ApiRefusal:
        """The same, to be raised once more."""
        return ApiRefusal(
            self.error, status=self.status, codes=self.codes, parameters=self.parameters, remedy=self.remedy, kind=self.kind
        )

    @property
    def not_found(self) -> bool:
        """The object is not there: 1021, or a 404 that names no code. 1002 (no such path) says nothing about objects."""
        return 1021 in self.codes or (self.status == 404 and not self.codes)


class ApiUnavailable(Unavailable):
    """An :class:`Unavailable` that remembers status and codes, for the connection test."""

    def __init__(
        self,
        error: str,
        *,
        ambiguous: bool,
        retry_after_ms: int | None = None,
        status: int | None = None,
        codes: tuple[int, ...] = (),
    ) -> None:
        super().__init__(str(error), ambiguous=ambiguous, retry_after_ms=retry_after_ms)
        self.status = status
        self.codes = codes


RATE_CODES: Final = frozenset({1048, 1049, 1073})
"""Too many requests: per time, in parallel, or failed logins. Refused at the door, so nothing happened."""

CONFLICT_CODES: Final = frozenset({1065})
"""Somebody else edited the object at the same moment: not saved, the same request may succeed (2.3)."""

OUTAGE_CODES: Final = frozenset({1074, 1095, 1999})
"""Maintenance, load shedding, an unknown error of theirs."""

RETRY_CODES: Final = RATE_CODES | CONFLICT_CODES | OUTAGE_CODES

ACCOUNT_CODES: Final = frozenset({1056, 1061, 55008})
"""Wrong or revoked credential, no API access, no telephony solution: whatever is asked, the answer is the same."""

TARIFF_CODES: Final = frozenset({1043, 1070})
"""What the tariff forbids. It may allow reading and forbid a write, but whoever may not even read can do nothing."""

ACCOUNT_STATUSES: Final = frozenset({401, 410, 415})
"""Not authenticated, this version of the API is gone, something on the way removes Accept-Encoding."""

_DEFAULT_RETRY_MS: Final[Mapping[int, int]] = {
    1048: 60_000,
    1049: 3_000,
    1073: 500,
    1065: 300,
    # "repeat the request in a minute" (1.8)
    1095: 60_000,
}
_DEFAULT_429_MS: Final = 1_000

_REMEDIES: Final[Mapping[int, str]] = {
    1016: "give the API user the right to view this kind of object in MoySklad",
    1017: "give the API user the right to edit this kind of object in MoySklad",
    1018: "give the API user the right to delete this kind of object in MoySklad",
    1045: "give the API user the right to create this kind of object in MoySklad",
    1002: "check the API address in the service's settings (MS_PHONE_API_URL, MS_MAIN_API_URL)",
    1021: "the object was deleted in MoySklad; choose another one in the settings",
    1034: "report it: this service sent a filter that MoySklad does not understand",
    1043: "the customer's tariff has no CRM option; it is needed for this request",
    1056: "the key or token is wrong or was revoked; enter a new one in the integration's settings",
    1059: "report it: a link in the request names another server",
    1061: "switch on API access (apiRequest) for the token's user in MoySklad",
    1070: "the customer's tariff does not allow this request",
    3000: "a required field is missing: an additional field of the customer's MoySklad may be marked as required",
    3006: "an object with the same unique value exists already",
    3045: "the employee cannot log in to MoySklad; give the employee a login or choose another one in the mapping",
    55006: "a solution's token cannot do this; use a user's token",
    55008: "install the telephony solution in the customer's MoySklad and take the key from it",
}
_STATUS_REMEDIES: Final[Mapping[int, str]] = {
    401: _REMEDIES[1056],
    403: "the credentials do not allow this request; check the rights of the token's user",
    404: "check the API address in the service's settings (MS_PHONE_API_URL, MS_MAIN_API_URL)",
    410: "this version of MoySklad's API is gone; update the service",
    413: "report it: the request is too large",
    415: "something between the service and MoySklad removes the Accept-Encoding header; gzip is mandatory",
}


def problem_of(answer: Answer, *, write: bool) -> ApiRefusal | ApiUnavailable | None:
    """What to raise for ``answer``; None when it is a success.

    ``write``: the request changes something, so an answer that proves nothing leaves it in doubt. A success status with
    an ``errors`` body is a refusal all the same (1.8). 200, 201 and 204 are successes (2.1).
    """
    items = _error_items(answer.body)
    if 200 <= answer.status < 300 and not items:
        return None
    codes = tuple(code for item in items if (code := _code(item)) is not None)
    error = _words(items) or _status_words(answer)
    status = answer.status
    if 300 <= status < 400:
        return ApiUnavailable(error, ambiguous=False, status=status, codes=codes)
    limited = status == 429 or not RATE_CODES.isdisjoint(codes)
    if limited or status in (408, 409) or status >= 500 or not RETRY_CODES.isdisjoint(codes):
        harmless = limited or (status < 500 and status != 408 and OUTAGE_CODES.isdisjoint(codes))
        return ApiUnavailable(
            error,
            ambiguous=write and not harmless,
            retry_after_ms=_retry_after_ms(answer, codes, limited=limited),
            status=status,
            codes=codes,
        )
    if not codes and answer.kind in ("html", "other") and status in (403, 404, 405):
        # A balancer or a filter on the way spoke, not MoySklad: it proves nothing about the object or our rights.
        return ApiUnavailable(error, ambiguous=False, status=status)
    remedy = next((_REMEDIES[code] for code in codes if code in _REMEDIES), _STATUS_REMEDIES.get(status, ""))
    return ApiRefusal(error, status=status, codes=codes, parameters=_parameters(items), remedy=remedy, kind=answer.kind)


def is_account_wide(refusal: ApiRefusal, *, write: bool) -> bool:
    """Whether everything else that is asked with this credential would be refused like this."""
    codes = frozenset(refusal.codes)
    if refusal.status in ACCOUNT_STATUSES or codes & ACCOUNT_CODES:
        return True
    if codes & TARIFF_CODES:
        return not write
    # A 403 that gives a code names a right to one kind of object (1016, 1017, 1018, 1045); without one it is about us.
    return refusal.status == 403 and not codes


def is_crowded(answer: Answer, codes: tuple[int, ...]) -> bool:
    """Whether a 429 means too many at once, not too many per time: the headers do not show that limit (2.2)."""
    return 1073 in codes or answer.headers.get("X-Lognex-Auth", "").strip() == "429005"


def _error_items(body: Any) -> list[Mapping[str, Any]]:
    """The entries of ``errors``, also where an array of entities and errors came back (2.3)."""
    found: list[Mapping[str, Any]] = []
    for part in body if isinstance(body, list) else [body]:
        errors = part.get("errors") if isinstance(part, dict) else None
        if isinstance(errors, dict):
            errors = [errors]
        if isinstance(errors, list):
            found.extend(item if isinstance(item, dict) else {"error": str(item)} for item in errors)
    return found


def _code(item: Mapping[str, Any]) -> int | None:
    code = item.get("code")
    if isinstance(code, str) and code.isdecimal():
        code = int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _words(items: list[Mapping[str, Any]]) -> str:
    texts: list[str] = []
    for item in items:
        text = str(item.get("error") or item.get("error_message") or f"error {item.get('code', 'without a text')}")
        detail = item.get("error_message")
        if detail and str(detail) != text:
            text = f"{text} ({detail})"
        texts.append(text)
    return "; ".join(dict.fromkeys(texts))[:MAX_ERROR_CHARS]


def _status_words(answer: Answer) -> str:
    what = {"empty": "an empty body", "html": "a web page", "cut": "an oversized body"}.get(answer.kind, "no explanation")
    return f"HTTP {answer.status} with {what}"


def _parameters(items: list[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(str(item["parameter"]) for item in items if item.get("parameter"))


def _retry_after_ms(answer: Answer, codes: tuple[int, ...], *, limited: bool) -> int | None:
    """How long to wait: the limit headers are in milliseconds (2.2), the standard Retry-After in seconds.

    Every answer may tell when the limit per time resets: that says nothing of an outage, nor of too many at once.
    """
    crowded = limited and is_crowded(answer, codes)
    for name, unit_ms in (("X-Lognex-Retry-After", 1), ("X-Lognex-Reset", 1), ("Retry-After", 1_000)):
        if name == "X-Lognex-Reset" and (crowded or not limited):
            continue
        if (value := header_int(answer.headers, name)) is not None and value > 0:
            return min(value * unit_ms, MAX_RETRY_AFTER_MS)
    if (code := next((code for code in codes if code in _DEFAULT_RETRY_MS), None)) is not None:
        return _DEFAULT_RETRY_MS[code]
    if crowded:
        return _DEFAULT_RETRY_MS[1073]
    return _DEFAULT_429_MS if limited else None


def header_int(headers: Mapping[str, str], name: str) -> int | None:
    """A header that should be a whole number; None when it is absent or something else."""
    text = headers.get(name, "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else None
