-- Which customers are to be called back, each by one task (core/ports.py, Callbacks): what calls tell each other.
--
-- A row is a matter: it belongs to the missed call that may have the task. clients: the names under which the customer is known.
-- missed_ms: when the latest of his missed calls began. task: MoySklad's id, once it is there. waits: the account takes no tasks,
-- as another call was told. closed_by: the call by which somebody talked with him.
CREATE TABLE callbacks (
    enterprise text COLLATE "C" NOT NULL,
    call text COLLATE "C" NOT NULL,
    clients text[] NOT NULL,
    missed_ms bigint NOT NULL,
    task text NOT NULL DEFAULT '',
    waits boolean NOT NULL DEFAULT false,
    closed_by text COLLATE "C",
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (enterprise, call)
);
CREATE INDEX callbacks_open ON callbacks USING gin (clients) WHERE closed_by IS NULL;
CREATE INDEX callbacks_closed ON callbacks (enterprise, closed_by) WHERE closed_by IS NOT NULL;
CREATE INDEX callbacks_waiting ON callbacks (enterprise) WHERE waits;
CREATE INDEX callbacks_changed ON callbacks (changed_at);
-- Until when a customer was last talked with: a missed call that is heard of only later needs no task.
CREATE TABLE callback_talks (
    enterprise text COLLATE "C" NOT NULL,
    client text COLLATE "C" NOT NULL,
    talked_ms bigint NOT NULL,
    PRIMARY KEY (enterprise, client)
);
CREATE INDEX callback_talks_talked ON callback_talks (talked_ms);
-- Accounts that take no tasks, and the call that tells a person so.
CREATE TABLE callback_holds (
    enterprise text COLLATE "C" PRIMARY KEY,
    call text COLLATE "C" NOT NULL,
    until timestamptz NOT NULL
);
