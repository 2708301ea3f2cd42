"""What became of each mutant, which survivors are excused, and whether a module is held by its tests as it should be."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

EXCUSED: Final = Path(__file__).with_name("excused.toml")

SHARES: Final[Mapping[str, float]] = {"lifecycle": 0.95, "decisions": 0.95, "plan": 0.95}
"""Of all mutants of a module, the part that must be found, excused or not. Other modules are only told of."""


class Fate(StrEnum):
    """What the tests made of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One mutant: ``what`` names it by what it changes, so that it keeps its name while the code around it moves."""

    module: str
    what: str
    fate: Fate

    @property
    def is_found(self) -> bool:
        """Whether some test failed. One that never ends has been noticed as well."""
        return self.fate is not Fate.SURVIVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Excuse:
    """A survivor that no test can or should kill, and why."""

    module: str
    what: str
    why: str


def read_excuses(path: Path = EXCUSED) -> tuple[Excuse, ...]:
    """The listed survivors.

    Raises:
        ValueError: an entry lacks its reason, or stands there twice.
    """
    found = [
        Excuse(module=str(each["module"]), what=str(each["mutant"]), why=str(each.get("why", "")).strip())
        for each in tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", [])
    ]
    for index, each in enumerate(found):
        if not each.why:
            raise ValueError(f"{path.name}: {each.module}: {each.what!r} has no reason: say why no test can tell it apart")
        if (each.module, each.what) in {(other.module, other.what) for other in found[:index]}:
            raise ValueError(f"{path.name}: {each.module}: {each.what!r} stands there twice")
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The report's lines, and what is wrong (nothing: the command ends with 0)."""

    lines: tuple[str, ...]
    wrong: tuple[str, ...]


def judge(verdicts: Iterable[Verdict], excuses: Sequence[Excuse], shares: Mapping[str, float] = SHARES) -> Judgement:
    """The table, module by module, then every survivor without an excuse.

    Wrong are a share that is not reached and an excuse without a survivor.
    """
    by_module: dict[str, list[Verdict]] = {}
    for each in verdicts:
        by_module.setdefault(each.module, []).append(each)
    rows = [f"{'module':<16}{'mutants':>8}{'killed':>8}{'timed out':>11}{'survived':>10}{'excused':>9}{'found':>9}{'wanted':>9}"]
    survivors: list[str] = []
    wrong: list[str] = []
    for module, found in by_module.items():
        excused = {each.what for each in excuses if each.module == module}
        alive = [each.what for each in found if not each.is_found]
        share = sum(each.is_found for each in found) / len(found)
        fates = [each.fate for each in found]
        wanted = shares.get(module)
        rows.append(
            f"{module:<16}{len(found):>8}{fates.count(Fate.KILLED):>8}{fates.count(Fate.TIMED_OUT):>11}{len(alive):>10}"
            f"{len(excused & set(alive)):>9}{share:>9.1%}{'' if wanted is None else f'{wanted:.0%}':>9}"
        )
        survivors += [f"{module}: {what}" for what in alive if what not in excused]
        wrong += [f"{EXCUSED.name}: {module}: no such survivor: {what}" for what in sorted(excused - set(alive))]
        if wanted is not None and share < wanted:
            wrong.append(f"{module}: {share:.1%} of the mutants were found, {wanted:.0%} are wanted")
    told = [f"{len(survivors)} survive without an excuse:", *(f"  {each}" for each in survivors)] if survivors else []
    return Judgement(lines=(*rows, "", *told), wrong=tuple(wrong))
