"""Click-to-call by AMI ``Originate``: the employee's telephone rings first, then the dialplan dials the customer.

Each order has a connection of its own, a matter of milliseconds on a network that works: so any instance can give it, whichever
keeps the PBX's events, and what Asterisk says of it is not mixed with them. The call's id is ours (``ChannelId``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from adapters.asterisk.config import Originate, PbxConfig
from adapters.asterisk.connection import ActionRefused, Connection, ConnectionEnded, connected
from core.origination import ORIGINATE_S, Origination, OriginationInDoubt, OriginationRefused

WHOLE_S: Final = ORIGINATE_S - 0.5
RUNG_S: Final = 1.5
"""An employee's telephone that does not exist is told of at once; so long Asterisk may take to begin with one that does."""

REASONS: Final = {
    "0": "there is no such telephone, or it is not registered",
    "1": "the telephone hung up",
    "3": "the telephone did not answer",
    "5": "the telephone is busy",
    "8": "the telephone cannot be reached now",
}
"""``Reason`` of an OriginateResponse: Asterisk's AST_CONTROL numbers."""


class AmiOriginator:
    """See ``core.origination.Originator``."""

    def __init__(self, configs: Sequence[PbxConfig], *, now_ms: Callable[[], int]) -> None:
        self._configs = [config for config in configs if config.originate is not None]
        self._now_ms = now_ms

    def serves(self, enterprise: str) -> bool:
        """Whether the file names a PBX of this enterprise that may originate."""
        return any(config.pbx.enterprise == enterprise for config in self._configs)

    async def originate(self, order: Origination) -> None:
        """See ``Originator``. Of several PBXes the first that can be reached; each has its part of the time."""
        clock = asyncio.get_running_loop().time
        began_s, unreached = clock(), None
        configs = [config for config in self._configs if config.pbx.enterprise == order.enterprise]
        for nth, config in enumerate(configs):
            left_s = began_s + min(order.within_s, WHOLE_S) - clock()
            try:
                await self._order(config, order, left_s / (len(configs) - nth), began_s + WHOLE_S)
            except _NotReached as error:
                unreached = unreached or error
            else:
                return
        if unreached is None:
            raise OriginationRefused("no PBX of this enterprise takes orders", "add originate to its [[pbx]] in MS_PBX_FILE")
        raise OriginationRefused(unreached.error, unreached.remedy)

    async def _order(self, config: PbxConfig, order: Origination, reach_s: float, until_s: float) -> None:
        """Give it to one PBX that can be reached within ``reach_s``; ``until_s`` (the loop's clock): by then it has answered."""
        name, asked = config.pbx.name, asyncio.Event()
        try:
            async with asyncio.timeout(reach_s) as patience, connected(config, self._now_ms, "call") as connection:
                patience.reschedule(until_s)
                await connection.order("Originate", _headers(config.originate or Originate(), order), asked.set)
                await _rung(connection, name, order)
        except ActionRefused as error:
            remedy = "add originate to write= of that user in manager.conf" if "ermission" in str(error) else "see Asterisk's log"
            raise OriginationRefused(f"Asterisk {name} refuses the order: {error}", remedy) from None
        except (ConnectionEnded, TimeoutError) as error:
            reason = error.reason if isinstance(error, ConnectionEnded) else "it took too long"
            if asked.is_set():
                raise OriginationInDoubt(f"Asterisk {name} was given the order and did not confirm it: {reason}", _LOOK) from None
            remedy = (error.remedy if isinstance(error, ConnectionEnded) else "") or "./ms.sh doctor tries the connection"
            raise _NotReached(f"Asterisk {name} cannot be reached: {reason}", remedy) from None


_LOOK: Final = "look at the telephone: it may ring"


class _NotReached(OriginationRefused):
    """Another PBX of the enterprise may do it."""


def _headers(originate: Originate, order: Origination) -> dict[str, str | list[str]]:
    names = {"extension": order.extension, "number": order.number, "digits": order.number.lstrip("+")}
    return {
        "Channel": originate.channel.format(**names),
        "Context": originate.context.format(**names),
        "Exten": originate.exten.format(**names),
        "Priority": "1",
        "CallerID": originate.caller_id.format(**names),
        "Timeout": str(originate.timeout_s * 1_000),
        "ChannelId": order.channel_id,
        "Async": "true",
    }


async def _rung(connection: Connection, name: str, order: Origination) -> None:
    """Return once the employee's telephone is being called, or nothing speaks against it. Raises OriginationRefused.

    Asterisk takes an order before it looks for the telephone; that there is none it says a moment later.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(RUNG_S):
            while (heard := await connection.messages.get()) is not None:
                message = heard.message
                if message.get("Uniqueid") != order.channel_id:
                    continue  # another call's
                if message.get("Event") == "Newchannel":
                    return
                if message.get("Event") == "OriginateResponse" and message.get("Response") == "Failure":
                    reason = REASONS.get(message.get("Reason", ""), "Asterisk does not say why")
                    raise OriginationRefused(f"Asterisk {name} could not call the employee: {reason}", "check the telephone")
