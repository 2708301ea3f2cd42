"""Read models: what is derived from the log for people and programs, and may be derived anew at any time. Imports core only."""
