"""What a finished call's record at MoySklad should say: end, whose call, comment, recordings (PRODUCT C3).

Comments are read by managers in MoySklad, so they are Russian.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from core.call import Call
from core.cards import employee_of
from core.conclusions import attribution, best_known_end_ms, end_ms, outcome
from core.lifecycle import Phase
from core.phone import looks_like_extension
from core.self_test import COMMENT, is_test
from core.settings import Settings
from core.values import ANONYMOUS, Direction, Outcome


class Record(Struct, frozen=True, kw_only=True, gc=False):
    """The final fields. ``attributed`` is the rule that named ``extension``; an empty extension names nobody."""

    extension: str
    employee: str
    attributed: str
    end_ms: int | None
    comment: str
    recordings: tuple[str, ...]


def final_record(call: Call, settings: Settings) -> Record:
    """The record of a settled or written-off call."""
    extension, rule = attribution(call, settings)
    employee = employee_of(call.remote, settings, extension) or ""
    if extension and not employee and not looks_like_extension(extension):
        extension, rule = "", f"{rule}, but an outside number is nobody's extension"
    return Record(
        extension=extension,
        employee=employee,
        attributed=rule,
        end_ms=_end_ms(call),
        comment=_comment(call),
        recordings=call.recordings,
    )


def _end_ms(call: Call) -> int | None:
    """The end, but never before the start that MoySklad was told: a leg that joins the call late may have been heard before
    that."""
    end = best_known_end_ms(call) if call.phase is Phase.WRITTEN_OFF else end_ms(call)
    return end if end is None else max(end, call.remote.start_ms or end)


def _comment(call: Call) -> str:
    if is_test(call.id):
        return COMMENT
    parts: list[str] = []
    ended = outcome(call)
    if said := (_OUTGOING if call.direction is Direction.OUTGOING else _INCOMING).get(ended):
        parts.append(said + _rung(call))
    elif ended is Outcome.LOST:
        parts.append("Сведений об окончании звонка нет")
    if call.number == ANONYMOUS:
        parts.append("Номер скрыт")
    if not parts and call.remote.written.comment:
        # A comment can be changed, but not taken away: what was said while less was known is replaced.
        parts.append("Сведения о звонке уточнены позже")
    return ". ".join(parts)


_INCOMING: Final[Mapping[Outcome | None, str]] = {
    Outcome.MISSED: "Пропущенный вызов",
    Outcome.ABANDONED: "Пропущенный вызов: клиент положил трубку до соединения",
    Outcome.BUSY: "Пропущенный вызов: занято",
    Outcome.DECLINED: "Пропущенный вызов: сотрудник отклонил вызов",
    Outcome.REJECTED: "Пропущенный вызов: АТС не приняла вызов",
    Outcome.FAILED: "Пропущенный вызов: телефон недоступен",
}
_OUTGOING: Final[Mapping[Outcome | None, str]] = {
    Outcome.UNANSWERED: "Клиент не ответил",
    Outcome.BUSY: "Клиент не ответил: занято",
    Outcome.DECLINED: "Клиент отклонил вызов",
    Outcome.REJECTED: "Не удалось дозвониться: линия не приняла вызов",
    Outcome.FAILED: "Не удалось дозвониться: номер недоступен или не существует",
    Outcome.CANCELLED: "Сотрудник положил трубку, не дождавшись ответа",
}
"""What a manager reads in MoySklad of a call that nobody answered. Answered calls need no words."""


def _rung(call: Call) -> str:
    rung = call.rung if call.direction is Direction.INCOMING else ()
    return f" (звонили: {', '.join(rung)})" if rung else ""
