"""The administrator's test call: an ordinary call in every way, but marked, so that nobody takes it for a customer's.

Its id begins with :data:`PREFIX`, which no PBX gives, and its number is nobody's. It is shown and recorded like any other;
it only makes no client, and whoever counts calls leaves it out.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "selftest-"
NUMBER: Final = "+70000000000"
"""Nobody's: the test must not be linked to a customer."""

MAX_MS: Final = 90_000
"""It is over by then: one whose service ended before it hung up is not left on a screen."""

COMMENT: Final = "Проверочный звонок из настроек интеграции. Это не настоящий звонок."


def is_test(call_id: str) -> bool:
    """Whether this call was made up by the administrator's self-test."""
    return call_id.startswith(PREFIX)
