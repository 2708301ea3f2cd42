"""What is remembered in the process: bounded, kept apart by account, doubted when MoySklad tells of a change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.directory import memory as memories
from adapters.directory.memory import Memory
from adapters.moysklad.per_account import Mark, mark_of
from core.contacts import Contact, Known, Owner, Person, Roster, Source, Trust
from core.effects import Account
from core.hooks import Changed
from core.values import ANONYMOUS

ACCOUNT = Account(enterprise="0367", phone_key="k", api_token="t")
MARK = mark_of(ACCOUNT)
NUMBER = "+375290000001"
FIRM = Contact(
    id="c1",
    name="ООО «Радуга»",
    phone=NUMBER,
    persons=(Person(id="p1", name="Игорь", phone="1"),),
    owner=Owner(id="e1", name="Анна"),
)


def known(number: str = NUMBER, contact: Contact | None = FIRM, asked_ms: int = 1_000) -> Known:
    return Known(number=number, asked_ms=asked_ms, contact=contact, matches=1, rule="own phone")


@pytest.fixture
def memory() -> Memory:
    return Memory(lambda: 2_000)


def trust(memory: Memory, number: str = NUMBER) -> Trust:
    return memory.trust(memory.find(MARK, number))


def test_every_part_of_an_account_tells_it_apart() -> None:
    others = [replace(ACCOUNT, enterprise="x"), replace(ACCOUNT, phone_key="x"), replace(ACCOUNT, api_token="x")]
    assert len({mark_of(each) for each in (ACCOUNT, *others)}) == 4
    assert len(MARK) == 16


def test_what_is_learned_is_told_and_what_comes_from_the_table_is_not(memory: Memory) -> None:
    told: list[tuple[str, Mark, Known]] = []
    memory.learned = lambda *what: told.append(what)
    memory.learn(ACCOUNT, known())
    memory.take("0367", MARK, known("+375290000002"), tell=False)
    assert told == [("0367", MARK, known())]
    assert len(memory) == 2


def test_a_hidden_caller_is_never_remembered(memory: Memory) -> None:
    memory.learn(ACCOUNT, known(ANONYMOUS))
    memory.learn(ACCOUNT, known(""))
    assert len(memory) == 0


def test_an_answer_to_an_earlier_question_changes_nothing(memory: Memory) -> None:
    memory.learn(ACCOUNT, known(asked_ms=1_500))
    assert not memory.take("0367", MARK, known(contact=None, asked_ms=1_400))
    assert memory.find(MARK, NUMBER) is not None
    assert trust(memory) is Trust.FRESH


def test_the_oldest_makes_room(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memories, "MAX_ENTRIES", 3)
    for n in range(1, 5):
        memory.learn(ACCOUNT, known(f"+37529000000{n}"))
        memory.find(MARK, "+375290000001")
    assert len(memory) == 3
    assert memory.find(MARK, "+375290000002") is None, "the first one is asked about all the time"
    assert memory.find(MARK, "+375290000001") is not None
    memory.changed("0367", Changed(contacts=frozenset({"c1"})), 2_000)  # the index has forgotten it too


@pytest.mark.parametrize(
    ("what", "doubted"),
    [
        (Changed(contacts=frozenset({"c1"})), True),
        (Changed(persons=frozenset({"p1"})), True),
        (Changed(employees=frozenset({"e1"}), staff=True), True),
        (Changed(contacts=frozenset({"c2"})), False),
        (Changed(phones=True), False),
    ],
)
def test_a_change_is_doubted_where_it_concerns(memory: Memory, what: Changed, doubted: bool) -> None:
    memory.learn(ACCOUNT, known())
    memory.learn(replace(ACCOUNT, enterprise="0999"), known())
    memory.changed("0367", what, 1_800)
    assert trust(memory) is (Trust.DOUBTED if doubted else Trust.FRESH)
    assert (memory.for_call(ACCOUNT, NUMBER) is None) == doubted
    assert memory.for_call(replace(ACCOUNT, enterprise="0999"), NUMBER) is not None


def test_a_number_that_somebody_got_is_doubted_where_nobody_is_named(memory: Memory) -> None:
    memory.learn(ACCOUNT, known(contact=None))
    memory.learn(ACCOUNT, known("+375290000002", replace(FIRM, name="+375290000002")))
    memory.changed("0367", Changed(phones=True), 1_800)
    assert (trust(memory), trust(memory, "+375290000002")) == (Trust.NOTHING, Trust.DOUBTED)


def test_an_answer_that_was_under_way_when_the_change_was_told_is_not_taken_for_newer(memory: Memory) -> None:
    memory.changed("0367", Changed(contacts=frozenset({"c1"}), phones=True), 1_800)
    memory.learn(ACCOUNT, known(asked_ms=1_700))
    memory.learn(ACCOUNT, known("+375290000002", None, asked_ms=1_700))
    assert (trust(memory), trust(memory, "+375290000002")) == (Trust.DOUBTED, Trust.NOTHING)
    memory.learn(ACCOUNT, known(asked_ms=1_900))
    assert trust(memory) is Trust.FRESH


def test_what_is_watched_is_believed_for_longer(memory: Memory) -> None:
    memory.learn(ACCOUNT, known())
    memory.now_ms = lambda: 1_000 + 3_600_000
    assert trust(memory) is Trust.AGED
    memory.watched = lambda enterprise: enterprise == "0367"
    assert trust(memory) is Trust.FRESH


def test_a_search_keeps_the_extension_that_a_call_said(memory: Memory) -> None:
    memory.learn(ACCOUNT, known())
    memory.registered(ACCOUNT, NUMBER, "c1", Owner(id="e1", extension="151", extension_ms=1_900))
    memory.learn(ACCOUNT, known(asked_ms=1_950))
    entry = memory.find(MARK, NUMBER)
    assert entry is not None
    assert entry.known.contact is not None
    assert entry.known.contact.owner == Owner(id="e1", name="Анна", extension="151", extension_ms=1_900)
    memory.learn(ACCOUNT, known(contact=replace(FIRM, owner=Owner(id="e2")), asked_ms=1_960))
    entry = memory.find(MARK, NUMBER)
    assert entry is not None
    assert entry.known.contact is not None
    assert entry.known.contact.owner == Owner(id="e2"), "another owner has another extension"


def test_a_search_that_was_put_before_a_call_was_linked_does_not_unlearn_whom(memory: Memory) -> None:
    memory.registered(ACCOUNT, NUMBER, "c9", Owner(id="e1", extension="151", extension_ms=1_900))
    memory.learn(ACCOUNT, known(contact=None, asked_ms=1_500))
    entry = memory.find(MARK, NUMBER)
    assert entry is not None
    assert entry.known.contact is not None
    assert (entry.known.contact.id, trust(memory)) == ("c9", Trust.DOUBTED), "its names are asked for anew"


def test_a_customer_other_than_ours_is_asked_about_anew(memory: Memory) -> None:
    memory.learn(ACCOUNT, known())
    memory.registered(ACCOUNT, NUMBER, "c9", None)
    entry = memory.find(MARK, NUMBER)
    assert entry is not None
    assert (entry.known, trust(memory)) == (known(), Trust.DOUBTED)


def test_a_client_that_was_made_is_linked_and_asked_about(memory: Memory) -> None:
    memory.created(ACCOUNT, NUMBER, "c7", "e1")
    found = memory.for_call(ACCOUNT, NUMBER)
    assert found is not None
    assert found.source is Source.CREATED
    assert trust(memory) is Trust.AGED


def test_extensions_by_account(memory: Memory) -> None:
    memory.take_roster("0367", MARK, Roster(asked_ms=2, extensions=(("e1", "151"),)))
    memory.take_roster("0367", MARK, Roster(asked_ms=1))
    found = memory.roster(MARK)
    assert found is not None
    assert found.extension_of("e1") == "151"
    memory.changed("0999", Changed(staff=True), 3)
    assert memory.roster(MARK) is not None
    memory.changed("0367", Changed(staff=True), 3)
    assert memory.roster(MARK) is None


def test_a_change_by_a_clock_that_is_ahead_is_one_of_now(memory: Memory) -> None:
    memory.changed("0367", Changed(staff=True), memory.now_ms() + 600_000)
    assert memory.take_roster("0367", MARK, Roster(asked_ms=memory.now_ms()))


def test_extensions_that_were_asked_for_before_they_changed_are_not_kept(memory: Memory) -> None:
    memory.changed("0367", Changed(staff=True), 3)
    assert not memory.take_roster("0367", MARK, Roster(asked_ms=2))
    assert memory.roster(MARK) is None
    assert memory.take_roster("0367", MARK, Roster(asked_ms=3))
