-- Clicks that may be about calls of these extensions, or that have one of these calls.
SELECT click AS id, extension, number, uid, channel_id, requested_ms, started_ms, call, own_leg FROM switchboard_clicks
WHERE enterprise = $1 AND extension = ANY ($2::text[]) AND started_ms >= $3
UNION
SELECT click, extension, number, uid, channel_id, requested_ms, started_ms, call, own_leg FROM switchboard_clicks
WHERE enterprise = $1 AND channel_id = ANY ($4::text[])
UNION
SELECT click, extension, number, uid, channel_id, requested_ms, started_ms, call, own_leg FROM switchboard_clicks
WHERE enterprise = $1 AND call <> '' AND call = ANY ($4::text[])
