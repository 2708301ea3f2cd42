-- Rows of a part of the log that tell of nothing that gets a row.
DELETE FROM integration_logs
WHERE ms_position > $1 AND ms_position <= $2 AND integration_type = 'ms' AND ms_position <> ALL ($3::bigint[])
