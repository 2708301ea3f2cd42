-- Calls by enterprise and name, as a search shows them.
SELECT enterprise, call, phase, direction, outcome, number, client, extensions, extension, started_ms, ended_ms, talk_ms, wait_ms,
       moysklad_call, open_cards, failures, parked, remedy,
       EXISTS (SELECT 1 FROM clicks WHERE clicks.enterprise = calls.enterprise AND clicks.call = calls.call) AS clicked
FROM calls
WHERE (enterprise, call) IN (SELECT e, c FROM unnest($1::text[], $2::text[]) AS named (e, c))
ORDER BY started_ms DESC, enterprise DESC, call DESC
