-- Stepping through the index from one enterprise to the next; only those without an owner are looked at closer.
WITH RECURSIVE step AS (
    SELECT min(enterprise) AS enterprise FROM streams WHERE due_ms IS NOT NULL
    UNION ALL
    SELECT (SELECT min(t.enterprise) FROM streams t WHERE t.due_ms IS NOT NULL AND t.enterprise > step.enterprise)
    FROM step WHERE step.enterprise IS NOT NULL
)
SELECT step.enterprise
FROM step
WHERE NOT EXISTS (
        SELECT FROM owners o JOIN nodes n ON n.id = o.node WHERE o.enterprise = step.enterprise AND n.expires_at > now()
    )
    AND EXISTS (
        SELECT FROM streams s, unnest(ARRAY[0, 1, 2]::smallint[]) AS u (urgency)
        WHERE s.enterprise = step.enterprise AND s.urgency = u.urgency AND s.due_ms <= $1
    )
