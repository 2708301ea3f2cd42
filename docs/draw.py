"""Draws the pictures in docs/ from the code, so that they cannot drift: ``python docs/draw.py [--check]``."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from transitions.extensions.diagrams import GraphMachine

from core.lifecycle import DESCRIPTIONS, STAYS, TABLE, Phase, Trigger
from docs.way import drawn

HERE = Path(__file__).parent
ROOT = HERE.parent
ROOMS = (
    "core",
    "projections",
    "adapters",
    "adapters/http",
    "adapters/postgres",
    "adapters/moysklad",
    "adapters/directory",
    "adapters/asterisk",
    "adapters/sandbox",
    "adapters/lab",
    "bench",
)
SHARED = ("__init__", "errors", "phone", "values")


def lifecycle() -> str:
    """The table of ``core/lifecycle.py`` as a page: the diagram by ``transitions``, the phases, what leaves a phase as it is."""
    machine = GraphMachine(
        states=[phase.value for phase in Phase],
        transitions=[
            {"trigger": trigger.value, "source": source.value, "dest": target.value} for (source, trigger), target in TABLE.items()
        ],
        initial=Phase.UNHEARD.value,
        auto_transitions=False,
        graph_engine="mermaid",
        title="title: The life of a call",
    )
    lines = [
        "# The life of a call",
        "",
        "Generated from `core/lifecycle.py` by `python docs/draw.py`; a test fails when it is out of date.",
        "",
        "```mermaid",
        machine.get_combined_graph().source.strip(),
        "```",
        "",
        "| phase | what it means |",
        "|---|---|",
        *(f"| `{phase.value}` | {DESCRIPTIONS[phase]} |" for phase in Phase),
        "",
        "A trigger without an arrow leaves the phase as it is:",
        "",
        "| trigger | why |",
        "|---|---|",
        *(f"| `{trigger.value}` | {STAYS[trigger]} |" for trigger in Trigger),
        "",
    ]
    return "\n".join(lines)


def modules() -> str:
    """Every module with the first line it says of itself, room by room; and how those of ``core/`` build on each other."""
    lines = [
        "# Room by room",
        "",
        "Generated from the first line of each module by `python docs/draw.py`; a test fails when it is out of date.",
        "How the rooms fit together: [architecture.md](architecture.md).",
        "",
    ]
    for room in ROOMS:
        folder = ROOT / room
        lines += [f"## `{room}/`", "", said(folder / "__init__.py"), "", "| module | what it is for |", "|---|---|"]
        lines += [f"| `{path.stem}` | {said(path)} |" for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]
        lines.append("")
        if room == "core":
            lines += [
                "Who builds on whom; what follows from another arrow is left out, and so are the words all share (" + ", ".join(
                    f"`{name}`" for name in SHARED
                ) + "):",
                "",
                "```mermaid",
                "graph LR",
                *(f"  {above} --> {below}" for above, below in sorted(building(folder))),
                "```",
                "",
            ]
    return "\n".join(lines)


def said(path: Path) -> str:
    """The first sentence of a module's docstring."""
    text = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0]
    return " ".join(text.replace("|", "\\|").split())


def building(folder: Path) -> set[tuple[str, str]]:
    """``(above, below)``: which module of a room imports which, without what follows from the others."""
    names = {path.stem for path in folder.glob("*.py")} - set(SHARED)
    direct: dict[str, set[str]] = {}
    for name in names:
        imported = (node for node in ast.walk(ast.parse((folder / f"{name}.py").read_text())) if isinstance(node, ast.ImportFrom))
        direct[name] = {(node.module or "").removeprefix(f"{folder.name}.") for node in imported} & names

    def below(name: str) -> set[str]:
        return direct[name].union(*map(below, direct[name]))

    return {
        (name, other)
        for name in names
        for other in direct[name]
        if not any(other in below(via) for via in direct[name] - {other})
    }


def way() -> str:
    """One call's way through the code."""
    lines = [
        "# One call's way through the code",
        "",
        "Drawn by `python docs/draw.py`, which plays a missed call in the [simulation](simulation.md) and watches what calls what",
        "(`docs/way.py`); a test fails when it is out of date. The event store and MoySklad are the simulation's.",
        "Before it: `adapters/ingest.py` puts each signal on disk and answers. In each part an arrow is drawn once.",
        "Who is who: [modules.md](modules.md).",
        "",
        "```mermaid",
        drawn(),
        "```",
        "",
    ]
    return "\n".join(lines)


PAGES = {HERE / "lifecycle.md": lifecycle, HERE / "modules.md": modules, HERE / "a-call.md": way}


def main(check: bool) -> int:
    """Write every page, or with ``check`` say which one is out of date. Returns the exit status."""
    stale = [path for path, draw in PAGES.items() if not path.exists() or path.read_text() != draw()]
    if check:
        for path in stale:
            sys.stderr.write(f"{path.name} is out of date: run python docs/draw.py\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(PAGES[path]())
    return 0


if __name__ == "__main__":
    raise SystemExit(main("--check" in sys.argv))
