SELECT min(due_ms) FROM streams WHERE due_ms IS NOT NULL
