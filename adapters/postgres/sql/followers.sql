-- Who follows the log, and how many events each is behind.
SELECT c.name, greatest(h.base, coalesce((SELECT max(position) FROM events), 0)) - c.position AS behind
FROM checkpoints c, log_head h
ORDER BY c.name
