"""Real processes that are killed, frozen and cut off, and what must hold all the same (docs/reliability.md)."""
