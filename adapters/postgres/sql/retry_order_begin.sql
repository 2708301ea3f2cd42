-- Begin what is ripe: $1 is the end of the log now.
UPDATE retry_orders SET position = $1 WHERE position IS NULL AND ripe_at <= clock_timestamp()
