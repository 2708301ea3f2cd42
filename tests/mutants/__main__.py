# ruff: noqa: T201  it is a command: it prints
"""``./ms.sh mutants [MODULES...]``: change the core in thousands of small ways and see whether a test fails each time.

Without names: ``lifecycle``, ``decisions`` and ``plan``, which must reach the shares of :data:`tests.mutants.verdicts.SHARES`.
How to read what it prints, and what to do about a survivor: ``docs/kit.md``.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.mutants.ground import GETTER, LIMIT_S, ROOT, prepare
from tests.mutants.literals import literals
from tests.mutants.verdicts import SHARES, Fate, Verdict, judge, read_excuses

LEFT_ALONE: Final = (
    "test_shrinking",
    "test_rerun",
    "test_ami",
    "test_click_request",
    "test_settings",
    "test_signals",
    "test_events",
    "test_old_logs",
)
"""Beginnings of tests of the core that take seconds each and say little of what a call is; they come with their own module only."""

TIMEOUTS: Final = frozenset({-24, 24, 36, 152, 255})
"""Ends of a process that mutmut, or the limit of processor time, cut off (``mutmut.stats``)."""

OWN, ALL = "own", "all"
"""The two copies below the place: one for the modules' own tests, one for every test."""

MOST_MEMORY: Final = 4 * 1024**3
"""Bytes of address space for each process, many times what the tests take: a mutant that loops may also collect what it makes,
gigabytes a minute, and nobody has asked for the machine to be brought to its knees. Out of memory, its tests have failed."""

ALIVE: Final = frozenset({0, 5, 33})
"""Every test passed; or none runs through the place at all."""


def own_tests(module: str) -> list[str]:
    """The module's own test files (``test_plan.py``, ``test_plan_doubt.py``)."""
    found = [path for path in sorted((ROOT / "tests" / "core").glob("test_*.py")) if f"{path.stem}_".startswith(f"test_{module}_")]
    return [path.relative_to(ROOT).as_posix() for path in found]


def tests_for(modules: Sequence[str]) -> list[str]:
    """What may kill: the modules' own tests first, then every quick test of the core, then the invariants."""
    own = [test for module in modules for test in own_tests(module)]
    core = sorted((ROOT / "tests" / "core").glob("test_*.py"))
    others = [path.relative_to(ROOT).as_posix() for path in core if not path.stem.startswith(LEFT_ALONE)]
    return list(dict.fromkeys([*own, *others, "tests/test_invariants.py", "tests/test_invariants_after.py"]))


def in_functions(
    place: Path, modules: Sequence[str], tests: Sequence[str], say: Callable[[str], None], *, again: bool
) -> Iterator[Verdict]:
    """Let mutmut do its work, and read what it noted. ``again``: only on what no test had noticed.

    Most mutants die of their module's own tests, in a second; only what outlives those is worth every other test. mutmut would
    forget its verdicts if its tests changed, so each of the two has a copy of its own.
    """
    first, second = place / OWN, place / ALL
    prepare(second, modules, tests, again=again)
    if not again:
        own = [test for module in modules for test in own_tests(module)]
        prepare(first, modules, own or tests)
        _mutmut(first, [], say)
    before = {module: {**noted(first, module), **(known(second, module) if again else {})} for module in modules}
    alive = [name for ends in before.values() for name, end in ends.items() if end in ALIVE]
    say(f"{len(alive)} of {sum(map(len, before.values()))} are left for all tests")
    if alive:
        _mutmut(second, alive, say)
    for module in modules:
        taken: dict[str, int] = {}
        for name, end in (before[module] | known(second, module)).items():
            if end is None:
                raise SystemExit(f"mutmut did not try {name}: the core has changed, begin anew (without --again)")
            fate = Fate.TIMED_OUT if end in TIMEOUTS else Fate.SURVIVED if end in ALIVE else Fate.KILLED
            what = name if fate is not Fate.SURVIVED else numbered(described(second, name), taken)
            yield Verdict(module=module, what=what, fate=fate)


def noted(place: Path, module: str) -> dict[str, int | None]:
    """What mutmut noted of a module: a mutant's name, and how its tests ended (None: they have not run)."""
    path = place / "mutants" / "core" / f"{module}.py.meta"
    ends: dict[str, int | None] = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"] if path.exists() else {}
    return ends


def known(place: Path, module: str) -> dict[str, int | None]:
    """The same without those it has not tried."""
    return {name: end for name, end in noted(place, module).items() if end is not None}


def _mutmut(place: Path, names: Sequence[str], say: Callable[[str], None]) -> None:
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1", *names]
    with subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1) as running:
        assert running.stdout is not None
        said: list[str] = []
        for line in running.stdout:
            said.append(line.rstrip())
            if (count := re.search(r"(\d+)/(\d+)", line)) and int(count[1]) % 100 == 0 and count[1] != "0":
                say(f"{count[1]} of {count[2]}")
    if running.returncode:
        raise SystemExit("mutmut could not do its work:\n" + "\n".join(said[-40:]))


def described(place: Path, name: str) -> str:
    """A mutant by what it changes: ``urgency: `before` -> `after```."""
    shown = subprocess.run(
        [sys.executable, "-m", "mutmut", "show", name], cwd=place, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    before = " ".join(line[1:].strip() for line in shown if line.startswith("-") and not line.startswith("---"))
    after = " ".join(line[1:].strip() for line in shown if line.startswith("+") and not line.startswith("+++"))
    function = re.sub(r"__mutmut_\d+$", "", name.rpartition(".")[2]).removeprefix("x").strip("ǁ").replace("ǁ", ".")
    return f"{function.removeprefix('_').replace(GETTER, '')}: `{before}` -> `{after}`"


def numbered(what: str, taken: dict[str, int]) -> str:
    """The same change in two places of one function is two mutants."""
    taken[what] = taken.get(what, 0) + 1
    return what if taken[what] == 1 else f"{what} (number {taken[what]})"


def outside_functions(
    place: Path, module: str, tests: Sequence[str], say: Callable[[str], None], *, again: bool
) -> Iterator[Verdict]:
    """Try each changed literal: first the module's own tests, which are over in a second, then all."""
    notes = place / f"literals-{module}.json"
    before: dict[str, str] = json.loads(notes.read_text(encoding="utf-8")) if again and notes.exists() else {}
    path = place / "core" / f"{module}.py"
    original = path.read_text(encoding="utf-8")
    mutants = list(literals(original))
    own = own_tests(module)
    taken: dict[str, int] = {}
    try:
        for count, mutant in enumerate(mutants, start=1):
            what = numbered(mutant.what, taken)
            fate = Fate(before.get(what, Fate.SURVIVED))
            if fate is Fate.SURVIVED:
                path.write_text(mutant.source, encoding="utf-8")
                fate = _tried(place, own) if own else Fate.SURVIVED
            if fate is Fate.SURVIVED:
                fate = _tried(place, [test for test in tests if test not in own])
            if count % 100 == 0:
                say(f"{module}: {count} of {len(mutants)} literals")
            before[what] = fate.value
            yield Verdict(module=module, what=what, fate=fate)
    finally:
        path.write_text(original, encoding="utf-8")
        notes.write_text(json.dumps(before), encoding="utf-8")


def _tried(place: Path, tests: Sequence[str]) -> Fate:
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(command, cwd=place, capture_output=True, check=False, timeout=10 * LIMIT_S)
    except subprocess.TimeoutExpired:
        return Fate.TIMED_OUT
    return Fate.KILLED if done.returncode else Fate.SURVIVED


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="./ms.sh mutants", description="Does a test fail when the core is changed?")
    parser.add_argument("modules", nargs="*", help="modules of core/ (default: lifecycle decisions plan)")
    parser.add_argument("--again", action="store_true", help="only what survived the last time, with the tests as they are now")
    parser.add_argument(
        "--place", type=Path, default=ROOT / "var" / "mutants", help="where the copy is made (default: var/mutants)"
    )
    given = parser.parse_args()
    modules = [str(each).removeprefix("core/").removesuffix(".py") for each in given.modules] or list(SHARES)
    if unknown := [each for each in modules if not (ROOT / "core" / f"{each}.py").exists()]:
        parser.error(f"core/ has no {', '.join(unknown)}")
    excuses = read_excuses()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {what}", file=sys.stderr, flush=True)

    tests = tests_for(modules)
    say(f"{', '.join(modules)}, {len(tests)} files of tests")
    verdicts = [*in_functions(given.place, modules, tests, say, again=given.again)]
    for module in modules:
        verdicts += outside_functions(given.place / ALL, module, tests, say, again=given.again)
    judgement = judge(verdicts, excuses)
    print("\n".join(judgement.lines))
    for each in judgement.wrong:
        print(f"wrong: {each}")
    return 1 if judgement.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
