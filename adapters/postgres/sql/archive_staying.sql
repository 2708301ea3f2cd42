-- Streams that began before $1 and have gone on after it.
CREATE TEMPORARY TABLE staying AS SELECT enterprise, stream FROM streams WHERE first_ms < $1 AND last_ms >= $1
