"""The house's rules as tests: who may import whom, what the core may not touch, how long a thing may be.

Each rule is a function from a file's source to complaints, so that the rules themselves are tested on planted offences
(``test_the_rules_find_planted_offences``): a rule that finds nothing proves nothing. Exceptions are listed by name with
their reason, and an exception that is no longer needed fails too: the lists can only shrink.
"""

from __future__ import annotations

import ast
import gc
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
ROOMS: Final = ("core", "adapters", "projections", "bench")
MAX_FILE_LINES: Final = 600
MAX_FUNCTION_LINES: Final = 90

MAY_IMPORT: Final[dict[str, frozenset[str]]] = {
    "core": frozenset({"core"}),
    "adapters": frozenset({"core", "adapters"}),
    "projections": frozenset({"core", "projections"}),
    "bench": frozenset({"core", "adapters", "projections", "bench"}),
    "server.py": frozenset({"core", "adapters", "projections"}),
    "tests": frozenset({"core", "adapters", "projections", "bench", "tests"}),
}
OURS: Final = frozenset({*ROOMS, "server", "tests"})

PURE_MODULES: Final = frozenset(
    {
        "__future__", "abc", "base64", "binascii", "bisect", "collections", "contextlib", "copy", "csv", "dataclasses", "datetime",
        "decimal", "difflib", "enum", "fractions", "functools", "hashlib", "heapq", "hmac", "itertools", "json", "math", "operator",
        "re", "string", "types", "typing", "unicodedata", "uuid", "urllib.parse",
        "transitions", "phonenumbers", "msgspec", "orjson",
    }
)  # fmt: skip
"""All that the core may import besides itself: no clock, no randomness, no input or output, no logging."""

IMPURE_NAMES: Final = frozenset({"uuid1", "uuid4", "uuid6", "uuid7", "getnode"})
"""What pure modules offer that is not pure: imported or called as an attribute."""

IMPURE_CALLS: Final = frozenset(
    {"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint", "hash", "id", "globals"}
)
"""Built-ins that reach outside, or whose result differs from process to process (``hash`` of a text, ``id``)."""

IMPURE_METHODS: Final = frozenset({"now", "utcnow", "today", "read_text", "read_bytes", "write_text", "write_bytes"})

LONG: Final[frozenset[str]] = frozenset()
"""Files (``path``) and functions (``path:name``) that are too long for now."""

COMPOSES_AS_SERVER_DOES: Final = frozenset(
    {
        "tests/adapters/http/support.py",  # the HTTP edge over the parts exactly as the service puts them together
        "tests/test_server.py",  # the commands themselves
    }
)

DRAFTS: Final = frozenset({"core/call.py:_Known", "core/remote.py:_Told"})
"""What a value and its draft have in common: not frozen itself, because the draft is changed in place while it is folded."""

TESTS_OF_NO_SINGLE_MODULE: Final = frozenset(
    {
        "tests/adapters/test_event_stores.py",  # one contract, every store
        "tests/adapters/test_gateways.py",  # likewise
        "tests/adapters/test_lease_stores.py",  # likewise
        "tests/adapters/test_model_agrees.py",  # the tests' model of MoySklad against the sandbox
    }
)
MODULES_WITHOUT_TESTS_OF_THEIR_OWN: Final = frozenset(
    {
        "core/errors.py",  # only names
        "core/ports.py",  # protocols: tests/contracts holds their implementations to them
    }
)

Complaints = Iterator[str]
Rule = Callable[[str, ast.Module], Complaints]


def source_files(*places: str) -> list[str]:
    """Paths of Python files below the given places, relative to the root."""
    found: list[Path] = []
    for place in places:
        path = ROOT / place
        found += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return [path.relative_to(ROOT).as_posix() for path in found]


@cache
def parse(path: str) -> ast.Module:
    """The syntax tree of one of our files. Nobody changes it, and several rules look at it."""
    gc.disable()  # the collector takes longer to look through all these trees, again and again, than they take to be made
    try:
        return ast.parse((ROOT / path).read_text(encoding="utf-8"), path)
    finally:
        gc.freeze()
        gc.enable()


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Everything below that is no expression: of those there are ten times as many, and nothing is imported or defined in them."""
    for part in ("body", "handlers", "cases", "orelse", "finalbody"):
        for node in getattr(tree, part, ()):
            yield node
            yield from statements(node)


def imports(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Every import as (line, module, imported name), wherever in the file it is."""
    for node in statements(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, "." * node.level + (node.module or ""), alias.name


def who_imports_whom(path: str, tree: ast.Module) -> Complaints:
    """core ← adapters, core ← projections; server wires; bench measures; nobody imports server or bench."""
    room = path.split("/")[0]
    for line, module, name in imports(tree):
        top = module.split(".")[0]
        if module.startswith("."):
            yield f"{path}:{line}: relative import of {module}{name}"
        elif top in OURS and top not in MAY_IMPORT[room]:
            yield f"{path}:{line}: {room} imports {module}"


def only_pure_imports(path: str, tree: ast.Module) -> Complaints:
    """The core imports itself and what is on the list, nothing else."""
    for line, module, name in imports(tree):
        whole = {module, module.split(".")[0]} & PURE_MODULES
        if not whole and module.split(".")[0] != "core":
            yield f"{path}:{line}: imports {module}"
        if name in IMPURE_NAMES:
            yield f"{path}:{line}: imports {module}.{name}"


def only_pure_calls(path: str, tree: ast.Module) -> Complaints:
    """The core calls nothing that reads a clock, a file or chance, and waits for nothing; only its ports are awaited."""
    in_ports = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) if name in IMPURE_CALLS:
                    yield f"{path}:{node.lineno}: calls {name}()"
                case ast.Attribute(attr=name) if name in IMPURE_METHODS | IMPURE_NAMES:
                    yield f"{path}:{node.lineno}: calls .{name}()"
        elif isinstance(node, ast.AsyncFunctionDef | ast.Await) and id(node) not in in_ports:
            yield f"{path}:{node.lineno}: awaits"


def not_too_long(path: str, tree: ast.Module) -> Complaints:
    """Files and functions a person can read in one sitting."""
    lines = max((node.end_lineno or 0 for node in tree.body), default=0)
    if lines > MAX_FILE_LINES:
        yield f"{path}: {lines} lines"
    for node in statements(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{path}:{node.name}: {length} lines"


def everything_public_says_what_it_is_for(path: str, tree: ast.Module) -> Complaints:
    """A docstring for the module and every public function, class, and method."""
    if not ast.get_docstring(tree) and not path.endswith("__init__.py"):
        yield f"{path}: the module has no docstring"
    yield from _undocumented(path, "", tree.body)


def _undocumented(path: str, prefix: str, body: list[ast.stmt]) -> Complaints:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield f"{path}:{node.lineno}: {prefix}{node.name} has no docstring"
            if isinstance(node, ast.ClassDef):
                yield from _undocumented(path, f"{node.name}.", node.body)


def values_are_frozen(path: str, tree: ast.Module) -> Complaints:
    """The core's dataclasses and structs are values: frozen and slotted, and what others construct takes keywords only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) in ("Struct", "msgspec.Struct") for base in node.bases):
            if f"{path}:{node.name}" in DRAFTS:
                continue
            given = {each.arg for each in node.keywords if ast.unparse(each.value) == "True"}
            if missing := ({"frozen"} if node.name.startswith("_") else {"frozen", "kw_only"}) - given:
                yield f"{path}:{node.lineno}: {node.name} is not {', '.join(sorted(missing))}"
        for decorator in node.decorator_list if isinstance(node, ast.ClassDef) else []:
            call = decorator if isinstance(decorator, ast.Call) else None
            if "dataclass" not in ast.unparse(call.func if call else decorator):
                continue
            given = {each.arg for each in call.keywords if ast.unparse(each.value) == "True"} if call else set()
            assert isinstance(node, ast.ClassDef)
            wanted = {"frozen", "slots"} if node.name.startswith("_") else {"frozen", "slots", "kw_only"}
            if missing := wanted - given:
                yield f"{path}:{node.lineno}: {node.name} is not {', '.join(sorted(missing))}"


def complaints(rule: Rule, paths: list[str]) -> list[str]:
    """What a rule has against some files."""
    assert paths, "a rule without files proves nothing"
    return [complaint for path in paths for complaint in rule(path, parse(path))]


def test_who_imports_whom() -> None:
    found = complaints(who_imports_whom, source_files(*ROOMS, "server.py", "tests"))
    named = {complaint.split(":")[0] for complaint in found if complaint.endswith("tests imports server")}
    assert [complaint for complaint in found if complaint.split(":")[0] not in named & COMPOSES_AS_SERVER_DOES] == []
    assert COMPOSES_AS_SERVER_DOES - named == set(), "these do without it now: take them off the list"


@pytest.mark.parametrize("rule", [only_pure_imports, only_pure_calls, everything_public_says_what_it_is_for, values_are_frozen])
def test_the_core_is(rule: Rule) -> None:
    assert complaints(rule, source_files("core")) == []


def test_projections_reach_the_database_only_through_their_port() -> None:
    barred = {"aiohttp", "asyncpg", "socket", "subprocess", "urllib.request", "structlog", "logging", "time", "random", "os"}
    found = [
        f"{path}:{line}: imports {module}"
        for path in source_files("projections")
        for line, module, _ in imports(parse(path))
        if {module, module.split(".")[0]} & barred
    ]
    assert found == []


def test_nothing_is_too_long_and_no_exception_outlives_its_reason() -> None:
    found = complaints(not_too_long, source_files(*ROOMS, "server.py", "tests"))
    named = {complaint.rpartition(": ")[0]: complaint for complaint in found}
    assert [complaint for name, complaint in named.items() if name not in LONG] == []
    assert LONG - set(named) == set(), "these are short enough now: take them off the list"


def test_the_core_s_modules_do_not_import_each_other_in_circles() -> None:
    needs: dict[str, set[str]] = {}
    for path in source_files("core"):
        tree = parse(path)
        guarded = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for inner in ast.walk(node)
        }
        needs[path.removesuffix(".py").replace("/", ".")] = {
            module
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in guarded
            for _, module, _ in imports(node)
            if module.startswith("core.")
        }
    while ready := [name for name, wanted in needs.items() if not wanted & set(needs)]:
        for name in ready:
            del needs[name]
    assert needs == {}, "what is left over goes round in circles"


def test_the_tests_mirror_the_house() -> None:
    """``tests/core/test_x.py`` and ``test_x_more.py`` test ``core/x.py``; ``tests/adapters/y/`` tests the package ``adapters/y``.

    Inside a package a test is named for the behaviour it is about, which need not be one module's.
    """
    strays = set()
    for path in source_files(*(f"tests/{room}" for room in ROOMS)):
        file = ROOT / path
        folder = ROOT / file.parent.relative_to(ROOT / "tests")
        assert folder.is_dir(), f"{path} tests a package that does not exist"
        if file.name.startswith("test_") and folder.parent == ROOT:
            subject = file.stem.removeprefix("test_")
            modules = {found.stem for found in folder.glob("*.py")}
            if not any(subject == module or subject.startswith(f"{module}_") for module in modules):
                strays.add(path)
    assert strays - TESTS_OF_NO_SINGLE_MODULE == set()
    assert TESTS_OF_NO_SINGLE_MODULE - strays == set(), "these have their module now: take them off the list"


def test_the_core_and_the_read_models_have_tests_of_their_own() -> None:
    """``core/x_y.py`` has ``test_x_y….py``, or belongs to ``x``, which has its tests."""
    untested = set()
    for path in source_files("core", "projections"):
        tests = {found.stem.removeprefix("test_") for found in (ROOT / "tests" / path).parent.glob("test_*.py")}
        stem = Path(path).stem
        if stem != "__init__" and not any(f"{test}_".startswith(f"{stem}_") or stem.startswith(f"{test}_") for test in tests):
            untested.add(path)
    assert untested - MODULES_WITHOUT_TESTS_OF_THEIR_OWN == set()
    assert MODULES_WITHOUT_TESTS_OF_THEIR_OWN - untested == set(), "these have tests now: take them off the list"


def test_every_folder_of_ours_is_a_package() -> None:
    """Without ``tests/__init__.py`` two test files of one name hide each other; without the others imports depend on luck."""
    for path in source_files(*ROOMS, "tests"):
        assert (ROOT / path).with_name("__init__.py").exists(), path


def test_every_module_says_first_what_it_is_for() -> None:
    """A room's purpose stands in its ``__init__``; ``docs/modules.md`` shows them all."""
    silent = [path for path in source_files(*ROOMS, "tests") if not ast.get_docstring(parse(path))]
    assert silent == []


@pytest.mark.parametrize(
    ("rule", "path", "offence"),
    [
        (who_imports_whom, "core/x.py", "from adapters.logs import mask_text"),
        (who_imports_whom, "core/x.py", "def f():\n    import projections.calls"),
        (who_imports_whom, "adapters/x.py", "from projections.calls import Calls"),
        (who_imports_whom, "adapters/x.py", "import server"),
        (who_imports_whom, "tests/x.py", "from server import main"),
        (who_imports_whom, "bench/x.py", "from server import main"),
        (who_imports_whom, "bench/x.py", "from tests.world import World"),
        (who_imports_whom, "adapters/x.py", "from bench.work import Call"),
        (who_imports_whom, "projections/x.py", "import adapters"),
        (who_imports_whom, "core/x.py", "from . import call"),
        (only_pure_imports, "core/x.py", "import time"),
        (only_pure_imports, "core/x.py", "from random import choice"),
        (only_pure_imports, "core/x.py", "import asyncio"),
        (only_pure_imports, "core/x.py", "import os.path"),
        (only_pure_imports, "core/x.py", "import structlog"),
        (only_pure_imports, "core/x.py", "import logging"),
        (only_pure_imports, "core/x.py", "import socket"),
        (only_pure_imports, "core/x.py", "import urllib.request"),
        (only_pure_imports, "core/x.py", "from zoneinfo import ZoneInfo"),
        (only_pure_imports, "core/x.py", "from uuid import uuid4"),
        (only_pure_calls, "core/x.py", "import uuid\nuuid.uuid4()"),
        (only_pure_calls, "core/x.py", "datetime.now(UTC)"),
        (only_pure_calls, "core/x.py", "date.today()"),
        (only_pure_calls, "core/x.py", "print(1)"),
        (only_pure_calls, "core/x.py", "open('x')"),
        (only_pure_calls, "core/x.py", "async def f(): ..."),
        (only_pure_calls, "core/x.py", "class C:\n    async def f(self): ..."),
        (not_too_long, "core/x.py", "x = 1\n" * (MAX_FILE_LINES + 1)),
        (not_too_long, "core/x.py", "def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES),
        (everything_public_says_what_it_is_for, "core/x.py", '"""Doc."""\ndef f(): ...'),
        (everything_public_says_what_it_is_for, "core/x.py", '"""Doc."""\nclass C:\n    """Doc."""\n    def m(self): ...'),
        (everything_public_says_what_it_is_for, "core/x.py", "x = 1"),
        (values_are_frozen, "core/x.py", "@dataclass\nclass C: ..."),
        (values_are_frozen, "core/x.py", "@dataclasses.dataclass(frozen=True, slots=False, kw_only=True)\nclass C: ..."),
        (values_are_frozen, "core/x.py", "class C(Struct, frozen=True): ..."),
        (values_are_frozen, "core/x.py", "class C(msgspec.Struct, kw_only=True, gc=False): ..."),
    ],
)
def test_the_rules_find_planted_offences(rule: Rule, path: str, offence: str) -> None:
    assert len(list(rule(path, ast.parse(offence)))) == 1
