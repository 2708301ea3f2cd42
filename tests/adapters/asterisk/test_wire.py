"""Bytes to messages: however they are cut, and whatever a peer sends."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.asterisk.wire import MAX_BANNER, MAX_HEADERS, MAX_LINE, BadWire, Message, Reader, action

BANNER = b"Asterisk Call Manager/5.0.4\r\n"
TWO = BANNER + b"Event: Hangup\r\nCause: 16\r\nCause-txt: Normal Clearing\r\n\r\nResponse: Success\r\nPing: Pong\r\n\r\n"


def read(data: bytes, *cuts: int) -> list[Message]:
    """The messages of some bytes that come in pieces."""
    reader = Reader()
    places = [0, *sorted(cuts), len(data)]
    return [message for a, b in itertools.pairwise(places) for message in reader.feed(data[a:b])]


@given(st.lists(st.integers(0, len(TWO)), max_size=12))
def test_however_the_bytes_are_cut(cuts: list[int]) -> None:
    assert read(TWO, *cuts) == [
        {"Event": "Hangup", "Cause": "16", "Cause-txt": "Normal Clearing"},
        {"Response": "Success", "Ping": "Pong"},
    ]


def test_a_value_may_be_empty_hold_colons_or_come_twice() -> None:
    said = BANNER + b"Event: X\r\nExten:\r\nAppData: PJSIP/101,20,b(a:b)\r\nChanVariable: a=1\r\nChanVariable: b=2\r\n\r\n"
    assert read(said) == [{"Event": "X", "Exten": "", "AppData": "PJSIP/101,20,b(a:b)", "ChanVariable": "a=1\nb=2"}]


def test_what_is_no_text_becomes_text() -> None:
    (message,) = read(BANNER + b"Event: X\r\nCallerIDName: \xff\0\r\n\r\n")
    assert message["CallerIDName"] == "\ufffd\ufffd"


def test_lines_may_end_in_a_bare_line_feed_and_messages_may_be_empty() -> None:
    assert read(BANNER + b"\r\n\r\nEvent: X\n\n\n") == [{"Event": "X"}]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "is this its AMI port"),
        (b"x" * (MAX_BANNER + 1), "a line of more than"),
        (BANNER + b"Event: " + b"x" * MAX_LINE, "a line of more than"),
        (BANNER + b"Event: " + b"x" * MAX_LINE + b"\r\n\r\n", "a line of more than"),
        (BANNER + b"Event: X\r\n" + b"A: 1\r\n" * MAX_HEADERS, "a message of more than"),
        (BANNER + b"Event: X\r\n" + (b"A: " + b"x" * 16_000 + b"\r\n") * 9, "a message of more than"),
        (BANNER + b"hello\r\n\r\n", "neither an event nor a response"),
    ],
)
def test_whoever_sends_something_else_is_cut_off_in_words(sent: bytes, words: str) -> None:
    with pytest.raises(BadWire, match=words):
        read(sent)


@given(st.binary(max_size=300))
def test_any_bytes_give_messages_or_a_refusal(data: bytes) -> None:
    with contextlib.suppress(BadWire):
        assert all("Event" in message or "Response" in message for message in read(BANNER + data))


def test_an_action_is_written_and_no_value_becomes_a_header() -> None:
    assert action("Login", {"Username": "ms", "Variable": ["a=1", "b=2"]}) == (
        b"Action: Login\r\nUsername: ms\r\nVariable: a=1\r\nVariable: b=2\r\n\r\n"
    )
    for broken in ("a\r\nAction: Originate", "a\nb", "a\0"):
        with pytest.raises(ValueError, match="line break"):
            action("Login", {"Username": broken})
