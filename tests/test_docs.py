"""What docs/ says is what the code does: pictures are drawn from the table, decisions are numbered and have reasons."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.lifecycle import STAYS, TABLE, Phase, Trigger, build_machine, next_phase
from tests.scenario import given

ROOT = Path(__file__).parent.parent
DECISIONS = ROOT / "docs" / "decisions"


def draw(*arguments: str, script: Path = ROOT / "docs" / "draw.py") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_the_pictures_are_up_to_date() -> None:
    drawn = draw("--check")
    assert drawn.returncode == 0, drawn.stderr


@pytest.mark.slow
def test_a_stale_picture_is_noticed_and_drawn_anew(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    script = tmp_path / "docs" / "draw.py"
    script.write_text((ROOT / "docs" / "draw.py").read_text())
    for room in ("core", "projections", "adapters", "bench", "tests", "docs/way.py"):
        (tmp_path / room).symlink_to(ROOT / room)
    missing = draw("--check", script=script)
    told = "".join(f"{page} is out of date: run python docs/draw.py\n" for page in ("lifecycle.md", "modules.md", "a-call.md"))
    assert (missing.returncode, missing.stderr) == (1, told)
    assert draw(script=script).returncode == 0
    page = tmp_path / "docs" / "lifecycle.md"
    page.write_text(page.read_text().replace("ringing", "wringing"))
    assert draw("--check", script=script).returncode == 1


def test_the_picture_shows_every_phase_and_every_row_of_the_table() -> None:
    page = (ROOT / "docs" / "lifecycle.md").read_text()
    arrows = {
        (source, trigger, target)
        for source, target, triggers in re.findall(r"^ *(\w+) --> (\w+): (.+)$", page, re.MULTILINE)
        for trigger in triggers.split(" | ")
    }
    assert arrows == {(source.value, trigger.value, target.value) for (source, trigger), target in TABLE.items()}
    assert all(f"| `{phase.value}` |" in page for phase in Phase)
    assert all(f"| `{trigger.value}` | {STAYS[trigger]} |" in page for trigger in Trigger)


def test_every_pair_of_the_table_agrees_with_transitions_and_every_absent_pair_has_a_reason() -> None:
    machine = build_machine()
    for phase, trigger in itertools.product(Phase, Trigger):
        found = machine.get_transitions(trigger.value, phase.value)
        if (phase, trigger) in TABLE:
            assert [transition.dest for transition in found] == [TABLE[phase, trigger].value]
        else:
            assert found == []
            assert next_phase(phase, trigger) is phase
            assert STAYS[trigger].strip()


KIT = ROOT / "docs" / "kit.md"
TRIED_AND_THROWN_AWAY = {"adapters/basket/gateway.py"}


def test_the_kit_names_files_and_tests_that_exist_and_every_contract() -> None:
    page = KIT.read_text()
    named = set(re.findall(r"`((?:core|adapters|projections|tests|migrations|docs|bench)/[\w/.-]*)`", page))
    assert len(named) > 40
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == sorted(TRIED_AND_THROWN_AWAY)
    tests = set(re.findall(r"def (test_\w+)\(", "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))))
    tests |= set(re.findall(r"def (test_\w+)\(", "".join(path.read_text() for path in (ROOT / "tests" / "contracts").glob("*.py"))))
    told = re.findall(r"`(?:\w+\.)?((?:test_|…)[\w…]+)(?:\[[^\]]*\])?`", page)
    assert len(told) > 20
    for pattern in [re.compile(".*".join(map(re.escape, name.split("…")))) for name in told]:
        assert any(pattern.fullmatch(test) for test in tests), f"there is no {pattern.pattern}"
    contracts = {f"tests/contracts/{path.name}" for path in (ROOT / "tests" / "contracts").glob("[!_]*.py")}
    assert contracts - named == set()


def test_the_kit_names_commands_that_exist() -> None:
    page, commands = KIT.read_text(), (ROOT / "ms.sh").read_text()
    for name in set(re.findall(r"\./ms\.sh (\w[\w-]*)", page)):
        assert re.search(rf"[(| ]{name}[)| ]", commands), name
    modules = set(re.findall(r"-m ((?:tests|bench)\.[\w.]+)", page))
    assert modules
    assert all(
        (ROOT / f"{module.replace('.', '/')}").with_suffix(".py").exists()
        or (ROOT / module.replace(".", "/") / "__main__.py").exists()
        for module in modules
    )


def test_the_kit_s_scenario_is_what_is_asked() -> None:
    (scenario,) = re.findall(r"```python\n(scenario = .+?)```", KIT.read_text(), re.DOTALL)
    exec(scenario, {"given": given})


def decisions() -> list[Path]:
    return sorted(DECISIONS.iterdir()) if DECISIONS.exists() else []


def problems(pages: list[tuple[str, str]]) -> list[str]:
    """What is wrong with decision pages, given as ``(file name, text)`` in order."""
    found: list[str] = []
    for expected, (name, text) in enumerate(pages, start=1):
        match = re.fullmatch(r"(\d{4})-[a-z0-9]+(?:-[a-z0-9]+)*\.md", name)
        if match is None:
            found.append(f"{name}: not NNNN-title.md")
            continue
        if int(match[1]) != expected:
            found.append(f"{name}: expected number {expected:04d}")
        first, _, rest = text.partition("\n")
        if not first.startswith("# "):
            found.append(f"{name}: does not begin with its title")
        if len(rest.split()) < 20:
            found.append(f"{name}: gives no reason")
    return found


def test_decisions_are_numbered_without_gaps_and_give_their_reasons() -> None:
    assert problems([(page.name, page.read_text()) for page in decisions()]) == []


REASON = "word " * 20


@pytest.mark.parametrize(
    ("pages", "wrong"),
    [
        ([("0001-one.md", f"# One\n{REASON}"), ("0002-two-b.md", f"# 0002 Two\n{REASON}")], []),
        ([("0001-one.md", f"# One\n{REASON}"), ("0003-two.md", f"# Two\n{REASON}")], ["0003-two.md: expected number 0002"]),
        ([("0001-one.md", f"# One\n{REASON}"), ("0001-two.md", f"# Two\n{REASON}")], ["0001-two.md: expected number 0002"]),
        ([("1-one.md", f"# One\n{REASON}")], ["1-one.md: not NNNN-title.md"]),
        ([("0001-one.md", f"One\n{REASON}")], ["0001-one.md: does not begin with its title"]),
        ([("0001-one.md", "# One\nBecause.")], ["0001-one.md: gives no reason"]),
    ],
)
def test_what_is_noticed_about_decisions(pages: list[tuple[str, str]], wrong: list[str]) -> None:
    assert problems(pages) == wrong
