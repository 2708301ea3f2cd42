"""What the machine itself allows, measured in the same run: the disk's flushes, a round trip on loopback, Python's own loop."""

from __future__ import annotations

import os
import platform
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bench.figures import number

BLOCK: Final = b"\0" * 8_192
"""PostgreSQL writes its log in blocks of this size."""

FLUSH_S: Final = 1.0
TRIPS: Final = 5_000
STEPS: Final = 1_000_000


def flushes_per_s(folder: Path, *, seconds: float = FLUSH_S) -> float:
    """As ``pg_test_fsync`` asks: how often a second one block can be written over and flushed (``fdatasync``)."""
    path = folder / "flush-test"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, BLOCK * 64)
        os.fsync(descriptor)
        count, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds:
            os.pwrite(descriptor, BLOCK, (count % 64) * len(BLOCK))
            os.fdatasync(descriptor)
            count += 1
        return count / took
    finally:
        os.close(descriptor)
        path.unlink()


def round_trip_us(*, trips: int = TRIPS) -> float:
    """One small message to another thread over TCP on loopback and back, blocking sockets: no server answers sooner."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def echo() -> None:
            connection, _ = listening.accept()
            with connection:
                while data := connection.recv(256):
                    connection.sendall(data)

        answering = threading.Thread(target=echo, daemon=True)
        answering.start()
        with socket.create_connection(listening.getsockname()) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            began = time.perf_counter()
            for _ in range(trips):
                connection.sendall(b"x" * 100)
                connection.recv(256)
            took = time.perf_counter() - began
        answering.join()
    return took / trips * 1e6


def dictionary_steps_per_s(*, steps: int = STEPS) -> float:
    """The least a fold can be: one look-up of (phase, trigger) for each event, in plain Python."""
    table = {(phase, trigger): (phase + trigger) % 7 for phase in range(7) for trigger in range(9)}
    phases: dict[int, int] = {}
    began = time.perf_counter()
    for step in range(steps):
        call = step & 1_023
        phases[call] = table[phases.get(call, 0), step % 9]
    return steps / (time.perf_counter() - began)


def described(folder: Path) -> Mapping[str, str]:
    """The machine in words, with its limits and how busy it is with other things."""
    load = os.getloadavg()
    return {
        "machine": f"{os.cpu_count()} cores, {_processor()}, {platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "load before": f"{load[0]:.2f} over the last minute"
        + (" (NOT QUIET: absolute figures say little)" if load[0] > 0.5 else ""),
        "flushes of one block": f"{number(flushes_per_s(folder))} a second",
        "round trip on loopback": f"{number(round_trip_us())} µs",
        "dictionary loop": f"{number(dictionary_steps_per_s())} steps a second",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
