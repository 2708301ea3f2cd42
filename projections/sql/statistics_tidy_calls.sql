-- Hours that count for nothing any more leave no row.
DELETE FROM statistics_calls AS s
USING unnest($1::text[], $2::bigint[]) AS hours (enterprise, hour_ms)
WHERE s.enterprise = hours.enterprise AND s.hour_ms = hours.hour_ms AND s.calls = 0
