"""Draws the pictures in docs/ from the code, so that they cannot drift: ``python docs/draw.py [--check]``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from transitions.extensions.diagrams import GraphMachine

from core.lifecycle import DESCRIPTIONS, STAYS, TABLE, Phase, Trigger

HERE = Path(__file__).parent


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


PAGES = {HERE / "lifecycle.md": lifecycle}


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
