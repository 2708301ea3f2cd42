"""Other settings to try a recorded call under: what a person types, and the settings it makes of those that were in force. Pure.

===================  ==========================================================================================================
``code``             the same settings, by the code as it is now
``revision:7``       that revision of the enterprise's settings; ``revision:latest`` the newest
``path=value``       one field, ``incoming_call_actions.create_client=true`` or ``employee_mapping.103=uuid``; nothing takes it away
``path:=JSON``       the same where it is a number, a list or an object: ``incoming_call_actions.task_minutes:=30``
``FILE.json``        those fields instead of the ones in force, as a ``PUT`` of the settings would change them
``only:FILE.json``   those settings and nothing else; secrets count as set where they are set now
===================  ==========================================================================================================
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from core.settings import PATHS, SettingsError, is_secret_field, merge_update
from core.settings_names import KNOWN, OBJECTS, meant, nearest

CODE: Final = "code"
LATEST: Final = 0
"""Stands for the newest revision."""

_FIELD: Final = re.compile(r"(?P<path>[A-Za-z_][\w-]*(?:\.[\w+-]+)*)(?P<json>:?)=(?P<value>.*)", re.DOTALL)

_EMPLOYEE: Final = frozenset({"employee_id", "id", "name", "email"})

_MISSPELT: Final = 0.8
"""How much alike (0 to 1) a name in a file and one that there is must be for a slip; any other is somebody else's."""


class BadAgainst(ValueError):
    """What a call should be tried against cannot be understood; the message says what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """What to try. Nothing but ``code``: the same settings. ``revision``: begin with that one; then files, then fields."""

    revision: int | None = None
    only: Mapping[str, Any] | None = None
    files: tuple[Mapping[str, Any], ...] = ()
    fields: tuple[tuple[tuple[str, ...], Any], ...] = ()
    words: tuple[str, ...] = ()

    @property
    def is_code(self) -> bool:
        """Whether only the code is another."""
        return self.revision is None and self.only is None and not self.files and not self.fields


def read_against(texts: Sequence[str], read_file: Callable[[str], bytes]) -> Against:
    """What was typed. Raises BadAgainst, and whatever ``read_file`` raises."""
    revision: int | None = None
    only: Mapping[str, Any] | None = None
    files: list[Mapping[str, Any]] = []
    fields: list[tuple[tuple[str, ...], Any]] = []
    for text in texts:
        if text == CODE:
            continue
        if text.startswith("revision:"):
            revision = _revision(text.removeprefix("revision:"))
        elif text.startswith("only:"):
            only = _object(text.removeprefix("only:"), read_file)
        elif (found := _FIELD.fullmatch(text)) is not None:
            fields.append((_path(found["path"]), _value(found["value"], as_json=bool(found["json"]))))
        elif text.endswith(".json"):
            files.append(_object(text, read_file))
        else:
            raise BadAgainst(f"{text!r}: 'code', 'revision:N', 'path=value', FILE.json or only:FILE.json is needed")
    against = Against(revision=revision, only=only, files=tuple(files), fields=tuple(fields), words=tuple(texts))
    try:
        applied({}, against)
    except SettingsError as error:
        raise BadAgainst(error.error) from error
    return against


def applied(config: Mapping[str, Any], against: Against) -> dict[str, Any]:
    """The settings to try, made of those in force (of the revision, where one is named). Raises SettingsError for a bad field."""
    found = dict(config)
    if against.only is not None:
        secrets = {name: value for name, value in config.items() if is_secret_field(name)}
        found = merge_update(secrets, dict(against.only))
    for update in against.files:
        found = merge_update(found, dict(update))
    for path, value in against.fields:
        found = merge_update(found, _with(found, path, value))
    return found


def _with(config: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """An update that changes one field, however deep; what stands beside it stays."""
    first, *rest = path
    if not rest:
        return {first: value}
    inside = config.get(first)
    beside = dict(inside) if isinstance(inside, Mapping) else {}
    return {first: {**beside, **_with(beside, rest, value)}}


def _path(text: str) -> tuple[str, ...]:
    """Where a field is. Raises BadAgainst for one that there is not: it would change nothing, in silence."""
    path = tuple(text.split("."))
    mapped = path[0] == "employee_mapping" and (len(path) == 2 or (len(path) == 3 and path[2] in _EMPLOYEE))
    if not mapped and text not in KNOWN and text not in OBJECTS:
        raise BadAgainst(f"there is no setting {text}; {_meant(text)}")
    return path


def _meant(text: str) -> str:
    """What is meant by a name that there is not, as a part of a sentence."""
    if text.startswith("employee_mapping."):
        return "an employee's are employee_mapping.EXTENSION.employee_id and .name"
    return meant(nearest(text))


def _spelt(path: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings from a file, where others' names may stand as in a row; what looks like a slip is refused. Raises BadAgainst."""
    sections = {path.partition(".")[0] for path in PATHS if "." in path}
    inside = (f"{each}.{name}" for each in sorted(sections) if isinstance(settings.get(each), Mapping) for name in settings[each])
    for name in (*settings, *inside):
        known = KNOWN if "." in name else OBJECTS
        if name not in known and (near := difflib.get_close_matches(name, sorted(known), n=1, cutoff=_MISSPELT)):
            raise BadAgainst(f"{path}: there is no setting {name}; did you mean {near[0]}?")
    return settings


def _value(text: str, *, as_json: bool) -> Any:
    """A text, or true or false; nothing takes the field away. Raises BadAgainst."""
    if not as_json:
        return {"": None, "true": True, "false": False}.get(text.strip(), text.strip())
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadAgainst(f"{text!r} is not JSON: {error}") from error


def _revision(text: str) -> int:
    if text == "latest":
        return LATEST
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:10]) < 2**31:
        raise BadAgainst(f"revision:{text}: a number, or 'latest', is needed")
    return int(text)


def _object(path: str, read_file: Callable[[str], bytes]) -> Mapping[str, Any]:
    try:
        found = orjson.loads(read_file(path))
    except orjson.JSONDecodeError as error:
        raise BadAgainst(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadAgainst(f"{path}: an object with settings is needed")
    inner = found.get("ms", found)
    if not isinstance(inner, dict):
        raise BadAgainst(f"{path}: ms is an object with settings")
    return _spelt(path, inner)
