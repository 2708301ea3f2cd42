"""How far what is known of a number is believed, what a call adds, and who should answer (PRODUCT E1, E2)."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from core import contacts
from core.contacts import (
    BY_CALL,
    BY_MAPPING,
    BY_ROSTER,
    Contact,
    Known,
    Owner,
    Person,
    Responsible,
    Roster,
    Source,
    Trust,
    as_raw,
    is_good_for_a_call,
    is_newer,
    numbers_of,
    responsible,
    taught_by_call,
    trust,
)
from core.settings import EmployeeRef

NUMBER = "+375290000001"
MINUTE = 60_000
HOUR = 60 * MINUTE
OWNER = Owner(id="e1", name="Анна")
FIRM = Contact(id="c1", name="ООО «Радуга»", phone="+375 29 000-00-01", company_type="legal", owner=OWNER)
FOUND = Known(number=NUMBER, asked_ms=0, contact=FIRM, matches=1, rule="own phone")
NOBODY = Known(number=NUMBER, asked_ms=0)


@pytest.mark.parametrize(
    ("known", "age_ms", "watched", "expected"),
    [
        (None, 0, False, Trust.NOTHING),
        (FOUND, 0, False, Trust.FRESH),
        (FOUND, 10 * MINUTE, False, Trust.FRESH),
        (FOUND, 11 * MINUTE, False, Trust.AGED),
        (FOUND, 5 * HOUR, True, Trust.FRESH),
        (FOUND, 7 * HOUR, True, Trust.AGED),
        (FOUND, 25 * HOUR, True, Trust.DOUBTED),
        (FOUND, contacts.KEPT_MS + 1, False, Trust.NOTHING),
        (NOBODY, MINUTE, False, Trust.FRESH),
        (NOBODY, 2 * MINUTE, False, Trust.AGED),
        (NOBODY, 9 * MINUTE, True, Trust.FRESH),
        (NOBODY, 11 * MINUTE, True, Trust.NOTHING),
        (replace(FOUND, is_named=False, source=Source.CALL), 0, False, Trust.DOUBTED),
        (replace(FOUND, source=Source.CREATED), 0, False, Trust.AGED),
        (replace(FOUND, source=Source.CHANGED), 0, True, Trust.AGED),
    ],
)
def test_how_far_it_is_believed(known: Known | None, age_ms: int, watched: bool, expected: Trust) -> None:
    assert trust(known, age_ms, watched=watched) is expected


def test_a_change_that_was_told_of_is_doubted_until_it_was_asked_about() -> None:
    asked = replace(FOUND, asked_ms=1_000)
    assert trust(asked, 2_000, changed_ms=1_000) is Trust.DOUBTED, "at the same moment: who knows which was first"
    assert trust(asked, 2_000, changed_ms=999) is Trust.FRESH
    assert trust(replace(NOBODY, asked_ms=1_000), 2_000, changed_ms=1_500) is Trust.NOTHING, "somebody may have it now"


def test_who_is_responsible_may_be_known_before_the_name_is() -> None:
    by_call = replace(FOUND, is_named=False, source=Source.CALL)
    assert trust(by_call, 0, for_name=False) is Trust.AGED


def test_a_call_is_linked_only_by_somebody_who_was_found_just_now() -> None:
    assert is_good_for_a_call(FOUND, 5 * MINUTE)
    assert not is_good_for_a_call(FOUND, 6 * MINUTE)
    assert is_good_for_a_call(FOUND, 50 * MINUTE, watched=True)
    assert not is_good_for_a_call(FOUND, MINUTE, changed_ms=1)
    assert not is_good_for_a_call(NOBODY, 0), "that nobody is there decides about creating, and is always asked"
    assert is_good_for_a_call(replace(FOUND, source=Source.CREATED), 0)
    for source in (Source.CALL, Source.CHANGED):
        assert not is_good_for_a_call(replace(FOUND, source=source), 0)


def test_the_later_question_counts_unless_it_has_no_names() -> None:
    later = replace(FOUND, asked_ms=10)
    assert is_newer(later, FOUND)
    assert not is_newer(FOUND, later)
    assert is_newer(FOUND, None)
    assert is_newer(FOUND, replace(later, is_named=False))


def test_names_of_an_earlier_question_are_those_of_the_customer_a_call_was_linked_to_or_none() -> None:
    taught = taught_by_call(None, NUMBER, "c1", OWNER, 10)
    assert is_newer(FOUND, taught)
    assert not is_newer(NOBODY, taught)
    assert not is_newer(replace(FOUND, contact=replace(FIRM, id="c2")), taught)
    assert not is_newer(FOUND, replace(NOBODY, asked_ms=10, is_named=False))


# -- what a call teaches --------------------------------------------------------------------------------------------


def test_a_call_names_the_customer_and_who_is_responsible() -> None:
    said = Owner(id="e2", extension="152", extension_ms=5)
    known = taught_by_call(NOBODY, NUMBER, "c2", said, 5)
    assert known.contact == Contact(id="c2", owner=said)
    assert (known.is_named, known.asked_ms, known.source) == (False, 5, Source.CALL)


def test_of_a_customer_who_is_known_only_the_owner_is_learned() -> None:
    known = taught_by_call(FOUND, NUMBER, "c1", Owner(id="e1", extension="151", extension_ms=9), 9)
    assert known.contact is not None
    assert known.contact.owner == replace(OWNER, extension="151", extension_ms=9)
    assert (known.contact.name, known.asked_ms, known.is_named) == (FIRM.name, 0, True)
    assert taught_by_call(known, NUMBER, "c1", Owner(id="e1", extension="151", extension_ms=99), 99) is known, "no news"
    moved = taught_by_call(known, NUMBER, "c1", Owner(id="e3", extension="153", extension_ms=99), 99)
    assert moved.contact is not None
    assert moved.contact.owner == Owner(id="e3", extension="153", extension_ms=99)
    assert taught_by_call(FOUND, NUMBER, "c1", None, 9).contact == FIRM


# -- who should answer ----------------------------------------------------------------------------------------------

MAPPING = (("160", EmployeeRef(id="e9")), ("161", EmployeeRef(id="e1", name="Анна К.")))
ROSTER = Roster(asked_ms=100, extensions=(("e1", "1512"), ("e1", "151"), ("e2", "152")))


def with_owner(owner: Owner | None) -> Known:
    return replace(FOUND, contact=replace(FIRM, owner=owner))


def test_the_settings_mapping_goes_before_the_directory_and_that_before_a_call() -> None:
    known = with_owner(replace(OWNER, extension="199", extension_ms=50))
    assert responsible(known, MAPPING, ROSTER) == Responsible(
        extension="161", manager_id="e1", manager_name="Анна", rule=BY_MAPPING
    )
    assert responsible(known, (), ROSTER) == Responsible(extension="151", manager_id="e1", manager_name="Анна", rule=BY_ROSTER)
    assert responsible(known, (), None) == Responsible(extension="199", manager_id="e1", manager_name="Анна", rule=BY_CALL)


def test_a_call_s_word_counts_only_if_it_is_newer_than_the_directory() -> None:
    without = Roster(asked_ms=100)
    older, newer = (with_owner(replace(OWNER, extension="199", extension_ms=ms)) for ms in (50, 150))
    assert responsible(older, (), without).reason == "the responsible employee has no extension"
    assert responsible(newer, (), without).extension == "199"


@pytest.mark.parametrize(
    ("known", "roster", "reason", "manager"),
    [
        (None, ROSTER, "", ""),
        (NOBODY, ROSTER, "nobody has this number", ""),
        (with_owner(None), ROSTER, "the customer has no responsible employee", ""),
        (with_owner(replace(OWNER, is_archived=True)), ROSTER, "the responsible employee is archived", "e1"),
        (with_owner(Owner(id="e7")), ROSTER, "the responsible employee has no extension", "e7"),
        (with_owner(Owner(id="e7")), None, "extensions are not known", "e7"),
    ],
)
def test_nobody_rather_than_the_wrong_one(known: Known | None, roster: Roster | None, reason: str, manager: str) -> None:
    found = responsible(known, () if manager != "e1" else MAPPING, roster)
    assert (found.extension, found.reason, found.manager_id) == ("", reason, manager)


def test_what_a_directory_cannot_change_is_settled() -> None:
    assert responsible(FOUND, MAPPING, None).is_settled
    assert responsible(NOBODY, (), None).is_settled
    assert responsible(with_owner(replace(OWNER, is_archived=True)), (), None).is_settled
    assert not responsible(FOUND, (), None).is_settled


# -- names and numbers ----------------------------------------------------------------------------------------------

IGOR = Person(id="p1", name="Павлов Игорь Петрович", phone="8 (029) 000-00-02, 80170000003")


@pytest.mark.parametrize(
    ("contact", "shown", "parts"),
    [
        (FIRM, "ООО «Радуга»", ("", "", "")),
        (replace(FIRM, persons=(IGOR,), person_id="p1"), "ООО «Радуга» (Павлов Игорь Петрович)", ("Павлов", "Игорь", "Петрович")),
        (replace(FIRM, name=NUMBER), "", ("", "", "")),
        (replace(FIRM, name=NUMBER, persons=(IGOR,), person_id="p1"), IGOR.name, ("Павлов", "Игорь", "Петрович")),
        (replace(FIRM, name="Иванов Пётр", company_type="individual"), "Иванов Пётр", ("", "Иванов Пётр", "")),
        (
            replace(FIRM, name="Иванов П.", company_type="individual", family="Иванов", given="Пётр", middle="Ильич"),
            "Иванов П.",
            ("Иванов", "Пётр", "Ильич"),
        ),
        (replace(FIRM, persons=(replace(IGOR, name="80290000002"),), person_id="p1"), "ООО «Радуга»", ("", "", "")),
    ],
)
def test_how_a_customer_is_shown(contact: Contact, shown: str, parts: tuple[str, str, str]) -> None:
    assert contact.display == shown
    assert contact.full_name == parts


def test_every_number_of_a_customer_in_one_spelling() -> None:
    contact = replace(FIRM, persons=(IGOR, Person(id="p2", name="Анна", phone="375290000001 доб. 12"), Person(phone="103")))
    assert numbers_of(contact, "BY") == ("+375290000001", "+375290000002", "+375170000003")


def test_what_is_kept_reads_back_as_it_was() -> None:
    known = replace(FOUND, contact=replace(FIRM, persons=(IGOR,), person_id="p1", tags=("важный",)))
    assert msgspec.convert(msgspec.to_builtins(known), Known) == known


def test_in_moysklad_s_own_words() -> None:
    raw = as_raw(replace(FIRM, persons=(IGOR,)))
    assert (raw["id"], raw["name"], raw["owner"]) == ("c1", FIRM.name, {"id": "e1", "name": "Анна", "archived": False})
    assert raw["contactpersons"] == [{"id": "p1", "name": IGOR.name, "phone": IGOR.phone}]
