"""What a finished call's record at MoySklad says (PRODUCT C3)."""

from __future__ import annotations

import pytest

from core.effects import FindEmployees, RegisterCall, UpdateCall
from core.events import CallOverdue, CallSettled, CallWrittenOff
from core.record import Record, final_record
from tests.scenario import call_of, done, ms
from tests.settings import SETTINGS, employee_id, settings_with

RING = "0 A start\n0.5 A dial 101 102\n"
PARTED = RING + "5 A enter b1 customer\n5 A enter b1 101\n35 A leave b1 101\n35 A leave b1 customer\n"


def record(table: str) -> Record:
    return final_record(call_of(table, CallSettled(at_ms=ms(9_999), reason="")), SETTINGS)


def test_an_answered_call_says_whose_it_was_when_it_ended_and_where_it_can_be_heard() -> None:
    assert record(PARTED + "35.4 A hangup 101 answered rec=https://r/1") == Record(
        extension="101",
        employee=employee_id("101"),
        attributed="talked with the customer last",
        end_ms=ms(35),
        comment="",
        recordings=("https://r/1",),
    )


def test_a_missed_call_names_nobody_and_tells_in_russian_who_was_rung() -> None:
    missed = record(RING + "9 A hangup")
    assert (missed.extension, missed.employee) == ("", "")
    assert missed.comment == "Пропущенный вызов (звонили: 101, 102)"


@pytest.mark.parametrize(
    ("table", "comment"),
    [
        ("0 A start\n9 A hangup status=1", "Пропущенный вызов: клиент положил трубку до соединения"),
        ("0 A start\n9 A hangup", "Пропущенный вызов"),
        ("0 A dial 101 out\n9 A hangup 101", "Клиент не ответил"),
        (
            "0 A start anonymous\n1 A dial 101 number=anonymous\n9 A hangup number=anonymous",
            "Пропущенный вызов (звонили: 101). Номер скрыт",
        ),
        (
            "9 A hangup 101 answered number=anonymous",
            "Номер скрыт",
        ),
        ("9 A hangup 101 answered", ""),
    ],
)
def test_the_comment_says_how_a_call_that_nobody_answered_ended(table: str, comment: str) -> None:
    assert record(table).comment == comment


@pytest.mark.parametrize(
    ("verdict", "comment"),
    [
        ("missed", "Пропущенный вызов (звонили: 101, 102)"),
        ("abandoned", "Пропущенный вызов: клиент положил трубку до соединения (звонили: 101, 102)"),
        ("busy", "Пропущенный вызов: занято (звонили: 101, 102)"),
        ("declined", "Пропущенный вызов: сотрудник отклонил вызов (звонили: 101, 102)"),
        ("rejected", "Пропущенный вызов: АТС не приняла вызов (звонили: 101, 102)"),
        ("failed", "Пропущенный вызов: телефон недоступен (звонили: 101, 102)"),
    ],
)
def test_what_ami_tells_of_a_missed_call_is_in_the_comment(verdict: str, comment: str) -> None:
    assert record(RING + f"9 A hangup verdict={verdict}").comment == comment


@pytest.mark.parametrize(
    ("verdict", "comment"),
    [
        ("unanswered", "Клиент не ответил"),
        ("busy", "Клиент не ответил: занято"),
        ("declined", "Клиент отклонил вызов"),
        ("rejected", "Не удалось дозвониться: линия не приняла вызов"),
        ("failed", "Не удалось дозвониться: номер недоступен или не существует"),
        ("cancelled", "Сотрудник положил трубку, не дождавшись ответа"),
        ("answered", ""),
    ],
)
def test_and_of_an_outgoing_one(verdict: str, comment: str) -> None:
    assert record(f"0 A dial 101 out\n9 A hangup out 101 verdict={verdict}").comment == comment


def test_an_employee_is_found_by_the_directory_too_and_an_extension_of_nobody_stays_one() -> None:
    effect = FindEmployees(extensions=("107", "108"))
    table = "0 A dial 107\n9 A hangup 107 answered"
    call = call_of(table, done(effect, 1, employees={"107": {"id": "directory-107"}}))
    assert final_record(call, SETTINGS).employee == "directory-107"
    assert (record(table).extension, record(table).employee) == ("107", "")


def test_an_outside_number_is_nobodys_extension() -> None:
    found = record("0 A dial 375290000009\n9 A hangup 375290000009 answered")
    assert found.extension == ""
    assert "outside number" in found.attributed


def test_an_outside_number_that_the_settings_map_is_an_employees() -> None:
    settings = settings_with(mapped=())
    call = call_of("0 A dial 375290000009\n9 A hangup 375290000009 answered")
    assert final_record(call, settings).extension == ""
    mapped = call_of(
        "0 A dial 375290000009\n9 A hangup 375290000009 answered",
        done(FindEmployees(extensions=("375290000009",)), 1, employees={"375290000009": {"id": "mobile"}}),
    )
    assert (final_record(mapped, settings).extension, final_record(mapped, settings).employee) == ("375290000009", "mobile")


def test_calls_nobody_can_be_named_for_are_whose_the_settings_say() -> None:
    call = call_of("0 A start\n9 A hangup", CallSettled(at_ms=ms(14), reason=""))
    found = final_record(call, settings_with(unrecognized="150"))
    assert (found.extension, found.employee) == ("150", employee_id("150"))
    assert "by the settings" in found.attributed


def test_a_written_off_call_ends_when_it_was_last_heard_alive() -> None:
    overdue = call_of(PARTED, CallOverdue(at_ms=ms(7_200)))
    assert final_record(overdue, SETTINGS).end_ms is None
    written_off = call_of(PARTED, CallOverdue(at_ms=ms(7_200)), CallWrittenOff(at_ms=ms(93_600)))
    assert final_record(written_off, SETTINGS).end_ms == ms(35)


def test_a_lost_call_says_so() -> None:
    lost = call_of(RING, CallOverdue(at_ms=ms(7_200)), CallWrittenOff(at_ms=ms(93_600)))
    assert final_record(lost, SETTINGS).comment == "Сведений об окончании звонка нет"


REGISTER = RegisterCall(external_id="0367-A", number="+375290000001", incoming=True, start_ms=ms(20))


def test_a_call_never_ends_before_the_start_that_moysklad_was_told() -> None:
    """A leg that joins late may have been heard earlier than that, and MoySklad never overwrites a start."""
    table = RING + "9 A hangup end=9"
    assert final_record(call_of(table), SETTINGS).end_ms == ms(9)
    assert final_record(call_of(table, done(REGISTER, 21, call="m")), SETTINGS).end_ms == ms(20)


def test_what_was_said_while_less_was_known_is_replaced_for_it_cannot_be_taken_away() -> None:
    missed = UpdateCall(external_id="0367-A", call="m", comment="Пропущенный вызов")
    told = call_of(PARTED + "35.4 A hangup 101 answered", done(REGISTER, 1, call="m"), done(missed, 10))
    assert final_record(told, SETTINGS).comment == "Сведения о звонке уточнены позже"
