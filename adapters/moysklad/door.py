"""The door that all accounts share: MoySklad allows one address so many requests at once (CONTRACT-MOYSKLAD 1.2)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, Protocol

from core.values import Urgency

ADDRESS_PARALLEL: Final = 100
"""Requests at once from one address: all accounts of all instances behind it share them."""


class Queue(Protocol):
    """Those who wait under one account. ``suspect``: there is no reason to believe that its next request succeeds."""

    @property
    def suspect(self) -> bool:
        """See above."""

    def serve(self) -> None:
        """Let in whoever may come in now."""


class Door:
    """The places. Those from whom nothing good is to be expected get half of them at most, so that accounts whose MoySklad
    hangs cannot keep out the others, however many they are.
    """

    def __init__(self, capacity: int = ADDRESS_PARALLEL) -> None:
        self._capacity = capacity
        self._inside = {True: 0, False: 0}
        self._waiting: Mapping[Urgency, OrderedDict[Queue, None]] = {urgency: OrderedDict() for urgency in Urgency}

    def set_capacity(self, capacity: int) -> None:
        """So many may be inside from now on; whoever is inside stays."""
        self._capacity = capacity
        self._serve()

    def has_room(self, *, suspect: bool) -> bool:
        """Whether one more may come in."""
        full = sum(self._inside.values()) >= self._capacity
        return not full and not (suspect and self._inside[True] >= max(1, self._capacity // 2))

    def enter(self, *, suspect: bool) -> None:
        """Come in; the same ``suspect`` is told to :meth:`leave`."""
        self._inside[suspect] += 1

    def leave(self, *, suspect: bool) -> None:
        """Make room for the next."""
        self._inside[suspect] -= 1
        self._serve()

    def wait(self, queue: Queue, urgency: Urgency) -> None:
        """Call this queue when there is room; the more urgent are called first, and each in turn."""
        self._waiting[urgency].setdefault(queue)

    def _serve(self) -> None:
        for waiting in self._waiting.values():
            for queue in list(waiting):
                if not self.has_room(suspect=False):
                    return
                if queue in waiting and self.has_room(suspect=queue.suspect):
                    del waiting[queue]
                    queue.serve()  # it waits again, at the end, if it needs another place
