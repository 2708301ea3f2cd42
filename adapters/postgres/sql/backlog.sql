-- What should have been done by now ($1), by enterprise and urgency. One walk along the index; the table is not read.
SELECT enterprise, urgency, count(*) AS calls, min(due_ms) AS oldest_ms
FROM streams
WHERE due_ms <= $1
GROUP BY enterprise, urgency
