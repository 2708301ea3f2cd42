"""HTTP by hand: messages are cut where they end, however they come in pieces."""

from __future__ import annotations

import asyncio

import pytest

from bench.wire import Asker, Messages, body_length, connected, ok, post, serving


class Kept(Messages):
    """Keeps what it heard."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[tuple[bytes, bytes]] = []

    def heard(self, head: bytes, body: bytes) -> None:
        self.got.append((head, body))


@pytest.mark.parametrize("piece", [1, 3, 7, 1_000])
def test_messages_in_pieces(piece: int) -> None:
    data = post("/a", b'{"x": 1}') + post("/b", b"") + ok(b"\r\n\r\n")
    kept = Kept()
    for start in range(0, len(data), piece):
        kept.data_received(data[start : start + piece])
    assert [body for _, body in kept.got] == [b'{"x": 1}', b"", b"\r\n\r\n"]
    assert kept.got[0][0].startswith(b"POST /a HTTP/1.1\r\n")


def test_a_head_without_a_length_has_no_body() -> None:
    assert body_length(b"GET / HTTP/1.1\r\nHost: x") == 0
    assert body_length(b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 12\r\nX: 1") == 12


class Echo(Messages):
    """Answers with what it was sent, and hangs up on ``bye``."""

    def heard(self, head: bytes, body: bytes) -> None:
        if body == b"bye" and self.transport is not None:
            self.transport.close()
        else:
            self.write(ok(body))


async def test_an_asker_gets_its_answers_in_turn_and_notices_the_end() -> None:
    server, port = await serving(Echo)
    asker: Asker = await connected(port)
    assert [(await asker.ask(post("/", b"%d" % nth)))[1] for nth in range(3)] == [b"0", b"1", b"2"]
    with pytest.raises(ConnectionError):
        await asker.ask(post("/", b"bye"))
    with pytest.raises(ConnectionError):
        await asker.ask(post("/", b"again"))
    server.close()
    await asyncio.sleep(0)
