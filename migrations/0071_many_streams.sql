-- What concerns many streams in one statement. Whatever the tables' size was when a plan was made: go by the keys.

-- Of each stream named what follows the version named, in the order of the streams.
CREATE FUNCTION read_streams(asked_enterprise text[], asked_stream text[], after_version integer[])
RETURNS SETOF events
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    FOR nth IN 1 .. coalesce(array_length(asked_stream, 1), 0) LOOP
        RETURN QUERY
        SELECT e.* FROM events e
        WHERE e.enterprise = asked_enterprise[nth] AND e.stream = asked_stream[nth] AND e.version > after_version[nth]
        ORDER BY e.version;
    END LOOP;
END
$$;

-- When each of these streams next needs attention, if it is still at the version named; the places (from 1) of those that were.
--
-- A row that somebody writes to right now is skipped: an append is about to change its version, or another is about to say
-- when it is due. So several rows are locked here without a deadlock.
-- The commit waits for no disk. What a crash of the server may take back is that nothing was to be done any more, or not yet:
-- then the stream is due sooner than it need be, and is attended to once more.
CREATE FUNCTION set_due_many(
    named_enterprise text[], named_stream text[], named_version integer[], named_due bigint[], named_urgency smallint[]
)
RETURNS SETOF integer
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    FOR nth IN 1 .. coalesce(array_length(named_stream, 1), 0) LOOP
        UPDATE streams SET due_ms = named_due[nth], urgency = named_urgency[nth]
        WHERE (enterprise, stream) = (
            SELECT s.enterprise, s.stream FROM streams s
            WHERE s.enterprise = named_enterprise[nth] AND s.stream = named_stream[nth] AND s.version = named_version[nth]
            FOR UPDATE SKIP LOCKED
        );
        IF FOUND THEN
            RETURN NEXT nth;
        END IF;
    END LOOP;
END
$$;
