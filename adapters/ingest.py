"""Takes signals in: reads the wire, finds the settings in force, appends, and only then says yes (PRODUCT A1 to A9).

Single posts and the stream share it: ``prepare`` makes a body into an append, ``record`` puts appends on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any, Final

import msgspec
import orjson
import structlog

from adapters.errands import Errands
from adapters.ids import event_id
from adapters.logs import says_debug
from adapters.outages import is_outage, unavailable
from adapters.postgres.database import DATABASE_ERRORS, load_sql
from adapters.settings_store import INLINE_ENTERPRISE, SettingsStore
from adapters.spool import Kept, Spool
from adapters.zones import zone_of
from core.errors import AppendRefused, StoreUnavailable, VersionConflict
from core.events import DialObserved, HangupObserved, UnknownEventType, decode, encode
from core.hangups import AMI_WIRE
from core.ports import Append, Appended, EventStore, NewEvent, RecordedEvent, StreamId
from core.repeats import digest_of_ringing_again
from core.settings import Settings, SettingsError
from core.signals import REPEAT_WINDOW_MS, Envelope, Heard, SignalError, Wire, derived_call_ids, envelope, parse, redact

log = structlog.get_logger("ingest")

SHORT_CALL_MS: Final = 14_400_000
"""A hangup without a UniqueId ends the last call of its number that began within four hours."""

SAFETY_NET_MS: Final = 500
"""A call is due this long after a signal even if nobody wakes it: normally the switchboard does, at once."""

KEPT_BODY: Final = 16_384
"""Characters of a rejected body that are kept: enough to see what its sender meant."""

MAX_TAKES: Final = 2_000
"""Single posts under way at once: what comes on top would only wait for the same database."""

MAX_KEEPS: Final = 200
"""Writes of rejected input under way at once; further ones are not kept."""

PREPARE_S: Final = 0.5
"""Preparing many signals stops after so long: look-ups that are slow must not keep back what is ready."""

PREPARED_IN_A_ROW: Final = 25
"""After preparing this many signals (some milliseconds) the event loop gets a turn for other work."""

Recording = asyncio.Future[list[Appended | VersionConflict]]
"""An append that is on its way to the disk."""

_LAST_SHORT: Final = "SELECT max(stream) FROM streams WHERE enterprise = $1 AND stream > $2 AND stream < $3"
_KEEP_REJECTED: Final = load_sql("keep_rejected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a sender waits. The dispatcher gives up after three seconds and does not repeat: an honest 503 must be there
    before that, and so must a 400, whatever the database does.

    ``before_spool_s``: where there is a spool, it gets the rest of the time; ``behind_s``: while it is behind already.
    """

    take_s: float = 2.7
    keep_s: float = 1.0
    answer_s: float = 2.9
    before_spool_s: float = 1.5
    behind_s: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A signal that was understood and can be recorded. ``enabled``: the enterprise's integration is switched on."""

    append: Append
    enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A signal that is on disk. ``status``: ``success``, or ``disabled`` when the enterprise's integration is off.

    In the spool it has no ``call`` and no ``position`` yet.
    """

    status: str
    enterprise: str
    call: str
    duplicate: bool
    position: int


class SaidBefore(Exception):
    """The same words were recorded before, and that may mean something: the ordinary way finds out whether it does."""


class UnknownEnterprise(SignalError):
    """Nobody knows this enterprise number or token."""


class Ingest:
    """Every way in ends here. Raises SignalError for bad input (kept in ``rejected_input``) and StoreUnavailable.

    ``give``: the event store's way in for who does not wait (:meth:`ready`); without it everybody waits. ``spool``: for single
    posts that the database cannot take in time; without it they are refused (StoreUnavailable).
    """

    def __init__(
        self,
        *,
        store: EventStore,
        settings: SettingsStore,
        pool: Any,
        zone: tzinfo,
        now_ms: Callable[[], int],
        patience: Patience | None = None,
        give: Callable[[Append], Recording] | None = None,
        spool: Spool | None = None,
    ) -> None:
        self._spool = spool
        self._store = store
        self._settings = settings
        self._pool = pool
        self._zone = zone
        self._now_ms = now_ms
        self.patience = patience or Patience()
        self._give = give
        self._given = 0
        self._takes = Errands(MAX_TAKES)
        self._keeps = Errands(MAX_KEEPS)
        self.heard = 0
        self.duplicates = 0
        self.rejected = 0
        self.spooled = 0

    @property
    def wait_s(self) -> float:
        """How long the sender of a single post waits for the database now."""
        if self._spool is None:
            return self.patience.take_s
        return self.patience.behind_s if self._spool.behind else self.patience.before_spool_s

    @property
    def in_spool(self) -> int:
        """Signals that are on disk and not in the log yet."""
        return 0 if self._spool is None else self._spool.waiting

    async def take(self, wire: Wire, body: object, *, until_s: float | None = None) -> Taken:
        """Take one signal in; when this returns it is on disk. Ends in time for the sender, whatever the database does.

        ``until_s``: when he has waited for the database long enough, on the loop's clock, where he has been waiting already.
        """
        clock, patience, heard_ms = asyncio.get_running_loop().time, self.patience, self._now_ms()
        if until_s is None:
            until_s = clock() + self.wait_s
        else:
            heard_ms -= round(max(0.0, self.wait_s - max(0.0, until_s - clock())) * 1_000)  # it came when he began to wait
        answer_until_s = until_s + patience.answer_s - (patience.take_s if self._spool is None else patience.before_spool_s)
        try:
            try:
                return await self._in_time(until_s - clock(), wire, body, heard_ms)
            except StoreUnavailable:
                if self._spool is None:
                    raise
            kept = Kept(wire=wire, body=body, heard_ms=heard_ms)
            return await self._put_by(self._spool, kept, answer_until_s - clock())
        except SignalError as error:
            await self.reject(wire.value, body, error, within_s=min(patience.keep_s, answer_until_s - clock()))
            raise

    async def take_kept(self, kept: Sequence[Kept]) -> int:
        """Take in the first of these, in order and in one commit, as heard when they came; returns how many, at least one.

        What is wrong is kept as rejected. Raises StoreUnavailable: nobody knows what was recorded; a repeat is recognised.
        """
        ready: list[Prepared] = []
        refused: list[tuple[Kept, SignalError]] = []
        for each in kept:
            if len(ready) % PREPARED_IN_A_ROW == PREPARED_IN_A_ROW - 1:
                await asyncio.sleep(0)
            try:
                signal = envelope(each.wire, each.body)
                if ready and _needs_a_name(signal):
                    break  # its name is found among what was recorded before it
                ready.append(await self.prepare(signal, each.heard_ms))
            except SignalError as error:
                refused.append((each, error))
        count = len(ready) + len(refused)
        for outcome in await self.record(ready) if ready else ():
            if isinstance(outcome, SignalError):
                log.error("spooled_signal_refused", reason=str(outcome))  # it cannot be stored: no second try would help
        for each, why in refused:
            await self.reject(each.wire.value, each.body, why)
        return count

    async def _in_time(self, left_s: float, wire: Wire, body: object, heard_ms: int) -> Taken:
        try:
            if left_s <= 0 and self._spool is not None:
                raise TimeoutError  # it was tried, and may be recorded yet
            return await self._takes.within(max(0.0, left_s), self._take(wire, body, heard_ms))
        except TimeoutError as error:
            raise StoreUnavailable("the database does not answer in time") from error

    async def _take(self, wire: Wire, body: object, heard_ms: int) -> Taken:
        (outcome,) = await self.record([await self.prepare(envelope(wire, body), heard_ms)])
        if isinstance(outcome, SignalError):
            raise outcome
        return outcome

    async def _put_by(self, spool: Spool, kept: Kept, left_s: float) -> Taken:
        taken = await put_by(spool, kept, self._zone, within_s=left_s)
        self.spooled += 1
        return taken

    async def prepare(self, signal: Envelope, heard_ms: int | None = None) -> Prepared:
        """Find the settings in force and read the signal with them. ``heard_ms``: when it came; None: now. Raises SignalError,
        StoreUnavailable."""
        now_ms = self._now_ms()
        heard_ms = now_ms if heard_ms is None else heard_ms
        enterprise, revision, settings = await self._whose(signal)
        if _needs_a_name(signal):
            signal = await self._name_short_form(signal, enterprise, heard_ms)
        heard = parse(signal, heard_ms=heard_ms, country=settings.country, zone=zone_of(settings.timezone, self._zone))
        return _prepared(enterprise, heard, revision, settings, now_ms)

    def ready(self, wire: Wire, body: object) -> Prepared | None:
        """The same as :meth:`prepare` without waiting: None if anything has to be looked up or is wrong with the body, so call
        that instead."""
        try:
            signal = envelope(wire, body)
            if signal.inline is not None or _needs_a_name(signal):
                return None
            current = self._settings.fresh(signal.enterprise)
            if current is None:
                return None
            heard_ms = self._now_ms()
            zone = zone_of(current.settings.timezone, self._zone)
            heard = parse(signal, heard_ms=heard_ms, country=current.settings.country, zone=zone)
        except SignalError:
            return None
        return _prepared(signal.enterprise, heard, current.revision, current.settings, heard_ms)

    def give(self, prepared: Prepared) -> Recording | None:
        """Start putting it on disk without waiting. When the future is done, hand it to :meth:`given`, once. None: call
        :meth:`take` instead.

        Raises StoreUnavailable, AppendRefused: nothing was begun.
        """
        if self._give is None or self._given >= MAX_TAKES:
            return None
        future = self._give(prepared.append)
        self._given += 1
        return future

    def given(self, prepared: Prepared, future: Recording) -> Taken:
        """The outcome of what :meth:`give` started. Raises StoreUnavailable, AppendRefused, SaidBefore."""
        self._given -= 1
        (result,) = future.result()
        if isinstance(result, VersionConflict):
            raise result  # never: a signal expects no version
        if result.duplicate and _may_ring_again(prepared.append):
            raise SaidBefore
        return self._taken(prepared, result)

    async def prepare_heard(self, enterprise: str, heard: Heard) -> Prepared:
        """The same for what another way in has read already (AMI). Raises UnknownEnterprise, StoreUnavailable."""
        current = await self._settings.current(enterprise)
        if current is None:
            raise UnknownEnterprise("the enterprise is unknown", "enterprise_number", "create it, or correct the number")
        return _prepared(enterprise, heard, current.revision, current.settings, self._now_ms())

    async def prepare_some(self, wire: Wire, bodies: Sequence[object]) -> list[Prepared | SignalError]:
        """Prepare as many of these, in order, as one commit can take: at least one. Refusals are results, and not kept yet.

        It ends early before a signal that is named by what was recorded before it, at an outage, and after ``PREPARE_S``.
        A body that was found bad already (a SignalError) stays so. Raises StoreUnavailable when there is not even one.
        """
        clock = asyncio.get_running_loop().time
        until_s = clock() + PREPARE_S
        ready: list[Prepared | SignalError] = []
        for body in bodies:
            if ready and clock() > until_s:
                break
            if len(ready) % PREPARED_IN_A_ROW == PREPARED_IN_A_ROW - 1:
                await asyncio.sleep(0)
            if isinstance(body, SignalError):
                ready.append(body)
                continue
            try:
                signal = envelope(wire, body)
                if ready and _needs_a_name(signal):
                    break
                ready.append(await self.prepare(signal))
            except SignalError as error:
                ready.append(error)
            except StoreUnavailable:
                if not ready:
                    raise
                break
        return ready

    async def record(self, prepared: Sequence[Prepared], *, again: bool = False) -> list[Taken | SignalError]:
        """Put signals on disk in one commit, each with its outcome. Raises StoreUnavailable: then nobody knows.

        ``again``: an earlier attempt at these very appends failed so; what it recorded after all is no repeat.
        """
        try:
            results = await self._store.append_many([each.append for each in prepared])
        except AppendRefused as error:
            if len(prepared) == 1:
                return [SignalError("the event cannot be kept", hint=str(error))]
            half = len(prepared) // 2
            return [*await self.record(prepared[:half], again=again), *await self.record(prepared[half:], again=again)]
        found: list[tuple[Prepared, Appended]] = []
        for each, result in zip(prepared, results, strict=True):
            if isinstance(result, VersionConflict):
                raise result  # never: a signal expects no version
            found.append((each, result))
        known = await self._known(found, again=again)
        taken: list[Taken | SignalError] = []
        for each, result in found:
            append = each.append
            duplicate = result.duplicate and not (again and _is_ours(append, result, known[result.stream]))
            if duplicate and (anew := ringing_again(append, known.get(append.stream, ()))) is not None:
                taken += await self.record([replace(each, append=anew)], again=again)
                if len(found) > 1:  # for those after it
                    known[append.stream] = await self._store.read(append.stream)
            else:
                taken.append(self._taken(each, msgspec.structs.replace(result, duplicate=duplicate)))
        return taken

    async def _known(
        self, found: Iterable[tuple[Prepared, Appended]], *, again: bool
    ) -> dict[StreamId, list[RecordedEvent]]:
        """What is recorded of those calls whose signals were known and may mean something all the same: read at once, for after an
        outage a stream repeats hundreds."""
        after: dict[StreamId, int] = {}
        for each, result in found:
            if result.duplicate and _may_ring_again(each.append):
                after[each.append.stream] = 0
            if result.duplicate and again:
                after[result.stream] = min(result.version - 1, after.get(result.stream, result.version))
        return await self._store.read_many(after) if after else {}

    def _taken(self, prepared: Prepared, appended: Appended) -> Taken:
        self.heard += 1
        self.duplicates += appended.duplicate
        enterprise, name = appended.stream.enterprise, appended.stream.name
        call = name.partition("/")[2] if name.startswith("call/") else ""
        if says_debug():
            event_type = prepared.append.events[0].type
            log.debug("signal_heard", call=call, enterprise=enterprise, event_type=event_type, duplicate=appended.duplicate)
        return Taken(
            status="success" if prepared.enabled else "disabled",
            enterprise=enterprise,
            call=call,
            duplicate=appended.duplicate,
            position=appended.position,
        )

    async def reject(self, endpoint: str, body: object, error: SignalError, *, within_s: float | None = None) -> None:
        """Keep what could not be understood, without its secrets, for ``doctor`` to show. Never raises for the database."""
        await self.reject_all(endpoint, [(body, error)], within_s=within_s)

    async def reject_all(
        self,
        endpoint: str,
        refused: Sequence[tuple[object, SignalError]],
        *,
        more: int = 0,
        within_s: float | None = None,
    ) -> None:
        """The same for several at once, and for so many ``more`` that are only counted.

        Waits ``within_s`` (or the usual time) at most; what is slower is kept later.
        """
        self.rejected += len(refused) + more
        if not refused:
            return
        rows = [_as_kept(body, error) for body, error in refused]
        log.info("signal_rejected", endpoint=endpoint, field=refused[0][1].field, count=len(refused) + more)
        wait_s = self.patience.keep_s if within_s is None else max(0.0, within_s)
        try:
            await self._keeps.within(wait_s, self._keep(endpoint, rows))
        except (TimeoutError, StoreUnavailable) as late:
            log.warning("rejected_input_waits", reason=str(late) or "the database does not answer in time")

    async def _keep(self, endpoint: str, rows: Sequence[tuple[str, ...]]) -> None:
        try:
            await self._pool.execute(_KEEP_REJECTED, endpoint, *(list(column) for column in zip(*rows, strict=True)))
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
        with unavailable("the calls cannot be read"):
            stream = await self._pool.fetchval(_LAST_SHORT, enterprise, f"call/{name}-", f"call/{name}.")
        return None if stream is None else str(stream).partition("/")[2]


async def put_by(spool: Spool, kept: Kept, zone: tzinfo, *, within_s: float) -> Taken:
    """Put a signal into the spool, for the database cannot take it now. Whose it is, and what depends on his settings, is found
    out later. Raises SignalError where it is wrong under any settings, StoreUnavailable."""
    signal = envelope(kept.wire, kept.body)
    if not _needs_a_name(signal):
        parse(signal, heard_ms=kept.heard_ms, country=Settings().country, zone=zone)
    try:
        async with asyncio.timeout(max(0.0, within_s)):
            await spool.keep(kept)
    except TimeoutError as error:
        raise StoreUnavailable("neither the database nor the disk takes it in time") from error
    return Taken(status="success", enterprise=signal.enterprise, call="", duplicate=False, position=0)


def _prepared(enterprise: str, heard: Heard, revision: int, settings: Settings, now_ms: int) -> Prepared:
    type_, schema, data = heard.encoded or encode(heard.event)
    data = {**data, "settings_revision": revision}
    append = Append(
        stream=StreamId(enterprise=enterprise, name=heard.stream),
        events=(NewEvent(id=event_id(), type=type_, schema=schema, data=data),),
        digest=heard.digest,
        due_ms=now_ms + SAFETY_NET_MS if heard.stream.startswith("call/") else None,
    )
    return Prepared(append=append, enabled=settings.enabled)


def _may_ring_again(append: Append) -> bool:
    """Whether the same words again may be news: a dial of the script. Over AMI the digest itself tells whether it rings again."""
    first = append.events[0]
    return first.type == DialObserved.type and not first.data.get("wire", "").startswith(AMI_WIRE)


def ringing_again(append: Append, known: Iterable[RecordedEvent]) -> Append | None:
    """The same dial as another one, if the telephones ring again; None where it repeats what is known, or is no such dial."""
    if not _may_ring_again(append):
        return None
    dial, history = decode(DialObserved.type, append.events[0].schema, append.events[0].data), []
    if not isinstance(dial, DialObserved):
        return None
    for each in known:
        with contextlib.suppress(UnknownEventType):
            history.append(decode(each.type, each.schema, each.data))
    digest = digest_of_ringing_again(append.stream.name, history, dial)
    return None if digest in (None, append.digest) else msgspec.structs.replace(append, digest=digest)


def _is_ours(append: Append, found: Appended, known: Iterable[RecordedEvent]) -> bool:
    """Whether what was found recorded is this very append."""
    return any(each.version == found.version and each.id == append.events[-1].id for each in known)


def _needs_a_name(signal: Envelope) -> bool:
    """Whether the call's id has to be found among the calls that were recorded before."""
    return not signal.unique_id and signal.event in ("dial", "hangup", "card_request")


def _as_kept(body: object, error: SignalError) -> tuple[str, ...]:
    """A refusal as a row: enterprise, error, field, hint, body."""
    enterprise = body.get("enterprise_number") if isinstance(body, dict) else ""
    if isinstance(enterprise, bool) or not isinstance(enterprise, str | int):
        enterprise = ""
    kept = mask_text(body) if isinstance(body, str) else orjson.dumps(redact(body), default=str).decode()
    return (
        _storable(str(enterprise or "")[:64]),
        *(_storable(text) for text in (error.error, error.field, error.hint, kept)),
    )


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
