"""The errors both APIs answer with: one catalogue, so that code, status and text are written once.

Sources: CONTRACT-MOYSKLAD 1.8 (Phone API, complete list) and 2.3. Statuses marked ``[?]`` there are the likelier one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

TEXTS: Mapping[int, tuple[int, str]] = {
    1000: (400, "Элемент URI не является идентификатором"),
    1002: (404, "Неопознанный путь: {0}"),
    1005: (412, "Неизвестный тип: '{0}'"),
    1016: (403, "Нет прав на просмотр данного объекта"),
    1017: (403, "Нет прав на изменение данного объекта"),
    1018: (403, "Нет прав на удаление данного объекта"),
    1021: (404, "Объект с типом '{0}' и идентификатором '{1}' не найден"),
    1034: (412, "Ошибка фильтрации: '{0}'"),
    1037: (400, "Неверно указан Content-Type запроса"),
    1039: (405, "Операция {0} не поддерживается для данного ресурса"),
    1040: (400, "Неверно заданы параметры запроса"),
    1043: (403, "Ваш тарифный план не позволяет работать с CRM"),
    1044: (413, "Превышен максимальный размер запроса ({0} МБ)"),
    1045: (403, "Нет прав на создание данного объекта"),
    1047: (412, "Невозможно изменить syncId: значение уже задано"),
    1049: (429, "Превышено ограничение на количество запросов в единицу времени"),
    1051: (412, "Тип {0} не совпадает с типом {1} из meta"),
    1052: (400, "Неверный формат UUID"),
    1056: (401, "Ошибка аутентификации: {0}"),
    1059: (400, "Некорректный сервер в идентификаторе объекта"),
    1060: (412, "Некорректный тип данных в meta сущности, поле type"),
    1062: (
        400,
        "Неверное значение заголовка 'Accept'. Поддерживается только значение 'application/json;charset=utf-8'",
    ),
    1065: (409, "Ошибка сохранения объекта: объект уже изменен/удален в параллельном запросе"),
    1070: (403, "Ваш тарифный план не позволяет выполнить это действие"),
    1073: (429, "Превышено ограничение на одновременное количество запросов"),
    1074: (503, "Сервис временно недоступен, ведутся технические работы"),
    1095: (503, "Пожалуйста, повторите попытку через некоторое время. Приложение временно недоступно"),
    1999: (500, "Неизвестная ошибка"),
    2001: (400, "Ошибка формата: входящий запрос не соответствует формату JSON"),
    2005: (400, "Ошибка формата: входящий JSON должен начинаться либо с объекта, либо с массива"),
    2009: (
        400,
        "Ошибка формата: запрос на создание/обновление одной сущности не должен содержать массив",
    ),
    2010: (400, "Ошибка формата: отсутствует href для meta поля '{0}'"),
    2011: (400, "Ошибка формата: отсутствует type для meta поля '{0}'"),
    2013: (400, "Ошибка формата: неправильное значение href для meta поля '{0}'"),
    2016: (400, "Ошибка формата: значение поля '{0}' не соответствует типу {1}"),
    2017: (400, "Ошибка формата: неизвестная ошибка"),
    3000: (412, "Ошибка сохранения объекта: поле '{0}' не может быть пустым или отсутствовать"),
    3005: (
        412,
        "Ошибка сохранения объекта: неверное значение '{0}' поля '{1}'. Допустимые значения: {2}",
    ),
    3006: (412, "Ошибка сохранения объекта: нарушено ограничение уникальности параметра '{0}'"),
    3007: (412, "Ошибка валидации сохраняемого объекта: '{0}'"),
    3015: (412, "Ошибка сохранения объекта: некорректное значение email '{0}'"),
    3040: (412, "Ошибка сохранения объекта: превышена максимальная длина поля '{0}' ({1})"),
    3045: (412, "Ошибка валидации: указан неактивный пользователь"),
    55006: (403, "Запрос недоступен для токена решения"),
    55008: (403, "Не установлено решение для работы c '{0}'"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorItem:
    """One entry of ``errors``: its code, its text, and the field it is about."""

    code: int
    text: str
    parameter: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A whole error answer: status, entries and extra headers."""

    status: int
    items: tuple[ErrorItem, ...]
    headers: Mapping[str, str] = field(default_factory=dict)


class ApiError(Exception):
    """Raised anywhere below a route; the edge turns :attr:`problem` into the answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(", ".join(str(item.code) for item in problem.items))
        self.problem = problem


def item(code: int, *args: object, parameter: str | None = None) -> ErrorItem:
    """An entry with the catalogue's text, its holes filled from ``args``."""
    return ErrorItem(code=code, text=TEXTS[code][1].format(*args), parameter=parameter)


def refuse(
    code: int,
    *args: object,
    parameter: str | None = None,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> ApiError:
    """The error ``code`` as something to raise, with the catalogue's status unless ``status`` says otherwise."""
    return ApiError(
        Problem(
            status=status if status is not None else TEXTS[code][0],
            items=(item(code, *args, parameter=parameter),),
            headers=headers or {},
        )
    )


def refuse_all(items: Iterable[ErrorItem]) -> ApiError:
    """Several entries in one answer; the status is the first entry's (412 with one 3000 per field, 2.3)."""
    found = tuple(items)
    return ApiError(Problem(status=TEXTS[found[0].code][0], items=found))


def unauthorised(reason: str) -> ApiError:
    """401 with the extended auth headers (1.8)."""
    return refuse(
        1056,
        reason,
        headers={"X-Lognex-Auth": "401001", "X-Lognex-Auth-Message": "Unauthorized"},
    )


def error_body(items: Iterable[ErrorItem], *, more_info: bool) -> dict[str, Any]:
    """The JSON of an error answer; ``more_info`` adds the JSON API's link (2.3)."""
    rendered: list[dict[str, Any]] = []
    for entry in items:
        one: dict[str, Any] = {"error": entry.text, "code": entry.code}
        if entry.parameter is not None:
            one["parameter"] = entry.parameter
        if more_info:
            one["moreInfo"] = f"https://dev.moysklad.ru/doc/api/remap/1.2/#error_{entry.code}"
        rendered.append(one)
    return {"errors": rendered}
