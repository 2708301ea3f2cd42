-- Read models are derived anew while they are in use (docs/decisions/0023).
--
-- version: how many events of the click a row knows, so that nobody makes it older. Rows of before this migration know none.
ALTER TABLE clicks ADD COLUMN version integer NOT NULL DEFAULT 0;

-- The sums while they are derived anew; they take the place of the others at the end. Not logged: a server that crashes ends the
-- work too, and it is begun again.
CREATE UNLOGGED TABLE anew_statistics_calls (LIKE statistics_calls INCLUDING ALL);
CREATE UNLOGGED TABLE anew_statistics_people (LIKE statistics_people INCLUDING ALL);
CREATE UNLOGGED TABLE anew_statistics_requests (LIKE statistics_requests INCLUDING ALL);
-- position: of the event that told the name; pieces of the log are gone through in any order.
CREATE UNLOGGED TABLE anew_statistics_names (LIKE statistics_names INCLUDING ALL, position bigint NOT NULL);
