"""One test file for each module of ``core/``; most tests say given, when, then (``tests/scenario.py``)."""
