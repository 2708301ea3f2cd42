"""Faults planted in the core one at a time, and whether any test notices (docs/kit.md): ``./ms.sh mutants``."""
