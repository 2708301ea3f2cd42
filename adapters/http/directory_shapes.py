"""What the addresses for the rest of the telephony take and answer, as types (CONTRACT-ASTERISK, "What other parts ask")."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from adapters.http.bodies import Body
from adapters.http.shapes import Shape


class CallerQuery(Body, frozen=True, kw_only=True):
    """Whose number, in any spelling (empty: a hidden caller), at which enterprise."""

    phone: Annotated[str, Meta(max_length=200)]
    enterprise_number: Annotated[str, Meta(min_length=1, max_length=64)]


class Caller(CallerQuery, frozen=True, kw_only=True):
    """The same as a body."""


class EnrichQuery(Body, frozen=True, kw_only=True):
    """The same where a body may say it instead."""

    phone: Annotated[str, Meta(max_length=200)] = ""
    enterprise_number: Annotated[str, Meta(max_length=64)] = ""


class IntegrationsQuery(Body, frozen=True, kw_only=True):
    """``since``: an ETag seen before; only what is different is told. ``wait_s``: if nothing is, wait so long."""

    since: Annotated[str, Meta(max_length=64)] = ""
    wait_s: Annotated[int, Meta(ge=0, le=60)] = 0


class CustomerName(Shape, frozen=True, kw_only=True):
    """``Company (Person)``, or null: nobody has the number, or nobody with a name. ``reason``: why there is none."""

    name: str | None
    source: Literal["memory", "database", "moysklad", "nowhere"]
    reason: str = ""
    rule: str = ""
    matches: int = 0


class ProfileSource(Shape, frozen=True, kw_only=True):
    """``raw``: the customer in MoySklad's own words; empty for nobody."""

    raw: dict[str, Any]
    where: str = ""


class CustomerProfile(Shape, frozen=True, kw_only=True):
    """The parts of a customer's name; what MoySklad does not know is null."""

    last_name: str | None
    first_name: str | None
    middle_name: str | None
    enterprise_name: str | None
    source: ProfileSource
    reason: str = ""
    rule: str = ""


class Customer(Shape, frozen=True, kw_only=True):
    """A customer. ``phones``: all of them, one spelling for each."""

    id: str
    name: str
    company: str
    person: str
    last_name: str
    first_name: str
    middle_name: str
    phones: list[str]
    archived: bool
    manager_id: str | None
    manager_name: str
    link: str


class CustomerAnswer(Shape, frozen=True, kw_only=True):
    """A customer with what a display needs, or ``success`` false and the ``error``.

    ``display_name`` is null where the only name is made of the number. ``late``: a look-up goes on, ask again.
    """

    success: bool
    customer: Customer | msgspec.UnsetType = msgspec.UNSET
    display_name: str | msgspec.UnsetType | None = msgspec.UNSET
    person_uid: str | msgspec.UnsetType = msgspec.UNSET
    rule: str | msgspec.UnsetType = msgspec.UNSET
    matches: int | msgspec.UnsetType = msgspec.UNSET
    source: str | msgspec.UnsetType = msgspec.UNSET
    error: str | msgspec.UnsetType = msgspec.UNSET
    late: bool | msgspec.UnsetType = msgspec.UNSET


class ResponsibleShown(Shape, frozen=True, kw_only=True):
    """Whose telephone should ring; null with the ``reason``."""

    extension: str | None
    manager_id: str | None
    manager_name: str = ""
    rule: str = ""
    reason: str = ""


class ResponsibleAnswer(Shape, frozen=True, kw_only=True):
    """The same for whoever posts: with ``success``, and false with the ``error`` where nobody is responsible."""

    success: bool
    extension: str | msgspec.UnsetType | None = msgspec.UNSET
    manager_id: str | msgspec.UnsetType = msgspec.UNSET
    manager_name: str | msgspec.UnsetType = msgspec.UNSET
    rule: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    error: str | msgspec.UnsetType = msgspec.UNSET
    late: bool | msgspec.UnsetType = msgspec.UNSET


class Enriched(Shape, frozen=True, kw_only=True):
    """A customer as MoySklad has it now. ``linked_phones``: the other numbers; ``updated_count``: records of the cache made new."""

    success: bool
    full_name: str | None
    source: str
    external_id: str | None
    person_uid: str | None
    linked_phones: list[str]
    updated_count: int
    error: str = ""


class Explained(Shape, frozen=True, kw_only=True):
    """Everything that led to an answer; for people."""

    enterprise_number: str
    phone: str
    number: str
    searched: dict[str, Any]
    cache: dict[str, Any]
    requests: list[dict[str, Any]]
    found: list[dict[str, Any]]
    chosen: dict[str, Any] | None
    display_name: str | None
    rule: str
    responsible: ResponsibleShown
    reason: str
    webhooks: dict[str, Any]
    timing: dict[str, Any]


class LineShown(Shape, frozen=True, kw_only=True):
    """A line that is routed by MoySklad's responsible employee (``algorithm`` ``ms``)."""

    line: str
    enabled: bool
    do_routing: bool


class IntegrationShown(Shape, frozen=True, kw_only=True):
    """One enterprise. ``revision`` changes when anything of its ``ms`` or ``smart`` settings does."""

    number: str
    active: bool
    phone_api: bool
    main_api: bool
    primary: str
    is_primary: bool
    lines: list[LineShown]
    revision: str


class IntegrationsShown(Shape, frozen=True, kw_only=True):
    """``whole``: these are all; otherwise those that changed since, and ``gone`` those that are no more.

    ``stale_because``: why the table cannot be looked at just now.
    """

    etag: str
    whole: bool
    integrations: list[IntegrationShown]
    gone: list[str]
    active: list[str] | msgspec.UnsetType = msgspec.UNSET
    primary: list[str] | msgspec.UnsetType = msgspec.UNSET
    stale_because: str = ""

