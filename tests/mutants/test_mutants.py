"""The tool that changes the core: what it makes of a module, and how it judges what the tests made of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.__main__ import own_tests
from tests.mutants.__main__ import tests_for as chosen_for
from tests.mutants.ground import ROOT, prepare, with_plain_getters
from tests.mutants.literals import literals
from tests.mutants.verdicts import SHARES, Excuse, Fate, Verdict, judge, read_excuses
from tests.thorough import of

MODULES = sorted(path.stem for path in (ROOT / "core").glob("*.py") if path.stem != "__init__")

TABLE = """
WORDS = {"a": "one"}
TABLE = {
    (P.A, T.X): P.B,  # ж: a byte is not a character
    (P.B, T.Y): P.A,
}
LIVE = frozenset({P.A, P.B})
WAITS_MS = (1, 25)


class Limits:
    most: int = 3

    def half(self, of: int = 7) -> int:
        return of // 2
"""


def test_each_literal_outside_functions_is_changed_in_one_place() -> None:
    found = {each.what: each.source for each in literals(TABLE)}
    assert list(found) == [
        "WORDS: without 'a': 'one'",
        "TABLE: without (P.A, T.X): P.B",
        "TABLE: (P.A, T.X): P.B leads to P.A",
        "TABLE: without (P.B, T.Y): P.A",
        "TABLE: (P.B, T.Y): P.A leads to P.B",
        "TABLE: with (P.A, T.Y): P.B",
        "TABLE: with (P.B, T.X): P.A",
        "LIVE: without P.A",
        "LIVE: without P.B",
        "WAITS_MS: without 1",
        "WAITS_MS: without 25",
        "WAITS_MS: 1 is 2",
        "WAITS_MS: 25 is 26",
        "Limits.most: 3 is 4",
    ]
    assert "(P.A, T.X)" not in found["TABLE: without (P.A, T.X): P.B"]
    assert "ж" in found["TABLE: without (P.A, T.X): P.B"]
    assert "frozenset({P.A, })" in found["LIVE: without P.B"]
    assert all(TABLE.count(line) for line in found["Limits.most: 3 is 4"].splitlines() if "most" not in line)
    for what, source in found.items():
        compile(source, what, "exec")
        assert source != TABLE


def test_a_property_becomes_a_method_that_mutmut_reaches_and_stays_the_same_to_its_readers() -> None:
    source = (
        "class Call:\n"
        "    size = 2\n\n"
        "    @property\n    def one(self) -> int:\n        return self.size\n\n"
        "    @staticmethod\n    def two() -> int:\n        return 2\n"
    )
    plain = with_plain_getters(source)
    assert "    def _get_one(self) -> int:\n        return self.size\n    one = property(_get_one)\n" in plain
    assert "@staticmethod" in plain
    space: dict[str, type] = {}
    exec(plain, space)
    assert space["Call"]().one == 2


@pytest.mark.parametrize("module", MODULES[:: of(quick=5, thorough=1)])
def test_every_module_of_the_core_can_be_changed(module: str) -> None:
    source = (ROOT / "core" / f"{module}.py").read_text()
    compile(with_plain_getters(source), module, "exec")
    for each in literals(source):
        compile(each.source, each.what, "exec")


def test_the_copy_holds_what_the_tests_need_and_no_tests_of_yesterday(tmp_path: Path) -> None:
    place = tmp_path / "copy"
    (place / "tests" / "core").mkdir(parents=True)
    (place / "tests" / "core" / "test_gone.py").write_text("")
    prepare(place, ["plan"], ["tests/core/test_plan.py"])
    assert not (place / "tests" / "core" / "test_gone.py").exists()
    assert (place / "tests" / "core" / "test_plan.py").exists()
    assert '"core/plan.py"' in (place / "pyproject.toml").read_text()
    assert "derandomize=True" in (place / "tests" / "conftest.py").read_text()


def test_a_module_s_own_tests_come_first_and_what_is_slow_only_with_its_own_module() -> None:
    own = own_tests("plan")
    assert {"tests/core/test_plan.py", "tests/core/test_plan_doubt.py"} <= set(own)
    assert "tests/core/test_contact_plan.py" not in own
    chosen = chosen_for(["plan"])
    assert chosen[: len(own)] == own
    assert len(chosen) == len(set(chosen))
    assert "tests/core/test_shrinking.py" not in chosen
    assert "tests/core/test_shrinking.py" in chosen_for(["shrinking"])
    assert all((ROOT / test).exists() for test in chosen)


def verdicts(killed: int, survived: tuple[str, ...], module: str = "plan") -> list[Verdict]:
    return [
        *(Verdict(module=module, what=str(each), fate=Fate.KILLED) for each in range(killed)),
        *(Verdict(module=module, what=each, fate=Fate.SURVIVED) for each in survived),
    ]


def test_a_module_below_its_share_is_wrong_and_one_that_reaches_it_is_not() -> None:
    assert judge(verdicts(19, ("a",)), []).wrong == ()
    assert judge(verdicts(18, ("a",)), []).wrong == ("plan: 94.7% of the mutants were found, 95% are wanted",)
    assert judge(verdicts(1, ("a",), module="talk"), []).wrong == (), "no share is stated"


def test_what_never_ends_is_found() -> None:
    assert judge([Verdict(module="plan", what="loop", fate=Fate.TIMED_OUT)], []).wrong == ()


def test_a_survivor_is_told_unless_it_is_excused_and_an_excuse_without_a_survivor_is_wrong() -> None:
    excuse = Excuse(module="plan", what="a", why="because")
    told = judge(verdicts(98, ("a", "b")), [excuse])
    assert (told.lines[-1], told.wrong) == ("  plan: b", ())
    assert judge(verdicts(99, ("b",)), [excuse]).wrong == ("excused.toml: plan: no such survivor: a",)
    assert judge(verdicts(99, ("b",), module="talk"), [excuse]).wrong == (), "plan was not looked at"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[[survivor]]\nmodule = "plan"\nmutant = "a"\nwhy = " "', "has no reason"),
        ('[[survivor]]\nmodule = "plan"\nmutant = "a"\nwhy = "w"\n' * 2, "stands there twice"),
    ],
)
def test_an_excuse_needs_a_reason_and_stands_there_once(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "excused.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=complaint):
        read_excuses(path)


def test_the_excuses_are_of_modules_that_exist() -> None:
    assert {each.module for each in read_excuses()} | set(SHARES) <= {path.stem for path in (ROOT / "core").glob("*.py")}
