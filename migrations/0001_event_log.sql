-- The event log: append-only streams and one gap-free log over them (docs/decisions/0001).
-- Every key begins with the enterprise, so that the tables can be sharded by it.

-- One row: whoever appends locks it, so one batch at a time is numbered and committed, and position order is commit
-- order. The row itself is only locked, never rewritten per batch (no dead row versions pile up behind an old
-- transaction): the last position is the greatest in events. base is the last position of what was archived away.
CREATE TABLE log_head (
    the_row boolean PRIMARY KEY DEFAULT true CHECK (the_row),
    base bigint NOT NULL DEFAULT 0
);
INSERT INTO log_head DEFAULT VALUES;

-- data is json, not jsonb: the log is never searched inside, and text is faster to write and to read back.
CREATE TABLE events (
    enterprise text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    position bigint NOT NULL CHECK (position > 0),
    id uuid NOT NULL,
    type text NOT NULL,
    schema smallint NOT NULL,
    data json NOT NULL,
    recorded_ms bigint NOT NULL,
    PRIMARY KEY (enterprise, stream, version),
    CONSTRAINT events_position UNIQUE (position),
    CONSTRAINT events_id UNIQUE (id)
);

-- The head of each stream, and its durable work: due_ms is when it needs attention (null: never).
CREATE TABLE streams (
    enterprise text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    due_ms bigint,
    PRIMARY KEY (enterprise, stream)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX streams_due ON streams (due_ms) WHERE due_ms IS NOT NULL;

-- Signals that were recorded, by content: the first append of each digest, so that a repeat can be answered with it.
CREATE TABLE signal_digests (
    enterprise text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    stream text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (enterprise, digest)
);
-- For pruning the oldest.
CREATE INDEX signal_digests_position ON signal_digests USING brin (position);

-- How far each follower of the log has come. The row is locked by whoever takes the next batch.
CREATE TABLE checkpoints (
    name text PRIMARY KEY,
    position bigint NOT NULL
);
