"""What went wrong at MoySklad, in Russian, with what an administrator can do about it (PRODUCT D1).

Decided by code and status, never by MoySklad's own text. The connection test and the settings page show these sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from adapters.moysklad.errors import Api, ApiRefusal, ApiUnavailable, Trouble
from core.effects import Deferred, Refused, Unavailable

_KEY: Final[Mapping[Api, str]] = {
    Api.PHONE: "Ключ Phone API не принят МоимСкладом: он введён с ошибкой или отозван. Скопируйте ключ заново "
    "в настройках решения телефонии в МоёмСкладе и сохраните его здесь.",
    Api.JSON: "Токен основного API не принят МоимСкладом: он введён с ошибкой или отозван (выпуск нового токена отзывает "
    "прежний). Выпустите токен в МоёмСкладе: Настройки → Токены, и сохраните его здесь.",
}
_NAMES: Final[Mapping[Api, str]] = {Api.PHONE: "Phone API", Api.JSON: "основной API"}

_CODES: Final[Mapping[int, str]] = {
    1002: "Адрес API не подходит: МойСклад не знает такого пути. Проверьте адреса API в настройках сервиса.",
    1016: "У пользователя токена нет права на просмотр. Добавьте его в роли пользователя в МоёмСкладе.",
    1017: "У пользователя токена нет права на изменение. Добавьте его в роли пользователя в МоёмСкладе.",
    1018: "У пользователя токена нет права на удаление. Добавьте его в роли пользователя в МоёмСкладе.",
    1021: "Объект в МоёмСкладе не найден: возможно, он удалён. Выберите другой в настройках интеграции.",
    1043: "Тариф МоегоСклада не включает CRM. Подключите опцию CRM или отключите действия, которым она нужна.",
    1045: "У пользователя токена нет права на создание. Добавьте его в роли пользователя в МоёмСкладе.",
    1048: "Слишком много неудачных попыток входа. Проверьте токен и повторите через минуту.",
    1049: "Превышено число запросов к МоемуСкладу. Подождите несколько секунд и повторите.",
    1061: "У пользователя токена выключен доступ по API. Включите «Доступ по API» в его роли в МоёмСкладе.",
    1065: "Объект одновременно изменил кто-то другой. Повторите.",
    1070: "Тариф МоегоСклада не позволяет это действие.",
    1073: "Слишком много одновременных запросов к МоемуСкладу: возможно, тем же токеном пользуется другая программа. "
    "Повторите через несколько секунд.",
    1074: "В МоёмСкладе идут технические работы. Повторите позже.",
    1095: "МойСклад временно перегружен. Повторите через минуту.",
    3000: "МойСклад требует поле, которого не было в запросе: возможно, дополнительное поле отмечено обязательным. "
    "Снимите эту отметку в МоёмСкладе.",
    3006: "Такой объект в МоёмСкладе уже есть.",
    3045: "Сотрудник не активен: у него нет логина в МоёмСкладе. Задайте логин или выберите другого сотрудника.",
    55006: "Это токен решения, а нужен токен пользователя. Выпустите его в МоёмСкладе: Настройки → Токены.",
    55008: "В МоёмСкладе не установлено решение телефонии. Установите его в каталоге решений и скопируйте его ключ сюда.",
}
_STATUSES: Final[Mapping[int, str]] = {
    403: "МойСклад не разрешает этот запрос. Проверьте права пользователя, чей токен указан.",
    404: "По этому адресу МойСклад ничего не нашёл. Проверьте адреса API в настройках сервиса.",
    410: "Эта версия API МоегоСклада больше не работает. Обновите сервис.",
    415: "МойСклад отклонил сжатие (415): что-то между сервисом и МоимСкладом убирает заголовок Accept-Encoding. Проверьте прокси.",
    429: "Превышено число запросов к МоемуСкладу. Подождите несколько секунд и повторите.",
}
_OUTAGE: Final = "МойСклад сейчас не отвечает как надо (ошибка {status}). Обычно это проходит само: повторите через минуту."
_NO_CONNECTION: Final = "Нет связи с МоимСкладом ({api}): {why}. Проверьте доступ сервера в интернет и адрес API."
_NO_ANSWER: Final = "МойСклад ({api}) не ответил вовремя. Повторите; если повторится, проверьте сеть сервера."
_AWAY: Final = "МойСклад ({api}) не отвечает, и сервис сейчас проверяет, не вернулся ли он. Повторите через несколько секунд."
_NO_ROOM: Final = "Предел запросов этого предприятия к МоемуСкладу ({api}) исчерпан. Повторите через несколько секунд."
_NOT_SENT: Final[Mapping[str, str]] = {
    Trouble.UNANSWERED: "МойСклад ({api}) ещё не ответил на прежние запросы этого предприятия: новый пока не отправлен. "
    "Повторите через несколько секунд.",
    Trouble.GUARDED: "Слишком много запросов этого предприятия кончились неудачей, а МойСклад блокирует того, кто продолжает: "
    "запрос не отправлен. Устраните причину неудач и повторите через минуту.",
    Trouble.REPEATED: "Одно и то же менялось слишком часто, а МойСклад блокирует того, кто продолжает: запрос не отправлен. "
    "Повторите через минуту.",
}
_WHY: Final[Mapping[str, str]] = {
    Trouble.NO_NAME: "имя сервера не найдено",
    Trouble.NO_TLS: "не удалось установить защищённое соединение",
    Trouble.NO_CONNECTION: "соединение не устанавливается",
    Trouble.BAD_ADDRESS: "адрес API записан неверно",
    Trouble.CUT_BEFORE: "соединение обрывается",
}
_UNKNOWN: Final = "МойСклад отказал ({what}). Передайте этот код в поддержку."


def explain_ru(code: int | None, api: Api, *, status: int | None = None) -> str:
    """The Russian sentence for an error code (or, without one, an HTTP status) of one API, with the remedy."""
    if code == 1056 or (code is None and status == 401):
        return _KEY[api]
    if code is not None and code in _CODES:
        return _CODES[code]
    if status is not None and status in _STATUSES:
        return _STATUSES[status]
    if code == 1999 or (status is not None and status >= 500):
        return _OUTAGE.format(status=status or code)
    return _UNKNOWN.format(what=f"код {code}" if code is not None else f"ответ {status}")


def nobody_has_ru(extension: str) -> str:
    """That no employee has this extension (empty: that one employee has none), and what to do, for the administrator."""
    whose = f"Ни у кого в МоёмСкладе нет добавочного номера {extension}." if extension else "У сотрудника нет добавочного номера."
    return f"{whose} Задайте его сотруднику в МоёмСкладе или сопоставьте в таблице «Сотрудники»."


def explain_failure_ru(failure: Refused | Unavailable, api: Api) -> str:
    """The same for whatever a request raised, connection failures and missing credentials included."""
    match failure:
        case ApiRefusal():
            return explain_ru(failure.code, api, status=failure.status)
        case ApiUnavailable() if failure.status is not None and 200 <= failure.status < 400:
            return f"Ответ пришёл не от МоегоСклада ({_NAMES[api]}). Проверьте адрес API и прокси."
        case ApiUnavailable() if failure.codes or failure.status is not None:
            return explain_ru(failure.codes[0] if failure.codes else None, api, status=failure.status)
        case Refused():
            what = "Ключ Phone API" if api is Api.PHONE else "Токен основного API"
            return f"{what} не указан или содержит недопустимые знаки. Введите его в настройках интеграции."
        case Unavailable() if failure.error in _WHY:
            return _NO_CONNECTION.format(api=_NAMES[api], why=_WHY[failure.error])
        case Deferred() if failure.error.startswith(Trouble.AWAY):
            return _AWAY.format(api=_NAMES[api])
        case Deferred():
            return _NOT_SENT.get(failure.error, _NO_ROOM).format(api=_NAMES[api])
        case _:
            return _NO_ANSWER.format(api=_NAMES[api])
