-- Others attend to these streams: due now at the latest, and urgently. Nearly always they are already, and nothing is
-- locked; a row that is being written to right now is skipped, because every append makes its stream due and urgent.
UPDATE streams SET due_ms = least(due_ms, $3), urgency = 0
WHERE (enterprise, stream) IN (
    SELECT s.enterprise, s.stream FROM streams s JOIN unnest($1::text[], $2::text[]) AS named (enterprise, stream)
    USING (enterprise, stream)
    WHERE s.due_ms IS NULL OR s.due_ms > $3 OR s.urgency <> 0
    FOR UPDATE OF s SKIP LOCKED
)
