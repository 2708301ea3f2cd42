"""Puts people and customers into a sandbox: what a seed describes becomes accounts and entities. Pure."""

from __future__ import annotations

from adapters.sandbox.seed import AccountSeed, CounterpartySeed, EmployeeSeed, StateSeed
from adapters.sandbox.state import Account, Employee, Entity, Json, State


class BadSeed(ValueError):
    """A seed that contradicts itself or what is there; ``field`` names the spot."""

    def __init__(self, field: str, hint: str) -> None:
        super().__init__(f"{field}: {hint}")
        self.field = field
        self.hint = hint


def populate(state: State, seed: AccountSeed, *, now_ms: int) -> Account:
    """Make or extend the account a seed describes; raises :class:`BadSeed`."""
    account = state.accounts.get(seed.name)
    if account is None:
        account = _new_account(state, seed, now_ms)
    elif account.phone_key != seed.phone_key:
        raise BadSeed(f"accounts.{seed.name}.phone_key", "the account has another key")
    account.crm = seed.crm
    account.denied = frozenset((each.entity, each.right) for each in seed.denied)
    account.phone_solution_installed = seed.phone_solution_installed
    try:
        if seed.login is not None and seed.password is not None:
            state.give_password(account, account.admin_id, seed.login, seed.password)
    except ValueError as error:
        raise BadSeed(f"accounts.{seed.name}", str(error)) from error
    for employee in seed.employees:
        _put_employee(state, account, employee, now_ms)
    _give_token(state, account, seed)
    for counterparty in seed.counterparties:
        _put_counterparty(state, account, counterparty, now_ms)
    _put_named(state, account, "organization", seed.organizations, {"companyType": "legal"}, now_ms)
    _put_named(state, account, "saleschannel", seed.sales_channels, {"type": "OTHER"}, now_ms)
    _put_states(state, account, "customerorder", seed.order_states)
    _put_states(state, account, "counterparty", seed.counterparty_states)
    _put_attributes(state, account, seed)
    return account


def _give_token(state: State, account: Account, seed: AccountSeed) -> None:
    owner = account.employee_at(seed.token_extension)
    if seed.token_extension is not None and owner is None:
        raise BadSeed("token_extension", f"nobody has extension {seed.token_extension}")
    try:
        state.give_token(account, owner.id if owner is not None else account.admin_id, seed.api_token, revoke_others=False)
    except ValueError as error:
        raise BadSeed(f"accounts.{seed.name}", str(error)) from error


def _new_account(state: State, seed: AccountSeed, now_ms: int) -> Account:
    admin = Employee(
        id=state.new_id(),
        name="Администратор",
        extension=None,
        login=seed.login or f"admin@{seed.name}",
        active=True,
        email=None,
        phone=None,
        created_ms=now_ms,
    )
    account = Account(
        id=state.new_id(),
        name=seed.name,
        phone_key=seed.phone_key,
        crm=seed.crm,
        phone_solution_installed=seed.phone_solution_installed,
        admin_id=admin.id,
    )
    account.employees[admin.id] = admin
    try:
        state.add_account(account)
    except ValueError as error:
        raise BadSeed(f"accounts.{seed.name}", str(error)) from error
    return account


def _put_employee(state: State, account: Account, seed: EmployeeSeed, now_ms: int) -> None:
    known = account.employee_at(seed.extension) or next(
        (one for one in account.employees.values() if one.name == seed.name and seed.extension is None), None
    )
    employee = Employee(
        id=known.id if known is not None else (seed.id or state.new_id()),
        name=seed.name,
        extension=seed.extension,
        login=seed.login,
        active=seed.active,
        email=seed.email,
        phone=seed.phone,
        created_ms=known.created_ms if known is not None else now_ms,
    )
    account.employees[employee.id] = employee
    if seed.extension is not None:
        account.by_extension[seed.extension] = employee.id


def _put_counterparty(state: State, account: Account, seed: CounterpartySeed, now_ms: int) -> None:
    shelf = account.of_type("counterparty")
    if any(one.fields["name"] == seed.name and one.fields.get("phone") == seed.phone for one in shelf.values()):
        return
    owner = account.employee_at(seed.owner_extension)
    if seed.owner_extension is not None and owner is None:
        raise BadSeed("owner_extension", f"nobody has extension {seed.owner_extension}")
    fields: Json = {
        "name": seed.name,
        "companyType": "legal",
        "tags": list(seed.tags),
        "archived": seed.archived,
        "shared": False,
    }
    if seed.phone is not None:
        fields["phone"] = seed.phone
    counterparty = _entity(
        state,
        account,
        "counterparty",
        fields,
        now_ms,
        entity_id=seed.id,
        links={"owner": ("employee", owner.id if owner is not None else account.admin_id)},
    )
    state.index_phone(account, None, seed.phone, (counterparty.id, False))
    for contact in seed.contact_persons:
        details: Json = {"name": contact.name}
        if contact.phone is not None:
            details["phone"] = contact.phone
        if contact.email is not None:
            details["email"] = contact.email
        links = {"agent": ("counterparty", counterparty.id)}
        made = _entity(state, account, "contactperson", details, now_ms, links=links)
        account.children.setdefault(("contactperson", counterparty.id), []).append(made.id)
        state.index_phone(account, None, contact.phone, (counterparty.id, True))


def _entity(
    state: State,
    account: Account,
    kind: str,
    fields: Json,
    now_ms: int,
    *,
    links: dict[str, tuple[str, str]],
    entity_id: str | None = None,
) -> Entity:
    entity = Entity(
        id=entity_id or state.new_id(),
        type=kind,
        fields=fields,
        links=links,
        created_ms=now_ms,
        updated_ms=now_ms,
    )
    state.keep(account, entity)
    return entity


def _put_named(state: State, account: Account, kind: str, names: tuple[str, ...], fields: Json, now_ms: int) -> None:
    known = {one.fields["name"] for one in account.of_type(kind).values()}
    for name in names:
        if name not in known:
            all_fields = {"name": name, "archived": False, "shared": True, **fields}
            _entity(state, account, kind, all_fields, now_ms, links={"owner": ("employee", account.admin_id)})


def _put_states(state: State, account: Account, kind: str, wanted: tuple[str | StateSeed, ...]) -> None:
    states = account.states.setdefault(kind, [])
    known = {one["name"] for one in states}
    for one in (StateSeed(name=each) if isinstance(each, str) else each for each in wanted):
        if one.name not in known:
            states.append({"id": state.new_id(), "name": one.name, "color": 15106326, "stateType": one.type})


def _put_attributes(state: State, account: Account, seed: AccountSeed) -> None:
    for attribute in seed.attributes:
        if attribute.entity not in ("customerorder", "counterparty"):
            raise BadSeed("attributes.entity", "customerorder or counterparty")
        known = account.attributes.setdefault(attribute.entity, [])
        for one in known:
            if one["name"] == attribute.name:
                one["required"] = attribute.required
        if all(one["name"] != attribute.name for one in known):
            known.append(
                {
                    "id": state.new_id(),
                    "name": attribute.name,
                    "type": attribute.type,
                    "required": attribute.required,
                }
            )
