-- The index of calls: search, the board, and naming a call by phone and time. Derived from the events of each call.
CREATE TABLE calls (
    enterprise text NOT NULL,
    call text NOT NULL,
    version integer NOT NULL,
    phase text NOT NULL,
    direction text NOT NULL,
    outcome text,
    number text NOT NULL,
    digits text NOT NULL,
    extensions text[] NOT NULL,
    extension text NOT NULL,
    started_ms bigint NOT NULL,
    ended_ms bigint,
    talk_ms bigint NOT NULL,
    moysklad_call text,
    open_cards integer NOT NULL,
    failures integer NOT NULL,
    parked text NOT NULL,
    PRIMARY KEY (enterprise, call)
);
CREATE INDEX calls_started ON calls (enterprise, started_ms DESC);
CREATE INDEX calls_digits ON calls (enterprise, right(digits, 9), started_ms DESC) WHERE digits <> '';
CREATE INDEX calls_moysklad ON calls (moysklad_call) WHERE moysklad_call IS NOT NULL;
CREATE INDEX calls_trouble ON calls (enterprise, started_ms DESC) WHERE failures > 0 OR parked <> '';
