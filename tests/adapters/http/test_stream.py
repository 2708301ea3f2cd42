"""PRODUCT A7 and A9: the stream of events, over real connections and, but where a fault has to be played, a real database."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from adapters.http.answers import BODY_LIMIT
from adapters.http.stream import StreamLimits, Streams, watch
from adapters.ingest import Ingest
from core.ports import EventStore
from core.signals import EVENTS
from tests.adapters.http.peer import Peer
from tests.adapters.http.support import INLINE, SECRETS, dial, dial_body, hangup, heads, rejected, streaming
from tests.adapters.stores import Away, Gated
from tests.eventually import until
from tests.playback import NAMES, as_call_event, as_dispatcher, recording
from tests.rig import ENTERPRISE, MINSK, TOKEN, Rig

LAST_WORDS = {"status", "error", "hint"}

def event(unique_id: str, **changed: Any) -> dict[str, Any]:
    return {"event": "dial", "enterprise_number": ENTERPRISE, "raw": dial_body(unique_id), **changed}


def ingest_with(rig: Rig, store: EventStore) -> Ingest:
    service = rig.service
    return Ingest(store=store, settings=service.settings, pool=service.pool, zone=MINSK, now_ms=rig.clock)


def port_of(rig: Rig) -> int:
    port = rig.http.server.port
    assert isinstance(port, int)
    return port


@asynccontextmanager
async def stream_to(rig: Rig, *headers: str) -> AsyncIterator[Peer]:
    """A stream to the rig's own server."""
    peer = await Peer.open(port_of(rig), *headers)
    assert peer.status == 200
    yield peer
    peer.drop()


# -- what is answered ---------------------------------------------------------------------------------------------


async def test_each_event_is_acknowledged_in_order_once_it_is_on_disk(rig: Rig) -> None:
    async with stream_to(rig) as peer:
        assert peer.headers["content-type"] == "application/x-ndjson"
        for number in (1, 2, 3):
            await peer.send(event(f"{number}.1"))
            assert await peer.line() == {
                "n": number,
                "status": "success",
                "enterprise_number": ENTERPRISE,
                "call": f"{number}.1",
            }
            assert await heads(rig) == number
        await peer.send(event("4.1"), event("5.1"), event("4.1"))
        assert [(line["n"], line["call"], line.get("duplicate")) for line in await peer.lines(3)] == [
            (4, "4.1", None),
            (5, "5.1", None),
            (6, "4.1", True),
        ]
        await peer.finish()
        assert await peer.to_the_end() == []
        assert await peer.reader.read() == b"", "the end of the stream is the end of the connection"


@pytest.mark.parametrize("name", NAMES)
async def test_a_recording_is_answered_as_by_single_posts(rig: Rig, name: str) -> None:
    lines = recording(name)
    bodies: list[dict[str, Any]] = [{**as_call_event(line)[1], "enterprise_number": ENTERPRISE} for line in lines]
    bodies += [form[1] for line in lines if (form := as_dispatcher(line)) is not None]
    async with stream_to(rig) as peer:
        await peer.send(*bodies)
        streamed = await peer.lines(len(bodies))
    posted = [(await rig.post("/internal/ms/call-event", body))[1] for body in bodies]
    firsts = [{key: value for key, value in line.items() if key not in ("n", "duplicate")} for line in streamed]
    assert firsts == [{key: value for key, value in answer.items() if key != "duplicate"} for answer in posted]
    assert all(answer["duplicate"] for answer in posted), "whichever way it comes, it is the same fact"


@pytest.mark.parametrize("name", EVENTS)
async def test_every_event_is_taken_in_each_form(rig: Rig, name: str) -> None:
    times = dict.fromkeys(("DateReceived", "StartTime", "EndTime"), "2026-11-23 15:13:20")
    body = dial_body("1.1", BridgeUniqueid="b1", Channel="SIP/151-1", CallStatus="2", **times)
    async with stream_to(rig) as peer:
        await peer.send(
            {"event": name, "token": TOKEN, "raw": body},
            {"event": name, "enterprise_number": ENTERPRISE, "raw": body},
            {"event_type": name, **body, "_queued": 1},
        )
        answers = await peer.lines(3)
    assert [(each["status"], each.get("duplicate", False)) for each in answers] == [
        ("success", False),
        ("success", True),
        ("success", True),
    ]


async def test_where_the_integration_is_off_the_answer_says_so(rig: Rig) -> None:
    await rig.service.settings.save(ENTERPRISE, {"enabled": False}, by="test", reason="test")
    async with stream_to(rig) as peer:
        await peer.send(event("1.1"))
        assert (await peer.line())["status"] == "disabled"


async def test_the_call_is_worked_on(rig: Rig) -> None:
    async with stream_to(rig) as peer:
        await peer.send(dial("1.1"), hangup("1.1", start="2026-11-23 15:13:20", end="2026-11-23 15:13:20"))
        assert [line["status"] for line in await peer.lines(2)] == ["success", "success"]
    assert await rig.service.store.due(rig.clock.now_ms + 500, 10)


BAD: list[tuple[bytes, int, str]] = [
    (b"not json", 400, ""),
    (b"[]", 400, ""),
    (b"5", 400, ""),
    (b"{}", 400, "enterprise_number"),
    (b'{"a": 1', 400, ""),
    (b'{"phone": "\xff\xfe"}', 400, ""),
    (b"\x00", 400, ""),
    (b'{"phone": "\\ud800"}', 400, ""),
    (b"[" * 100_000, 400, ""),
    (b'{"raw":' * 600 + b"{}" + b"}" * 600, 400, "enterprise_number"),
    (b"NaN", 400, ""),
    (orjson.dumps(event("1\x00")), 400, "UniqueId"),
    (orjson.dumps(event("9.9", event="ringing")), 400, "event"),
    (orjson.dumps(event("")), 400, "UniqueId"),
    (orjson.dumps(event("9.9", enterprise_number="9999")), 404, "enterprise_number"),
    (orjson.dumps({**event("9.9"), "enterprise_number": "", "token": "nobody-s"}), 404, "token"),
    (b'{"a": "' + b"x" * (BODY_LIMIT - 8) + b'"}', 413, ""),
    (b"x" * (3 * BODY_LIMIT), 413, ""),
]


async def test_a_bad_line_is_answered_kept_and_skipped(rig: Rig) -> None:
    async with stream_to(rig) as peer:
        for number, (line, _, _) in enumerate(BAD):
            await peer.send_bytes(line + b"\n" + orjson.dumps(event(f"{number}.1")) + b"\n\n \r\n")
        answers = await peer.lines(2 * len(BAD))
    assert [line["n"] for line in answers] == list(range(1, 2 * len(BAD) + 1))
    assert [(line["code"], line["field"]) for line in answers[::2]] == [(code, field) for _, code, field in BAD]
    assert all(line["status"] == "error" and line["error"] for line in answers[::2])
    assert [line["call"] for line in answers[1::2]] == [f"{number}.1" for number in range(len(BAD))]
    assert await heads(rig) == len(BAD)
    kept = await rejected(rig)
    assert [(row["endpoint"], row["error"]) for row in kept] == [("events", line["error"]) for line in answers[::2]]
    assert {"not json", "x" * 4_096} <= {row["body"] for row in kept}


async def test_of_a_flood_of_bad_lines_only_the_first_are_kept(rig: Rig) -> None:
    streams = Streams(limits=StreamLimits(kept_lines=30, batch_lines=20))
    async with streaming(rig, streams) as port:
        peer = await Peer.open(port)
        await peer.send_bytes(b"bad\n" * 100)
        assert [line["code"] for line in await peer.lines(100)] == [400] * 100
        assert (streams.errors, rig.service.ingest.rejected, len(await rejected(rig))) == (100, 100, 30)
        peer.drop()


async def test_secrets_are_not_kept_with_what_is_refused(rig: Rig) -> None:
    async with stream_to(rig) as peer:
        await peer.send({"Token": TOKEN, "ms_config": INLINE}, [INLINE], {"event": "x", "Token": TOKEN})
        await peer.send_bytes(json.dumps({"Token": TOKEN, **INLINE}).encode()[:-1] + b"\n")
        assert [line["code"] for line in await peer.lines(4)] == [400] * 4
    kept = str(await rejected(rig))
    assert [secret for secret in SECRETS if secret in kept] == []


async def test_however_the_bytes_come_in_pieces_the_answers_are_the_same(rig: Rig) -> None:
    events = b"\n".join(
        [
            orjson.dumps(event("1.1")),
            b"",
            b"bad",
            orjson.dumps(event("2.1", raw=dial_body("2.1", Phone="Привет"))),
            orjson.dumps(event("1.1")),
            b'{"phone": "\xff"}\r',
            orjson.dumps(hangup("1.1", start="2026-11-23 15:13:20", end="2026-11-23 15:13:20")),
            b"  ",
            orjson.dumps(event("3.1")),  # the last line has no end
        ]
    )
    draw, answers = Random(7), list[list[Any]]()
    for pieces in (1, 2, 3, 5, 9, 40, len(events)):
        cuts = sorted(draw.sample(range(1, len(events)), pieces - 1)) if pieces < len(events) else range(1, len(events))
        async with stream_to(rig) as peer:
            for start, end in pairwise([0, *cuts, len(events)]):
                await peer.send_bytes(events[start:end])
                await asyncio.sleep(0)
            await peer.finish()
            answers.append(await peer.to_the_end())
    first = answers[0]
    assert [line.get("call", line["status"]) for line in first] == ["1.1", "error", "2.1", "1.1", "error", "1.1", "3.1"]
    assert [line.get("duplicate", False) for line in first] == [False, False, False, True, False, False, False]
    again = [line if line["status"] == "error" else {**line, "duplicate": True} for line in first]
    assert answers[1:] == [again] * 6


async def test_a_short_form_is_named_by_what_was_recorded_before_it(rig: Rig) -> None:
    short = {"event": "dial", "phone": "+375447777781", "ms_config": INLINE}
    async with stream_to(rig) as peer:
        await peer.send(short, short, {**short, "event": "hangup"}, event("1.1"), {**short, "phone": "+375447777782"})
        answers = await peer.lines(5)
    calls = [line["call"] for line in answers]
    assert calls[0] == calls[1] == calls[2], "the dial, its repeat and its hangup"
    assert len({calls[0], calls[3], calls[4]}) == 3
    assert [line.get("duplicate", False) for line in answers] == [False, True, False, False, False]


# -- connections: how they begin, break and are taken up again -------------------------------------------------------


@pytest.mark.parametrize("is_abrupt", [True, False])
async def test_what_was_not_acknowledged_is_sent_again_and_recognised(rig: Rig, is_abrupt: bool) -> None:
    events = [event(f"{number}.1") for number in range(40)]
    async with stream_to(rig) as peer:
        await peer.send(*events[:25])
        acknowledged = len(await peer.lines(10))
        await peer.send_bytes(orjson.dumps(events[25])[:50])  # cut in the middle of a line
        if not is_abrupt:
            peer.writer.close()
            await peer.writer.wait_closed()
    async with stream_to(rig) as peer:
        await peer.send(*events)
        answers = await peer.lines(40)
    assert [line["call"] for line in answers] == [f"{number}.1" for number in range(40)]
    assert all(line.get("duplicate") for line in answers[:acknowledged]), "what was acknowledged was on disk"
    assert not any(line.get("duplicate") for line in answers[25:]), "half a line is no event"
    assert await heads(rig) == 40
    assert await rejected(rig) == []


async def test_a_sender_that_waits_to_be_asked_is_asked(rig: Rig) -> None:
    peer = await Peer.dial(port_of(rig))
    await peer.ask("HTTP/1.1", "Transfer-Encoding: chunked", "Expect: 100-continue")
    await peer.read_head()
    assert peer.status == 100
    await peer.read_head()
    assert peer.status == 200
    await peer.send(event("1.1"))
    assert (await peer.line())["call"] == "1.1"
    peer.drop()


@pytest.mark.parametrize("keep_alive", ["Connection: keep-alive", "Connection: close"])
async def test_a_sender_of_http_1_0_with_a_length(rig: Rig, keep_alive: str) -> None:
    body = orjson.dumps(event("1.1")) + b"\n" + orjson.dumps(event("2.1"))
    peer = await Peer.dial(port_of(rig))
    await peer.ask("HTTP/1.0", f"Content-Length: {len(body)}", keep_alive, body=body)
    await peer.read_head()
    assert (peer.status, "transfer-encoding" in peer.headers) == (200, False)
    assert [line["call"] for line in await peer.to_the_end()] == ["1.1", "2.1"], "its end is the end of the connection"


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
async def test_a_request_without_a_body_is_told_what_is_missing(rig: Rig, version: str) -> None:
    peer = await Peer.dial(port_of(rig))
    await peer.ask(version)
    await peer.read_head()
    assert (peer.status, "chunked" in (await peer.json())["hint"]) == (411, True)
    peer.drop()


async def test_an_empty_stream_is_an_empty_answer(rig: Rig) -> None:
    peer = await Peer.dial(port_of(rig))
    await peer.ask("HTTP/1.1", "Content-Length: 0")
    await peer.read_head()
    assert (peer.status, await peer.to_the_end()) == (200, [])


async def test_a_packed_stream_is_unpacked_as_it_comes(rig: Rig) -> None:
    async with stream_to(rig, "Content-Encoding: gzip") as peer:
        packer = zlib.compressobj(wbits=31)
        for number in (1, 2, 3):
            line = orjson.dumps(event(f"{number}.1")) + b"\n"
            await peer.send_bytes(packer.compress(line) + packer.flush(zlib.Z_SYNC_FLUSH))
            assert (await peer.line())["call"] == f"{number}.1"
        await peer.send_bytes(packer.flush())
        await peer.finish()
        assert await peer.to_the_end() == []


async def test_a_small_line_that_unpacks_to_a_large_one(rig: Rig) -> None:
    async with stream_to(rig, "Content-Encoding: gzip") as peer:
        await peer.send_bytes(gzip.compress(b"x" * (20 * BODY_LIMIT) + b"\n" + orjson.dumps(event("1.1"))))
        await peer.finish()
        assert [line.get("code", line.get("call")) for line in await peer.to_the_end()] == [413, "1.1"]


async def test_a_body_that_breaks_is_told(rig: Rig) -> None:
    async with stream_to(rig, "Content-Encoding: gzip") as peer:
        await peer.send_bytes(b"this is not packed")
        assert [(line["status"], set(line)) for line in await peer.to_the_end()] == [("broken", LAST_WORDS)]


async def test_there_are_only_so_many_streams(rig: Rig) -> None:
    streams = Streams(limits=StreamLimits(streams=2))
    async with streaming(rig, streams) as port:
        peers = [await Peer.open(port) for _ in range(3)]
        assert [peer.status for peer in peers] == [200, 200, 503]
        assert int(peers[2].headers["retry-after"]) > 0
        assert set(await peers[2].json()) == {"error", "field", "hint"}
        assert (streams.open, streams.opened, streams.refused) == (2, 2, 1)
        await peers[0].finish()
        assert await peers[0].to_the_end() == []
        peers.append(await Peer.open(port))
        assert peers[3].status == 200
        for peer in peers:
            peer.drop()


async def test_a_peer_that_is_gone_gives_its_place_back(rig: Rig) -> None:
    streams = Streams(limits=StreamLimits(streams=1))
    async with streaming(rig, streams) as port:
        (await Peer.open(port)).drop()
        await until(lambda: not streams.open)
        peer = await Peer.open(port)
        assert peer.status == 200
        peer.drop()


def test_the_kernel_watches_over_the_peer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as connection:

        class Transport(asyncio.Transport):
            def get_extra_info(self, name: str, default: Any = None) -> Any:
                return connection if name == "socket" else default

        watch(Transport(), StreamLimits(unheard_s=60, send_buffer_bytes=65_536))
        told = {
            name: connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        }
        assert told == {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * 65_536
        watch(None, StreamLimits())


async def test_streams_are_counted(rig: Rig) -> None:
    streams = Streams()
    async with streaming(rig, streams) as port:
        peer = await Peer.open(port)
        await peer.send(event("1.1"), event("1.1"), {}, event("2.1"))
        await peer.lines(4)
        assert (streams.open, streams.events, streams.errors) == (1, 3, 1)
        peer.drop()


# -- the database: slow, away, wrong ------------------------------------------------------------------------------


async def test_nothing_is_acknowledged_before_it_is_on_disk(rig: Rig) -> None:
    store = Gated()
    async with streaming(rig, Streams(), ingest_with(rig, store)) as port:
        peer = await Peer.open(port)
        await peer.send(event("1.1"), event("2.1"))
        await store.asked.wait()
        other = await Peer.dial(port)
        await other.ask("HTTP/1.1", method="GET", path="/healthz")
        await other.read_head()  # by now an acknowledgement would have come too
        waiting = asyncio.create_task(peer.line())
        assert not (await asyncio.wait({waiting}, timeout=0))[0]
        store.gate.set()
        assert (await waiting)["call"] == "1.1"
        assert (await peer.line())["call"] == "2.1"
        for each in (peer, other):
            each.drop()


async def test_a_slow_database_stops_the_reading(rig: Rig) -> None:
    store, streams, count = Gated(), Streams(limits=StreamLimits(backlog_lines=100, batch_lines=50)), 4_000
    async with streaming(rig, streams, ingest_with(rig, store)) as port:
        peer = await Peer.open(port)
        line = orjson.dumps(event("1.1")) + b"\n"
        sending = asyncio.create_task(peer.send_bytes(line * count))
        await store.asked.wait()
        (stream,) = streams._open
        await until(lambda: len(stream._backlog) == 100)
        for _ in range(100):
            await asyncio.sleep(0)
            assert len(stream._backlog) == 100
        store.gate.set()
        answers = await peer.lines(count)
        await sending
        assert [each["n"] for each in answers] == list(range(1, count + 1))
        assert store.largest == 50
        peer.drop()


async def test_a_database_that_comes_back_is_waited_for(rig: Rig) -> None:
    """An attempt that failed may have recorded everything: its events are not called repeats for that."""
    for records_before_it_fails in (False, True):
        store = Away(failures=3, records_before_it_fails=records_before_it_fails)
        async with streaming(rig, Streams(), ingest_with(rig, store)) as port:
            peer = await Peer.open(port)
            await peer.send(event("1.1"), event("2.1"), event("1.1"))
            answers = await peer.lines(3)
            assert [(line["call"], line.get("duplicate", False)) for line in answers] == [
                ("1.1", False),
                ("2.1", False),
                ("1.1", True),
            ]
            assert await store.head() == 2
            peer.drop()


async def test_a_database_that_stays_away_ends_the_stream_in_words(rig: Rig) -> None:
    store, streams = Away(failures=0), Streams(limits=StreamLimits(patience_s=0.0))
    with capture_logs() as logs:
        async with streaming(rig, streams, ingest_with(rig, store)) as port:
            peer = await Peer.open(port)
            await peer.send(event("1.1"))
            assert (await peer.line())["call"] == "1.1"
            store.failures = 1_000_000
            await peer.send(event("2.1"))
            (last,) = await peer.to_the_end()
            peer.drop()
        assert [line for line in logs if line["log_level"] == "error"] == []
        assert (last["status"], set(last)) == ("unavailable", LAST_WORDS)
        assert "what was not acknowledged" in last["hint"]
        assert (streams.gave_up, streams.events) == (1, 1)


async def test_a_look_up_that_hangs_ends_the_stream_in_words(rig: Rig) -> None:
    streams = Streams(limits=StreamLimits(patience_s=0.0, attempt_s=0.05))
    async with streaming(rig, streams) as port:
        async with rig.service.pool.acquire() as connection:
            await connection.execute("BEGIN")
            await connection.execute("LOCK TABLE public.enterprises")
            peer = await Peer.open(port)
            await peer.send({**event("1.1"), "enterprise_number": "", "token": "somebody-s"})
            (last,) = await peer.to_the_end()
            await connection.execute("ROLLBACK")
        assert (last["status"], set(last)) == ("unavailable", LAST_WORDS)
        peer.drop()


async def test_an_event_that_meets_a_bug_does_not_keep_the_others_back(rig: Rig) -> None:
    class Buggy(Ingest):
        async def prepare(self, signal: Any, heard_ms: int | None = None) -> Any:
            if signal.unique_id == "37.1":
                raise ZeroDivisionError
            return await super().prepare(signal, heard_ms)

    service = rig.service
    ingest = Buggy(store=service.store, settings=service.settings, pool=service.pool, zone=MINSK, now_ms=rig.clock)
    async with streaming(rig, Streams(), ingest) as port:
        peer = await Peer.open(port)
        await peer.send(*(event(f"{number}.1") for number in range(100)))
        with capture_logs() as logs:
            answers = await peer.lines(100)
        assert [line.get("code") for line in answers if line["status"] == "error"] == [500]
        assert answers[37]["error"] == "internal error"
        assert await heads(rig) == 99
        assert [each["error"] for each in logs if each["event"] == "event_failed"] == ["ZeroDivisionError"]
        peer.drop()


async def test_a_bug_of_the_store_ends_the_stream_and_names_nothing(rig: Rig) -> None:
    class Broken(Gated):
        async def append_many(self, appends: Any) -> Any:
            raise ZeroDivisionError("with a secret in it")

    async with streaming(rig, Streams(), ingest_with(rig, Broken())) as port:
        peer = await Peer.open(port)
        await peer.send(event("1.1"))
        (last,) = await peer.to_the_end()
        assert (last["status"], last["error"]) == ("failed", "internal error")
        peer.drop()


# -- readers that do not read, and the end ---------------------------------------------------------------------------


async def test_a_peer_that_does_not_read_its_acknowledgements_is_cut_off(rig: Rig) -> None:
    streams = Streams(limits=StreamLimits(write_s=0.05, send_buffer_bytes=4_096))
    async with streaming(rig, streams) as port:
        peer = await Peer.open(port, receive_buffer=4_096)
        port_of_peer = peer.writer.get_extra_info("sockname")[1]
        with capture_logs() as logs:
            sending = asyncio.create_task(peer.send_bytes(b"x\n" * 20_000))
            await until(lambda: not streams.open)
        (cut,) = [each for each in logs if each["event"] == "stream_cut_off"]
        assert cut["peer"] == f"127.0.0.1:{port_of_peer}"
        assert cut["reason"]
        assert streams.cut_off == 1
        sending.cancel()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await peer.to_the_end()
        peer.drop()


async def test_whoever_reads_slowly_but_reads_is_served(rig: Rig) -> None:
    streams = Streams(limits=StreamLimits(send_buffer_bytes=4_096))
    async with streaming(rig, streams) as port:
        peer = await Peer.open(port, receive_buffer=4_096)
        sending = asyncio.create_task(peer.send_bytes(b"x\n" * 3_000))
        assert [(await peer.line())["n"] for _ in range(3_000)] == list(range(1, 3_001))
        await sending
        peer.drop()


async def test_at_the_end_of_the_service_what_was_read_is_acknowledged(rig: Rig) -> None:
    store, streams = Gated(), Streams(limits=StreamLimits(batch_lines=10))
    async with streaming(rig, streams, ingest_with(rig, store)) as port:
        peers = [await Peer.open(port) for _ in range(2)]
        await peers[0].send(*(event(f"{number}.1") for number in range(35)))
        await store.asked.wait()
        streams.close()
        store.gate.set()
        answers = await peers[0].to_the_end()
        assert [line.get("n") for line in answers] == [*range(1, 36), None]
        assert (answers[-1]["status"], set(answers[-1])) == ("closing", LAST_WORDS)
        assert [line["status"] for line in await peers[1].to_the_end()] == ["closing"], "one that was silent ends too"
        late = await Peer.open(port)
        assert (late.status, streams.open) == (503, 0)
        for peer in (*peers, late):
            peer.drop()


async def test_a_sender_that_goes_on_sending_still_reads_the_last_line(rig: Rig) -> None:
    streams = Streams()
    async with streaming(rig, streams) as port:
        peer = await Peer.open(port)
        await peer.send(event("1.1"))
        assert (await peer.line())["call"] == "1.1"
        streams.close()
        line = orjson.dumps(event("2.1")) + b"\n"
        for _ in range(200):
            await peer.send_bytes(line * 100)
        assert (await peer.to_the_end())[-1]["status"] == "closing"
        await peer.finish()
        assert await peer.reader.read() == b"", "no reset"


async def test_at_the_end_nobody_waits_for_a_database_that_is_away(rig: Rig) -> None:
    store, streams = Away(failures=1_000_000), Streams()
    async with streaming(rig, streams, ingest_with(rig, store)) as port:
        peer = await Peer.open(port)
        await peer.send(event("1.1"))
        await store.asked.wait()
        streams.close()
        assert [(line["status"], set(line)) for line in await peer.to_the_end()] == [("closing", LAST_WORDS)]
        assert streams.gave_up == 0
        peer.drop()
