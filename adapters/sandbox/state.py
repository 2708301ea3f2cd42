"""What a MoySklad knows: accounts, colleagues, customers, calls and the cards on people's screens.

Pure: no sockets, no clock, no randomness; times and ids come in. The rules of calls are in ``calls.py``, those of the
JSON API's entities in ``entities.py``; here is the memory both work on, its indexes, and its bounds.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from adapters.sandbox.errors import refuse
from adapters.sandbox.options import SandboxOptions, Switches

Json = dict[str, Any]

MAX_EVENTS_PER_CALL = 2_000
MAX_REQUEST_IDS_PER_CALL = 1_000
MATCHED_DIGITS = 10


def digits_of(text: str) -> str:
    """The decimal digits of a phone, however it was typed."""
    return "".join(char for char in text if char in "0123456789")


def match_key(number: str) -> str | None:
    """What two spellings of one number share: the last ten digits (shorter numbers as they are; none: None)."""
    return digits_of(number)[-MATCHED_DIGITS:] or None


@dataclass(slots=True, kw_only=True)
class Employee:
    """A colleague. The extension is known to the Phone API only, the rest to the JSON API only (1.6)."""

    id: str
    name: str
    extension: str | None
    login: str | None
    active: bool
    email: str | None
    phone: str | None
    created_ms: int


@dataclass(slots=True, kw_only=True)
class Entity:
    """Anything the JSON API creates: its scalar fields and ``{name: (type, id)}`` links."""

    id: str
    type: str
    fields: Json
    links: dict[str, tuple[str, str]]
    created_ms: int
    updated_ms: int
    attributes: Json = field(default_factory=dict)
    sync_id: str | None = None


@dataclass(slots=True, kw_only=True)
class CardEvent:
    """One card event as it arrived: what it asked for and what it did (``effect``)."""

    event_type: str
    extension: str | None
    employee_id: str | None
    sequence: int
    arrived_ms: int
    request_id: int
    out_of_order: bool
    effect: str


@dataclass(slots=True, kw_only=True)
class Card:
    """One showing of a call's card on one screen. A screen is an extension (or an employee without one)."""

    screen: str
    employee_id: str | None
    shown_ms: int
    timer_started_ms: int | None = None


@dataclass(slots=True, kw_only=True)
class CallRow:
    """A row of the «Звонки» journal with everything that ever happened to it."""

    id: str
    external_id: str
    number: str
    is_incoming: bool
    start_ms: int
    created_ms: int
    updated_ms: int
    counterparty_id: str | None = None
    extension: str | None = None
    employee_id: str | None = None
    end_ms: int | None = None
    duration_ms: int | None = None
    record_urls: list[str] = field(default_factory=list)
    comment: str | None = None
    events: deque[CardEvent] = field(default_factory=lambda: deque(maxlen=MAX_EVENTS_PER_CALL))
    cards: deque[Card] = field(default_factory=lambda: deque(maxlen=MAX_EVENTS_PER_CALL))
    request_ids: deque[int] = field(default_factory=lambda: deque(maxlen=MAX_REQUEST_IDS_PER_CALL))
    last_sequence: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something a watcher of the page or a webhook wants to hear of: ``kind`` says what ``data`` is."""

    kind: str
    account: str
    data: Any


@dataclass(slots=True, kw_only=True)
class Account:
    """One customer's MoySklad."""

    id: str
    name: str
    phone_key: str
    crm: bool
    phone_solution_installed: bool
    admin_id: str
    denied: frozenset[tuple[str, str]] = frozenset()
    """(entity, right): what its users may not do, see ``adapters.sandbox.seed.Denied``."""
    employees: dict[str, Employee] = field(default_factory=dict)
    by_extension: dict[str, str] = field(default_factory=dict)
    entities: dict[str, dict[str, Entity]] = field(default_factory=dict)
    sync_ids: dict[tuple[str, str], str] = field(default_factory=dict)
    children: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """(child type, counterparty id) -> ids of its contact persons or notes, in order."""
    phones: dict[str, dict[tuple[str, bool], None]] = field(default_factory=dict)
    """match key -> {(counterparty id, through a contact person)} in the order they became known."""
    calls: OrderedDict[str, CallRow] = field(default_factory=OrderedDict)
    by_external_id: dict[str, list[str]] = field(default_factory=dict)
    open_cards: dict[str, dict[str, Card]] = field(default_factory=dict)
    """screen -> call id -> the card on it now."""
    states: dict[str, list[Json]] = field(default_factory=dict)
    attributes: dict[str, list[Json]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    passwords: dict[str, tuple[str, str]] = field(default_factory=dict)
    last_order_number: int = 0

    def of_type(self, kind: str) -> dict[str, Entity]:
        """All entities of one type, in the order they were created."""
        return self.entities.setdefault(kind, {})

    def forget(self, entity: Entity) -> None:
        """Take an entity off its shelf; its syncId may be used again."""
        del self.of_type(entity.type)[entity.id]
        if entity.sync_id is not None:
            self.sync_ids.pop((entity.type, entity.sync_id), None)

    def employee_at(self, extension: str | None) -> Employee | None:
        """Whose extension this is."""
        found = self.by_extension.get(extension) if extension is not None else None
        return self.employees[found] if found is not None else None

    def take_card_off(self, screen: str, call_id: str) -> None:
        """No card of this call is on this screen any more."""
        cards = self.open_cards.get(screen)
        if cards is not None:
            cards.pop(call_id, None)
            if not cards:
                del self.open_cards[screen]


class State:
    """All accounts of one sandbox and the switches in force. Its :attr:`changes` are drained by the edge."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.switches: Switches = options.switches
        self.accounts: dict[str, Account] = {}
        self._by_phone_key: dict[str, str] = {}
        self._by_token: dict[str, tuple[str, str]] = {}
        self._by_login: dict[str, tuple[str, str]] = {}
        self.changes: deque[Change] = deque(maxlen=10_000)

    # -- ids and changes -------------------------------------------------------------------------------------

    @property
    def new_id(self) -> Callable[[], str]:
        """The injected source of ids."""
        return self.options.new_id

    def tell(self, kind: str, account: Account, data: Any) -> None:
        """Remember a change for whoever watches."""
        self.changes.append(Change(kind=kind, account=account.name, data=data))

    def drain_changes(self) -> Iterator[Change]:
        """The changes since the last draining, oldest first."""
        while self.changes:
            yield self.changes.popleft()

    # -- accounts and credentials ----------------------------------------------------------------------------

    def add_account(self, account: Account) -> None:
        """Let an account in; raises ValueError if its name or phone key is taken."""
        if account.name in self.accounts or account.phone_key in self._by_phone_key:
            raise ValueError(f"account {account.name}: name or phone key is taken")
        self.accounts[account.name] = account
        self._by_phone_key[account.phone_key] = account.name

    def account_by_phone_key(self, key: str) -> Account | None:
        """Whose Phone API key this is."""
        name = self._by_phone_key.get(key)
        return self.accounts[name] if name is not None else None

    def user_by_token(self, token: str) -> tuple[Account, Employee] | None:
        """Whose JSON API token this is."""
        found = self._by_token.get(token)
        return self._user(found) if found is not None else None

    def user_by_login(self, login: str, password: str) -> tuple[Account, Employee] | None:
        """Whose login this is, if the password is right."""
        found = self._by_login.get(login)
        if found is None:
            return None
        account, employee = self._user(found)
        return (account, employee) if account.passwords[login][0] == password else None

    def _user(self, found: tuple[str, str]) -> tuple[Account, Employee]:
        account = self.accounts[found[0]]
        return account, account.employees[found[1]]

    def give_token(self, account: Account, employee_id: str, token: str, *, revoke_others: bool) -> None:
        """Let ``token`` speak for an employee; issuing a new one revokes the user's previous ones (2.1)."""
        if self._by_token.get(token, (account.name, employee_id)) != (account.name, employee_id):
            raise ValueError("this token belongs to somebody else")
        if revoke_others:
            for old in [known for known, owner in account.tokens.items() if owner == employee_id]:
                del account.tokens[old]
                del self._by_token[old]
        account.tokens[token] = employee_id
        self._by_token[token] = (account.name, employee_id)

    def give_password(self, account: Account, employee_id: str, login: str, password: str) -> None:
        """Let an employee in by login and password."""
        if self._by_login.get(login, (account.name, employee_id)) != (account.name, employee_id):
            raise ValueError(f"login {login} belongs to somebody else")
        account.passwords[login] = (password, employee_id)
        self._by_login[login] = (account.name, employee_id)

    # -- entities --------------------------------------------------------------------------------------------

    def keep(self, account: Account, entity: Entity) -> None:
        """Put a new entity into its account, within the bound."""
        shelf = account.of_type(entity.type)
        if len(shelf) >= self.options.max_entities:
            raise refuse(3007, "песочница переполнена")
        shelf[entity.id] = entity
        if entity.sync_id is not None:
            account.sync_ids[entity.type, entity.sync_id] = entity.id

    def index_phone(self, account: Account, old: str | None, new: str | None, owner: tuple[str, bool]) -> None:
        """Let number matching know that ``owner`` (counterparty, through a person) changed a phone."""
        before = match_key(old) if old else None
        after = match_key(new) if new else None
        if before is not None and (known := account.phones.get(before)) is not None:
            known.pop(owner, None)
            if not known:
                del account.phones[before]
        if after is not None:
            account.phones.setdefault(after, {})[owner] = None

    def counterparty_for(self, account: Account, number: str) -> Entity | None:
        """Whom MoySklad takes a number for (1.4, 6.7): the first known, own phones before contact persons'."""
        mode = self.switches.number_match
        key = match_key(number)
        if mode == "off" or key is None:
            return None
        known = account.phones.get(key, {})
        shelf = account.of_type("counterparty")
        for through_person in (False, True) if mode == "with-contact-persons" else (False,):
            for counterparty_id, by_person in known:
                found = shelf[counterparty_id]
                if by_person == through_person and not found.fields.get("archived", False):
                    return found
        return None

    # -- calls -----------------------------------------------------------------------------------------------

    def add_call(self, account: Account, call: CallRow) -> None:
        """Put a call into the journal; the oldest gives way when it is full."""
        while len(account.calls) >= self.options.max_calls:
            self._forget_oldest_call(account)
        account.calls[call.id] = call
        account.by_external_id.setdefault(call.external_id, []).append(call.id)

    def _forget_oldest_call(self, account: Account) -> None:
        call_id, call = account.calls.popitem(last=False)
        same = account.by_external_id[call.external_id]
        same.remove(call_id)
        if not same:
            del account.by_external_id[call.external_id]
        for card in call.cards:
            account.take_card_off(card.screen, call_id)

    def call_by_external_id(self, account: Account, external_id: str) -> CallRow | None:
        """The first call registered under an external id (there are several only when doubling is switched on)."""
        ids = account.by_external_id.get(external_id)
        return account.calls[ids[0]] if ids else None
