"""Small changes to the core, and whether a test fails each time: `./ms.sh mutants` (docs/kit.md)."""
