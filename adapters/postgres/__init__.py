"""PostgreSQL: the event store, its migrations, and the runner of projections."""
