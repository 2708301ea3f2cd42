-- The account takes tasks: nothing is held any more, and the calls that wait for it ($4 of them, the latest) are asked again.
WITH held AS (
    DELETE FROM callback_holds WHERE enterprise = $1 RETURNING call
), waiting AS (
    UPDATE callbacks SET waits = false WHERE enterprise = $1 AND waits RETURNING call, missed_ms
), again AS (
    SELECT call FROM held
    UNION
    SELECT call FROM (SELECT call FROM waiting ORDER BY missed_ms DESC LIMIT $4) AS latest
)
INSERT INTO retry_orders (enterprise, call, by, reason, ripe_at)
SELECT $1, call, $2, $3, clock_timestamp() FROM again
ON CONFLICT (enterprise, call) WHERE position IS NULL DO NOTHING
