-- begins: after this position the log is whole. What is kept before it (in events_rest) are beginnings of calls that went on when
-- their month was dropped. Unlike base, below which no position is ever given again, it goes back when a month is brought back.
ALTER TABLE log_head ADD COLUMN begins bigint NOT NULL DEFAULT 0;
UPDATE log_head SET begins = base;

-- As in 0071, but from the months that each stream has been in; and its result is a row of the log, not of what was its only table.
DROP FUNCTION read_streams(text[], text[], integer[]);
CREATE FUNCTION read_streams(asked_enterprise text[], asked_stream text[], after_version integer[])
RETURNS SETOF events
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    begun bigint;
    ended bigint;
BEGIN
    FOR nth IN 1 .. coalesce(array_length(asked_stream, 1), 0) LOOP
        SELECT s.first_ms, s.last_ms INTO begun, ended
        FROM streams s WHERE s.enterprise = asked_enterprise[nth] AND s.stream = asked_stream[nth];
        RETURN QUERY
        SELECT e.* FROM events e
        WHERE e.enterprise = asked_enterprise[nth] AND e.stream = asked_stream[nth] AND e.version > after_version[nth]
            AND e.recorded_ms >= begun AND e.recorded_ms <= ended
        ORDER BY e.version;
    END LOOP;
END
$$;
