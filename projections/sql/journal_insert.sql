INSERT INTO integration_logs (
    enterprise_number, integration_type, event_type, request_data, response_data, status, error_message, created_at,
    ms_position
)
SELECT enterprise, 'ms', event_type, request::jsonb, response::jsonb, status, error, to_timestamp(at_s), place
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::double precision[], $8::bigint[])
    AS told (enterprise, event_type, request, response, status, error, at_s, place)
ON CONFLICT (ms_position) WHERE ms_position IS NOT NULL DO NOTHING
