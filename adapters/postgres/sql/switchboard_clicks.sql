-- Clicks that may be about calls of these extensions, or that have one of these calls.
SELECT c.enterprise, c.click AS id, c.extension, c.number, c.uid, c.channel_id, c.requested_ms, c.started_ms, c.call, c.own_leg
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS a (enterprise, extension, since_ms)
JOIN switchboard_clicks c ON c.enterprise = a.enterprise AND c.extension = a.extension AND c.started_ms >= a.since_ms
UNION
SELECT c.enterprise, c.click, c.extension, c.number, c.uid, c.channel_id, c.requested_ms, c.started_ms, c.call, c.own_leg
FROM unnest($4::text[], $5::text[]) AS a (enterprise, call)
JOIN switchboard_clicks c ON c.enterprise = a.enterprise AND c.channel_id = a.call
UNION
SELECT c.enterprise, c.click, c.extension, c.number, c.uid, c.channel_id, c.requested_ms, c.started_ms, c.call, c.own_leg
FROM unnest($4::text[], $5::text[]) AS a (enterprise, call)
JOIN switchboard_clicks c ON c.enterprise = a.enterprise AND c.call = a.call AND c.call <> ''
