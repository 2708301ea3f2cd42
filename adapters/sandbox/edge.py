"""The way in to both APIs: outage, gzip rule, Accept, auth, limits, faults, latency, then the route, then gzip out.

The order is the order in which a real front would notice: a balancer's trouble before anything is read, 415 and 1062
before auth, limits once it is known whose they are, faults and latency while the request holds its place in line.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import orjson
from aiohttp import web

from adapters.sandbox import limits as lim
from adapters.sandbox.errors import ApiError, Problem, error_body, refuse, unauthorised
from adapters.sandbox.faults import Api, FaultRule, Faults
from adapters.sandbox.hrefs import PHONE_PATH, REMAP_PATH
from adapters.sandbox.requests_log import RequestEntry, RequestLog, readable_body
from adapters.sandbox.routing import Answer, Ask, Routes
from adapters.sandbox.state import Account, Employee, State

MEGABYTE = 1024 * 1024
MAX_BODY_MB: Mapping[Api, int] = {"phone": 10, "remap": 20}
CLIENT_MAX_SIZE = 21 * MEGABYTE
HANG_LIMIT_S = 600.0
HANG_POLL_S = 0.05
HTML_502 = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_ACCEPTED = frozenset({"", "*/*", "application/json", "application/json;charset=utf-8"})
_BASE: Mapping[Api, str] = {"phone": PHONE_PATH, "remap": REMAP_PATH}


class World(Protocol):
    """What the edge needs of the sandbox around it (it changes on reset, so it is asked for each time)."""

    state: State
    limits: lim.Limits
    faults: Faults
    log: RequestLog
    stopping: asyncio.Event

    def publish(self, headers: Mapping[str, str]) -> None:
        """Send what has changed to those who watch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Admitted:
    account: Account
    user: Employee
    headers: Mapping[str, str]


class Edge:
    """Serves one API."""

    def __init__(self, world: World, api: Api, routes: Routes) -> None:
        self._world = world
        self._api = api
        self._routes = routes
        self._base = _BASE[api]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The aiohttp handler of everything below the API's base path."""
        clock = self._world.state.options.clock
        path = request.path[len(self._base) :] or "/"
        shown = f"{path}?{request.query_string}" if request.query_string else path
        entry = self._world.log.begin(at_ms=clock(), api=self._api, method=request.method, path=shown)
        try:
            response = await self._serve(request, entry, path)
        finally:
            entry.duration_ms = clock() - entry.at_ms
        return response

    async def _serve(self, request: web.Request, entry: RequestEntry, path: str) -> web.StreamResponse:
        mode = self._world.faults.outages[self._api]
        if mode != "off":
            entry.fault = f"outage:{mode}"
            return await self._break(request, entry, mode)
        try:
            body = await self._read(request)
            entry.body = readable_body(body)
            refused = self._preconditions(request)
            if refused is not None:
                return self._respond(request, entry, refused)
            account, user = self._authenticate(request)
            entry.account = account.name
        except ApiError as error:
            return self._respond(request, entry, self._problem(error.problem))
        gates = self._gates(request, account, user)
        if not self._world.limits.enter(gates):
            return self._respond(request, entry, self._too_many_at_once())
        try:
            return await self._inside(request, entry, path, body, account, user)
        finally:
            self._world.limits.leave(gates)

    async def _inside(
        self,
        request: web.Request,
        entry: RequestEntry,
        path: str,
        body: bytes,
        account: Account,
        user: Employee,
    ) -> web.StreamResponse:
        verdict, headers = self._meter(account, user, path)
        if verdict is not None and not verdict.allowed:
            return self._respond(request, entry, self._too_often(headers))
        rule = self._world.faults.pick(self._api, request.method, entry.path, account.name)
        await self._latency(rule)
        if rule is not None:
            entry.fault = rule.action
            if rule.action in ("drop_before", "hang", "html_502"):
                return await self._break(request, entry, _MODES[rule.action])
            if rule.action == "status":
                return self._respond(request, entry, self._ordered(rule, headers))
        ask = Ask(
            method=request.method,
            path=path,
            query=dict(request.query),
            headers=request.headers,
            body=body,
            account=account,
            user=user,
            now_ms=self._world.state.options.clock(),
            request_id=entry.id,
        )
        answer = self._process(ask)
        if rule is not None and rule.action == "drop_after":
            return await self._break(request, entry, "drop")
        if rule is not None and rule.action == "status_after":
            answer = self._ordered(rule, headers)
        merged = {**headers, **answer.headers}
        return self._respond(request, entry, Answer(status=answer.status, body=answer.body, headers=merged))

    def _process(self, ask: Ask) -> Answer:
        try:
            handler, params = self._routes.find(ask.method, ask.path)
            answer = handler(self._world.state, ask, params)
        except ApiError as error:
            answer = self._problem(error.problem)
        self._world.publish(ask.headers)
        return answer

    # -- before the route ------------------------------------------------------------------------------------

    async def _read(self, request: web.Request) -> bytes:
        limit_mb = MAX_BODY_MB[self._api]
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise refuse(1044, limit_mb) from None
        if len(body) > limit_mb * MEGABYTE:
            raise refuse(1044, limit_mb)
        return body

    def _preconditions(self, request: web.Request) -> Answer | None:
        wanted = self._api == "remap" or self._world.state.switches.phone_requires_gzip
        if wanted and not _takes_gzip(request.headers.get("Accept-Encoding", "")):
            return Answer(status=415)
        accept = request.headers.get("Accept", "").replace(" ", "").lower()
        if accept not in _ACCEPTED:
            raise refuse(1062)
        return None

    def _authenticate(self, request: web.Request) -> tuple[Account, Employee]:
        state = self._world.state
        if self._api == "phone":
            account = state.account_by_phone_key(request.headers.get("Lognex-Phone-Auth-Token", ""))
            if account is None:
                raise unauthorised("Неправильный токен доступа")
            if not account.phone_solution_installed:
                raise refuse(55008, "Phone API")
            return account, account.employees[account.admin_id]
        found = _remap_user(state, request.headers.get("Authorization", ""))
        if found is None:
            raise unauthorised("Неправильный пароль или имя пользователя")
        return found

    def _gates(self, request: web.Request, account: Account, user: Employee) -> tuple[tuple[str, str, int], ...]:
        if not self._world.state.switches.limits_enforced:
            return ()
        if self._api == "phone":
            return (
                ("phone-user", account.name, lim.PHONE_PARALLEL_PER_USER),
                ("phone-address", request.remote or "", lim.PHONE_PARALLEL_PER_ADDRESS),
            )
        return (
            ("remap-user", f"{account.name}/{user.id}", lim.REMAP_PARALLEL_PER_USER),
            ("remap-account", account.name, lim.REMAP_PARALLEL_PER_ACCOUNT),
        )

    def _meter(self, account: Account, user: Employee, path: str) -> tuple[lim.Verdict | None, dict[str, str]]:
        switches = self._world.state.switches
        if not switches.limits_enforced:
            return None, {}
        phone = self._api == "phone"
        weight = 1 if phone else _weight(path, switches.request_weight)
        verdict = self._world.limits.take(
            self._api,
            account.name if phone else f"{account.name}/{user.id}",
            now_ms=self._world.state.options.clock(),
            units=weight,
            algorithm=switches.limit_algorithm,
        )
        if phone and not switches.phone_limit_headers:
            return verdict, {}
        return verdict, lim.limit_headers(
            verdict,
            capacity=lim.PHONE_REQUESTS if phone else lim.REMAP_UNITS,
            period_ms=lim.PHONE_PERIOD_MS if phone else lim.REMAP_PERIOD_MS,
            weight=weight,
            shown=switches.rate_limit_header,
        )

    async def _latency(self, rule: FaultRule | None) -> None:
        switches = self._world.state.switches
        wait_ms = switches.phone_latency_ms if self._api == "phone" else switches.remap_latency_ms
        if rule is not None and rule.action == "delay_ms":
            wait_ms += rule.delay_ms
        if wait_ms:
            await asyncio.sleep(wait_ms / 1000)

    # -- answers ---------------------------------------------------------------------------------------------

    def _problem(self, problem: Problem) -> Answer:
        body = error_body(problem.items, more_info=self._api == "remap")
        return Answer(status=problem.status, body=body, headers=problem.headers)

    def _too_many_at_once(self) -> Answer:
        headers = {"X-Lognex-Auth": "429005"}
        return self._limit_answer(refuse(1073, headers=headers).problem)

    def _too_often(self, headers: Mapping[str, str]) -> Answer:
        return self._limit_answer(refuse(1049, headers=headers).problem)

    def _limit_answer(self, problem: Problem) -> Answer:
        if self._api == "remap":
            return self._problem(problem)
        switches = self._world.state.switches
        answer = self._problem(problem)
        return Answer(
            status=429,
            body=answer.body if switches.phone_429_body else None,
            headers=problem.headers if switches.phone_limit_headers else {},
        )

    def _ordered(self, rule: FaultRule, headers: Mapping[str, str]) -> Answer:
        extra = dict(headers)
        if rule.retry_after_ms is not None:
            extra["X-Lognex-Retry-After"] = str(rule.retry_after_ms)
        if rule.code == 0:
            return Answer(status=rule.status, headers=extra)
        text = "Ошибка по заказу"
        entry = {"error": text, "code": rule.code}
        return Answer(status=rule.status, body={"errors": [entry]}, headers=extra)

    def _respond(self, request: web.Request, entry: RequestEntry, answer: Answer) -> web.Response:
        entry.status = answer.status
        if isinstance(answer.body, dict) and "errors" in answer.body:
            entry.codes = tuple(one["code"] for one in answer.body["errors"])
        headers = dict(answer.headers)
        if answer.body is None:
            return web.Response(status=answer.status, headers=headers)
        pretty = request.headers.get("Lognex-Pretty-Print-JSON", "").lower() == "true"
        payload = orjson.dumps(answer.body, option=orjson.OPT_INDENT_2 if pretty else 0)
        headers["Content-Type"] = "application/json;charset=utf-8"
        takes_gzip = _takes_gzip(request.headers.get("Accept-Encoding", ""))
        if takes_gzip and self._world.state.switches.answers_compressed:
            payload = gzip.compress(payload, compresslevel=1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return web.Response(status=answer.status, body=payload, headers=headers)

    async def _break(
        self, request: web.Request, entry: RequestEntry, mode: Literal["status_503", "drop", "hang", "html_502"]
    ) -> web.StreamResponse:
        match mode:
            case "status_503":
                return self._respond(request, entry, self._problem(refuse(1074).problem))
            case "html_502":
                entry.status = 502
                return web.Response(status=502, text=HTML_502, content_type="text/html")
            case "hang":
                await self._hang(request)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    async def _hang(self, request: web.Request) -> None:
        """Until the client gives up, the sandbox stops, or ten minutes have passed."""
        rounds = int(HANG_LIMIT_S / HANG_POLL_S)
        for _ in range(rounds):
            gone = request.transport is None or request.transport.is_closing()
            if gone or self._world.stopping.is_set():
                return
            await asyncio.sleep(HANG_POLL_S)


_MODES: Mapping[str, Literal["drop", "hang", "html_502"]] = {
    "drop_before": "drop",
    "hang": "hang",
    "html_502": "html_502",
}


def _takes_gzip(accept_encoding: str) -> bool:
    for offer in accept_encoding.split(","):
        name, _, params = offer.partition(";")
        if name.strip().lower() == "gzip":
            return params.replace(" ", "").lower() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _weight(path: str, of_a_request: int) -> int:
    return 5 if path.rstrip("/") in ("/report/stock/all", "/report/stock/bystore") else of_a_request


def _remap_user(state: State, authorization: str) -> tuple[Account, Employee] | None:
    scheme, _, credential = authorization.partition(" ")
    reader = _SCHEMES.get(scheme.lower())
    return reader(state, credential.strip()) if reader is not None else None


def _bearer(state: State, credential: str) -> tuple[Account, Employee] | None:
    return state.user_by_token(credential)


def _basic(state: State, credential: str) -> tuple[Account, Employee] | None:
    try:
        login, _, password = base64.b64decode(credential, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return state.user_by_login(login, password)


_SCHEMES: Mapping[str, Callable[[State, str], tuple[Account, Employee] | None]] = {
    "bearer": _bearer,
    "basic": _basic,
}
