"""The last moments before a request leaves, and what its account learns from what came of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from adapters.moysklad.errors import Api, ApiRefusal, ApiUnavailable, Trouble
from adapters.moysklad.sending import UNACKNOWLEDGED_MS, new_socket
from adapters.moysklad.transport import HURRIED_S, Outgoing, Trail, Transport
from core.effects import Deferred, Refused, Turn, Unavailable
from tests.adapters.moysklad.support import (
    KEY,
    FakeTime,
    Responder,
    Script,
    complains,
    hangs_up,
    says,
    scripted,
    seasoned,
    stays_silent,
)

GET = Outgoing(method="GET", path="/call/1")
POST = Outgoing(method="POST", path="/call", body={"number": "+79161234567"})
PUT = Outgoing(method="PUT", path="/call/1", body={"comment": "x" * 200_000}, entity="0367-1")


def permits(*answers: bool) -> Callable[[], bool]:
    """One answer after another; the last stays."""
    left = list(answers)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


@asynccontextmanager
async def raw_server() -> AsyncIterator[tuple[Transport, list[int]]]:
    """A server that counts the bytes that reach it, and a transport to it."""
    received = [0, 0]
    closed = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received[0] += 1
        while data := await reader.read(65_536):
            received[1] += len(data)
        writer.close()
        closed.set()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = Transport(api=Api.PHONE, base_url=f"http://127.0.0.1:{port}/api", limits=seasoned())
    try:
        yield transport, received
        async with asyncio.timeout(5):
            await closed.wait()
    finally:
        await transport.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("outgoing", "permit"),
    [
        (GET, permits(False)),
        (POST, permits(False)),
        (POST, permits(True, False)),  # lost while aiohttp kept the headers back for the body
        (PUT, permits(True, False)),
    ],
)
async def test_an_instance_that_lost_its_lease_sends_not_one_byte(outgoing: Outgoing, permit: Callable[[], bool]) -> None:
    async with raw_server() as (transport, received):
        trail = Trail(turn=Turn(permit=permit))
        with pytest.raises(Unavailable) as caught:
            await transport.send(outgoing, KEY, trail)
        await transport.close()
    assert (caught.value.error, caught.value.ambiguous) == (Trouble.NOT_OURS, False)
    assert not isinstance(caught.value, Deferred), "it was admitted: from outside it is an attempt that failed"
    assert received == [1, 0], "it connected, and said nothing"
    assert not trail.wrote
    assert (trail.exchanges[0].status, trail.exchanges[0].response) == (None, f"({Trouble.NOT_OURS})")
    state = transport._limits.snapshot()[0]
    assert (state.used, state.in_flight, state.failures_last_minute) == (0, 0, 0)


async def test_the_permit_is_asked_when_the_turn_has_come_not_before() -> None:
    async with scripted() as (script, transport):
        script.then(says(200, {"id": "1"}))
        asked: list[int] = []

        def permit() -> bool:
            asked.append(transport._limits.of(Api.PHONE, KEY).describe(0).in_flight)
            return True

        await transport.send(POST, KEY, Trail(turn=Turn(permit=permit)))
    assert asked == [1, 1]  # before the headers, and once more before they leave together with the body


def test_our_sockets_do_not_go_on_delivering_for_ever() -> None:
    with new_socket((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 80))) as made:
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNACKNOWLEDGED_MS
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


async def test_the_connection_in_use_is_one_of_these() -> None:
    async with scripted() as (script, transport):
        options: list[int] = []

        def permit() -> bool:
            assert transport._session is not None
            (protocol,) = transport._session.connector._acquired  # type: ignore[union-attr]
            used = protocol.transport.get_extra_info("socket")  # type: ignore[union-attr]
            options.append(used.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
            return True

        script.then(says(200, {"id": "1"}))
        await transport.send(GET, KEY, Trail(turn=Turn(permit=permit)))
    assert options == [UNACKNOWLEDGED_MS]


# -- what the account learns ---------------------------------------------------------------------------------


async def ends_badly(transport: Transport, outgoing: Outgoing = GET) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await transport.send(outgoing, KEY, Trail())
    return caught.value


@asynccontextmanager
async def in_fake_time(*answers: Responder) -> AsyncIterator[tuple[Script, Transport, FakeTime]]:
    """A scripted server that gives these answers, and limits whose time only the test moves."""
    time = FakeTime()
    async with scripted(limits=seasoned(clock=time, now_ms=time, chance=lambda: 1.0), wait_ms=0) as (script, transport):
        script.then(says(200, {"id": "1"}), *answers)
        await transport.send(GET, KEY, Trail())
        yield script, transport, time


OUTAGE = says(502, text="<html>502 Bad Gateway</html>", html=True)


async def test_after_three_failures_nothing_is_sent_until_a_try_is_due() -> None:
    async with in_fake_time(OUTAGE, hangs_up, complains(503, 1074), says(200, {"id": "1"})) as (script, transport, time):
        for wait_ms in (250, 500, 0):
            assert not isinstance(await ends_badly(transport, POST), Deferred)
            time.now_ms += wait_ms
        failure = await ends_badly(transport)
        assert isinstance(failure, Deferred)
        assert (failure.error, failure.retry_after_ms) == (f"{Trouble.AWAY}: Ошибка 1074", 1_000)
        assert len(script.seen) == 4
        time.now_ms += 1_000
        assert await transport.send(GET, KEY, Trail()) == {"id": "1"}
        assert len(script.seen) == 5


async def test_a_wrong_key_is_refused_without_asking_again() -> None:
    async with in_fake_time(complains(401, 1056), says(200, {"id": "1"})) as (script, transport, _):
        for _ in range(5):
            with pytest.raises(ApiRefusal) as caught:
                await transport.send(POST, KEY, Trail())
            assert (caught.value.code, caught.value.status) == (1056, 401)
        assert len(script.seen) == 2
        transport.forget(KEY)
        await transport.send(POST, KEY, Trail())
        assert len(script.seen) == 3


async def test_a_refusal_of_one_request_is_nobody_else_s_business() -> None:
    async with in_fake_time(*[complains(412, 3000)] * 5, says(200, {"id": "1"})) as (script, transport, _):
        for _ in range(5):
            with pytest.raises(Refused):
                await transport.send(POST, KEY, Trail())
        await transport.send(POST, KEY, Trail())
        assert len(script.seen) == 7


async def test_a_request_that_is_given_up_after_a_while_counts_as_unanswered() -> None:
    """Look-ups have deadlines shorter than the time of a request: without this a MoySklad that hangs would never be noticed."""
    async with in_fake_time(stays_silent) as (_, transport, _):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.05):
                await transport.send(GET, KEY, Trail())
        state = transport._limits.snapshot()[0]
        assert state.failures_last_minute == 1
        assert transport._limits.of(Api.PHONE, KEY).suspect


async def test_a_request_that_is_given_up_at_once_says_nothing_of_moysklad() -> None:
    async with in_fake_time(stays_silent) as (script, transport, _):
        sending = asyncio.create_task(transport.send(GET, KEY, Trail()))
        async with asyncio.timeout(5):
            while len(script.seen) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert not transport._limits.of(Api.PHONE, KEY).suspect
        assert transport._limits.snapshot()[0].used == 2


async def test_each_redirect_is_a_request_of_its_own() -> None:
    async with in_fake_time(*[says(307, Location="/elsewhere")] * 6) as (script, transport, _):
        failure = await ends_badly(transport)
        assert failure.error == "too many redirects"
        assert len(script.seen) == 7
        assert transport._limits.snapshot()[0].used == 7


async def test_a_put_that_is_repeated_too_often_is_not_sent() -> None:
    put = Outgoing(method="PUT", path="/call/1", body={}, entity="0367-1")
    async with in_fake_time(*[says(200, {"id": "1"})] * 20) as (script, transport, _):
        for _ in range(10):
            await transport.send(put, KEY, Trail())
        failure = await ends_badly(transport, put)
        assert (failure.error, isinstance(failure, Deferred)) == (Trouble.REPEATED, True)
        await transport.send(GET, KEY, Trail())
        assert len(script.seen) == 12


async def test_a_try_is_given_less_time_than_another_request() -> None:
    async with in_fake_time(OUTAGE, OUTAGE, OUTAGE, OUTAGE, says(200, {"id": "1"})) as (_, transport, time):
        seen: list[float | None] = []
        session = transport._open()
        request = session.request

        def noting(*args: object, **options: object) -> object:
            seen.append(options["timeout"].total)  # type: ignore[attr-defined]
            return request(*args, **options)  # type: ignore[arg-type]

        session.request = noting  # type: ignore[assignment, method-assign]
        transport._timeout = transport._timeout.__class__(total=15.0)
        transport._hurried = transport._hurried.__class__(total=HURRIED_S)
        for wait_ms in (250, 500, 1_000, 2_000):
            assert isinstance(await ends_badly(transport), ApiUnavailable)
            time.now_ms += wait_ms
        await transport.send(GET, KEY, Trail())
    # the third failure opened it: the first try takes its time, the next is hurried
    assert seen == [15.0, 15.0, 15.0, 15.0, 5.0]
