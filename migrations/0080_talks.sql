-- How many of the calls have a talk that was heard: the mean talk of the reports. It was divided by the waits that are known, but a
-- call whose dial was lost has a talk and no wait. Columns with defaults: an older instance may still be writing rows.
ALTER TABLE statistics_calls ADD COLUMN talks integer NOT NULL DEFAULT 0;
ALTER TABLE anew_statistics_calls ADD COLUMN talks integer NOT NULL DEFAULT 0;

-- Hours of before have what the search knows of their calls, self-tests aside; of months that were archived only the waits are left.
-- Exact, for what the log still holds, once `./ms.sh rebuild statistics` ran.
UPDATE statistics_calls SET talks = waits WHERE talk_ms > 0;
UPDATE statistics_calls AS s SET talks = greatest(s.talks, c.talks)
FROM (
    SELECT enterprise, started_ms / 3600000 * 3600000 AS hour_ms, direction, outcome, count(*)::integer AS talks
    FROM calls
    WHERE talk_ms > 0 AND NOT starts_with(call, 'selftest-')
    GROUP BY 1, 2, 3, 4
) AS c
WHERE (s.enterprise, s.hour_ms, s.direction, s.outcome) = (c.enterprise, c.hour_ms, c.direction, c.outcome);
