"""Recorded calls as the tests use them: the lines of a file, and the dispatcher's way of posting them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "recordings"
NAMES = sorted(path.stem for path in (FOLDER / "pbx").glob("*.jsonl"))
TRUTH: dict[str, list[dict[str, Any]]] = json.loads((FOLDER / "truth.json").read_text())


@dataclass(frozen=True, slots=True)
class Line:
    """One recorded signal: when it was said (unix ms), what, and the PBX's body."""

    at_ms: int
    event: str
    body: dict[str, Any]


def recording(name: str) -> list[Line]:
    """The lines of one recording, in time order."""
    lines = (json.loads(line) for line in (FOLDER / "pbx" / f"{name}.jsonl").read_text().splitlines())
    return [Line(int(each["at"] * 1000), each["event"], each["body"]) for each in lines]


def as_call_event(line: Line) -> tuple[str, dict[str, Any]]:
    """The PBX's body, posted to the endpoint that takes every event."""
    return "/internal/ms/call-event", {"event": line.event, **line.body}


def as_dispatcher(line: Line) -> tuple[str, dict[str, Any]] | None:
    """What the dispatcher posts: dials and hangups with its guesses around them; nothing for the rest."""
    if line.event not in ("dial", "hangup"):
        return None
    body, extensions = line.body, line.body.get("Extensions") or [""]
    outer: dict[str, Any] = {
        "enterprise_number": "0367",
        "phone": f"+{body['Phone']}" if body["Phone"][:1].isdigit() else body["Phone"],
        "extension": extensions[0],
        "direction": "out" if int(body["CallType"]) == 1 else "in",
        "event_type": line.event,
        "unique_id": body["UniqueId"],
        "raw": body,
    }
    if line.event == "dial":
        return "/internal/ms/incoming-call", outer
    return "/internal/ms/hangup-call", {**outer, "record_url": None, "origin": None}
