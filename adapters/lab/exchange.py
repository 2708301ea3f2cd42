"""The whole exchange: an Asterisk, its employees' telephones and the far ends of its trunks, opened and closed together."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from adapters.lab.asterisk import EXTENSIONS, SUITES, TRUNKS, Asterisk, fetched, free_port, running
from adapters.lab.sip import Phone, nothing

CUSTOMER: Final = "79161234567"


class Exchange:
    """``asterisk`` and ``phones`` (employees by extension, trunks by name)."""

    def __init__(self, asterisk: Asterisk, phones: dict[str, Phone]) -> None:
        self.asterisk = asterisk
        self.phones = phones
        self.customer = CUSTOMER
        """Whose calls are made."""

    def __getitem__(self, name: str) -> Phone:
        return self.phones[name]

    @property
    def trunk(self) -> Phone:
        """The outside world."""
        return self.phones["trunk-alpha"]

    def fresh(self, customer: str = CUSTOMER) -> None:
        """Nobody remembers a call, every telephone rings for ever, and this is the customer from now on."""
        self.customer = customer
        for phone in self.phones.values():
            phone.forget()
            phone.behave = nothing


@contextlib.asynccontextmanager
async def opened(folder: Path, suite: str = SUITES[16], *, system: str = "lab") -> AsyncIterator[Exchange]:
    """A running exchange, for as long as the block runs. Raises NoAsterisk."""
    program = await fetched(suite)
    run = await asyncio.to_thread(tempfile.mkdtemp, prefix="asterisk-")
    pbx = ("127.0.0.1", free_port(socket.SOCK_DGRAM))
    phones = {name: Phone(name, pbx) for name in (*EXTENSIONS, *TRUNKS)}
    try:
        for name, phone in phones.items():
            await phone.open(TRUNKS.get(name, "127.0.0.1"))
        asterisk = Asterisk(
            program=program,
            folder=folder,
            run=Path(run),
            sip_port=pbx[1],
            phones={name: phone.where for name, phone in phones.items()},
            system=system,
        )
        async with running(asterisk):
            yield Exchange(asterisk, phones)
    finally:
        for phone in phones.values():
            phone.close()
        await asyncio.to_thread(shutil.rmtree, run, ignore_errors=True)
