-- All that a batch learned, and how far the log is joined, in one statement: it stands between a hangup and the cards' hiding.
-- A link that is known already stays as it is, but for how far its leg was copied, which never goes back.
WITH calls AS (
    INSERT INTO switchboard_calls (enterprise, call, kind, number, first_ms, ended_ms, absorbed)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[])
    ON CONFLICT (enterprise, call) DO UPDATE
    SET kind = excluded.kind, number = excluded.number, first_ms = excluded.first_ms, ended_ms = excluded.ended_ms,
        absorbed = excluded.absorbed
), members AS (
    INSERT INTO switchboard_members (enterprise, bridge, channel, trunk, heard_ms)
    SELECT * FROM unnest($8::text[], $9::text[], $10::text[], $11::boolean[], $12::bigint[])
    ON CONFLICT (enterprise, bridge, channel) DO UPDATE SET trunk = excluded.trunk
), links AS (
    INSERT INTO switchboard_links AS known (enterprise, leg, call, relayed, heard_ms)
    SELECT * FROM unnest($13::text[], $14::text[], $15::text[], $16::integer[], $17::bigint[])
    ON CONFLICT (enterprise, leg, call) DO UPDATE SET relayed = excluded.relayed WHERE known.relayed < excluded.relayed
)
UPDATE checkpoints SET position = coalesce($19, position) WHERE name = $18
