"""What a call is and what follows from it: signals, events, the table of phases, ``fold``, ``plan``.

Pure: no I/O, clock, randomness or logging; imports no other room (docs/architecture.md).
"""
