INSERT INTO switchboard_calls (enterprise, call, kind, number, first_ms, ended_ms, absorbed)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (enterprise, call) DO UPDATE
SET kind = excluded.kind, number = excluded.number, first_ms = excluded.first_ms, ended_ms = excluded.ended_ms,
    absorbed = excluded.absorbed
