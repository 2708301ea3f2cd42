"""Both APIs, their limits, the gateway and the administrator's questions, put together once for the composition root."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from zoneinfo import ZoneInfo

from adapters.moysklad.accounts import Accounts
from adapters.moysklad.contacts import Memory
from adapters.moysklad.errors import Api
from adapters.moysklad.gateway import MoySkladGateway
from adapters.moysklad.json_api import MAIN_API_URL, JsonApi
from adapters.moysklad.limits import Clock, wall_ms
from adapters.moysklad.phone_api import PHONE_API_URL, PhoneApi
from adapters.moysklad.reach import Reach
from adapters.moysklad.registry import LimitsRegistry, Mended, nobody
from adapters.moysklad.transport import Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class MoySklad:
    """Everything that speaks to MoySklad. ``close`` it at the end.

    ``limits`` says how each account stands, and wants to know how many instances share the address. ``reach``, of the Phone
    API, which the cards come from, must be run.
    """

    gateway: MoySkladGateway
    accounts: Accounts
    phone: PhoneApi
    json: JsonApi
    limits: LimitsRegistry
    transports: tuple[Transport, Transport]
    reach: Reach

    async def close(self) -> None:
        """Give all connections back."""
        for transport in self.transports:
            await transport.close()


def build_moysklad(
    *,
    phone_url: str = PHONE_API_URL,
    main_url: str = MAIN_API_URL,
    zone: tzinfo | None = None,
    now_ms: Clock = wall_ms,
    limits: LimitsRegistry | None = None,
    mended: Mended = nobody,
    timeout_s: float = 15.0,
    memory: Memory | None = None,
) -> MoySklad:
    """Build the clients.

    Args:
        phone_url: MS_PHONE_API_URL. main_url: MS_MAIN_API_URL. Hrefs in bodies name the real server whatever these say.
        zone: MS_API_TIMEZONE, in which MoySklad reads times; Moscow by default (CONTRACT-MOYSKLAD 1.7).
        now_ms: the clock that ``deadline_ms`` of effects is compared with.
        mended: called when an enterprise's API answers again (``registry.py``); with ``limits`` given, theirs is called
        instead.
        memory: what is remembered of customers, for calls and look-ups together.
    """
    limits = LimitsRegistry(now_ms=now_ms, mended=mended) if limits is None else limits
    phone_way = Transport(api=Api.PHONE, base_url=phone_url, limits=limits, timeout_s=timeout_s)
    json_way = Transport(api=Api.JSON, base_url=main_url, limits=limits, timeout_s=timeout_s, reach=phone_way.reach)
    phone = PhoneApi(phone_way, zone=zone or ZoneInfo("Europe/Moscow"))
    json = JsonApi(json_way)
    return MoySklad(
        gateway=MoySkladGateway(phone, json, now_ms=now_ms, memory=memory),
        accounts=Accounts(phone, json),
        phone=phone,
        json=json,
        limits=limits,
        transports=(phone_way, json_way),
        reach=phone_way.reach,
    )
