DELETE FROM integration_logs WHERE integration_type = 'ms' AND ms_position IS NOT NULL
