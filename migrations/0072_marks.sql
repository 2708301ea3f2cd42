-- One index less to write into for each event, one table less for each signal, and a time beside each stream by which its
-- events are found among months (0073). Why so: docs/decisions/0022.
--
-- mark: the first sixteen bytes of a signal's digest, at the last event of its append: a repeat is found by it, and answered with
-- that event's place. So the id is looked for only where there is no mark. What was recorded before has its digests in
-- signal_digests, which nobody writes to any more.
ALTER TABLE events ADD COLUMN mark bytea;
CREATE UNIQUE INDEX events_mark ON events (mark, enterprise) WHERE mark IS NOT NULL;
ALTER TABLE events DROP CONSTRAINT events_id;
CREATE UNIQUE INDEX events_id ON events (id) WHERE mark IS NULL;
DROP INDEX signal_digests_position;

-- When the stream's first and last events were recorded; of streams from before this file: somewhen.
ALTER TABLE streams
    ADD COLUMN first_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN last_ms bigint NOT NULL DEFAULT 9223372036854775807;

-- append_batch as in 0020, with the same arguments (older instances may still be running) and the same results.
--
-- since_ms: repeats are looked for among what was recorded in the last 62 days, so that an append touches the indexes of
-- two or three months however long the history is. The later in the log, the later in time, whatever the clock does: whoever reads
-- on after a position need not look at what was recorded before it.
CREATE OR REPLACE FUNCTION append_batch(
    stream_enterprise text[],
    stream_name text[],
    mark_enterprise text[],
    mark_digest bytea[],
    item_stream integer[],
    item_mark integer[],
    item_events integer[],
    item_expected integer[],
    item_due bigint[],
    event_item integer[],
    event_nth integer[],
    event_enterprise text[],
    event_stream text[],
    event_id uuid[],
    event_type text[],
    event_schema smallint[],
    event_data json[],
    check_ids boolean,
    OUT outcome smallint[],
    OUT found_version integer[],
    OUT found_position bigint[],
    OUT found_stream text[]
)
LANGUAGE plpgsql
-- Whatever the tables' size was when the plans were made: go by the keys.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_variable
DECLARE
    items CONSTANT integer := coalesce(array_length(item_stream, 1), 0);
    marks bytea[];              -- what of each digest is kept
    head bigint;
    start bigint;
    now_ms bigint := floor(extract(epoch FROM clock_timestamp()) * 1000);
    since_ms bigint;            -- of what was recorded before, no repeat is looked for
    base integer[];             -- version of each stream before the batch
    version integer[];          -- ... and so far
    due bigint[];               -- earliest due time asked for each stream
    marked_stream text[];       -- first append of each digest
    marked_version integer[];
    marked_position bigint[];
    known_version integer[];    -- items whose events are all recorded already
    known_position bigint[];
    known_stream text[];
    first_version integer[];    -- of the items that are appended
    first_position bigint[];
    s integer;
    m integer;
    n integer := 0;
    last record;
    newest record;
BEGIN
    -- From here to the commit nobody else appends; READ COMMITTED: each statement below sees what the one before
    -- us committed.
    SELECT h.base INTO STRICT head FROM log_head h FOR UPDATE;
    since_ms := now_ms - 62 * 86400000::bigint;
    SELECT e.position, e.recorded_ms INTO newest FROM events e WHERE e.recorded_ms >= since_ms ORDER BY e.position DESC LIMIT 1;
    IF NOT FOUND THEN
        SELECT e.position, e.recorded_ms INTO newest FROM events e ORDER BY e.position DESC LIMIT 1;
    END IF;
    IF FOUND THEN
        head := greatest(head, newest.position);
        now_ms := greatest(now_ms, newest.recorded_ms);
    END IF;
    start := head;

    base := ARRAY(
        SELECT coalesce((SELECT t.version FROM streams t WHERE t.enterprise = u.e AND t.stream = u.s), 0)
        FROM unnest(stream_enterprise, stream_name) AS u (e, s)
    );
    version := base;
    due := array_fill(NULL::bigint, ARRAY[cardinality(base)]);

    IF cardinality(mark_digest) > 0 THEN
        marks := ARRAY(SELECT substring(d FROM 1 FOR 16) FROM unnest(mark_digest) AS d);
        marked_stream := array_fill(NULL::text, ARRAY[cardinality(marks)]);
        marked_version := array_fill(NULL::integer, ARRAY[cardinality(marks)]);
        marked_position := array_fill(NULL::bigint, ARRAY[cardinality(marks)]);
        FOR last IN
            SELECT u.i, e.stream, e.version, e.position
            FROM unnest(mark_enterprise, marks) WITH ORDINALITY AS u (e, d, i)
            CROSS JOIN LATERAL (
                SELECT x.stream, x.version, x.position FROM events x
                WHERE x.mark = u.d AND x.enterprise = u.e AND x.mark IS NOT NULL AND x.recorded_ms >= since_ms
            ) AS e
        LOOP
            marked_stream[last.i] := last.stream;
            marked_version[last.i] := last.version;
            marked_position[last.i] := last.position;
        END LOOP;
        IF EXISTS (SELECT FROM signal_digests) THEN
            FOR last IN
                SELECT u.i, g.stream, g.version, g.position
                FROM unnest(mark_enterprise, mark_digest) WITH ORDINALITY AS u (e, d, i)
                JOIN signal_digests g ON g.enterprise = u.e AND g.digest = u.d
            LOOP
                marked_stream[last.i] := last.stream;
                marked_version[last.i] := last.version;
                marked_position[last.i] := last.position;
            END LOOP;
        END IF;
    END IF;

    IF check_ids THEN
        SELECT array_agg(k.version ORDER BY k.item), array_agg(k.position ORDER BY k.item), array_agg(k.stream ORDER BY k.item)
        INTO known_version, known_position, known_stream
        FROM (
            SELECT u.item,
                CASE WHEN bool_and(e.version IS NOT NULL) THEN max(e.version) END AS version,
                CASE WHEN bool_and(e.version IS NOT NULL) THEN max(e.position) END AS position,
                max(e.stream) AS stream
            FROM unnest(event_item, event_enterprise, event_id) AS u (item, enterprise, id)
            LEFT JOIN LATERAL (
                SELECT x.version, x.position, x.stream FROM events x
                WHERE x.id = u.id AND x.mark IS NULL AND x.recorded_ms >= since_ms
                UNION ALL
                SELECT x.version, x.position, x.stream FROM events x
                WHERE x.mark = marks[item_mark[u.item]] AND x.enterprise = u.enterprise AND x.mark IS NOT NULL
                    AND x.id = u.id AND x.recorded_ms >= since_ms
            ) AS e ON true
            GROUP BY u.item
        ) AS k;
    END IF;

    outcome := array_fill(0::smallint, ARRAY[items]);
    found_version := array_fill(0, ARRAY[items]);
    found_position := array_fill(0::bigint, ARRAY[items]);
    found_stream := array_fill(NULL::text, ARRAY[items]);
    first_version := array_fill(NULL::integer, ARRAY[items]);
    first_position := array_fill(NULL::bigint, ARRAY[items]);

    -- One item after the other, in memory: each sees what the ones before it did.
    FOR i IN 1 .. items LOOP
        s := item_stream[i];
        m := item_mark[i];
        n := n + item_events[i];
        IF check_ids AND known_version[i] IS NOT NULL THEN
            outcome[i] := 2;
            found_version[i] := known_version[i];
            found_position[i] := known_position[i];
            found_stream[i] := known_stream[i];
        ELSIF m > 0 AND marked_version[m] IS NOT NULL THEN
            outcome[i] := 1;
            found_version[i] := marked_version[m];
            found_position[i] := marked_position[m];
            found_stream[i] := marked_stream[m];
        ELSIF item_expected[i] IS NOT NULL AND item_expected[i] <> version[s] THEN
            -- A repeat of what succeeded earlier conflicts with itself: look before saying so. (With a mark it is known by now.)
            SELECT e.version, e.position, e.stream INTO last FROM events e
            WHERE m = 0 AND e.id = event_id[n] AND e.mark IS NULL AND e.recorded_ms >= since_ms;
            IF FOUND THEN
                outcome[i] := 2;
                found_version[i] := last.version;
                found_position[i] := last.position;
                found_stream[i] := last.stream;
            ELSE
                outcome[i] := 3;
                found_version[i] := version[s];
            END IF;
        ELSE
            first_version[i] := version[s] + 1;
            first_position[i] := head + 1;
            version[s] := version[s] + item_events[i];
            head := head + item_events[i];
            IF item_due[i] IS NOT NULL THEN
                due[s] := least(due[s], item_due[i]);
            END IF;
            found_version[i] := version[s];
            found_position[i] := head;
            IF m > 0 THEN
                marked_stream[m] := stream_name[s];
                marked_version[m] := version[s];
                marked_position[m] := head;
            END IF;
        END IF;
    END LOOP;

    IF head = start THEN
        RETURN;
    END IF;

    INSERT INTO events (enterprise, stream, version, position, id, type, schema, data, recorded_ms, mark)
    SELECT u.enterprise, u.stream, first_version[u.item] + u.nth - 1, first_position[u.item] + u.nth - 1,
        u.id, u.type, u.schema, u.data, now_ms,
        CASE WHEN u.nth = item_events[u.item] AND item_mark[u.item] > 0 THEN marks[item_mark[u.item]] END
    FROM unnest(
        event_item, event_nth, event_enterprise, event_stream, event_id, event_type, event_schema, event_data
    ) AS u (item, nth, enterprise, stream, id, type, schema, data)
    WHERE first_version[u.item] IS NOT NULL;

    -- Nobody else makes or changes the version of a row: whoever does holds the lock on the log.
    INSERT INTO streams (enterprise, stream, version, due_ms, first_ms, last_ms)
    SELECT u.e, u.s, u.v, u.d, now_ms, now_ms
    FROM unnest(stream_enterprise, stream_name, version, due, base) AS u (e, s, v, d, b)
    WHERE u.b = 0 AND u.v > 0;

    UPDATE streams t
    SET version = u.v, last_ms = now_ms, due_ms = least(t.due_ms, u.d),
        urgency = CASE WHEN u.d IS NULL THEN t.urgency ELSE 0 END
    FROM unnest(stream_enterprise, stream_name, version, due, base) AS u (e, s, v, d, b)
    WHERE u.b > 0 AND u.v > u.b AND t.enterprise = u.e AND t.stream = u.s;
END
$$;
