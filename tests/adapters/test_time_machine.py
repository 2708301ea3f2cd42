"""Many calls are run again in order, by one core or several; what cannot be read is told and passed by."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters import time_machine
from adapters.time_machine import Judged, Unreadable, corpus, judged, question_of, read_history
from core.history_file import HistoryFile, Stored, load
from core.other_settings import Against, read_against
from core.what_if import Verdict

FOLDER = Path(__file__).parents[1] / "histories"
FILES = sorted((FOLDER / "0.1.0").glob("ring*.jsonl"))
SILENT = read_against(["notifications.call_notify_mode=none"], lambda path: b"")


async def each_of(histories: Sequence[HistoryFile]) -> AsyncIterator[HistoryFile]:
    for history in histories:
        yield history


def kept() -> list[HistoryFile]:
    return [load(path.read_bytes()) for path in FILES]


async def verdicts(histories: Sequence[HistoryFile], against: Against, **options: Any) -> list[Judged]:
    return [each async for each in judged(each_of(histories), against, **options)]


async def test_workers_give_the_same_verdicts_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_machine, "BATCH", 2)
    histories = [replace(history, call=f"call-{number}") for number, history in enumerate(kept() * 3)]
    told: list[int] = []
    alone = await verdicts(histories, SILENT, done=told.append)
    assert told == list(range(1, len(histories) + 1))
    assert any(isinstance(each, Verdict) and each.differs for each in alone)
    assert await verdicts(histories, SILENT, workers=2) == alone
    assert await verdicts(histories, SILENT, apart=True) == alone


async def test_what_cannot_be_read_is_told_and_the_rest_goes_on() -> None:
    good = kept()[0]
    bad = replace(good, call="bad", stored=(Stored(type="from_the_future", schema=1, data={}),))
    first, second = await verdicts([bad, good], Against(), apart=True)
    assert isinstance(first, Unreadable)
    assert "event 1 (from_the_future" in str(first)
    assert isinstance(second, Verdict)
    assert str(pickle.loads(pickle.dumps(first))) == str(first)


async def test_settings_that_could_not_be_saved_make_a_call_unreadable() -> None:
    (found,) = await verdicts(kept()[:1], Against(files=({"enabled": "perhaps"},)))
    assert isinstance(found, Unreadable)
    assert found.reason.startswith("enabled: ")


async def test_a_revision_is_asked_for_by_enterprise() -> None:
    async def revision(enterprise: str, number: int) -> Mapping[str, Any] | None:
        return {"enabled": False} if (enterprise, number) == ("0367", 7) else None

    history = kept()[0]
    question = await question_of(history, Against(revision=7), revision)
    assert question.other is not None
    assert not question.other.enabled
    with pytest.raises(Unreadable, match="its settings have no revision 8"):
        await question_of(history, Against(revision=8), revision)
    assert (await question_of(history, Against())).other is None


def test_a_corpus_is_the_histories_below_a_folder(tmp_path: Path) -> None:
    assert set(FILES) <= set(corpus(FOLDER))
    with pytest.raises(ValueError, match="holds no history"):
        corpus(tmp_path)
    (tmp_path / "x.jsonl").write_text("nonsense")
    with pytest.raises(ValueError, match=r"x\.jsonl: line 1"):
        read_history(tmp_path / "x.jsonl")
