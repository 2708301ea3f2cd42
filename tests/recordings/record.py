"""Records what a real Asterisk says over AMI while calls are made: ``python -m tests.recordings.record SUITE FOLDER [PLAY…]``.

Writes ``FOLDER/<play>.jsonl`` in the form of ``ami/`` and adds the telephones' truth to ``FOLDER/truth.json``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from adapters.asterisk.connection import Connection, connected
from adapters.lab.exchange import opened
from adapters.lab.plays import PLAYS, Truth
from tests.asterisk.stage import config_of, now_ms

LEFT_OUT = ("VarSet", "RTCPSent", "RTCPReceived", "DTMFBegin", "DTMFEnd", "ChannelTalkingStart")
AFTERGLOW_S = 0.6


async def record(suite: str, folder: Path, names: list[str]) -> None:
    """Play and write, one after the other."""
    path = folder / "truth.json"
    truths: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    with tempfile.TemporaryDirectory() as place:
        async with opened(Path(place), suite) as pbx, connected(config_of(pbx.asterisk), now_ms) as connection:
            for name in names:
                pbx.fresh()
                await asyncio.sleep(AFTERGLOW_S)
                _taken(connection)
                truth = await PLAYS[name](pbx)
                await asyncio.sleep(AFTERGLOW_S)
                lines = _taken(connection)
                (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
                truths[name] = [_as_truth(truth, [line["event"] for line in lines])]
                print(f"{name}: {len(lines)} events")  # noqa: T201 - a tool for a person
    path.write_text(json.dumps(truths, indent=1, sort_keys=True) + "\n")


def _taken(connection: Connection) -> list[dict[str, Any]]:
    lines = []
    while not connection.messages.empty():
        heard = connection.messages.get_nowait()
        if heard is not None and heard.message.get("Event", "VarSet") not in LEFT_OUT:
            lines.append({"at": heard.heard_ms / 1_000, "event": heard.message})
    return lines


def _as_truth(truth: Truth, events: list[dict[str, str]]) -> dict[str, Any]:
    """In the form of ``recordings/truth.json``; id and cause are Asterisk's."""
    call = next(event["Linkedid"] for event in events if event.get("Linkedid"))
    cause = next((event["Cause"] for event in reversed(events) if event["Event"] == "Hangup" and event["Uniqueid"] == call), "0")
    return {
        "call": call,
        "direction": truth.direction,
        "phone": truth.phone,
        "trunk": truth.trunk,
        "outcome": truth.outcome,
        "answered": truth.outcome == "answered",
        "rang": list(truth.rang),
        "talked": list(truth.talked),
        "hung_up_by": truth.hung_up_by,
        "cause": int(cause),
        "duration_s": round(truth.ended_s - truth.began_s, 3),
        "talk_s": truth.talk_s,
    }


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    asyncio.run(record(sys.argv[1], Path(sys.argv[2]), sys.argv[3:] or list(PLAYS)))
