"""Everything that waits or has a socket: it implements the protocols of ``core/ports.py`` and ``core/effects.py``."""
