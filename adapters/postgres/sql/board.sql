-- The calls that go on: the oldest $1 of each enterprise, $2 of all. Where that is not all of them, each enterprise gives up its
-- newest ones, so that nobody's many calls keep another's few from the board.
SELECT enterprise, call, phase, phase_ms, direction, number, client, ringing, talking, cards, started_ms, failures, parked
FROM (
    SELECT *, row_number() OVER (PARTITION BY enterprise ORDER BY started_ms, call) AS nth
    FROM calls
    WHERE phase IN ('arrived', 'ringing', 'talking', 'on_hold', 'transferring')
    ORDER BY nth
    LIMIT $2
) AS live
WHERE nth <= $1
ORDER BY started_ms, enterprise, call
