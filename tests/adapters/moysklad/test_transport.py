"""One request to MoySklad: what goes out, what is written down, and what each way of failing means."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from adapters.moysklad.answers import MAX_ANSWER_BYTES, MAX_KEPT_BYTES
from adapters.moysklad.errors import Api, ApiRefusal, ApiUnavailable, Trouble
from adapters.moysklad.registry import LimitsRegistry
from adapters.moysklad.transport import MAX_KEPT_EXCHANGES, Outgoing, Trail, Transport
from core.effects import Deferred, Refused, Turn
from core.events import Exchange
from tests.adapters.moysklad.support import (
    KEY,
    FakeTime,
    Responder,
    complains,
    hangs_up,
    says,
    scripted,
    seasoned,
    stays_silent,
)

GET = Outgoing(method="GET", path="/call/1")
POST = Outgoing(method="POST", path="/call", body={"number": "+79161234567"})
PUT = Outgoing(method="PUT", path="/call/1", body={"recordUrl": ["http://pbx/1"]})


async def failure_of(transport: Transport, outgoing: Outgoing, trail: Trail | None = None) -> ApiUnavailable:
    with pytest.raises(ApiUnavailable) as caught:
        await transport.send(outgoing, KEY, trail or Trail())
    return caught.value


@pytest.mark.parametrize(
    ("api", "header", "value"),
    [(Api.PHONE, "Lognex-Phone-Auth-Token", KEY), (Api.JSON, "Authorization", f"Bearer {KEY}")],
)
async def test_a_request_and_what_the_history_keeps_of_it(api: Api, header: str, value: str) -> None:
    async with scripted(api) as (script, transport):
        script.then(says(200, {"id": "1"}))
        trail = Trail()
        outgoing = Outgoing(
            method="POST", path="/call/a%2Fb", query=(("filter", "a=1;b"), ("search", "45 67")), body={"name": "Ольга"}
        )
        assert await transport.send(outgoing, KEY, trail) == {"id": "1"}
    (seen,) = script.seen
    assert seen.headers[header] == value
    assert seen.headers["Accept-Encoding"] == "gzip"
    assert seen.headers["Content-Type"] == "application/json"
    assert (seen.method, seen.path, seen.body) == (
        "POST",
        "/api/call/a%2Fb?filter=a%3D1%3Bb&search=45%2067",
        {"name": "Ольга"},
    )
    (exchange,) = trail.exchanges
    assert exchange == Exchange(
        method="POST",
        path="/api/call/a%2Fb?filter=a%3D1%3Bb&search=45%2067",
        request={"name": "Ольга"},
        status=200,
        response={"id": "1"},
        duration_ms=exchange.duration_ms,
    )
    assert 0 <= exchange.duration_ms < 5_000
    assert trail.wrote


async def test_credentials_stay_out_of_the_history_even_when_the_server_repeats_them() -> None:
    async with scripted() as (script, transport):
        script.then(
            says(200, {"echo": KEY}),
            says(500, text=f"<html>{KEY}</html>", html=True),
            says(401, {"errors": [{"error": f"Неправильный токен {KEY}", "code": 1056}]}),
        )
        trail = Trail()
        await transport.send(GET, KEY, trail)
        failure = await failure_of(transport, GET, trail)
        with pytest.raises(ApiRefusal) as refused:
            await transport.send(GET, KEY, trail)
    assert KEY not in orjson.dumps(msgspec.to_builtins(trail.exchanges)).decode()
    assert KEY not in refused.value.error + str(failure)


async def test_a_long_answer_is_used_whole_and_kept_short() -> None:
    rows = [{"id": str(number), "name": "имя" * 10} for number in range(1_000)]
    async with scripted() as (script, transport):
        script.then(says(200, {"rows": rows}))
        trail = Trail()
        assert await transport.send(GET, KEY, trail) == {"rows": rows}
    kept = trail.exchanges[0].response
    assert isinstance(kept, str)
    assert len(kept.encode()) < MAX_KEPT_BYTES + 100


async def test_a_digest_stands_for_a_good_answer_only() -> None:
    asking = Outgoing(method="GET", path="/x", digest=lambda body: {"rows": len(body["rows"])})
    async with scripted() as (script, transport):
        script.then(says(200, {"rows": [1, 2]}), complains(412, 1034))
        trail = Trail()
        await transport.send(asking, KEY, trail)
        with pytest.raises(ApiRefusal):
            await transport.send(asking, KEY, trail)
    assert trail.exchanges[0].response == {"rows": 2}
    assert trail.exchanges[1].response == {"errors": [{"error": "Ошибка 1034", "code": 1034}]}


def zipped(payload: bytes, *, damaged: bool = False) -> Responder:
    async def respond(request: web.Request) -> web.StreamResponse:
        packed = gzip.compress(payload, compresslevel=1)
        body = packed[:20] + b"\xff" * 200 if damaged else packed
        return web.Response(body=body, content_type="application/json", headers={"Content-Encoding": "gzip"})

    return respond


async def test_gzip_and_no_gzip_are_both_read() -> None:
    async with scripted() as (script, transport):
        script.then(zipped(b'{"id": "1"}'), says(200, {"id": "2"}))
        assert await transport.send(GET, KEY, Trail()) == {"id": "1"}
        assert await transport.send(GET, KEY, Trail()) == {"id": "2"}


async def test_an_answer_without_end_is_not_read_to_the_end() -> None:
    async with scripted() as (script, transport):
        script.then(zipped(b"1" * (MAX_ANSWER_BYTES + 1)))
        failure = await failure_of(transport, POST)
    assert failure.ambiguous


@pytest.mark.parametrize(
    ("respond", "error", "status"),
    [
        (zipped(b'{"id": "' + b"1" * 100_000 + b'"}', damaged=True), Trouble.BROKEN, None),
        (hangs_up, Trouble.CUT_AFTER, None),
        (says(502, text="<html><h1>502 Bad Gateway</h1></html>", html=True), "HTTP 502 with a web page", 502),
        (says(503), "HTTP 503 with an empty body", 503),
        (says(200, text="<html>login</html>", html=True), "HTTP 200 without readable JSON", 200),
        (complains(500, 1999), "Ошибка 1999", 500),
    ],
)
@pytest.mark.parametrize("outgoing", [GET, POST, PUT])
async def test_no_good_answer_leaves_a_write_in_doubt(
    outgoing: Outgoing, respond: Responder, error: str, status: int | None
) -> None:
    async with scripted() as (script, transport):
        script.then(respond, respond)
        trail = Trail()
        failure = await failure_of(transport, outgoing, trail)
    assert (failure.error, failure.ambiguous, failure.status) == (error, outgoing.write, status)
    assert trail.wrote is outgoing.write
    assert len(trail.exchanges) == 1


async def test_silence_is_ambiguous_for_a_write_only() -> None:
    async with scripted(timeout_s=0.1) as (script, transport):
        script.then(stays_silent, stays_silent)
        for outgoing in (POST, GET):
            failure = await failure_of(transport, outgoing)
            assert (failure.error, failure.ambiguous) == (Trouble.LATE, outgoing.write)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:{port}/api", Trouble.NO_CONNECTION),
        ("http://no-such-server.invalid/api", Trouble.NO_NAME),
        ("https://127.0.0.1:{plain}/api", Trouble.NO_TLS),
        ("ftp://127.0.0.1/api", None),
    ],
)
async def test_what_never_went_out_is_not_ambiguous(url: str, error: str | None) -> None:
    async with scripted() as (script, _):
        plain = script.base.split(":")[2].split("/")[0]
        transport = Transport(
            api=Api.PHONE, base_url=url.format(port=unused_port(), plain=plain), limits=LimitsRegistry(), timeout_s=5
        )
        trail = Trail()
        failure = await failure_of(transport, POST, trail)
        await transport.close()
    assert not failure.ambiguous
    assert error is None or failure.error == error
    assert not trail.wrote
    assert trail.exchanges[0].status is None


async def test_a_connection_that_is_never_accepted_is_not_ambiguous() -> None:
    # a listening socket whose queue is full: connecting hangs
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        transport = Transport(
            api=Api.PHONE,
            base_url=f"http://127.0.0.1:{listener.getsockname()[1]}/api",
            limits=LimitsRegistry(),
            connect_timeout_s=0.1,
        )
        failure = await failure_of(transport, POST)
        await transport.close()
        for filler in fillers:
            filler.close()
    assert (failure.error, failure.ambiguous) == (Trouble.NO_CONNECTION, False)


async def test_a_write_on_a_stale_connection_is_never_sent_twice() -> None:
    async with scripted() as (script, transport):
        # the first answer leaves a connection in the pool; the server drops it when the PUT has arrived
        script.then(says(200, {"id": "1"}), hangs_up, says(200, {"id": "1"}))
        await transport.send(GET, KEY, Trail())
        failure = await failure_of(transport, PUT)
        assert (failure.error, failure.ambiguous) == (Trouble.CUT_AFTER, True)
        assert [one.method for one in script.seen] == ["GET", "PUT"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_keep_method_body_and_credentials(status: int) -> None:
    async with scripted() as (script, transport):
        script.then(says(status, Location="/elsewhere/call"), says(200, {"id": "1"}))
        trail = Trail()
        assert await transport.send(POST, KEY, trail) == {"id": "1"}
    assert [(one.method, one.path, one.body) for one in script.seen] == [
        ("POST", "/api/call", POST.body),
        ("POST", "/elsewhere/call", POST.body),
    ]
    assert script.seen[1].headers["Lognex-Phone-Auth-Token"] == KEY
    assert [one.status for one in trail.exchanges] == [status, 200]


async def test_303_is_fetched() -> None:
    async with scripted() as (script, transport):
        script.then(says(303, Location="/elsewhere"), says(200, {"id": "1"}))
        await transport.send(POST, KEY, Trail())
    assert (script.seen[1].method, script.seen[1].body) == ("GET", None)


async def test_credentials_are_not_carried_to_another_server() -> None:
    async with scripted() as (script, transport), scripted() as (stranger, _):
        script.then(says(307, Location=stranger.base + "/call"))
        failure = await failure_of(transport, POST)
    assert not failure.ambiguous
    assert stranger.seen == []


async def test_redirects_end() -> None:
    async with scripted() as (script, transport):
        script.then(*[says(307, Location="/again")] * 20)
        failure = await failure_of(transport, GET)
    assert failure.error == "too many redirects"
    assert len(script.seen) == 6


@pytest.mark.parametrize("credential", ["", "ключ", "two words", "line\nbreak"])
async def test_an_unusable_credential_is_refused_before_anything_goes_out(credential: str) -> None:
    async with scripted() as (script, transport):
        with pytest.raises(Refused) as caught:
            await transport.send(GET, credential, Trail())
    assert script.seen == []
    assert caught.value.remedy
    assert not credential or credential not in caught.value.error


@pytest.mark.parametrize(
    ("respond", "retry_after_ms", "held_ms"),
    [
        (complains(429, 1049, X_Lognex_Retry_After="1700"), 1_700, 1_700),
        (complains(429, 1049, X_Lognex_Retry_After="1700", X_Lognex_Auth="429002"), 1_700, 1_700),
        (says(429), 1_000, 1_000),
        # too many at once: there are fewer places now, and nobody has to wait for the clock
        (complains(429, 1073, X_Lognex_Auth="429005"), 500, 0),
        (says(429, X_Lognex_Auth="429005"), 500, 0),
    ],
)
async def test_429_is_not_ambiguous_and_holds_the_next_request(respond: Responder, retry_after_ms: int, held_ms: int) -> None:
    time = FakeTime()
    async with scripted(limits=seasoned(clock=time, now_ms=time), wait_ms=0) as (script, transport):
        script.then(says(200, {"id": "1"}), respond, says(200, {"id": "1"}))
        await transport.send(GET, KEY, Trail())
        failure = await failure_of(transport, POST)
        assert (failure.ambiguous, failure.retry_after_ms) == (False, retry_after_ms)
        if held_ms:
            time.now_ms += held_ms - 1
            with pytest.raises(Deferred) as deferred:
                await transport.send(POST, KEY, Trail())
            assert deferred.value.retry_after_ms == 1
            time.now_ms += 1
        await transport.send(POST, KEY, Trail())
    assert len(script.seen) == 3


async def test_one_account_held_back_does_not_hold_another() -> None:
    time = FakeTime()
    async with scripted(limits=seasoned(clock=time, now_ms=time), wait_ms=0) as (script, transport):
        script.then(complains(429, 1049, X_Lognex_Retry_After="3000"), says(200, {"id": "1"}))
        await failure_of(transport, POST)
        await transport.send(POST, "another-key", Trail())


async def test_given_up_in_the_middle_is_written_down() -> None:
    async with scripted() as (script, transport):
        arrived = asyncio.Event()

        async def silent(request: web.Request) -> web.StreamResponse:
            arrived.set()
            return await stays_silent(request)

        script.then(silent)
        trail = Trail()
        sending = asyncio.create_task(transport.send(POST, KEY, trail))
        await arrived.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert trail.wrote
    assert trail.exchanges[0].status is None
    assert "given up" in trail.exchanges[0].response


def test_the_trail_is_bounded() -> None:
    trail = Trail()
    for _ in range(MAX_KEPT_EXCHANGES + 10):
        trail.add(Exchange(method="GET"))
    assert len(trail.exchanges) == MAX_KEPT_EXCHANGES


@pytest.mark.parametrize("make", [lambda: "x", lambda: 5, lambda: None, list, lambda: {"id": None}])
async def test_json_of_any_shape_is_handed_over(make: Callable[[], Any]) -> None:
    async with scripted() as (script, transport):
        script.then(says(200, text=orjson.dumps(make()).decode()))
        assert await transport.send(GET, KEY, Trail()) == make()


@pytest.mark.parametrize(("credential", "kept"), [("0367", "0367-1.1"), ("a" * 40, "***-1.1")])
async def test_a_credential_in_an_answer_is_hidden_without_breaking_the_answer(credential: str, kept: str) -> None:
    answer = {"id": "c", "externalId": f"{credential}-1.1", "duration": 10367, "number": "+79160367000"}

    async def echo(request: web.Request) -> web.Response:
        return web.json_response(answer)

    app = web.Application()
    app.router.add_get("/echo", echo)
    async with TestServer(app) as server:
        transport = Transport(api=Api.PHONE, base_url=str(server.make_url("")).rstrip("/"), limits=LimitsRegistry())
        trail = Trail()
        try:
            body = await transport.send(Outgoing(method="GET", path="/echo"), credential, trail)
        finally:
            await transport.close()
    assert body == {**answer, "externalId": kept}
    assert trail.exchanges[0].response == body


async def test_a_turnstile_is_told_once_how_long_ago_another_instance_may_have_asked() -> None:
    """Told again with each request of a series, it would make do with little for as long as the series lasts."""
    async with scripted(Api.JSON) as (script, transport):
        turnstile = transport._limits.of(Api.JSON, KEY)
        ours, not_ours = Trail(turn=Turn(quiet_ms=100)), Trail(turn=Turn(quiet_ms=0))
        assert [ours.turn_at(turnstile).quiet_ms for _ in range(3)] == [100, None, None]
        assert ours.turn_at(transport._limits.of(Api.JSON, "another")).quiet_ms == 100
        assert [not_ours.turn_at(turnstile).quiet_ms for _ in range(3)] == [0, 0, 0]
        assert ours.turn.quiet_ms == 100
        assert not script.seen
