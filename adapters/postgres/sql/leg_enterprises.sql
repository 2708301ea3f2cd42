-- The enterprises that a channel or a bridge, $1, may be of. Where it has a history of its own: two looks at an index for each enterprise,
-- however many calls there are. Otherwise whose calls name it, among the last 2,000 of all that began before it was made ($2).
-- UniqueIds are unique within an enterprise only, and few share one.
WITH near AS (
    SELECT enterprise, call FROM calls WHERE started_ms BETWEEN $2::bigint - 14400000 AND $2::bigint + 60000
    ORDER BY started_ms DESC LIMIT 2000
)
SELECT s.enterprise
FROM public.enterprises p
CROSS JOIN (VALUES ('bridge/' || $1::text), ('channel/' || $1::text)) AS leg (stream)
JOIN streams s ON s.enterprise = p.number AND s.stream = leg.stream
UNION
SELECT n.enterprise FROM near n JOIN events e ON e.enterprise = n.enterprise AND e.stream = 'call/' || n.call
WHERE e.type IN ('bridge_entered', 'bridge_left', 'caller_id_observed') AND e.data ->> 'channel' = $1
ORDER BY enterprise LIMIT 5
