"""How thorough a test is: the quick suite tries some examples, ``./ms.sh test --all`` many more of the same."""

from __future__ import annotations

import os

TIMES = 10


def examples(few: int) -> int:
    """Hypothesis' ``max_examples``: so few, or ten times as many where there is time (``MS_TEST_ALL``, set by ``--all``)."""
    return few * TIMES if os.environ.get("MS_TEST_ALL") else few
