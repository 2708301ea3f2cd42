"""Whatever a connection or an order says to a person has its Russian telling: the pages show it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.asterisk.originate import REASONS
from projections.story_ru import in_russian

ROOM = Path(__file__).resolve().parents[3] / "adapters" / "asterisk"
SPEAKERS = {"ConnectionEnded", "give_up", "BadWire", "OriginationRefused", "OriginationInDoubt", "_NotReached"}
UNSAID = {"this end let go of the connection"}
"""Said to nobody: it was our own wish."""


def written(node: ast.expr) -> Iterator[str]:
    """The text of a string or f-string, with something in each place; both of a choice."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else _sample(part) for part in parts)
        case ast.IfExp(body=one, orelse=other):
            yield from written(one)
            yield from written(other)


def _sample(part: ast.expr) -> str:
    named = ast.unparse(part)
    if "reason" in named:
        return "Asterisk ended the connection"
    return "'ms'" if "!r" in named else "5"


def sentences() -> Iterator[str]:
    """Every sentence that the sources hand to a person."""
    for path in sorted(ROOM.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in SPEAKERS:
                for argument in node.args:
                    yield from written(argument)
    yield from REASONS.values()


def test_there_are_many() -> None:
    assert len(set(sentences())) > 25


@pytest.mark.parametrize("sentence", sorted(set(sentences()) - UNSAID - {""}))
def test_it_has_its_russian_one(sentence: str) -> None:
    told = in_russian(sentence)
    assert told != sentence
    assert "ended the connection" not in told
