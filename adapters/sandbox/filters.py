"""The filter grammar both APIs share: ``field<op>value`` joined by ``;`` (CONTRACT-MOYSKLAD 1.6, 2.4).

Operators: ``=`` ``!=`` ``~`` contains, ``~=`` starts with, ``=~`` ends with; the JSON API adds comparisons for times.
One field with several ``=``: any of them; several ``!=``: none of them; ``=`` mixed with ``!=``: an error.
``field=`` means empty, ``field!=`` not empty. Text is compared without regard to case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapters.sandbox.errors import refuse

_CONDITION = re.compile(r"^([\w.]+)(!=|>=|<=|~=|=~|~|=|>|<)(.*)$", re.DOTALL)
_EQUALITY = ("=", "!=")
_COMPARISON = (">", "<", ">=", "<=")
MAX_CONDITIONS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One ``field<op>value`` of a filter, unescaped."""

    field: str
    operator: str
    value: str


def parse_filter(text: str, *, fields: Iterable[str], comparisons: Iterable[str] = ()) -> tuple[Condition, ...]:
    """The conditions of ``text``; raises 1034 for an unknown field, an unknown operator or a forbidden mix.

    ``fields`` may be filtered at all, ``comparisons`` (a subset) also by ``>`` and its kin.
    """
    allowed, comparable = frozenset(fields), frozenset(comparisons)
    conditions: list[Condition] = []
    for part in _split(text):
        match = _CONDITION.match(part)
        if match is None:
            raise refuse(1034, f"неизвестный оператор в выражении {part}", parameter="filter")
        field, operator, value = match.groups()
        if field not in allowed:
            raise refuse(1034, f"неизвестное поле фильтрации {field}", parameter="filter")
        if operator in _COMPARISON and field not in comparable:
            raise refuse(1034, f"оператор {operator} неприменим к полю {field}", parameter="filter")
        conditions.append(Condition(field=field, operator=operator, value=value))
    if not conditions or len(conditions) > MAX_CONDITIONS:
        raise refuse(1034, "пустой или слишком длинный фильтр", parameter="filter")
    _forbid_mixes(conditions)
    return tuple(conditions)


def _split(text: str) -> list[str]:
    parts: list[str] = []
    current: list[str] = []
    escaped = False
    for char in text:
        if escaped:
            current.append(char if char in ";\\" else "\\" + char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ";":
            parts.append("".join(current))
            current = []
        else:
            current.append(char)
    if escaped:
        current.append("\\")
    parts.append("".join(current))
    return [part for part in parts if part]


def _forbid_mixes(conditions: Sequence[Condition]) -> None:
    used: dict[str, set[str]] = {}
    for condition in conditions:
        # an empty value asks for emptiness, not for equality: it may stand beside the others
        if condition.operator in _EQUALITY and condition.value:
            used.setdefault(condition.field, set()).add(condition.operator)
    for field, operators in used.items():
        if len(operators) > 1:
            raise refuse(1034, f"для поля {field} смешаны операторы = и !=", parameter="filter")


def matches(conditions: Sequence[Condition], read: Callable[[str], Sequence[str]]) -> bool:
    """Whether an object whose field ``f`` holds the texts ``read(f)`` (none: empty) satisfies all conditions."""
    wanted: dict[str, list[str]] = {}
    for condition in conditions:
        if condition.operator == "=":
            wanted.setdefault(condition.field, []).append(condition.value)
        elif not _holds(condition, read(condition.field)):
            return False
    return all(_any_equal(values, read(field)) for field, values in wanted.items())


def _any_equal(values: Sequence[str], held: Sequence[str]) -> bool:
    texts = [text.casefold() for text in held if text]
    return any((value.casefold() in texts) if value else not texts for value in values)


def _holds(condition: Condition, held: Sequence[str]) -> bool:
    texts = [text.casefold() for text in held if text]
    value = condition.value.casefold()
    if condition.operator == "!=":
        return value not in texts if value else bool(texts)
    test = _TESTS[condition.operator]
    return any(test(text, value) for text in texts)


_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "~": lambda text, value: value in text,
    "~=": lambda text, value: text.startswith(value),
    "=~": lambda text, value: text.endswith(value),
    # times are written so that the order of the texts is the order of the moments
    ">": lambda text, value: text > value,
    "<": lambda text, value: text < value,
    ">=": lambda text, value: text >= value,
    "<=": lambda text, value: text <= value,
}
