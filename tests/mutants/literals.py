"""Mutants of what stands outside functions: the rows of the table, members of sets, numbers. mutmut makes none there.

A mutant here is a whole module with one place changed. Texts are left alone (they are prose, or names that are the storage
format, which the recorded histories hold fast), and so are annotations and enumerations.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

ENUMS: Final = frozenset({"Enum", "StrEnum", "IntEnum"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """One mutant: ``what`` was changed, in words that stay the same while the lines around it move, and the ``source`` with it."""

    what: str
    source: str


@dataclass(frozen=True, slots=True)
class _Change:
    what: str
    begin: int
    end: int
    text: str


class _Source:
    """A module's text by the positions that ``ast`` tells: lines, and bytes within them."""

    def __init__(self, text: str) -> None:
        self.bytes = text.encode()
        self.begins = [0, *itertools.accumulate(len(line) for line in self.bytes.splitlines(keepends=True))]

    def place(self, node: ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.begins[node.lineno - 1] + node.col_offset, self.begins[node.end_lineno - 1] + node.end_col_offset

    def after_comma(self, end: int) -> int:
        """Behind the comma that follows, if one does."""
        rest = self.bytes[end:]
        return end + len(rest) - len(rest.lstrip()) + 1 if rest.lstrip().startswith(b",") else end

    def changed(self, change: _Change) -> str:
        return (self.bytes[: change.begin] + change.text.encode() + self.bytes[change.end :]).decode()


def literals(text: str) -> Iterator[Literal]:
    """Every mutant of one module's source."""
    source = _Source(text)
    for name, value in _values(ast.parse(text).body):
        for node in ast.walk(value):
            for change in _changes(source, node):
                yield Literal(what=f"{name}: {change.what}", source=source.changed(change))


def _values(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.expr]]:
    for node in body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield prefix + name, value
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield prefix + name, value
            case ast.ClassDef(name=name, bases=bases) if not ENUMS & {ast.unparse(base) for base in bases}:
                yield from _values(node.body, f"{prefix}{name}.")


def _changes(source: _Source, node: ast.AST) -> Iterator[_Change]:
    match node:
        case ast.Dict(keys=keys, values=values):
            yield from _rows(source, node, [(key, value) for key, value in zip(keys, values, strict=True) if key is not None])
        case ast.Set(elts=members) | ast.Tuple(elts=members) if len(members) > 1 and not _is_key(node):
            for member in members:
                begin, end = source.place(member)
                yield _Change(f"without {ast.unparse(member)}", begin, source.after_comma(end), "")
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            yield _Change(f"{number} is {number + 1}", *source.place(node), repr(number + 1))


def _is_key(node: ast.AST) -> bool:
    """Whether it may be a row's key, which is changed with its row."""
    return isinstance(node, ast.Tuple) and all(isinstance(member, ast.Attribute) for member in node.elts)


def _rows(source: _Source, node: ast.Dict, rows: list[tuple[ast.expr, ast.expr]]) -> Iterator[_Change]:
    targets = list(dict.fromkeys(ast.unparse(value) for _, value in rows if isinstance(value, ast.Attribute)))
    for key, value in rows:
        (begin, _), (_, end) = source.place(key), source.place(value)
        row = f"{ast.unparse(key)}: {ast.unparse(value)}"
        yield _Change(f"without {row}", begin, source.after_comma(end), "")
        if isinstance(value, ast.Attribute) and len(targets) > 1:
            other = targets[(targets.index(ast.unparse(value)) + 1) % len(targets)]
            yield _Change(f"{row} leads to {other}", *source.place(value), other)
    if not targets or not all(_is_key(key) for key, _ in rows):
        return
    pairs = [tuple(map(ast.unparse, key.elts)) for key, _ in rows if isinstance(key, ast.Tuple)]
    _, end = source.place(node)
    for pair in itertools.product(*(dict.fromkeys(parts) for parts in zip(*pairs, strict=True))):
        if pair not in pairs:
            added = f"({', '.join(pair)}): {next(target for target in targets if target not in pair)}"
            yield _Change(f"with {added}", end - 1, end - 1, f"{added},\n")
