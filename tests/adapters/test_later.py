"""What is loaded when: a service that starts loads nothing that the next event does not need, and the rest by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from adapters import later as module

ROOT = Path(module.__file__).resolve().parents[1]
NOT_FOR_A_START = (
    "adapters.demo",
    "adapters.sandbox",
    "adapters.lab",
    "adapters.doctor",
    "adapters.import_command",
    "adapters.metrics",
    "prometheus_client",
    "adapters.asterisk.source",
    "core.ami",
    "projections.story",
    "projections.story_ru",
    "projections.picture",
)


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh Python has after this."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


def test_a_start_loads_nothing_that_the_next_event_does_not_need() -> None:
    found = loaded_by("import server")
    assert sorted(set(NOT_FOR_A_START) & found) == []
    assert "adapters.ingest" in found


def test_what_requests_need_is_loaded_when_the_service_says_so() -> None:
    found = loaded_by("import server\nfrom adapters.later import load_the_rest\nload_the_rest()")
    assert {"projections.story_ru", "projections.picture"} <= found
    assert "adapters.demo" not in found


def test_a_module_is_there_when_something_of_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FOR_REQUESTS", [])
    found = module.later("adapters.http.lines", for_requests=True)
    from adapters.http import lines

    assert found.Splitter is lines.Splitter
    with pytest.raises(AttributeError):
        _ = found.nothing_of_the_kind
    with pytest.raises(ModuleNotFoundError):
        _ = module.later("adapters.no_such_module").anything
    module.load_the_rest()
