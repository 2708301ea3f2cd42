-- Orders whose enterprises are to be given a new chance by every instance: those to be begun within $1 seconds, and those of
-- the last minute, which another instance may have finished already.
SELECT id, enterprise FROM retry_orders
WHERE (finished_at IS NULL AND ripe_at <= clock_timestamp() + make_interval(secs => $1))
   OR finished_at > clock_timestamp() - interval '1 minute'
ORDER BY id LIMIT $2
