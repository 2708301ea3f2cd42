"""Who is calling and who should answer: desk, memory, table, look-ups, hooks, against PostgreSQL and the sandbox."""
