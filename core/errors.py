"""What can go wrong at a port, in words a caller can act on: repeat later, decide again, or never repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.ports import StreamId


class StoreUnavailable(Exception):
    """The event store did not answer within its patience; repeat later.

    Whether the append took place is unknown. Repeating the *same* append (same event ids, or same digest) is always
    safe: what was recorded after all comes back as a duplicate.
    """


class VersionConflict(Exception):
    """The stream is no longer at the version the decision was taken from: read it again and decide again.

    ``expected`` and ``actual`` are stream versions; nothing of the append was recorded.
    """

    def __init__(self, stream: StreamId, expected: int, actual: int) -> None:
        super().__init__(f"{stream} is at version {actual}, not {expected}")
        self.stream = stream
        self.expected = expected
        self.actual = actual


class AppendRefused(ValueError):
    """The append can never be stored as it is (a NUL in a name, data that is not JSON, too large): repeating is useless."""
