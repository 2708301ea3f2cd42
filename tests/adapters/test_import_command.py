"""``./ms.sh import``: what is told, what is left out, and what is kept."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapters import import_command
from adapters.import_command import Told, import_logs
from adapters.sandbox import SANDBOX_API_TOKEN, SANDBOX_PHONE_KEY
from adapters.service import Service
from core.decisions import Limits
from projections.import_text import as_json, told
from tests.playback import FOLDER
from tests.rig import running
from tests.settings import MS_CONFIG

MINSK = ZoneInfo("Europe/Minsk")
RING = FOLDER / "pbx" / "ring_group.jsonl"


class Said:
    """The answer, and what is said beside it."""

    def __init__(self, *, json_: bool = False) -> None:
        self.answer: list[str] = []
        self.beside: list[str] = []
        self.told = Told(lines=told, as_json=as_json, echo=self.answer.append, complain=self.beside.append, json=json_)


async def test_without_settings_everybody_would_have_had_cards() -> None:
    said = Said()
    assert await import_logs((RING,), "0367", None, said.told, zone=MINSK, limits=Limits()) == 0
    assert said.answer[0].endswith("from +79161234567: answered  (lab-1795436939.45)")
    assert sum(line.strip().startswith("card 10") for line in said.answer) == 3
    assert said.beside[-1].endswith("1 call; 0 lines left out; no request was sent")


async def test_under_given_settings_as_json(tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"ms": {"enabled": True, "notifications": {"call_notify_mode": "none"}}}))
    said = Said(json_=True)
    assert await import_logs((RING,), "0367", settings, said.told, zone=MINSK, limits=Limits()) == 0
    (call,) = map(json.loads, said.answer)
    assert call["facts"]["call"] == "recorded"
    assert not any(about.startswith("card ") for about in call["facts"])
    settings.write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        await import_logs((RING,), "0367", settings, said.told, zone=MINSK, limits=Limits())


async def test_lines_that_say_nothing_are_told_or_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_command, "TOLD_SKIPPED", 2)
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(["{}"] * 4 + [json.dumps({"event_type": "register_call", "request_data": {}})]))
    said = Said()
    assert await import_logs((path,), "0367", None, said.told, zone=MINSK, limits=Limits()) == 1
    assert said.beside == [
        "x.jsonl, line 1: left out: 'nothing' is no signal",
        "x.jsonl, line 2: left out: 'nothing' is no signal",
        "… and 2 more lines that could not be understood",
        "1 row passed over: 'register_call' is no signal",
        "0 signals, 0 of them repeated, 0 calls; 4 lines left out; no request was sent",
    ]


async def test_it_is_kept_with_its_settings_and_nobody_is_ever_asked(database_url: str) -> None:
    """Not even when the enterprise is given keys, and everything to do, later."""
    async with running(database_url) as rig:

        @asynccontextmanager
        async def opened() -> AsyncIterator[Service]:
            yield rig.service

        said = Said()
        assert await import_logs((RING,), "0777", None, said.told, zone=MINSK, limits=Limits(), opened=opened) == 0
        current = await rig.service.settings.current("0777")
        assert current is not None
        assert current.settings.enabled
        assert not current.account.phone_key
        assert "kept under revision 1: " in said.beside[-1]
        assert await rig.service.pool.fetchval("SELECT outcome FROM calls WHERE enterprise = '0777'") == "answered"
        everything = {**MS_CONFIG, "integration_code": SANDBOX_PHONE_KEY, "api_token": SANDBOX_API_TOKEN}
        await rig.service.settings.save("0777", everything, by="test", reason="test")
        await rig.settle()
        for due in await rig.service.store.due(rig.clock.now_ms, 1_000):
            rig.service.reactor.wake(due.stream, due.urgency)
        await rig.wait(600_000)
        assert await rig.requests() == await rig.requests("remap") == []
        for enterprise, words in (("0777", "has settings"), ("0888", "not empty")):
            with pytest.raises(ValueError, match=words):
                await import_logs((RING,), enterprise, None, said.told, zone=MINSK, limits=Limits(), opened=opened)
