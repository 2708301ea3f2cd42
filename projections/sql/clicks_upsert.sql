-- A row that knows more events of its click is newer: the table may be derived anew meanwhile.
INSERT INTO clicks
    (enterprise, click, at_ms, stage, extension, number, uid, signature, way, error, remedy, ambiguous, call, repeats, version)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
    $11::text[], $12::boolean[], $13::text[], $14::integer[], $15::integer[]
)
ON CONFLICT (enterprise, click) DO UPDATE SET
    at_ms = excluded.at_ms, stage = excluded.stage, extension = excluded.extension, number = excluded.number,
    uid = excluded.uid, signature = excluded.signature, way = excluded.way, error = excluded.error, remedy = excluded.remedy,
    ambiguous = excluded.ambiguous, call = excluded.call, repeats = excluded.repeats,
    version = excluded.version
WHERE clicks.version <= excluded.version
