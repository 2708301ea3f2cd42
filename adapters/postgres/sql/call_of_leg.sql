-- The call that a channel or a bridge, $2, belongs to: of those that began around when it was made ($3, or when its own stream was first
-- heard: what the PBX sends may lag), the latest that heard of it.
WITH leg AS (
    SELECT $3::bigint AS at_ms
    UNION
    SELECT min((data ->> 'heard_ms')::bigint) FROM events
    WHERE enterprise = $1 AND stream IN ('bridge/' || $2::text, 'channel/' || $2::text)
)
SELECT c.call FROM leg JOIN calls c ON c.enterprise = $1 AND c.started_ms BETWEEN leg.at_ms - 14400000 AND leg.at_ms + 3600000
WHERE EXISTS (
    SELECT FROM events e
    WHERE e.enterprise = $1 AND e.stream = 'call/' || c.call
        AND e.type IN ('bridge_opened', 'bridge_entered', 'bridge_left', 'bridge_closed', 'caller_id_observed')
        AND (e.data ->> 'channel' = $2 OR e.data ->> 'bridge' = $2)
)
ORDER BY c.started_ms DESC LIMIT 1
