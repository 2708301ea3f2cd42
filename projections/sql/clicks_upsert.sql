INSERT INTO clicks
    (enterprise, click, at_ms, stage, extension, number, uid, signature, way, error, remedy, ambiguous, call, repeats)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (enterprise, click) DO UPDATE SET
    at_ms = excluded.at_ms, stage = excluded.stage, extension = excluded.extension, number = excluded.number,
    uid = excluded.uid, signature = excluded.signature, way = excluded.way, error = excluded.error, remedy = excluded.remedy,
    ambiguous = excluded.ambiguous, call = excluded.call, repeats = excluded.repeats
