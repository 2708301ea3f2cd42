-- Who follows the log, and how many events each is behind.
SELECT c.name, l.last_position - c.position AS behind
FROM checkpoints c, log_end() l
ORDER BY c.name
