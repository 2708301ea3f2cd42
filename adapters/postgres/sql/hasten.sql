-- These streams need attention now, and urgently. Never waits: whoever is writing one of them at this moment either makes it
-- due himself or has just attended to it, and waiting would be waiting for append_batch, which takes rows in an order of its
-- own. The rows stay locked until the commit, and appends wait for them: so this comes last in its transaction.
WITH free AS (
    SELECT s.enterprise, s.stream
    FROM unnest($1::text[], $2::text[]) AS u (enterprise, stream)
    JOIN streams s ON s.enterprise = u.enterprise AND s.stream = u.stream
    FOR UPDATE OF s SKIP LOCKED
)
UPDATE streams t SET due_ms = least(t.due_ms, $3), urgency = 0
FROM free
WHERE t.enterprise = free.enterprise AND t.stream = free.stream
