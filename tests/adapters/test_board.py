"""The live board: a snapshot and then what changes, for many, whatever becomes of the database."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson
import pytest

from adapters.board import MAX_LISTENERS, MAX_OF_ONE, MAX_WAITING, Board, Listener, TooManyListeners, health, message
from core.lifecycle import LIVE
from tests.adapters.test_call_search import BEGAN_MS, add

ROOT: Final = Path(__file__).parents[2]

WELL: dict[str, Any] = {"accounts": [], "backlog": {"calls": 0, "oldest_s": 0, "estimate_s": 0, "enterprises": []}, "parked": None}
SICK: dict[str, Any] = {
    "accounts": [
        {"enterprise": "0367", "api": "phone", "state": "refused"},
        {"enterprise": "0999", "api": "json", "state": "open"},
    ],
    "backlog": {
        "calls": 7, "oldest_s": 9.0, "estimate_s": 2.0, "enterprises": [{"enterprise": "0367", "calls": 4, "oldest_s": 9.0}],
    },
    "parked": {"calls": 3, "enterprises": {"0367": 2, "0999": 1}},
}  # fmt: skip


@pytest.mark.parametrize("path", sorted((ROOT / "adapters" / "postgres" / "sql").glob("*.sql")), ids=lambda path: path.name)
def test_what_is_asked_of_live_calls_is_asked_of_every_live_phase(path: Path) -> None:
    for listed in re.findall(r"phase IN \(([^)]*)\)", path.read_text()):
        assert set(re.findall(r"'(\w+)'", listed)) == {phase.value for phase in LIVE}


class Database:
    """The pool, until somebody takes it away."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.away = False

    async def fetchval(self, *args: Any) -> Any:
        if self.away:
            raise asyncpg.ConnectionDoesNotExistError
        return await self.pool.fetchval(*args)

    async def fetch(self, *args: Any) -> Any:
        return await self.pool.fetch(*args)


class Stage:
    """A board that looks only when it is told to."""

    def __init__(self, pool: Any) -> None:
        self.database = Database(pool)
        self.status: Mapping[str, Any] = WELL
        self.position = 0
        self.board = Board(self.database, self._status, now_ms=lambda: 42, every_s=3_600)

    async def _status(self) -> Mapping[str, Any]:
        return self.status

    async def move(self) -> None:
        """The read model has moved on."""
        self.position += 1
        await self.database.pool.execute(
            "INSERT INTO checkpoints (name, position) VALUES ('calls', $1) ON CONFLICT (name) DO UPDATE SET position = $1",
            self.position,
        )


@pytest.fixture
def stage(pg_pool: Any) -> Stage:
    return Stage(pg_pool)


async def ring(stage: Stage, call: str, **fields: Any) -> None:
    """A call that rings."""
    await add(stage.database.pool, call, phase="ringing", outcome=None, ringing=["101"], **fields)
    await stage.move()


async def heard(listener: Listener) -> tuple[str, Any]:
    """The next message: what it is about and what it says."""
    text = await listener.next()
    assert text is not None
    kind, data = text.decode().removesuffix("\n\n").split("\ndata: ")
    return kind.removeprefix("event: "), orjson.loads(data)


async def test_the_snapshot_has_the_calls_that_go_on_and_no_other(stage: Stage) -> None:
    await add(stage.database.pool, "over")
    await ring(stage, "one", phase_ms=BEGAN_MS)
    await ring(stage, "theirs", enterprise="0999")
    everything = await stage.board.snapshot(None)
    assert [call["call"] for call in everything["calls"]] == ["one", "theirs"]
    (mine,) = (await stage.board.snapshot("0367"))["calls"]
    assert (mine["call"], mine["phase"], mine["phase_ms"], mine["ringing"]) == ("one", "ringing", BEGAN_MS, ["101"])


async def test_many_calls_of_one_enterprise_leave_the_others_boards_as_they_are(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.board.MAX_CALLS", 3)
    for number in range(5):
        await ring(stage, f"c{number}", enterprise="0999", started_ms=BEGAN_MS + number)
    await ring(stage, "mine", started_ms=BEGAN_MS + 9)
    boards = {each: await stage.board.snapshot(each) for each in ("0367", "0999", None, "0001")}
    assert {each: ([call["call"] for call in seen["calls"]], seen["more"]) for each, seen in boards.items()} == {
        "0367": (["mine"], False), "0999": (["c0", "c1", "c2"], True), None: (["c0", "c1", "c2"], True), "0001": ([], False),
    }  # fmt: skip
    async with stage.board.listening("0999") as theirs, stage.board.listening(None) as operator:
        await heard(theirs)
        await heard(operator)
        await stage.database.pool.execute("UPDATE calls SET phase = 'ending' WHERE call = 'c0'")
        await stage.move()
        await stage.board.look()
        for listener in (theirs, operator):
            told = (await heard(listener))[1]
            assert ([call["call"] for call in told["changed"]], told["gone"]) == (["c3"], [["0999", "c0"]])


async def test_what_is_too_much_for_all_boards_is_taken_from_whoever_has_most(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.board.MAX_READ", 4)
    for number in range(5):
        await ring(stage, f"c{number}", enterprise="0999", started_ms=BEGAN_MS + number)
    await ring(stage, "mine", started_ms=BEGAN_MS + 9)
    seen = await stage.board.snapshot(None)
    assert ([call["call"] for call in seen["calls"]], seen["more"]) == (["c0", "c1", "c2", "mine"], True)


async def test_whoever_opens_the_board_does_not_wait_for_calls_and_accounts_in_turn(pg_pool: Any) -> None:
    calls, accounts = asyncio.Event(), asyncio.Event()

    class Slow(Database):
        async def fetchval(self, *args: Any) -> Any:
            calls.set()
            await accounts.wait()
            return await super().fetchval(*args)

    async def status() -> Mapping[str, Any]:
        accounts.set()
        await calls.wait()
        return SICK

    async with asyncio.timeout(1):
        seen = await Board(Slow(pg_pool), status, now_ms=lambda: 42).snapshot("0367")
    assert (seen["away"], len(seen["health"]["accounts"])) == ("", 1)


async def test_whoever_listens_hears_a_snapshot_and_then_what_changes(stage: Stage) -> None:
    await ring(stage, "one")
    async with stage.board.listening("0367") as listener:
        kind, snapshot = await heard(listener)
        assert (kind, [call["call"] for call in snapshot["calls"]]) == ("snapshot", ["one"])
        await ring(stage, "two")
        await stage.database.pool.execute("UPDATE calls SET phase = 'talking', talking = '{101}' WHERE call = 'one'")
        await stage.board.look()
        kind, changes = await heard(listener)
        assert kind == "calls"
        assert {call["call"]: call["phase"] for call in changes["changed"]} == {"one": "talking", "two": "ringing"}
        await stage.database.pool.execute("UPDATE calls SET phase = 'ending' WHERE call = 'one'")
        await stage.move()
        await stage.board.look()
        assert (await heard(listener))[1]["gone"] == [["0367", "one"]]


async def test_nobody_hears_of_another_enterprise(stage: Stage) -> None:
    async with stage.board.listening("0367") as mine, stage.board.listening(None) as operator:
        await heard(mine)
        await heard(operator)
        await ring(stage, "theirs", enterprise="0999")
        await stage.board.look()
        await ring(stage, "mine")
        await stage.board.look()
        assert [call["call"] for call in (await heard(mine))[1]["changed"]] == ["mine"]
        assert [call["call"] for call in (await heard(operator))[1]["changed"]] == ["theirs"]


async def test_nothing_is_read_and_nothing_told_while_nothing_moves(stage: Stage) -> None:
    async with stage.board.listening(None) as listener:
        await heard(listener)
        await add(stage.database.pool, "unseen", phase="ringing", outcome=None)  # the read model's place did not move
        await stage.board.look()
        await ring(stage, "seen")
        await stage.board.look()
        assert {call["call"] for call in (await heard(listener))[1]["changed"]} == {"unseen", "seen"}


async def test_a_database_that_is_away_is_told_once_and_its_return_with_everything(stage: Stage) -> None:
    async with stage.board.listening(None) as listener:
        await heard(listener)
        stage.database.away = True
        await stage.board.look()
        await stage.board.look()
        stage.database.away = False
        await ring(stage, "one")
        await stage.board.look()
        kind, told = await heard(listener)
        assert kind == "away"
        assert told["reason"]
        kind, snapshot = await heard(listener)
        assert (kind, snapshot["away"], [call["call"] for call in snapshot["calls"]]) == ("snapshot", "", ["one"])


async def test_whoever_comes_while_it_is_away_is_told_so(stage: Stage) -> None:
    stage.database.away = True
    assert (await stage.board.snapshot(None))["away"]


async def test_how_the_accounts_are_is_told_when_it_changes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.board.HEALTH_EVERY_S", 0.0)
    async with stage.board.listening("0367") as listener:
        assert (await heard(listener))[1]["health"]["accounts"] == []
        await stage.board.look()
        stage.status = SICK
        await stage.board.look()
        kind, told = await heard(listener)
        assert (kind, [each["enterprise"] for each in told["accounts"]], told["parked"]) == ("health", ["0367"], 2)


def test_health_of_one_and_of_all() -> None:
    assert health(SICK, None)["behind"] == {"calls": 7, "oldest_s": 9.0, "estimate_s": 2.0}
    assert (health(SICK, "0367")["behind"]["calls"], health(SICK, "0999")["behind"]["calls"]) == (4, 0)
    assert health({}, "0367") == {"accounts": [], "behind": {"calls": 0, "oldest_s": 0, "estimate_s": 0}, "parked": 0}


async def test_a_reader_that_falls_behind_is_let_go(stage: Stage) -> None:
    async with stage.board.listening(None) as slow, stage.board.listening(None) as quick:
        await heard(quick)
        for number in range(MAX_WAITING):
            await ring(stage, f"c{number}")
            await stage.board.look()
            await heard(quick)
        assert await slow.next() is None
        await ring(stage, "last")
        await stage.board.look()
        assert (await heard(quick))[0] == "calls"


async def test_so_many_may_listen_and_no_more(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_LISTENERS >= 100
    monkeypatch.setattr("adapters.board.MAX_LISTENERS", 1)
    async with stage.board.listening(None):
        with pytest.raises(TooManyListeners):
            async with stage.board.listening(None):
                pass
    async with stage.board.listening(None):
        pass


async def test_those_of_one_enterprise_leave_room_for_the_others(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_OF_ONE < MAX_LISTENERS / 2
    monkeypatch.setattr("adapters.board.MAX_OF_ONE", 1)
    async with stage.board.listening("0367"):
        with pytest.raises(TooManyListeners):
            async with stage.board.listening("0367"):
                pass
        async with stage.board.listening(None), stage.board.listening(None), stage.board.listening("0999"):
            assert stage.board.listeners == 4


async def test_everybody_is_let_go_when_the_service_stops(stage: Stage) -> None:
    async with stage.board.listening(None) as listener:
        stage.board.close()
        assert await listener.next() is None


async def test_it_looks_by_itself_while_somebody_listens(pg_pool: Any) -> None:
    stage = Stage(pg_pool)
    stage.board = Board(stage.database, stage._status, now_ms=lambda: 42, every_s=0.01)
    async with stage.board.listening(None) as listener:
        await heard(listener)
        await ring(stage, "one")
        kind, told = await heard(listener)
        assert (kind, [call["call"] for call in told["changed"]]) == ("calls", ["one"])


async def test_a_bug_in_it_lets_everybody_go_and_the_next_get_another_watcher(pg_pool: Any) -> None:
    stage = Stage(pg_pool)
    stage.board = Board(stage.database, stage._status, now_ms=lambda: 42, every_s=0.01)
    async with stage.board.listening(None) as listener:
        await heard(listener)
        stage.board._position = stage.board._boards = None  # type: ignore[assignment]
        await ring(stage, "one")
        assert await listener.next() is None
    async with stage.board.listening(None) as listener:
        assert [call["call"] for call in (await heard(listener))[1]["calls"]] == ["one"]


def test_a_message_is_one_event() -> None:
    assert message("calls", {"text": "a\nb"}) == b'event: calls\ndata: {"text":"a\\nb"}\n\n'
