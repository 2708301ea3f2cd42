-- read_streams of 0071 returns rows of the table that 0073 made a month of, so that this month could not leave the database any
-- more. The same function, of the log as it is now.
DROP FUNCTION read_streams(text[], text[], integer[]);
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
