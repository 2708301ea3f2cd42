"""Calls of production that became tests: each file in ``tests/from_production/`` is one, written by ``./ms.sh export … --as-test``.

A file holds a call's history without numbers and names, and what should be true of it. Today's code runs it again; what is not as
expected fails. A file that stands here because of a fault passes from when the fault is mended.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from core.expectations import complaints
from core.history_file import load

FOLDER = Path(__file__).parent / "from_production"
FILES = sorted(FOLDER.glob("*.jsonl"))


def test_there_is_a_place_for_them() -> None:
    assert FOLDER.is_dir()
    assert FILES, "the example that docs/time-machine.md tells of"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_call_goes_as_it_should(path: Path) -> None:
    history = load(path.read_bytes())
    assert history.expect, "a test that expects nothing proves nothing"
    assert [words for _, words in complaints(history)] == []
