INSERT INTO switchboard_calls (enterprise, call, kind, number, first_ms, ended_ms, absorbed)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[])
ON CONFLICT (enterprise, call) DO UPDATE
SET kind = excluded.kind, number = excluded.number, first_ms = excluded.first_ms, ended_ms = excluded.ended_ms,
    absorbed = excluded.absorbed
