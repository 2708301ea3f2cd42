"""Settings of enterprises: the row that we share with the dispatcher, and every revision that was ever in force.

A call names the revision it began under, so a replay a year later still knows what was asked for (PRODUCT D3). Others
write the row by SQL: such a change is noticed by its content and becomes a revision of its own. Whatever MoySklad refused
under the old settings is asked again: the order for it is written together with the revision.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import uuid4
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import asyncpg
import orjson

from adapters.outages import is_outage, unavailable
from adapters.postgres.database import DATABASE_ERRORS, load_sql
from adapters.vault import Vault, is_encrypted
from adapters.webhook_addresses import WebhookAddresses, webhook_url
from core.effects import Account
from core.errors import StoreUnavailable
from core.settings import (
    SECRET_FIELDS,
    Settings,
    SettingsError,
    fingerprint,
    merge_update,
    parse_settings,
    read_object,
    restored,
)
from core.webhook_signature import is_same_uuid

INLINE_ENTERPRISE: Final = "inline"
"""Under this name run calls that bring their settings along and name no enterprise (CONTRACT-ASTERISK, short form)."""

PHONE_API_URL: Final = "https://api.moysklad.ru/api/phone/1.0"
"""Fixed; shown to the administrator (PRODUCT D2)."""

FRESH_S: Final = 2.0
RETRY_AFTER_S: Final = FRESH_S + 3.0
"""A change is known to every instance after ``FRESH_S``; only then are the account's refusals forgotten and parked calls asked
again (``adapters/retries.py``): otherwise they would be refused once more, with the old key."""

CONFIRM_EVERY_S: Final = 0.5
"""How often the settings of all enterprises in use are compared with the database."""

COMPARED_IN_A_ROW: Final = 200
"""After comparing so many enterprises (half a millisecond) others have their turn."""

LOOKED_TOGETHER: Final = 50
"""Enterprises read by one look: after a start under load a thousand are asked for within a second."""

LOOKS_AT_ONCE: Final = 2
"""Looks at the same time. The pool has a connection more, so that confirming what is in use never stands in line behind a
thousand enterprises that are read for the first time: what is not confirmed in time is read again, and the line would not end."""

IN_USE_S: Final = 30.0
"""An enterprise counts as in use for this long after its settings were last asked for."""

CACHED_ENTERPRISES: Final = 10_000
CACHED_REVISIONS: Final = 20_000

STORE: Final = "UPDATE public.enterprises SET integrations_config = $2 WHERE number = $1"
"""The column as :func:`column` makes it, for who holds the row."""

_READ, _LOCK, _MARKS = load_sql("settings_read"), load_sql("settings_lock"), load_sql("settings_marks")
_WEBHOOKS_OF_ALL, _LIST = load_sql("settings_webhooks"), load_sql("enterprises_list")
_REVISION: Final = "SELECT settings FROM settings_revisions WHERE enterprise = $1 AND revision = $2 AND NOT inline"
_LAST, _ADD = load_sql("settings_last_revision"), load_sql("settings_add_revision")
_ORDER_RETRY: Final = load_sql("retry_order_make")
_HOLD: Final = "SELECT pg_advisory_xact_lock(hashtextextended(enterprise, 8023)) FROM unnest($1::text[]) AS held (enterprise)"
"""In the order given. Of those who make revisions of several enterprises everybody gives them sorted, so nobody waits in a ring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """An enterprise's settings in force. ``config`` is the ``ms`` object with its tokens in the clear: never shown."""

    enterprise: str
    revision: int
    settings: Settings
    account: Account
    config: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One entry of the change history."""

    revision: int
    at: datetime
    by: str
    reason: str
    config: Mapping[str, Any] = field(repr=False)


class SettingsConflict(Exception):
    """Somebody else saved meanwhile: load the settings again before saving."""


class SettingsStore:
    """Reads and writes settings. Every method may raise StoreUnavailable.

    ``records``: what others changed in a row becomes a revision. A tool that looks leaves that to the service: its key may be
    another one, under which the service could not read that revision's tokens. What it finds unrecorded has the revision 0.
    """

    def __init__(
        self,
        pool: Any,
        vault: Vault,
        *,
        public_url: str,
        monotonic_s: Callable[[], float] = time.monotonic,
        records: bool = True,
    ) -> None:
        self._pool = pool
        self._vault = vault
        self._records = records
        self._public_url = public_url.rstrip("/")
        self._monotonic_s = monotonic_s
        self._current: OrderedDict[str, tuple[float, Current | None]] = OrderedDict()
        self._read: OrderedDict[str, tuple[str, Current]] = OrderedDict()
        """What was made of which content of the row."""

        self._used: dict[str, float] = {}
        """Which were asked for lately, and when; no more than are cached."""

        self._confirming: asyncio.Task[None] | None = None
        self._looking: dict[str, asyncio.Future[Current | None]] = {}
        """Whose settings are being looked for: everybody who asks meanwhile waits for the same look."""

        self._wanted: deque[str] = deque()
        """Those of them that no look has been taken for yet."""

        self._looks: set[asyncio.Task[None] | None] = set()
        self._revisions: OrderedDict[tuple[str, int], tuple[Settings, Account, bool]] = OrderedDict()
        self._tokens: OrderedDict[str, tuple[float, str | None]] = OrderedDict()
        self._webhooks = WebhookAddresses(self._all_webhooks, monotonic_s)

    async def current(self, enterprise: str) -> Current | None:
        """The settings in force, at most two seconds old; None for an enterprise nobody knows."""
        if (known := self.fresh(enterprise)) is not None:
            return known
        fresh = self._current.get(enterprise)
        if fresh is not None and fresh[0] > self._monotonic_s():
            return fresh[1]
        try:
            return await self._renew(enterprise)
        except StoreUnavailable:
            if fresh is not None:
                return fresh[1]  # what was in force two seconds ago is better than a lost call
            raise

    async def _renew(self, enterprise: str) -> Current | None:
        with unavailable("the settings cannot be read"):
            found = await self._look_once(enterprise)
        saved = self._current.get(enterprise, (0.0, None))[1]
        if saved is not None and found is not None and saved.revision > found.revision:
            return saved  # saved while we looked
        self._keep(self._current, enterprise, (self._monotonic_s() + FRESH_S, found), CACHED_ENTERPRISES)
        return found

    def fresh(self, enterprise: str) -> Current | None:
        """The same, if it is known without asking; None: ask. What is in use is confirmed before it gets too old."""
        now_s = self._monotonic_s()
        until_s, known = self._current.get(enterprise, (0.0, None))
        if known is None or until_s <= now_s:
            return None
        self._used[enterprise] = now_s
        if self._confirming is None:
            self._confirming = asyncio.get_running_loop().create_task(self._confirm(), name="settings in use")
        return known

    async def _confirm(self) -> None:
        """See, for all that are in use together, whether their rows are as they were read; read those that are not."""
        try:
            while self._used:
                await asyncio.sleep(CONFIRM_EVERY_S)
                now_s = self._monotonic_s()
                self._used = {name: at_s for name, at_s in self._used.items() if now_s - at_s < IN_USE_S and name in self._current}
                soon_s = now_s + FRESH_S / 2
                names = [name for name in self._used if self._current.get(name, (0.0, None))[0] < soon_s]
                if names:
                    await self._see_whether_changed(names, now_s + FRESH_S)
        except StoreUnavailable:
            self._used.clear()  # whoever needs them asks, and is told
        finally:
            self._confirming = None

    async def _see_whether_changed(self, names: list[str], until_s: float) -> None:
        with unavailable("the settings cannot be read"):
            marks = {row["number"]: row["mark"] for row in await self._pool.fetch(_MARKS, names)}
        changed = []
        for nth, name in enumerate(names, 1):
            mark, read = self._read.get(name, ("", None))
            if read is not None and read is self._current.get(name, (0.0, None))[1] and marks.get(name) == mark:
                self._current[name] = (until_s, read)
            else:
                changed.append(name)
            if nth % COMPARED_IN_A_ROW == 0:
                await asyncio.sleep(0)
        await asyncio.gather(*map(self._renew, changed))  # the others are fresh by now

    def last_known(self, enterprise: str) -> Current | None:
        """The settings as they were last seen, however long ago, for whoever cannot wait for the database."""
        return self._current.get(enterprise, (0.0, None))[1]

    async def account_at(self, enterprise: str, revision: int) -> Account:
        """The credentials of one revision: to clean up with a key that is no longer in force."""
        return (await self._at(enterprise, revision))[1]

    async def by_token(self, token: str) -> str | None:
        """The enterprise whose secret this is; None for nobody's."""
        known = self._tokens.get(token)
        if known is not None and known[0] > self._monotonic_s():
            return known[1]
        with unavailable("the settings cannot be read"):
            number = await self._pool.fetchval(
                "SELECT number FROM public.enterprises WHERE secret = $1 AND secret <> '' ORDER BY number LIMIT 1", token
            )
        self._keep(self._tokens, token, (self._monotonic_s() + FRESH_S, number), CACHED_ENTERPRISES)
        return None if number is None else str(number)

    async def secret_of(self, enterprise: str) -> str:
        """The enterprise's secret at the provider (``enterprises.secret``), as it is now; empty where there is none."""
        with unavailable("the enterprise's secret cannot be read"):
            found = await self._pool.fetchval("SELECT secret FROM public.enterprises WHERE number = $1", enterprise)
        return str(found or "")

    async def of_webhook(self, uuid: str) -> Current | None:
        """The settings in force of the enterprise whose webhook address holds this UUID (PRODUCT E5); None for nobody's."""
        for anew in (False, True):
            enterprise = await self._webhooks.find(uuid, anew=anew)
            if enterprise is None:
                return None
            current = await self.current(enterprise)
            if current is not None and is_same_uuid(uuid, str(current.config.get("webhook_uuid") or "")):
                return current
        return None

    async def _all_webhooks(self) -> list[tuple[str, str]]:
        with unavailable("the settings cannot be read"):
            rows = await self._pool.fetch(_WEBHOOKS_OF_ALL)
        return [(str(row["uuid"]), str(row["number"])) for row in rows]

    async def listing(self, wanted: str, only: str | None, limit: int) -> list[tuple[str, str, dict[str, Any]]]:
        """Enterprises by number: number, name, and the ``ms`` object as it is stored. ``wanted``: a part of number or name."""
        with unavailable("the settings cannot be read"):
            rows = await self._pool.fetch(_LIST, wanted, only, limit)
        return [(row["number"], row["name"], read_object(read_object(row["integrations_config"]).get("ms"))) for row in rows]

    async def about(self, enterprise: str) -> tuple[str, str]:
        """An enterprise's name, and which integration the dispatcher asks first (``smart.primary``, written by others).

        Empty where nobody said.
        """
        with unavailable("the settings cannot be read"):
            rows = await self._pool.fetch(_LIST, "", enterprise, 1)
        if not rows:
            return "", ""
        smart = read_object(read_object(rows[0]["integrations_config"]).get("smart"))
        return str(rows[0]["name"]), str(smart.get("primary") or "")

    async def for_call(self, enterprise: str, revision: int) -> tuple[Settings, Account]:
        """What a call works under: the settings of its revision, and the credentials in force now.

        A revoked key that was replaced must serve calls that began before; an inline configuration brings its own. Where the
        integration was deleted, a call that MoySklad has is only ended.
        """
        settings, account, inline = await self._at(enterprise, revision)
        if inline:
            return settings, account
        now = await self.current(enterprise)
        if now is not None and not now.config:
            return replace(settings, has_main_api=False), replace(account, api_token="", ends_only=True)
        return settings, now.account if now is not None else account

    async def at_revision(self, enterprise: str, revision: int) -> Settings:
        """The settings of one revision; switched off where the revision is not known."""
        return (await self._at(enterprise, revision))[0]

    async def save(
        self, enterprise: str, body: object, *, by: str, reason: str, expected_revision: int | None = None
    ) -> Current:
        """Store an administrator's update; creates the enterprise's row if there is none.

        Raises SettingsError for a bad field, SettingsConflict when ``expected_revision`` is not the one in force.
        """

        def change(config: dict[str, Any]) -> dict[str, Any]:
            merged = merge_update(config, body)
            _known_zone(merged)
            return self._with_addresses(merged, config.get("webhook_uuid"))

        return await self._write(enterprise, change, by=by, reason=reason, expected_revision=expected_revision)

    async def restore(self, enterprise: str, revision: int, *, by: str, expected_revision: int) -> Current | None:
        """Make the settings of an earlier revision a new one; secrets stay as they are now. None for an unknown revision.

        A key that was replaced since was replaced for a reason. Raises as :meth:`save` does.
        """
        with unavailable("the settings cannot be read"):
            stored = await self._pool.fetchval(_REVISION, enterprise, revision)
        if stored is None:
            return None
        wanted = self._vault.decrypt_fields(read_object(stored))

        def change(config: dict[str, Any]) -> dict[str, Any]:
            # After a removal the earlier address comes back: it is the one that MoySklad was given.
            return self._with_addresses(restored(config, wanted), config.get("webhook_uuid") or wanted.get("webhook_uuid"))

        reason = f"restored revision {revision}"
        return await self._write(enterprise, change, by=by, reason=reason, expected_revision=expected_revision)

    async def delete(self, enterprise: str, *, by: str) -> bool:
        """Remove our key from the row; the history of revisions stays. False for an enterprise nobody knows."""
        if await self.current(enterprise) is None:
            return False
        await self._write(enterprise, lambda _: {}, by=by, reason="deleted", expected_revision=None)
        return True

    async def inline(self, enterprise: str, config: Mapping[str, Any]) -> tuple[int, Settings]:
        """Keep settings that came with a call as a revision of their own (PRODUCT A8); the same ones are kept once."""
        merged = merge_update({"enabled": True}, dict(config))
        _known_zone(merged)
        mark = fingerprint(merged)
        with unavailable("the settings cannot be stored"):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(_HOLD, [enterprise])
                revision = await connection.fetchval(
                    "SELECT revision FROM settings_revisions WHERE enterprise = $1 AND fingerprint = $2 AND inline",
                    enterprise,
                    mark,
                )
                if revision is None:
                    added = await self._add(connection, {enterprise: merged}, by="caller", reason="inline", inline=True)
                    revision = added[enterprise]
        return int(revision), parse_settings(merged)

    async def history(self, enterprise: str, limit: int = 50) -> list[Revision]:
        """What changed, newest first; tokens in the clear, so mask before showing."""
        with unavailable("the settings cannot be read"):
            rows = await self._pool.fetch(
                "SELECT revision, at, by, reason, settings FROM settings_revisions"
                " WHERE enterprise = $1 AND NOT inline ORDER BY revision DESC LIMIT $2",
                enterprise,
                limit,
            )
        return [
            Revision(
                revision=row["revision"],
                at=row["at"],
                by=row["by"],
                reason=row["reason"],
                config=self._vault.decrypt_fields(row["settings"]),
            )
            for row in rows
        ]

    async def _look_once(self, enterprise: str) -> Current | None:
        """Look for everybody who asks at this moment: a burst of signals costs one query, and so does one of many enterprises."""
        looking = self._looking.get(enterprise)
        if looking is None:
            looking = self._looking[enterprise] = asyncio.get_running_loop().create_future()
            looking.add_done_callback(lambda done: self._looked(enterprise, done))
            self._wanted.append(enterprise)
            if len(self._looks) < LOOKS_AT_ONCE:
                self._looks.add(asyncio.create_task(self._look_for_all(), name="settings"))
        return await asyncio.shield(looking)

    def _looked(self, enterprise: str, done: asyncio.Future[Current | None]) -> None:
        self._looking.pop(enterprise, None)
        if not done.cancelled():
            done.exception()  # whoever asked may have gone away meanwhile

    async def _look_for_all(self) -> None:
        """Look until nobody's settings are wanted any more, for all together whose turn has come."""
        try:
            while self._wanted:
                await self._look_for([self._wanted.popleft() for _ in range(min(len(self._wanted), LOOKED_TOGETHER))])
        finally:  # in the same breath as it was seen that nobody waits: whoever asks next takes a new look
            self._looks.discard(asyncio.current_task())

    async def _look_for(self, names: list[str]) -> None:
        """Look, and tell whoever asked. What is wrong with one enterprise, or who holds it, is no other's affair."""
        try:
            found = await self._look(names)
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            concerns_all = is_outage(error) and not isinstance(error, asyncpg.LockNotAvailableError)
            for name in names:
                if concerns_all or len(names) == 1:
                    self._looking[name].set_exception(error)
                else:
                    await self._look_for([name])
        else:
            for name in names:
                self._looking[name].set_result(found.get(name))

    async def _look(self, names: list[str]) -> dict[str, Current]:
        async with self._pool.acquire() as connection:
            rows = await self._rows(connection, names)
            revisions, fresh = await _as_they_are(connection, {name: config for name, (_, config) in rows.items()})
            if fresh and self._records:
                async with connection.transaction():
                    await connection.execute(_HOLD, sorted(fresh))
                    # Somebody may have saved them meanwhile; from here on nobody does.
                    again = await self._rows(connection, list(fresh))
                    rows = {name: row for name, row in rows.items() if name not in fresh} | again
                    changed = {name: config for name, (_, config) in again.items()}
                    why = "changed outside the service"
                    revisions |= await self._revisions_of(connection, changed, by="outside", reason=why)
        found: dict[str, Current] = {}
        for name, (mark, config) in rows.items():
            current = found[name] = self._as_current(name, revisions.get(name, 0), config)
            self._keep(self._read, name, (mark, current), CACHED_ENTERPRISES)
        return found

    async def _rows(self, connection: Any, names: list[str]) -> dict[str, tuple[str, dict[str, Any]]]:
        """What tells one version of the row from another, and the ``ms`` object with its tokens in the clear."""
        return {
            row["number"]: (
                str(row["mark"]),
                self._vault.decrypt_fields(read_object(read_object(row["integrations_config"]).get("ms"))),
            )
            for row in await connection.fetch(_READ, names)
        }

    async def _revision_of(self, connection: Any, enterprise: str, config: dict[str, Any], *, by: str, reason: str) -> int:
        await connection.execute(_HOLD, [enterprise])
        return (await self._revisions_of(connection, {enterprise: config}, by=by, reason=reason))[enterprise]

    async def _revisions_of(
        self, connection: Any, configs: Mapping[str, dict[str, Any]], *, by: str, reason: str
    ) -> dict[str, int]:
        """The revision with each enterprise's content, made now where the last one has another. Whoever calls it holds them."""
        known, fresh = await _as_they_are(connection, configs)
        if not fresh:
            return known
        content = {enterprise: configs[enterprise] for enterprise in fresh}
        added = await self._add(connection, content, by=by, reason=reason, inline=False)
        for enterprise, revision in added.items():
            if fresh[enterprise] and configs[enterprise]:  # under no settings nothing was refused, and nothing can be done
                why = f"the settings were changed (revision {revision})"
                await connection.execute(_ORDER_RETRY, enterprise, "", by, why, RETRY_AFTER_S)
        return known | added

    async def _add(
        self, connection: Any, content: Mapping[str, dict[str, Any]], *, by: str, reason: str, inline: bool
    ) -> dict[str, int]:
        """Keep these settings of each enterprise as its next revision."""
        settings = [orjson.dumps(self._vault.encrypt_fields(config)).decode() for config in content.values()]
        marks = [fingerprint(config) for config in content.values()]
        rows = await connection.fetch(_ADD, list(content), settings, marks, by, reason, inline)
        return {row["enterprise"]: int(row["revision"]) for row in rows}

    async def _write(
        self,
        enterprise: str,
        change: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        by: str,
        reason: str,
        expected_revision: int | None,
    ) -> Current:
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    "INSERT INTO public.enterprises (number) VALUES ($1) ON CONFLICT DO NOTHING", enterprise
                )
                whole = await connection.fetchval(_LOCK, enterprise)
                config = self._vault.decrypt_fields(read_object(read_object(whole).get("ms")))
                revision = await self._revision_of(connection, enterprise, config, by="outside", reason="found before a change")
                if expected_revision is not None and expected_revision != revision:
                    raise SettingsConflict(f"revision {revision} is in force, not {expected_revision}")
                changed = change(config)
                await connection.execute(STORE, enterprise, column(whole, self._vault.encrypt_fields(changed)))
                revision = await self._revision_of(connection, enterprise, changed, by=by, reason=reason)
        except asyncpg.IntegrityConstraintViolationError as error:
            hint = "Сначала заведите предприятие у провайдера телефонии."
            raise SettingsError("the enterprise cannot be created", "enterprise_number", hint) from error
        except DATABASE_ERRORS as error:
            if not is_outage(error):
                raise
            raise StoreUnavailable("the settings cannot be stored") from error
        current = self._as_current(enterprise, revision, changed)
        self._keep(self._current, enterprise, (self._monotonic_s() + FRESH_S, current), CACHED_ENTERPRISES)
        return current

    async def _at(self, enterprise: str, revision: int) -> tuple[Settings, Account, bool]:
        key = (enterprise, revision)
        if key in self._revisions:
            self._revisions.move_to_end(key)
            return self._revisions[key]
        with unavailable("the settings cannot be read"):
            row = await self._pool.fetchrow(
                "SELECT settings, inline FROM settings_revisions WHERE enterprise = $1 AND revision = $2", enterprise, revision
            )
        if row is None:
            return Settings(), Account(enterprise=enterprise), False
        config = self._vault.decrypt_fields(read_object(row["settings"]))
        found = (_settings(config), _account(enterprise, config), bool(row["inline"]))
        self._keep(self._revisions, key, found, CACHED_REVISIONS)
        return found

    def _with_addresses(self, config: dict[str, Any], webhook_uuid: object) -> dict[str, Any]:
        """The settings with what the service itself says in them."""
        told = {**config, "phone_api_url": PHONE_API_URL, "webhook_uuid": str(webhook_uuid or uuid4())}
        return {**told, "webhook_url": self.webhook_url(told)}

    def webhook_url(self, config: Mapping[str, Any]) -> str:
        """The address for clicks as it is now, whatever it was when these settings were saved."""
        return webhook_url(self._public_url, config)

    def _as_current(self, enterprise: str, revision: int, config: Mapping[str, Any]) -> Current:
        return Current(
            enterprise=enterprise,
            revision=revision,
            settings=_settings(config),
            account=_account(enterprise, config),
            config=config,
        )

    @staticmethod
    def _keep(cache: OrderedDict[Any, Any], key: Any, value: Any, limit: int) -> None:
        cache[key] = value
        cache.move_to_end(key)
        while len(cache) > limit:
            cache.popitem(last=False)


async def _as_they_are(connection: Any, configs: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, int], dict[str, bool]]:
    """The revisions of those whose last one has this very content; the others, and whether these had settings before."""
    last = {row["enterprise"]: row for row in await connection.fetch(_LAST, list(configs))}
    known: dict[str, int] = {}
    fresh: dict[str, bool] = {}
    for enterprise, config in configs.items():
        row = last.get(enterprise)
        if row is not None and row["fingerprint"] == fingerprint(config):
            known[enterprise] = int(row["revision"])
        elif row is None and not config:
            known[enterprise] = 0
        else:
            fresh[enterprise] = row is not None
    return known, fresh


def _settings(config: Mapping[str, Any]) -> Settings:
    """The settings, without the secrets that another key encrypted: calls go on, and the administrator is told."""
    lost = sorted(name for name, value in config.items() if is_encrypted(value))
    settings = parse_settings({name: value for name, value in config.items() if name not in lost})
    told = [f"{name}: сохранён под другим ключом шифрования (MS_SECRET_KEY), введите его заново." for name in lost]
    return replace(settings, problems=(*settings.problems, *told), main_api_sealed="api_token" in lost) if told else settings


def _account(enterprise: str, config: Mapping[str, Any]) -> Account:
    phone_key, api_token = ("" if is_encrypted(config.get(name)) else config.get(name) for name in SECRET_FIELDS)
    return Account(
        enterprise=enterprise,
        phone_key=str(phone_key or "").strip(),
        api_token=str(api_token or "").strip(),
        organization=str(config.get("organization") or "").strip(),
        assignee=str(config.get("task_assignee") or "").strip(),
    )


def _known_zone(config: Mapping[str, Any]) -> None:
    zone = config.get("timezone")
    try:
        if isinstance(zone, str) and zone:
            ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        hint = "Такого часового пояса нет. Укажите, например, Europe/Minsk."
        raise SettingsError("timezone is not known", "timezone", hint) from error


def column(whole: object, own: Mapping[str, Any]) -> Any:
    """The column with ``own`` as our part (empty: without one); what else it holds stays. Raises as :func:`_others`."""
    stored = {**_others(whole), "ms": own} if own else _others(whole)
    return orjson.dumps(stored).decode() if isinstance(whole, str) else stored  # whoever stored a JSON string reads one


def _others(whole: object) -> dict[str, Any]:
    """What else the column holds. Raises SettingsError where it cannot be read: writing would destroy it."""
    kept = read_object(whole)
    if not kept and whole not in (None, "", {}, "{}", "null"):
        hint = "Настройки предприятия в базе повреждены (integrations_config): обратитесь к поддержке."
        raise SettingsError("integrations_config is not an object", "", hint)
    kept.pop("ms", None)
    return kept
