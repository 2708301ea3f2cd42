DELETE FROM retry_orders WHERE finished_at < clock_timestamp() - make_interval(days => $1)
