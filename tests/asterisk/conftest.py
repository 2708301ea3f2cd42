"""Each report of a run becomes a property of its test, which ``tests/conftest.py`` prints when all are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.faults import report


@pytest.fixture(autouse=True)
def _reports(record_property: Callable[[str, object], None]) -> Iterator[None]:
    before, report.record = report.record, record_property
    yield
    report.record = before
