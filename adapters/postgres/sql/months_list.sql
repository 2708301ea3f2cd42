-- The months of the log, the oldest first, and what each takes on the disk.
SELECT m.month, m.from_ms, m.till_ms, c.relname AS table_name, pg_total_relation_size(c.oid) AS bytes
FROM events_months m JOIN pg_class c ON c.oid = to_regclass('events_' || replace(m.month, '-', '_'))
ORDER BY m.till_ms
