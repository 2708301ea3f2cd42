-- When this database was made: its first migration is as old as it is.
SELECT (extract(epoch FROM min(applied_at)) * 1000)::bigint FROM schema_migrations
