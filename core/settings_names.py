"""Which settings there are, by their names, and which one is meant by a name that there is not. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from core.settings import OLDER_PATHS, PATHS, SECRET_FIELDS
from core.settings_update import OWNED, SECTIONS

KNOWN: Final = frozenset({*PATHS, *OLDER_PATHS, *SECRET_FIELDS})
OBJECTS: Final = frozenset(path.partition(".")[0] for path in KNOWN)
"""What stands at the top: settings, and the sections of others."""

MOST: Final = 20
"""So many names that are no settings are told of one update."""

_NEAR: Final = 3
"""So many names are suggested for one that nobody knows."""

_LAST: Final[Mapping[str, tuple[str, ...]]] = {
    path.rpartition(".")[2]: tuple(each for each in PATHS if each.rpartition(".")[2] == path.rpartition(".")[2]) for path in PATHS
}
"""The paths that end in a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSetting:
    """A name that is no setting: where it stands, and what is said of it, in English and in Russian."""

    field: str
    error: str
    hint: str


def nearest(text: str) -> tuple[str, ...]:
    """The names that are most like one that there is not; none where nothing is like it."""
    last = text.rpartition(".")[2]
    likely = [*_LAST.get(last, ()), *(difflib.get_close_matches(text, sorted(OBJECTS), n=1) if last == text else ())]
    likely += difflib.get_close_matches(text, PATHS, n=_NEAR)
    likely += [path for each in difflib.get_close_matches(last, _LAST) for path in _LAST[each]]
    return tuple(dict.fromkeys(likely))[:_NEAR]


def meant(near: Sequence[str]) -> str:
    """What may be meant by a name that there is not, as a part of a sentence; ``near``: see :func:`nearest`."""
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(PATHS)}"


def no_settings(current: Mapping[str, Any], body: object) -> tuple[NoSetting, ...]:
    """What an administrator's update names that is no setting: kept, as what others keep in the row is, but it changes nothing.

    ``body``: the inner object or ``{"ms": {…}}``. What is in the stored settings (``current``) already may come back unremarked,
    as a page sends it that loaded it.
    """
    update = body.get("ms", body) if isinstance(body, Mapping) else None
    if not isinstance(update, Mapping):
        return ()  # refused by whoever merges it, and so is an odd name
    return tuple(_no_setting(path) for path in islice(_unknown(current, update), MOST))


def _no_setting(path: str) -> NoSetting:
    near = nearest(path)
    hint = f"Похожие: {', '.join(near)}." if near else f"Есть: {', '.join(PATHS)}."
    return NoSetting(field=path, error=f"there is no setting {path}; {meant(near)}", hint=f"Настройки {path} нет. {hint}")


def _unknown(current: Mapping[str, Any], update: Mapping[str, Any]) -> Iterator[str]:
    for name, value in update.items():
        stored = current.get(name)
        if name not in OBJECTS and name not in OWNED and name not in current:
            yield name
        elif name in SECTIONS and isinstance(value, Mapping):
            kept = stored if isinstance(stored, Mapping) else {}
            yield from (f"{name}.{each}" for each in value if f"{name}.{each}" not in KNOWN and each not in kept)
