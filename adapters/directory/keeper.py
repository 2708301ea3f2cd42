"""Keeps our webhooks in MoySklad right: there while an integration is on, and gone when it is not (CONTRACT-MOYSKLAD 2.8).

They only save time: without them (no right to make them, no public address) everything works, by the age of what is known. So
nothing waits for them, they are asked for last of all, and what stands in their way is told in words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid4, uuid5

import structlog

from adapters.directory.integrations import Integrations
from adapters.directory.lookups import GetTurn
from adapters.moysklad.errors import Api
from adapters.moysklad.explain import explain_failure_ru
from adapters.moysklad.json_api import DIFF_TYPE, JsonApi, Webhook
from adapters.moysklad.per_account import mark_of
from adapters.moysklad.transport import Trail
from adapters.postgres.database import DATABASE_ERRORS, explain, load_sql, still_wanted
from adapters.settings_store import SettingsStore
from core.effects import Account, Refused, Unavailable
from core.errors import StoreUnavailable
from core.hooks import Hook, repairs, secret_in
from core.settings import Settings
from core.values import Urgency

log = structlog.get_logger("hooks")

PATH: Final = "/ms/hooks/"
LOOK_S: Final = 5.0
"""Between two looks whether anything is to be done."""
WORK_S: Final = 60.0
"""For one account's webhooks: a list, and nine to be made at most. Another instance may take it in hand after that."""
EACH_LOOK: Final = 20
"""Accounts in one look, so that ten thousand of them do not all ask at once."""
WELL_S: Final = 6 * 3_600.0
REFUSED_S: Final = 24 * 3_600.0
AWAY_S: Final = 600.0
"""When to look again: where all is well, where MoySklad does not allow it, where it did not answer."""
MAX_URL_CHARS: Final = 255

WITHOUT: Final = "Всё работает и без этого, но имя клиента, который звонил меньше суток назад, может сначала показаться прежним."
"""What was said a day ago at most is said at once, and asked anew behind the answer (``core/contacts.py``, AGED_MS)."""
NO_ADDRESS: Final = (
    "МойСклад не сообщает об изменениях: у сервиса нет публичного адреса https (MS_PUBLIC_URL). "
    f"{WITHOUT}"
)
SWITCHED_OFF: Final = (
    "Подписка на изменения оформляется, когда интеграция включена и указан токен основного API."
)
NOT_YET: Final = "Подписка на изменения в МоёмСкладе ещё не оформлена: сервис делает это сам в течение минуты."
WELL: Final = "МойСклад сообщает об изменениях клиентов и сотрудников."
REFUSED: Final = (
    "МойСклад не разрешает подписаться на изменения (для этого токен должен принадлежать администратору аккаунта, а тариф быть "
    f"платным или пробным). {WITHOUT} {{why}}"
)
AWAY: Final = "Подписаться на изменения в МоёмСкладе пока не удалось, сервис попробует снова. {why}"

_LIST, _CLAIM, _SETTLE = load_sql("hooks_list"), load_sql("hooks_claim"), load_sql("hooks_settle")


@dataclass(frozen=True, slots=True, kw_only=True)
class HookState:
    """How an enterprise's webhooks stand. ``mark``: the settings that were looked at; ``account``: whose they are."""

    enterprise: str
    account: bytes
    revision: int
    mark: str
    state: str
    reason: str
    is_due: bool


def may_register(public_url: str, main_url: str) -> bool:
    """Whether MoySklad can reach us: over https, or where both are on this machine (a sandbox)."""
    public, main = urlsplit(public_url), urlsplit(main_url)
    if len(public_url) + len(PATH) + 36 > MAX_URL_CHARS:
        return False
    near = ("127.0.0.1", "localhost", "::1")
    return public.scheme == "https" or (public.hostname in near and main.hostname in near)


class Keeper:
    """See the module. ``run`` until cancelled; ``public_url`` empty: MoySklad cannot reach us."""

    def __init__(
        self, pool: Any, *, settings: SettingsStore, json: JsonApi, integrations: Integrations, turn: GetTurn, public_url: str
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._json = json
        self._integrations = integrations
        self._turn = turn
        self._base = f"{public_url.rstrip('/')}{PATH}" if public_url else ""
        self._states: dict[str, HookState] = {}

    def watches(self, enterprise: str) -> bool:
        """Whether MoySklad tells of this enterprise's changes."""
        state = self._states.get(enterprise)
        return state is not None and state.state == "on"

    def in_words(self, enterprise: str, settings: Settings) -> tuple[bool, str]:
        """Whether it does, and in Russian why not."""
        if not settings.enabled or not settings.has_main_api:
            return False, SWITCHED_OFF
        if not self._base:
            return False, NO_ADDRESS
        state = self._states.get(enterprise)
        if state is None:
            return False, NOT_YET
        return state.state == "on", state.reason or (WELL if state.state == "on" else NOT_YET)

    def states(self) -> Mapping[str, int]:
        """How many enterprises stand how."""
        found: dict[str, int] = {}
        for state in self._states.values():
            found[state.state] = found.get(state.state, 0) + 1
        return found

    async def run(self) -> None:
        """Look again and again."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                log.warning("hooks_wait_for_database", reason=str(error))
            except DATABASE_ERRORS as error:
                still_wanted(error)
                log.warning("hooks_wait_for_database", reason=explain(error))
            await asyncio.sleep(LOOK_S)

    async def look(self) -> int:
        """Do what is to be done now; for how many enterprises. Raises StoreUnavailable or database errors."""
        rows = await self._pool.fetch(_LIST)
        self._states = {
            row["enterprise"]: HookState(
                enterprise=row["enterprise"],
                account=row["account"],
                revision=row["revision"],
                mark=row["mark"],
                state=row["state"],
                reason=row["reason"],
                is_due=row["is_due"],
            )
            for row in rows
        }
        integrations = (await self._integrations.snapshot()).integrations
        done = 0
        if self._base:
            for number, each in integrations.items():
                if done >= EACH_LOOK:
                    break
                known = self._states.get(number)
                if each.active and each.main_api and (known is None or known.mark != each.revision or known.is_due):
                    done += await self._keep(number, each.revision)
        for number, state in list(self._states.items()):
            if done >= EACH_LOOK:
                break
            wanted = integrations.get(number)
            off = not self._base or wanted is None or not wanted.active or not wanted.main_api
            if off and (state.is_due or state.state == "on"):
                done += await self._take_down(number, state)
        return done

    # -- one enterprise --------------------------------------------------------------------------------------

    async def _keep(self, enterprise: str, mark: str) -> int:
        """Make it right. 0: there is nothing to be done after all, or another instance is at it."""
        current = await self._settings.current(enterprise)
        if current is None or not current.settings.enabled or not current.account.api_token:
            return 0  # it was changed a moment ago: the next look knows
        account = mark_of(current.account)
        claimed = await self._pool.fetchrow(_CLAIM, enterprise, str(uuid4()), bytes(account), current.revision, WORK_S)
        if claimed is None:
            return 0
        secret, former = str(claimed["secret"]), ""
        if claimed["account"] != bytes(account):
            # Another account, or another key: what the old one still tells must not be taken for news of this one.
            # The same one if this is done again: what the attempt before made is known by it.
            secret, former = str(uuid5(NAMESPACE_URL, f"{secret}:{bytes(account).hex()}")), secret
            await self._remove(await self._settings.account_at(enterprise, claimed["revision"]), former)
        state, reason, again_s = await self._repair(current.account, self._base + secret, former)
        revision, owner = current.revision, bytes(account)
        if state == "away" and former:  # what the former secret made is still to be removed
            secret, revision, owner = former, claimed["revision"], claimed["account"]
        await self._settle(enterprise, revision, secret, owner, mark, state, reason, again_s)
        return 1

    async def _repair(self, account: Account, url: str, former: str) -> tuple[str, str, float]:
        """Make them right. A new token of the same account has revoked the one before (2.1): only by the new one can the webhooks
        with the ``former`` secret be removed."""
        trail = await self._trail(account)
        try:
            async with asyncio.timeout(WORK_S):
                there = await self._json.webhooks(account.api_token, trail)
                todo = repairs(map(_hook, there), url, former)
                for hook in todo.remove:  # first: an account may have five of a kind (2.8)
                    await self._json.delete_webhook(hook.id, account.api_token, trail)
                for entity, action in todo.create:
                    await self._json.create_webhook(url, entity, action, account.api_token, trail)
                by_id = {each.id: each for each in there}
                for hook in todo.mend:
                    await self._json.mend_webhook(by_id[hook.id], account.api_token, trail)
        except Refused as failure:
            log.info("hooks_refused", enterprise=account.enterprise, code=failure.code)
            return "refused", REFUSED.format(why=explain_failure_ru(failure, Api.JSON)), REFUSED_S
        except Unavailable as failure:
            return "away", AWAY.format(why=explain_failure_ru(failure, Api.JSON)), AWAY_S
        except TimeoutError:
            return "away", AWAY.format(why="МойСклад не ответил вовремя."), AWAY_S
        if todo:
            log.info("hooks_made_right", enterprise=account.enterprise, created=len(todo.create), mended=len(todo.mend))
        return "on", WELL, WELL_S

    async def _settle(
        self, enterprise: str, revision: int, secret: str, account: bytes, mark: str, state: str, reason: str, again_s: float
    ) -> None:
        await self._pool.execute(_SETTLE, enterprise, secret, account, revision, mark, state, reason, again_s)
        self._states[enterprise] = HookState(
            enterprise=enterprise,
            account=account,
            revision=revision,
            mark=mark,
            state=state,
            reason=reason,
            is_due=False,
        )

    async def _take_down(self, enterprise: str, state: HookState) -> int:
        """The integration is off: nothing of ours stays in MoySklad, if it still lets us in."""
        claimed = await self._pool.fetchrow(_CLAIM, enterprise, str(uuid4()), state.account, state.revision, WORK_S)
        if claimed is None:
            return 0
        account = await self._settings.account_at(enterprise, claimed["revision"])
        if await self._remove(account, str(claimed["secret"])):
            await self._pool.execute("DELETE FROM directory_hooks WHERE enterprise = $1", enterprise)
            self._states.pop(enterprise, None)
        else:
            secret = str(claimed["secret"])
            await self._pool.execute(
                _SETTLE, enterprise, secret, state.account, state.revision, "", "off", AWAY.format(why=""), AWAY_S
            )
        return 1

    async def _remove(self, account: Account, secret: str) -> bool:
        """Whether nothing of ours is there any more, or nothing can be done about it: an address that is not ours is a 404."""
        trail = await self._trail(account)
        try:
            async with asyncio.timeout(WORK_S):
                for hook in await self._json.webhooks(account.api_token, trail):
                    if secret_in(hook.url) == secret:
                        await self._json.delete_webhook(hook.id, account.api_token, trail)
        except Refused as failure:
            log.info("hooks_left_behind", enterprise=account.enterprise, code=failure.code)
        except (Unavailable, TimeoutError):
            return False
        return True

    async def _trail(self, account: Account) -> Trail:
        return Trail(turn=await self._turn(account.enterprise, Urgency.BACKLOG), enterprise=account.enterprise)


def _hook(webhook: Webhook) -> Hook:
    right = webhook.enabled and (webhook.action != "UPDATE" or webhook.diff_type == DIFF_TYPE)
    return Hook(id=webhook.id, url=webhook.url, entity=webhook.entity_type, action=webhook.action, is_right=right)
