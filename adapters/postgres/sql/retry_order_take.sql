-- The order whose turn it is, for this transaction: nobody else works on it meanwhile. Not yet one whose calls the index of
-- calls ($1: its checkpoint) does not show, nor one whose enterprise has $3 calls due already at $2: MoySklad's limits let no
-- more through, and what is live comes first.
SELECT o.id, o.enterprise, o.call, o.by, o.reason, o.position, o.done_to
FROM retry_orders o
WHERE o.finished_at IS NULL
  AND o.position IS NOT NULL
  AND (o.call <> '' OR o.position <= (SELECT position FROM checkpoints WHERE name = $1))
  AND (SELECT count(*) FROM (SELECT FROM streams s WHERE s.enterprise = o.enterprise AND s.due_ms <= $2 LIMIT $3) AS busy) < $3
ORDER BY o.worked_at NULLS FIRST, o.id
LIMIT 1
FOR UPDATE OF o SKIP LOCKED
