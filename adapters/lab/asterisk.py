"""A real Asterisk on loopback: fetched once, configured from ``etc/``, started in a folder of its own, killed at will."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
CACHE: Final = HERE.parent.parent / "var" / "asterisk"
"""Where fetched Asterisks are kept: once for all checkouts' runs, and never committed."""

SUITES: Final[Mapping[int, str]] = {16: "bullseye", 22: "sid"}
"""Debian's suites that have an Asterisk, and its main version there."""

EXTENSIONS: Final = ("101", "102", "103")
TRUNKS: Final[Mapping[str, str]] = {"trunk-alpha": "127.0.0.2", "trunk-beta": "127.0.0.3"}
"""Each trunk's far end is an address of its own, because that is how Asterisk tells one from another."""

SOUNDS: Final = ("pbx-transfer", "pbx-invalid", "beep", "beeperr")
AMI_USER: Final = "ms"
FETCH_S: Final = 600.0
READY_S: Final = 60.0
STOP_S: Final = 15.0
LOOK_S: Final = 0.05
RTP_PORTS: Final = 200


class NoAsterisk(ValueError):
    """There is no Asterisk here, and it cannot be fetched: what is in the way, and what to do."""


async def fetched(suite: str = SUITES[16], *, report: Callable[[str], None] = lambda _: None) -> Path:
    """The folder of an Asterisk of that suite; fetched now if it is not there yet. Raises NoAsterisk."""
    folder = CACHE / suite
    process = await asyncio.create_subprocess_exec(
        str(HERE / "fetch_asterisk.sh"), str(folder), suite, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    last = ""
    try:
        async with asyncio.timeout(FETCH_S):
            async for line in process.stderr:
                last = line.decode(errors="replace").strip()
                report(last)
            await process.wait()
    except TimeoutError:
        raise NoAsterisk(f"fetching Asterisk took longer than {FETCH_S:.0f} s ({last}): try again") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise NoAsterisk(f"{last or 'Asterisk was not fetched'}; by hand: ./adapters/lab/fetch_asterisk.sh {folder} {suite}")
    return folder


@dataclass(slots=True, kw_only=True)
class Asterisk:
    """One Asterisk. ``phones``: each endpoint's name and where it listens; ports are chosen when it is made.

    ``run``: a short path for its console's socket (107 bytes at most).
    """

    program: Path
    folder: Path
    run: Path
    phones: Mapping[str, tuple[str, int]]
    system: str = "lab"
    sip_port: int = 0
    ami_port: int = 0
    ami_secret: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)
    process: asyncio.subprocess.Process | None = None
    _rtp_first: int = 0

    def __post_init__(self) -> None:
        self.sip_port = self.sip_port or free_port(socket.SOCK_DGRAM)
        self.ami_port = self.ami_port or free_port(socket.SOCK_STREAM)
        self._rtp_first = 20_000 + 2 * (self.sip_port % 10_000)

    @property
    def version(self) -> str:
        """As it says itself, such as ``Asterisk 16.28.0``."""
        return (self.program / "version").read_text().strip()

    async def start(self) -> None:
        """Start it; returns once it is fully booted."""
        self._configure()
        arguments = ["-f", "-C", str(self.folder / "etc" / "asterisk.conf")]
        with (self.folder / "console.log").open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                str(self.program / "asterisk"),
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "LC_ALL": "C"},
            )
        deadline = time.monotonic() + READY_S
        while "fully booted" not in await self.ask("core waitfullybooted"):
            if self.process.returncode is not None or time.monotonic() > deadline:
                raise NoAsterisk(f"{self.version} did not come up; {self.folder / 'log' / 'messages'} says why: {self.tail()}")
            await asyncio.sleep(LOOK_S)

    async def ask(self, command: str) -> str:
        """What its console answers."""
        process = await asyncio.create_subprocess_exec(
            str(self.program / "asterisk"),
            *("-C", str(self.folder / "etc" / "asterisk.conf"), "-rx", command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        said, _ = await process.communicate()
        return said.decode(errors="replace")

    async def stop(self) -> None:
        """End it, however it is."""
        if self.process is None or self.process.returncode is not None:
            return
        self.thaw()
        self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), STOP_S)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL: it says nothing to anybody; telephones keep their calls, AMI's connections are reset."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    def freeze(self) -> None:
        """SIGSTOP: it holds everything and does nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)

    def tail(self, lines: int = 10) -> str:
        """The end of what it logged, for a failure's message."""
        path = self.folder / "log" / "messages"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def _configure(self) -> None:
        for name in ("etc", "lib/moh", "lib/agi-bin", "spool", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._add_sounds()
        modules = self.program / (self.program / "modules").read_text().strip()
        values = {
            "FOLDER": str(self.folder),
            "RUN": str(self.run),
            "MODULES": str(modules),
            "SYSTEM": self.system,
            "AMI_PORT": str(self.ami_port),
            "AMI_SECRET": self.ami_secret,
            "SIP_PORT": str(self.sip_port),
            "RTP_FIRST": str(self._rtp_first),
            "RTP_LAST": str(self._rtp_first + RTP_PORTS),
            "ENDPOINTS": "\n".join(_endpoint(name, *where) for name, where in self.phones.items()),
        }
        for template in sorted((HERE / "etc").glob("*.conf")):
            text = template.read_text()
            for key, value in values.items():
                text = text.replace(f"@{key}@", value)
            (self.folder / "etc" / template.name).write_text(text)


    def _add_sounds(self) -> None:
        """What a transfer by keys says: silence, for without the files there is no transfer. And the descriptions of options."""
        folder = self.folder / "lib" / "sounds" / "en"
        folder.mkdir(parents=True, exist_ok=True)
        for name in SOUNDS:
            (folder / f"{name}.ulaw").write_bytes(b"\xff" * 800)
        documentation = self.folder / "lib" / "documentation"
        if not documentation.exists():
            documentation.symlink_to(self.program / "root" / "usr" / "share" / "asterisk" / "documentation")


def _endpoint(name: str, host: str, port: int) -> str:
    """An endpoint of ``pjsip.conf``: an employee's telephone, or a trunk known by its address."""
    text = f"\n[{name}]({'trunk' if name in TRUNKS else 'phone'})\naors = {name}\n"
    if name not in TRUNKS:
        text += f"callerid = Ext {name} <{name}>\n"
    text += f"\n[{name}]\ntype = aor\ncontact = sip:{name}@{host}:{port}\n"
    if name in TRUNKS:
        text += f"\n[{name}]\ntype = identify\nendpoint = {name}\nmatch = {host}\n"
    return text


def free_port(kind: socket.SocketKind, host: str = "127.0.0.1") -> int:
    """A port that nobody uses now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def running(asterisk: Asterisk) -> AsyncIterator[Asterisk]:
    """It runs for as long as the block does; one that does not come up, or is given up while it does, is ended, too."""
    try:
        await asterisk.start()
        yield asterisk
    finally:
        await asterisk.stop()
