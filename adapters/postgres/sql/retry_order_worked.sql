UPDATE retry_orders
SET done_to = $2, retried = retried + $3, worked_at = clock_timestamp(), finished_at = CASE WHEN $4 THEN clock_timestamp() END
WHERE id = $1
