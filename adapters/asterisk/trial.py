"""Trying a connection for ``./ms.sh doctor``: does Asterisk let us in, show its channels, and what is worth a second look."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from adapters.asterisk.config import PbxConfig
from adapters.asterisk.connection import ActionRefused, ConnectionEnded, connected


async def try_login(config: PbxConfig, now_ms: Callable[[], int]) -> tuple[str, str]:
    """What was found, and what is wrong (empty: nothing). A connection of its own, of a moment, that hears no calls."""
    try:
        async with connected(config, now_ms, "off") as connection:
            channels = await connection.listing("CoreShowChannels")
            return f"{config.where} lets {config.user!r} in ({connection.banner}); {len(channels)} channels are up", ""
    except ActionRefused as error:
        reason = f"Asterisk does not show its channels to {config.user!r}: {error}"
        return "", f"{reason}; add reporting to write= of that user in manager.conf"
    except ConnectionEnded as error:
        return "", f"{error.reason}; {error.remedy}" if error.remedy else error.reason


def cautions(config: PbxConfig) -> Iterator[str]:
    """What works and is probably not meant."""
    if not config.pbx.trunks:
        yield "no trunks are named: every peer that is no extension is taken for one"
    if config.originate is None:
        yield "no originate: clicks of this enterprise go to MS_ASTERISK_API_URL"
    if config.tls is None and config.host not in ("127.0.0.1", "::1", "localhost"):
        yield f"{config.host} is reached without TLS: what is said of calls crosses the network readable"
