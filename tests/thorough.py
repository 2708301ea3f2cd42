"""How thorough a test is: the quick suite tries some examples, ``./ms.sh test --all`` many more of the same."""

from __future__ import annotations

import os
from typing import Final

IS_ALL: Final = bool(os.environ.get("MS_TEST_ALL"))
TIMES: Final = 10
USUAL: Final = 100 if IS_ALL else 30
"""Examples of a property that says nothing of how many it needs."""


def of(quick: int, thorough: int) -> int:
    """So many in the quick suite, and so many where there is time: what a loop goes through, or every which of them."""
    return thorough if IS_ALL else quick


def examples(few: int) -> int:
    """Hypothesis' ``max_examples``: so few, or ten times as many where there is time (``MS_TEST_ALL``, set by ``--all``)."""
    return few * TIMES if IS_ALL else few
