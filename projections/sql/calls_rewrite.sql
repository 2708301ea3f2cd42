-- Rows derived anew, beside whoever keeps the table up to date: what is right already is left alone (an index entry costs more
-- than a look), and a row that knows more events of its call is newer.
INSERT INTO calls (
    enterprise, call, version, phase, direction, outcome, number, digits, extensions, extension, started_ms, ended_ms,
    talk_ms, moysklad_call, open_cards, failures, parked, remedy, parked_ms, parked_code, phase_ms, ringing, talking, cards,
    client, talked, talked_ms, wait_ms
)
SELECT
    n.enterprise, n.call, n.version, n.phase, n.direction, n.outcome, n.number, n.digits, n.extensions, n.extension,
    n.started_ms, n.ended_ms, n.talk_ms, n.moysklad_call, n.open_cards, n.failures, n.parked, n.remedy, n.parked_ms,
    n.parked_code, n.phase_ms, n.ringing, n.talking, n.cards, n.client, n.talked, n.talked_ms, n.wait_ms
FROM json_populate_recordset(NULL::calls, $1::json) AS n
LEFT JOIN calls AS c ON c.enterprise = n.enterprise AND c.call = n.call
WHERE c.call IS NULL OR c.version <= n.version AND (
    c.version, c.phase, c.direction, c.outcome, c.number, c.digits, c.extensions, c.extension, c.started_ms, c.ended_ms,
    c.talk_ms, c.moysklad_call, c.open_cards, c.failures, c.parked, c.remedy, c.parked_ms, c.parked_code, c.phase_ms,
    c.ringing, c.talking, c.cards, c.client, c.talked, c.talked_ms, c.wait_ms
) IS DISTINCT FROM (
    n.version, n.phase, n.direction, n.outcome, n.number, n.digits, n.extensions, n.extension, n.started_ms, n.ended_ms,
    n.talk_ms, n.moysklad_call, n.open_cards, n.failures, n.parked, n.remedy, n.parked_ms, n.parked_code, n.phase_ms,
    n.ringing, n.talking, n.cards, n.client, n.talked, n.talked_ms, n.wait_ms
)
ORDER BY n.enterprise, n.call -- whoever writes several rows at once locks them in this order
ON CONFLICT (enterprise, call) DO UPDATE SET
    version = excluded.version, phase = excluded.phase, direction = excluded.direction, outcome = excluded.outcome,
    number = excluded.number, digits = excluded.digits, extensions = excluded.extensions, extension = excluded.extension,
    started_ms = excluded.started_ms, ended_ms = excluded.ended_ms, talk_ms = excluded.talk_ms,
    moysklad_call = excluded.moysklad_call, open_cards = excluded.open_cards, failures = excluded.failures,
    parked = excluded.parked, remedy = excluded.remedy, parked_ms = excluded.parked_ms, parked_code = excluded.parked_code,
    phase_ms = excluded.phase_ms, ringing = excluded.ringing, talking = excluded.talking, cards = excluded.cards,
    client = excluded.client, talked = excluded.talked, talked_ms = excluded.talked_ms, wait_ms = excluded.wait_ms
WHERE calls.version <= excluded.version
