-- Readers see the old sums until all of this is committed. since_ms: the first whole hour that the log still holds; 0: all of it.
CREATE TEMPORARY TABLE anew_since ON COMMIT DROP AS
SELECT CASE WHEN begins = 0 THEN 0
    ELSE coalesce((SELECT (recorded_ms / 3600000 + 1) * 3600000 FROM events WHERE position > begins ORDER BY position LIMIT 1), 9223372036854775807)
END AS since_ms
FROM log_head;
DELETE FROM statistics_calls WHERE hour_ms >= (SELECT since_ms FROM anew_since);
INSERT INTO statistics_calls
SELECT * FROM anew_statistics_calls WHERE hour_ms >= (SELECT since_ms FROM anew_since) AND calls <> 0;
DELETE FROM statistics_people WHERE hour_ms >= (SELECT since_ms FROM anew_since);
INSERT INTO statistics_people
SELECT * FROM anew_statistics_people WHERE hour_ms >= (SELECT since_ms FROM anew_since) AND calls <> 0;
DELETE FROM statistics_requests WHERE hour_ms >= (SELECT since_ms FROM anew_since);
INSERT INTO statistics_requests
SELECT * FROM anew_statistics_requests WHERE hour_ms >= (SELECT since_ms FROM anew_since);
DELETE FROM statistics_names WHERE (SELECT since_ms FROM anew_since) = 0;
INSERT INTO statistics_names SELECT enterprise, extension, name FROM anew_statistics_names
ON CONFLICT (enterprise, extension) DO UPDATE SET name = excluded.name;
TRUNCATE anew_statistics_calls, anew_statistics_people, anew_statistics_requests, anew_statistics_names
