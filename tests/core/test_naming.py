"""Names at MoySklad: the same for ever, and safe in a path."""

from __future__ import annotations

from core.call import initial
from core.naming import external_id, path_safe


def test_the_external_id_is_the_calls_own_and_safe_in_a_path() -> None:
    assert external_id(initial("0367", "1757840723.6")) == "0367-1757840723.6"
    assert external_id(initial("a/b?", "1.1")) == "a~b~-1.1"
    assert external_id(initial("", "1.1")) == "inline-1.1"
    assert path_safe("день7") == "~~~~7"
