"""A recorded call without anybody's number or name, that today's code still runs as it ran: for a test that others read.

A number keeps its length and all that the rules look at (its country and prefix); its last seven digits are made up, the same ones
wherever the number appears, however it is written. Recordings stay apart from each other. Bodies of requests and of the PBX are
left out: no rule looks at them. Ids of the PBX and of MoySklad, extensions and times stay: they are what a developer needs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from core.contact_plan import contact_sync_id
from core.events import RetryRequested
from core.expectations import complaints
from core.history_file import HistoryFile, Stored, dump
from core.naming import path_safe
from core.settings import is_secret_field
from core.shrinking import shrunk, with_expectations
from projections.disguise import HIDDEN, PRIVATE

ENTERPRISE: Final = "0001"
"""Stands for the company."""

TAIL: Final = 7
"""The last digits of a number, which are somebody's; what stands before them is a country and an operator."""

SHORTEST: Final = 9
"""So many digits are a telephone number where nothing says that they are something else."""

_IDS: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # MoySklad's
    r"|(?<!\d)1[4-9]\d{8}\.\d{1,9}(?!\d)"  # the PBX's
    r"|\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?",  # times
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"\+?\d(?:[\s()-]?[\s()-]?\d){6,}")
_NUMBER_KEYS: Final = frozenset({"number", "caller_id", "connected", "exten"})
_IDS_KEYS: Final = frozenset(
    {"channel", "bridge", "call", "key", "leg", "into", "sync_id", "type", "wire", "direction", "contact", "employee", "id"}
)
_NAMES: Final = frozenset({"name", "email", "uid", "organization"})
"""Of people; an organization is often called by its owner's."""

_SETTINGS: Final = frozenset(
    {
        "enabled", "notifications", "incoming_call_actions", "outgoing_call_actions", "employee_mapping", "country", "timezone",
        "unrecognized_extension", "create_customers", "create_orders", "create_client", "create_order", "create_task",
        "task_minutes",
    }
)  # fmt: skip
"""What decides about a call; whatever else stands in the settings stays at home."""


def disguised(history: HistoryFile) -> HistoryFile:
    """The same history without numbers, names, addresses of recordings, bodies, and the company's own number."""
    mask = _Mask(enterprise=history.enterprise)
    return replace(
        history,
        enterprise=ENTERPRISE,
        config=_settings(history.config),
        stored=tuple(_event(each, history, mask) for each in history.stored),
        expect={about: mask.cover(about, value) for about, value in history.expect.items()},
    )


def as_test(history: HistoryFile, texts: Sequence[str], *, shrink: bool) -> tuple[bytes, tuple[str, ...]]:
    """A recorded call as a test, and what is wrong with it as today's code runs it. ``texts``: what should have happened.

    Raises BadExpectation, and ValueError where there is nothing wrong to shrink it to.
    """
    tested = with_expectations(history, texts)
    made = disguised(shrunk(tested) if shrink else tested)
    return dump(made), tuple(words for _, words in complaints(made))


@dataclass(slots=True)
class _Mask:
    """What stands for what, so far."""

    enterprise: str
    tails: dict[str, str] = field(default_factory=dict)
    recordings: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def cover(self, key: str, value: Any) -> Any:
        """Any JSON value that stands under a key."""
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.cover(str(name), inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.cover(key, inner) for inner in value]
        if not isinstance(value, str) or not value:
            return value
        if "record" in key:
            return self.recordings.setdefault(value, f"https://recordings.example.invalid/{len(self.recordings) + 1}")
        if key == "external_id":
            return value.replace(f"{path_safe(self.enterprise)}-", f"{ENTERPRISE}-", 1)
        if key in _NAMES and re.search(r"[^\W\d_]", value):  # a client that the service made is called by his number
            return self.names.setdefault(value, f"Имя {len(self.names) + 1}")
        if key in _IDS_KEYS:
            return value
        return self.number(value) if key in _NUMBER_KEYS else self.text(value)

    def number(self, text: str) -> str:
        """A value that is a telephone number, unless it is too short for one."""
        digits = [each for each in text if each.isdigit()]
        return self._made_up(text, "".join(digits)) if len(digits) >= TAIL else text

    def text(self, text: str) -> str:
        """A sentence, or anything else: what looks like a number, a login or an address goes, and every name that was seen."""
        text = PRIVATE.sub(HIDDEN, text)
        for name, other in self.names.items():
            text = text.replace(name, other)
        parts: list[str] = []
        end = 0
        for known in _IDS.finditer(text):
            parts += [_NUMBER.sub(self._found, text[end : known.start()]), known.group()]
            end = known.end()
        return "".join([*parts, _NUMBER.sub(self._found, text[end:])])

    def _found(self, match: re.Match[str]) -> str:
        digits = "".join(each for each in match.group() if each.isdigit())
        known = digits[-TAIL:] in self.tails
        return self._made_up(match.group(), digits) if known or len(digits) >= SHORTEST else match.group()

    def _made_up(self, text: str, digits: str) -> str:
        tail = self.tails.setdefault(digits[-TAIL:], f"{len(set(self.tails.values())) + 1:0{TAIL}}")
        self.tails.setdefault(tail, tail)  # what is made up stays as it is
        fresh = iter(digits[:-TAIL] + tail)
        return "".join(next(fresh) if each.isdigit() else each for each in text)


def _event(stored: Stored, history: HistoryFile, mask: _Mask) -> Stored:
    data = {name: value for name, value in stored.data.items() if name != "raw"}
    if stored.type == RetryRequested.type:  # a person's name and address, and whatever he wrote; no rule looks at it
        data |= {name: HIDDEN for name in ("by", "reason") if data.get(name)}
    data["exchanges"] = [_exchange(each) for each in data.get("exchanges", ())]
    if not data["exchanges"]:
        del data["exchanges"]
    covered: dict[str, Any] = mask.cover("", data)
    effect = covered.get("effect")
    if isinstance(effect, dict) and "sync_id" in effect and stored.data["effect"].get("type") == "create_contact":
        effect["sync_id"] = contact_sync_id(ENTERPRISE, str(effect.get("number")))
    return replace(stored, data=covered)


def _exchange(exchange: Mapping[str, Any]) -> dict[str, Any]:
    """Of a request only how it ended: by that a refused account is told from a refused request."""
    return {name: exchange[name] for name in ("method", "status", "duration_ms") if name in exchange}


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in config.items() if name in _SETTINGS or is_secret_field(name)}
    mapping = kept.get("employee_mapping")
    if isinstance(mapping, Mapping):
        kept["employee_mapping"] = {
            extension: {"employee_id": each.get("employee_id") or each.get("id") or ""} if isinstance(each, Mapping) else each
            for extension, each in mapping.items()
        }
    return kept


