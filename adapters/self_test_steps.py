"""What a test call's history says of each step, in Russian words for an administrator. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from adapters.moysklad.errors import Api
from adapters.moysklad.explain import explain_failure_ru, explain_ru, nobody_has_ru
from core.call import Call, evolve, initial
from core.cards import employee_of
from core.effects import (
    CardAction,
    ConfirmCall,
    FindContact,
    FindEmployees,
    Refused,
    RegisterCall,
    UpdateCall,
    Way,
    decode_effect,
    way_of,
)
from core.events import (
    DialObserved,
    EffectDeferred,
    EffectDone,
    EffectFailed,
    EffectRefused,
    Event,
    HangupObserved,
    decode,
)
from core.ports import RecordedEvent
from core.remote import card_events
from core.self_test import MAX_MS
from core.settings import Settings
from core.values import Direction

Outcome = EffectDone | EffectFailed | EffectRefused | EffectDeferred


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. ``state``: waiting, running, done, failed, skipped. ``took_ms``: how long it took, None where nobody measured."""

    key: str
    title: str
    state: str
    text: str = ""
    took_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a test call has come. ``hopeless_ms``: since when it is known that no card will be shown."""

    extension: str
    started_ms: int
    steps: tuple[Step, ...]
    shown_ms: int | None = None
    hopeless_ms: int | None = None
    hung_up: bool = False
    ended_ms: int | None = None
    failed: bool = False

    @property
    def ended(self) -> bool:
        """Whether its record at MoySklad is complete."""
        return self.ended_ms is not None


@dataclass(slots=True)
class _Seen:
    """What the history holds, sorted."""

    call: Call
    dial: DialObserved | None = None
    stored_ms: int = 0
    hung_up_ms: int | None = None
    last: dict[str, Outcome] = field(default_factory=dict)
    shown: EffectDone | None = None
    hidden: EffectDone | None = None
    ended: EffectDone | None = None
    registered: EffectDone | None = None


def read_progress(enterprise: str, test: str, history: Sequence[RecordedEvent], settings: Settings) -> Progress | None:
    """What the history says; None while there is none."""
    seen = _Seen(call=initial(enterprise, test))
    for recorded in history:
        event = decode(recorded.type, recorded.schema, recorded.data)
        seen.call = evolve(seen.call, event)
        _see(seen, event, recorded.recorded_ms)
    if seen.dial is None:
        return None
    extension = next(iter(seen.dial.extensions), "")
    no_card, since_ms = _why_no_card(seen, settings, extension)
    refused = seen.last.get(RegisterCall.type)
    failed_to_register = isinstance(refused, EffectRefused) and seen.registered is None
    stored = Step(
        key="store",
        title="Звонок записан в журнал сервиса",
        state="done",
        text="Отсюда он не пропадёт, что бы ни случилось дальше.",
        took_ms=max(0, seen.stored_ms - seen.dial.heard_ms),
    )
    steps: tuple[Step, ...] = (
        stored,
        _employee(seen, settings, extension),
        _contact(seen, settings),
        _register(seen),
        _card(seen, extension, no_card),
        _hide(seen, no_card, failed_to_register),
        _end(seen, failed_to_register),
    )
    if failed_to_register:  # nothing goes on: what was not begun by then never is
        steps = tuple(replace(each, state="skipped", text=GOES_NO_FURTHER) if each.state in _OPEN else each for each in steps)
    return Progress(
        extension=extension,
        started_ms=seen.dial.heard_ms,
        steps=steps,
        shown_ms=seen.shown.at_ms if seen.shown is not None else None,
        hopeless_ms=since_ms,
        hung_up=seen.hung_up_ms is not None,
        ended_ms=seen.ended.at_ms if seen.ended is not None else None,
        failed=any(step.state == "failed" for step in steps) and (failed_to_register or seen.ended is not None),
    )


def _see(seen: _Seen, event: Event, recorded_ms: int) -> None:
    match event:
        case DialObserved() if seen.dial is None:
            seen.dial, seen.stored_ms = event, recorded_ms
        case HangupObserved():
            seen.hung_up_ms = event.heard_ms
        case EffectDone() | EffectFailed() | EffectRefused() | EffectDeferred():
            seen.last[str(event.effect.get("type"))] = event
            if isinstance(event, EffectDone):
                _see_done(seen, event)
        case _:
            pass


def _see_done(seen: _Seen, event: EffectDone) -> None:
    effect = decode_effect(event.effect)
    if isinstance(effect, RegisterCall | ConfirmCall) and event.result.get("call"):
        seen.registered = event
    if not isinstance(effect, RegisterCall | UpdateCall):
        return
    actions = {card.action for card in card_events(effect)}
    if CardAction.SHOW in actions and seen.shown is None:
        seen.shown = event
    if actions & {CardAction.HIDE, CardAction.HIDE_ALL}:
        seen.hidden = event
    if effect.end_ms is not None:
        seen.ended = event


def _why_no_card(seen: _Seen, settings: Settings, extension: str) -> tuple[str, int | None]:
    """Why no card will be shown, and since when that is known; empty while one may be."""
    assert seen.dial is not None
    if not settings.cards_for(Direction.INCOMING):
        return "Карточки входящих звонков выключены в настройках (раздел «Уведомления»).", seen.dial.heard_ms
    found = seen.last.get(FindEmployees.type)
    if isinstance(found, EffectDone) and employee_of(seen.call.remote, settings, extension) is None:
        return f"В МоёмСкладе нет сотрудника с добавочным номером {extension}.", found.at_ms
    if isinstance(found, EffectRefused):
        return _words(found), found.at_ms
    refused = seen.last.get(RegisterCall.type)
    if isinstance(refused, EffectRefused) and seen.registered is None:
        return "Звонок в МоёмСкладе не заведён.", refused.at_ms
    return "", None


def _employee(seen: _Seen, settings: Settings, extension: str) -> Step:
    title = f"Сотрудник с добавочным номером {extension}"
    mapped = settings.employee_for(extension)
    if mapped is not None:
        return Step(key="employee", title=title, state="done", text=f"По настройкам: {mapped.name or mapped.id}.")
    found = seen.last.get(FindEmployees.type)
    if found is None and seen.ended is not None:
        return Step(key="employee", title=title, state="skipped", text="Не понадобился.")
    if not isinstance(found, EffectDone):
        return _open("employee", title, found)
    if employee_of(seen.call.remote, settings, extension) is None:
        return Step(key="employee", title=title, state="failed", text=nobody_has_ru(extension), took_ms=_took(found))
    return Step(key="employee", title=title, state="done", text="Найден в МоёмСкладе.", took_ms=_took(found))


def _contact(seen: _Seen, settings: Settings) -> Step:
    title = "Поиск контрагента по номеру"
    if not settings.has_main_api:
        text = "Токен основного API не задан: МойСклад ищет контрагента сам."
        return Step(key="contact", title=title, state="skipped", text=text)
    found = seen.last.get(FindContact.type)
    if found is None and seen.ended is not None:
        return Step(key="contact", title=title, state="skipped", text="Не понадобился.")
    if not isinstance(found, EffectDone):
        return _open("contact", title, found)
    text = "Такого номера нет ни у кого, как и должно быть: новый контрагент не создан."
    if seen.call.remote.contact.id:
        text = "У кого-то из контрагентов записан проверочный номер +70000000000: уберите его."
    return Step(key="contact", title=title, state="done", text=text, took_ms=_took(found))


def _register(seen: _Seen) -> Step:
    title = "Звонок заведён в МоёмСкладе"
    if seen.registered is not None:
        text = "Он отмечен комментарием как проверочный."
        return Step(key="register", title=title, state="done", text=text, took_ms=_took(seen.registered))
    return _open("register", title, seen.last.get(RegisterCall.type))


def _card(seen: _Seen, extension: str, no_card: str) -> Step:
    title = f"Карточка показана сотруднику {extension}"
    if seen.shown is not None:
        assert seen.dial is not None
        took_ms = max(0, seen.shown.at_ms - seen.dial.heard_ms)
        return Step(key="card", title=title, state="done", text="От звонка до карточки.", took_ms=took_ms)
    if no_card:
        off = "выключены" in no_card
        return Step(key="card", title=title, state="skipped" if off else "failed", text=no_card)
    if seen.ended is not None:
        return Step(key="card", title=title, state="failed", text="МойСклад ответил слишком поздно: звонок уже закончился.")
    return Step(key="card", title=title, state="running")


def _hide(seen: _Seen, no_card: str, failed_to_register: bool) -> Step:
    title = "Карточка убрана"
    if seen.shown is None and (no_card or failed_to_register or seen.ended is not None):
        return Step(key="hide", title=title, state="skipped", text="Её и не было.")
    if seen.hidden is not None:
        took_ms = None if seen.hung_up_ms is None else seen.hidden.at_ms - seen.hung_up_ms
        if took_ms is None or took_ms < 0:
            text = f"Звонок никто не закончил: карточка убрана через {MAX_MS // 1_000} с."
            return Step(key="hide", title=title, state="done", text=text)
        return Step(key="hide", title=title, state="done", text="После конца звонка.", took_ms=took_ms)
    last = seen.last.get(UpdateCall.type)
    if seen.hung_up_ms is None or seen.shown is None:
        return Step(key="hide", title=title, state="waiting")
    return _open("hide", title, last)


def _end(seen: _Seen, failed_to_register: bool) -> Step:
    title = "Записаны конец и комментарий"
    if seen.ended is not None:
        return Step(key="end", title=title, state="done", text="Проверка закончена.", took_ms=_took(seen.ended))
    if failed_to_register:
        return Step(key="end", title=title, state="skipped", text=GOES_NO_FURTHER)
    if seen.hung_up_ms is None:
        return Step(key="end", title=title, state="waiting")
    last = seen.last.get(UpdateCall.type)
    if last is None or isinstance(last, EffectDone):
        text = "Сервис ждёт несколько секунд, не придёт ли ещё что-нибудь: конец в МоёмСкладе исправить нельзя."
        return Step(key="end", title=title, state="running", text=text)
    return _open("end", title, last)


def _open(key: str, title: str, last: Outcome | None) -> Step:
    """A step that is not done: not begun, tried in vain, or refused for good."""
    if last is None or isinstance(last, EffectDone):
        return Step(key=key, title=title, state="running")
    if isinstance(last, EffectRefused):
        return Step(key=key, title=title, state="failed", text=_words(last), took_ms=_took(last))
    return Step(key=key, title=title, state="running", text=f"{_words(last)} Сервис пробует снова.")


def _words(event: EffectFailed | EffectRefused | EffectDeferred) -> str:
    api = Api.JSON if way_of(decode_effect(event.effect)) is Way.JSON else Api.PHONE
    if isinstance(event, EffectDeferred):
        return "МойСклад сейчас недоступен или исчерпан предел запросов: запрос отложен."
    status = next((each.status for each in reversed(event.exchanges) if each.status is not None), None)
    if isinstance(event, EffectRefused):
        if event.code is None and status is None:
            return explain_failure_ru(Refused(event.error), api)
        return explain_ru(event.code, api, status=status)
    return _NO_ANSWER if status is None else explain_ru(None, api, status=status)


def _took(event: Outcome) -> int | None:
    exchanges: Sequence[Any] = getattr(event, "exchanges", ())
    return sum(each.duration_ms for each in exchanges) if exchanges else None


GOES_NO_FURTHER: Final = "Дальше идти не с чем."
_OPEN: Final = ("running", "waiting")
_NO_ANSWER: Final = "МойСклад не ответил вовремя, или связи с ним нет."
