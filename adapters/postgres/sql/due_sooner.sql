-- Calls that are open and would be looked at later than $1 ms after they began: the maximum was lowered meanwhile. Whoever attends to
-- one finds out when it is due now; a row that is being written to just now is made due by that.
UPDATE streams SET due_ms = $2
WHERE (enterprise, stream) IN (
    SELECT s.enterprise, s.stream FROM calls c
    JOIN streams s ON s.enterprise = c.enterprise AND s.stream = 'call/' || c.call
    WHERE c.phase IN ('arrived', 'ringing', 'talking', 'on_hold', 'transferring')
        AND s.due_ms > greatest(c.started_ms + $1::bigint, $2::bigint)
    FOR UPDATE OF s SKIP LOCKED
)
