"""A copy of the tree in which mutmut may write, with what it would pass over brought within its reach.

mutmut (3.8) makes its mutants inside functions and methods. Of a decorated function it makes none, and half of what a call
says of itself is in properties: in the copy each ``@property`` is written as a plain method and ``name = property(_get_name)``,
which is the same. What stands outside functions is :mod:`tests.mutants.literals`' affair.
"""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

COPIED: Final = ("core", "adapters", "projections", "migrations", "tests")
"""What the tests of the core import. ``tests`` goes without its ``conftest.py``: no test of the core needs a database."""

LEFT_OUT: Final = ("__pycache__", "conftest.py")

GETTER: Final = "_get_"

CONFTEST: Final = '''"""Few examples, the same each time, no search for the simplest: what kills a mutant does so again, soon."""

import hypothesis

hypothesis.settings.register_profile(
    "mutants",
    deadline=None,
    max_examples={examples},
    derandomize=True,
    database=None,
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
)
hypothesis.settings.load_profile("mutants")
'''

EXAMPLES: Final = 15
"""Of each property: an ordinary run takes a hundred, but not thousands of times over."""

LIMIT_S: Final = 60.0
"""Beyond fifteen times what its tests took without a mutant: the machine may be busy with other things."""


def with_plain_getters(source: str) -> str:
    """The same module, with every property as a method and an assignment."""
    lines = source.splitlines()
    for node in sorted(_properties(ast.parse(source)), key=lambda found: found.lineno, reverse=True):
        mark, name = node.decorator_list[0].lineno - 1, node.lineno - 1
        indent = lines[mark][: len(lines[mark]) - len(lines[mark].lstrip())]
        lines.insert(node.end_lineno or node.lineno, f"{indent}{node.name} = property({GETTER}{node.name})")
        lines[name] = lines[name].replace(f"def {node.name}(", f"def {GETTER}{node.name}(", 1)
        del lines[mark]
    return "\n".join(lines) + "\n"


def _properties(tree: ast.Module) -> list[ast.FunctionDef]:
    return [
        node
        for each in tree.body
        if isinstance(each, ast.ClassDef)
        for node in each.body
        if isinstance(node, ast.FunctionDef) and [ast.unparse(mark) for mark in node.decorator_list] == ["property"]
    ]


def settings(modules: Sequence[str], tests: Sequence[str]) -> str:
    """The copy's ``pyproject.toml``. A list in TOML is one in JSON."""
    return f"""[tool.mutmut]
source_paths = ["core"]
also_copy = ["adapters", "projections", "migrations"]
only_mutate = {json.dumps([f"core/{module}.py" for module in modules])}
pytest_add_cli_args_test_selection = {json.dumps(list(tests))}
pytest_add_cli_args = ["-p", "no:cacheprovider"]
timeout_constant = {LIMIT_S}
use_git_change_detection = false

[tool.pytest.ini_options]
asyncio_mode = "auto"
asyncio_default_fixture_loop_scope = "function"
addopts = "--strict-markers"
markers = ["slow: not here"]
"""


def prepare(place: Path, modules: Sequence[str], tests: Sequence[str], *, again: bool = False) -> None:
    """Make the copy anew at ``place``: verdicts on yesterday's tests say nothing of today's. ``again``: keep them."""
    if place.exists() and not again:
        shutil.rmtree(place)
    for room in COPIED:
        shutil.copytree(ROOT / room, place / room, ignore=shutil.ignore_patterns(*LEFT_OUT), dirs_exist_ok=True)
    (place / "tests" / "conftest.py").write_text(CONFTEST.format(examples=EXAMPLES), encoding="utf-8")
    (place / "pyproject.toml").write_text(settings(modules, tests), encoding="utf-8")
    for module in modules:
        path = place / "core" / f"{module}.py"
        path.write_text(with_plain_getters(path.read_text(encoding="utf-8")), encoding="utf-8")
