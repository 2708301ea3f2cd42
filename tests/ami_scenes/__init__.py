"""Calls that the recordings do not show, by hand (see ``tests/ami_lab.py``), each with the truth in the form of ``truth.json``.

What Asterisk does in each is known from its sources and documentation; none of it was recorded. ``scene(name)`` gives one.
"""

from __future__ import annotations

from tests.ami_scenes import outgoing, talks, transfers, unanswered
from tests.ami_scenes.stage import SCRIPTS, Scene, scene

__all__ = ["SCRIPTS", "Scene", "outgoing", "scene", "talks", "transfers", "unanswered"]
