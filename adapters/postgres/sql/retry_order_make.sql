-- Order a retry ($2: of one call, or '' for all that is parked), to be begun in $5 seconds. Who orders what waits already only
-- puts it off until his own change is known everywhere.
INSERT INTO retry_orders (enterprise, call, by, reason, ripe_at)
VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5))
ON CONFLICT (enterprise, call) WHERE position IS NULL
DO UPDATE SET by = excluded.by, reason = excluded.reason, ripe_at = greatest(retry_orders.ripe_at, excluded.ripe_at)
RETURNING id, xmax <> 0 AS waited
