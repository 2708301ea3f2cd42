"""Whether another instance on this host has ended: its lease need not be waited for then (docs/decisions/0010).

Only what proves an end counts. A process that may not be looked at, or is on another host or in another container, is
taken to be alive: its lease will tell.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_AFTER_NAME: Final = 2
"""The first field of ``/proc/<pid>/stat`` behind the program's name, which may hold anything: the state, field 3 of proc(5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process for ever. ``host``: where its ``pid`` and ``started`` (in ticks since the boot) mean something.

    An empty ``host`` is nowhere: nothing can be proven of such a process.
    """

    host: str
    pid: int
    started: int


def this_process() -> Process:
    """This process, as its neighbours can see it."""
    return local_process(os.getpid())


def local_process(pid: int) -> Process:
    """A process of this host; where ``/proc`` does not tell, one that nobody can judge."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        # Start times are shifted in a time namespace of one's own: they compare only inside it.
        spaces = [(_PROC / "self/ns" / name).stat().st_ino for name in ("pid", "time")]
        _, started = _state_and_start(pid)
    except (OSError, ValueError, IndexError):
        return Process(host="", pid=pid, started=0)
    return Process(host=f"{boot}/{spaces[0]}/{spaces[1]}", pid=pid, started=started)


def has_ended(process: Process, here: Process) -> bool:
    """Whether it is certain that a process has ended; ``here``: the one that asks."""
    if not process.host or process.host != here.host:
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # somebody else's: it is there
    try:
        state, started = _state_and_start(process.pid)
    except (OSError, ValueError, IndexError):
        return False  # it ended just now, or may not be looked at: the next look or the lease will tell
    return state in "ZX" or started != process.started


def _state_and_start(pid: int) -> tuple[str, int]:
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[21 - _AFTER_NAME])
