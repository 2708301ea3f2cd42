INSERT INTO calls (
    enterprise, call, version, phase, direction, outcome, number, digits, extensions, extension, started_ms, ended_ms,
    talk_ms, moysklad_call, open_cards, failures, parked, remedy, parked_ms, parked_code,
    phase_ms, ringing, talking, cards, client, talked, talked_ms, wait_ms
)
SELECT
    enterprise, call, version, phase, direction, outcome, number, digits, extensions, extension, started_ms, ended_ms,
    talk_ms, moysklad_call, open_cards, failures, parked, remedy, parked_ms, parked_code,
    phase_ms, ringing, talking, cards, client, talked, talked_ms, wait_ms
FROM json_populate_recordset(NULL::calls, $1::json)
ORDER BY enterprise, call -- whoever writes several rows at once locks them in this order
ON CONFLICT (enterprise, call) DO UPDATE SET
    version = excluded.version, phase = excluded.phase, direction = excluded.direction, outcome = excluded.outcome,
    number = excluded.number, digits = excluded.digits, extensions = excluded.extensions, extension = excluded.extension,
    started_ms = excluded.started_ms, ended_ms = excluded.ended_ms, talk_ms = excluded.talk_ms,
    moysklad_call = excluded.moysklad_call, open_cards = excluded.open_cards, failures = excluded.failures,
    parked = excluded.parked, remedy = excluded.remedy, parked_ms = excluded.parked_ms, parked_code = excluded.parked_code,
    phase_ms = excluded.phase_ms, ringing = excluded.ringing, talking = excluded.talking, cards = excluded.cards,
    client = excluded.client, talked = excluded.talked, talked_ms = excluded.talked_ms, wait_ms = excluded.wait_ms
