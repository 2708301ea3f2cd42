-- A call that was to tell a person has nothing to tell any more. If others wait, the latest of them is asked again: if the account
-- still takes no tasks, that one tells.
WITH held AS (
    DELETE FROM callback_holds WHERE enterprise = $1 AND call = $2 RETURNING call
), next AS (
    UPDATE callbacks SET waits = false
    WHERE enterprise = $1 AND EXISTS (SELECT FROM held) AND call = (
        SELECT call FROM callbacks WHERE enterprise = $1 AND waits ORDER BY missed_ms DESC, call DESC LIMIT 1
    )
    RETURNING call
)
INSERT INTO retry_orders (enterprise, call, by, reason, ripe_at)
SELECT $1, call, $3, $4, clock_timestamp() FROM next
ON CONFLICT (enterprise, call) WHERE position IS NULL DO NOTHING
