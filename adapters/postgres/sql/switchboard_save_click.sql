INSERT INTO switchboard_clicks
    (enterprise, click, extension, number, uid, channel_id, requested_ms, started_ms, call, own_leg)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::text[], $10::text[]
)
ON CONFLICT (enterprise, click) DO UPDATE SET call = excluded.call, own_leg = excluded.own_leg
