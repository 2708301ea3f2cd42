"""Takes signals in: reads the wire, finds the settings in force, appends, and only then says yes (PRODUCT A1 to A9)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
import structlog

from adapters.postgres.database import DATABASE_ERRORS
from adapters.reactor import new_event
from adapters.settings_store import INLINE_ENTERPRISE, SettingsStore, is_outage
from core.errors import AppendRefused, StoreUnavailable
from core.events import HangupObserved
from core.ports import Append, EventStore, StreamId
from core.settings import Settings, SettingsError
from core.signals import REPEAT_WINDOW_MS, Envelope, SignalError, Wire, derived_call_ids, envelope, parse, redact

log = structlog.get_logger("ingest")

SHORT_CALL_MS: Final = 14_400_000
"""A hangup without a UniqueId ends the last call of its number that began within four hours."""

SAFETY_NET_MS: Final = 500
"""A call is due this long after a signal even if nobody wakes it: normally the switchboard does, at once."""

KEPT_BODY: Final = 16_384
"""Characters of a rejected body that are kept: enough to see what its sender meant."""

_LAST_SHORT: Final = "SELECT max(stream) FROM streams WHERE enterprise = $1 AND stream > $2 AND stream < $3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A signal that is on disk. ``status``: ``success``, or ``disabled`` when the enterprise's integration is off."""

    status: str
    enterprise: str
    call: str
    duplicate: bool
    position: int


class UnknownEnterprise(SignalError):
    """Nobody knows this enterprise number or token."""


class Ingest:
    """Every way in ends here. Raises SignalError for bad input (kept in ``rejected_input``) and StoreUnavailable."""

    def __init__(
        self,
        *,
        store: EventStore,
        settings: SettingsStore,
        pool: Any,
        zone: tzinfo,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._settings = settings
        self._pool = pool
        self._zone = zone
        self._now_ms = now_ms
        self.heard = 0
        self.duplicates = 0
        self.rejected = 0

    async def take(self, wire: Wire, body: object) -> Taken:
        """Take one signal in; when this returns it is on disk."""
        try:
            return await self._take(wire, body)
        except SignalError as error:
            await self.reject(wire.value, body, error)
            raise

    async def _take(self, wire: Wire, body: object) -> Taken:
        signal, heard_ms = envelope(wire, body), self._now_ms()
        enterprise, revision, settings = await self._whose(signal)
        if not signal.unique_id and signal.event in ("dial", "hangup", "card_request"):
            signal = await self._name_short_form(signal, enterprise, heard_ms)
        heard = parse(signal, heard_ms=heard_ms, country=settings.country, zone=self._zone_of(settings))
        event = replace(heard.event, settings_revision=revision)
        try:
            appended = await self._store.append(
                Append(
                    stream=StreamId(enterprise=enterprise, name=heard.stream),
                    events=(new_event(event),),
                    digest=heard.digest,
                    due_ms=heard_ms + SAFETY_NET_MS if heard.stream.startswith("call/") else None,
                )
            )
        except AppendRefused as error:
            raise SignalError("the event cannot be kept", hint=str(error)) from error
        self.heard += 1
        self.duplicates += appended.duplicate
        call = appended.stream.name.partition("/")[2] if appended.stream.name.startswith("call/") else ""
        log.debug("signal_heard", call=call, enterprise=enterprise, event_type=event.type, duplicate=appended.duplicate)
        return Taken(
            status="success" if settings.enabled else "disabled",
            enterprise=enterprise,
            call=call,
            duplicate=appended.duplicate,
            position=appended.position,
        )

    async def reject(self, endpoint: str, body: object, error: SignalError) -> None:
        """Keep what could not be understood, without its secrets, for ``doctor`` to show. Never raises for the database."""
        self.rejected += 1
        enterprise = body.get("enterprise_number") if isinstance(body, dict) else ""
        if isinstance(enterprise, bool) or not isinstance(enterprise, str | int):
            enterprise = ""
        kept = mask_text(body) if isinstance(body, str) else orjson.dumps(redact(body), default=str).decode()
        log.info("signal_rejected", endpoint=endpoint, field=error.field)
        try:
            await self._pool.execute(
                "INSERT INTO rejected_input (endpoint, enterprise, error, field, hint, body) VALUES ($1, $2, $3, $4, $5, $6)",
                endpoint,
                _storable(str(enterprise or "")[:64]),
                *(_storable(text) for text in (error.error, error.field, error.hint, kept)),
            )
        except DATABASE_ERRORS as lost:
            if not is_outage(lost):
                raise
            log.warning("rejected_input_not_kept", reason=type(lost).__name__)

    async def _whose(self, signal: Envelope) -> tuple[str, int, Settings]:
        """The enterprise, and the settings the call works under: those that came with it, or those in force."""
        enterprise = signal.enterprise
        if not enterprise and signal.token:
            enterprise = await self._settings.by_token(signal.token) or ""
            if not enterprise and signal.inline is None:
                raise UnknownEnterprise("the token is nobody's", "token", "check the enterprise's secret")
        if signal.inline is not None:
            try:
                revision, settings = await self._settings.inline(enterprise or INLINE_ENTERPRISE, signal.inline)
            except SettingsError as error:
                raise SignalError(error.error, f"ms_config.{error.field}".rstrip("."), error.hint) from error
            return enterprise or INLINE_ENTERPRISE, revision, settings
        current = await self._settings.current(enterprise)
        if current is None:
            raise UnknownEnterprise("the enterprise is unknown", "enterprise_number", "create it, or correct the number")
        return enterprise, current.revision, current.settings

    async def _name_short_form(self, signal: Envelope, enterprise: str, heard_ms: int) -> Envelope:
        """A call without a UniqueId: the same content within a minute is the same call, and a hangup ends the last one.

        A logged call is told apart by when it was: a day's calls of one number may come in one go, and come again.
        """
        now, before = derived_call_ids(signal, heard_ms)
        if signal.wire is Wire.LOG_CALL and (moments := _moments_of(signal)):
            return replace(signal, unique_id=f"logged-{now.split('-')[1]}-{moments}")
        last = await self._last_short_call(enterprise, before.rpartition("-")[0])
        if last is None:
            return replace(signal, unique_id=now)
        history = await self._store.read(StreamId(enterprise=enterprise, name=f"call/{last}"))
        heard = [int(each.data["heard_ms"]) for each in history if "heard_ms" in each.data]
        ends = [int(each.data["heard_ms"]) for each in history if each.type == HangupObserved.type]
        same = bool(heard) and heard_ms - heard[0] < REPEAT_WINDOW_MS
        if signal.event != "dial" and not same:
            # A call goes on for longer than a minute; an end that was heard already is repeated, or is another call's.
            same = bool(heard) and (
                heard_ms - ends[0] < REPEAT_WINDOW_MS if ends else heard_ms - heard[0] < SHORT_CALL_MS
            )
        return replace(signal, unique_id=last if same else now)

    async def _last_short_call(self, enterprise: str, name: str) -> str | None:
        """The newest call of this derived name; its window's number, of fixed width for centuries, ends the stream's name."""
        try:
            stream = await self._pool.fetchval(_LAST_SHORT, enterprise, f"call/{name}-", f"call/{name}.")
        except DATABASE_ERRORS as error:
            if not is_outage(error):
                raise
            raise StoreUnavailable("the calls cannot be read") from error
        return None if stream is None else str(stream).partition("/")[2]

    def _zone_of(self, settings: Settings) -> tzinfo:
        if not settings.timezone:
            return self._zone
        try:
            return ZoneInfo(settings.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            return self._zone


def _storable(text: str) -> str:
    """A text column holds neither NUL nor half a character."""
    return text[:KEPT_BODY].replace("\x00", "").encode("utf-8", "replace").decode()


def _moments_of(signal: Envelope) -> str:
    """When a logged call was, as its sender wrote it, in a form that fits an id; empty where it does not say."""
    said = [str(signal.outer.get(key) or "")[:64] for key in ("start_time", "end_time")]
    return hashlib.sha256("\0".join(said).encode("utf-8", "replace")).hexdigest()[:16] if any(said) else ""


_NAMED: Final = re.compile(
    r"""((?:token|secret|passw|authorization|key|integration_code|credential|client_?id)\w{0,20}["']?\s{0,9}[:=]\s{0,9})"""
    r"""("[^"]*"?|'[^']*'?|(?:Bearer |Basic )?[^"'\s&,;}]+)""",
    re.IGNORECASE,
)
_LONG: Final = re.compile(r"[\w+/.~-]{16,}")


def mask_text(text: str) -> str:
    """Text that is no JSON object cannot be searched by key alone: what follows a secret's name is hidden, and so is every
    long run of letters and digits together."""
    return _LONG.sub(lambda found: "***" if _is_mixed(found[0]) else found[0], _NAMED.sub(r"\1***", text))


def _is_mixed(word: str) -> bool:
    return any(each.isdigit() for each in word) and any(each.isalpha() for each in word)
