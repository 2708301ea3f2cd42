-- Rows derived anew; what is right already is left alone.
WITH told AS (
    SELECT enterprise, event_type, request::jsonb, response::jsonb, status, error, to_timestamp(at_s) AS at, place
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::double precision[], $8::bigint[])
        AS told (enterprise, event_type, request, response, status, error, at_s, place)
)
INSERT INTO integration_logs (
    enterprise_number, integration_type, event_type, request_data, response_data, status, error_message, created_at,
    ms_position
)
SELECT t.enterprise, 'ms', t.event_type, t.request, t.response, t.status, t.error, t.at, t.place
FROM told AS t
LEFT JOIN integration_logs AS l ON l.ms_position = t.place
WHERE (l.enterprise_number, l.integration_type, l.event_type, l.request_data, l.response_data, l.status, l.error_message,
    l.created_at)
    IS DISTINCT FROM (t.enterprise, 'ms'::text, t.event_type, t.request, t.response, t.status, t.error, t.at)
ORDER BY t.place
ON CONFLICT (ms_position) WHERE ms_position IS NOT NULL DO UPDATE SET
    enterprise_number = excluded.enterprise_number, integration_type = excluded.integration_type,
    event_type = excluded.event_type, request_data = excluded.request_data, response_data = excluded.response_data,
    status = excluded.status, error_message = excluded.error_message, created_at = excluded.created_at
