"""The administrator's test call, through the whole service beside the sandbox (PRODUCT D1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.sandbox import Switches
from adapters.self_test import APART_MS, LIFE_MS, SHOWN_MS, Busy, Report, SelfTests, SwitchedOff
from core.self_test import COMMENT, NUMBER
from tests.rig import ENTERPRISE, Rig, running


@pytest.fixture
async def rig(database_url: str) -> AsyncIterator[Rig]:
    async with running(database_url, switches=Switches(limits_enforced=False)) as rig:
        yield rig


def trials_of(rig: Rig) -> SelfTests:
    return rig.service.self_tests


async def seen(rig: Rig, test: str) -> Report:
    report = await trials_of(rig).look(ENTERPRISE, test)
    assert report is not None
    return report


async def played(rig: Rig, extension: str = "101") -> Report:
    """One test from the beginning to the end, looked at as the page does."""
    test = await trials_of(rig).begin(ENTERPRISE, extension)
    await rig.settle()
    for _ in range(12):
        if (report := await seen(rig, test)).state != "running":
            break
        await rig.settle()
        await rig.wait(2_500)
    return report


def states(report: Report) -> dict[str, str]:
    return {step.key: step.state for step in report.steps}


async def test_of_a_test_that_nobody_hung_up_it_is_said_why_its_card_went(rig: Rig) -> None:
    """The service was stopped before it could."""
    test = await trials_of(rig).begin(ENTERPRISE, "101")
    await rig.settle()
    await rig.wait(LIFE_MS + 5_000)
    for _ in range(2):
        (hide,) = [step for step in (await seen(rig, test)).steps if step.key == "hide"]
        assert (hide.state, hide.text, hide.took_ms) == ("done", "Звонок никто не закончил: карточка убрана через 90 с.", None)
        await rig.settle()


async def test_a_call_goes_through_everything_and_is_marked(rig: Rig) -> None:
    test = await trials_of(rig).begin(ENTERPRISE, "101")
    assert states(await seen(rig, test))["store"] == "done"
    await rig.settle()
    report = await seen(rig, test)
    assert (report.state, states(report)["card"], states(report)["hide"]) == ("running", "done", "waiting")
    (row,) = await rig.rows()
    assert (row["open_cards"] != [], row["number"], row["comment"]) == (True, NUMBER, COMMENT)
    await rig.wait(SHOWN_MS)
    await seen(rig, test)  # it is time: the hangup is taken in
    await rig.settle()
    assert states(await seen(rig, test))["hide"] == "done"
    await rig.wait(6_000)
    report = await seen(rig, test)
    assert (report.state, set(states(report).values())) == ("passed", {"done"})
    (row,) = await rig.rows()
    assert (row["open_cards"], row["end_ms"] is not None, row["comment"]) == ([], True, COMMENT)
    assert all(step.took_ms is not None and step.title and step.text for step in report.steps)


async def test_a_test_that_is_over_leaves_no_step_under_way(database_url: str) -> None:
    config = {"integration_code": "0" * 40, "api_token": "", "notifications": {"call_notify_mode": "none"}}
    async with running(database_url, config=config) as rig:
        report = await played(rig, "999")
        assert (report.state, states(report)["register"], states(report)["employee"]) == ("failed", "failed", "skipped")
        assert not {"running", "waiting"} & set(states(report).values())


async def test_it_makes_no_client_whatever_the_settings_say(database_url: str) -> None:
    async with running(database_url, config={"incoming_call_actions": {"create_client": True}}) as rig:
        assert (await played(rig)).state == "passed"
        assert [each for each in await rig.requests("json") if each["method"] == "POST"] == []


async def test_two_who_end_it_end_it_once(rig: Rig) -> None:
    test = await trials_of(rig).begin(ENTERPRISE, "101")
    await rig.settle()
    await rig.wait(SHOWN_MS)
    for _ in range(3):
        await seen(rig, test)
        rig.clock.now_ms += 100
    kinds = await rig.service.pool.fetch("SELECT type FROM events WHERE stream = $1", f"call/{test}")
    assert [row["type"] for row in kinds].count("hangup_observed") == 1


async def test_nobody_with_that_extension(rig: Rig) -> None:
    report = await played(rig, "999")
    assert (report.state, states(report)["employee"], states(report)["card"]) == ("failed", "failed", "failed")
    text = next(step.text for step in report.steps if step.key == "employee")
    assert "999" in text
    assert "Задайте" in text, "what to do"
    assert states(report)["end"] == "done", "the call itself is recorded all the same"


async def test_cards_that_are_switched_off_are_no_failure(database_url: str) -> None:
    async with running(database_url, config={"notifications": {"call_notify_mode": "none"}}) as rig:
        report = await played(rig)
    assert (report.state, states(report)["card"], states(report)["hide"]) == ("passed", "skipped", "skipped")
    assert "выключены" in next(step.text for step in report.steps if step.key == "card")


async def test_a_wrong_key_is_told_with_its_remedy(database_url: str) -> None:
    async with running(database_url, config={"integration_code": "a-wrong-key-of-some-length"}) as rig:
        report = await played(rig)
    assert report.state == "failed"
    words = " ".join(step.text for step in report.steps if step.state == "failed")
    assert "Ключ Phone API не принят" in words
    assert "a-wrong-key" not in str(report)


async def test_without_a_main_token_the_contact_is_left_out(database_url: str) -> None:
    async with running(database_url, config={"api_token": ""}) as rig:
        report = await played(rig)
    assert (report.state, states(report)["contact"]) == ("passed", "skipped")


async def test_what_never_ends_is_told_as_it_stands(rig: Rig) -> None:
    test = await trials_of(rig).begin(ENTERPRISE, "101")
    rig.clock.now_ms += LIFE_MS + 1  # nothing has been done yet
    report = await seen(rig, test)
    assert (report.state, states(report)["end"]) == ("failed", "waiting")


async def test_one_at_a_time_and_only_where_it_is_on(rig: Rig) -> None:
    test = await trials_of(rig).begin(ENTERPRISE, "101")
    with pytest.raises(Busy):
        await trials_of(rig).begin(ENTERPRISE, "102")
    rig.clock.now_ms += APART_MS
    assert await trials_of(rig).begin(ENTERPRISE, "102") != test
    await rig.service.settings.save(ENTERPRISE, {"enabled": False}, by="test", reason="test")
    with pytest.raises(SwitchedOff):
        await trials_of(rig).begin(ENTERPRISE, "101")


@pytest.mark.parametrize("name", ["1757840723.6", "selftest-0000000000000-ffffff", "", "selftest-", "../../x"])
async def test_what_is_no_test_is_not_told(rig: Rig, name: str) -> None:
    assert await trials_of(rig).look(ENTERPRISE, name) is None
    assert await trials_of(rig).look("0999", name) is None


async def test_seen_through_in_the_background(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks: the call ends all the same."""
    monkeypatch.setattr("adapters.self_test.STEP_S", 0.001)
    tests: Any = trials_of(rig)
    test = await tests.start(ENTERPRISE, "101")
    await rig.settle()
    await rig.wait(SHOWN_MS)
    for _ in range(20):
        await rig.settle()
        await rig.wait(1_000)
        if not tests._running:
            break
    assert (await seen(rig, test)).state == "passed"
