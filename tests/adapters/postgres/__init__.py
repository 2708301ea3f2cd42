"""The event store and its neighbours on a real PostgreSQL, one fresh database a test."""
