-- What AMI tells of calls that nobody took: busy, declined, rejected and failed ones are missed calls too (core/values.py, MISSED_CALLS).
DROP INDEX calls_missed;
CREATE INDEX calls_missed ON calls (enterprise, started_ms)
    WHERE direction = 'in' AND outcome IN ('missed', 'abandoned', 'busy', 'declined', 'rejected', 'failed');
