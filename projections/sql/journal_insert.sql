INSERT INTO integration_logs (
    enterprise_number, integration_type, event_type, request_data, response_data, status, error_message, created_at,
    ms_position
) VALUES ($1, 'ms', $2, $3::text::jsonb, $4::text::jsonb, $5, $6, to_timestamp($7), $8)
ON CONFLICT (ms_position) WHERE ms_position IS NOT NULL DO NOTHING
