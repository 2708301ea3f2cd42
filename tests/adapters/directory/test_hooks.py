"""What MoySklad tells of changes, from the delivery to the display (CONTRACT-MOYSKLAD 2.8)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from adapters.directory import hooks as hooks_module
from adapters.directory import table as table_module
from adapters.directory.desk import Where
from adapters.directory.hooks import Hooks
from core.contacts import Trust
from core.errors import StoreUnavailable
from core.hooks import Changed
from tests.adapters.directory.support import KNOWN, KNOWN_NAME, STRANGER, asked, client, desk_of, moysklad, searches, trouble
from tests.adapters.stores import Stuck
from tests.eventually import until
from tests.rig import ENTERPRISE, Rig, service_beside

BASE = "https://api.moysklad.ru/api/remap/1.2/entity"


def delivery(kind: str, id_: str, action: str, *fields: str) -> dict[str, Any]:
    event: dict[str, Any] = {"meta": {"type": kind, "href": f"{BASE}/{kind}/{id_}"}, "action": action}
    return {"events": [{**event, "updatedFields": list(fields)} if fields else event]}


async def idle(rig: Rig) -> None:
    await until(lambda: rig.service.directory.lookups.open == 0)
    rig.clock.now_ms += 1


async def name(rig: Rig, phone: str) -> tuple[str, Where]:
    found = await desk_of(rig).who("customer-name", ENTERPRISE, phone)
    contact = found.known.contact if found.known is not None else None
    return contact.display if contact is not None else "", found.where


async def test_a_client_who_is_entered_is_named_by_his_first_call(rig: Rig) -> None:
    """Somebody called, was not known, and is entered: no search is needed when he calls again."""
    hooks = rig.service.directory.hooks
    assert await name(rig, STRANGER) == ("", Where.MOYSKLAD)
    made = await client(rig, "ООО Новое", "8 (029) 000-00-77")
    rig.clock.now_ms += 1
    assert await hooks.take(ENTERPRISE, str(uuid4()), delivery("counterparty", made, "CREATE")) == "taken"
    await idle(rig)
    before = await searches(rig)
    assert await name(rig, STRANGER) == ("ООО Новое", Where.MEMORY)
    await idle(rig)
    assert await searches(rig) == before + 1, "whether another has the number too is asked behind the answer"
    assert (await asked(rig)).count(f"GET /entity/counterparty/{made}") == 1


async def test_a_new_name_is_shown_by_the_next_call(rig: Rig) -> None:
    hooks = rig.service.directory.hooks
    found = await desk_of(rig).who("customer-name", ENTERPRISE, KNOWN)
    assert found.known is not None
    assert found.known.contact is not None
    id_ = found.known.contact.id
    rig.clock.now_ms += 1
    await moysklad(rig, "PUT", f"/entity/counterparty/{id_}", {"name": "ОДО «Белтрейд плюс»"})
    await hooks.take(ENTERPRISE, str(uuid4()), delivery("counterparty", id_, "UPDATE", "name"))
    await idle(rig)
    assert (await name(rig, KNOWN))[0] == "ОДО «Белтрейд плюс»"


async def test_what_does_not_concern_names_and_numbers_is_not_looked_at(rig: Rig) -> None:
    hooks = rig.service.directory.hooks
    assert await hooks.take(ENTERPRISE, "r1", delivery("counterparty", str(uuid4()), "UPDATE", "salesAmount")) == "nothing"
    assert await hooks.take(ENTERPRISE, "r2", {"events": "odd"}) == "nothing"
    assert await asked(rig) == []


async def test_a_repeat_is_recognised_by_its_request(rig: Rig) -> None:
    hooks = rig.service.directory.hooks
    body = delivery("employee", str(uuid4()), "UPDATE", "archived")
    assert [await hooks.take(ENTERPRISE, request, body) for request in ("r1", "r1", "r2", "", "")] == [
        "taken", "repeated", "taken", "taken", "repeated",
    ]  # fmt: skip
    assert hooks.taken == {"taken": 3, "repeated": 2}


async def test_an_employee_who_changed_is_asked_about_anew(rig: Rig) -> None:
    desk = desk_of(rig)
    _, answer = await desk.responsible("responsible-extension", ENTERPRISE, KNOWN)
    rig.clock.now_ms += 1
    await rig.service.directory.hooks.take(ENTERPRISE, "r1", delivery("employee", answer.manager_id, "UPDATE", "archived"))
    rig.clock.now_ms += 1
    found, again = await desk.responsible("responsible-extension", ENTERPRISE, KNOWN)
    assert (found.trust, found.where, again.extension) == (Trust.DOUBTED, Where.MOYSKLAD, "152")
    assert (await asked(rig, "phone")).count("GET /employee") == 2


async def test_an_import_of_thousands_reads_only_a_few_ahead(rig: Rig) -> None:
    await rig.service.settings.current(ENTERPRISE)
    events = [delivery("counterparty", str(uuid4()), "CREATE")["events"][0] for _ in range(500)]
    await trouble(rig, action="status", status=404, code=1021, api="remap", method="GET")
    await rig.service.directory.hooks.take(ENTERPRISE, "r1", {"events": events})
    await idle(rig)
    assert len(await asked(rig)) == 5


async def test_another_instance_hears_of_it(rig: Rig) -> None:
    async with service_beside(rig.dsn, str(rig.sandbox.make_url("")).rstrip("/"), rig.clock) as other:
        first = await other.directory.desk.who("customer-name", ENTERPRISE, KNOWN)
        assert first.known is not None
        assert first.known.contact is not None
        id_ = first.known.contact.id
        rig.clock.now_ms += 1
        await rig.service.directory.hooks.take(ENTERPRISE, "r1", delivery("counterparty", id_, "UPDATE", "owner"))
        assert (await other.directory.desk.who("customer-name", ENTERPRISE, KNOWN)).trust is Trust.FRESH
        await other.directory.hooks.follow()
        rig.clock.now_ms += 1
        found = await other.directory.desk.who("customer-name", ENTERPRISE, KNOWN)
        assert (found.trust, found.where) == (Trust.DOUBTED, Where.MOYSKLAD)
        await other.directory.hooks.follow()
        assert (await other.directory.desk.who("customer-name", ENTERPRISE, KNOWN)).trust is Trust.FRESH, "heard once"


async def test_a_database_that_hangs_is_said_in_time_and_this_instance_has_heard_all_the_same(rig: Rig) -> None:
    found = await desk_of(rig).who("customer-name", ENTERPRISE, KNOWN)
    assert found.known is not None
    assert found.known.contact is not None
    directory, stuck = rig.service.directory, Stuck()
    hooks = Hooks(
        stuck,
        table=type(directory.table)(stuck, now_ms=rig.clock),
        memory=directory.memory,
        lookups=directory.lookups,
        settings=rig.service.settings,
        now_ms=rig.clock,
        others=lambda: False,
    )
    with pytest.raises(StoreUnavailable):
        await hooks.by_secret(str(uuid4()))
    with pytest.raises(StoreUnavailable):
        await hooks.take(ENTERPRISE, "r1", delivery("counterparty", found.known.contact.id, "UPDATE", "name"))
    stuck.let_go.set()
    assert (await desk_of(rig).who("customer-name", ENTERPRISE, KNOWN)).trust is Trust.DOUBTED
    assert await name(rig, KNOWN) == (KNOWN_NAME, Where.MOYSKLAD)
    assert hooks.taken["unavailable"] == 2


async def test_what_others_were_told_while_this_one_had_no_database_is_heard_afterwards(rig: Rig) -> None:
    """It hears half a minute back, and the time since it last heard anything."""
    hooks = rig.service.directory.hooks
    await hooks.follow()
    await rig.service.pool.execute(
        "INSERT INTO directory_changes (enterprise, request, at_ms, changed, at)"
        " VALUES ($1, 'r1', $2, $3, clock_timestamp() - interval '300 s')",
        ENTERPRISE, rig.clock.now_ms, {"contacts": ["c1"]},
    )  # fmt: skip
    memory = rig.service.directory.memory
    await hooks.follow()
    assert (ENTERPRISE, "c1") not in memory._changes
    hooks._followed_s -= 280
    await hooks.follow()
    assert memory._changes[ENTERPRISE, "c1"] == rig.clock.now_ms


async def test_more_than_is_read_at_once_is_heard_page_by_page(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (hooks_module, table_module):
        monkeypatch.setattr(module, "MAX_CHANGES_READ", 2)
    monkeypatch.setattr(hooks_module, "MAX_SEEN", 2)
    await rig.service.pool.execute(
        "INSERT INTO directory_changes (enterprise, request, at_ms, changed, at)"
        " SELECT $1, 'r' || n, n, jsonb_build_object('contacts', jsonb_build_array('c' || n)),"
        " clock_timestamp() - make_interval(secs => 1000 - 100 * n) FROM generate_series(1, 9) AS n",
        ENTERPRISE,
    )
    hooks = rig.service.directory.hooks
    hooks._followed_s -= 2_000
    for _ in range(6):
        await hooks.follow()
    assert {name for _, name in rig.service.directory.memory._changes} >= {f"c{number}" for number in range(1, 10)}


async def test_what_could_not_be_recorded_is_recorded_when_the_database_is_back(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """MoySklad sends a delivery four times, within seconds; the other instances must hear of it all the same."""
    hooks, table = rig.service.directory.hooks, rig.service.directory.table
    found = delivery("counterparty", str(uuid4()), "UPDATE", "name")

    async def away(*_: object) -> bool:
        raise OSError("gone")

    monkeypatch.setattr(hooks_module, "MAX_UNRECORDED", 1)
    with monkeypatch.context() as patched:
        patched.setattr(table, "record_change", away)
        for request in ("r1", "r1", "r2"):
            with pytest.raises(StoreUnavailable):
                await hooks.take(ENTERPRISE, request, found)
        with pytest.raises(OSError, match="gone"):
            await hooks.record_the_rest()
    for _ in range(2):
        await hooks.record_the_rest()
    assert [row["request"] for row in await rig.service.pool.fetch("SELECT request FROM directory_changes")] == ["r1"]
    assert await hooks.take(ENTERPRISE, "r1", found) == "repeated"


async def test_what_can_never_be_recorded_holds_up_nothing_else(rig: Rig) -> None:
    """Somebody who knows one address sends what PostgreSQL does not take."""
    hooks = rig.service.directory.hooks
    with pytest.raises(StoreUnavailable):
        await hooks.take(ENTERPRISE, "bad", delivery("counterparty", "a\0b", "UPDATE", "name"))
    hooks._unrecorded[ENTERPRISE, "good"] = (Changed(contacts=frozenset({"c1"})), rig.clock.now_ms)
    await hooks.record_the_rest()
    assert [row["request"] for row in await rig.service.pool.fetch("SELECT request FROM directory_changes")] == ["good"]
    assert not hooks._unrecorded


async def test_after_a_storm_what_is_new_is_still_heard(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read and is still looked back upon must not come as news before what is."""
    for module in (hooks_module, table_module):
        monkeypatch.setattr(module, "MAX_CHANGES_READ", 2)
    monkeypatch.setattr(hooks_module, "MAX_SEEN", 5)
    hooks, add = rig.service.directory.hooks, "INSERT INTO directory_changes (enterprise, request, at_ms, changed)"
    await rig.service.pool.execute(
        f"{add} SELECT $1, 'r' || n, n, jsonb_build_object('contacts', jsonb_build_array('c' || n))"
        " FROM generate_series(1, 9) AS n",
        ENTERPRISE,
    )
    for _ in range(8):
        await hooks.follow()
    await rig.service.pool.execute(f"{add} VALUES ($1, 'later', 1, $2)", ENTERPRISE, {"contacts": ["later"]})
    await hooks.follow()
    assert {name for _, name in rig.service.directory.memory._changes} == {"later", *(f"c{number}" for number in range(1, 10))}


async def test_whose_address_it_is(rig: Rig) -> None:
    hooks, secret = rig.service.directory.hooks, str(uuid4())
    await rig.service.pool.execute(
        "INSERT INTO directory_hooks (enterprise, secret, account, revision) VALUES ($1, $2, '', 1)", ENTERPRISE, secret
    )
    assert await hooks.by_secret(secret) == ENTERPRISE
    assert await hooks.by_secret(secret.upper()) == ENTERPRISE
    for wrong in (str(uuid4()), "x", "", "'; DROP TABLE", secret[:-1]):
        assert await hooks.by_secret(wrong) is None


def test_a_delivery_about_nobody_is_nothing() -> None:
    assert not Changed()
