-- The same for an account that works again, if anything of the enterprise is parked; at most every $4 seconds, however often
-- the account comes and goes.
INSERT INTO retry_orders (enterprise, by, reason, ripe_at)
SELECT $1, $2, $3, greatest(
    clock_timestamp(),
    (SELECT max(requested_at) FROM retry_orders WHERE enterprise = $1 AND by = $2) + make_interval(secs => $4)
)
WHERE EXISTS (SELECT FROM calls WHERE enterprise = $1 AND parked <> '')
ON CONFLICT (enterprise, call) WHERE position IS NULL DO NOTHING
