"""Trouble on order: what a rule breaks, when, and how (``POST /sandbox/faults``, ``POST /sandbox/outage``).

Pure: says what should happen to a request; the edge does it. A rule is tried in the order it was given, and the first
that applies decides. Every rule counts the requests that match it, so ``nth`` and ``times`` are exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

Api = Literal["phone", "remap"]
Action = Literal["status", "status_after", "drop_before", "drop_after", "delay_ms", "hang", "html_502"]
OutageMode = Literal["off", "status_503", "drop", "hang", "html_502"]
MAX_RULES = 1_000


class FaultRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule. Without ``nth`` and ``times`` it applies to every request that matches.

    * ``status``: answer ``status`` and ``code`` (0: empty body) without processing; ``status_after``: process, then
      answer so, the answer being a lie;
    * ``drop_before`` / ``drop_after``: close the connection without an answer, before or after processing;
    * ``delay_ms``: wait ``delay_ms``, then process; ``hang``: never answer; ``html_502``: a balancer's error page.
    """

    action: Action
    api: Literal["phone", "remap", "any"] = "any"
    method: str | None = None
    path_regex: str = ""
    """Searched in the path below the API's base, query included, e.g. ``^/call$``."""
    account: str | None = None
    nth: int | None = None
    """Only the nth matching request, counted from 1."""
    times: int | None = None
    """Only the first so many matching requests."""
    status: int = 500
    code: int = 1999
    retry_after_ms: int | None = None
    """Sent as X-Lognex-Retry-After with a status action."""
    delay_ms: int = 0


class BadRule(ValueError):
    """A rule that cannot be; ``field`` names what is wrong with it."""

    def __init__(self, field: str, hint: str) -> None:
        super().__init__(f"{field}: {hint}")
        self.field = field
        self.hint = hint


class _Entry:
    __slots__ = ("fired", "pattern", "rule", "seen")

    def __init__(self, rule: FaultRule, pattern: re.Pattern[str]) -> None:
        self.rule = rule
        self.pattern = pattern
        self.seen = 0
        self.fired = 0


class Faults:
    """The rules in force and the outages."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self.outages: dict[Api, OutageMode] = {"phone": "off", "remap": "off"}

    def add(self, rules: Iterable[FaultRule]) -> None:
        """Let rules in, all or none; raises :class:`BadRule`."""
        fresh = [_Entry(rule, _checked(rule)) for rule in rules]
        if len(self._entries) + len(fresh) > MAX_RULES:
            raise BadRule("rules", f"at most {MAX_RULES} at once")
        self._entries.extend(fresh)

    def clear(self) -> None:
        """Everything works again."""
        self._entries.clear()
        self.outages = {"phone": "off", "remap": "off"}

    def pick(self, api: Api, method: str, path: str, account: str) -> FaultRule | None:
        """The rule that applies to this request, if any; counts the request for every rule it matches."""
        chosen: _Entry | None = None
        for entry in self._entries:
            if not _is_meant(entry, api, method, path, account):
                continue
            entry.seen += 1
            if chosen is None and _is_due(entry):
                chosen = entry
        if chosen is None:
            return None
        chosen.fired += 1
        return chosen.rule

    def listing(self) -> list[dict[str, object]]:
        """The rules with how often each matched and fired."""
        return [{**msgspec.to_builtins(entry.rule), "seen": entry.seen, "fired": entry.fired} for entry in self._entries]


def _checked(rule: FaultRule) -> re.Pattern[str]:
    if rule.nth is not None and rule.nth < 1:
        raise BadRule("nth", "counted from 1")
    if rule.times is not None and rule.times < 1:
        raise BadRule("times", "at least 1")
    if not 200 <= rule.status <= 599:
        raise BadRule("status", "an HTTP status from 200 to 599")
    if not 0 <= rule.delay_ms <= 600_000:
        raise BadRule("delay_ms", "milliseconds between 0 and 600000")
    try:
        return re.compile(rule.path_regex)
    except re.error as error:
        raise BadRule("path_regex", str(error)) from error


def _is_meant(entry: _Entry, api: Api, method: str, path: str, account: str) -> bool:
    rule = entry.rule
    return (
        rule.api in ("any", api)
        and (rule.method is None or rule.method.upper() == method)
        and (rule.account is None or rule.account == account)
        and entry.pattern.search(path) is not None
    )


def _is_due(entry: _Entry) -> bool:
    if entry.rule.nth is not None:
        return entry.seen == entry.rule.nth
    return entry.rule.times is None or entry.fired < entry.rule.times
