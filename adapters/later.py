"""Modules that are loaded when something of them is first used: the next event is on disk sooner after a restart without them.

Half of a start is Python reading modules, and half of those are of no use to the next event: commands other than ``serve``,
pages, replays, an Asterisk that is not configured. Whoever imports such a module does so twice, under ``TYPE_CHECKING`` for
the types and by :func:`later` for the run. What requests need, the service loads in a thread once it is ready
(:func:`load_the_rest`), so that nobody waits for it and no call stands still for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_FOR_REQUESTS: list[str] = []


class _Later:
    """A module by name. It is looked up at each use, which costs less than a microsecond."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


def later(name: str, *, for_requests: bool = False) -> Any:
    """The module of this name, not loaded yet. ``for_requests``: a running service needs it sooner or later."""
    if for_requests:
        _FOR_REQUESTS.append(name)
    return _Later(name)


def load_the_rest() -> None:
    """Load what requests need and was left for later. May run in a thread of its own."""
    for name in _FOR_REQUESTS:
        import_module(name)
