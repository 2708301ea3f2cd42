-- Plans made once. These functions go by keys whatever is asked of them, so a plan for just these values gets no better; but one that
-- knows this batch's arrays and its month looks cheaper than one for any, so PostgreSQL planned their statements anew in each call:
-- a third of what it cost to commit one event (docs/performance.md, "append").
ALTER FUNCTION append_batch(
    text[], text[], text[], bytea[], integer[], integer[], integer[], integer[], bigint[], integer[], integer[], text[], text[],
    uuid[], text[], smallint[], json[], boolean
) SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION read_streams(text[], text[], integer[]) SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION set_due_many(text[], text[], integer[], bigint[], smallint[]) SET plan_cache_mode = force_generic_plan;
-- Once for any state of the tables, too: what was planned for a month that was still empty must not read all of it later.
ALTER FUNCTION stream_after(text, text, integer) SET enable_seqscan = off;
ALTER FUNCTION stream_after(text, text, integer) SET plan_cache_mode = force_generic_plan;

-- calls_people as in 0059, with the same result: a loop takes a fifth of the time of a subquery, for each row that is written and for
-- each that a search looks at.
CREATE OR REPLACE FUNCTION calls_people(enterprise text, extensions text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    people text[] := coalesce(extensions, '{}');
    each text;
BEGIN
    FOREACH each IN ARRAY people LOOP
        people := people || (enterprise || chr(31) || each);
    END LOOP;
    RETURN people;
END
$$;
