-- Due work has an urgency beside its time (0 live, 1 ended, 2 backlog; core.values.Urgency), and is handed out fairly: a few
-- of each enterprise and urgency, so one enterprise's ten thousand overdue calls hide nobody else's single one. The index
-- is read group by group.
ALTER TABLE streams ADD COLUMN urgency smallint NOT NULL DEFAULT 0;
DROP INDEX streams_due;
CREATE INDEX streams_due ON streams (enterprise, urgency, due_ms) WHERE due_ms IS NOT NULL;

-- append_batch as in 0002, with the same arguments (older instances may still be running), but for the last line of its
-- second INSERT: whatever is appended with a due time may concern a card, so the stream becomes urgent.
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
    head bigint;
    start bigint;
    base integer[];             -- version of each stream before the batch
    version integer[];          -- ... and so far
    due bigint[];               -- earliest due time asked for each stream
    marked_stream text[];       -- first append of each digest
    marked_version integer[];
    marked_position bigint[];
    known_version integer[];    -- items whose events are all recorded already
    known_position bigint[];
    known_stream text[];
    last_event integer[];       -- index of each item's last event
    first_version integer[];    -- of the items that are appended
    first_position bigint[];
    now_ms CONSTANT bigint := floor(extract(epoch FROM clock_timestamp()) * 1000);
    s integer;
    m integer;
    n integer := 0;
    last record;
BEGIN
    -- From here to the commit nobody else appends; READ COMMITTED: each statement below sees what the one before
    -- us committed.
    PERFORM 1 FROM log_head FOR UPDATE;
    SELECT greatest(log_head.base, (SELECT max(e.position) FROM events e)) INTO STRICT head FROM log_head;
    start := head;

    SELECT array_agg(coalesce((SELECT t.version FROM streams t WHERE t.enterprise = u.e AND t.stream = u.s), 0) ORDER BY u.i)
    INTO base
    FROM unnest(stream_enterprise, stream_name) WITH ORDINALITY AS u (e, s, i);
    version := base;
    due := array_fill(NULL::bigint, ARRAY[cardinality(base)]);

    IF cardinality(mark_digest) > 0 THEN
        SELECT array_agg(d.stream ORDER BY u.i), array_agg(d.version ORDER BY u.i), array_agg(d.position ORDER BY u.i)
        INTO marked_stream, marked_version, marked_position
        FROM unnest(mark_enterprise, mark_digest) WITH ORDINALITY AS u (e, d, i)
        LEFT JOIN LATERAL (
            SELECT g.stream, g.version, g.position FROM signal_digests g WHERE g.enterprise = u.e AND g.digest = u.d
        ) AS d ON true;
    END IF;

    IF check_ids THEN
        SELECT array_agg(k.version ORDER BY k.item), array_agg(k.position ORDER BY k.item), array_agg(k.stream ORDER BY k.item)
        INTO known_version, known_position, known_stream
        FROM (
            SELECT u.item,
                CASE WHEN bool_and(e.id IS NOT NULL) THEN max(e.version) END AS version,
                CASE WHEN bool_and(e.id IS NOT NULL) THEN max(e.position) END AS position,
                max(e.stream) AS stream
            FROM unnest(event_item, event_id) AS u (item, id)
            LEFT JOIN LATERAL (SELECT x.id, x.version, x.position, x.stream FROM events x WHERE x.id = u.id) AS e ON true
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
            -- A repeat of what succeeded earlier conflicts with itself: look before saying so.
            SELECT e.version, e.position, e.stream INTO last FROM events e WHERE e.id = event_id[n];
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
            due[s] := least(due[s], item_due[i]);
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

    INSERT INTO events (enterprise, stream, version, position, id, type, schema, data, recorded_ms)
    SELECT u.enterprise, u.stream, first_version[u.item] + u.nth - 1, first_position[u.item] + u.nth - 1,
        u.id, u.type, u.schema, u.data, now_ms
    FROM unnest(
        event_item, event_nth, event_enterprise, event_stream, event_id, event_type, event_schema, event_data
    ) AS u (item, nth, enterprise, stream, id, type, schema, data)
    WHERE first_version[u.item] IS NOT NULL;

    INSERT INTO streams AS t (enterprise, stream, version, due_ms)
    SELECT u.e, u.s, u.v, u.d
    FROM unnest(stream_enterprise, stream_name, version, due, base) AS u (e, s, v, d, b)
    WHERE u.v > u.b
    ON CONFLICT (enterprise, stream) DO UPDATE
    SET version = excluded.version, due_ms = least(t.due_ms, excluded.due_ms),
        urgency = CASE WHEN excluded.due_ms IS NULL THEN t.urgency ELSE 0 END;

    IF cardinality(mark_digest) > 0 THEN
        INSERT INTO signal_digests (enterprise, digest, stream, version, position)
        SELECT u.e, u.d, u.s, u.v, u.p
        FROM unnest(mark_enterprise, mark_digest, marked_stream, marked_version, marked_position) AS u (e, d, s, v, p)
        WHERE u.p > start;
    END IF;
END
$$;
