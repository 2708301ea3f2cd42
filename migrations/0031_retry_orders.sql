-- Orders to ask MoySklad again for what is parked: of one call, or of a whole enterprise (call ''). Worked off in batches by
-- adapters/retries.py, whichever instance comes first.
--
-- ripe_at: not before then is it begun, so that every instance works with the settings in force by then. position: the end of
-- the log when it was begun (null: it still waits); what is parked after that is not this order's matter, so nothing loops.
-- done_to: the last call looked at. worked_at: when it last had its turn.
CREATE TABLE retry_orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    enterprise text COLLATE "C" NOT NULL,
    call text COLLATE "C" NOT NULL DEFAULT '',
    by text NOT NULL,
    reason text NOT NULL DEFAULT '',
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ripe_at timestamptz NOT NULL,
    position bigint,
    done_to text NOT NULL DEFAULT '',
    worked_at timestamptz,
    retried integer NOT NULL DEFAULT 0,
    finished_at timestamptz
);
-- One that waits is enough, however often the same is ordered.
CREATE UNIQUE INDEX retry_orders_waiting ON retry_orders (enterprise, call) WHERE position IS NULL;
CREATE INDEX retry_orders_open ON retry_orders (worked_at, id) WHERE finished_at IS NULL;
CREATE INDEX retry_orders_finished ON retry_orders (finished_at);
