-- All that a batch learned, and how far the log is joined, in one statement: what comes next in the log waits for it. No row when
-- the log is not joined as far as the batch began any more: then nothing of it is written.
-- A link that is known already stays as it is, but for how far its leg was copied, which never goes back.
-- The commit waits for no disk (see switchboard_take).
WITH held AS (
    UPDATE checkpoints SET position = coalesce($19, position) WHERE name = $18 AND position = $20 RETURNING position
), calls AS (
    INSERT INTO switchboard_calls (enterprise, call, kind, number, first_ms, ended_ms, absorbed)
    SELECT u.* FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[]) AS u
    WHERE EXISTS (SELECT FROM held)
    ON CONFLICT (enterprise, call) DO UPDATE
    SET kind = excluded.kind, number = excluded.number, first_ms = excluded.first_ms, ended_ms = excluded.ended_ms,
        absorbed = excluded.absorbed
), members AS (
    INSERT INTO switchboard_members (enterprise, bridge, channel, trunk, heard_ms)
    SELECT u.* FROM unnest($8::text[], $9::text[], $10::text[], $11::boolean[], $12::bigint[]) AS u
    WHERE EXISTS (SELECT FROM held)
    ON CONFLICT (enterprise, bridge, channel) DO UPDATE SET trunk = excluded.trunk
), links AS (
    INSERT INTO switchboard_links AS known (enterprise, leg, call, relayed, heard_ms)
    SELECT u.* FROM unnest($13::text[], $14::text[], $15::text[], $16::integer[], $17::bigint[]) AS u
    WHERE EXISTS (SELECT FROM held)
    ON CONFLICT (enterprise, leg, call) DO UPDATE SET relayed = excluded.relayed WHERE known.relayed < excluded.relayed
)
SELECT position, set_config('synchronous_commit', 'off', true) FROM held
