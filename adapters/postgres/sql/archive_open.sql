-- Streams that began before $1 and have an alarm set: something is still to be done for them, or may be.
SELECT count(*) OVER () AS streams, enterprise, stream FROM streams WHERE due_ms IS NOT NULL AND first_ms < $1
ORDER BY enterprise, stream LIMIT 3
