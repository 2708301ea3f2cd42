-- What the board, the list of missed calls and the reports need of a call, and indexes for looking through millions of them.
-- Written by projections/calls.py; rows of before this migration have it after `./ms.sh rebuild calls`.
--
-- phase_ms: since when the call stands as it stands (who talks: since the talk began). ringing, talking: who does now.
-- cards: on whose screen the card stands. client: the customer's name at MoySklad. talked, talked_ms: who talked with the
-- customer, and how long each, talks that are over. wait_ms: how long the phone of the one who answered first had been ringing.
-- tail: the number's last nine digits turned round, so that numbers with the same end stand together.
-- Columns with defaults: an older instance may still be writing rows while the new ones start.
ALTER TABLE calls
    ADD COLUMN phase_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN ringing text[] NOT NULL DEFAULT '{}',
    ADD COLUMN talking text[] NOT NULL DEFAULT '{}',
    ADD COLUMN cards text[] NOT NULL DEFAULT '{}',
    ADD COLUMN client text NOT NULL DEFAULT '',
    ADD COLUMN talked text[] NOT NULL DEFAULT '{}',
    ADD COLUMN talked_ms bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN wait_ms bigint,
    ADD COLUMN tail text COLLATE "C" GENERATED ALWAYS AS (left(reverse(digits), 9)) STORED;

-- A number is found by its last digits, however many are known, in one enterprise or in all.
DROP INDEX calls_digits;
CREATE INDEX calls_digits ON calls (tail, enterprise, started_ms) WHERE digits <> '';
-- All enterprises together, newest first.
CREATE INDEX calls_newest ON calls (started_ms, enterprise, call);
-- The calls of now: a few hundred of millions.
CREATE INDEX calls_live ON calls (enterprise) WHERE phase IN ('arrived', 'ringing', 'talking', 'on_hold', 'transferring');
-- Missed calls, newest first.
CREATE INDEX calls_missed ON calls (enterprise, started_ms) WHERE direction = 'in' AND outcome IN ('missed', 'abandoned');

ANALYZE calls;

-- Numbers over time, by hours of UTC: projections/statistics.py. It begins with the first event by itself.
CREATE TABLE statistics_calls (
    enterprise text NOT NULL,
    hour_ms bigint NOT NULL,
    direction text NOT NULL,
    outcome text NOT NULL,
    calls integer NOT NULL,
    talk_ms bigint NOT NULL,
    waits integer NOT NULL,
    wait_ms bigint NOT NULL,
    PRIMARY KEY (enterprise, hour_ms, direction, outcome)
);
CREATE INDEX statistics_calls_hour ON statistics_calls (hour_ms);
-- answered: has talked. missed: nobody has.
CREATE TABLE statistics_people (
    enterprise text NOT NULL,
    hour_ms bigint NOT NULL,
    extension text NOT NULL,
    direction text NOT NULL,
    calls integer NOT NULL,
    answered integer NOT NULL,
    missed integer NOT NULL,
    talk_ms bigint NOT NULL,
    waits integer NOT NULL,
    wait_ms bigint NOT NULL,
    PRIMARY KEY (enterprise, hour_ms, extension, direction)
);
-- took: how many took no longer than each of the bounds in projections/statistics.py, each request counted once.
CREATE TABLE statistics_requests (
    enterprise text NOT NULL,
    hour_ms bigint NOT NULL,
    api text NOT NULL,
    requests integer NOT NULL,
    failures integer NOT NULL,
    took_ms bigint NOT NULL,
    took integer[] NOT NULL,
    PRIMARY KEY (enterprise, hour_ms, api)
);
CREATE INDEX statistics_requests_hour ON statistics_requests (hour_ms);
-- Who has which extension, as MoySklad last said.
CREATE TABLE statistics_names (
    enterprise text NOT NULL,
    extension text NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (enterprise, extension)
);
