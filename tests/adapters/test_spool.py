"""The spool: what is in it is on disk, is taken in once it can be, in order, and is nobody's to read."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from adapters import spool as module
from adapters.postgres_keeper import try_lock
from adapters.spool import Kept, Spool
from adapters.vault import Vault
from core.errors import StoreUnavailable
from core.signals import Wire
from tests.eventually import until

KEY = Fernet.generate_key()
TOKEN = "00000000000000000000000000000367"


def signal(number: int, enterprise: str = "0367") -> Kept:
    body = {"enterprise_number": enterprise, "phone": "+375290000001", "ms_config": {"api_token": TOKEN}, "n": number}
    return Kept(wire=Wire.INCOMING_CALL, body=body, heard_ms=1_795_436_000_000 + number)


class Log:
    """Where signals are taken in: away while it is told to be, and with a bug for those it is told. ``asked``: each time, what."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.heard: list[Kept] = []
        self.asked: list[list[int]] = []
        self.wrong: set[int] = set()
        self.bugs: set[int] = set()

    async def take(self, kept: Sequence[Kept]) -> int:
        await asyncio.sleep(0)
        numbers = [each.body["n"] for each in kept]
        self.asked.append(numbers)
        if self.away:
            raise StoreUnavailable("the database is away")
        if self.bugs.intersection(numbers):
            raise RuntimeError("a bug")
        self.heard += [each for each in kept if each.body["n"] not in self.wrong]
        return len(kept)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def spool_in(folder: Path, key: bytes = KEY, **changed: Any) -> Spool:
    return Spool(folder, Vault([key]), **changed)


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def read(path: Path) -> str:
    return path.read_text()


def write(path: Path, text: str) -> None:
    path.write_text(text)


def gone(spool: Spool) -> None:
    """What its process's death does: its locks are free."""
    for each in spool._files.values():
        os.close(each.descriptor)


async def test_what_is_kept_is_taken_in_as_it_came_and_its_file_goes(folder: Path) -> None:
    spool, log = spool_in(folder), Log()
    for number in range(5):
        await spool.keep(signal(number))
    await asyncio.gather(*(spool.keep(signal(number)) for number in range(5, 50)))
    assert (spool.waiting, spool.behind, len(files(folder))) == (50, True, 1)
    await spool.take_in(log.take)
    assert log.heard == [signal(number) for number in range(50)]
    assert (spool.waiting, spool.behind, files(folder)) == (0, False, [])
    await spool.take_in(log.take)
    assert len(log.heard) == 50


async def test_nobody_reads_in_it_who_has_not_the_key(folder: Path) -> None:
    await spool_in(folder).keep(signal(1))
    (path,) = files(folder)
    assert (os.stat(path).st_mode & 0o777, os.stat(folder).st_mode & 0o777) == (0o600, 0o700)
    for secret in (TOKEN, "375290000001", "0367"):
        assert secret not in read(path)


async def test_of_one_enterprise_each_waits_for_the_one_before_and_nobody_waits_for_another(folder: Path) -> None:
    spool, log, hangs = spool_in(folder), Log(), asyncio.Event()
    for number in range(6):
        await spool.keep(signal(number, f"036{number % 2}"))

    async def take(kept: Sequence[Kept]) -> int:
        if kept[0].body["enterprise_number"] == "0360":
            await hangs.wait()
        return await log.take(kept)

    taking = asyncio.create_task(spool.take_in(take))
    await until(lambda: len(log.heard) == 3)
    assert [each.body["n"] for each in log.heard] == [1, 3, 5]
    hangs.set()
    await taking
    assert [each.body["n"] for each in log.heard[3:]] == [0, 2, 4]


async def test_while_the_database_is_away_everything_stays_and_one_question_is_enough(folder: Path) -> None:
    spool, log = spool_in(folder), Log(away=True)
    for number in range(200):
        await spool.keep(signal(number, f"{number:04}"))
    with pytest.raises(StoreUnavailable):
        await spool.take_in(log.take)
    assert len(log.asked) <= module.AT_ONCE
    await spool.keep(signal(200))
    assert (spool.behind, spool.waiting) == (True, 201)
    log.away = False
    await spool.take_in(log.take)
    assert sorted(each.body["n"] for each in log.heard) == list(range(201))


async def test_what_a_killed_process_left_is_taken_in_by_the_next_but_not_while_it_lives(folder: Path) -> None:
    first, second, log = spool_in(folder), spool_in(folder), Log()
    await first.keep(signal(1))
    await second.keep(signal(2))
    await second.take_in(log.take)
    assert log.heard == [signal(2)]
    gone(first)
    await second.take_in(log.take)
    assert (log.heard, files(folder)) == ([signal(2), signal(1)], [])


async def test_half_a_line_is_nobody_s_and_harms_no_other(folder: Path) -> None:
    first, log = spool_in(folder), Log()
    await first.keep(signal(1))
    await first.keep(signal(2))
    gone(first)
    (path,) = files(folder)
    write(path, read(path) + read(path)[:50])
    await spool_in(folder).take_in(log.take)
    assert log.heard == [signal(1), signal(2)]


async def test_a_disk_that_refuses_is_said_and_what_comes_later_is_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, log, write = spool_in(folder), Log(), os.pwrite

    def half(descriptor: int, data: bytes, offset: int) -> int:
        if offset > 100:
            raise OSError(errno.ENOSPC, "no space left")
        return write(descriptor, data[:150], offset)

    await spool.keep(signal(1))
    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(StoreUnavailable, match="the spool cannot be written"):
        await spool.keep(signal(2))
    monkeypatch.undo()
    await spool.keep(signal(3))
    await spool.take_in(log.take)
    assert log.heard == [signal(1), signal(3)]


async def test_there_is_a_limit(folder: Path) -> None:
    spool, log = spool_in(folder, most_bytes=2_000), Log()
    for number in range(3):
        await spool.keep(signal(number))
    with pytest.raises(StoreUnavailable, match="the spool is full"):
        await asyncio.gather(*(spool.keep(signal(number)) for number in range(3, 10)))
    await spool.take_in(log.take)
    await spool.keep(signal(10))


async def test_of_another_key_it_waits_for_a_start_with_the_right_one(folder: Path) -> None:
    first, log = spool_in(folder), Log()
    await first.keep(signal(1))
    gone(first)
    other = spool_in(folder, Fernet.generate_key())
    await other.keep(signal(2))
    for _ in range(2):
        await other.take_in(log.take)
    assert log.heard == [signal(2)]
    gone(other)
    await spool_in(folder).take_in(log.take)
    assert log.heard == [signal(2), signal(1)]


async def test_what_is_refused_is_gone_and_what_a_bug_keeps_out_stays_for_the_next_start(folder: Path) -> None:
    spool, log = spool_in(folder), Log()
    log.wrong, log.bugs = {1}, {2}
    for number in range(4):
        await spool.keep(signal(number))
    await spool.take_in(log.take)
    await spool.take_in(log.take)
    assert log.heard == [signal(0), signal(3)]
    gone(spool)
    log.bugs = set()
    await spool_in(folder).take_in(log.take)
    assert log.heard[2:] == [signal(0), signal(2), signal(3)], "a repeat is recognised by whoever takes it in"
    assert files(folder) == []


async def test_it_is_taken_in_by_itself_soon_after_the_database_is_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    spool, log = spool_in(folder), Log(away=True)
    running = asyncio.create_task(spool.run(log.take))
    await asyncio.sleep(0.02)
    await spool.keep(signal(1))
    await asyncio.sleep(0.05)
    assert log.heard == []
    log.away = False
    await until(lambda: log.heard == [signal(1)])
    await spool.keep(signal(2))
    await until(lambda: log.heard == [signal(1), signal(2)])
    running.cancel()


async def test_a_folder_that_cannot_be_read_ends_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    write(folder, "not a folder")
    spool, log = spool_in(folder), Log()
    running = asyncio.create_task(spool.run(log.take))
    await asyncio.sleep(0.05)
    with pytest.raises(StoreUnavailable):
        await spool.keep(signal(1))
    os.unlink(folder)
    await spool.keep(signal(2))
    await until(lambda: log.heard == [signal(2)])
    running.cancel()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_a_full_disk_costs_no_descriptor_and_no_file_for_each_post(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    spool, log = spool_in(folder), Log()
    await spool.keep(signal(0))
    before = descriptors()
    for call in ("pwrite", "fsync"):
        monkeypatch.setattr(os, call, full)
        for number in range(20):
            with pytest.raises(StoreUnavailable):
                await spool.keep(signal(number))
        monkeypatch.undo()
    assert (descriptors(), len(files(folder))) == (before, 1)
    await spool.keep(signal(1))
    await spool.take_in(log.take)
    assert (log.heard, files(folder)) == ([signal(0), signal(1)], [])


async def test_a_long_outage_does_not_stop_the_service_when_it_is_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_BYTES", 2_000)
    first, log, threads, decrypt = spool_in(folder), Log(), set[int](), Vault.decrypt
    for number in range(50):
        await first.keep(signal(number))
    assert len(files(folder)) > 5
    gone(first)

    def noted(vault: Vault, stored: str) -> str:
        threads.add(threading.get_ident())
        return decrypt(vault, stored)

    monkeypatch.setattr(Vault, "decrypt", noted)
    await spool_in(folder).take_in(log.take)
    assert (log.heard, files(folder)) == ([signal(number) for number in range(50)], [])
    assert len(threads) == 1
    assert threading.get_ident() not in threads, "a hundred thousand lines take seconds, in which nobody would be answered"


async def test_one_file_that_cannot_be_opened_keeps_back_no_other(folder: Path) -> None:
    os.mkdir(folder)
    os.symlink("/nowhere", folder / f"{0:015}-{0:012}.signals")
    spool, log = spool_in(folder), Log()
    await spool.keep(signal(1))
    await spool.take_in(log.take)
    assert (log.heard, spool.waiting, spool.behind) == ([signal(1)], 0, False)


async def test_a_file_that_another_process_takes_for_left_behind_is_not_written_to(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, log, lock = spool_in(folder), spool_in(folder), Log(), try_lock
    loop, created = asyncio.get_running_loop(), list[int]()

    def late(descriptor: int) -> bool:
        created.append(descriptor)
        if len(created) == 1:  # the other process looks just now
            asyncio.run_coroutine_threadsafe(second.take_in(log.take), loop).result(10)
        return lock(descriptor)

    monkeypatch.setattr("adapters.spool.try_lock", late)
    await first.keep(signal(1))
    gone(first)
    await second.take_in(log.take)
    assert log.heard == [signal(1)]


async def test_it_waits_for_nobody_who_looks_up_names(folder: Path) -> None:
    loop, answered = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=1))
    busy = loop.run_in_executor(None, answered.wait)  # as getaddrinfo without an answer
    async with asyncio.timeout(20):
        await spool_in(folder).keep(signal(1))
    answered.set()
    await busy


async def test_a_broken_line_is_no_other_key(folder: Path) -> None:
    first, log = spool_in(folder), Log()
    await first.keep(signal(1))
    await first.keep(signal(2))
    gone(first)
    (path,) = files(folder)
    line = read(path).splitlines()[0]
    write(path, read(path) + line[:100] + "\0" * 50 + line[150:] + "\n")
    await spool_in(folder).take_in(log.take)
    assert (log.heard, files(folder)) == ([signal(1), signal(2)], [])


async def test_a_database_that_goes_away_again_and_again_brings_nothing_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOGETHER", 1)
    spool, log = spool_in(folder), Log()
    for number in range(50):
        await spool.keep(signal(number))

    async def take(kept: Sequence[Kept]) -> int:
        log.away = len(log.asked) % 10 == 9
        return await log.take(kept)

    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            await spool.take_in(take)
    assert spool.waiting == 5
    await spool.take_in(take)
    assert (log.heard, len(log.asked), spool.waiting) == ([signal(number) for number in range(50)], 55, 0)


async def test_what_came_together_is_taken_in_together(folder: Path) -> None:
    """Else the card of a call that is over is shown between its dial and its hangup."""
    spool, log = spool_in(folder), Log()
    for number in range(40):
        await spool.keep(signal(number, f"036{number % 2}"))
    await spool.take_in(log.take)
    assert sorted(log.asked) == [list(range(0, 40, 2)), list(range(1, 40, 2))]
    log.asked.clear()

    async def two(kept: Sequence[Kept]) -> int:
        return await log.take(kept[:2])

    for number in range(5):
        await spool.keep(signal(number))
    await spool.take_in(two)
    assert log.asked == [[0, 1], [2, 3], [4]]
