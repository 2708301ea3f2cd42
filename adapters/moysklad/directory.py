"""Who has which extension, remembered for a while: a card must not cost a request per ring (PRODUCT C7, C9)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from adapters.moysklad.json_api import JsonApi
from adapters.moysklad.limits import Clock
from adapters.moysklad.per_account import PerAccount, held
from adapters.moysklad.phone_api import PhoneApi
from adapters.moysklad.transport import Trail
from core.effects import Account, Refused, Unavailable

FRESH_MS: Final = 300_000
"""How long an answer is believed; :meth:`Directory.forget` refreshes on demand."""
ABSENT_MS: Final = 30_000
"""How long "nobody has this extension" and "names cannot be had" are believed: somebody may be mending it right now."""
NAMES_WAIT_MS: Final = 700
"""Names are for people; a ringing phone does not wait longer for them."""
MAX_EXTENSIONS: Final = 2_000


@dataclass(slots=True, kw_only=True)
class _Known:
    """What is remembered of one account: extension -> (uuid or None, until), uuid -> name."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    extensions: OrderedDict[str, tuple[str | None, int]] = field(default_factory=OrderedDict)
    names: dict[str, str] = field(default_factory=dict)
    names_until_ms: int = 0


class Directory:
    """The extension directory of all accounts, bounded, refreshed by age."""

    def __init__(self, phone: PhoneApi, json: JsonApi, *, now_ms: Clock) -> None:
        self._phone = phone
        self._json = json
        self._now_ms = now_ms
        self._accounts = PerAccount(_Known)

    def forget(self, account: Account) -> None:
        """Ask MoySklad anew next time: an administrator changed something."""
        self._accounts.forget(account)

    def knows(self, account: Account, extensions: Iterable[str]) -> bool:
        """Whether :meth:`find` would answer without asking MoySklad."""
        return not self._missing(self._accounts.of(account), tuple(extensions))

    async def find(self, account: Account, extensions: Iterable[str], trail: Trail) -> dict[str, dict[str, Any] | None]:
        """Extension -> ``{"id", "name"}``, or None where nobody has it. Raises Refused or Unavailable."""
        wanted = tuple(dict.fromkeys(extensions))
        known = self._accounts.of(account)
        if self._missing(known, wanted):
            async with held(known.lock, trail):
                if missing := self._missing(known, wanted):
                    await self._ask(account, known, missing, trail)
        found = {extension: known.extensions.get(extension, (None, 0))[0] for extension in wanted}
        return {
            extension: None if employee is None else {"id": employee, "name": known.names.get(employee, "")}
            for extension, employee in found.items()
        }

    def _missing(self, known: _Known, wanted: tuple[str, ...]) -> tuple[str, ...]:
        now_ms = self._now_ms()
        return tuple(extension for extension in wanted if known.extensions.get(extension, (None, 0))[1] <= now_ms)

    async def _ask(self, account: Account, known: _Known, missing: tuple[str, ...], trail: Trail) -> None:
        names = asyncio.ensure_future(self._learn_names(account, known, trail))
        try:
            employees = await self._phone.employees(account.phone_key, trail, extensions=missing)
            await names
        finally:
            names.cancel()
        now_ms = self._now_ms()
        for extension in missing:
            employee = next((one.id for one in employees if one.extension == extension), None)
            known.extensions[extension] = (employee, now_ms + (ABSENT_MS if employee is None else FRESH_MS))
            known.extensions.move_to_end(extension)
        while len(known.extensions) > max(MAX_EXTENSIONS, len(missing)):
            known.extensions.popitem(last=False)

    async def _learn_names(self, account: Account, known: _Known, trail: Trail) -> None:
        now_ms = self._now_ms()
        if not account.api_token or now_ms < known.names_until_ms:
            return
        known.names_until_ms = now_ms + ABSENT_MS
        try:
            async with asyncio.timeout(NAMES_WAIT_MS / 1000):
                employees = await self._json.employees(account.api_token, trail)
        except (Refused, Unavailable, TimeoutError):
            return  # the exchange in the trail tells; a card is shown without a name too
        known.names = {one.id: one.name for one in employees}
        known.names_until_ms = now_ms + FRESH_MS
