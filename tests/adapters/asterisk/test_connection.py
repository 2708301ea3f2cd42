"""One AMI connection: how it begins, what it answers, how it ends, and in which words."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from adapters.asterisk import connection as module
from adapters.asterisk.connection import ActionRefused, Connection, ConnectionEnded, HeardMessage, connected
from tests.adapters.asterisk.peer import SECRET, Manager, config_of, listening


def now_ms() -> int:
    return 1_795_850_000_000


async def refused(manager: Manager, secret: str = SECRET) -> ConnectionEnded:
    """How a connection that does not come about is told of."""
    with pytest.raises(ConnectionEnded) as caught:
        async with connected(config_of(manager, secret), now_ms):
            pass
    assert SECRET not in f"{caught.value} {caught.value.remedy} {caught.value!r} {caught.value.__cause__!r}"
    return caught.value


async def heard(connection: Connection) -> HeardMessage:
    found = await connection.messages.get()
    assert found is not None
    return found


async def test_it_logs_in_without_saying_the_secret() -> None:
    async with listening(Manager()) as manager, connected(config_of(manager), now_ms) as connection:
        assert connection.banner == "Asterisk Call Manager/5.0.4"
        (login,) = manager.asked("Login")
        assert (login["Username"], login["AuthType"], login["Events"]) == ("ms", "MD5", "call,agent")
        assert SECRET not in str(manager.actions)


async def test_it_says_the_secret_where_there_is_no_challenge() -> None:
    async with listening(Manager(offers_challenge=False)) as manager, connected(config_of(manager), now_ms):
        assert manager.asked("Login")[0]["Secret"] == SECRET


async def test_a_login_that_is_refused() -> None:
    async with listening(Manager()) as manager:
        error = await refused(manager, "wrong")
    assert error.refused
    assert "refuses the login of 'ms': Authentication failed" in str(error)
    assert "manager.conf" in error.remedy


async def test_nobody_listens() -> None:
    async with listening(Manager()) as manager:
        pass
    error = await refused(manager)
    assert (str(error), error.refused) == (f"nobody listens at 127.0.0.1:{manager.port}", False)


async def test_something_else_listens() -> None:
    async with listening(Manager(banner=b"220 mail.example.org ESMTP\r\n")) as manager:
        assert "is this its AMI port" in str(await refused(manager))


async def test_whatever_listens_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.05)
    async with listening(Manager(banner=b"")) as manager:
        assert "said nothing" in str(await refused(manager))


async def test_events_are_heard_in_order_and_answers_go_to_whoever_asked() -> None:
    async with listening(Manager(channels=[{"Channel": "PJSIP/101-1"}, {"Channel": "PJSIP/102-2"}])) as manager:
        manager.while_listing = [{"Event": "Hangup", "Uniqueid": "1"}]
        async with connected(config_of(manager), now_ms) as connection:
            assert [each["Channel"] for each in await connection.listing("CoreShowChannels")] == ["PJSIP/101-1", "PJSIP/102-2"]
            await manager.say({"Event": "Newchannel", "Uniqueid": "2"}, {"Event": "OriginateResponse", "Response": "Failure"})
            said = [await heard(connection) for _ in range(3)]
            assert [each.message["Event"] for each in said] == ["Hangup", "Newchannel", "OriginateResponse"]
            assert said[0].heard_ms == now_ms()
            with pytest.raises(ActionRefused, match="Permission denied"):
                await connection.ask("Command", {"Command": "core stop now"})
            with pytest.raises(ValueError, match="line break"):
                await connection.ask("Command", {"Command": "a\r\nAction: Logoff"})


@pytest.mark.parametrize("says", ["silence", "pongs"])
async def test_a_peer_that_hangs_is_noticed_and_one_that_has_nothing_to_say_is_not(
    says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TICK_S", 0.02)
    async with listening(Manager(ignores_pings=says == "silence")) as manager, connected(config_of(manager), now_ms) as connection:
        if says == "silence":
            assert await connection.messages.get() is None
            assert "nothing was heard of Asterisk" in str(connection.ended)
        else:
            pongs = [await heard(connection) for _ in range(5)]
            assert all(pong.message["Ping"] == "Pong" for pong in pongs)
            assert connection.ended is None


@pytest.mark.parametrize(
    ("what", "words"),
    [("closed", "ended the connection"), ("garbage", "a line of more than"), ("flood", "messages waited to be recorded")],
)
async def test_what_was_heard_before_the_end_may_still_be_taken(
    what: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    async with listening(Manager()) as manager, connected(config_of(manager), now_ms) as connection:
        await manager.say({"Event": "Newchannel", "Uniqueid": "1"})
        if what == "closed":
            manager.say_raw(b"")
            for writer in manager._writers:
                writer.write_eof()
        elif what == "garbage":
            manager.say_raw(b"x" * 100_000)
        else:
            await manager.say(*({"Event": "Newstate", "Uniqueid": f"{n}"} for n in range(5)))
        assert (await heard(connection)).message["Uniqueid"] == "1"
        while (await connection.messages.get()) is not None:
            pass
        assert words in str(connection.ended)
        with pytest.raises(ConnectionEnded, match=words):
            await connection.ask("Ping")


async def test_a_question_under_way_ends_with_the_connection() -> None:
    async with listening(Manager(ignores_pings=True)) as manager, connected(config_of(manager), now_ms) as connection:
        asking = asyncio.create_task(connection.ask("Ping"))
        while not manager.asked("Ping"):  # noqa: ASYNC110
            await asyncio.sleep(0)
        manager.cut()
        with pytest.raises(ConnectionEnded):
            await asking


async def test_a_question_that_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.05)
    async with listening(Manager(ignores_pings=True)) as manager, connected(config_of(manager), now_ms) as connection:
        with pytest.raises(ConnectionEnded, match="did not answer Ping"):
            await connection.ask("Ping")
        await manager.say({"Event": "Newchannel", "Uniqueid": "1"})
        assert (await heard(connection)).message["Event"] == "Newchannel"


async def test_a_list_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LISTED", 2)
    async with listening(Manager(channels=[{"Channel": "x"}] * 3)) as manager, connected(config_of(manager), now_ms) as connection:
        with pytest.raises(ConnectionEnded, match="a list of more than 2"):
            await connection.listing("CoreShowChannels")


async def test_whoever_leaves_leaves_nothing_behind() -> None:
    async with listening(Manager()) as manager:
        with contextlib.suppress(ZeroDivisionError):
            async with connected(config_of(manager), now_ms) as connection:
                raise ZeroDivisionError
        assert str(connection.ended) == "this end let go of the connection"
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("ami")]
