-- Order a retry ($2: of one call, or '' for all that is parked), to be begun in $5 seconds. Who orders what waits already only
-- puts it off until his own change is known everywhere. What the service ordered (retry_order_mended.sql) waits for up to ten
-- minutes, so as to flood nobody: a person, or a change of the settings, does not wait with it.
INSERT INTO retry_orders (enterprise, call, by, reason, ripe_at)
VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5))
ON CONFLICT (enterprise, call) WHERE position IS NULL
DO UPDATE SET by = excluded.by, reason = excluded.reason, ripe_at = CASE
    WHEN retry_orders.by = 'the service' THEN excluded.ripe_at
    ELSE greatest(retry_orders.ripe_at, excluded.ripe_at)
END
RETURNING id, xmax <> 0 AS waited
