-- The events by months, so that what is old can be archived or dropped at no cost (docs/operations.md, docs/decisions/0022).
--
-- events_rest takes what belongs to no month: so a month that nobody made refuses no append. It also keeps the beginning of calls
-- that went on when their month was dropped. Nothing of what makes an event unique is asked of all partitions together: the
-- version in streams, under the lock on the log, decides; a repeat is looked for in the last two or three months.
--
-- The table of before becomes the first partition as it is; it is read once, to see that all of it belongs there.
CREATE TABLE events_months (
    month text PRIMARY KEY,
    from_ms bigint NOT NULL,
    till_ms bigint NOT NULL UNIQUE
);

CREATE FUNCTION month_ms(month date) RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN (extract(epoch FROM month::timestamp AT TIME ZONE 'UTC') * 1000)::bigint;

DO $$
DECLARE
    newest timestamptz;
    month date;
    till bigint;
BEGIN
    SELECT greatest(clock_timestamp(), to_timestamp(max(recorded_ms) / 1000.0)) INTO newest FROM events;
    month := date_trunc('month', newest AT TIME ZONE 'UTC')::date;
    till := month_ms((month + interval '1 month')::date);
    ALTER TABLE events RENAME TO events_rest;
    CREATE TABLE events (LIKE events_rest INCLUDING CONSTRAINTS) PARTITION BY RANGE (recorded_ms);
    EXECUTE format('ALTER TABLE events_rest RENAME TO %I', 'events_' || to_char(month, 'YYYY_MM'));
    EXECUTE format('ALTER INDEX events_pkey RENAME TO %I', 'events_' || to_char(month, 'YYYY_MM') || '_pkey');
    EXECUTE format('ALTER INDEX events_position RENAME TO %I', 'events_' || to_char(month, 'YYYY_MM') || '_position_key');
    EXECUTE format('ALTER INDEX events_id RENAME TO %I', 'events_' || to_char(month, 'YYYY_MM') || '_id_idx');
    EXECUTE format('ALTER INDEX events_mark RENAME TO %I', 'events_' || to_char(month, 'YYYY_MM') || '_mark_enterprise_idx');
    EXECUTE format('CREATE TABLE events_rest (LIKE %I INCLUDING ALL)', 'events_' || to_char(month, 'YYYY_MM'));
    ALTER TABLE events ATTACH PARTITION events_rest DEFAULT;
    EXECUTE format(
        'ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%s)', 'events_' || to_char(month, 'YYYY_MM'), till
    );
    INSERT INTO events_months VALUES (to_char(month, 'YYYY-MM'), -9223372036854775808, till);
    -- Streams of before this file end within that first partition.
    ALTER TABLE streams DROP COLUMN last_ms;
    EXECUTE format('ALTER TABLE streams ADD COLUMN last_ms bigint NOT NULL DEFAULT %s', till - 1);
    ALTER TABLE streams ALTER COLUMN last_ms SET DEFAULT 0;
END
$$;

-- Make a month, if it is not there. What events_rest has of it moves in.
CREATE FUNCTION events_month(day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    start CONSTANT date := date_trunc('month', day)::date;
    begins CONSTANT bigint := month_ms(start);
    ends CONSTANT bigint := month_ms((start + interval '1 month')::date);
    made CONSTANT text := 'events_' || to_char(start, 'YYYY_MM');
BEGIN
    IF EXISTS (SELECT FROM events_months m WHERE m.from_ms < ends AND m.till_ms > begins) THEN
        RETURN false;
    END IF;
    PERFORM 1 FROM log_head FOR UPDATE;  -- nobody appends to events_rest meanwhile, and of two that make it one does
    IF EXISTS (SELECT FROM events_months m WHERE m.from_ms < ends AND m.till_ms > begins) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE events_rest INCLUDING ALL)', made);
    EXECUTE format(
        'WITH moved AS (DELETE FROM events_rest WHERE recorded_ms >= %s AND recorded_ms < %s RETURNING *)'
        ' INSERT INTO %I SELECT * FROM moved', begins, ends, made
    );
    -- Not CREATE TABLE ... PARTITION OF: that would wait for every reader.
    EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', made, begins, ends);
    INSERT INTO events_months VALUES (to_char(start, 'YYYY-MM'), begins, ends);
    RETURN true;
END
$$;
SELECT events_month((now() AT TIME ZONE 'UTC' + interval '1 month')::date);

-- From when on repeats and the end of the log are looked for: the beginning of the month of 62 days ago. So that of a month either
-- all counts or nothing: whoever asks for more than this finds it, or that it is not there, at the first look into an index.
CREATE FUNCTION log_since() RETURNS bigint LANGUAGE sql STABLE
    RETURN (
        SELECT coalesce(max(m.from_ms), -9223372036854775808) FROM events_months m
        WHERE m.from_ms <= floor(extract(epoch FROM clock_timestamp()) * 1000) - 62 * 86400000::bigint
    );

-- The last event of the log. Looked for among the newest months; nobody looks at all of them but for a log that rested.
CREATE FUNCTION log_end(OUT last_position bigint, OUT last_ms bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
    since_ms CONSTANT bigint := log_since();
    archived bigint;
BEGIN
    SELECT e.position, e.recorded_ms INTO last_position, last_ms
    FROM events e WHERE e.recorded_ms >= since_ms ORDER BY e.position DESC LIMIT 1;
    IF NOT FOUND THEN
        SELECT e.position, e.recorded_ms INTO last_position, last_ms FROM events e ORDER BY e.position DESC LIMIT 1;
    END IF;
    SELECT h.base INTO archived FROM log_head h;
    last_position := greatest(archived, last_position);
END
$$;

-- The log after a place. Whatever is later in the log was not recorded before what is earlier: the months before that are left out.
CREATE FUNCTION log_after(after bigint, most integer) RETURNS SETOF events LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    since_ms bigint := log_since();
BEGIN
    SELECT e.recorded_ms INTO since_ms FROM events e
    WHERE e.position <= after AND e.recorded_ms >= since_ms ORDER BY e.position DESC LIMIT 1;
    IF FOUND THEN
        -- The beginning of its month, for before there were months clocks were believed.
        SELECT coalesce(max(m.from_ms), -9223372036854775808) INTO since_ms FROM events_months m WHERE m.from_ms <= since_ms;
        RETURN QUERY SELECT e.* FROM events e
            WHERE e.position > after AND e.recorded_ms >= since_ms ORDER BY e.position LIMIT most;
    ELSE
        RETURN QUERY SELECT e.* FROM events e WHERE e.position > after ORDER BY e.position LIMIT most;
    END IF;
END
$$;

-- A stream's events after a version, from the months it has been in.
CREATE FUNCTION stream_after(of_enterprise text, of_stream text, after integer) RETURNS SETOF events LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    begun bigint;
    ended bigint;
BEGIN
    SELECT s.first_ms, s.last_ms INTO begun, ended FROM streams s WHERE s.enterprise = of_enterprise AND s.stream = of_stream;
    RETURN QUERY SELECT e.* FROM events e
        WHERE e.enterprise = of_enterprise AND e.stream = of_stream AND e.version > after
            AND e.recorded_ms >= begun AND e.recorded_ms <= ended
        ORDER BY e.version;
END
$$;

-- append_batch as in 0072; only where the log ends is asked of log_end.
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
    PERFORM 1 FROM log_head FOR UPDATE;
    since_ms := log_since();
    SELECT * INTO newest FROM log_end();
    head := newest.last_position;
    now_ms := greatest(now_ms, newest.last_ms);
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
