INSERT INTO switchboard_clicks
    (enterprise, click, extension, number, uid, channel_id, requested_ms, started_ms, call, own_leg)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (enterprise, click) DO UPDATE SET call = excluded.call, own_leg = excluded.own_leg
